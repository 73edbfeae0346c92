"""The users of a served model: their histories, what may be read of these, and their states."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar, final

import recsys
from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import EventStore, StoreError
from recsys.experiments.answers.event_reliability import weighs_answers
from recsys.models.base import Recommender
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.items.new_items import NewItems
from recsys.serving.norms.circumstances import UNSTATED, Circumstances
from recsys.serving.norms.norms import Bound, Norms
from recsys.serving.records import HistoryEvent, LoggedEvent
from recsys.serving.users.histories import UserHistories
from recsys.serving.users.history import (
    BeliefLearning,
    PendingEvent,
    UserHistory,
    code_of,
    missing_as_nan,
)
from recsys.serving.users.pause import StorePause
from recsys.serving.users.settings import UserSettings
from recsys.serving.users.state import UserCache, UserStates

MEANT: Final = "meant:"
"""The beginning of the name of a setting: the person confirms the answer about the item that follows."""

T = TypeVar("T")


@final
class ServedUsers:
    """The users of a model, up to date with a store. Callers hold `lock` while they use one.

    Args:
        model: a fitted model. Its beliefs change as events arrive.
        identity: of everything that the beliefs depend on, beside the events of the store.
        catalogue: its items; kept up to date with the store, too.
        log: the events before the store's first; None: the store holds them all.
        store: the events since.
        trained_until: with `log` None, the last change of the store that the model was trained on.
        history: how many events of a user are read at most, the newest.
        now: Unix seconds.
        cache_bytes: size of the cache of states, approximately; it changes no answer.
        norms: bind every list; None: nothing does.
        repeats: whether items of a history may be listed again.
    """

    def __init__(
        self,
        model: Recommender,
        identity: str,
        catalogue: Catalogue,
        log: Interactions | None,
        store: EventStore,
        *,
        trained_until: int,
        history: int,
        now: Callable[[], int],
        cache_bytes: int,
        norms: Norms | None,
        repeats: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.trained_numbers = catalogue.numbers
        """The number of each item of which events teach, by the text of its id: those of training."""
        self._new_items = NewItems(model)
        self._catalogue = catalogue
        self.learning = BeliefLearning(model, identity, history)
        self.cache = UserCache(cache_bytes)
        self._length, self._repeats = history, repeats
        self.states = self._states_of(model)
        self._store = store
        self._items_version = -1
        self._weighs_answers = weighs_answers(model)
        self._now = now
        self._norms = norms
        self.settings = UserSettings(store) if norms is None else norms.settings
        self._histories = UserHistories(
            model, self.trained_numbers, log, store, self.learning, self.settings, trained_until=trained_until
        )
        self._read_at = 0  # Unix seconds of the last time that the store answered
        self._pause = StorePause()
        self.catch_up()
        self._histories.restore_beliefs(store.beliefs(identity))

    @property
    def model(self) -> Recommender:
        """The model, with the items of the store that it was not trained on, where it takes new items."""
        return self._new_items.model

    @property
    def applied(self) -> int:
        """Sequence number of the last change of the store that is reflected."""
        return self._histories.applied

    @property
    def settings_version(self) -> int:
        """A number that is another one whenever settings of a user may have changed since."""
        return self._histories.settings_version

    def catch_up(self) -> int:
        """Apply the new changes of the store, and return the sequence number of the last one."""
        with self.lock:
            for history in self._histories.catch_up():
                self.cache.drop(history)
                self.learning.discard(history)
                derived = None if self._norms is None else self._norms.derived(history)
                if derived is not None:
                    self.cache.drop(derived)
            if self._items_version != self._histories.settings_version:
                if self._catalogue.catch_up(self._store):
                    self._take_items()
                self._items_version = self._histories.settings_version
            self._read_at = self._now()
            self._pause.end()
            return self._histories.applied

    def _take_items(self) -> None:
        """Let the model and the policy see the items as they are described now; lists of before do not count."""
        catalogue, changed = self._catalogue, self._new_items.take(self._catalogue.said)
        if changed:
            catalogue.adopt(self.model.fitted_on)
            self.states = self._states_of(self.model)
        if self._norms is not None:
            self._norms.describe(catalogue.ids, catalogue.metadata, self.model.fitted_on.tie_rank.cpu().numpy())
        if changed or self._norms is not None:
            self.cache.clear()

    def _states_of(self, model: Recommender) -> UserStates:
        return UserStates(
            model, self._catalogue.numbers, self.cache, self._length, self._catalogue.stock, self._repeats
        )

    def learn(self) -> None:
        """Let the belief of one user learn from a few events."""
        with self.lock:
            history = self.learning.next()
            if history is not None:
                self._histories.take_in(history)
                self.learning.learn(history)

    def save(self) -> None:
        """Save what beliefs have learned, so that a restart need not learn it again."""
        with self.lock:
            beliefs = self.learning.collect_unsaved()
        try:
            if beliefs:
                self._store.save_beliefs(beliefs)
        except StoreError:
            with self.lock:
                self.learning.keep_unsaved(self._histories.stored(user_id) for user_id in beliefs)
            raise

    def cached(self, user_id: str, n: int) -> UserHistory | None:
        """Return the history of a user who has a cached state, valid or not, for lists of a length."""
        history = self._histories.stored(user_id)
        if history is None:
            return None
        read = self.bound(user_id, UNSTATED, history, None, n).history
        return None if self.cache.last(read) is None else history

    def current(self, user_id: str) -> UserHistory:
        """Return the history of a user, up to date with the store, after a turn of learning."""
        self.catch_up()
        history = self._histories.current(user_id)
        self.learning.learn(history)
        if self._weighs_answers and history.meant_version != self.settings_version:
            self._note_meant(history)
        return history

    def reachable(self, user_id: str, stale_seconds: float) -> tuple[UserHistory, int | None]:
        """Return the history of a user, and None; while the store fails the one in memory, and how old it is.

        Raises:
            StoreError: the store cannot be read, and the user's history is not in memory or too old.
        """
        known = self._histories.stored(user_id) is not None
        history, age = self._unless_away(lambda: self.current(user_id), stale_seconds if known else 0.0)
        return self._histories.current(user_id) if history is None else history, age

    def reached(self, stale_seconds: float) -> int | None:
        """Apply the new changes of the store; return None, and while the store fails how long ago it was read.

        Raises:
            StoreError: the store cannot be read, and was read too long ago.
        """
        return self._unless_away(self.catch_up, stale_seconds)[1]

    def _unless_away(self, read: Callable[[], T], stale_seconds: float) -> tuple[T | None, int | None]:
        """Return what is read, and None; while the store fails, which it is not asked each time, None and its age."""
        age = max(0, self._now() - self._read_at)
        enough = age < stale_seconds
        if not enough or self._pause.is_over:
            try:
                with self._pause.watching():
                    return read(), None
            except StoreError:
                if not enough:
                    raise
        return None, age

    def _note_meant(self, history: UserHistory) -> None:
        """Read about which items the person has confirmed the answer."""
        names = self.settings.of(history.user_id, self.settings_version)
        items = [name.removeprefix(MEANT) for name in names if name.startswith(MEANT)]
        numbers = self._catalogue.numbers
        meant = frozenset(numbers[item] for item in items if item in numbers)
        if meant != history.meant:
            history.meant = meant
            history.version += 1
        history.meant_version = self.settings_version

    def bound(
        self,
        user_id: str | None,
        said: Circumstances,
        history: UserHistory,
        at: int | None,
        n: int,
        *,
        stale: bool = False,
    ) -> Bound:
        """Return what binds a list: the rules for who asks, and the history that may be read.

        `stale`: who asks is told by what was read last.
        """
        asker = rules = None
        moment = said.moment if said.moment is not None else self._now() if at is None else at
        if self._norms is not None:
            asker = self._norms.asker(user_id, said, stale=stale)
            rules = self._norms.rules(asker, moment, n)
        read = history
        if not said.profiling:
            read = UserHistory(corrections=history.corrections)
        elif self._norms is not None and rules is not None:
            read = self._norms.profiled(history, rules)
        return Bound(user_id, history, read, said, asker, rules, moment)

    def events(self, user_id: str) -> int:
        """Return how many events the history of a user has."""
        with self.lock:
            self.catch_up()
            return len(self._histories.current(user_id).timeline)

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        """Return the user's events in the log; none after the user was erased."""
        with self.lock:
            self.catch_up()
            return self._histories.logged_events(user_id)


def identity_of(
    model: Recommender, fingerprint: str, log: Interactions | None, trained_until: int, history: int
) -> str:
    """Return the identity of everything that the beliefs of a model depend on, beside the events of the store."""
    read = None if log is None else log.fingerprint
    settings = [type(model).__qualname__, model.parameters_of_constructor(), trained_until, history]
    content = json.dumps([fingerprint, model.fitted_on.fingerprint, read, settings, recsys.__version__], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def visitor_of(events: Sequence[HistoryEvent], item_numbers: Mapping[str, int], now: int) -> UserHistory:
    """Return the history of somebody who is not stored.

    Without times the order counts: one event a second, until a moment ago.
    """
    timed = all(event.time is not None for event in events)
    visitor = UserHistory()
    for place, event in enumerate(events):
        moment = event.time if timed and event.time is not None else now - len(events) + place
        number = item_numbers.get(event.item_id, UNKNOWN)
        kind = code_of(event.kind, event.value)
        rating = missing_as_nan(event.value if kind == CODES["rating"] else None)
        visitor.timeline.add(PendingEvent(number, rating, moment, kind))
        if number == UNKNOWN:
            visitor.note_unknown(event.item_id, moment, kind)
    return visitor
