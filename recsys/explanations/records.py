"""Records of explanations, personas and half-lives, which become the JSON of the command and of the service.

An answer has dozens of these records. They are not frozen, because a frozen dataclass takes four times as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, final

from recsys.data.items import spoken_genres

EvidenceKind = Literal["contribution", "similarity", "none"]
"""Whether evidence is what the score is made of, only resembles the item, or cannot be given."""

NamedBy = Literal["user", "labels", "titles", "genres", "title", "number"]
"""Who or what named a persona: the user; labels that hold for its items, or two titles (personas found in the history);
its genres, its top title, or its index (personas that a model learned)."""

ReasonKind = Literal["because", "taste", "popular", "cold", "muted", "similar", "rule", "text"]
"""What carries a recommended item:

"because": a few events of the history, without which it would leave the list; "taste": a taste as a whole, or two;
"popular": what everybody uses; "cold": the same, for a user of whom nothing is known; "muted": the same, for a user who
muted everything; "similar": a model that learned the user as a whole, so that only resemblance can be told; "rule": a
rule of a policy has a part in its place; "text": what the person wrote of themselves.
"""

CertaintyWord = Literal["strong", "fair", "weak"]
"""The certainty in a word: at least .5, at least `LOW_CERTAINTY`, or less."""

Unit = Literal["events", "days", "periods", "positions"]
"""What a half-life is counted in."""


@final
class _TextInSchemas:
    """Declares a field as text to pydantic: the service writes every id as text."""

    def __get_pydantic_core_schema__(self, _source: object, handler: Callable[[type], Any]) -> Any:  # noqa: ANN401
        return handler(str)


LOW_CERTAINTY = 0.25
"""Below this certainty an explanation says that its evidence is only a part of what carries the score."""

_STRONG_CERTAINTY = 0.5

_OFTEN_SHARE, _OFTEN_LIFT, _OFTEN_MOST = 0.4, 1.5, 2

ItemId = Annotated[int | str, _TextInSchemas()]
"""An external id: as the log has it; always text in answers of the service."""


_WHERE_KNOWN = (
    *("owner", "owner_name", "owner_share", "reason_kind", "without", "certainty_word", "year", "genres"),
    *("seat", "split"),
)
"""Fields of an explanation that plain values have only where there is something."""


def _plain(record: Any, *omitted: str) -> dict[str, Any]:  # noqa: ANN401 - a record of this module
    """Return the fields of a record by name, records within it as plain values too."""
    named = {field.name: getattr(record, field.name) for field in fields(record) if field.name not in omitted}
    return {
        name: [one.to_dict() for one in value] if isinstance(value, tuple) else value for name, value in named.items()
    }


def certainty_word(certainty: float | None) -> CertaintyWord | None:
    """Return a certainty in a word.

    >>> certainty_word(0.6), certainty_word(0.3), certainty_word(0.1), certainty_word(None)
    ('strong', 'fair', 'weak', None)
    """
    if certainty is None:
        return None
    return "strong" if certainty >= _STRONG_CERTAINTY else "weak" if certainty < LOW_CERTAINTY else "fair"


@final
@dataclass(slots=True)
class PersonaShare:
    """How much a persona speaks for an item; sums to 1 over the personas of the user.

    The exact share of the positive evidence that the events of the persona have, for personas found in the history; the
    attention a_uik for personas that a model learned.
    """

    persona: int
    name: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"persona": self.persona, "weight": self.weight, "name": self.name}


@final
@dataclass(slots=True)
class Evidence:
    """A past event that speaks for a recommended item.

    Attributes:
        item_id: external id of its item.
        title: title of the item.
        contribution: what the event adds to the score (`evidence_kind` "contribution"), or how much its item resembles
            the recommended one (`evidence_kind` "similarity").
        share: contribution over the sum of all positive contributions of the history to this score, in (0, 1].
        rating: the event's rating; null where the log is implicit or has a blank.
        age: time from the event to the request, in the unit of the log's clock, which is seconds in the service; null
            where the log has no clock.
        recent: whether the event is younger than the user's half-life; null where nothing fades.
    """

    item_id: ItemId
    title: str
    contribution: float
    share: float
    rating: float | None = None
    age: int | None = None
    recent: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `rating`, `age` and `recent` only where there are any."""
        return {key: value for key, value in _plain(self).items() if value is not None}


@final
@dataclass(slots=True)
class Split:
    """How split people are over a listed item and another one of the list.

    Attributes:
        item_id: external id of the other item, of all in the list the one over which people are most evenly split.
        title: title of the other item.
        preferred: how many people prefer the listed item.
        raters: people who rated the two differently, at least 50.
        sentence: the same in words.
    """

    item_id: ItemId
    title: str
    preferred: int
    raters: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return _plain(self)


@final
@dataclass(slots=True)
class Explanation:
    """A recommended item and why it is recommended.

    Attributes:
        item_id: external id.
        title: title of the item.
        score: the model's score; only the order within one list has a meaning, and a slate may list a lower one first.
        personas: all personas, largest weight first; empty for a model without personas.
        evidence: strongest first, those of `without` before others. Of a user with found personas only events of the
            owner. Never an event that the user rated below the own mean.
        evidence_kind: "contribution": the score is made of the evidence; "similarity": the evidence resembles the item;
            "none": there is none.
        certainty: how much of the positive evidence the events of the reason are, in [0, 1]:

                certainty = sum_{e in the reason} max(c_e, 0) / sum_{e in history} max(c_e, 0)

            with c_e the contribution of event e. The reason names the events of `without`; where there are none, the
            evidence shown counts. Null where the evidence is not contributions.
        reason: one sentence.
        recent: how much of the evidence is recent, in [0, 1]; the rest is long-term:

                recent = sum_{e younger than the user's half-life} max(c_e, 0) / sum_{e in history} max(c_e, 0)

            Null where nothing fades, or nothing in the history speaks for the item.
        low_certainty: whether the evidence is contributions and the certainty below `LOW_CERTAINTY`.
        reason_kind: what carries the item.
        without: the smallest set of items of the user's history, at most five, without which the item would leave the
            list; empty where there is none so small. Checked by making the list again.
        owner: number of the persona that owns the item's seat; null where nobody does.
        owner_name: its name.
        owner_share: the exact share of the positive evidence that is the owner's; null without owner.
        certainty_word: the certainty in a word.
        year: in which the item appeared, from its title; null where that does not say.
        genres: of the item.
        seat: the taste whose seat the item takes, where a slate gives seats to tastes (`recsys.models.Slated`); null
            for other lists.
        split: how split people are over the item and another one of the list; null where too few rated two of it, or
            the run keeps no splits (`recsys disagree --keep`).
    """

    item_id: ItemId
    title: str
    score: float
    personas: tuple[PersonaShare, ...]
    evidence: tuple[Evidence, ...]
    evidence_kind: EvidenceKind
    certainty: float | None
    reason: str
    recent: float | None = None
    low_certainty: bool = False
    reason_kind: ReasonKind | None = None
    without: tuple[ItemId, ...] = ()
    owner: int | None = None
    owner_name: str | None = None
    owner_share: float | None = None
    certainty_word: CertaintyWord | None = None
    year: int | None = None
    genres: tuple[str, ...] = ()
    seat: str | None = None
    split: Split | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`.

        `recent` and `long_term` only where something fades, what is known of the owner, of the reason and of the item
        only where there is something.
        """
        faded = {} if self.recent is None else {"recent": self.recent, "long_term": 1.0 - self.recent}
        known = {name: getattr(self, name) for name in _WHERE_KNOWN}
        known = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
        known["split"] = None if self.split is None else self.split.to_dict()
        plain = _plain(self, "recent", *_WHERE_KNOWN)
        return plain | {name: value for name, value in known.items() if value not in (None, [])} | faded


@final
@dataclass(slots=True)
class PersonaItem:
    """An item and its attention for one persona."""

    item_id: ItemId
    title: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return _plain(self)


@final
@dataclass(slots=True)
class GenreShare:
    """A genre of a persona: the share of the persona's history that has it, and its lift over the base rate."""

    genre: str
    share: float
    lift: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return _plain(self)


def often(genres: Sequence[GenreShare], name: str) -> tuple[str, ...]:
    """Return what the events of a persona often are, beside its name, in words that a sentence has.

    At most two genres that at least two fifths of its events have, and half as many again as of everybody's events. A
    genre that the name has says nothing new. Often is not always: the shares tell how often.

    Args:
        genres: of the persona, most distinctive first.
        name: of the persona.

    >>> genres = [GenreShare("Animation", 0.4, 4.0), GenreShare("Comedy", 0.5, 1.6), GenreShare("War", 0.1, 2.0)]
    >>> often(genres, "like Shrek and Up"), often(genres, "Animation & Children"), often(genres[1:], "1997 to 2006")
    (('animation', 'comedy'), ('comedy',), ('comedy',))
    """
    new = [one for one in genres if one.share >= _OFTEN_SHARE and one.lift >= _OFTEN_LIFT and one.genre not in name]
    return tuple(spoken_genres(one.genre) for one in new[:_OFTEN_MOST])


@final
@dataclass(slots=True)
class PersonaDescription:
    """One persona of one user, described by the user's history.

    Attributes:
        persona: its index.
        name: short, distinct among the user's personas.
        named_by: where the name comes from.
        share: how much of the user's history it speaks for: mean attention over the history; sums to 1 over personas.
        items: its own top history items with their attention.
        genres: its genres, most distinctive first.
        recommended: items of the user's recommendation list that this persona leads, with its attention.
    """

    persona: int
    name: str
    named_by: NamedBy
    share: float
    items: tuple[PersonaItem, ...]
    genres: tuple[GenreShare, ...]
    recommended: tuple[PersonaItem, ...]

    @property
    def phrase(self) -> str:
        """The persona as a sentence refers to it after "your taste for".

        >>> PersonaDescription(0, "Crime & War", "genres", 1.0, (), (), ()).phrase
        'crime & war'
        >>> PersonaDescription(0, "like Heat and Se7en", "titles", 1.0, (), (), ()).phrase
        'titles like Heat and Se7en'
        """
        if self.named_by == "user":
            return f"“{self.name}”"
        return f"titles {self.name}" if self.named_by in ("title", "titles") else spoken_genres(self.name)

    @property
    def often(self) -> tuple[str, ...]:
        """What its events often are, beside its name: see `often`."""
        return often(self.genres, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`."""
        return _plain(self, "named_by") | {"often": list(self.often)}


@final
@dataclass(slots=True)
class HalfLifeInterval:
    """A belief about a half-life in one unit; null is "never".

    Attributes:
        unit: what it is counted in.
        median: the half-life is as likely longer as shorter.
        low: longer with 90%.
        high: shorter with 90%.
        probability: that the user forgets by this clock; the remainder is the other clock's, and "never".
    """

    unit: Unit
    median: float | None
    low: float | None
    high: float | None
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the unit."""
        return _plain(self, "unit")


@final
@dataclass(slots=True)
class HalfLife:
    """How long a user's events keep counting, as the answer of this moment weighs them.

    Attributes:
        kind: "own", learned of the user; "shared", what holds for everybody; "window", the length of
            a window, one for everybody; "measured", how many of the newest events weigh at least half of the largest
            weight, of a rule without a half-life.
        clocks: the half-life in each unit, given that it is on this clock or "never".
        never: the probability that nothing fades, or the weight that is never lost where `learned_from` is null.
        learned_from: events of the user that the belief was learned from, 0 where it is shared; null for a half-life
            without uncertainty.
        lasted: how many of the newest events the present taste comprises, null within it being "all"; its probability
            is that the taste changed at all. Null where changes are not looked for.
    """

    kind: Literal["own", "shared", "window", "measured"]
    clocks: tuple[HalfLifeInterval, ...]
    never: float
    learned_from: int | None
    lasted: HalfLifeInterval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, each clock under its unit; `lasted` only where changes are looked for."""
        clocks = {str(clock.unit): clock.to_dict() for clock in self.clocks}
        lasted = {} if self.lasted is None else {"lasted": self.lasted.to_dict()}
        return {"kind": self.kind, **clocks, "never": self.never, "learned_from": self.learned_from, **lasted}
