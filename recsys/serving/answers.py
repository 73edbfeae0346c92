"""What the service asks of a fitted model, and the shape of every answer: plain values, which become JSON as they are.

The records that an answer has dozens of are not frozen, as those take four times as long to make.

The service knows no model. `recsys.serving.run_answers` answers from a run; anything else that keeps this protocol can.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, final

from recsys.errors import RecsysError
from recsys.events.store import Correction

Unit = Literal["events", "days", "periods", "positions"]
"""What a half-life is counted in."""


@final
class UnknownError(RecsysError):
    """An item or a persona that the model does not know."""


@final
@dataclass(frozen=True)
class Use:
    """One event of a history that comes with the question.

    `time` is Unix seconds; None: the order of the history says what came when.
    """

    item_id: str
    value: float = 1.0
    time: int | None = None


@final
@dataclass(slots=True)
class PersonaShare:
    """How much a persona speaks for an item; the weights of an item sum to 1."""

    persona: int
    name: str
    weight: float


@final
@dataclass(slots=True)
class Reason:
    """A history event that speaks for a recommended item.

    Attributes:
        item_id: its item.
        title: title of the item.
        contribution: what it adds to the score, or how much it resembles the item; see `Recommended.evidence_kind`.
        share: of all that speaks for the item, in (0, 1].
        rating: the event's value, where the user's values are ratings.
        age: seconds from the event to the question.
        recent: whether it is younger than the user's half-life; null where nothing fades.
    """

    item_id: str
    title: str
    contribution: float
    share: float
    rating: float | None = None
    age: int | None = None
    recent: bool | None = None


@final
@dataclass(slots=True)
class Recommended:
    """A recommended item and why.

    Attributes:
        item_id: the item.
        title: its title.
        score: the model's; only the order within one list has a meaning.
        personas: largest weight first; empty for a model without personas.
        evidence: strongest first.
        evidence_kind: "contribution": the evidence is what the score is made of; "similarity": it resembles the item;
            "none": there is none.
        certainty: how much of the score the explanation accounts for, from 0 to 1.
        reason: one sentence.
        recent: how much of the evidence is recent, from 0 to 1; null where nothing fades or nothing speaks for it.
    """

    item_id: str
    title: str
    score: float
    personas: tuple[PersonaShare, ...]
    evidence: tuple[Reason, ...]
    evidence_kind: Literal["contribution", "similarity", "none"]
    certainty: float
    reason: str
    recent: float | None = None


@final
@dataclass(frozen=True)
class RecommendationList:
    """The answer to a question for recommendations.

    Attributes:
        model: which model answered.
        now: the moment of the question, Unix seconds.
        known_events: events of the history whose item the model knows.
        unknown_items: items of the history in the body that it does not know, the first few.
        items: best first.
    """

    model: str
    now: int
    known_events: int
    unknown_items: tuple[str, ...]
    items: tuple[Recommended, ...]


@final
@dataclass(frozen=True)
class PersonaItem:
    """An item and how much a persona speaks for it."""

    item_id: str
    title: str
    weight: float


@final
@dataclass(frozen=True)
class PersonaGenre:
    """A genre, its share of a persona's history, and its lift over the base rate."""

    genre: str
    share: float
    lift: float


@final
@dataclass(frozen=True)
class Persona:
    """One of a user's personas.

    Attributes:
        persona: its number.
        name: the user's own name for it, or one from its genres or top items.
        renamed: whether the name is the user's own.
        weight: the user's own factor on it: 0 is muted, 1 as found, above 1 boosted.
        muted: whether it has no say.
        share_now: its share of what has not faded.
        share_long_term: its share of the whole history.
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
    genres: tuple[PersonaGenre, ...]
    activity: tuple[float, ...]


@final
@dataclass(frozen=True)
class HalfLifeInterval:
    """A half-life in one unit; null is "never".

    Attributes:
        unit: what it is counted in.
        median: as likely longer as shorter.
        low: longer with 90%.
        high: shorter with 90%.
        probability: that the user forgets by this clock.
    """

    unit: Unit
    median: float | None
    low: float | None
    high: float | None
    probability: float


@final
@dataclass(frozen=True)
class HalfLife:
    """What is believed of how long a user's events keep counting.

    Attributes:
        kind: "own", learned for the user; "shared", one for everybody.
        clocks: the half-life in each unit.
        never: the probability that nothing fades ("own"), or the weight that is never lost ("shared").
        learned_from: events of the user that it was learned from; null where it is shared.
        lasted: of how many of the newest events the present taste is, null within it being "of all"; its probability is
            that the taste changed at all. Null where changes are not looked for.
    """

    kind: Literal["own", "shared"]
    clocks: tuple[HalfLifeInterval, ...]
    never: float
    learned_from: int | None
    lasted: HalfLifeInterval | None = None


@final
@dataclass(frozen=True)
class Personas:
    """A user's personas, the largest present share first.

    Attributes:
        model: which model answered; corrections of personas belong to one model.
        now: the moment of the question, Unix seconds.
        times: Unix seconds, the moments of `Persona.activity`.
        half_life: null for a model in which nothing fades.
        personas: all of them.
    """

    model: str
    now: int
    times: tuple[int, ...]
    half_life: HalfLife | None
    personas: tuple[Persona, ...]


@final
@dataclass(frozen=True)
class SimilarItem:
    """An item that goes with another one."""

    item_id: str
    title: str
    score: float


@final
@dataclass(frozen=True)
class SimilarItems:
    """What goes with an item, best first."""

    model: str
    item_id: str
    title: str
    items: tuple[SimilarItem, ...]


@final
@dataclass(frozen=True)
class FoundItem:
    """An item whose title fits what was asked."""

    item_id: str
    title: str


@final
@dataclass(frozen=True)
class FoundItems:
    """Items found by title, those that fit best first, then those most used."""

    model: str
    items: tuple[FoundItem, ...]


@final
@dataclass(frozen=True)
class KnownUser:
    """A user, and how many events of the user are known."""

    user_id: str
    events: int


@final
@dataclass(frozen=True)
class KnownUsers:
    """A few users that the model knows, longest history first."""

    model: str
    users: tuple[KnownUser, ...]


@final
@dataclass(frozen=True)
class LoggedUse:
    """An event of the log that the model was trained on."""

    item_id: str
    value: float | None
    time: int


class Answers(Protocol):
    """A fitted model with what it knows of everybody. Safe to use from several threads.

    Each answer reflects every change that was in the store when it was asked.

    Raises (every answer):
        CapabilityError: the model cannot do it.
        StoreError: the store cannot be read.
    """

    @property
    def model(self) -> str:
        """Fingerprint of the model: two with the same have learned the same."""

    @property
    def applied(self) -> int:
        """The last change of the store that the answers reflect."""

    def catch_up(self) -> int:
        """Take what is new in the store, and return the last change that is known."""

    def check(self) -> None:
        """Answer something, so that a model that cannot answer is found before it serves.

        Raises:
            RecsysError: it cannot.
        """

    def prepare(self, user_id: str) -> bool:
        """Do a part of what the next answer for a user needs, if the user was asked for lately; it changes no answer.

        Returns:
            Whether there is more to do.
        """

    def recommend(self, user_id: str, n: int, at: int | None, exclude: Collection[str]) -> RecommendationList:
        """Recommend n items to a user, known or not, and say why.

        Args:
            user_id: external id.
            n: length of the list; it is shorter where fewer items may be recommended.
            at: only events before this moment are seen, Unix seconds. None: all of them, and it is now.
            exclude: items that must not be recommended, beside those of the history and those that were dismissed.
        """

    def recommend_for(
        self, history: Sequence[Use], n: int, at: int | None, exclude: Collection[str]
    ) -> RecommendationList:
        """Recommend n items to somebody unknown, of whom this is the history; nothing of it is kept."""

    def personas(self, user_id: str, at: int | None) -> Personas:
        """Return a user's personas."""

    def similar(self, item_id: str, n: int) -> SimilarItems:
        """Return what goes with an item.

        Raises:
            UnknownError: the model does not know it.
        """

    def find(self, query: str, n: int) -> FoundItems:
        """Return at most n items by title, whatever its capitals, accents and order of words."""

    def known_users(self, n: int) -> KnownUsers:
        """Return at most n users that the model knows and that have a history, for whoever wants to look around."""

    def known_user(self, user_id: str) -> KnownUser:
        """Return a user, known or not, and how much is known."""

    def check_correction(self, persona: int, correction: Correction) -> None:
        """Raise unless the model has this persona and can honour the correction.

        Raises:
            UnknownError: there is no such persona.
        """

    def logged(self, user_id: str) -> tuple[LoggedUse, ...]:
        """Return the user's events in the log that the model was trained on, unless the user was erased."""
