"""The protocol between the service and a fitted model, and the records of its answers, which become JSON as they are.

The service depends on this protocol alone. `recsys.serving.run_answers` implements it for a finished run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from recsys.errors import RecsysError
from recsys.events.store import Correction
from recsys.explanations.records import Explanation, GenreShare, HalfLife, PersonaItem


@final
class UnknownError(RecsysError):
    """The model does not know an item or a persona."""


@final
@dataclass(frozen=True)
class HistoryEvent:
    """One event of a history that is part of the request.

    `time` is Unix seconds; None: the position in the history gives the order. `value` is a rating or an amount, if any.
    """

    item_id: str
    value: float | None = None
    time: int | None = None


@final
@dataclass(frozen=True)
class Learning:
    """How far the user's half-lives have learned from the events since training, while that goes on.

    Attributes:
        learned: events learned from.
        pending: events to learn from, a few with each answer and the others while the service is idle. They are a part
            of the history already.
    """

    learned: int
    pending: int


@final
@dataclass(frozen=True)
class RecommendationList:
    """Explained recommendations for one user.

    Attributes:
        model: fingerprint of the model.
        now: the moment of the request, Unix seconds.
        known_events: events of the history whose item the model knows.
        unknown_items: the first few items of the history that the model does not know.
        items: best first.
        learning: null where all events are learned: then the same request gets the same list again.
        unknown_excluded: the first few items to exclude that the model does not know: perhaps a wrong id.
    """

    model: str
    now: int
    known_events: int
    unknown_items: tuple[str, ...]
    items: tuple[Explanation, ...]
    learning: Learning | None = None
    unknown_excluded: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Persona:
    """One of a user's personas, with the user's correction and its activity over time.

    Attributes:
        persona: its number.
        name: the user's own name for it, or one from its genres or top items.
        renamed: whether the name is the user's own.
        weight: the user's own factor on it: 0 mutes, 1 changes nothing, above 1 boosts.
        muted: whether the weight is 0.
        share_now: its share of the history, decayed to now.
        share_long_term: its share of the history without decay.
        items: the items it speaks for most.
        genres: its genres, most distinctive first.
        activity: its share at each of the `Personas.times`.
    """

    persona: int
    name: str
    renamed: bool
    weight: float
    muted: bool
    share_now: float
    share_long_term: float
    items: tuple[PersonaItem, ...]
    genres: tuple[GenreShare, ...]
    activity: tuple[float, ...]


@final
@dataclass(frozen=True)
class Personas:
    """A user's personas, the largest present share first.

    Attributes:
        model: fingerprint of the model; corrections of personas belong to one model.
        now: the moment of the request, Unix seconds.
        times: Unix seconds, the moments of `Persona.activity`.
        half_life: by which the history is weighed; null for a model without decay, and for a user without events.
        personas: all of them.
        learning: null where all events are learned.
    """

    model: str
    now: int
    times: tuple[int, ...]
    half_life: HalfLife | None
    personas: tuple[Persona, ...]
    learning: Learning | None = None


@final
@dataclass(frozen=True)
class SimilarItem:
    """An item that is similar to another one."""

    item_id: str
    title: str
    score: float


@final
@dataclass(frozen=True)
class SimilarItems:
    """Items similar to one item, best first."""

    model: str
    item_id: str
    title: str
    items: tuple[SimilarItem, ...]


@final
@dataclass(frozen=True)
class TitleMatch:
    """An item whose title matches a search."""

    item_id: str
    title: str


@final
@dataclass(frozen=True)
class TitleMatches:
    """Items by title, the best matches first, then the most used."""

    model: str
    items: tuple[TitleMatch, ...]


@final
@dataclass(frozen=True)
class UserSummary:
    """A user and the number of events in the user's history."""

    user_id: str
    events: int


@final
@dataclass(frozen=True)
class UserSummaries:
    """A few users of the model, longest history first."""

    model: str
    users: tuple[UserSummary, ...]


@final
@dataclass(frozen=True)
class LoggedEvent:
    """An event of the log that the model was trained on."""

    item_id: str
    value: float | None
    time: int


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
        """Do a part of the work for a user's next answer, if the user has a cached state; it changes no answer.

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

    def recommend(self, user_id: str, n: int, at: int | None, exclude: Collection[str]) -> RecommendationList:
        """Return explained recommendations for a user, known or not.

        Args:
            user_id: external id.
            n: length of the list; it is shorter where fewer items may be recommended.
            at: only events before this moment are visible, Unix seconds. None: all of them, and the moment is now.
            exclude: items that must not be recommended, beside those of the history and the dismissed ones.
        """

    def recommend_for(
        self, history: Sequence[HistoryEvent], n: int, at: int | None, exclude: Collection[str]
    ) -> RecommendationList:
        """Return explained recommendations for an anonymous user with this history, which is not stored."""

    def personas(self, user_id: str, at: int | None) -> Personas:
        """Return a user's personas."""

    def similar(self, item_id: str, n: int) -> SimilarItems:
        """Return the items most similar to an item.

        Raises:
            UnknownError: the model does not know it.
        """

    def title_of(self, item_id: str) -> str | None:
        """Return the title of an item; None: the model does not know it."""

    def search_titles(self, query: str, n: int) -> TitleMatches:
        """Return at most n items by title, whatever its capitals, accents and order of words."""

    def example_users(self, n: int) -> UserSummaries:
        """Return at most n users of the model that have a history, as examples to look at."""

    def user_summary(self, user_id: str) -> UserSummary:
        """Return a user, known or not, and the length of the history."""

    def check_correction(self, persona: int, correction: Correction) -> None:
        """Raise unless the model has this persona and can honour the correction.

        Raises:
            UnknownError: there is no such persona.
        """

    def logged_events(self, user_id: str) -> tuple[LoggedEvent, ...]:
        """Return the user's events in the log that the model was trained on; none after the user was erased."""
