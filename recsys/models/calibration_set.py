"""Calibration sets: events from which a rule of forgetting learns before the first query.

::

    user a   ====== ==  ===| ?  ? ? ?        =  the evaluating model was fitted on it
    user b      ===   =====|   ?    x        ?  a calibration event, with what is strictly earlier as its history
                          cut                x  none: of an item that the user had used, or the model does not know

Events of one occasion (a session) are learned once, together, with what is strictly before it as their history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np
import torch

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES, NEGATIVE_KINDS
from recsys.data.queries import Queries, Ragged, membership
from recsys.data.stream import Stream, group_starts
from recsys.data.translation import Translation
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Calibration, OnlineForgetting
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.decayed.persona_activity import PersonaWeighting
from recsys.models.rank_utility import rank_utilities
from recsys.types import Doubles, Floats, Ints, Items, Mask

_ENTRIES = 300_000
"""History events of a batch, at most (unless one history alone has more): about 50 MB for 13 half-lives."""

_BATCH = 1024
_NEGATIVES = 64
"""Items that an event is compared with, by rules that learn by gradient."""


@final
@dataclass(frozen=True, eq=False)
class CalibrationSet(Calibration):
    """Events of a log, alone or by session, evaluated by a fold-in model that was not fitted on them.

    What follows calls both an event and a session that is learned as one an event.

    Attributes:
        model: evaluates.
        stream: the events as queries in the order of time; users are numbers of its log.
        rows: "events", their places in `stream`, in the order in which they are learned; ascending for each user. Of
            each of them the model knows a relevant item.
        personas: how personas take part in the weights; None where they do not.
        seed: of the sampled negatives.
    """

    model: Recommender
    stream: Stream
    rows: Ints
    personas: PersonaWeighting | None = None
    seed: int = 0

    @classmethod
    def of_events(
        cls,
        model: Recommender,
        log: Interactions,
        events: Ints,
        personas: PersonaWeighting | None = None,
        occasion: Ints | None = None,
    ) -> Self:
        """Return the calibration set of some events, which are learned in the order of the log.

        Args:
            model: knows the items of the events.
            log: the whole log.
            events: positions in it, ascending.
            personas: see the class.
            occasion: "events of the log", see `recsys.data.sessions.occasions`; events of one are learned together.
                None: each alone.
        """
        first = group_starts(log.user_num, log.time if occasion is None else occasion)
        each, size = (events, np.ones(len(events), np.int64))
        if occasion is not None:
            each, size = np.unique(first[events], return_counts=True)
        order = np.argsort(log.time[each], kind="stable")
        event = each[order]
        relevant = Ragged.from_lengths(size, log.item_num[events]).take(order)
        visible_until, now = first[event], log.time[event]
        cuts = np.ones(len(event), np.bool_)
        cuts[1:] = visible_until[1:] != visible_until[:-1]
        stream = Stream(log, int(now.min(initial=0)), event, relevant, visible_until, now, visible_until, cuts, 0)
        return cls(model, stream, np.argsort(order), personas)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def users(self) -> Items:
        """ "events", numbers of the log's users."""
        return self.stream.users[self.rows]

    @property
    def visible(self) -> Ints:
        """ "events", length of the history that is visible before each."""
        return self.stream.n_visible[self.rows]

    @property
    def n_items(self) -> int:
        return int((self.model.fitted_on.item_counts > 0).sum())

    def batches(self) -> Iterator[Queries]:
        for part in self._parts():
            yield self._queries(self.rows[part])

    def utilities(self, hypotheses: Callable[[Queries, Ints, Doubles | None], Floats]) -> Floats:
        utilities = []
        for part in self._parts():
            queries = self._queries(self.rows[part])
            event_age = None if self.personas is None else self.personas.event_age(queries)
            weights = hypotheses(queries, np.arange(part.start, part.stop), event_age)
            utilities.append(self._utility(self.rows[part], queries, weights))
        return np.concatenate(utilities)

    def replay(self, rule: OnlineForgetting, chunk: int) -> None:
        included = np.zeros(len(self.stream), np.bool_)
        included[self.rows] = True
        for questions in self.stream.chunks(chunk, np.zeros(len(self.stream), np.int64)):
            for rows in self.stream.rounds(questions):
                evaluated = []
                for part in self.stream.batches(rows[included[rows]], _BATCH):
                    queries = self._queries(part)
                    evaluated.append((queries, self._utility(part, queries, rule.hypotheses(queries))))
                # Only now: all events of a round are evaluated with the state at its beginning.
                for queries, utility in evaluated:
                    rule.observe(queries, utility)

    def contributions(self, most: int) -> list[tuple[Queries, Floats]]:
        fold_in = as_fold_in(self.model, "learning half-lives")
        rows = np.sort(self.rows)
        rows = np.repeat(rows, self._answers(rows).lengths)
        total = int(self.stream.n_visible[rows].sum())
        spaced = np.unique(np.arange(0, len(rows), max(1.0, total / most)).astype(np.int64))
        answers = self._answers(np.sort(self.rows)).items[spaced]
        batches = []
        for part in self.stream.batches(rows[spaced], _BATCH):
            items, answers = answers[: len(part)], answers[len(part) :]
            queries, sampled = self._queries(part), self._negatives(part)
            possible = (sampled != items[:, None]) & ~membership(sampled, queries.history)
            some = np.flatnonzero(possible.any(1))
            # A negative that a list could not hold is replaced by one of the same query that it could.
            first = np.take_along_axis(sampled, possible.argmax(1)[:, None], axis=1)
            candidates = np.concatenate([items[:, None], np.where(possible, sampled, first)], axis=1).astype(np.int32)
            queries = queries.take(some)
            if len(some):
                with torch.inference_mode():
                    added = fold_in.contributions(self._translation.with_users(queries), candidates[some])
                batches.append((queries, added.float().cpu().numpy()))
        return batches

    def _parts(self) -> Iterator[slice]:
        """Yield consecutive slices of the events whose histories fit into memory."""
        until = np.cumsum(self.visible)
        begin = 0
        while begin < len(self):
            before = until[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(until, before + _ENTRIES, side="right")))
            yield slice(begin, end)
            begin = end

    def _queries(self, rows: Ints) -> Queries:
        return self.stream.queries(rows, self._translation.items)

    def _answers(self, rows: Ints) -> Ragged:
        """Return the model's numbers of the items of events, a row for each query."""
        return self.stream.answers(rows, self._trained)

    def _utility(self, rows: Ints, queries: Queries, hypotheses: Floats) -> Floats:
        weights = hypotheses if self.personas is None else self.personas.with_prior(queries, hypotheses)
        return rank_utilities(self.model, self._translation.with_users(queries), self._answers(rows), weights)

    def _negatives(self, rows: Ints) -> Items:
        """ "rows M", items by (training events)^.5: query q owns draws q M ... (q + 1) M - 1 of one random stream."""
        bits = np.random.PCG64(self.seed)
        bits.advance(int(rows[0]) * _NEGATIVES)
        uniform = np.random.Generator(bits).random((int(rows[-1] - rows[0]) + 1, _NEGATIVES))[rows - rows[0]]
        until = np.cumsum(np.sqrt(self.model.fitted_on.item_counts.astype(np.float64)))
        drawn = np.searchsorted(until, uniform * until[-1], side="right")
        return np.asarray(np.minimum(drawn, len(until) - 1), dtype=np.int32)

    @cached_property
    def _translation(self) -> Translation:
        return self.model.fitted_on.translation(self.stream.log)

    @cached_property
    def _trained(self) -> Items:
        """ "items of the log": the model's numbers of those that it was trained on, `UNKNOWN` for the others."""
        items, counts = self._translation.items, np.append(self.model.fitted_on.item_counts, 0)
        return np.where(counts[items] > 0, items, UNKNOWN).astype(np.int32)


def newest_part(log: Interactions, share: float) -> Mask:
    """Return "events": whether an event belongs to the newest share of the log.

    By time where times of users can be compared; otherwise the last ceil(share n) of each user's n events, but never
    the first one.
    """
    if log.has_time:
        cut = np.quantile(log.time, 1 - share, method="higher") if len(log) else 0
        return np.asarray(log.time >= cut) & (share > 0)
    length = np.diff(log.indptr)
    newest = np.minimum(np.ceil(share * length), np.maximum(length - 1, 0)).astype(np.int64)
    return np.asarray(np.arange(len(log)) >= (log.indptr[1:] - newest)[log.user_num])


def calibration_events(
    model: Recommender, log: Interactions, late: Mask, most: int, occasion: Ints | None = None
) -> Ints:
    """Return the positions, ascending, of the late events that a model can evaluate: at most `most` of them.

    Left out are dislikes and skips, events of items that the user had used before or the model was not trained on, and
    those before which nothing is visible. Where there are too many, each user's newest remain: all last ones, then the
    last but one ...

    Args:
        model: fitted on a log with the vocabularies of `log`.
        log: the whole log.
        late: "events", those that the model was not fitted on.
        most: see above.
        occasion: "events of the log", see `CalibrationSet.of_events`. Of one that began before `late` nothing is taken.
    """
    first = group_starts(log.user_num, log.time if occasion is None else occasion)
    first_use = np.zeros(len(log), np.bool_)
    first_use[np.unique(log.user_num.astype(np.int64) * log.n_items + log.item_num, return_index=True)[1]] = True
    visible = first > log.indptr[log.user_num]
    if log.kinds is not None:
        late = late & ~np.isin(log.kinds, [CODES[kind] for kind in NEGATIVE_KINDS])
    late = late & late[first]
    events = np.flatnonzero(late & first_use & visible & (model.fitted_on.item_counts[log.item_num] > 0))
    per_user = np.cumsum(np.bincount(log.user_num[events], minlength=log.n_users))
    newness = per_user[log.user_num[events]] - np.arange(len(events))
    return np.sort(events[np.argsort(newness, kind="stable")[:most]])
