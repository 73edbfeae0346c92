"""Reasons that are true: the owner of each item, the events without which it would not be listed, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

import numpy as np
import torch

from recsys.data.feedback import Kind
from recsys.data.titles import readable_title, year_of
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.deeds import deed, is_above, kinds_of, may_be_reasons
from recsys.explanations.reasons.columns import Events, ExplanationColumns
from recsys.explanations.reasons.contributed_list import ContributedList
from recsys.explanations.reasons.counterfactual import sets_in_steps
from recsys.explanations.reasons.greedy_sets import MOST, TRIED, Places, sets_of_lists, strongest_events
from recsys.explanations.reasons.steps import Steps, finished
from recsys.explanations.reasons.user_list import UserList
from recsys.explanations.records import Explanation, ItemId, PersonaShare, ReasonKind, certainty_word
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import TasteName
from recsys.models.personas.ownership import RESEMBLANCE
from recsys.types import Doubles, Ints, Mask

LEAST_CERTAINTY: Final = 0.05
"""Events that are a smaller share of the evidence are no reason to tell, though the item would leave without them."""

_POPULAR = 0.01
"""Part of the catalogue, most used first, that "nearly everybody" knows; at least `_POPULAR_ITEMS`."""

_POPULAR_ITEMS = 50

_TOLD = 2
"""Titles that a sentence on a taste as a whole names, of more than three."""

_AGAIN = 0.5
"""Part of its worth that a title keeps each time that a sentence further up has named it."""


def explain_lists(
    lists: UserList,
    ids: Sequence[ItemId],
    *,
    evidence: int = 3,
    searched: int | None = None,
    recent: Mask | None = None,
) -> list[list[Explanation]]:
    """Explain lists by the events of the users' histories, with reasons that were checked.

    Args:
        lists: of a model that folds in.
        ids: "items", the external id of each item of the catalogue.
        evidence: the most past events that an explanation shows, beside those of the reason.
        searched: for how many items of each list, from the first on, events are searched without which they would
            leave; None: all. Of the others it is told what speaks for them most.
        recent: "events", which are younger than the user's half-life; None where nothing fades.

    Returns:
        Best first; no explanation for an empty place at the end of a list.
    """
    explained = ExplainedLists(lists, recent=recent, evidence=evidence)
    finished(explained.search(searched))
    return explained.columns().records(ids)


@final
class ExplainedLists:
    """Lists with what their explanations share.

    Explanations say "because" only of what was found by a `search` before them.

    Args:
        lists: of a model that folds in.
        recent, evidence: see `explain_lists`.
        own_names: a single user's own names of personas, by number.
        contributions: "events n", of the events to the listed items, where the caller has them.
    """

    def __init__(
        self,
        lists: UserList,
        *,
        recent: Mask | None = None,
        evidence: int = 3,
        own_names: Mapping[int, str] | None = None,
        contributions: Doubles | None = None,
    ) -> None:
        queries, items = lists.queries, lists.listed.items
        if contributions is None:
            with torch.inference_mode():
                added = as_fold_in(lists.model, "reasons").contributions(queries, np.maximum(items, 0))
            contributions = added.double().cpu().numpy()
        self._lists, self._recent, self._most, self._own_names = lists, recent, evidence, own_names or {}
        self._contributions = contributions
        self._row, self._rank = np.nonzero(items != UNKNOWN)
        self._items = items[self._row, self._rank]
        self._fitted = lists.model.fitted_on
        self._counted, self._rows = queries.counted, queries.history.rows
        self._positive = np.maximum(contributions, 0.0) * self._counted[:, None]  # "events n"
        self._total = self._sums(self._rows, len(lists))[self._row, self._rank]
        self._eligible = may_be_reasons(queries) & self._counted
        self._sets = np.full((len(self._row), MOST), UNKNOWN, np.int64)
        self._stays: set[int] = set()
        """Items without a set that would be listed without all of their owner's events."""
        self._numbers = np.zeros((len(lists), 0), np.int32) if lists.found is None else lists.found.numbers
        width = self._numbers.shape[1]
        self._owner = lists.owners_of_each[self._row, self._rank] if width else np.full(len(self._row), UNKNOWN)
        of_event = np.where(self._counted, lists.of_event, UNKNOWN)
        self._own = self._counted[:, None]
        if width:
            self._own = (of_event[:, None] == lists.owners_of_each[self._rows]) & self._own  # "events n"
            place = np.where(of_event == UNKNOWN, UNKNOWN, self._rows * width + of_event)
            parts = self._sums(place, len(lists) * width)
            parts = parts.reshape(len(lists), width, items.shape[1])[self._row, :, self._rank]
            self._parts = np.divide(parts, self._total[:, None], out=np.zeros_like(parts), where=parts > 0)
            """ "places K", the share of each persona in the positive evidence."""
        strength = np.where(self._own & self._eligible[:, None], self._positive, 0.0).astype(np.float32)
        self._strongest = strongest_events(
            strength, queries.history, self._row, self._rank, max(TRIED, evidence + MOST)
        )

    def explanations(self, ids: Sequence[ItemId]) -> list[Explanation]:
        """Return the explanations of the items of all lists; `ids`, "items", are their external ids."""
        return [one for each in self.columns().records(ids) for one in each]

    def search(self, first: int | None = None) -> Steps[None]:
        """Search for the events without which items would leave the lists; of the first items only, or of all."""
        count = self._lists.listed.items.shape[1] if first is None else first
        places = np.flatnonzero((self._rank < count) & (self._total > 0))
        if self._numbers.shape[1]:
            _ = self._lists.pool
            yield
            for row in np.unique(self._row[places]).tolist():
                yield from self._search_list(row, places[self._row[places] == row])
        elif len(places := places[self._strongest[places, 0] != UNKNOWN]):
            some = Places(self._row[places], self._rank[places], self._strongest[places, :TRIED])
            self._sets[places] = sets_of_lists(self._lists, self._contributions, some)
            yield
        self._sets[self._shares(Events.of(self._sets, self._sets != UNKNOWN)) < LEAST_CERTAINTY] = UNKNOWN

    def _search_list(self, row: int, places: Ints) -> Steps[None]:
        """Search for those of one list with personas, and whether the items without would stay without their owner."""
        one = self._lists.row(row)
        contributed = ContributedList(one)
        yield
        first, last = self._lists.queries.history.indptr[row : row + 2].tolist()
        ranks = self._rank[places]
        short = len(self._lists) == 1
        sets = yield from sets_in_steps(contributed, one, ranks.tolist(), self._eligible[first:last], short=short)
        for place, events in zip(places.tolist(), sets, strict=True):
            if events is not None:
                self._sets[place, : len(events)] = first + events
        shares = self._shares(Events.of(self._sets, self._sets != UNKNOWN))[places]
        own = self._own[first:last, ranks].T
        rest = np.flatnonzero((shares < LEAST_CERTAINTY) & own.any(1))
        if len(rest) and int((self._numbers[row] != UNKNOWN).sum()) > 1:
            columns = np.asarray([contributed.column(int(item)) for item in self._items[places[rest]]])
            left = contributed.seem_to_leave(columns, [np.flatnonzero(own[each]) for each in rest], large=True)
            self._stays |= set(places[rest[~left]].tolist())
            yield

    def columns(self) -> ExplanationColumns:
        """Return the explanations of all lists."""
        there = self._sets != UNKNOWN
        without = Events.of(self._sets, there)
        told = self._told()
        shown = self._shown(told)
        added = self._added(shown)
        certainty = self._shares(without)
        certainty = np.where(there[:, 0], certainty, self._shares(shown))
        certainty[np.bincount(shown.place, minlength=len(self._row)) == 0] = np.nan
        recent = np.full(len(self._row), np.nan)
        if self._recent is not None:
            young = self._sums(np.where(self._recent, self._rows, UNKNOWN), len(self._lists))[self._row, self._rank]
            np.divide(young, self._total, out=recent, where=self._total > 0)
        personas, owners, owner_share = self._personas()
        kinds, reasons = self._reasons(told, certainty, recent, personas)
        return ExplanationColumns(
            self._lists.queries,
            self._fitted,
            self._row,
            self._items,
            self._lists.listed.scores[self._row, self._rank],
            shown,
            added,
            added / self._total[shown.place],
            kinds,
            reasons,
            without,
            certainty,
            recent,
            owner_share,
            owners,
            personas,
            fresh=self._recent,
        )

    def _reasons(
        self, told: Ints, certainty: Doubles, recent: Doubles, personas: Sequence[tuple[PersonaShare, ...]]
    ) -> tuple[list[ReasonKind], list[str]]:
        """Return what carries each item, and the sentence that says it."""
        nobody = [self._nobody(row) for row in range(len(self._lists))]
        usually = self._usually_recent()
        speaking = np.zeros(len(self._row), np.int64)
        if len(self._positive):
            eligible = self._own & self._eligible[:, None] & (self._positive > 0)
            speaking = self._sums(self._rows, len(self._lists), eligible)[self._row, self._rank].astype(np.int64)
        known = max(_POPULAR_ITEMS, int(_POPULAR * len(self._fitted.items)))
        popular = (self._fitted.tie_rank.numpy()[self._items] < known).tolist()
        kinds: list[ReasonKind] = []
        reasons: list[str] = []
        several = (self._numbers != UNKNOWN).sum(1) > 1
        tasted = (several[self._row] & (self._owner != UNKNOWN)).tolist()
        columns = (self._row, (self._sets != UNKNOWN).sum(1), speaking, self._total, recent, certainty)
        rows = zip(*(column.tolist() for column in columns), self._deeds(told), strict=True)
        for place, (row, size, count, total, young, certain, (titles, kinds_done, above)) in enumerate(rows):
            kind: ReasonKind = "taste"
            taste = self._taste(row, int(self._owner[place])) if tasted[place] else None
            if (none := nobody[row]) is not None:
                kind, reason = "cold", none
            elif total == 0:
                kind, reason = "popular", text.UNSUPPORTED
            elif size:
                word = certainty_word(certain)
                assert word is not None
                verb, manner = deed(kinds_done, above)
                kind, reason = "because", text.because(titles, verb, taste, word, manner)
            elif count == 0:
                kind, reason = ("popular", text.POPULAR) if popular[place] else ("taste", text.WEAK)
            elif taste is None or place not in self._stays:
                of_all = math.isnan(young) or text.recency(young) == text.recency(usually[row])
                reason = text.whole_taste(taste, count, titles, None if of_all else young)
            elif popular[place]:
                kind, reason = "popular", text.popular_too(taste, count, titles)
            else:
                numbers = self._numbers[row].tolist()
                other = next(one.persona for one in personas[place] if one.persona != numbers[self._owner[place]])
                reason = text.two_tastes(taste, count, titles, self._taste(row, numbers.index(other)))
            kinds.append(kind)
            reasons.append(reason)
        return kinds, reasons

    def _usually_recent(self) -> list[float | None]:
        """Return the recent share of what counts in each history; None where nothing fades or counts."""
        counts = len(self._lists)
        if self._recent is None:
            return [None] * counts
        weights = self._lists.queries.weights
        weight = self._counted * (1.0 if weights is None else weights)
        whole, young = (np.bincount(self._rows, each, counts) for each in (weight, weight * self._recent))
        return [recent / total if total else None for recent, total in zip(young.tolist(), whole.tolist(), strict=True)]

    def _nobody(self, row: int) -> str | None:
        """Return the sentence for a user without an event that counts; None where there is one."""
        queries = self._lists.queries
        events = slice(*queries.history.indptr[row : row + 2].tolist())
        if self._counted[events].any():
            return None
        if (queries.history.items[events] != UNKNOWN).any():
            return text.ONLY_AGAINST
        return text.UNKNOWN_ITEMS if events.stop > events.start else text.COLD

    def _told(self) -> Ints:
        """Return the events that the sentence of each item names, "places MOST".

        They are those of the set without which it would leave. Where there is none, they are two of the strongest, and
        of three all, by

            contribution . exp(2 cos)           cos: of the event's item with this one, 0 without vectors of items

        and half of that for each time that a sentence further up the list has named it: what adds most to a score is
        often the same popular title.
        """
        told, model = self._sets.copy(), self._lists.model
        history = self._lists.queries.history
        there = self._strongest != UNKNOWN
        if not there.any():
            return told
        worth = np.where(there, self._positive[self._strongest, self._rank[:, None]], 0.0)
        if isinstance(model, WithPersonas):
            vectors = model.dictionary.vectors
            alike = np.einsum("psd,pd->ps", vectors[history.items[self._strongest]], vectors[self._items])
            worth *= np.exp(RESEMBLANCE * alike)
        before = np.zeros(len(history.items))  # how often each event was named
        for rank in range(self._lists.listed.items.shape[1]):
            places = np.flatnonzero(self._rank == rank)
            free = places[told[places, 0] == UNKNOWN]
            again = worth[free] * _AGAIN ** before[self._strongest[free]]
            best = np.argsort(-again, axis=1, kind="stable")[:, : _TOLD + 1]
            named = np.take_along_axis(there[free], best, 1)
            named[:, _TOLD:] &= there[free].sum(1, keepdims=True) == _TOLD + 1  # nobody says "and 1 more"
            told[free, : _TOLD + 1] = np.where(named, np.take_along_axis(self._strongest[free], best, 1), UNKNOWN)
            np.add.at(before, told[places][told[places] != UNKNOWN], 1.0)
        return told

    def _deeds(self, told: Ints) -> Iterator[tuple[list[str], tuple[Kind, ...], bool]]:
        """Yield of each item what its sentence names: titles, what was done, and whether above the user's mean.

        Titles are as one says them, with the year where two of them, or the item itself, have the same.
        """
        events = told[told != UNKNOWN]
        queries, titles = self._lists.queries, self._fitted.metadata.titles
        raw = [titles[item] for item in queries.history.items[events].tolist()]
        said, kinds, above = (
            [readable_title(title) for title in raw],
            kinds_of(queries, events),
            is_above(queries)[events],
        )
        ends = np.cumsum((told != UNKNOWN).sum(1)).tolist()
        start, raised = 0, above.tolist()
        for item, end in zip(self._items.tolist(), ends, strict=True):
            every = [*said[start:end], readable_title(titles[item])]
            names = every[:-1]
            if len(set(every)) < len(every):
                dated = zip(names, map(year_of, raw[start:end]), strict=True)
                names = [
                    f"{name} ({year})" if year is not None and every.count(name) > 1 else name for name, year in dated
                ]
            yield names, tuple(kinds[start:end]), all(raised[start:end])
            start = end

    def _added(self, events: Events) -> Doubles:
        """Return the positive contributions of events to their items, "entries"."""
        return np.asarray(self._positive[events.event, self._rank[events.place]])

    def _shares(self, events: Events) -> Doubles:
        """Return the share of events in the positive evidence for each item, "places"."""
        sums = np.bincount(events.place, self._added(events), len(self._row)).astype(np.float64, copy=False)
        return np.divide(sums, self._total, out=np.zeros_like(sums), where=self._total > 0)

    def _sums(self, group: Ints, count: int, values: Doubles | Mask | None = None) -> Doubles:
        """Return the sums of the positive evidence, or of other values, over groups of events, "groups n".

        They are added in the order of the events, so that they do not depend on the other lists.

        Args:
            group: "events"; `UNKNOWN` for those that count for none.
            count: number of groups.
            values: "events n".
        """
        values = self._positive if values is None else values.astype(np.float64)
        sums = np.zeros((count, values.shape[1]))
        if (np.diff(group, prepend=0) < 0).any():  # those of one list after the other are in order
            order = np.argsort(group, kind="stable")
            order = order[np.searchsorted(group[order], 0) :]
            group, values = group[order], values[order]
        if len(group):
            starts = np.flatnonzero(np.diff(group, prepend=-1))
            sums[group[starts]] = np.add.reduceat(values, starts)
        return sums

    def _shown(self, told: Ints) -> Events:
        """Return the events that are shown: those of the sentence, then the strongest of those that may be reasons."""
        again = (self._strongest[:, :, None] == told[:, None]).any(2)
        every = np.hstack([told, np.where(again, UNKNOWN, self._strongest)])
        there = every != UNKNOWN
        size = (self._sets != UNKNOWN).sum(1)
        return Events.of(every, there & (np.cumsum(there, axis=1) <= np.maximum(size, self._most)[:, None]))

    def _personas(self) -> tuple[list[tuple[PersonaShare, ...]], list[tuple[int, str] | None], Doubles]:
        """Return the share of each persona in the positive evidence, largest first, the owners, and their shares."""
        nobody, none = [None] * len(self._row), np.full(len(self._row), np.nan)
        if not self._numbers.shape[1]:
            return [], list(nobody), none
        names = [
            {place: self._name(row, place) for place in np.flatnonzero(numbers != UNKNOWN).tolist()}
            for row, numbers in enumerate(self._numbers)
        ]
        order = np.argsort(-self._parts, axis=1, kind="stable").tolist()
        parts, numbers = self._parts.tolist(), self._numbers.tolist()
        personas = [
            tuple([PersonaShare(numbers[row][k], names[row][k], parts[place][k]) for k in best if k in names[row]])
            for place, (row, best) in enumerate(zip(self._row.tolist(), order, strict=True))
        ]
        owners = [
            None if k == UNKNOWN else (numbers[row][k], names[row][k])
            for row, k in zip(self._row.tolist(), self._owner.tolist(), strict=True)
        ]
        share = np.take_along_axis(self._parts, np.maximum(self._owner, 0)[:, None], 1)[:, 0]
        return personas, owners, np.where(self._owner == UNKNOWN, np.nan, share)

    def _name(self, row: int, persona: int) -> str:
        return self._own_names.get(int(self._numbers[row, persona])) or self._found_name(row, persona).text

    def _found_name(self, row: int, persona: int) -> TasteName:
        name = self._lists.names_of_each[row][persona]
        assert name is not None
        return name

    def _taste(self, row: int, persona: int) -> str:
        """Return the name of a persona as a sentence says it after "your taste for"."""
        number = int(self._numbers[row, persona])
        if number in self._own_names:
            return text.taste_words(self._own_names[number], "user")
        name = self._found_name(row, persona)
        return text.taste_words(name.text, name.kind, name.labels)
