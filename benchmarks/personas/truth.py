"""Whether the names of a user's personas are true of these personas, and stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

import numpy as np

from benchmarks.personas.subject import LONG, Figures, Subject
from recsys.data.clusters import unit_rows
from recsys.data.titles import readable_title, short_title
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.found import names_of_found
from recsys.models.personas.names.labels import TasteName
from recsys.types import Doubles, Items, Mask

MOST = 500
"""Users whose names are measured, at most."""

Names = Sequence[Sequence[TasteName | None]]


@final
class Truth:
    """Measures names of the personas of some users who have several."""

    def __init__(self, subject: Subject, most: int = MOST, *, least: int = 0) -> None:
        self.subject = subject
        long = subject.queries.history.lengths >= least
        self.rows = np.flatnonzero((subject.personas.counts > 1) & long)[:most]
        self.queries, self.found = subject.queries.take(self.rows), subject.found.take(self.rows)
        self._of_event = self.found.personas.of_events(subject.dictionary, self.queries)

    @cached_property
    def names(self) -> Names:
        """The names that the users read, "users K"."""
        return names_of_found(self.subject.served, self.queries, self.found)

    @property
    def shared(self) -> Names:
        """The names of the dictionary, "users K"."""
        return self.subject.served.names.of_personas(self.found)

    def figures(self, names: Names) -> Figures:
        """Measure names.

        A name fits some items as often as its labels are true of them, or by their mean cosine with its titles, which
        are left out. It is told from the user's others where it fits its own persona's events better than those of any
        other persona; and the same of the items that are recommended. Where a persona has
        no others than its titles, nothing is asked.

        Returns:
            by labels: share of the names that are of labels; lift: their median lift.
            events, items: mean share of a persona's events, and share of all recommended items, of which the labels of
                their name are true.
            cosine: of the titles of a name and its persona's events.
            told apart: share of the names; told apart, items: the same by recommended items, where several personas
                have some.
        """
        labels, events, items, cosines, lifts = 0, list[float](), list[bool](), list[float](), list[float]()
        told, told_items, count = list[bool](), list[bool](), 0
        for row, of_user in enumerate(names):
            own, listed = self._own(row), self._listed(row)
            for persona, name in enumerate(of_user):
                if name is None:
                    continue
                count += 1
                fit = [self._fit(name, each) for each in own]
                if np.isfinite(fit[persona]):
                    told.append(_largest(fit, persona))
                if len(listed[persona]) and sum(len(each) > 0 for each in listed) > 1:
                    told_items.append(_largest([self._fit(name, each) for each in listed], persona))
                if name.kind == "titles":
                    cosines += [fit[persona]] if np.isfinite(fit[persona]) else []
                    continue
                labels += 1
                lifts.append(fit[persona] / max(self._base(name), 1e-12))
                events.append(fit[persona])
                items += self._true_of(name)[listed[persona]].tolist()
        return {
            "by labels": labels / max(1, count),
            "lift": float(np.median(lifts)) if lifts else float("nan"),
            "events": _mean(events),
            "items": _mean(items),
            "cosine": _mean(cosines),
            "told apart": _mean(told),
            "told apart, items": _mean(told_items),
        }

    def _own(self, row: int) -> list[Items]:
        span = slice(*self.queries.history.indptr[row : row + 2].tolist())
        persona = np.where(self.queries.counted[span], self._of_event[span], UNKNOWN)
        items = self.queries.history.items[span]
        return [items[persona == place] for place in range(self.found.numbers.shape[1])]

    def _listed(self, row: int) -> list[Items]:
        items, owner = self.subject.lists.items[self.rows[row]], self.subject.listed_owners[self.rows[row]]
        return [items[(owner == place) & (items != UNKNOWN)] for place in range(self.found.numbers.shape[1])]

    def _fit(self, name: TasteName, items: Items) -> float:
        """Return how well a name fits some items; nothing fits none."""
        if name.kind == "labels":
            return float(self._true_of(name)[items].mean()) if len(items) else -np.inf
        titles = self._titled(name)
        rest = items[~np.isin(items, titles)]
        vectors = self.subject.dictionary.vectors
        centre = unit_rows(vectors[titles].sum(0, dtype=np.float64)[None])[0]
        return float((vectors[rest] @ centre).mean()) if len(rest) else -np.inf

    def _true_of(self, name: TasteName) -> Mask:
        if name.labels not in self._known:
            true = self.subject.served.labels.named(name.labels)
            self._known[name.labels] = np.zeros(self.subject.train.n_items, np.bool_) if true is None else true
        return self._known[name.labels]

    def _base(self, name: TasteName) -> float:
        counts: Doubles = self.subject.served.labels.counts
        return float(counts @ self._true_of(name)) / float(counts.sum())

    def _titled(self, name: TasteName) -> list[int]:
        return [self._by_title[title] for title in name.labels if title in self._by_title]

    @cached_property
    def _known(self) -> dict[tuple[str, ...], Mask]:
        return {}

    @cached_property
    def _by_title(self) -> Mapping[str, int]:
        """The most used item of each title, in full or short."""
        order = np.argsort(self.subject.served.labels.counts, kind="stable").tolist()
        titles = self.subject.train.metadata.titles
        return {say(titles[item]): item for say in (readable_title, short_title) for item in order}


def truth(subject: Subject) -> dict[str, Figures]:
    """Return how true the names are that users read, those of the dictionary, and those of the next persona."""
    measured = Truth(subject)
    kinds = {"own": measured.names, "dictionary": measured.shared, "another persona's": exchanged(measured.names)}
    return {kind: measured.figures(names) for kind, names in kinds.items()}


def exchanged(names: Names) -> Names:
    """Return names under which every persona of a user has that of the next one."""
    result = []
    for row in names:
        own = [name for name in row if name is not None]
        after = iter([*own[1:], *own[:1]])
        result.append([None if name is None else next(after) for name in row])
    return result


def same_names(one: Names, other: Names) -> float:
    """Return the mean Jaccard index of the names of each user.

    >>> heat, ran = TasteName("Heat", "titles"), TasteName("Ran", "titles")
    >>> same_names([[heat, ran], [heat, None]], [[ran, None], [heat, None]])
    0.75
    """
    overlap = []
    for row, others in zip(one, other, strict=True):
        first, second = ({name.text for name in names if name is not None} for names in (row, others))
        overlap.append(len(first & second) / max(1, len(first | second)))
    return float(np.mean(overlap))


def after_an_event(subject: Subject, most: int = MOST) -> float:
    """Return `same_names` of users with `LONG` events before and after the last of these; NaN where nobody has."""
    measured = Truth(subject, most, least=LONG)
    history = measured.queries.history
    if not len(measured.rows):
        return float("nan")
    last = np.zeros(len(history.items), np.bool_)
    last[history.indptr[1:] - 1] = True
    before = measured.queries.keep(~last)
    return same_names(names_of_found(subject.served, before, subject.served.found(before)), measured.names)


def _largest(fit: Sequence[float], place: int) -> bool:
    return all(fit[place] > other for number, other in enumerate(fit) if number != place)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
