"""Labels of items (genres, tags, years), and the names made of them that hold for some events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.data.titles import year_of
from recsys.types import Doubles, Ints, Mask

HOLDS = 0.85
"""A name of labels is given where at least this share of the items under it are so."""

LEAST_LIFT = 2.5
"""And where they are so this many times as often as everybody's events."""

APART = 1.5
"""And, of one user, this many times as often as the events of each other persona."""

_MIN_SHARE = 0.3
"""A label that fewer of the items have says little, even beside others."""

_MIN_ITEMS = 5
_TRIED = 8
_MOST_LABELS = 2
_NARROWED = 4
"""Names of labels, best first, that are tried with a span of years, too."""

_NARROWS = 2.0
"""A span of years beside labels leaves out so much of what has the labels that this many times less is left."""

_CACHED = 4_096
"""Sets of labels of which it is cached how many of everybody's events have one."""

_GRID = 5
"""Spans of years begin and end with such a part of a decade: names stay, and are said easily."""

_FULL = 0.3
"""Where one has a larger share of everybody's events, any of its years is a beginning and an end."""

_ERA = 0.5
"""Part of its worth that a name of years alone has: it says when, and not what."""

_WORD_COST = 0.85
"""How much the worth of a name falls with each further label."""

NameKind = Literal["labels", "titles"]


@final
@dataclass(frozen=True)
class TasteName:
    """The name of a taste or of a persona.

    Attributes:
        text: what is shown.
        kind: whether it is made of labels (genres, tags, years) or of titles.
        labels: those labels: an item under the name has at least one of the genres and tags, and is of the years; or
            the titles.
        holds: share of the items under the name that are so; 0 without labels.
        lift: that share over the share of all events; 1 without labels.
    """

    text: str
    kind: NameKind
    labels: tuple[str, ...] = ()
    holds: float = 0.0
    lift: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TasteName:
        """Return what `to_dict` was called on."""
        return cls(**{**values, "labels": tuple(values["labels"])})


@final
@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the items that a name can be made of.

    Attributes:
        names: of the labels: genres or tags with letters, decades.
        has: "items labels", whether an item has a label.
        counts: "items", events of each item in the log.
        years: "items", the year of each; 0 where it is not known.
    """

    names: tuple[str, ...]
    has: sp.csr_matrix
    counts: Doubles
    years: Ints
    _by_year: dict[tuple[int, ...], Doubles] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: ItemMetadata, counts: Doubles | Ints) -> Labels:
        """Collect the labels of a log's items: genres, tags where there are none, decades where titles end in years.

        Args:
            metadata: of the items.
            counts: "items", events of each.
        """
        said = metadata.genres if metadata.has_genres else metadata.tags
        rows = [
            {*(one for one in of_item if any(map(str.isalpha, one))), *_period(title)} - NO_GENRE
            for title, of_item in zip(metadata.titles, said, strict=True)
        ]
        number: dict[str, int] = {}
        for row in rows:
            for label in row:
                number[label] = number.get(label, 0) + 1
        names = tuple(sorted(label for label, count in number.items() if count >= _MIN_ITEMS))
        column = {name: place for place, name in enumerate(names)}
        columns = [[column[label] for label in row if label in column] for row in rows]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in columns])])
        indices = np.asarray([one for row in columns for one in row], np.int64)
        has = sp.csr_matrix((np.ones(len(indices), np.int8), indices, indptr), shape=(len(rows), len(names)))
        years = [year_of(title) or 0 for title in metadata.titles]
        return cls(names, has, np.asarray(counts, np.float64), np.asarray(years, np.int64))

    @cached_property
    def _columns(self) -> sp.csc_matrix:
        return self.has.tocsc()

    @cached_property
    def shares(self) -> Doubles:
        """ "labels", the share of all events whose items have each label."""
        return np.asarray(self.counts @ self.has) / max(1e-12, float(self.counts.sum()))

    @cached_property
    def periods(self) -> Mask:
        """ "labels", which are decades."""
        return np.asarray([_is_period(name) for name in self.names], np.bool_)

    def named(self, labels: Sequence[str]) -> Mask | None:
        """Return "items": whether an item is what some labels say; None if one is not known."""
        spans = [span for label in labels if (span := _years_of(label)) is not None]
        others = [label for label in labels if _years_of(label) is None]
        if not set(others) <= set(self.names):
            return None
        chosen = self.any_of([self.names.index(label) for label in others])
        for begin, end in spans:
            chosen = chosen & self.within(begin, end)
        return chosen

    def any_of(self, columns: Sequence[int]) -> Mask:
        """Return "items": whether an item has one of some labels; all of them without labels."""
        if not columns:
            return np.ones(len(self.years), np.bool_)
        chosen = np.zeros(len(self.years), np.bool_)
        for column in columns:
            chosen[self._columns.indices[slice(*self._columns.indptr[column : column + 2])]] = True
        return chosen

    def within(self, begin: int, end: int) -> Mask:
        """Return "items": whether an item is of some years."""
        return np.asarray((self.years >= begin) & (self.years <= end) & (self.years > 0))

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first and the last year of all; both 0 where none is known."""
        known = self.years[self.years > 0]
        return (int(known.min()), int(known.max())) if len(known) else (0, 0)

    @cached_property
    def steps(self) -> tuple[Ints, Ints]:
        """The first and the last year of each part of which spans of years are made."""
        first, last = self.span
        years, upto = np.arange(first, last + 1), self.by_year(())
        part = years // _GRID
        share = np.bincount(part - part[0], np.diff(upto)[1:])
        begins = (np.diff(part, prepend=-1) != 0) | (share[part - part[0]] > _FULL)
        begin = years[begins]
        return begin, np.append(begin[1:] - 1, last)

    def by_year(self, columns: tuple[int, ...]) -> Doubles:
        """Return, for the items with one of some labels, the share of all events up to each year, the unknown first."""
        if columns not in self._by_year:
            if len(self._by_year) >= _CACHED:
                self._by_year.clear()
            first, last = self.span
            place = np.where(self.years > 0, self.years - first + 1, 0)
            mass = np.bincount(place, self.counts * self.any_of(columns), last - first + 2)
            self._by_year[columns] = np.concatenate([[0.0], np.cumsum(mass)]) / max(1e-12, float(self.counts.sum()))
        return self._by_year[columns]

    def base(self, columns: tuple[int, ...], span: tuple[int, int] | None = None) -> float:
        """Return the share of all events whose items have one of some labels, and are of some years."""
        upto = self.by_year(columns)
        if span is None:
            return float(upto[-1])
        first = self.span[0]
        return float(upto[span[1] - first + 2] - upto[span[0] - first + 1])


@final
@dataclass(frozen=True, eq=False)
class Uses:
    """Some events.

    Attributes:
        has: "items labels", whether each of their items has a label.
        years: "items", the year of each; 0 where it is not known.
        counts: "items", events of each.
        seen: events of everybody that are added: what holds for a few may be chance.
    """

    has: npt.NDArray[np.int8]
    years: Ints
    counts: Doubles
    seen: float = 0.0

    @classmethod
    def of(cls, labels: Labels, items: Ints, counts: Doubles, seen: float = 0.0) -> Uses:
        """Return the events of some items."""
        return cls(labels.has[items].toarray(), labels.years[items], counts, seen)

    def take(self, rows: Mask | slice) -> Uses:
        """Return some of them."""
        return Uses(self.has[rows], self.years[rows], self.counts[rows], self.seen)

    def matching(self, columns: tuple[int, ...], span: tuple[int, int] | None = None) -> Mask:
        """Return "items": which have one of some labels, and are of some years."""
        chosen = self.has[:, list(columns)].any(1) if columns else np.ones(len(self.years), np.bool_)
        if span is not None:
            chosen = chosen & (self.years >= span[0]) & (self.years <= span[1]) & (self.years > 0)
        return np.asarray(chosen)

    def share_of(self, columns: tuple[int, ...], span: tuple[int, int] | None = None) -> float:
        """Return the share of the events that do, without what is added."""
        return float(self.counts @ self.matching(columns, span)) / max(1e-12, self.total)

    @cached_property
    def total(self) -> float:
        return float(self.counts.sum())

    def share(self, matching: Doubles | float, base: Doubles | float) -> Doubles:
        """Return the share of events, given how many match and the share of everybody's that do."""
        return np.asarray((matching + self.seen * base) / max(1e-12, self.total + self.seen))


def names_that_hold(
    labels: Labels, own: Uses, recommended: Uses, others: Sequence[Uses] = ()
) -> Iterator[tuple[float, TasteName]]:
    """Yield the names of labels that hold for some events, best first, with their worth.

        worth(labels) = holds . ln(lift) . .85^(number of labels - 1)        half of it for years alone

    `holds` is the share of the events that are so, or that of the recommended items, whichever is smaller; it must
    reach .85. `lift` is the former over the share of everybody's events, and must reach 2.5. Names are one or two
    genres or tags, one or two decades, the narrowest span of years that holds, and such labels within such a span,
    where that leaves out half of what has the labels.

    Args:
        labels: of the items.
        own: the events.
        recommended: items that are recommended under the name.
        others: events of other personas: of each the name must hold less often, by a factor of 1.5.
    """
    found = [(worth_of(name), name) for name in _holding(labels, [own, recommended], others)]
    yield from sorted(found, key=lambda pair: (-pair[0], pair[1].text))


def some_name_holds(labels: Labels, own: Uses, others: Sequence[Uses]) -> bool:
    """Return whether there would be a name if what is recommended were like the events; see `names_that_hold`."""
    return next(_holding(labels, [own, own], others), None) is not None


def _holding(labels: Labels, parts: Sequence[Uses], others: Sequence[Uses]) -> Iterator[TasteName]:
    """Yield the names of labels that hold, in no order."""
    for columns, span in _candidates(labels, parts):
        if LEAST_LIFT * labels.base(columns, span) > 1.0:
            continue
        name = measured(labels, columns, span, parts)
        if holds(name) and all(APART * each.share_of(columns, span) <= name.holds for each in others):
            yield name


def holds(name: TasteName) -> bool:
    """Return whether a name of labels is true of the items under it, and says something."""
    return name.holds >= HOLDS and name.lift >= LEAST_LIFT


def worth_of(name: TasteName) -> float:
    """Return the worth of a name of labels: see `names_that_hold`."""
    years = all(_years_of(label) is not None or _is_period(label) for label in name.labels)
    worth = name.holds * float(np.log(max(name.lift, 1.0))) * _WORD_COST ** (len(name.labels) - 1)
    return worth * (_ERA if years else 1.0)


def _candidates(labels: Labels, parts: Sequence[Uses]) -> Iterator[tuple[tuple[int, ...], tuple[int, int] | None]]:
    """Yield sets of labels and spans of years of which at least one of each set, and the span, may hold."""
    (share, *_) = (np.asarray(uses.counts @ uses.has) / max(1e-12, uses.total) for uses in parts)
    base = labels.shares
    lift = (share + base / max(1.0, parts[0].total)) / np.maximum(base, 1e-12)
    worth = np.where((lift > 1.0) & (share >= _MIN_SHARE), share * np.log(np.maximum(lift, 1.0)), 0.0)
    best = np.argsort(-worth, kind="stable")[:_TRIED]
    best = best[worth[best] > 0]
    sets: list[tuple[float, tuple[int, ...]]] = []
    for periods in (False, True):  # "Drama & 1940s" would be read as both
        columns = best[labels.periods[best] == periods]
        members = _combinations(len(columns))
        if not len(members):
            continue
        counts = [uses.counts @ ((uses.has[:, columns] @ members.T) > 0) for uses in parts]
        held = np.minimum.reduce(
            [uses.share(count.astype(np.float64), 1.0) for uses, count in zip(parts, counts, strict=True)]
        )
        for place in np.flatnonzero(held >= HOLDS).tolist():  # with all that is added counted as if it were so
            chosen = tuple(sorted(columns[members[place]].tolist()))
            yield chosen, None
            if not periods:
                rare = -float(np.log(max(labels.base(chosen), 1e-12)))
                sets.append((float(held[place]) * rare * _WORD_COST ** len(chosen), chosen))
    sets.sort(key=lambda pair: (-pair[0], pair[1]))
    for chosen in [(), *(chosen for _, chosen in sets[:_NARROWED])]:
        span = _narrowest(labels, chosen, parts)
        if span is not None and _NARROWS * labels.base(chosen, span) <= labels.base(chosen):
            yield chosen, span


@cache
def _combinations(count: int) -> Mask:
    """Return "sets count": all sets of one or two of some labels."""
    sets = [chosen for size in range(1, _MOST_LABELS + 1) for chosen in combinations(range(count), size)]
    members = np.zeros((len(sets), count), np.bool_)
    for place, chosen in enumerate(sets):
        members[place, list(chosen)] = True
    return members


def _narrowest(labels: Labels, columns: tuple[int, ...], parts: Sequence[Uses]) -> tuple[int, int] | None:
    """Return the span of years of least share of everybody's events in which items with some labels hold."""
    if labels.span == (0, 0):
        return None
    first, begin, end = labels.span[0], *labels.steps
    upto = labels.by_year(columns)
    base = upto[end - first + 2][None, :] - upto[begin - first + 1][:, None]  # "from to"
    held = np.full(base.shape, np.inf)
    for uses in dict.fromkeys(parts):  # the same events may stand for both
        of = uses.matching(columns) & (uses.years > 0)
        within = np.bincount(np.searchsorted(end, uses.years[of]), uses.counts[of], len(end))
        mass = np.append(0.0, np.cumsum(within.astype(np.float64)))
        held = np.minimum(held, uses.share(mass[None, 1:] - mass[:-1, None], base))
    years = end - begin[:, None]
    base = np.where((held >= HOLDS) & (years >= 0), base + 1e-9 * years, np.inf)  # of equals the shorter
    start, stop = np.unravel_index(int(base.argmin()), base.shape)
    return (int(begin[start]), int(end[stop])) if np.isfinite(base[start, stop]) else None


def measured(
    labels: Labels, columns: tuple[int, ...], span: tuple[int, int] | None, parts: Sequence[Uses]
) -> TasteName:
    """Return the name of some labels and years, measured on events, and on what is recommended."""
    base = labels.base(columns, span)
    shares = [float(uses.share(float(uses.counts @ uses.matching(columns, span)), base)) for uses in parts]
    words = tuple(labels.names[column] for column in columns)
    if span is not None:
        words = (*words, _span(*span, *labels.span))
    return TasteName(joined(words), "labels", words, min(shares), shares[0] / max(base, 1e-12))


def parsed(name: TasteName, labels: Labels) -> tuple[tuple[int, ...], tuple[int, int] | None] | None:
    """Return the labels and the span of years of a name, as `measured` takes them; None where a label is not known."""
    spans = [span for label in name.labels if (span := _years_of(label)) is not None]
    others = [label for label in name.labels if _years_of(label) is None]
    if not set(others) <= set(labels.names) or (spans and not any(labels.span)):
        return None
    first, last = labels.span
    span = (max(first, min(last, spans[0][0])), max(first, min(last, spans[0][1]))) if spans else None
    return tuple(sorted(labels.names.index(label) for label in others)), span


def _period(title: str) -> tuple[str, ...]:
    year = year_of(title)
    return () if year is None else (f"{year // 10 * 10}s",)


def _is_period(label: str) -> bool:
    return re.fullmatch(r"\d{3}0s", label) is not None


def _span(begin: int, end: int, first: int, last: int) -> str:
    """Return a span of years in words, given the first and the last year of all.

    >>> _span(1999, 2003, 1920, 2018), _span(2008, 2018, 1920, 2018), _span(1920, 1969, 1920, 2018)
    ('1999 to 2003', '2008 on', 'before 1970')
    >>> _span(1994, 1994, 1920, 2018)
    '1994 to 1994'
    """
    if end == last:
        return f"{begin} on"
    return f"before {end + 1}" if begin == first else f"{begin} to {end}"


def _years_of(label: str) -> tuple[int, int] | None:
    """Return the years of a span in words; None for other labels.

    >>> _years_of("1999 to 2003"), _years_of("2008 on"), _years_of("before 1970"), _years_of("1990s")
    ((1999, 2003), (2008, 9999), (1, 1969), None)
    """
    if found := re.fullmatch(r"(\d{4}) to (\d{4})", label):
        return int(found[1]), int(found[2])
    if found := re.fullmatch(r"(\d{4}) on", label):
        return int(found[1]), 9999
    found = re.fullmatch(r"before (\d{4})", label)
    return None if found is None else (1, int(found[1]) - 1)


def joined(labels: tuple[str, ...]) -> str:
    """Return labels in words; decades in order of time, those that follow each other as a span.

    >>> joined(("Sci-Fi", "War", "Action")), joined(("1950s", "1930s", "1940s")), joined(("1990s",))
    ('Sci-Fi, War & Action', '1930s to 1950s', 'the 1990s')
    >>> joined(("1999 to 2003",)), joined(("2008 on",)), joined(("before 1970",))
    ('titles of 1999 to 2003', 'titles from 2008 on', 'titles before 1970')
    >>> joined(("Crime", "Thriller", "1991 to 1996")), joined(("War", "before 1970")), joined(("War", "1994 to 1994"))
    ('Crime & Thriller of 1991 to 1996', 'War before 1970', 'War of 1994')
    """
    if (span := _years_of(labels[-1])) is not None:
        words = joined(labels[:-1]) if len(labels) > 1 else "titles"
        years = labels[-1]
        if span[0] == span[1]:
            years = str(span[0])
        return f"{words} {'from ' if years.endswith(' on') else '' if years.startswith('before') else 'of '}{years}"
    if _is_period(labels[0]):
        decades = sorted(int(label[:4]) for label in labels)
        if len(decades) > 2 and decades[-1] - decades[0] == 10 * (len(decades) - 1):
            return f"{decades[0]}s to {decades[-1]}s"
        labels = tuple(f"{decade}s" for decade in decades)
        if len(labels) == 1:
            return f"the {labels[0]}"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} & {labels[-1]}"
