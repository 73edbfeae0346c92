"""Histories of users: the events of the training log, then those of the event store, in the order of the store."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Change, Corrected, Correction, Erased, EventStore, Undone, user_hash
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.serving.answers import LoggedEvent

_ROOM = 1024
"""Users after training for whom the model is extended at a time, at least."""


class PendingEvent(NamedTuple):
    """An event of the store that the history and the model do not reflect yet.

    `teaches`: whether the model's belief learns from it; it does not from events that were part of its training.
    """

    item: int
    value: float
    time: int
    dismissed: bool = False
    teaches: bool = False


@final
@dataclass(eq=False)
class UserHistory:
    """The events, dismissals and corrections of one user.

    Attributes:
        number: the model's number of the user; `UNKNOWN` for a new or an erased user until the model learns from an
            event of theirs.
        items: item numbers of the events, `UNKNOWN` ones included, by time, equal times in order of arrival.
        values: aligned with `items`.
        times: aligned with `items`.
        dismissed: items that must not be recommended to the user.
        corrections: of personas, those of other models included.
        logged: item and time of the log's events, which are ignored when they come from the store again.
        pending: events that are not reflected yet, in order of arrival.
        version: changes whenever pending events become a part of the history.
    """

    number: int = UNKNOWN
    items: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("f"))
    times: array[int] = field(default_factory=lambda: array("q"))
    dismissed: set[int] = field(default_factory=set)
    corrections: dict[int, Correction] = field(default_factory=dict)
    logged: frozenset[tuple[int, int]] = frozenset()
    pending: deque[PendingEvent] = field(default_factory=deque)
    version: int = 0

    def add(self, event: PendingEvent) -> None:
        """Insert an event by its time."""
        place = bisect_right(self.times, event.time)
        self.items.insert(place, event.item)
        self.values.insert(place, event.value)
        self.times.insert(place, event.time)

    def queries(self, start: int, stop: int, now: int) -> Queries:
        """Return the user as one query, with a part of the history visible."""
        return Queries(
            np.asarray([self.number], np.int32),
            _row(np.array(self.items[start:stop], np.int32)),
            np.array(self.values[start:stop], np.float32),
            np.array(self.times[start:stop], np.int64),
            np.asarray([now], np.int64),
        )

    def excluded(self, stop: int) -> Ragged:
        """Return the items of the history until `stop` and the dismissed ones, ascending, each once."""
        return _row(np.unique(np.array(self.items[:stop] + array("i", self.dismissed), np.int32)))


@final
class UserHistories:
    """The histories of all users of a model. Not safe to use from several threads.

    `catch_up` reads a change of the store, and the history takes it in when it is used next. Then the user's belief in
    half-lives (`Decayed.observe`) learns from the events one by one, in order of arrival, each time from the part of
    the history that is not later than the event. The beliefs of different users are independent, so the delay changes
    no answer and keeps recording events fast. Only the order of the store matters: a replay gives the same histories
    and beliefs to the last bit.

    Items that the model was not trained on teach it nothing. A new user starts with the population's belief.

    Args:
        model: of a log whose times are Unix seconds. Its beliefs change as events arrive.
        item_numbers: the model's number of each item, by the text of its id.
        log: the log; None: the store holds it all.
        store: the events since.
        trained_until: with `log` None, the last change of the store that the model was trained on.
        length: how many events of a history the belief learns from, the newest.
    """

    def __init__(
        self,
        model: Recommender,
        item_numbers: Mapping[str, int],
        log: Interactions | None,
        store: EventStore,
        *,
        trained_until: int,
        length: int,
    ) -> None:
        fitted = model.fitted_on
        self._model = model
        self._item_numbers = item_numbers
        self._log = log
        self._store = store
        self._trained_until = trained_until
        self._length = length
        self._applied = 0
        # By the text of an id: text that only spells the same number, such as 007, is another user.
        self._users = {str(user): number for number, user in enumerate(fitted.users.ids.tolist())}
        self._next_user = self._room = len(fitted.users)
        self._log_users: Mapping[str, int] = {}
        if log is not None:
            self._log_users = {str(user): number for number, user in enumerate(log.users.ids.tolist())}
            self._log_items = fitted.translation(log).items
        self._histories: dict[str, UserHistory] = {}
        self._erased: set[str] = set()

    @property
    def applied(self) -> int:
        """Sequence number of the last change of the store that is reflected."""
        return self._applied

    def catch_up(self) -> list[UserHistory]:
        """Read the new changes of the store; return the histories that do not count any more.

        Those of erased users, and the former ones of users of whom an event was undone.
        """
        former: list[UserHistory] = []
        last = self._store.last_sequence()
        if last > self._applied:
            for change in self._store.replay(self._applied):
                self._apply(change, former)
                self._applied = change.sequence
            self._applied = max(self._applied, last)  # the changes with the last numbers may have been erased
        return former

    def stored(self, user_id: str) -> UserHistory | None:
        """Return the history of a user if it is in memory, without its pending events."""
        return self._histories.get(user_hash(user_id))

    def current(self, user_id: str) -> UserHistory:
        """Return the history of a user as of the last `catch_up`, after learning from its pending events."""
        history = self._history(user_id, keep=False)
        if history.pending:
            history.version += 1
        while history.pending:
            event = history.pending.popleft()
            if event.dismissed:
                history.dismissed.add(event.item)
                continue
            if (event.item, event.time) in history.logged:
                continue
            if event.teaches and event.item != UNKNOWN and isinstance(self._model, Decayed):
                if history.number == UNKNOWN:
                    history.number = self._new_number(self._model)
                stop = bisect_right(history.times, event.time)
                visible = history.queries(max(0, stop - self._length), stop, event.time)
                self._model.observe(visible, np.asarray([event.item], np.int32))
            history.add(event)
        return history

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        """Return the user's events in the log; none after the user was erased."""
        number = None if user_hash(user_id) in self._erased else self._log_users.get(user_id)
        if number is None or self._log is None:
            return ()
        where = self._log.history_slice(number)
        ids = self._log.items.ids[self._log.item_num[where]].tolist()
        values, times = self._log.value[where].tolist(), self._log.time[where].tolist()
        return tuple(
            LoggedEvent(str(item), value if math.isfinite(value) else None, time)
            for item, value, time in zip(ids, values, times, strict=True)
        )

    def _apply(self, change: Change, former: list[UserHistory]) -> None:
        if isinstance(change, Erased):
            if change.sequence > self._trained_until:
                self._erased.add(change.user_hash)
            history = self._histories.pop(change.user_hash, None)
            if history is not None:
                former.append(history)
        elif isinstance(change, Undone):
            self._begin_anew(change, former)
        elif isinstance(change, Corrected):
            self._history(change.user_id, keep=True).corrections[change.persona] = change.correction
        else:
            event = change.event
            self._history(event.user_id, keep=True).pending.append(
                PendingEvent(
                    self._item_numbers.get(event.item_id, UNKNOWN),
                    math.nan if event.value is None else event.value,
                    event.time,
                    event.kind == "dismiss",
                    change.sequence > self._trained_until,
                )
            )

    def _begin_anew(self, change: Undone, former: list[UserHistory]) -> None:
        """Read a user's events again, without one that was undone: what follows is as if it had never been."""
        key = user_hash(change.user_id)
        if key not in self._histories:
            return
        records = self._store.of_users([change.user_id])[change.user_id]
        history = self._histories.pop(key)
        former.append(history)
        for record in sorted(records, key=lambda record: record.sequence):
            if record.sequence < change.sequence:  # the later ones are still to be applied
                self._apply(record, former)
        if history.corrections:
            self._history(change.user_id, keep=True).corrections = history.corrections

    def _history(self, user_id: str, *, keep: bool) -> UserHistory:
        """Return the history of a user; an empty one stays in memory only with `keep`."""
        key = user_hash(user_id)
        history = self._histories.get(key)
        if history is None:
            history = UserHistory() if key in self._erased else self._from_log(user_id)
            if keep or history.items:
                self._histories[key] = history
        return history

    def _from_log(self, user_id: str) -> UserHistory:
        history = UserHistory(self._users.get(user_id, UNKNOWN))
        number = self._log_users.get(user_id)
        if number is not None and self._log is not None:
            where = self._log.history_slice(number)
            history.items = array("i", self._log_items[self._log.item_num[where]].tobytes())
            history.values = array("f", self._log.value[where].astype(np.float32).tobytes())
            history.times = array("q", self._log.time[where].astype(np.int64).tobytes())
            history.logged = frozenset(zip(history.items, history.times, strict=True))
        return history

    def _new_number(self, model: Decayed) -> int:
        """Return the number under which the model learns the half-life of a user who was not in training."""
        number = self._next_user
        self._next_user += 1
        if number >= self._room:
            self._room = number + max(_ROOM, number // 4)  # in proportion, so that the cost per event stays small
            model.extend(self._room)
        return number


def _row(items: npt.NDArray[np.int32]) -> Ragged:
    return Ragged(np.asarray([0, len(items)], np.int64), items)
