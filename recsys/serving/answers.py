"""The protocol between the service and a fitted model.

The service depends on this protocol alone. `recsys.serving.run_answers` implements it for a finished run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, Protocol, final

from recsys.errors import RecsysError
from recsys.events.store import Correction
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

Details = bool | Literal["ready"]
"""Whether reasons are searched, see `Answers.recommend`."""


@final
class UnknownError(RecsysError):
    """The model does not know an item, a genre or a persona."""


class Answers(Protocol):
    """A fitted model with the histories of all users. Safe to use from several threads.

    Each answer reflects every change that was in the store when it was requested. Beliefs in half-lives learn from new
    events a few at a time, with each answer of the user and with `learn`; an answer says how far they are.

    Raises (every answer):
        CapabilityError: the model cannot do it.
        StoreError: the store cannot be read.
    """

    @property
    def model(self) -> str:
        """Fingerprint of the model: two with the same have learned the same."""

    def of(self, user_id: str) -> Answers:
        """Return the answers of one model that a user has: these, unless two models answer."""

    @property
    def norms(self) -> Norms | None:
        """The policy that binds the lists; None without one."""

    @property
    def applied(self) -> int:
        """Sequence number of the last change of the store that the answers reflect."""

    def catch_up(self) -> int:
        """Apply the new changes of the store, and return the sequence number of the last one."""

    def check(self) -> None:
        """Answer a request, so that a model that cannot answer is found before it serves.

        Raises:
            RecsysError: it cannot.
        """

    def prepare(self, user_id: str) -> bool:
        """Do a part of the work for a user's next list, if the user has a cached state; it changes no answer.

        Returns:
            Whether there is more to do.
        """

    def search(self, user_id: str) -> bool:
        """Search for a few milliseconds for the reasons of a user's cached list; it changes no answer.

        Returns:
            Whether there is more to do.
        """

    @property
    def warm(self) -> bool:
        """Whether beliefs have learned from the events that were stored at the start, or from many of them."""

    @property
    def learning(self) -> bool:
        """Whether there is something to `learn`."""

    @property
    def unsaved(self) -> int:
        """How many events beliefs have learned from since `save`."""

    def learn(self) -> None:
        """Let the belief of one user learn from a few events, see `users.history.TURN`."""

    def save(self) -> None:
        """Save what beliefs have learned, so that a restart need not learn it again."""

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
        """Return explained recommendations for a user, known or not.

        Args:
            user_id: external id.
            n: length of the list; it is shorter where fewer items may be recommended.
            at: only events before this moment are visible, Unix seconds. None: all of them, and the moment is now.
            exclude: items that must not be recommended, beside those of the history.
            details: whether to search for the events without which items would leave the list, which takes most of the
                time. Without, no sentence claims a "because". "ready": where they were searched before; else the
                answer's `reasons` are pending, and `search` searches them; of a list at another moment, or without
                items that are not of the history, they stay unsearched.
            filters: which items may be listed.
            said: who asks, for the policy, and whether the history may be read.
            stale_seconds: how long ago the store may have been read last, where it does not answer and the user's
                history is in memory; the list then says that it is stale.

        Raises:
            UnknownError: there is no such genre, or the user has no such persona, or muted it.
        """

    def recommend_now(
        self,
        user_id: str,
        n: int,
        at: int | None,
        exclude: Collection[str],
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        """Return more like what a user did in the visit that is going on, and nothing of the user's list of n.

        It is empty before the first event of a visit, and again when nothing has happened for
        `recsys.data.sessions.PAUSE`. Arguments as for `recommend`; no persona may be named. Reasons are not searched.

        Raises:
            CapabilityError: the model does not fold in.
            DataError: the filters name a persona.
        """

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
        """Return explained recommendations for an anonymous user with this history, which is not stored.

        While the store does not answer, items are as they were described last, as long as `stale_seconds` ago.
        """

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
        """Return explained recommendations for somebody of whom nothing is known but a text; see `recommend_for`.

        Raises:
            DataError: the text cannot be read; the message names the word and the nearest known one.
        """

    def summary(self, user_id: str) -> Summary:
        """Return the text about a user: the user's own, else what the history says."""

    def check_summary(self, text: str) -> str:
        """Return a text in the words of the grammar.

        Raises:
            DataError: it cannot be read.
        """

    def personas(self, user_id: str, at: int | None) -> Personas:
        """Return a user's personas."""

    def interview(
        self,
        said: Sequence[SaidAnswer],
        n: int,
        screen: int,
        skipped: Collection[str] = (),
        user_id: str | None = None,
    ) -> InterviewScreen:
        """Return the next questions, and the list of n that the answers so far make.

        Args:
            said: the answers so far, the earliest first.
            n: length of the list.
            screen: questions of a screen.
            skipped: items that are not to be asked about.
            user_id: a user, whose events are answers, too, and whose items are not asked about; None: somebody new.

        Raises:
            UnknownError: the model does not know an item.
            DataError: an answer cannot be read.
            CapabilityError: the run's log is not at hand.
        """

    def reliability(self, user_id: str, n: int) -> PersonsReliability:
        """Return how far the n newest events of a user count, and why.

        Raises:
            CapabilityError: the model counts all answers alike.
        """

    def ask_again(self, user_id: str, n: int) -> QuestionsAgain:
        """Return the n questions to a user whose repeat would tell most.

        Raises:
            CapabilityError: the model tells no answers apart.
        """

    def check_answered(self, user_id: str, item_id: str) -> None:
        """Raise unless the model weighs answers and the user has an event with this item.

        Raises:
            UnknownError: there is none.
            CapabilityError: the model counts all answers alike.
        """

    def similar(self, item_id: str, n: int, filters: Filters = UNFILTERED) -> SimilarItems:
        """Return the items most similar to an item.

        Raises:
            UnknownError: the model does not know it, or there is no such genre.
        """

    def title_of(self, item_id: str) -> str | None:
        """Return the title of an item; None: it is not known."""

    def item(self, item_id: str) -> CatalogueItem:
        """Return what is known of an item, whether or not the model knows it.

        Raises:
            UnknownError: it is in no catalogue, or was deleted.
        """

    def items_of(self, item_ids: Sequence[str]) -> list[CatalogueItem | None]:
        """Return what was known of some items at the last answer; None of those that are in no catalogue."""

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres of the catalogue, sorted."""

    def find_items(
        self,
        query: str | None,
        n: int,
        filters: Filters = UNFILTERED,
        available: bool | None = None,
        cursor: str | None = None,
    ) -> TitleMatches:
        """Return at most n items by title, whatever its capitals, accents and order of words; all by id without query.

        Args:
            query: a title, or beginnings of its words.
            n: length of the page.
            filters: which items; a persona is not asked about.
            available: whether they may be listed; None: all.
            cursor: of the page; None: the first one, without a cursor of the next.

        Raises:
            UnknownError: there is no such genre.
            DataError: the cursor is none of this route.
        """

    def ranked_items(self, ranking: Ranking, n: int, filters: Filters, cursor: str | None = None) -> RankedItems:
        """Return a page of n items of a ranking that is the same for everybody; see `recsys.serving.items.popularity`.

        Raises:
            UnknownError: there is no such genre.
            DataError: the cursor is none of this ranking.
        """

    def example_users(self, n: int) -> UserSummaries:
        """Return at most n users of the model that have a history, as examples to look at."""

    def user_summary(self, user_id: str) -> UserSummary:
        """Return a user, known or not, and the length of the history."""

    @property
    def corrections_of(self) -> str:
        """What new corrections are stored with as their model: they hold as long as the answers have the same."""

    def check_correction(self, user_id: str, persona: int, correction: Correction) -> None:
        """Raise unless the user has this persona, or said something of it before, and the model can honour it.

        Raises:
            UnknownError: there is no such persona.
        """

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        """Return the user's events in the log that the model was trained on; none after the user was erased."""
