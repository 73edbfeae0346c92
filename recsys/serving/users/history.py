"""The history of one user, and how beliefs in half-lives learn from histories in turns of bounded work."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import dropwhile, pairwise
from operator import itemgetter
from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from recsys.data.feedback import CODES, NEGATIVE_KINDS, Kind
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import PAUSE
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import IndependentUsers, OnlineRule
from recsys.events.beliefs import SavedBelief
from recsys.events.store import Correction
from recsys.explanations.half_life import decayed_within
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed

TURN: Final = 8
"""The most sessions that beliefs learn in one turn of the models' thread. It bounds what another request waits for: one
takes 1 to 5 ms, the more the longer the history, of which the newest 2,000 events are read."""

WARM: Final = 20_000
"""The most sessions that are learned before the service is ready, about a minute's work."""

_NEGATIVE: Final = frozenset(CODES[kind] for kind in NEGATIVE_KINDS)

_ROOM = 1024
"""Users after training for whom the model is extended at a time, at least."""


class PendingEvent(NamedTuple):
    """An event that the history does not reflect yet.

    `kind` is the code of what was done; `sequence` the event's number in the store; `unknown` the id of its item where
    the model does not know it.
    """

    item: int
    value: float
    time: int
    kind: int = CODES["use"]
    sequence: int = 0
    unknown: str | None = None


@final
@dataclass(eq=False)
class Timeline:
    """Events by time, equal times in order of arrival.

    Attributes:
        items: item numbers, `UNKNOWN` ones included.
        values: aligned with `items`.
        times: aligned with `items`.
        kinds: aligned with `items`, codes of `recsys.data.feedback.KINDS`.
    """

    items: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("f"))
    times: array[int] = field(default_factory=lambda: array("q"))
    kinds: array[int] = field(default_factory=lambda: array("b"))

    def __len__(self) -> int:
        return len(self.times)

    def copy(self) -> Timeline:
        """Return a copy, which grows by itself."""
        return Timeline(self.items[:], self.values[:], self.times[:], self.kinds[:])

    def keep(self, visible: npt.NDArray[np.bool_]) -> Timeline:
        """Return a copy with only some of the events."""
        places = np.flatnonzero(visible).tolist()
        return Timeline(
            array("i", [self.items[place] for place in places]),
            array("f", [self.values[place] for place in places]),
            array("q", [self.times[place] for place in places]),
            array("b", [self.kinds[place] for place in places]),
        )

    def add(self, event: PendingEvent) -> None:
        """Insert an event by its time."""
        place = bisect_right(self.times, event.time)
        self.items.insert(place, event.item)
        self.values.insert(place, event.value)
        self.times.insert(place, event.time)
        self.kinds.insert(place, event.kind)

    def queries(self, user: int, start: int, stop: int, now: int) -> Queries:
        """Return the user with a number as one query, with a part of the events visible."""
        return Queries(
            np.asarray([user], np.int32),
            row(np.array(self.items[start:stop], np.int32)),
            np.array(self.values[start:stop], np.float32),
            np.array(self.times[start:stop], np.int64),
            np.asarray([now], np.int64),
            kinds=np.array(self.kinds[start:stop], np.int8),
        )


@final
@dataclass(eq=False)
class UserHistory:
    """The events and corrections of one user.

    Attributes:
        user_id: external id; empty for an anonymous user.
        number: the model's number of the user; `UNKNOWN` for a new or an erased user until the model learns from an
            event of theirs.
        timeline: the events.
        corrections: of personas, those of other models included.
        logged: item and time of the log's events, which are ignored when they come from the store again.
        pending: events of the store that are not reflected yet, in order of arrival.
        sequences: numbers of all events of the store, ascending.
        lesson: what the belief has learned from and still has to learn.
        unknown: the events with each item that the model does not know, by the item's id: time in Unix seconds and code
            of what was done, by time, equal times in order of arrival.
        hidden: items that are not listed again though no event of theirs may be read.
        meant: items about which the person has confirmed the answer.
        meant_version: version of the settings that `meant` was read in.
        version: changes whenever the timeline or the belief does.
    """

    user_id: str = ""
    number: int = UNKNOWN
    timeline: Timeline = field(default_factory=Timeline)
    corrections: dict[int, Correction] = field(default_factory=dict)
    logged: frozenset[tuple[int, int]] = frozenset()
    pending: deque[PendingEvent] = field(default_factory=deque)
    sequences: array[int] = field(default_factory=lambda: array("q"))
    lesson: Lesson = field(default_factory=lambda: Lesson(0))
    version: int = 0
    unknown: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    hidden: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    meant: frozenset[int] = frozenset()
    meant_version: int = -1

    def note_unknown(self, item_id: str, time: int, kind: int) -> None:
        """Note an event with an item that the model does not know."""
        insort(self.unknown.setdefault(item_id, []), (time, kind), key=itemgetter(0))

    def unknown_items(self, until: float = math.inf, *, disliked: bool = False) -> list[str]:
        """Return the ids of the unknown items with events before a moment, Unix seconds.

        `disliked`: only those of which the last word until then is a dislike.
        """
        found = []
        for item_id, events in self.unknown.items():
            kinds = [kind for time, kind in events if time < until]
            if kinds and (not disliked or kinds[-1] == CODES["dislike"]):
                found.append(item_id)
        return found

    def excluded(self, stop: int) -> Ragged:
        """Return the items of the timeline until `stop`, ascending, each once."""
        return row(np.unique(np.r_[np.array(self.timeline.items[:stop], np.int32), self.hidden]))

    def disliked(self, stop: int) -> Ragged:
        """Return the items of the timeline until `stop` of which the last word is a dislike, ascending."""
        items = np.array(self.timeline.items[:stop], np.int32)[::-1]
        named, last = np.unique(items, return_index=True)
        disliked = np.array(self.timeline.kinds[:stop], np.int8)[::-1][last] == CODES["dislike"]
        return row(np.union1d(named[disliked], self.hidden))


@final
@dataclass(eq=False)
class Lesson:
    """How far the belief of a user in half-lives has learned from the events of the store.

    Attributes:
        until: number of the last event that it learned from, itself or in training.
        learned: how many events it learned from, but for training.
        pending: how many of `events` it has to learn from; the others only belong to the history, or are of an open
            session.
        open: how many events it has to learn from when their session is over.
        newest: time of the event that arrived last.
        events: those from the first that it has to learn from, in order of arrival.
        before: the events of the history that arrived before these; None where there are none.
    """

    until: int
    learned: int = 0
    pending: int = 0
    open: int = 0
    newest: int = 0
    events: deque[PendingEvent] = field(default_factory=deque)
    before: Timeline | None = None


@final
class BeliefLearning:
    """Lets the beliefs in half-lives of all users learn from their sessions, a few in a turn.

    A session is over when the next event comes that is `recsys.data.sessions.PAUSE` away, so that a replay of the store
    divides it alike; inside it nothing is learned. A late event of another time is a session of its own. A belief
    learns from each session of its user once, in order of arrival, from the part of the history that arrived before and
    is not later than its first event (`Decayed.observe`). The beliefs of different users are
    independent, so neither the delay nor the order of the turns changes what is learned in the end: a replay of the
    store gives the same beliefs to the last bit, and so does one that begins with saved beliefs.

    Args:
        model: fitted.
        identity: of the model and of all else that beliefs depend on, under which they are saved.
        length: how many events of a history a belief learns from, the newest.
    """

    def __init__(self, model: Recommender, identity: str, length: int) -> None:
        self._model: Decayed | None = None
        self._rule: IndependentUsers | None = None
        decayed = decayed_within(model)
        if decayed is not None and isinstance(decayed.rule, OnlineRule) and decayed.rule.observes:
            self._model = decayed
            self._rule = decayed.rule if isinstance(decayed.rule, IndependentUsers) else None
        self._identity = identity
        self._length = length
        self._pause = PAUSE if model.fitted_on.clock == "seconds" else 1
        self._next_user = self._room = len(model.fitted_on.users)
        self._asked: dict[UserHistory, None] = {}
        self._backlog: dict[UserHistory, None] = {}
        self._warming = WARM
        self._unsaved: dict[UserHistory, None] = {}
        self._learned = 0

    @property
    def warm(self) -> bool:
        """Whether the beliefs are those of all events that were stored at the start, or much was learned of them."""
        return not self._backlog

    @property
    def queued(self) -> bool:
        """Whether there is something to learn in the next turn."""
        return bool(self._asked or self._backlog)

    @property
    def unsaved(self) -> int:
        """How many events were learned since beliefs were saved."""
        return self._learned

    def note(self, history: UserHistory, event: PendingEvent, *, is_new: bool) -> None:
        """Queue an event, which the history is about to take in; `is_new`: whether training did not have it."""
        lesson = history.lesson
        self._close(lesson, event.time)
        if self._model is not None and is_new and teaches(event):
            if event.sequence > lesson.until:
                lesson.open += 1
                lesson.before = history.timeline.copy() if lesson.before is None else lesson.before
            else:  # a saved belief has learned it
                lesson.learned += 1
        if lesson.before is not None:
            lesson.events.append(event)
            lesson.newest = event.time

    def is_behind(self, history: UserHistory) -> bool:
        """Return whether the belief has to learn from a session among the pending events, most probably."""
        new = [event for event in history.pending if event.sequence > history.lesson.until]
        times = [event.time for event in dropwhile(lambda event: not teaches(event), new)]
        return any(abs(later - time) >= self._pause for time, later in pairwise(times))

    def _close(self, lesson: Lesson, time: int) -> None:
        """Count the events of the open session among those to learn from, if an event at a time is of another."""
        if lesson.events and abs(time - lesson.newest) >= self._pause:
            lesson.pending += lesson.open
            lesson.open = 0

    def _next_session(self, lesson: Lesson) -> list[PendingEvent]:
        """Take the events of the next session out of those of a lesson."""
        session = [lesson.events.popleft()]
        while lesson.events and abs(lesson.events[0].time - session[-1].time) < self._pause:
            session.append(lesson.events.popleft())
        return session

    def learn(self, history: UserHistory, most: int = TURN) -> None:
        """Let a belief learn at most some finished sessions; the user comes last in the queue if there are more."""
        was_asked = history not in self._backlog or history in self._asked
        self._asked.pop(history, None)
        self._backlog.pop(history, None)
        self._learn(history, most)
        if history.lesson.pending:
            (self._asked if was_asked else self._backlog)[history] = None
        if self._warming <= 0:
            self._backlog.clear()

    def _learn(self, history: UserHistory, most: int) -> None:
        lesson = history.lesson
        before, model = lesson.before, self._model
        if before is None or model is None or not lesson.pending:
            return
        while lesson.pending and most:
            session = self._next_session(lesson)
            taught = [event for event in session if teaches(event) and event.sequence > lesson.until]
            if taught:
                if history.number == UNKNOWN:
                    history.number = self._new_number(model)
                first = min(event.time for event in session)
                stop = bisect_right(before.times, first)
                visible = before.queries(history.number, max(0, stop - self._length), stop, first)
                model.observe(visible, row(np.unique(np.asarray([event.item for event in taught], np.int32))))
                lesson.until = max(event.sequence for event in taught)
                lesson.learned += len(taught)
                lesson.pending -= len(taught)
                self._learned += len(taught)
                self._warming -= 1
                most -= 1
            for event in session:
                before.add(event)
        history.version += 1
        self._unsaved[history] = None
        if not lesson.pending and not lesson.open:
            lesson.events.clear()
            lesson.before = None

    def next(self) -> UserHistory | None:
        """Return whose belief learns in the next turn: users who were asked for come before the others."""
        return next(iter(self._asked or self._backlog), None)

    def catch_up_on(self, histories: Iterable[UserHistory]) -> None:
        """Queue the users whose beliefs learn before the service is ready, in this order."""
        self._backlog = dict.fromkeys(histories)

    def discard(self, history: UserHistory) -> None:
        """Forget a user who was erased."""
        for queue in (self._asked, self._backlog, self._unsaved):
            queue.pop(history, None)

    def reset(self, history: UserHistory) -> None:
        """Forget what the belief of a user has learned since training, before the history is read anew."""
        if self._rule is not None and history.number != UNKNOWN:
            self._rule.reset_user(history.number)

    def restore(self, history: UserHistory, saved: SavedBelief) -> None:
        """Take back a belief of a user whose history was not used yet."""
        if self._rule is None or self._model is None:
            return
        if history.number == UNKNOWN:
            history.number = self._new_number(self._model)
        self._rule.restore_user(history.number, saved.state)
        history.lesson.until = saved.sequence

    def collect_unsaved(self) -> dict[str, SavedBelief]:
        """Return the beliefs that have learned since the last call, by user; none of a rule that cannot be saved."""
        rule, unsaved = self._rule, self._unsaved
        self._unsaved, self._learned = {}, 0
        if rule is None:
            return {}
        return {
            history.user_id: SavedBelief(
                self._identity,
                history.lesson.until,
                bisect_right(history.sequences, history.lesson.until),
                rule.user_state(history.number),
            )
            for history in unsaved
            if history.number != UNKNOWN
        }

    def keep_unsaved(self, histories: Iterable[UserHistory | None]) -> None:
        """Take back beliefs that were collected and could not be saved, for the next time; None: erased by now."""
        self._unsaved.update(dict.fromkeys(history for history in histories if history is not None))

    def _new_number(self, model: Decayed) -> int:
        """Return the number under which the model learns the half-life of a user who was not in training."""
        number = self._next_user
        self._next_user += 1
        if number >= self._room:
            self._room = number + max(_ROOM, number // 4)  # in proportion, so that the cost per event stays small
            model.extend(self._room)
        return number


def teaches(event: PendingEvent) -> bool:
    """Return whether a belief in half-lives learns from an event: a use of an item that the model knows."""
    return event.item != UNKNOWN and event.kind not in _NEGATIVE


def code_of(kind: Kind, value: float | None) -> int:
    """Return the code of what was done; a use with a value is a rating, as in a log without kinds.

    >>> code_of("use", 4.0) == code_of("rating", 4.0), code_of("dislike", None) == CODES["dislike"]
    (True, True)
    """
    if kind == "use" and value is not None:
        return CODES["rating"]
    return CODES[kind]


def missing_as_nan(value: float | None) -> float:
    """Return a rating, NaN for an event without one, as logs have it."""
    return math.nan if value is None else value


def row(items: npt.NDArray[np.int32]) -> Ragged:
    """Return one row of items."""
    return Ragged(np.asarray([0, len(items)], np.int64), items)
