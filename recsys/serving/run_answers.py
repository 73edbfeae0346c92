"""Answers of a finished run: a fitted model, the log it was trained on, and the events since."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from recsys.bundles.index import Recommend
from recsys.data.interactions import Interactions
from recsys.data.pairs import Splits
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import BundleError, CapabilityError, DataError
from recsys.events.checks import shown
from recsys.events.impressions.records import Variant
from recsys.events.store import Correction, EventStore
from recsys.experiments.answers.event_reliability import ask_again, person_reliability, reliable_within
from recsys.explanations.half_life import user_half_lives
from recsys.explanations.similarity import similar
from recsys.models.base import Recommender
from recsys.serving.answers import Answers, Details, UnknownError
from recsys.serving.filters import UNFILTERED, Filters
from recsys.serving.interview.asking import Asking
from recsys.serving.interview.records import InterviewScreen, SaidAnswer
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.items.finding import found_items, ranked_items
from recsys.serving.items.popularity import Popularity, Ranking
from recsys.serving.lists.answered import Asked, learning_of
from recsys.serving.lists.made import ListSettings, MadeLists
from recsys.serving.lists.summary import WrittenText
from recsys.serving.norms.circumstances import UNSTATED, Circumstances
from recsys.serving.norms.norms import Norms
from recsys.serving.records import (
    CatalogueItem,
    HistoryEvent,
    LoggedEvent,
    Personas,
    PersonsReliability,
    QuestionsAgain,
    RankedItems,
    RecommendationList,
    SimilarItem,
    SimilarItems,
    Summary,
    TitleMatches,
    UserSummaries,
    UserSummary,
)
from recsys.serving.users.history import UserHistory
from recsys.serving.users.reliability import questions_of, reliability_of
from recsys.serving.users.served import ServedUsers, identity_of, visitor_of
from recsys.serving.users.state import excluding

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
        splits: how split people are over pairs of items, told of listed ones; None: it is not known.
        repeats: whether items of a history may be listed again, unless they are disliked.
        variant: which of two models this is.

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
        splits: Splits | None = None,
        repeats: bool = False,
        variant: Variant = "main",
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
        self._norms = norms
        self._catalogue = Catalogue(fitted)
        self._users = ServedUsers(
            model,
            identity_of(model, fingerprint, log, trained_until, history),
            self._catalogue,
            log,
            store,
            trained_until=trained_until,
            history=history,
            now=self._now,
            cache_bytes=cache_bytes,
            norms=norms,
            repeats=repeats,
        )
        self._lock = self._users.lock
        self._settings = ListSettings(
            fingerprint, self._catalogue, self._users.settings, self._users.cache, recommend, norms, splits, variant
        )
        self._made = MadeLists.of(self._users.model, self._settings)
        self._asking = Asking(fingerprint, fitted, self._catalogue, log)
        self._popularity = Popularity(store, log)

    @property
    def _lists(self) -> MadeLists:
        """What makes the lists of the model with the items that it has now."""
        model = self._users.model
        if self._made.model is not model:  # an index holds no new item
            settings = self._settings if model is self._model else replace(self._settings, recommend=None)
            self._made = MadeLists.of(model, settings)
        return self._made

    @property
    def model(self) -> str:
        return self._fingerprint

    def of(self, user_id: str) -> Answers:
        return self

    @property
    def norms(self) -> Norms | None:
        return self._norms

    @property
    def applied(self) -> int:
        return self._users.applied

    def catch_up(self) -> int:
        return self._users.catch_up()

    @property
    def warm(self) -> bool:
        return self._users.learning.warm

    @property
    def learning(self) -> bool:
        return self._users.learning.queued

    @property
    def unsaved(self) -> int:
        return self._users.learning.unsaved

    def learn(self) -> None:
        self._users.learn()

    def save(self) -> None:
        self._users.save()

    def prepare(self, user_id: str) -> bool:
        with self._lock:
            if self._users.cached(user_id, _LENGTH) is None:
                return False
            self.catch_up()
            history = self._users.cached(user_id, _LENGTH)
            if history is None:  # erased by now
                return False
            if history.pending or history.lesson.pending:
                self._users.current(user_id)
                return True
            history = self._users.bound(user_id, UNSTATED, history, None, _LENGTH).history
            state = self._users.cache.get(history)
            if state is None:
                self._users.states.at(history, self._now(), None)
                return True
            if state.cached_list is None and self._written(user_id, None, UNSTATED) is None:
                self.recommend(user_id, _LENGTH, None, (), details="ready")
            return False

    def search(self, user_id: str) -> bool:
        with self._lock:
            stored = self._users.cached(user_id, _LENGTH)
            if stored is None:
                return False
            history = self._users.bound(user_id, UNSTATED, stored, None, _LENGTH).history
            state = self._users.cache.get(history)
            return state is not None and self._lists.cached.search(history, state, _TURN)

    def check(self) -> None:
        fitted = self._model.fitted_on
        self._asking.prepare()
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
        stale_seconds: float = 0.0,
    ) -> RecommendationList:
        with self._lock:
            history, age = self._users.reachable(user_id, stale_seconds)
            bound = self._users.bound(user_id, said, history, at, n, stale=age is not None)
            queries, state = self._users.states.at(bound.history, self._now(), at, exclude)
            written = self._written(user_id, at, said, stale=age is not None)
            asked = Asked(n, at, exclude, details, filters)
            listed = self._lists.answered.recommend(bound, queries, state, asked, written)
        return _as_of(listed, age)

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
            bound = self._users.bound(user_id, said, self._users.current(user_id), at, n)
            queries, state = self._users.states.at(bound.history, self._now(), at, exclude)
            written = self._written(user_id, at, said)
            return self._lists.answered.visit(bound, queries, state, Asked(n, at, exclude, "ready", filters), written)

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
        stale_seconds: float = 0.0,
    ) -> RecommendationList:
        now = self._now()
        visitor = visitor_of(history, self._users.trained_numbers, now)
        with self._lock:
            age = self._users.reached(stale_seconds)
            bound = self._users.bound(None, said, visitor, at, n)
            queries, state = self._users.states.at(bound.history, now, at, exclude, keep=False)
            listed = self._lists.answered.recommend(bound, queries, state, Asked(n, at, exclude, details, filters))
        return _as_of(listed, age)

    def recommend_text(
        self,
        text: str,
        n: int,
        exclude: Collection[str],
        *,
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
        stale_seconds: float = 0.0,
    ) -> RecommendationList:
        now = self._now()
        with self._lock:
            age = self._users.reached(stale_seconds)
            bound = self._users.bound(None, said, UserHistory(), None, n)
            queries, state = self._users.states.at(bound.history, now, None, exclude, keep=False)
            asked, written = Asked(n, None, exclude, True, filters), self._lists.summaries.asked(text)
            listed = self._lists.answered.recommend(bound, queries, state, asked, written)
        return _as_of(listed, age)

    def _written(self, user_id: str, at: int | None, said: Circumstances, *, stale: bool = False) -> WrittenText | None:
        """Return the text that a user's list is made of: not of an earlier moment, unless an audit replays it.

        `stale`: as it was read last.
        """
        if not (said.profiling and said.of_text) or (at is not None and said.moment is None):
            return None
        return self._lists.summaries.stored(user_id, self._users.settings_version, stale=stale)

    def summary(self, user_id: str) -> Summary:
        with self._lock:
            queries, _ = self._users.states.at(self._users.current(user_id), self._now(), None)
            return self._lists.summaries.of(user_id, queries, self._users.settings_version)

    def check_summary(self, text: str) -> str:
        with self._lock:
            return self._lists.summaries.checked(text)

    def personas(self, user_id: str, at: int | None) -> Personas:
        with self._lock:
            stored = self._users.current(user_id)
            bound = self._users.bound(user_id, UNSTATED, stored, at, _LENGTH)
            history = bound.history
            queries, state = self._users.states.at(history, self._now(), at)
            told = self._lists.maker.personas(queries, state, history.corrections)
            listed = self._lists.cached.recommend(
                history, queries, state, _LENGTH, exact_time=at is not None, details="ready", rules=bound.rules
            )
            half_lives = user_half_lives(self._users.model, queries)
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
            learning_of(stored),
            told.unmatched,
        )

    def interview(
        self,
        said: Sequence[SaidAnswer],
        n: int,
        screen: int,
        skipped: Collection[str] = (),
        user_id: str | None = None,
    ) -> InterviewScreen:
        with self._lock:
            if user_id is None:
                return self._asking.screen(said, n, screen, skipped, self._removed_from_all(n))
            bound = self._users.bound(user_id, UNSTATED, self._users.current(user_id), None, n)
            queries, _ = self._users.states.at(bound.history, self._now(), None)
            own = queries if bound.rules is None else bound.rules.allowed(queries)
            removed = set(own.excluded.items.tolist()) - {UNKNOWN}
            return self._asking.screen(said, n, screen, skipped, removed, queries)

    def reliability(self, user_id: str, n: int) -> PersonsReliability:
        with self._lock:
            found = person_reliability(reliable_within(self._users.model), self._own_events(user_id))
        return reliability_of(self._fingerprint, self._catalogue, found, n)

    def ask_again(self, user_id: str, n: int) -> QuestionsAgain:
        with self._lock:
            model = reliable_within(self._users.model)
            found = ask_again(model, self._own_events(user_id), n)
        return questions_of(self._fingerprint, self._catalogue, model.fitted_mixture, found)

    def check_answered(self, user_id: str, item_id: str) -> None:
        reliable_within(self._users.model)
        number = self._catalogue.numbers.get(item_id, UNKNOWN)
        with self._lock:
            items = self._own_events(user_id).history.items
        if number == UNKNOWN or number not in items:
            raise UnknownError(
                "this user has no event with this item; GET /v1/users/{id}/reliability lists those there are"
            )

    def _own_events(self, user_id: str) -> Queries:
        """Return a user as one query, with what the policy lets be read."""
        bound = self._users.bound(user_id, UNSTATED, self._users.current(user_id), None, _LENGTH)
        return self._users.states.at(bound.history, self._now(), None)[0]

    def similar(self, item_id: str, n: int, filters: Filters = UNFILTERED) -> SimilarItems:
        number = self._users.trained_numbers.get(item_id)
        if number is None:
            raise UnknownError("the model does not know this item; give the id of one of the log it was trained on")
        with self._lock:
            self.catch_up()
            removed = self._removed_from_all(n)
            if filters.names_items:
                removed |= frozenset(self._catalogue.outside(filters).tolist())
            ids, titles = self._catalogue.ids, self._catalogue.titles
            model = self._users.model
            if model.folds_in:  # the best items for a history of this one
                queries = model.read(Queries.from_history([[number]])).queries
                best = self._lists.scored(excluding(queries, np.asarray(sorted(removed), np.int32)), n)
            else:
                best = similar(model, [number], min(n + len(removed), model.n_items))
        items = [
            SimilarItem(ids[other], titles[other], score)
            for other, score in zip(best.items[0].tolist(), best.scores[0].tolist(), strict=True)
            if other != UNKNOWN and other not in removed
        ][:n]
        return SimilarItems(self._fingerprint, item_id, titles[number], tuple(items))

    def _removed_from_all(self, n: int) -> frozenset[int]:
        """Return the items that are unavailable, or that the policy keeps from somebody of whom nothing is known."""
        gone = frozenset(self._catalogue.stock.unavailable.tolist())
        if self._norms is None:
            return gone
        rules = self._norms.rules(self._norms.asker(None, UNSTATED), self._now(), n)
        return gone.union(rules.removed.tolist())

    def title_of(self, item_id: str) -> str | None:
        return self._catalogue.title_of(item_id)

    @property
    def genres(self) -> tuple[str, ...]:
        return self._catalogue.genre_names

    def item(self, item_id: str) -> CatalogueItem:
        self.catch_up()
        found = self._catalogue.item(item_id)
        if found is None:
            raise UnknownError(f"there is no item {shown(item_id)}; GET /v1/items finds items by title")
        return found

    def items_of(self, item_ids: Sequence[str]) -> list[CatalogueItem | None]:
        return [self._catalogue.item(item_id) for item_id in item_ids]

    def find_items(
        self,
        query: str | None,
        n: int,
        filters: Filters = UNFILTERED,
        available: bool | None = None,
        cursor: str | None = None,
    ) -> TitleMatches:
        self.catch_up()
        return found_items(self._fingerprint, self._catalogue, query, n, filters, available, cursor)

    def ranked_items(self, ranking: Ranking, n: int, filters: Filters, cursor: str | None = None) -> RankedItems:
        self.catch_up()
        if ranking == "latest":
            ranked = [(float(time), item) for time, item in self._catalogue.newest()]
            as_of = int(ranked[0][0]) if ranked else 0
        else:
            made = self._popularity.rankings()
            ranked, as_of = list(made.popular if ranking == "popular" else made.trending), made.as_of
        with self._lock:  # numbers of items hold until the model takes others
            removed = None if self._norms is None else self._removed_from_all(n)
            return ranked_items(self._fingerprint, self._catalogue, ranking, ranked, as_of, n, filters, removed, cursor)

    def example_users(self, n: int) -> UserSummaries:
        users = self._model.fitted_on.users
        numbers = np.unique(np.linspace(0, len(users) - 1, min(len(users), _SAMPLED * n)).astype(int))
        sample = [self.user_summary(str(users.id_of(number))) for number in numbers.tolist()]
        longest = sorted((user for user in sample if user.events), key=lambda user: -user.events)
        return UserSummaries(self._fingerprint, tuple(longest[:n]))

    def user_summary(self, user_id: str) -> UserSummary:
        return UserSummary(user_id, self._users.events(user_id))

    @property
    def corrections_of(self) -> str:
        return self._lists.maker.stored_under

    def check_correction(self, user_id: str, persona: int, correction: Correction) -> None:
        self._lists.maker.check(persona, correction)
        with self._lock:
            history = self._users.current(user_id)
            if persona not in history.corrections:
                read = self._users.bound(user_id, UNSTATED, history, None, _LENGTH).history  # as `personas` reads it
                _, state = self._users.states.at(read, self._now(), None)
                self._lists.maker.check_user(persona, state, history.corrections)

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        return self._users.logged_events(user_id)

    def _now(self) -> int:
        return int(self._clock())


def _as_of(listed: RecommendationList, age: int | None) -> RecommendationList:
    """Return a list as it is, or, of a store that was read some seconds ago, marked."""
    return listed if age is None else replace(listed, stale=True, stale_seconds=age)
