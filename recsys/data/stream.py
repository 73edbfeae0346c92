"""The queries of a replay in the order of time, each with its visible history.

::

    time      ------------ start ------------------------------>
    user 1    o   o    o     |    ?xx         ?x                    ? a query, with all events of the user strictly
    user 2       o  o        | ?x   ?            ?                    before it visible; x hidden events, relevant to it
    chunks                   |[ 1     ][ 2      ][ 3 ...            in global time order
    rounds                   | r-th moment of a user in the chunk   so that a user's state has learned the earlier one
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES, NEGATIVE_KINDS
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import ASKS, PAUSE, Ask, default_ask, occasions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError, nearest
from recsys.types import Ints, Items, Mask

_ENTRIES = 1_000_000
"""History events of a batch of queries, at most (unless a single history has more): about 30 MB."""


def comparable(log: Interactions) -> Interactions:
    """Return a log whose times order the events of all users: itself, or one with positions in place of times.

    Without comparable times, the time of an event becomes its position in the user's history; with clock "order",
    events of equal time share the position of the first. All histories then begin together, and a `start` is a number
    of events to skip.
    """
    if log.has_time:
        return log
    position = log.positions
    if log.clock == "order":
        position = position[group_starts(log.user_num, log.time)]
    return replace(log, time=position, clock="order", superseded=None)


def events_before(log: Interactions, start: int) -> Interactions:
    """Return the events before the first query: the training data of a replay, with the vocabularies of the log.

    `start` is a time; for logs with clock "order" or "none" a number of events per user. Of several events of a user,
    item and kind the last one before it counts, the others are superseded. `compact()` of the result drops items that
    occur only later, which saves memory; a replay matches items by id.
    """
    before = log.every.select(comparable(log.every).time < start)
    if log.superseded is None:
        return before
    _, last = np.unique(before.sorts[::-1], return_index=True)
    replaced = np.ones(len(before), np.bool_)
    replaced[len(before) - 1 - last] = False
    return before.superseding(replaced)


def group_starts(user: Items, slot: Ints) -> Ints:
    """Return "events": the position of the first event of the same user in the same slot; both columns are sorted."""
    new = np.ones(len(user), np.bool_)
    new[1:] = (user[1:] != user[:-1]) | (slot[1:] != slot[:-1])
    return np.asarray(np.maximum.accumulate(np.where(new, np.arange(len(user)), 0)), dtype=np.int64)


@final
@dataclass(frozen=True)
class QuestionSettings:
    """When a question is asked, and what history it sees.

    Attributes:
        ask: at the first event of a session or of a day, to which all its events are relevant, or before each event
            (see `recsys.data.sessions`); None: by sessions where the log has times, else before each event.
        pause: seconds without an event that end a session.
        window: every query sees the history before the beginning of its window, of this length in units of time; None:
            before its own event. Only with `ask="event"`.
        see_equal_times: whether events of the user at the same time but earlier in the log are visible, likewise.
        limit: use only the first queries, this many; None: all.

    Raises:
        ConfigError: an unknown `ask`, a pause, window or limit below 1, a window together with `see_equal_times`, or
            one of the two with another `ask` than "event".
    """

    ask: Ask | None = None
    pause: int = PAUSE
    window: int | None = None
    see_equal_times: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and (self.window < 1 or self.see_equal_times):
            given = f"window is {self.window} and see_equal_times {self.see_equal_times}"
            raise ConfigError(f"replay: {given}; a window must be at least 1 and shows nothing of itself")
        if self.ask is not None and self.ask not in ASKS:
            raise ConfigError(f"ask is {self.ask!r}{nearest(self.ask, ASKS)}; it must be one of {', '.join(ASKS)}")
        if self.pause < 1:
            raise ConfigError(f"pause is {self.pause}; it must be at least 1 second")
        if self.ask != "event" and (self.window is not None or self.see_equal_times):
            raise ConfigError(f"replay: ask is {self.ask!r}; windows and equal times are for ask 'event'")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"replay: limit is {self.limit}; it must be at least 1 (or None for every question)")

    def on(self, log: Interactions) -> QuestionSettings:
        """Return the settings for a log, in which `ask` is never None."""
        return replace(self, ask=default_ask(log)) if self.ask is None else self


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Queries in the order of time.

    Attributes:
        log: the log, with times that order all events.
        start: time of the first query, or the number of events skipped per user.
        event: "queries", positions in the log of the events before which the queries are asked: the first ones of
            sessions or days; ascending in (time, user, position).
        relevant: "queries" rows of the hidden items, numbers of the log's items; each has at least one.
        visible_until: "queries", the end (exclusive) of the visible history, a position in the log.
        now: "queries", the moment of the query; only events strictly before it are visible (unless equal times are).
        moment: "queries", queries of a user with an equal number share the user's state.
        cuts: "queries", whether a chunk may begin here.
        repeats: number of events from `start` on that are relevant to no query, because the user had used the item.
        ask: when the queries are asked.
        pause: seconds that end a session.
    """

    log: Interactions
    start: int
    event: Ints
    relevant: Ragged
    visible_until: Ints
    now: Ints
    moment: Ints
    cuts: Mask
    repeats: int
    ask: Ask = "event"
    pause: int = PAUSE

    @classmethod
    def of(cls, log: Interactions, start: int, question_settings: QuestionSettings) -> Stream:
        """Build the queries of a log from `start` on.

        Relevant are the events of items that the user has not used before, other than dislikes and skips; these are
        visible to later queries. A session or day that began before `start` is not asked about, nor is one without a
        relevant event.

        `start` is a time; for logs with clock "order" or "none" a number of events to skip per user.

        Raises:
            DataError: there are no queries, or the log has no times for sessions or days.
        """
        settings = question_settings.on(log)
        assert settings.ask is not None
        occasion = occasions(log, settings.ask, settings.pause) if settings.ask != "event" else None
        log = comparable(log)
        repeated = _repeated(log)
        answers = ~repeated
        if log.kinds is not None:
            answers &= ~np.isin(log.kinds, [CODES[kind] for kind in NEGATIVE_KINDS])
        first = np.arange(len(log)) if occasion is None else group_starts(log.user_num, occasion)
        answers &= log.time[first] >= start
        answer = np.flatnonzero(answers)
        event, size = np.unique(first[answer], return_counts=True)
        order = np.argsort(log.time[event], kind="stable")[: settings.limit]
        if len(order) == 0:
            cure = "choose an earlier start"
            if occasion is not None:
                cure += f", a shorter pause than {settings.pause} seconds (--pause), or ask before events (--ask event)"
            what = "events is" if occasion is None else f"events is of a {settings.ask} that begins"
            raise DataError(
                f"{log.name}: none of the {len(log)} {what} at {start} or later and of an item that is new to the "
                f"user, so there is nothing to ask; {cure}"
            )
        relevant = Ragged.from_lengths(size, log.item_num[answer]).take(order)
        event = event[order]
        visible_until, now = _visible(log, start, event, settings)
        # Without windows the queries of a moment are neighbours, so a chunk may begin wherever a moment does.
        ordered = visible_until if settings.window is None else now
        cuts = np.ones(len(event), np.bool_)
        cuts[1:] = ordered[1:] != ordered[:-1]
        repeats = int((repeated & (log.time >= start)).sum())
        questions = visible_until, now, visible_until, cuts, repeats
        return cls(log, start, event, relevant, *questions, settings.ask, settings.pause)

    def __len__(self) -> int:
        return len(self.event)

    @cached_property
    def users(self) -> Items:
        """ "queries", int32, numbers of the log's users."""
        return self.log.user_num[self.event]

    @cached_property
    def times(self) -> Ints:
        """ "queries", int64, the time of the event before which the query is asked."""
        return self.log.time[self.event]

    @cached_property
    def positions(self) -> Ints:
        """ "queries", int64, position of this event in the user's history, from 0."""
        return self.event - self.log.indptr[self.users]

    @cached_property
    def n_visible(self) -> Ints:
        """ "queries", int64, length of the visible history."""
        return self.visible_until - self.log.indptr[self.users]

    @cached_property
    def gaps(self) -> Ints:
        """ "queries", int64: from the last visible event to the first hidden one; -1 where nothing is visible."""
        latest = self.log.time[np.maximum(self.visible_until - 1, 0)]
        return np.where(self.n_visible > 0, self.times - latest, -1)

    def epochs(self, every: int | None) -> Ints:
        """ "queries", int64: number of schedule boundaries between `start` and the query; 0 without a schedule."""
        return np.zeros(len(self), np.int64) if every is None else (self.times - self.start) // every

    def chunks(self, size: int, epoch: Ints) -> list[slice]:
        """Return consecutive slices of at least `size` queries that split no moment and mix no epochs."""
        allowed = np.flatnonzero(self.cuts)
        forced = np.append(np.flatnonzero(np.diff(epoch)) + 1, len(self))
        chunks, begin = [], 0
        while begin < len(self):
            place = int(np.searchsorted(allowed, begin + size))
            end = int(allowed[place]) if place < len(allowed) else len(self)
            end = min(end, int(forced[np.searchsorted(forced, begin, side="right")]))
            chunks.append(slice(begin, end))
            begin = end
        return chunks

    def rounds(self, chunk: slice) -> list[Ints]:
        """Return the queries of a chunk, round by round: the r-th moment of every user, in the order of time."""
        user, moment = self.users[chunk], self.moment[chunk]
        order = np.argsort(user, kind="stable")
        new_user = np.append(True, user[order][1:] != user[order][:-1])
        new_moment = new_user | np.append(True, moment[order][1:] != moment[order][:-1])
        count = np.cumsum(new_moment)
        number = np.empty(len(order), np.int64)
        number[order] = count - np.maximum.accumulate(np.where(new_user, count, 0))
        by_round = np.argsort(number, kind="stable")
        return np.split(by_round + chunk.start, np.cumsum(np.bincount(number))[:-1])

    def batches(self, rows: Ints, size: int) -> Iterator[Ints]:
        """Yield consecutive parts of some queries whose histories fit into memory, at most `size` at a time."""
        until = np.cumsum(self.n_visible[rows])
        begin = 0
        while begin < len(rows):
            done = until[begin - 1] if begin else 0
            fitting = int(np.searchsorted(until, done + _ENTRIES, side="right"))
            end = min(max(begin + 1, fitting), begin + size)
            yield rows[begin:end]
            begin = end

    def answers(self, rows: Ints, items: Items) -> Ragged:
        """Return the relevant items of some queries, a row each, without those that a model lacks; see `queries`."""
        relevant = self.relevant.take(rows)
        numbers = items[relevant.items]
        return Ragged(relevant.indptr, numbers).select(numbers != UNKNOWN)

    def queries(self, rows: Ints, items: Items) -> Queries:
        """Return the queries at some positions of the stream; users are numbers of the log.

        `items`, "items", is the model's number of each item of the log, `UNKNOWN` for those it lacks.
        """
        users = self.users[rows]
        begin = self.log.indptr[users]
        lengths = self.visible_until[rows] - begin
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], lengths)
        history = Ragged(indptr, items[self.log.item_num[position]])
        kinds = None if self.log.kinds is None else self.log.kinds[position]
        value, time = self.log.value[position], self.log.time[position]
        return Queries(users, history, value, time, self.now[rows], kinds=kinds)


def _visible(log: Interactions, start: int, event: Ints, settings: QuestionSettings) -> tuple[Ints, Ints]:
    """Return "queries": the end of the visible history, and the moment of the query, for events to ask before."""
    window = settings.window
    if settings.see_equal_times:
        return event, log.time[event]
    slot = log.time if window is None else (log.time - start) // window
    now = log.time[event] if window is None else start + slot[event] * window
    return group_starts(log.user_num, slot)[event], now


def _repeated(log: Interactions) -> Mask:
    """ "events": whether an earlier event of the same user has the same item."""
    key = log.user_num.astype(np.int64) * max(1, log.n_items) + log.item_num
    order = np.argsort(key, kind="stable")
    repeated = np.zeros(len(log), np.bool_)
    repeated[order[1:]] = key[order][1:] == key[order][:-1]
    return repeated
