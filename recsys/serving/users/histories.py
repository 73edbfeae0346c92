"""Histories of users: the events of the training log, then those of the event store, in the order of the store."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.uses import kinds_of_values
from recsys.data.vocabulary import UNKNOWN
from recsys.events.beliefs import SavedBelief
from recsys.events.store import Corrected, Erased, EventStore, Recorded, Undone, user_hash
from recsys.models.base import Recommender
from recsys.serving.records import LoggedEvent
from recsys.serving.users.history import (
    BeliefLearning,
    PendingEvent,
    Timeline,
    UserHistory,
    code_of,
    missing_as_nan,
)
from recsys.serving.users.settings import UserSettings
from recsys.types import Kinds


@final
class UserHistories:
    """The histories of all users of a model. Not safe to use from several threads.

    `catch_up` reads a change of the store, and the history takes it in when it is used next, all at once. The user's
    belief in half-lives learns from the events in turns of bounded work (`recsys.serving.users.history`), and an
    answer in between uses what it has learned so far.

    Items that the model was not trained on teach it nothing. A new user starts with the population's belief.

    Args:
        model: of a log whose times are Unix seconds. Its beliefs change as events arrive.
        item_numbers: the model's number of each item, by the text of its id.
        log: the log; None: the store holds it all.
        store: the events since.
        learning: of the model's beliefs.
        settings: of users; those of erased ones are forgotten.
        trained_until: with `log` None, the last change of the store that the model was trained on.
    """

    def __init__(
        self,
        model: Recommender,
        item_numbers: Mapping[str, int],
        log: Interactions | None,
        store: EventStore,
        learning: BeliefLearning,
        settings: UserSettings,
        *,
        trained_until: int,
    ) -> None:
        fitted = model.fitted_on
        self._item_numbers = item_numbers
        self._log = log
        self._store = store
        self._learning = learning
        self._settings = settings
        self._trained_until = trained_until
        self._applied = 0
        self._settings_version = 0
        # By the text of an id: text that only spells the same number, such as 007, is another user.
        self._users = {str(user): number for number, user in enumerate(fitted.users.ids.tolist())}
        self._log_users: Mapping[str, int] = {}
        if log is not None:
            self._log_users = {str(user): number for number, user in enumerate(log.users.ids.tolist())}
            self._log_items = fitted.translation(log).items
        self._histories: dict[str, UserHistory] = {}
        self._erased: set[str] = set()
        self._outdated: dict[str, None] = {}  # users of whom an event was undone since their history was read

    @property
    def applied(self) -> int:
        """Sequence number of the last change of the store that is reflected."""
        return self._applied

    @property
    def settings_version(self) -> int:
        """A number that is another one whenever settings of a user may have changed since."""
        return self._settings_version

    def catch_up(self) -> list[UserHistory]:
        """Read the new changes of the store; return the histories that do not count any more.

        Those of erased users, and the former ones of users of whom an event was undone.
        """
        former: list[UserHistory] = []
        first, last = self._applied, self._store.last_sequence()
        if last > first:
            for change in self._store.replay(first):
                if change.sequence > self._applied + 1 or isinstance(change, Erased):
                    self._settings_version += 1
                if not isinstance(change, Undone):
                    self._apply(change, former)
                elif first:  # else what was undone was not read
                    self._outdated[change.user_id] = None
                self._applied = change.sequence
            if last > self._applied:  # numbers without a change are of settings, or what had them was erased
                self._settings_version += 1
                self._applied = last
        while self._outdated:
            self._begin_anew(next(iter(self._outdated)), former)
        return former

    def stored(self, user_id: str) -> UserHistory | None:
        """Return the history of a user if it is in memory, without its pending events."""
        return self._histories.get(user_hash(user_id))

    def current(self, user_id: str) -> UserHistory:
        """Return the history of a user as of the last `catch_up`; the belief learns in the next turn."""
        history = self._history(user_id, keep=False)
        self.take_in(history)
        return history

    def take_in(self, history: UserHistory) -> None:
        """Add the pending events to the history, and to what the belief has to learn."""
        if history.pending:
            history.version += 1
        while history.pending:
            event = history.pending.popleft()
            if (event.item, event.time) not in history.logged:
                self._learning.note(history, event, is_new=event.sequence > self._trained_until)
                history.timeline.add(event)
                if event.unknown is not None:
                    history.note_unknown(event.unknown, event.time, event.kind)

    def restore_beliefs(self, beliefs: Mapping[str, SavedBelief]) -> None:
        """Take back saved beliefs, before any history was used, and queue what they have not learned yet."""
        for user_id, belief in beliefs.items():
            history = self._histories.get(user_hash(user_id))
            if history is not None and bisect_right(history.sequences, belief.sequence) == belief.events:
                self._learning.restore(history, belief)
        behind = [history for history in self._histories.values() if self._learning.is_behind(history)]
        self._learning.catch_up_on(sorted(behind, key=lambda history: -history.sequences[-1]))

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

    def _apply(self, change: Recorded | Corrected | Erased, former: list[UserHistory]) -> None:
        if isinstance(change, Erased):
            if change.sequence > self._trained_until:
                self._erased.add(change.user_hash)
            self._settings.forget(change.user_hash)
            history = self._histories.pop(change.user_hash, None)
            if history is not None:
                former.append(history)
        elif isinstance(change, Corrected):
            self._history(change.user_id, keep=True).corrections[change.persona] = change.correction
        else:
            self._queue(self._history(change.event.user_id, keep=True), change)

    def _queue(self, history: UserHistory, record: Recorded) -> None:
        event = record.event
        number = self._item_numbers.get(event.item_id, UNKNOWN)
        value = missing_as_nan(event.value if event.kind == "rating" else None)  # an amount is no rating
        history.sequences.append(record.sequence)
        unknown = event.item_id if number == UNKNOWN else None
        history.pending.append(
            PendingEvent(number, value, event.time, code_of(event.kind, event.value), record.sequence, unknown)
        )

    def _begin_anew(self, user_id: str, former: list[UserHistory]) -> None:
        """Read a user's events again, without one that was undone: what follows is as if it had never been."""
        records = self._store.of_users([user_id])[user_id]  # where that fails, the next call tries again
        self._outdated.pop(user_id)
        history = self._histories.pop(user_hash(user_id), None)
        if history is None:
            return
        former.append(history)
        anew = self._history(user_id, keep=True)
        anew.corrections = history.corrections
        self._learning.reset(anew)
        for record in sorted(records, key=lambda record: record.sequence):
            if record.sequence <= self._applied:
                self._queue(anew, record)

    def _history(self, user_id: str, *, keep: bool) -> UserHistory:
        """Return the history of a user; an empty one stays in memory only with `keep`."""
        key = user_hash(user_id)
        history = self._histories.get(key)
        if history is None:
            history = UserHistory(user_id) if key in self._erased else self._from_log(user_id)
            history.lesson.until = self._trained_until
            if keep or len(history.timeline):
                self._histories[key] = history
        return history

    def _log_kinds(self, where: slice) -> Kinds:
        """Return what some events of the log are: where it does not say, events with a value are ratings."""
        assert self._log is not None
        kinds = self._log.kinds
        return kinds_of_values(self._log.value[where]) if kinds is None else kinds[where]

    def _from_log(self, user_id: str) -> UserHistory:
        history = UserHistory(user_id, self._users.get(user_id, UNKNOWN))
        number = self._log_users.get(user_id)
        if number is not None and self._log is not None:
            where = self._log.history_slice(number)
            history.timeline = Timeline(
                array("i", self._log_items[self._log.item_num[where]].tobytes()),
                array("f", self._log.value[where].astype(np.float32).tobytes()),
                array("q", self._log.time[where].astype(np.int64).tobytes()),
                array("b", self._log_kinds(where).tobytes()),
            )
            for place in (np.frombuffer(history.timeline.items, np.int32) == UNKNOWN).nonzero()[0].tolist():
                item = self._log.items.id_of(int(self._log.item_num[where][place]))
                history.note_unknown(str(item), history.timeline.times[place], history.timeline.kinds[place])
            history.logged = frozenset(zip(history.timeline.items, history.timeline.times, strict=True))
        return history
