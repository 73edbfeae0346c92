"""What an explanation is: plain, immutable records that turn into JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

EvidenceKind = Literal["contribution", "similarity", "none"]
"""Whether evidence is what the score is made of, only resembles the item, or cannot be given."""

NamedBy = Literal["genres", "title", "number"]
"""What a persona's name was made of."""


@final
@dataclass(frozen=True)
class Evidence:
    """A past event that speaks for a recommended item.

    Attributes:
        item: external id.
        title: title of the item.
        contribution: what the event adds to the score (`evidence_kind` "contribution"), or how much its item resembles
            the recommended one (`evidence_kind` "similarity").
        share: contribution over the sum of all positive contributions of the history to this score, in (0, 1].
        rating: the event's rating; None where the log is implicit or left it blank.
        age: time from the event to the question, in the unit of the log's clock; None where the log has no clock.
        recent: whether the event is younger than the user's half-life; None where nothing fades.
    """

    item: int | str
    title: str
    contribution: float
    share: float
    rating: float | None = None
    age: int | None = None
    recent: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `rating`, `age` and `recent` only where they are known."""
        known = {"rating": self.rating, "age": self.age, "recent": self.recent}
        base = {"item": self.item, "title": self.title, "contribution": self.contribution, "share": self.share}
        return base | {key: value for key, value in known.items() if value is not None}


@final
@dataclass(frozen=True)
class PersonaWeight:
    """How much a persona speaks for an item: the attention a_uik, and the persona's name."""

    persona: int
    name: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"persona": self.persona, "weight": self.weight, "name": self.name}


@final
@dataclass(frozen=True)
class Explanation:
    """Why one item is recommended.

    Attributes:
        item: external id.
        title: title of the item.
        score: the model's score.
        personas: all personas, largest weight first; weights sum to 1. Empty for a model without personas.
        evidence: strongest first.
        evidence_kind: what `evidence` may claim.
        certainty: how much of the score the explanation accounts for, in [0, 1]:

                certainty = a_uik* . sum_{e shown} c_e / sum_{e in history} max(c_e, 0)

            a_uik* is the leading persona's attention (1 for a model without personas), c_e the contribution of event e.
            0 where the evidence is not exact: then nothing that is shown is known to carry the score.
        text: one sentence.
        recent: how much of the evidence is recent, in [0, 1]; the rest is long-term:

                recent = sum_{e younger than the user's half-life} max(c_e, 0) / sum_{e in history} max(c_e, 0)

            None where nothing fades, or nothing in the history speaks for the item.
    """

    item: int | str
    title: str
    score: float
    personas: tuple[PersonaWeight, ...]
    evidence: tuple[Evidence, ...]
    evidence_kind: EvidenceKind
    certainty: float
    text: str
    recent: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`; `recent` and `long_term` only where they are known."""
        fading = {} if self.recent is None else {"recent": self.recent, "long_term": 1.0 - self.recent}
        return {
            "item": self.item,
            "title": self.title,
            "score": self.score,
            "personas": [persona.to_dict() for persona in self.personas],
            "evidence": [evidence.to_dict() for evidence in self.evidence],
            "evidence_kind": self.evidence_kind,
            "certainty": self.certainty,
            "text": self.text,
            **fading,
        }


@final
@dataclass(frozen=True)
class PersonaItem:
    """An item with its attention for one persona."""

    item: int | str
    title: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"item": self.item, "title": self.title, "weight": self.weight}


@final
@dataclass(frozen=True)
class GenreShare:
    """A genre of a persona: the share of the persona's history that has it, and its lift over the base rate."""

    genre: str
    share: float
    lift: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"genre": self.genre, "share": self.share, "lift": self.lift}


@final
@dataclass(frozen=True)
class PersonaDescription:
    """One persona of one user, described by what it has used.

    Attributes:
        persona: its index.
        name: short, distinct among the user's personas.
        named_by: what the name was made of.
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
        """The persona as spoken of in a sentence.

        >>> PersonaDescription(0, "Crime", "genres", 1.0, (), (), ()).phrase
        'your Crime side'
        """
        if self.named_by == "genres":
            return f"your {self.name} side"
        return f"your taste for titles {self.name}" if self.named_by == "title" else f"your {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for `json.dumps`."""
        return {
            "persona": self.persona,
            "name": self.name,
            "share": self.share,
            "items": [item.to_dict() for item in self.items],
            "genres": [genre.to_dict() for genre in self.genres],
            "recommended": [item.to_dict() for item in self.recommended],
        }
