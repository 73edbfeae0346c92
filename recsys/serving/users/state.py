"""The states of users between answers: everything that stays the same until a history changes, in bounded memory."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import UserFacts
from recsys.explanations.half_life import decayed_within
from recsys.explanations.reasons.steps import Steps
from recsys.explanations.records import Explanation
from recsys.models.base import Recommender
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.linear.bounded_top_n import BoundedScores
from recsys.models.personas.model import WithPersonas
from recsys.serving.items.stock import Stock
from recsys.serving.norms.ruled import Ruled
from recsys.serving.records import Shelf
from recsys.serving.users.history import UserHistory
from recsys.serving.users.personas import GrownPersonas
from recsys.types import Items

_PERSONA_BYTES = 4_000
"""Of a described persona, approximately: its items and genres."""

_EXPLANATION_BYTES = 1_500
"""Of a recommended item with its evidence, approximately."""


@final
@dataclass(frozen=True)
class Listed:
    """A list with its explanations.

    Attributes:
        items: best first.
        shelves: see `RecommendationList`.
        rest: makes the same list with searched reasons, from what is here; None where they are searched already.
        ruled: what a policy did to it; None without one.
    """

    items: tuple[Explanation, ...]
    shelves: tuple[Shelf, ...]
    rest: Steps[Listed] | None = None
    ruled: Ruled | None = None


@final
@dataclass(frozen=True, eq=False)
class CachedList:
    """The last list that was recommended to a user; with the same moment, n and corrections a new one is the same.

    Attributes:
        moment: the moment as of which the history was read, Unix seconds.
        now: the moment of the request, Unix seconds, from which the ages of the evidence count.
        n: the requested length.
        corrections: of personas, at that time.
        rules: key of the rules that bound it; None without a policy.
        listed: the list.
        unsearched: the same list before reasons were searched; None where it was made with them.
    """

    moment: int
    now: int
    n: int
    corrections: dict[int, Correction]
    listed: Listed
    unsearched: Listed | None = None
    rules: Hashable = None

    def answers(self, moment: int, n: int, corrections: dict[int, Correction], rules: Hashable) -> bool:
        """Return whether a new list would be the same, but for its reasons."""
        return (self.moment, self.n, self.corrections, self.rules) == (moment, n, corrections, rules)


@final
@dataclass(eq=False)
class UserState:
    """What answers need of a user's history, valid at any moment until the history changes.

    Attributes:
        queries: the user as one query, as of any moment.
        plain_facts: of the user, for explanations without found personas; None with them.
        cached_weights: the time-independent part of the decay weights; None for models that have none.
        bounded: scores of the history as of the last answer; None before that, and for models that are not linear.
        personas: the found personas; None for a model without.
        cached_list: the last list that excluded nothing but the history.
        unavailable: the items that were so when `queries` was made, see `Stock`.
    """

    queries: Queries
    plain_facts: UserFacts | None = None
    cached_weights: CachedWeights | None = None
    bounded: BoundedScores | None = None
    personas: GrownPersonas | None = None
    cached_list: CachedList | None = None
    unavailable: Items | None = None

    @property
    def grown(self) -> GrownPersonas:
        """The found personas, of a model that finds them."""
        assert self.personas is not None
        return self.personas

    @property
    def facts(self) -> UserFacts:
        """What explanations need of the user, of a model that finds no personas."""
        assert self.plain_facts is not None
        return self.plain_facts

    @property
    def size(self) -> int:
        """Bytes that it takes, approximately."""
        bounded = 0 if self.bounded is None else self.bounded.nbytes
        items = 0 if self.cached_list is None else len(self.cached_list.listed.items)
        return self._constant_size + bounded + _EXPLANATION_BYTES * items

    @cached_property
    def known_events(self) -> int:
        """How many events of the history have an item that the model knows."""
        return int((self.queries.history.items != UNKNOWN).sum())

    @cached_property
    def _constant_size(self) -> int:
        """Bytes of the parts that answers do not change."""
        queries, facts = self.queries, self.plain_facts
        arrays: tuple[npt.NDArray[Any], ...] = (queries.history.items, queries.values, queries.times)
        arrays += (queries.excluded.items,)
        described = 1
        if facts is not None:
            history = facts.history
            arrays += (history.items, history.events, history.mask, history.weights)
            described += len(facts.personas[0])
        parts = (self.cached_weights, self.personas, None if facts is None else facts.sums)
        size = sum(array.nbytes for array in arrays) + sum(part.nbytes for part in parts if part is not None)
        return size + _PERSONA_BYTES * described


@final
class UserCache:
    """The states of the users who were requested last.

    A state is valid as long as the version of the history is the one at `put`; after that it is the start for the next.

    Args:
        most: bytes, approximately; beyond it the least recently used states are dropped. 0 keeps nothing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[UserHistory, tuple[UserState, int, int]] = OrderedDict()  # state, version, size
        self._size = 0

    def get(self, history: UserHistory) -> UserState | None:
        """Return the state of a history, unless the history has changed since."""
        state, version, _ = self._entries.get(history, (None, 0, 0))
        if state is None or version != history.version:
            return None
        self._entries.move_to_end(history)
        return state

    def last(self, history: UserHistory) -> UserState | None:
        """Return the last state of a history, even if the history has changed since."""
        return self._entries.get(history, (None, 0, 0))[0]

    def put(self, history: UserHistory, state: UserState) -> None:
        """Keep the state of a history, or measure its size again after it has grown."""
        self.drop(history)
        size = state.size
        self._entries[history] = state, history.version, size
        self._size += size
        while self._size > self._most:
            _, (_, _, dropped) = self._entries.popitem(last=False)
            self._size -= dropped

    def clear(self) -> None:
        """Remove all states."""
        self._entries.clear()
        self._size = 0

    def drop(self, history: UserHistory) -> None:
        """Remove the state of a history, if there is one."""
        _, _, size = self._entries.pop(history, (None, 0, 0))
        self._size -= size


@final
@dataclass(frozen=True, eq=False)
class UserStates:
    """Makes the query and the state of a user at the moment of a request.

    Attributes:
        model: a fitted model.
        item_numbers: the model's number of each item, by the text of its id.
        cache: of states.
        length: how many events of a history are read at most, the newest; see `first_read`.
        stock: which items may not be listed.
        repeats: whether items of the history may be listed again, unless they are disliked.
    """

    model: Recommender
    item_numbers: Mapping[str, int]
    cache: UserCache
    length: int
    stock: Stock = field(default_factory=Stock)
    repeats: bool = False
    _empty: UserHistory = field(default_factory=UserHistory)

    def at(
        self, history: UserHistory, now: int, at: int | None, exclude: Collection[str] = (), *, keep: bool = True
    ) -> tuple[Queries, UserState]:
        """Return a user as one query at a moment, and the user's state.

        Args:
            history: without pending events.
            now: the moment of the request, Unix seconds.
            at: the moment in its place, before which events are visible; None: all of them are.
            exclude: items that must not be recommended, beside those of the history.
            keep: whether the user may come back, so that the state is worth keeping.
        """
        stop = len(history.timeline) if at is None else bisect_left(history.timeline.times, at)
        newest = history.timeline.times[stop - 1] + 1 if stop else 0
        now = max(now, newest) if at is None else at
        whole = stop == len(history.timeline)
        if stop == 0 and history.number == UNKNOWN:
            history, whole, keep = self._empty, True, True  # all users without a history share one state
        state = self.cache.get(history) if whole else None
        if state is None:
            state = self._new(history, stop, now, keep=whole and keep)
        elif state.unavailable is not self.stock.unavailable:
            state.queries = replace(state.queries, exclude=self._excluded(history, stop))
            state.cached_list, state.unavailable = None, self.stock.unavailable
        queries = state.queries.at(np.asarray([now], np.int64))
        if exclude:
            more = np.asarray([self.item_numbers.get(item, UNKNOWN) for item in exclude], np.int32)
            queries = excluding(queries, more)
        return queries, state

    def _new(self, history: UserHistory, stop: int, now: int, *, keep: bool) -> UserState:
        """Return the state of a history until `stop`, which starts from the last one where it is kept."""
        queries = history.timeline.queries(history.number, first_read(stop, self.length), stop, now)
        meant = np.isin(queries.history.items, list(history.meant)) if history.meant else None
        queries = replace(queries, exclude=self._excluded(history, stop), meant=meant)
        self.model.check_queries(queries)
        last = self.cache.last(history) if keep else None
        model, personas, facts = self.model, None, None
        if isinstance(model, WithPersonas):
            personas = GrownPersonas.of(model, queries, None if last is None else last.personas)
        else:
            # A dislike fades, and facts are cached: they are those of the moment after the newest event.
            newest = queries.at(queries.times[-1:] + 1) if len(queries.times) else queries
            facts = UserFacts.of(model, newest, None if last is None else last.plain_facts)
        if not keep:
            return UserState(queries, facts, personas=personas, unavailable=self.stock.unavailable)
        decayed = decayed_within(model)
        former = None if last is None else last.cached_weights
        weights = None if decayed is None else decayed.cached_weights(queries, former)
        bounded = None if last is None else last.bounded
        state = UserState(queries, facts, weights, bounded, personas, unavailable=self.stock.unavailable)
        self.cache.put(history, state)
        return state

    def _excluded(self, history: UserHistory, stop: int) -> Ragged:
        """Return what a list may not have, whatever is asked: items of the history, and those that are unavailable."""
        own = history.disliked(stop) if self.repeats else history.excluded(stop)
        gone = self.stock.unavailable
        if history.unknown:  # of which some are new items of the model, which teach it nothing
            times = history.timeline.times
            until = times[stop] if stop < len(times) else math.inf
            unknown = history.unknown_items(until, disliked=self.repeats)
            new = [self.item_numbers[item] for item in unknown if item in self.item_numbers]
            gone = np.union1d(gone, np.asarray(new, np.int32)).astype(np.int32)
        return Ragged.of([np.union1d(own.items, gone)]) if len(gone) else own


def first_read(events: int, length: int) -> int:
    """Return the first event of a history that is read, so that at most `length` are.

    It moves by a quarter of that at a time: personas depend on where a history begins, and one event more must not
    shuffle them.

    >>> [first_read(events, 2_000) for events in (2_000, 2_001, 2_500, 2_501)]
    [0, 500, 500, 1000]
    """
    step = max(1, length // 4)
    return 0 if events <= length else -(-(events - length) // step) * step


def excluding(queries: Queries, items: Items) -> Queries:
    """Return one query whose list must not have some items, either."""
    return replace(queries, exclude=Ragged.of([np.union1d(queries.excluded.items, items)]))
