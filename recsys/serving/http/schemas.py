"""Bodies of requests and answers, documented in OpenAPI; `recsys.events.checks` checks what fields may hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from recsys.data.kinds import UNRATED_KINDS, Kind
from recsys.errors import DataError, nearest
from recsys.events.checks import (
    DOTS,
    INVISIBLE,
    LARGEST_TIME,
    LARGEST_VALUE,
    LARGEST_WEIGHT,
    LONGEST_CONDITION,
    LONGEST_ID,
    LONGEST_NAME,
    MOST_AHEAD,
    MOST_ASKED_AHEAD,
    MOST_PERSONAS,
    check_event_time,
    check_id,
    check_moment,
    check_said,
    check_time,
    shown,
)
from recsys.events.impressions.records import Impression
from recsys.explanations import Explanation
from recsys.models.memories.text.grammar import SYNONYMS
from recsys.models.memories.text.state import MOST_CHARACTERS
from recsys.serving.access import Code, Limits
from recsys.serving.answers import Details
from recsys.serving.filters import Filters
from recsys.serving.items.cursor import LONGEST as LONGEST_CURSOR
from recsys.serving.items.cursor import PATTERN as CURSOR_PATTERN
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.records import CatalogueItem, Changed, HistoryEvent, LoggedEvent

# The schema documents the checks of `recsys.events.checks` and the limits; their errors tell a cure.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
TEXT = rf"^[^{_CONTROLS}{_SPACES}]([^{_CONTROLS}]*[^{_CONTROLS}{_SPACES}])?$"
_NAME = f"^(?!.*[{INVISIBLE}]){TEXT[1:]}"  # of a class for all of it, Hypothesis would list 140,000 characters
_DAYS = MOST_ASKED_AHEAD // 86_400
_UNIX = re.compile(r"-?[0-9]{1,11}")


LISTED_FIELDS: Final = {field.name for kind in (Explanation, CatalogueItem) for field in fields(kind)} - {"item_id"}


def text_schema(longest: int, pattern: str = TEXT) -> dict[str, Any]:
    """Return the schema of a text of at most so many characters."""
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern}


_GAP = r"[\t-\r\u001c- \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_BEGINNINGS = "|".join(
    f"{_GAP}+".join("".join(f"[{letter.upper()}{letter}]" for letter in part) for part in word.split())
    for word in sorted(SYNONYMS)
)
TasteText = Annotated[
    str,
    Field(max_length=MOST_CHARACTERS),
    WithJsonSchema(
        {
            "type": "string",
            "format": "taste-text",
            "maxLength": MOST_CHARACTERS,
            "pattern": f"^{_GAP}*($|({_BEGINNINGS}){_GAP})",
            "description": "as GET /v1/users/{id}/summary writes it; empty: what is popular. A word, genre or title "
            "that is not known, and what contradicts itself, is refused as `unreadable_text`",
        }
    ),
]
"""A text about a taste: the schema says how it begins, and its tables what follows."""

Id = Annotated[str, WithJsonSchema(text_schema(LONGEST_ID) | {"not": {"enum": list(DOTS)}})]
"""An external id: the schema says what it may be, and the refusal what to do."""


def _integral(number: object) -> object:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _current_kind(kind: object) -> object:
    return "dislike" if kind == "dismiss" else kind


# Clients of earlier versions send "dismiss", which is a dislike.
_Kind = Annotated[Kind, BeforeValidator(_current_kind)]

# A whole number may be written as 3.0, which JSON does not distinguish from 3.
Whole = Annotated[int, BeforeValidator(_integral)]

_WRITTEN: list[dict[str, Any]] = [
    {"type": "string", "pattern": f"^{_UNIX.pattern}$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "date-time"},
]
_SECONDS = {"type": "integer", "exclusiveMinimum": -LARGEST_TIME, "exclusiveMaximum": LARGEST_TIME}

Moment = Annotated[str, WithJsonSchema({"anyOf": _WRITTEN})]
"""A point in time in a query, see `moment`."""

AskedMoment = Annotated[
    Any,  # `moment` refuses what it is not, in the same words as in a query
    Field(None, description=f"see only what is earlier: Unix seconds or ISO 8601, at most {_DAYS} days ahead"),
    WithJsonSchema({"anyOf": [_SECONDS, *_WRITTEN, {"type": "null"}]}),
]

Length = Annotated[int, Field(ge=1, json_schema_extra={"maximum": Limits.n}), BeforeValidator(_integral)]
MOST_CANDIDATES: Final = 1_000
CANDIDATES: Final = "the only items that may be listed: they are ranked for this user"
FIELDS: Final = "which fields of each item to give, beside item_id; metadata are the catalogue's other facts"
CURSOR: Final = "* for a first page that tells its next_cursor; then that of the page before, and nothing is seen twice"
ListedField = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(LISTED_FIELDS)})]
Candidates = Annotated[
    list[str] | None, Field(description=CANDIDATES, min_length=1, json_schema_extra={"maxItems": MOST_CANDIDATES})
]
Fields = Annotated[list[ListedField] | None, Field(description=FIELDS, max_length=len(LISTED_FIELDS))]
_Cursor = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=LONGEST_CURSOR,
        description=CURSOR,
        json_schema_extra={"format": "cursor", "pattern": CURSOR_PATTERN},
    ),
]
Exclude = Annotated[
    list[str],
    Field(description="items that must not be recommended", json_schema_extra={"maxItems": Limits.exclude}),
]
GENRE: Final = "only items of one of these genres, as their answers name them"
FROM_YEAR: Final = "only items from this year on"
TO_YEAR: Final = "only items until this year"
PERSONA: Final = "only items that this persona owns: the number of a shelf"
SHELF: Final = (
    "now: more like what the user did in the visit that is going on, nothing of the list of n, and nothing at all when "
    "the visit is over; reasons are not searched"
)
LATEST: Final = 9_999
MOST_GENRES: Final = 20

Genre = Annotated[list[str], Field(description=GENRE, max_length=MOST_GENRES)]
Year = Annotated[int | None, Field(ge=0, le=LATEST), BeforeValidator(_integral)]
_Persona = Annotated[int | None, Field(ge=0, lt=MOST_PERSONAS, description=PERSONA), BeforeValidator(_integral)]

AGE: Final = "of the person, in years; else as it is stored, and unknown counts as the youngest"
REGION: Final = "where the request comes from, as the policy writes regions"
CONSENT: Final = "purposes to which the person has agreed; else those that are stored"
ROLE: Final = "what the service acts as, as the policy writes roles"
PROFILING: Final = "none: the list of somebody without a history"
DECISIONS: Final = (
    "whether to tell of each removed and lifted item by which rules of the policy it is so, which takes long"
)
OLDEST: Final = 150

Age = Annotated[int | None, Field(ge=0, le=OLDEST), BeforeValidator(_integral)]
_Said = Annotated[str | None, Field(min_length=1, max_length=50)]
_Profiling = Literal["history", "none"]
_VALUE: dict[str, Any] = {"minimum": -LARGEST_VALUE, "maximum": LARGEST_VALUE}
TIME: dict[str, Any] = {"minimum": 0, "exclusiveMaximum": LARGEST_TIME}
_TIMES: dict[str, Any] = {
    "anyOf": [
        {"items": {"required": ["time"], "properties": {"time": {"type": "integer"}}}},
        {"items": {"properties": {"time": {"type": "null"}}}},
    ]
}


_SAID: JsonDict = {
    "allOf": [
        {
            "if": {"properties": {"kind": {"enum": list(UNRATED_KINDS)}}, "required": ["kind"]},
            "then": {"properties": {"value": {"type": "null"}}},
        },
        {
            "if": {"properties": {"kind": {"const": "rating"}}, "required": ["kind"]},
            "then": {"properties": {"value": {"type": "number"}}, "required": ["value"]},
        },
    ]
}
"""`recsys.events.checks.check_said`: a rating has a value, and a like, a dislike and a skip have none."""


class Body(BaseModel):
    """Takes the fields it knows, in the types it names, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, sent: object) -> object:
        for name in sent if isinstance(sent, dict) else ():
            if name not in cls.model_fields:
                hint = nearest(name, cls.model_fields) or f"; it has {', '.join(cls.model_fields)}"
                raise ValueError(f"there is no field {shown(name)} here{hint}")
        return sent


class EventIn(Body):
    """Somebody did something with an item, or said something of it."""

    model_config = ConfigDict(json_schema_extra=_SAID)

    event_id: Id = Field(description="your own id of the user's event, such as a UUID; sent twice, it counts once")
    user_id: Id
    item_id: Id
    value: float | None = Field(
        None,
        description="a rating, or the amount of a view, a click or a buy; null: none, as always of a like, a dislike "
        "or a skip",
        json_schema_extra=_VALUE,
    )
    time: Whole = Field(
        description=f"Unix seconds from 1970 on, at most {MOST_AHEAD // 60} minutes ahead of the service's clock",
        json_schema_extra=TIME,
    )
    kind: _Kind = Field(
        "use",
        description="what was done; a use with a value is a rating, and a rating needs one. A dislike or a skip is "
        "evidence against the item; a disliked item is not recommended until the event is undone",
    )
    condition: Annotated[str, WithJsonSchema(text_schema(LONGEST_CONDITION))] | None = Field(
        None,
        description="under which circumstances the person answered, such as the device or the version of a page, in "
        "your own words and few of them: ratings that follow it are made by the question",
    )


class EventsIn(Body):
    """One event or many; all are taken, or none."""

    events: list[EventIn] = Field(min_length=1, json_schema_extra={"maxItems": Limits.batch})


class UseIn(Body):
    """One event of a history."""

    model_config = ConfigDict(json_schema_extra=_SAID)

    item_id: Id
    value: float | None = Field(
        None,
        ge=-LARGEST_VALUE,
        le=LARGEST_VALUE,
        allow_inf_nan=False,
        description="a rating or an amount, as of an event; null: none",
    )
    kind: _Kind = Field("use", description="what was done, as of an event")
    time: Whole | None = Field(
        None,
        description="Unix seconds, as of an event; give it to all events or to none, then their order counts",
        json_schema_extra=TIME,
    )

    def history_event(self, now: float) -> HistoryEvent:
        """Return the event, checked; `now` is in Unix seconds."""
        check_id("item_id", self.item_id)
        if self.time is not None:
            check_time("time", self.time)
            check_event_time("time", self.time, now)
        check_said(self.kind, self.value)
        return HistoryEvent(self.item_id, self.value, self.time, self.kind)


DETAILS: Final = (
    "whether to search for the events without which an item would leave the list: false saves the time; ready takes "
    "what was searched, and the rest is searched while nothing else is to do: ask again where `reasons` is pending"
)


def details_of(details: str) -> Details:
    """Return what a query parameter says."""
    return "ready" if details == "ready" else details == "true"


class ListIn(Body):
    """What a list of recommendations shall be: the parameters of GET, in a body."""

    n: Length = 10
    at: AskedMoment = None
    exclude: Exclude = Field(default_factory=list)
    genre: Genre = Field(default_factory=list)
    from_year: Year = Field(None, description=FROM_YEAR)
    to_year: Year = Field(None, description=TO_YEAR)
    persona: _Persona = None
    candidates: Candidates = None
    fields: Fields = None
    cursor: _Cursor = None
    details: Details = Field(True, description=DETAILS)
    shelf: Literal["now"] | None = Field(None, description=SHELF)
    age: Age = Field(None, description=AGE)
    region: _Said = Field(None, description=REGION)
    consent: list[str] | None = Field(None, max_length=20, description=CONSENT)
    role: _Said = Field(None, description=ROLE)
    profiling: _Profiling = Field("history", description=PROFILING)
    decisions: bool = Field(False, description=DECISIONS)


_QUESTION: JsonDict = {
    "anyOf": [
        {"required": ["history"], "properties": {"summary": {"type": "null"}}},
        {
            "required": ["summary"],
            "properties": {
                "summary": {"type": "string"},
                "history": {"maxItems": 0},
                "at": {"type": "null"},
                "persona": {"type": "null"},
            },
        },
    ]
}
"""A history, or a text in its place, which knows no moment and no personas."""


class QuestionIn(Body):
    """A question of somebody whose history, or a text in its place, comes with it. Nothing of it is kept."""

    model_config = ConfigDict(json_schema_extra=_QUESTION)

    history: list[UseIn] = Field(default_factory=list, json_schema_extra={"maxItems": Limits.history} | _TIMES)
    summary: TasteText | None = Field(None, description="a text in place of a history")
    n: Length = 10
    at: AskedMoment = None
    exclude: Exclude = Field(default_factory=list)
    genre: Genre = Field(default_factory=list)
    from_year: Year = Field(None, description=FROM_YEAR)
    to_year: Year = Field(None, description=TO_YEAR)
    persona: _Persona = None
    candidates: Candidates = None
    fields: Fields = None
    cursor: _Cursor = None
    details: bool = Field(True, description="false: do not search for the events without which an item would leave")
    age: Age = Field(None, description=AGE)
    region: _Said = Field(None, description=REGION)
    consent: list[str] | None = Field(None, max_length=20, description=CONSENT)
    role: _Said = Field(None, description=ROLE)
    profiling: _Profiling = Field("history", description=PROFILING)
    decisions: bool = Field(False, description=DECISIONS)


class CorrectionIn(Body):
    """What a person says of one of their personas. It takes the place of an earlier correction."""

    weight: float = Field(
        1.0, ge=0.0, le=LARGEST_WEIGHT, allow_inf_nan=False, description="0 mutes, 1 is as found, above 1 boosts"
    )
    name: Annotated[str, WithJsonSchema(text_schema(LONGEST_NAME, _NAME))] | None = Field(
        None, description="the person's own name for it, without invisible characters; null: the one that was found"
    )


class PickedItem(BaseModel):
    """An item with the fields that were asked for."""

    model_config = ConfigDict(extra="allow")

    item_id: str


class PickedList(BaseModel):
    """A list of which `fields` chose what is told of each item; all else is as without."""

    model_config = ConfigDict(extra="allow")

    model: str
    items: list[PickedItem]


class ErrorDetail(BaseModel):
    """A stable code for programs, a message for people that says what to do, and the request's id in the log."""

    code: Code
    message: str
    request_id: str


class ErrorOut(BaseModel):
    """What every answer other than 2xx holds."""

    error: ErrorDetail


class CorrectionOut(BaseModel):
    """A correction that counts from the next answer on."""

    model: str
    persona: int
    weight: float
    muted: bool
    name: str | None


class CorrectedOut(CorrectionOut):
    """A correction, and what it changed in the user's list of ten; null where the model has none for the user."""

    changed: Changed | None


class TakenOut(BaseModel):
    """How many events are new, and how many were stored already; what they changed, where that was asked."""

    accepted: int
    repeated: int
    changed: Changed | None = None


class OwnTokenOut(BaseModel):
    """The user that a token is of, null for all, and its scopes."""

    user_id: str | None
    scopes: list[str]


class GenresOut(BaseModel):
    """The genres of the catalogue, sorted; none where nothing is known of its items."""

    model: str
    genres: list[str]


class StoredEvent(BaseModel):
    """An event of the store; the title is null where the model does not know the item."""

    event_id: str
    item_id: str
    title: str | None
    value: float | None
    time: int
    kind: Kind
    condition: str | None


class TokenOut(BaseModel):
    """A token of the user; its secret is not kept."""

    label: str
    scopes: Annotated[list[str], BeforeValidator(sorted)]
    created: int
    expires: int | None
    revoked: int | None


class BeliefOut(BaseModel):
    """What the half-lives of a user learned from some of the events, in bytes that only the model can read."""

    model: str
    sequence: int
    events: int
    state: str = Field(description="hexadecimal")


class DataOut(BaseModel):
    """Everything that is held of a user."""

    user_id: str
    events: list[StoredEvent]
    logged: list[LoggedEvent]
    corrections: list[CorrectionOut]
    settings: dict[str, str] = Field(description="own rules, circumstances and the key in the ledger, as texts")
    belief: BeliefOut | None
    impressions: list[Impression]
    tokens: list[TokenOut]


class ErasedOut(BaseModel):
    """Everything of a user is gone from the store and from answers."""

    erased: bool


class StateOut(BaseModel):
    """Whether the service lives, or is ready; with the model that answers."""

    status: str
    model: str


class ReadyOut(StateOut):
    """That the service is ready, and how many erasures may have left copies of their rows in the store's file."""

    scrubbing: int


def filters_of(body: ListIn | QuestionIn) -> Filters:
    """Return which items a body lets into the list."""
    return filters(body.genre, body.from_year, body.to_year, body.candidates, body.persona)


def filters(
    genre: Sequence[str],
    from_year: int | None,
    to_year: int | None,
    candidates: Sequence[str] | None = None,
    persona: int | None = None,
) -> Filters:
    """Return which items a list may have.

    Raises:
        DataError: too many candidates.
    """
    if candidates is not None and len(candidates) > MOST_CANDIDATES:
        raise DataError(f"candidates has {len(candidates)} items; rank at most {MOST_CANDIDATES} at once")
    return Filters(tuple(genre), from_year, to_year, persona, None if candidates is None else tuple(candidates))


def check_fields(names: Sequence[str] | None) -> frozenset[str] | None:
    """Return the fields of items that were asked for; None: all but those of the catalogue.

    Raises:
        DataError: an item has no such field.
    """
    for name in names or ():
        if name not in LISTED_FIELDS:
            raise DataError(f"an item has no field {shown(name)}{nearest(name, LISTED_FIELDS)}; see /openapi.json")
    return frozenset(names) if names else None


def said_of(body: ListIn | QuestionIn) -> Circumstances:
    """Return what a body says of who asks."""
    consents = None if body.consent is None else frozenset(body.consent)
    profiled = body.profiling == "history"
    return Circumstances(body.age, body.region, consents, body.role, profiled, body.decisions)


def moment(given: object, now: float) -> int | None:
    """Return Unix seconds, given as such or as an ISO-8601 date or time (UTC where it says no other); None for None.

    Raises:
        DataError: it is neither, or more than `MOST_ASKED_AHEAD` after `now`.

    >>> moment("2001-09-09T01:46:40Z", 2e9), moment("1000000000", 2e9), moment(1e9, 2e9), moment(None, 2e9)
    (1000000000, 1000000000, 1000000000, None)
    """
    seconds = _integral(given)
    if isinstance(seconds, str):
        seconds = _seconds(seconds)
    if seconds is not None:
        check_moment("at", seconds, now)
    return seconds if isinstance(seconds, int) else None


def _seconds(text: str) -> int:
    if text.isascii() and re.fullmatch("-?[0-9]{1,40}", text):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise DataError("at cannot be read; give Unix seconds, or an ISO-8601 date or time: 2015-06-30") from None
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())
