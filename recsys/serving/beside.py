"""Two models side by side: each user has one of them, always the same, and answers say which."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

from recsys.errors import ConfigError
from recsys.events.store import Correction
from recsys.serving.answers import Answers, Details
from recsys.serving.filters import UNFILTERED, Filters
from recsys.serving.interview.records import InterviewScreen, SaidAnswer
from recsys.serving.items.popularity import Ranking
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
    SimilarItems,
    Summary,
    TitleMatches,
    UserSummaries,
    UserSummary,
)


@final
@dataclass(frozen=True)
class Split:
    """Which users have the model that is tried: those whose hash lies below a share.

    It depends on nothing but the name and the user, so that it is the same in every process and after a restart. A
    larger share keeps all users of a smaller one; another name draws anew.

    Attributes:
        share: of users, from 0 to 1.
        name: of the trial.

    Raises:
        ConfigError: the share is none.
    """

    share: float
    name: str = "beside"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"--share is {self.share:g}; give a share of users from 0 to 1")

    def has(self, user_id: str) -> bool:
        """Return whether a user has the model that is tried.

        >>> users = [f"user {number}" for number in range(1000)]
        >>> 70 < sum(map(Split(0.1).has, users)) < 130
        True
        """
        digest = hashlib.sha256(f"{self.name}\n{user_id}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64


@final
class SideBySide:
    """Implements `recsys.serving.answers.Answers` with two models. What is of no stored user is of the main one.

    Args:
        main: answers most.
        beside: answers the users of the split.
        split: of users.
    """

    def __init__(self, main: Answers, beside: Answers, split: Split) -> None:
        self._main = main
        self._beside = beside
        self._split = split

    def of(self, user_id: str) -> Answers:
        return self._beside if self._split.has(user_id) else self._main

    @property
    def model(self) -> str:
        return self._main.model

    @property
    def norms(self) -> Norms | None:
        return self._main.norms

    @property
    def applied(self) -> int:
        return min(self._main.applied, self._beside.applied)

    def catch_up(self) -> int:
        return min(self._main.catch_up(), self._beside.catch_up())

    def check(self) -> None:
        self._main.check()
        self._beside.check()

    def prepare(self, user_id: str) -> bool:
        return self.of(user_id).prepare(user_id)

    def search(self, user_id: str) -> bool:
        return self.of(user_id).search(user_id)

    @property
    def warm(self) -> bool:
        return self._main.warm and self._beside.warm

    @property
    def learning(self) -> bool:
        return self._main.learning or self._beside.learning

    @property
    def unsaved(self) -> int:
        return self._main.unsaved + self._beside.unsaved

    def learn(self) -> None:
        (self._main if self._main.learning else self._beside).learn()

    def save(self) -> None:
        self._main.save()
        self._beside.save()

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
        return self.of(user_id).recommend(
            user_id, n, at, exclude, details=details, filters=filters, said=said, stale_seconds=stale_seconds
        )

    def recommend_now(
        self,
        user_id: str,
        n: int,
        at: int | None,
        exclude: Collection[str],
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        return self.of(user_id).recommend_now(user_id, n, at, exclude, filters, said)

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
        return self._main.recommend_for(history, n, at, exclude, details=details, filters=filters, said=said)

    def recommend_text(
        self,
        text: str,
        n: int,
        exclude: Collection[str],
        *,
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        return self._main.recommend_text(text, n, exclude, filters=filters, said=said)

    def summary(self, user_id: str) -> Summary:
        return self.of(user_id).summary(user_id)

    def check_summary(self, text: str) -> str:
        return self._main.check_summary(text)

    def personas(self, user_id: str, at: int | None) -> Personas:
        return self.of(user_id).personas(user_id, at)

    def interview(
        self,
        said: Sequence[SaidAnswer],
        n: int,
        screen: int,
        skipped: Collection[str] = (),
        user_id: str | None = None,
    ) -> InterviewScreen:
        answers = self._main if user_id is None else self.of(user_id)
        return answers.interview(said, n, screen, skipped, user_id)

    def reliability(self, user_id: str, n: int) -> PersonsReliability:
        return self.of(user_id).reliability(user_id, n)

    def ask_again(self, user_id: str, n: int) -> QuestionsAgain:
        return self.of(user_id).ask_again(user_id, n)

    def check_answered(self, user_id: str, item_id: str) -> None:
        self.of(user_id).check_answered(user_id, item_id)

    def similar(self, item_id: str, n: int, filters: Filters = UNFILTERED) -> SimilarItems:
        return self._main.similar(item_id, n, filters)

    def title_of(self, item_id: str) -> str | None:
        return self._main.title_of(item_id)

    def item(self, item_id: str) -> CatalogueItem:
        return self._main.item(item_id)

    def items_of(self, item_ids: Sequence[str]) -> list[CatalogueItem | None]:
        return self._main.items_of(item_ids)

    @property
    def genres(self) -> tuple[str, ...]:
        return self._main.genres

    def find_items(
        self,
        query: str | None,
        n: int,
        filters: Filters = UNFILTERED,
        available: bool | None = None,
        cursor: str | None = None,
    ) -> TitleMatches:
        return self._main.find_items(query, n, filters, available, cursor)

    def ranked_items(self, ranking: Ranking, n: int, filters: Filters, cursor: str | None = None) -> RankedItems:
        return self._main.ranked_items(ranking, n, filters, cursor)

    def example_users(self, n: int) -> UserSummaries:
        return self._main.example_users(n)

    def user_summary(self, user_id: str) -> UserSummary:
        return self.of(user_id).user_summary(user_id)

    @property
    def corrections_of(self) -> str:
        return self._main.corrections_of

    def check_correction(self, user_id: str, persona: int, correction: Correction) -> None:
        self.of(user_id).check_correction(user_id, persona, correction)

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        return self.of(user_id).logged_events(user_id)
