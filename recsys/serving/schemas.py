"""The bodies of requests, and of errors. What a field may hold is told by `recsys.serving.events`, which checks it."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from recsys.errors import DataError
from recsys.serving.answers import Use
from recsys.serving.events import LARGEST_VALUE, LARGEST_WEIGHT, LONGEST_ID, Correction, Event, Kind, check_id

_LARGEST_TIME = 100_000_000_000


class _Body(BaseModel):
    """Takes the fields it knows, in the types it names, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class EventIn(_Body):
    """Somebody used, liked or dismissed an item."""

    event_id: str = Field(description="your own id of the event, such as a UUID; sent twice, it counts once")
    user_id: str = Field(max_length=LONGEST_ID)
    item_id: str = Field(max_length=LONGEST_ID)
    value: float = Field(1.0, description="a rating or an amount; 1 where there is none")
    time: int = Field(description="Unix seconds")
    kind: Kind = "use"

    def event(self) -> Event:
        """Return the event, checked."""
        return Event(self.event_id, self.user_id, self.item_id, self.value, self.time, self.kind)


class EventsIn(_Body):
    """One event or many; all are taken, or none."""

    events: list[EventIn] = Field(min_length=1)


class UseIn(_Body):
    """One event of a history."""

    item_id: str
    value: float = Field(1.0, ge=-LARGEST_VALUE, le=LARGEST_VALUE, allow_inf_nan=False)
    time: int | None = Field(
        None,
        gt=-_LARGEST_TIME,
        lt=_LARGEST_TIME,
        description="Unix seconds; give it to all events or to none, then their order counts",
    )

    def use(self) -> Use:
        """Return the event, checked."""
        check_id("item_id", self.item_id)
        return Use(self.item_id, self.value, self.time)


class QuestionIn(_Body):
    """A question of somebody whose history comes with it. Nothing of it is kept."""

    history: list[UseIn]
    n: int = Field(10, ge=1)
    at: int | None = Field(None, gt=-_LARGEST_TIME, lt=_LARGEST_TIME, description="see only what is earlier")
    exclude: list[str] = Field(default_factory=list, description="items that must not be recommended")


class CorrectionIn(_Body):
    """What a person says of one of their personas. It takes the place of an earlier correction."""

    weight: float = Field(
        1.0, ge=0.0, le=LARGEST_WEIGHT, allow_inf_nan=False, description="0 mutes, 1 is as found, above 1 boosts"
    )
    name: str | None = Field(None, description="the person's own name for it; null: the one that was found")

    def correction(self, model: str) -> Correction:
        """Return the correction of a persona of a model, checked."""
        return Correction(self.weight, self.name, model)


class ErrorDetail(BaseModel):
    """A stable code for programs, and a message for people that says what to do."""

    code: str
    message: str


class ErrorOut(BaseModel):
    """What every answer other than 2xx holds."""

    error: ErrorDetail


class EventsOut(BaseModel):
    """What became of a batch that is on disk: how many events are new, and how many were there already."""

    accepted: int
    repeated: int


class CorrectionOut(BaseModel):
    """A correction that counts from the next answer on."""

    model: str
    persona: int
    weight: float
    muted: bool
    name: str | None


class StoredEvent(BaseModel):
    """An event of the store."""

    event_id: str
    item_id: str
    value: float
    time: int
    kind: Kind


class LoggedEvent(BaseModel):
    """An event of the log that the model was trained on."""

    item_id: str
    value: float | None
    time: int


class TokenOut(BaseModel):
    """A token of the user; its secret is not kept."""

    label: str
    scopes: list[str]
    created: int
    expires: int | None
    revoked: int | None


class DataOut(BaseModel):
    """Everything that is held of a user."""

    user_id: str
    events: list[StoredEvent]
    logged: list[LoggedEvent]
    corrections: list[CorrectionOut]
    tokens: list[TokenOut]


class ErasedOut(BaseModel):
    """Everything of a user is gone from the store and from answers."""

    erased: bool


class StateOut(BaseModel):
    """Whether the service lives, or is ready; with the model that answers."""

    status: str
    model: str


def moment(text: str) -> int:
    """Return Unix seconds, given as such or as an ISO-8601 date or time (UTC where it says no other).

    Raises:
        DataError: it is neither.

    >>> moment("2001-09-09T01:46:40Z"), moment("1000000000")
    (1000000000, 1000000000)
    """
    try:
        seconds = int(text)
    except ValueError:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise DataError("at is neither Unix seconds nor an ISO-8601 date or time such as 2015-06-30") from None
        seconds = int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())
    if not -_LARGEST_TIME < seconds < _LARGEST_TIME:
        raise DataError("at is too large for Unix seconds; divide milliseconds by 1000")
    return seconds
