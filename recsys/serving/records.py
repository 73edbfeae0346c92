"""The records of answers, which become JSON as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

from recsys.data.feedback import Kind
from recsys.events.items.records import Fact
from recsys.explanations.records import Explanation, GenreShare, HalfLife, PersonaItem
from recsys.serving.norms.records import AppliedPolicy


@final
@dataclass(frozen=True)
class HistoryEvent:
    """One event of a history that is part of the request.

    `time` is Unix seconds; None: the position in the history gives the order. `value` is a rating or an amount, if any.
    `kind` is what was done.
    """

    item_id: str
    value: float | None = None
    time: int | None = None
    kind: Kind = "use"


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
class Shelf:
    """A persona and its part of a list.

    Attributes:
        persona: its number; null for the items that nobody owns.
        name: null for nobody.
        share: its share of what the history weighs now.
        seats: how many items of the list it owns.
        weight: the user's own factor on it: 0 mutes, 1 changes nothing, above 1 boosts.
        muted: whether the weight is 0.
        often: what its events often are, at most two genres that the name does not have; of a found persona.
    """

    persona: int | None
    name: str | None
    share: float
    seats: int
    weight: float = 1.0
    muted: bool = False
    often: tuple[str, ...] = ()


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
        shelves: the personas in the order in which the list has their first item, nobody's items where they come, then
            the personas without a seat; of a model without found personas one shelf of nobody's.
        reasons: whether it was searched for the events without which items would leave the list; "pending": it will be
            when nothing else is to do, and until then no reason says "because". Ask again.
        policy: what the policy did; null without one.
        source: what the list is made of: the "history", or the "text" that the person wrote; then `known_events` are
            those since.
        unknown_candidates: the first few of the candidates that the model does not know, so that it cannot rank them.
        recommendation_id: of the list, to say later what of it was shown and clicked; the same list to the same user
            in the same second has the same. Null for the lists of questions that are asked of no stored user.
        next_cursor: of the next page, where a cursor was given and there may be one.
        stale: whether the store does not answer, so that what came in of late is missing.
        stale_seconds: how long ago the store was read last, of a stale list.
    """

    model: str
    now: int
    known_events: int
    unknown_items: tuple[str, ...]
    items: tuple[Explanation, ...]
    learning: Learning | None = None
    unknown_excluded: tuple[str, ...] = ()
    shelves: tuple[Shelf, ...] = ()
    reasons: Literal["searched", "pending", "unsearched"] = "searched"
    policy: AppliedPolicy | None = None
    source: Literal["history", "text"] = "history"
    unknown_candidates: tuple[str, ...] = ()
    recommendation_id: str | None = None
    next_cursor: str | None = None
    stale: bool = False
    stale_seconds: int | None = None


@final
@dataclass(frozen=True)
class Persona:
    """One of a user's personas, with the user's correction and its activity over time.

    Attributes:
        persona: its number. A persona that was found has that of the taste it is most like, the same for everybody.
        name: the user's own name for it, or one from its genres or top items.
        renamed: whether the name is the user's own.
        weight: the user's own factor on it: 0 mutes, 1 changes nothing, above 1 boosts.
        muted: whether the weight is 0.
        share_now: its share of the history, decayed to now.
        share_long_term: its share of the history without decay.
        items: the items it speaks for most.
        genres: its genres, most distinctive first.
        activity: its share at each of the `Personas.times`.
        seats: how many items of the user's list of ten it owns; null for a model without found personas.
        often: what its events often are, at most two genres that the name does not have.
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
    seats: int | None = None
    often: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class UnmatchedCorrection:
    """A correction that acts on nothing: of another model, or of a taste of which the user has no event."""

    persona: int
    name: str | None
    weight: float
    reason: str


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
        unmatched: the user's corrections that act on none of these personas.
    """

    model: str
    now: int
    times: tuple[int, ...]
    half_life: HalfLife | None
    personas: tuple[Persona, ...]
    learning: Learning | None = None
    unmatched: tuple[UnmatchedCorrection, ...] = ()


@final
@dataclass(frozen=True)
class ListedItem:
    """An item of a list."""

    item_id: str
    title: str
    owner: int | None


@final
@dataclass(frozen=True)
class SeatChange:
    """How many items of a list a persona owned before a change, and owns after it; null: nobody's."""

    persona: int | None
    name: str | None
    before: int
    after: int


@final
@dataclass(frozen=True)
class Changed:
    """What a control changed in a list.

    Attributes:
        left: items that are no longer in it.
        came: items that were not in it before.
        seats: of each persona that owned an item before or owns one after; empty for a model without found personas.
    """

    left: tuple[ListedItem, ...]
    came: tuple[ListedItem, ...]
    seats: tuple[SeatChange, ...]


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
    """An item whose title matches a search; `year` where the title ends in one."""

    item_id: str
    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    available: bool = True


@final
@dataclass(frozen=True)
class TitleMatches:
    """Items by title, the best matches first, then the most used; without a query all items, by id.

    `next_cursor` gives the next page, where there is one.
    """

    model: str
    items: tuple[TitleMatch, ...]
    next_cursor: str | None = None


@final
@dataclass(frozen=True)
class CatalogueItem:
    """What is known of an item.

    Attributes:
        item_id: external id.
        title: for people.
        year: null where it is not known.
        genres: its categories.
        available: whether it may be listed.
        known: whether the model can recommend it; others are found, looked up and listed by popularity and date.
        metadata: other facts by name.
        added_at: when it came into the catalogue, Unix seconds; null where that is not known.
        changed_at: when the catalogue said something of it last, Unix seconds; null where it never did.
    """

    item_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]
    available: bool = True
    known: bool = True
    metadata: Mapping[str, Fact] = field(default_factory=dict)
    added_at: int | None = None
    changed_at: int | None = None


@final
@dataclass(frozen=True)
class RankedItem:
    """An item of a ranking that is the same for everybody; the score is what the ranking is by."""

    item_id: str
    title: str
    score: float
    year: int | None = None
    genres: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class RankedItems:
    """A ranking that is the same for everybody, best first.

    Attributes:
        model: fingerprint of the model.
        as_of: Unix seconds: the end of the newest day that counts; of `latest`, when the newest item came; 0: none.
        items: those that may be listed.
        next_cursor: of the next page, where a cursor was given and there is one.
    """

    model: str
    as_of: int
    items: tuple[RankedItem, ...]
    next_cursor: str | None = None


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


@final
@dataclass(frozen=True)
class Probabilities:
    """Of the classes of an answer; null of one that cannot be told apart."""

    genuine: float
    non_attitude: float
    constructed: float | None


@final
@dataclass(frozen=True)
class ShareOfPreferences:
    """Which share of a person's answers are preferences, with 90% between `low` and `high`."""

    share: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class WeighedEvent:
    """How far an event of a person counts.

    Attributes:
        item_id: of the item.
        title: of the item.
        value: the rating; null without one.
        time: Unix seconds.
        weight: how far it counts, from 0 to 1.
        probabilities: null where nothing is told.
        expected: the rating that the person's other ratings foretell; likewise.
        meant: whether the person has confirmed it.
        why: the weight in words.
    """

    item_id: str
    title: str
    value: float | None
    time: int
    weight: float
    probabilities: Probabilities | None
    expected: float | None
    meant: bool
    why: str


@final
@dataclass(frozen=True)
class PersonsReliability:
    """How far the events of a person count, and why.

    Attributes:
        model: that answers.
        answers: ratings of items that the model knows.
        genuine: null where nothing is told apart.
        identified: whether anything is told apart.
        reason: what can be told apart, and why not more.
        events: with items that the model knows, the newest first.
    """

    model: str
    answers: int
    genuine: ShareOfPreferences | None
    identified: bool
    reason: str
    events: tuple[WeighedEvent, ...]


@final
@dataclass(frozen=True)
class QuestionAgain:
    """A question whose repeat would tell something.

    Attributes:
        item_id: of the item.
        title: of the item.
        value: the last answer.
        bits: by which a second answer is expected to make its class more certain.
        changed: items of the ten recommended that are others without the answer.
        probabilities: of the classes.
    """

    item_id: str
    title: str
    value: float
    bits: float
    changed: int
    probabilities: Probabilities


@final
@dataclass(frozen=True)
class QuestionsAgain:
    """The questions whose repeat tells most that a person's list depends on.

    Attributes:
        model: that answers.
        reason: what can be told apart, and why not more.
        scale: the ratings that can be given, ascending; empty where they are continuous.
        questions: the most telling first.
    """

    model: str
    reason: str
    scale: tuple[float, ...]
    questions: tuple[QuestionAgain, ...]


@final
@dataclass(frozen=True)
class Summary:
    """What a text says of a user.

    Attributes:
        text: as the grammar has it.
        written: by the "person", or by the service from the "history".
        time: when the person wrote it, Unix seconds; None for one from the history.
        events_since: of the history, after that.
    """

    text: str
    written: str
    time: int | None
    events_since: int
