"""Answers of a finished run: a fitted model, the log it was trained on, and the events since."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal, final

import numpy as np

import recsys
from recsys.bundles.index import Recommend
from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import BundleError, CapabilityError, DataError
from recsys.events.store import Correction, EventStore, StoreError
from recsys.explanations import Explanation
from recsys.explanations.half_life import user_half_lives
from recsys.explanations.similarity import similar
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.serving.answers import Details, UnknownError
from recsys.serving.catalogue import Catalogue
from recsys.serving.filters import UNFILTERED, Filters
from recsys.serving.lists.base import ListMaker
from recsys.serving.lists.cached import CachedLists, rounded_moment
from recsys.serving.lists.corrections import PersonaCorrections
from recsys.serving.lists.personas import PersonaLists
from recsys.serving.lists.plain import PlainLists
from recsys.serving.lists.visit import VisitShelf
from recsys.serving.norms.audits import line_of, request_of
from recsys.serving.norms.circumstances import UNSTATED, Circumstances
from recsys.serving.norms.norms import Bound, Norms
from recsys.serving.norms.ruled import Ruled
from recsys.serving.records import (
    HistoryEvent,
    Learning,
    LoggedEvent,
    Personas,
    RecommendationList,
    SimilarItem,
    SimilarItems,
    TitleMatches,
    UserSummaries,
    UserSummary,
)
from recsys.serving.users.histories import UserHistories
from recsys.serving.users.history import (
    BeliefLearning,
    PendingEvent,
    UserHistory,
    code_of,
    decayed_within,
    missing_as_nan,
)
from recsys.serving.users.state import UserCache, UserState, UserStates, excluding

_NAMED = 5
"""The most unknown items of a history, and of those to exclude, that an answer names."""

CACHE_BYTES = 100_000_000
"""Of cached user states, approximately."""

_LENGTH = 10
"""Of a list that is made before it is requested."""

_TURN = 0.003
"""Seconds of a turn of the search for reasons, until the step that is begun is done."""

_SAMPLED = 8
"""Users whose histories are compared for each example user."""


@final
class RunAnswers:
    """Implements `recsys.serving.answers.Answers` for a fitted model.

    Args:
        model: a fitted model of a log whose times are Unix seconds. Its beliefs change as events arrive.
        fingerprint: of the model.
        log: the events before the store's first; None: the store holds them all.
        store: the events since.
        trained_until: with `log` None, the last change of the store that the model was trained on.
        history: how many events of a user are read at most, the newest.
        clock: Unix seconds.
        recommend: finds the best items of `model.scoring_model`; that model itself when None.
        cache_bytes: size of the cache of user states, approximately; it changes no answer.
        norms: bind every list; None: nothing does.

    Raises:
        DataError: the log's times are not Unix seconds, as those of events are.
    """

    def __init__(
        self,
        model: Recommender,
        fingerprint: str,
        log: Interactions | None,
        store: EventStore,
        *,
        trained_until: int = 0,
        history: int = 2_000,
        clock: Callable[[], float] = time.time,
        recommend: Recommend | None = None,
        cache_bytes: int = CACHE_BYTES,
        norms: Norms | None = None,
    ) -> None:
        fitted = model.fitted_on
        if fitted.clock != "seconds":
            raise DataError(
                f"{fitted.dataset} has clock {fitted.clock!r}, and events come with Unix seconds; serve a run whose "
                "log has times"
            )
        self._model = model
        self._fingerprint = fingerprint
        self._clock = clock
        self._lock = threading.RLock()
        self._norms = norms
        self._catalogue = Catalogue(fitted)
        self._store = store
        identity = _identity(model, fingerprint, log, trained_until, history)
        self._learning = BeliefLearning(model, identity, history)
        self._histories = UserHistories(
            model, self._catalogue.numbers, log, store, self._learning, trained_until=trained_until
        )
        self._cache = UserCache(cache_bytes)
        self._states = UserStates(model, self._catalogue.numbers, self._cache, history)
        self._maker: ListMaker
        if isinstance(model, WithPersonas):
            self._maker = PersonaLists(model, self._catalogue, recommend)
        else:
            self._maker = PlainLists(model, self._catalogue, PersonaCorrections(model, fingerprint), recommend)
        self._recommend_scored = recommend or _scored_by(model)
        self._lists = CachedLists(self._maker, self._cache)
        self._visit = VisitShelf(model, self._catalogue)
        self.catch_up()
        self._histories.restore_beliefs(store.beliefs(identity))

    @property
    def model(self) -> str:
        return self._fingerprint

    @property
    def norms(self) -> Norms | None:
        return self._norms

    @property
    def applied(self) -> int:
        return self._histories.applied

    def catch_up(self) -> int:
        with self._lock:
            for history in self._histories.catch_up():
                self._cache.drop(history)
                self._learning.discard(history)
                derived = None if self._norms is None else self._norms.derived(history)
                if derived is not None:
                    self._cache.drop(derived)
            return self._histories.applied

    @property
    def warm(self) -> bool:
        return self._learning.warm

    @property
    def learning(self) -> bool:
        return self._learning.queued

    @property
    def unsaved(self) -> int:
        return self._learning.unsaved

    def learn(self) -> None:
        with self._lock:
            history = self._learning.next()
            if history is not None:
                self._histories.take_in(history)
                self._learning.learn(history)

    def save(self) -> None:
        with self._lock:
            beliefs = self._learning.collect_unsaved()
        try:
            if beliefs:
                self._store.save_beliefs(beliefs)
        except StoreError:
            with self._lock:
                self._learning.keep_unsaved(self._histories.stored(user_id) for user_id in beliefs)
            raise

    def prepare(self, user_id: str) -> bool:
        with self._lock:
            if self._cached(user_id) is None:
                return False
            self.catch_up()
            history = self._cached(user_id)
            if history is None:  # erased by now
                return False
            if history.pending or history.lesson.pending:
                self._learning.learn(self._histories.current(user_id))
                return True
            history = self._bound(user_id, UNSTATED, history, None, _LENGTH).history
            state = self._cache.get(history)
            if state is None:
                self._states.at(history, self._now(), None)
                return True
            if state.cached_list is None:
                self.recommend(user_id, _LENGTH, None, (), details="ready")
            return False

    def search(self, user_id: str) -> bool:
        with self._lock:
            stored = self._cached(user_id)
            if stored is None:
                return False
            history = self._bound(user_id, UNSTATED, stored, None, _LENGTH).history
            state = self._cache.get(history)
            return state is not None and self._lists.search(history, state, _TURN)

    def check(self) -> None:
        fitted = self._model.fitted_on
        try:
            if self._model.needs_known_users:
                self.recommend(str(fitted.users.id_of(0)), _LENGTH, None, ())
            else:
                self.recommend_for([HistoryEvent(self._catalogue.ids[int(fitted.tie_order[0])])], _LENGTH, None, ())
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
            raise BundleError(f"the model cannot answer ({type(error).__name__}); train the run again") from error

    def recommend(
        self,
        user_id: str,
        n: int,
        at: int | None,
        exclude: Collection[str],
        *,
        details: Details = True,
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        with self._lock:
            bound = self._bound(user_id, said, self._current(user_id), at, n)
            queries, state = self._states.at(bound.history, self._now(), at, exclude)
            return self._recommend(bound, queries, state, n, at, exclude, details, filters)

    def recommend_now(
        self,
        user_id: str,
        n: int,
        at: int | None,
        exclude: Collection[str],
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        if filters.persona is not None:
            raise CapabilityError("the shelf of the present visit belongs to no persona; leave out persona, or shelf")
        with self._lock:
            bound = self._bound(user_id, said, self._current(user_id), at, n)
            history, rules = bound.history, bound.rules
            queries, state = self._states.at(history, self._now(), at, exclude)
            items: tuple[Explanation, ...] = ()
            if self._visit.is_open(queries):
                listed = self._recommend(bound, queries, state, n, at, exclude, "ready", filters)
                passing = excluding(queries, self._catalogue.outside(filters)) if filters.names_items else queries
                main = [self._catalogue.numbers[str(one.item_id)] for one in listed.items]
                others = excluding(passing, np.asarray(main, np.int32))
                heard = self._maker.heard(others, int(queries.now[0]), state, history.corrections)
                items = self._visit.items(heard if rules is None else rules.allowed(heard), n)
            if rules is not None:  # a shelf may be short: what it may not have too much of is left out
                numbers = [self._catalogue.numbers[str(one.item_id)] for one in items]
                kept = set(rules.within_bounds(numbers))
                items = tuple(one for one, number in zip(items, numbers, strict=True) if number in kept)
            return RecommendationList(
                self._fingerprint,
                int(queries.now[0]),
                state.known_events,
                (),
                items,
                _learning(bound.stored),
                reasons="unsearched",
            )

    def recommend_for(
        self,
        history: Sequence[HistoryEvent],
        n: int,
        at: int | None,
        exclude: Collection[str],
        *,
        details: Details = True,
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        timed = all(event.time is not None for event in history)
        now = self._now()
        visitor = UserHistory()
        for place, event in enumerate(history):
            # Without times the order counts: one event a second, until a moment ago.
            moment = event.time if timed and event.time is not None else now - len(history) + place
            number = self._catalogue.numbers.get(event.item_id, UNKNOWN)
            kind = code_of(event.kind, event.value)
            rating = missing_as_nan(event.value if kind == CODES["rating"] else None)
            visitor.timeline.add(PendingEvent(number, rating, moment, kind))
            if number == UNKNOWN:
                visitor.note_unknown(event.item_id, moment)
        with self._lock:
            bound = self._bound(None, said, visitor, at, n)
            queries, state = self._states.at(bound.history, now, at, exclude, keep=False)
            return self._recommend(bound, queries, state, n, at, exclude, details, filters)

    def personas(self, user_id: str, at: int | None) -> Personas:
        with self._lock:
            stored = self._current(user_id)
            bound = self._bound(user_id, UNSTATED, stored, at, _LENGTH)
            history = bound.history
            queries, state = self._states.at(history, self._now(), at)
            told = self._maker.personas(queries, state, history.corrections)
            listed = self._lists.recommend(
                history, queries, state, _LENGTH, exact_time=at is not None, details="ready", rules=bound.rules
            )
            half_lives = user_half_lives(decayed_within(self._model) or self._model, queries)
        seats = {shelf.persona: shelf.seats for shelf in listed.shelves if shelf.persona is not None}
        personas = [
            one if one.seats is None else replace(one, seats=seats.get(one.persona, 0)) for one in told.personas
        ]
        return Personas(
            self._fingerprint,
            int(queries.now[0]),
            told.times,
            half_lives[0] if half_lives and len(queries.times) else None,
            tuple(sorted(personas, key=lambda persona: -persona.share_now)),
            _learning(stored),
            told.unmatched,
        )

    def similar(self, item_id: str, n: int) -> SimilarItems:
        number = self._catalogue.numbers.get(item_id)
        if number is None:
            raise UnknownError("the model does not know this item; give the id of one of the log it was trained on")
        removed: frozenset[int] = frozenset()
        if self._norms is not None:  # of somebody of whom nothing is known
            rules = self._norms.rules(self._norms.asker(None, UNSTATED), self._now(), n)
            removed = frozenset(rules.removed.tolist())
        with self._lock:
            if self._model.folds_in:  # the best items for a history of this one
                queries = self._model.read(Queries.from_history([[number]])).queries
                best = self._recommend_scored(excluding(queries, np.asarray(sorted(removed), np.int32)), n)
            else:
                best = similar(self._model, number, min(n + len(removed), self._model.n_items))
        titles = self._catalogue.titles
        items = [
            SimilarItem(self._catalogue.ids[other], titles[other], score)
            for other, score in zip(best.items[0].tolist(), best.scores[0].tolist(), strict=True)
            if other != UNKNOWN and other not in removed
        ][:n]
        return SimilarItems(self._fingerprint, item_id, titles[number], tuple(items))

    def title_of(self, item_id: str) -> str | None:
        return self._catalogue.title_of(item_id)

    @property
    def genres(self) -> tuple[str, ...]:
        return self._catalogue.genre_names

    def search_titles(self, query: str, n: int) -> TitleMatches:
        return TitleMatches(self._fingerprint, self._catalogue.search(query, n))

    def example_users(self, n: int) -> UserSummaries:
        users = self._model.fitted_on.users
        numbers = np.unique(np.linspace(0, len(users) - 1, min(len(users), _SAMPLED * n)).astype(int))
        sample = [self.user_summary(str(users.id_of(number))) for number in numbers.tolist()]
        longest = sorted((user for user in sample if user.events), key=lambda user: -user.events)
        return UserSummaries(self._fingerprint, tuple(longest[:n]))

    def user_summary(self, user_id: str) -> UserSummary:
        with self._lock:
            self.catch_up()
            return UserSummary(user_id, len(self._histories.current(user_id).timeline))

    @property
    def corrections_of(self) -> str:
        return self._maker.stored_under

    def check_correction(self, user_id: str, persona: int, correction: Correction) -> None:
        self._maker.check(persona, correction)
        with self._lock:
            history = self._current(user_id)
            if persona not in history.corrections:
                _, state = self._states.at(history, self._now(), None)
                self._maker.check_user(persona, state, history.corrections)

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        with self._lock:
            self.catch_up()
            return self._histories.logged_events(user_id)

    def _now(self) -> int:
        return int(self._clock())

    def _cached(self, user_id: str) -> UserHistory | None:
        """Return the history of a user who has a cached state, valid or not."""
        history = self._histories.stored(user_id)
        if history is None:
            return None
        read = self._bound(user_id, UNSTATED, history, None, _LENGTH).history
        return None if self._cache.last(read) is None else history

    def _current(self, user_id: str) -> UserHistory:
        """Return the history of a user, up to date with the store, after a turn of learning."""
        self.catch_up()
        history = self._histories.current(user_id)
        self._learning.learn(history)
        return history

    def _bound(self, user_id: str | None, said: Circumstances, history: UserHistory, at: int | None, n: int) -> Bound:
        """Return what binds a list: the rules for who asks, and the history that may be read."""
        asker = rules = None
        if self._norms is not None:
            asker = self._norms.asker(user_id, said)
            moment = said.moment if said.moment is not None else self._now() if at is None else at
            rules = self._norms.rules(asker, moment, n)
        if not said.profiling:
            return Bound(user_id, history, UserHistory(corrections=history.corrections), said, asker, rules)
        read = history if self._norms is None or rules is None else self._norms.profiled(history, rules)
        return Bound(user_id, history, read, said, asker, rules)

    def _recommend(
        self,
        bound: Bound,
        queries: Queries,
        state: UserState,
        n: int,
        at: int | None,
        exclude: Collection[str],
        details: Details,
        filters: Filters,
    ) -> RecommendationList:
        if filters.names_items:
            queries = excluding(queries, self._catalogue.outside(filters))
        exact, history, rules = at is not None, bound.history, bound.rules
        listed = self._lists.recommend(
            history, queries, state, n, exact_time=exact, details=details, persona=filters.persona, rules=rules
        )
        applied, shaped = None, False
        if self._norms is not None and bound.asker is not None and rules is not None and listed.ruled is not None:
            shaped = listed.ruled.shaped

            def without(left_out: frozenset[str]) -> Ruled:
                return self._lists.choose(
                    history, queries, state, n, rules.without(left_out), exact_time=exact, persona=filters.persona
                )

            applied = self._norms.applied(bound.asker, rules, listed.ruled, without if bound.said.decisions else None)
            if bound.said.recorded:
                now = int(queries.now[0])
                line = line_of(
                    rules.bound,
                    listed.ruled,
                    self._norms.catalogue,
                    context=bound.asker.context,
                    own=bound.asker.own,
                    request={
                        "time": now,
                        "moment": now if exact else rounded_moment(now, queries.times),
                        "model": self._fingerprint,
                        **request_of(n, exclude, filters, profiling=bound.said.profiling),
                    },
                )
                applied = replace(applied, audit=self._norms.record(line, bound.user_id))
        kept = not (exact or exclude or filters.any)
        unknown = [item for item, time in history.unknown.items() if at is None or time < at]
        excluded = [item for item in dict.fromkeys(exclude) if item not in self._catalogue.numbers]
        return RecommendationList(
            self._fingerprint,
            int(queries.now[0]),
            state.known_events,
            tuple(unknown[:_NAMED]),
            listed.items,
            _learning(bound.stored),
            tuple(excluded[:_NAMED]),
            listed.shelves,
            _reasons(details, searched=listed.rest is None and not shaped, kept=kept and not shaped),
            applied,
        )


def _scored_by(model: Recommender) -> Recommend:
    """Return what finds the best scores of the model that scores, whoever owns the items."""
    scoring = (model.base if isinstance(model, WithPersonas) else model).scoring_model
    return scoring.recommend


def _reasons(details: Details, *, searched: bool, kept: bool) -> Literal["searched", "pending", "unsearched"]:
    return "searched" if details and searched else "pending" if details and kept else "unsearched"


def _learning(history: UserHistory) -> Learning | None:
    lesson = history.lesson
    return Learning(lesson.learned, lesson.pending) if lesson.pending else None


def _identity(model: Recommender, fingerprint: str, log: Interactions | None, trained_until: int, history: int) -> str:
    """Return the identity of everything that the beliefs of a model depend on, beside the events of the store."""
    read = None if log is None else log.fingerprint
    settings = [type(model).__qualname__, model.parameters_of_constructor(), trained_until, history]
    content = json.dumps([fingerprint, model.fitted_on.fingerprint, read, settings, recsys.__version__], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
