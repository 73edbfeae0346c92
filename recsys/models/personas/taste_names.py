"""Names of tastes that hold: for every node of the dictionary's tree, the same words for everybody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Literal, final

import numpy as np
import scipy.sparse as sp

from recsys.data.clusters import unit_rows
from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.data.queries import Queries
from recsys.data.titles import readable_title, short_title, year_of
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.types import Doubles, Floats, Ints, Items, Mask

HOLDS = 0.85
"""A name of labels is given where at least this share of the items under it have one of the labels."""

_HOLDS_STILL = 0.8
"""A name stays after another training where at least this share still have one of them."""

_BELIEVED = 50
"""Events that what a name held before counts for: where few are seen, it is not dropped by chance."""

_MIN_LIFT = 2.0
_MIN_SHARE = 0.15
"""A label that fewer of the items have says little, even beside others."""

_MIN_ITEMS = 5
_TRIED = 8
_MOST_LABELS = 3
_SEEN = 5
"""Items that everybody has and that are added to those under a node: what holds for a few may be chance."""

_TITLES = 24
_USED = 0.3
"""Part of its worth that a title keeps for each name that has it already."""

_WORD_COST = 0.85
"""How much the worth of a name falls with each further label."""

NameKind = Literal["labels", "titles"]


@final
@dataclass(frozen=True)
class TasteName:
    """The name of a node.

    Attributes:
        text: what is shown.
        kind: whether it is made of labels (genres, tags, decades) or of two titles.
        labels: those labels, of which an item under the name has at least one; or the titles.
        holds: share of the items under the name that have one of the labels; 0 without labels.
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
        names: of the labels: genres, tags with letters, decades.
        has: "items labels", whether an item has a label.
        counts: "items", events of each item in the log.
        years: "items", the year of each; 0 where it is not known.
    """

    names: tuple[str, ...]
    has: Mask
    counts: Doubles
    years: Ints

    @classmethod
    def of(cls, metadata: ItemMetadata, counts: Doubles) -> Labels:
        """Collect the labels of a log's items; decades only where the titles end in years.

        Args:
            metadata: of the items.
            counts: "items", events of each.
        """
        rows = [
            {*genres, *(tag for tag in tags if any(map(str.isalpha, tag))), *_period(title)} - NO_GENRE
            for title, genres, tags in zip(metadata.titles, metadata.genres, metadata.tags, strict=True)
        ]
        number: dict[str, int] = {}
        for row in rows:
            for label in row:
                number[label] = number.get(label, 0) + 1
        names = tuple(sorted(label for label, count in number.items() if count >= _MIN_ITEMS))
        column = {name: place for place, name in enumerate(names)}
        has = np.zeros((len(rows), len(names)), np.bool_)
        for item, row in enumerate(rows):
            has[item, [column[label] for label in row if label in column]] = True
        years = [year_of(title) or 0 for title in metadata.titles]
        return cls(names, has, counts, np.asarray(years, np.int64))

    def named(self, labels: Sequence[str]) -> Mask | None:
        """Return "items": whether an item has one of some labels, or its year in a span; None if one is not known."""
        span = _years_of(labels[0]) if len(labels) == 1 else None
        if span is not None:
            return np.asarray((self.years >= span[0]) & (self.years <= span[1]) & (self.years > 0))
        if not set(labels) <= set(self.names):
            return None
        return self.any_of([self.names.index(label) for label in labels])

    def any_of(self, columns: list[int]) -> Mask:
        """Return "items": whether an item has one of some labels."""
        return np.asarray(self.has[:, columns].any(1))


@final
@dataclass(frozen=True, eq=False)
class TasteNames:
    """A name for every node of a dictionary's tree; no two are the same.

    Attributes:
        names: "nodes".
        weight: "tastes", the events of each taste in the log, by which personas find their node.
    """

    names: tuple[TasteName, ...]
    weight: Doubles

    @classmethod
    def of(
        cls,
        dictionary: TasteDictionary,
        metadata: ItemMetadata,
        queries: Queries,
        found: FoundPersonas,
        *,
        listed: Items | None = None,
        owner: Items | None = None,
        former: TasteNames | None = None,
    ) -> TasteNames:
        """Name the nodes after what the personas at them consist of, over the users of a log.

            worth(labels) = holds . ln(lift) . .85^(number of labels - 1)

        with holds the share of the items under the node (the events of the personas at it; and, apart, the items that
        are recommended for them) that have one of the labels: the smaller of the two, which must reach .85. The best
        name that no larger node has is given; where none holds, the two titles of the largest worth:

            worth(i)    = n_i ln(lift_i) max(cos(x_i, c), 0)
            worth(i, j) = (worth(i) worth(j))^(1/2) max(cos(x_i, x_j), 0)

        with n_i the events under the node, lift_i their share over that of all events, and c their mean vector: titles
        that are known there, less so elsewhere, central, and like each other.

        Args:
            dictionary: the tastes.
            metadata: of its items.
            queries: users of the log; some thousands suffice.
            found: the personas of these users.
            listed: "users n", items recommended to them; None where a name need not hold for these.
            owner: "users n", the persona that owns each.
            former: names of the dictionary from which this one inherited its tree: they stay while they hold.
        """
        counts = np.bincount(queries.history.items[queries.counted], minlength=len(metadata)).astype(np.float64)
        weight: Doubles = np.bincount(dictionary.taste, counts, len(dictionary)).astype(np.float64, copy=False)
        if former is not None:  # who found a node finds it again
            weight = former.weight
        labels = Labels.of(metadata, counts)
        under = _under(dictionary, queries, found)
        shown = under if listed is None or owner is None else _shown(found.numbers, listed, owner, under.shape)
        chosen: dict[int, TasteName] = {}
        taken: set[str] = set()
        used: Counter[str] = Counter()
        below = dictionary.members * weight
        for node in np.argsort(-below.sum(1), kind="stable").tolist():
            own = np.asarray(under[node].toarray()).ravel()
            if not own.any():  # no persona is there: what everybody has of its tastes
                own = counts * dictionary.members[node][dictionary.taste]
            recommended = np.asarray(shown[node].toarray()).ravel()
            evidence = labels, own, recommended if recommended.any() else own
            still = None if former is None else _still(former.names[node], metadata, *evidence)
            candidates = chain([] if still is None else [still], _by_labels(*evidence))
            free = (name for name in candidates if name.text not in taken)
            chosen[node] = next(free, None) or _by_titles(metadata, dictionary.vectors, own, counts, taken, used)
            taken.add(chosen[node].text)
            used.update(chosen[node].labels)
        return cls(tuple(chosen[node] for node in range(len(below))), weight)

    def of_personas(self, found: FoundPersonas) -> list[list[TasteName | None]]:
        """Return the name of each persona of each user; None where there is none. No two of a user are the same."""
        return [[None if node == UNKNOWN else self.names[node] for node in row] for row in found.numbers.tolist()]


def _period(title: str) -> tuple[str, ...]:
    year = year_of(title)
    return () if year is None else (f"{year // 10 * 10}s",)


def _is_period(label: str) -> bool:
    return re.fullmatch(r"\d{3}0s", label) is not None


def _under(dictionary: TasteDictionary, queries: Queries, found: FoundPersonas) -> sp.csr_matrix:
    """Return "nodes items": events of each item by personas at each node."""
    of_event = found.personas.of_events(dictionary, queries)
    events = np.flatnonzero((of_event != UNKNOWN) & queries.counted)
    at = found.numbers[queries.history.rows[events], of_event[events]]
    shape = (len(dictionary.members), len(dictionary.taste))
    return sp.csr_matrix((np.ones(len(events)), (at, queries.history.items[events])), shape=shape)


def _shown(nodes: Items, listed: Items, owner: Items, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return "nodes items": how often each item is recommended for a persona at each node."""
    rows, places = np.nonzero((listed != UNKNOWN) & (owner != UNKNOWN))
    at = nodes[rows, owner[rows, places]]
    known = at != UNKNOWN
    entries = np.ones(int(known.sum())), (at[known], listed[rows, places][known])
    return sp.csr_matrix(entries, shape=shape)


def _by_labels(labels: Labels, own: Doubles, recommended: Doubles) -> Iterator[TasteName]:
    """Yield the names of labels that hold, best first."""
    if not labels.names:
        return
    found = _by_years(labels, own, recommended)
    share, base = (events @ labels.has / max(1e-12, events.sum()) for events in (own, labels.counts))
    lift = (share + base / max(1.0, own.sum())) / np.maximum(base, 1e-12)
    worth = np.where(lift > 1.0, share * np.log(np.maximum(lift, 1.0)), 0.0)
    worth[share < _MIN_SHARE] = 0.0
    best = np.argsort(-worth, kind="stable")[:_TRIED]
    best = best[worth[best] > 0]
    for size in range(1, _MOST_LABELS + 1):
        for chosen in combinations(best.tolist(), size):
            names = tuple(labels.names[column] for column in chosen)
            if len(set(map(_is_period, names))) > 1:
                continue  # "Drama & 1940s" would be read as both
            name = _measured(names, labels.any_of(list(chosen)), labels.counts, own, recommended)
            if name.holds >= HOLDS and name.lift >= _MIN_LIFT:
                found.append((name.holds * float(np.log(name.lift)) * _WORD_COST ** (size - 1), name))
    yield from (name for _, name in sorted(found, key=lambda pair: (-pair[0], pair[1].text)))


def _by_years(labels: Labels, own: Doubles, recommended: Doubles) -> list[tuple[float, TasteName]]:
    """Return the worth and the name of the narrowest span of years that holds, if there is one."""
    known = labels.years > 0
    if not known.any():
        return []
    first, last = int(labels.years[known].min()), int(labels.years.max())
    # "kinds years": the share of events in each year, of what is had and of what is recommended; then up to each.
    shares = [
        np.bincount(labels.years[known] - first, events[known], last - first + 1) / max(1e-12, events.sum())
        for events in (own, recommended, labels.counts)
    ]
    upto = np.concatenate([np.zeros((3, 1)), np.cumsum(shares, axis=1)], axis=1)
    inside = upto[:, None, :] - upto[:, :, None]  # "kinds from to"
    base = inside[2]
    total = np.asarray([own.sum(), recommended.sum()])[:, None, None]
    held = ((total * inside[:2] + _SEEN * base) / (total + _SEEN)).min(0)
    base = np.where(held >= HOLDS, base, np.inf)
    start, stop = np.unravel_index(int(base.argmin()), base.shape)
    if not np.isfinite(base[start, stop]):
        return []
    begin, end = first + int(start), first + int(stop) - 1
    name = _measured(
        (_span(begin, end, first, last),),
        np.asarray(_within(labels.years, begin, end)),
        labels.counts,
        own,
        recommended,
    )
    return [(name.holds * float(np.log(name.lift)) * _WORD_COST, name)] if name.lift >= _MIN_LIFT else []


def _within(years: Ints, begin: int, end: int) -> Mask:
    return np.asarray((years >= begin) & (years <= end) & (years > 0))


def _span(begin: int, end: int, first: int, last: int) -> str:
    """Return a span of years in words, given the first and the last year of all.

    >>> _span(1999, 2003, 1920, 2018), _span(2008, 2018, 1920, 2018), _span(1920, 1969, 1920, 2018)
    ('1999 to 2003', '2008 on', 'before 1970')
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


def _measured(names: tuple[str, ...], has: Mask, counts: Doubles, own: Doubles, recommended: Doubles) -> TasteName:
    """Return the name of some labels, given which items have one of them."""
    base = float(counts @ has) / max(1e-12, counts.sum())
    share, shown = (float(events @ has + _SEEN * base) / (events.sum() + _SEEN) for events in (own, recommended))
    return TasteName(_joined(names), "labels", names, min(share, shown), share / max(base, 1e-12))


def _joined(labels: tuple[str, ...]) -> str:
    """Return labels in words; decades in order of time, those that follow each other as a span.

    >>> _joined(("Sci-Fi", "War", "Action")), _joined(("1950s", "1930s", "1940s")), _joined(("1990s",))
    ('Sci-Fi, War & Action', '1930s to 1950s', 'the 1990s')
    >>> _joined(("1999 to 2003",)), _joined(("2008 on",)), _joined(("before 1970",))
    ('titles of 1999 to 2003', 'titles from 2008 on', 'titles before 1970')
    """
    if _years_of(labels[0]) is not None:
        (span,) = labels
        return f"titles {'from ' if span.endswith(' on') else '' if span.startswith('before') else 'of '}{span}"
    if _is_period(labels[0]):
        decades = sorted(int(label[:4]) for label in labels)
        if len(decades) > 2 and decades[-1] - decades[0] == 10 * (len(decades) - 1):
            return f"{decades[0]}s to {decades[-1]}s"
        labels = tuple(f"{decade}s" for decade in decades)
        if len(labels) == 1:
            return f"the {labels[0]}"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} & {labels[-1]}"


def _still(
    before: TasteName, metadata: ItemMetadata, labels: Labels, own: Doubles, recommended: Doubles
) -> TasteName | None:
    """Return the former name of a node, measured anew, if it holds still; None otherwise."""
    if before.kind == "titles":
        return before if set(before.labels) <= {short_title(title) for title in metadata.titles} else None
    has = labels.named(before.labels)
    if has is None:
        return None
    name = _measured(before.labels, has, labels.counts, own, recommended)
    seen = own.sum()
    holds = (seen * name.holds + _BELIEVED * before.holds) / (seen + _BELIEVED)
    return name if holds >= _HOLDS_STILL and name.lift > 1.0 else None


def _by_titles(
    metadata: ItemMetadata, vectors: Floats, own: Doubles, counts: Doubles, taken: set[str], used: Mapping[str, int]
) -> TasteName:
    """Return a name of two worthy titles that few names have; of the only one where there is but one item.

    The titles are short (`short_title`), and two of one series are one.
    """
    lift = (own / max(own.sum(), 1.0)) / (np.maximum(counts, 1.0) / max(counts.sum(), 1.0))
    central = np.maximum(vectors @ unit_rows((own @ vectors)[None])[0], 0.0)
    worth = own * np.log(np.maximum(lift, 1.0)) * central
    best = np.lexsort((-own, -worth))[:_TITLES].tolist()
    item = {short_title(metadata.titles[one]): one for one in reversed(best)}
    titles = list(item)[::-1]
    numbers = [item[title] for title in titles]
    value = worth[numbers] * np.power(_USED, [used.get(title, 0) for title in titles])
    alike = np.maximum(vectors[numbers] @ vectors[numbers].T, 0.0)
    both = np.sqrt(value[:, None] * value) * alike
    pairs = sorted(combinations(range(len(titles)), 2), key=lambda pair: (-both[pair], pair))
    names: list[tuple[str, tuple[str, ...]]]
    names = [(f"like {titles[one]} and {titles[other]}", (titles[one], titles[other])) for one, other in pairs]
    names += [(f"like {title}", (title,)) for title in titles]
    others = ((f"like {title}", (title,)) for title in map(readable_title, metadata.titles))
    text, chosen = next(name for name in chain(names, others) if name[0] not in taken)
    return TasteName(text, "titles", chosen)
