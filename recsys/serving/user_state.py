"""What is known of each user while a run answers: the history, and what is made of it once instead of at every answer."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import UserFacts
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.linear.bounded_top_n import BoundedScores
from recsys.serving.answers import Recommended

_DESCRIBED = 4_000
"""Bytes of a described persona, about: its items and genres."""

_RECOMMENDED = 1_500
"""Bytes of a recommended item with its reasons, about."""


class PendingEvent(NamedTuple):
    """An event that is known and was not learned from yet."""

    item: int
    value: float
    time: int
    dismissed: bool
    telling: bool


@final
@dataclass(eq=False)
class UserHistory:
    """What is known of one user.

    Attributes:
        number: the model's number of the user; `UNKNOWN` for somebody new, and for one who was erased, until an event
            teaches something.
        items: item numbers of the events, `UNKNOWN` ones too, by time, equal times in order of arrival.
        values: aligned with `items`.
        times: aligned with `items`.
        dismissed: items that are not for this user.
        corrections: of personas, those of other models too.
        logged: item and time of the log's events: a store that the log was imported to tells nothing new.
        pending: events that still have to be learned from, in order of arrival.
    """

    number: int = UNKNOWN
    items: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("f"))
    times: array[int] = field(default_factory=lambda: array("q"))
    dismissed: set[int] = field(default_factory=set)
    corrections: dict[int, Correction] = field(default_factory=dict)
    logged: frozenset[tuple[int, int]] = frozenset()
    pending: deque[PendingEvent] = field(default_factory=deque)

    def add(self, event: PendingEvent) -> None:
        """Put an event where its time belongs."""
        place = bisect_right(self.times, event.time)
        self.items.insert(place, event.item)
        self.values.insert(place, event.value)
        self.times.insert(place, event.time)

    def question(self, start: int, stop: int, now: int) -> Queries:
        """Return the question of the user who has seen a part of the history."""
        return Queries(
            np.asarray([self.number], np.int32),
            _row(np.array(self.items[start:stop], np.int32)),
            np.array(self.values[start:stop], np.float32),
            np.array(self.times[start:stop], np.int64),
            np.asarray([now], np.int64),
        )

    def left_out(self, stop: int) -> Ragged:
        """Return what must not be recommended to the user who has seen the history until `stop`."""
        items = np.array(self.items[:stop] + array("i", self.dismissed), np.int32)
        items.sort()
        first = np.ones(len(items), np.bool_)
        first[1:] = items[1:] != items[:-1]
        return _row(items[first])


def _row(items: npt.NDArray[np.int32]) -> Ragged:
    return Ragged(np.asarray([0, len(items)], np.int64), items)


@final
@dataclass(frozen=True, eq=False)
class CachedList:
    """A list that was recommended.

    Attributes:
        moment: as of which the history was read, Unix seconds.
        now: when it was asked for, Unix seconds, from which its ages count.
        n: length that was asked for.
        corrections: of personas, at the time.
        items: the list.
    """

    moment: int
    now: int
    n: int
    corrections: dict[int, Correction]
    items: tuple[Recommended, ...]

    def answers(self, moment: int, n: int, corrections: dict[int, Correction]) -> bool:
        """Return whether it is what would be recommended now, given that the history is the same."""
        return (self.moment, self.n, self.corrections) == (moment, n, corrections)


@final
@dataclass(eq=False)
class UserState:
    """What is made of a history, and stays as long as that does, whenever the user is asked for.

    Attributes:
        queries: the question, as of any moment.
        facts: of the user, for explanations.
        cached_weights: the history as a model reads it; None where nothing of that can be kept.
        bounded: scores of the history as of the moment when it was asked last; None before that, and where the model is
            not linear.
        told: the last list, of questions that exclude nothing more than what was used and dismissed.
    """

    queries: Queries
    facts: UserFacts
    cached_weights: CachedWeights | None = None
    bounded: BoundedScores | None = None
    told: CachedList | None = None

    def at(self, now: int) -> Queries:
        """Return the question at a moment."""
        return self.queries.at(np.asarray([now], np.int64))

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        bounded = 0 if self.bounded is None else self.bounded.nbytes
        items = 0 if self.told is None else len(self.told.items)
        return self._settled + bounded + _RECOMMENDED * items

    @cached_property
    def known(self) -> int:
        """How many events of the history have an item that the model knows."""
        return int((self.queries.history.items != UNKNOWN).sum())

    @cached_property
    def _settled(self) -> int:
        """Bytes of what no answer changes."""
        queries, history = self.queries, self.facts.history
        arrays: tuple[npt.NDArray[Any], ...] = (queries.history.items, queries.values, queries.times)
        arrays += (queries.excluded.items, history.items, history.events, history.mask, history.weights)
        parts = (self.cached_weights, self.facts.sums)
        taken = sum(array.nbytes for array in arrays) + sum(part.nbytes for part in parts if part is not None)
        return taken + _DESCRIBED * (1 + len(self.facts.personas[0]))


@final
class UserCache:
    """Keeps what was made of the histories that were asked for last, in bounded memory.

    Whoever changes a history says so: what was made of it is not given any more, but where the next can start.

    Args:
        most: bytes, about; beyond, what was not asked for longest is let go of. 0 keeps nothing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: OrderedDict[UserHistory, tuple[UserState, int]] = OrderedDict()
        self._outdated: set[UserHistory] = set()
        self._size = 0

    def get(self, history: UserHistory) -> UserState | None:
        """Return what was made of a history since it changed last."""
        if history in self._outdated or history not in self._ready:
            return None
        self._ready.move_to_end(history)
        return self._ready[history][0]

    def former(self, history: UserHistory) -> UserState | None:
        """Return what was made of a history before it changed, or since."""
        found = self._ready.get(history)
        return None if found is None else found[0]

    def put(self, history: UserHistory, ready: UserState) -> None:
        """Keep what was made of a history, or take notice that it has grown."""
        self.drop(history)
        size = ready.size
        self._ready[history] = ready, size
        self._size += size
        while self._size > self._most:
            other, (_, taken) = self._ready.popitem(last=False)
            self._outdated.discard(other)
            self._size -= taken

    def changed(self, history: UserHistory) -> None:
        """Take notice that a history has changed."""
        if history in self._ready:
            self._outdated.add(history)

    def drop(self, history: UserHistory) -> None:
        """Let go of what was made of a history."""
        _, taken = self._ready.pop(history, (None, 0))
        self._outdated.discard(history)
        self._size -= taken

    def __iter__(self) -> Iterator[UserHistory]:
        """Yield the histories of which something is kept, the longest unused first."""
        return iter(self._ready)
