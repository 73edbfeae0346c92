"""The port of the event store, and its records: one sequence of changes, the same for every worker.

Events, undone events, erasures and corrections share one strictly increasing sequence, in the order of commit: after
reading up to number n with `EventStore.since`, no change at or before n appears later. A setting and a change of the
catalogue take a number, too, under which there is no change: who misses a number has to read settings and items again.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, final

from recsys.data.kinds import KINDS, Kind
from recsys.errors import DataError, RecsysError, nearest
from recsys.events.beliefs import SavedBelief
from recsys.events.checks import (
    LARGEST_VALUE,
    LARGEST_WEIGHT,
    LONGEST_CONDITION,
    LONGEST_NAME,
    check_id,
    check_said,
    check_text,
    check_time,
    number_within,
    shown,
)
from recsys.events.impressions.records import Impression, PositionClicks, UserClicks
from recsys.events.items.records import ItemsPut, StoredItem
from recsys.events.tokens import Token

Cause = Literal["disk_full", "disk_error", "busy", "connection", "refused", "damaged", "moved", "other"]
"""Why a store fails: no room; a fault of the disk; held by others, or no free connection; the server is not reached or
has cut the connection; no right or no such database; a damaged file; a file that was moved; none of these."""


class StoreError(RecsysError):
    """The event store cannot be opened, read or written. No address in the text shows a password.

    Attributes:
        cause: one word for programs.
        detail: what the database said, without names, values and addresses; may be empty.
    """

    def __init__(self, message: str, cause: Cause = "other", detail: str = "") -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.detail = detail


@final
class ConflictError(StoreError):
    """An event id was used before, for another event of the same user.

    Attributes:
        event_id: the id.
    """

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"event_id {event_id!r} was used before, for another event of this user; nothing of the batch was taken. "
            "Give every event an id of its own, such as a UUID, and send an event again only as it was"
        )
        self.event_id = event_id


@final
@dataclass(frozen=True, slots=True)
class Event:
    """A user did something with an item, or said something of it.

    Attributes:
        event_id: the sender's id, unique among the user's events: an event sent twice counts once.
        user_id: external id.
        item_id: external id.
        value: the rating, or the amount of a view, a click or a buy, which is stored and not read; finite; None: there
            is none, as always of a like, a dislike and a skip.
        time: Unix seconds (UTC).
        kind: what was done. A use with a value becomes a rating.
        condition: under which circumstances, such as the device or the version of a page; None: nothing is said.

    Raises:
        DataError: naming field, value and cure.

    >>> Event("e1", "ada", "42", 4.5, 964982703).kind
    'rating'
    """

    event_id: str
    user_id: str
    item_id: str
    value: float | None
    time: int
    kind: Kind = "use"
    condition: str | None = None

    def __post_init__(self) -> None:
        check_id("event_id", self.event_id)
        check_id("user_id", self.user_id)
        check_id("item_id", self.item_id)
        if self.value is not None:
            # Adding zero makes -0.0 the 0.0 as which every database gives it back.
            object.__setattr__(self, "value", number_within("value", self.value, -LARGEST_VALUE, LARGEST_VALUE) + 0.0)
        check_time("time", self.time)
        if self.kind not in KINDS:
            raise DataError(
                f"kind is {shown(self.kind)}; it must be one of {', '.join(KINDS)}{nearest(str(self.kind), KINDS)}"
            )
        check_said(self.kind, self.value)
        if self.condition is not None:
            check_text("condition", self.condition, LONGEST_CONDITION)
        if self.value is not None and self.kind == "use":
            object.__setattr__(self, "kind", "rating")


@final
@dataclass(frozen=True, slots=True)
class Correction:
    """A user's correction of one of their personas.

    Attributes:
        weight: factor on the persona's attention, from 0 (muted) to 10; 1 changes nothing, above 1 boosts.
        name: the user's own name for it; None: the generated one.
        model: fingerprint of the persona's model; after a retraining the same number is another persona.

    Raises:
        DataError: naming field, value and cure.
    """

    weight: float = 1.0
    name: str | None = None
    model: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", number_within("weight", self.weight, 0.0, LARGEST_WEIGHT) + 0.0)
        if self.name is not None:
            check_text("name", self.name, LONGEST_NAME)
        if self.model != "":
            check_id("model", self.model)

    @property
    def muted(self) -> bool:
        """Whether the weight is 0."""
        return self.weight == 0


@final
@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its sequence number."""

    sequence: int
    event: Event


@final
@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction of a persona, in place of an earlier one of the same persona."""

    sequence: int
    user_id: str
    persona: int
    correction: Correction


@final
@dataclass(frozen=True, slots=True)
class Undone:
    """The removal of one event, which stays removed: sent again it counts as a repetition."""

    sequence: int
    user_id: str
    event_id: str


@final
@dataclass(frozen=True, slots=True)
class Erased:
    """The erasure of a user, of whom only a hash is kept."""

    sequence: int
    user_hash: str


Change = Recorded | Corrected | Undone | Erased


@final
@dataclass(frozen=True, slots=True)
class Appended:
    """Numbers of events of a batch that are new, and that were there already with the same content or were undone."""

    accepted: int
    repeated: int


class EventStore(ABC):
    """Stores events, corrections and tokens. Thread-safe; several stores may share one database.

    Every method raises a `StoreError` when the database fails. Nothing is then half done, and the call may be repeated.
    """

    @abstractmethod
    def append(self, events: Sequence[Event]) -> Appended:
        """Append all events of a batch or none, in the given order; they are durable when it returns.

        Raises:
            ConflictError: an event of the same user with the same id and other content is stored.
        """

    @abstractmethod
    def of_users(self, user_ids: Iterable[str]) -> dict[str, tuple[Recorded, ...]]:
        """Return the history of each of some users: by time, equal times in order of arrival; empty if unknown."""

    @abstractmethod
    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        """Return the first changes after a sequence number, at most `limit` (at least 1), in order of sequence.

        A later change can remove an earlier one: an undoing the event, an erasure the user's events, undoings and
        corrections, a correction the previous one of the persona. An empty result means that there are no further
        changes.
        """

    @abstractmethod
    def last_sequence(self) -> int:
        """Return the largest sequence number so far; 0 for a new store."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of events."""

    @abstractmethod
    def erase_user(self, user_id: str) -> Erased:
        """Remove a user's events, corrections, settings, beliefs, impressions and tokens.

        Later events of the user are those of a new user. Where nothing is left to remove since the user's last erasure,
        that one is returned and nothing is written. Copies in the database's file are removed later, see `scrub`.
        """

    @abstractmethod
    def undo_event(self, user_id: str, event_id: str) -> Undone | None:
        """Remove one event for good; return when it was removed, possibly before. None: there never was such an event.

        The user's saved belief, which may have learned from the event, is removed with it.
        Sent again, the event is a repetition and stays removed, until the user is erased.
        """

    @abstractmethod
    def unscrubbed(self) -> int:
        """Return how many erasures may have copies of erased rows left in the database's file."""

    @abstractmethod
    def scrub(self) -> None:
        """Remove what erasures have left in the database's file. A store does so by itself, soon after an erasure."""

    @abstractmethod
    def put_correction(self, user_id: str, persona: int, correction: Correction) -> Corrected:
        """Set the correction of one persona, in place of an earlier one."""

    @abstractmethod
    def corrections(self, user_id: str) -> dict[int, Correction]:
        """Return a user's corrections by persona."""

    @abstractmethod
    def put_setting(self, user_id: str, name: str, value: str | None) -> None:
        """Set a text that is kept of a user under a name, in place of an earlier one; None removes it.

        It takes a number of the sequence.
        """

    @abstractmethod
    def add_setting(self, user_id: str, name: str, value: str) -> str:
        """Set a text unless there is one under the name, as `put_setting` does; return the one that is there now."""

    @abstractmethod
    def settings(self, user_id: str) -> dict[str, str]:
        """Return the texts that are kept of a user, by name."""

    @abstractmethod
    def save_beliefs(self, beliefs: Mapping[str, SavedBelief]) -> None:
        """Save beliefs by user, each in place of an earlier one.

        One is left out where its last event is not stored, because the user was erased since, and where the same model
        has saved a later one.
        """

    @abstractmethod
    def beliefs(self, model: str) -> dict[str, SavedBelief]:
        """Return the beliefs of a model by user."""

    @abstractmethod
    def belief(self, user_id: str) -> SavedBelief | None:
        """Return the belief that is saved of a user, whatever its model; None: there is none."""

    @abstractmethod
    def put_items(self, items: Sequence[StoredItem], now: int) -> ItemsPut:
        """Put items into the catalogue, all or none, each in place of what was said of it before.

        Those that change something take one number of the sequence together; the others change nothing.

        Args:
            items: each once.
            now: Unix seconds.

        Raises:
            DataError: two have one id.
        """

    @abstractmethod
    def patch_item(self, item_id: str, changes: Mapping[str, Any], now: int) -> StoredItem:
        """Change some fields of an item, see `recsys.events.items.records.patched`; return what is stored then.

        An item of which nothing is stored, or which was deleted, is stored with these fields alone.
        """

    @abstractmethod
    def delete_item(self, item_id: str, now: int) -> bool:
        """Take an item out of the catalogue, also one of which nothing is stored; return whether it was not out yet."""

    @abstractmethod
    def items_since(self, sequence: int) -> tuple[int, tuple[StoredItem, ...]]:
        """Return the items that were changed after a sequence number, deleted ones too, and the number of the last.

        Without any the given number is returned. No item changes later at or before the returned number.
        """

    @abstractmethod
    def daily_users(self) -> tuple[tuple[str, int, int], ...]:
        """Return item, day since 1970, and how many users did something with the item on that day, without an order.

        Dislikes and skips do not count.
        """

    @abstractmethod
    def put_impressions(self, impressions: Sequence[Impression]) -> int:
        """Record what was shown; an item of a list counts once. Return how many are new."""

    @abstractmethod
    def put_click(self, user_id: str, recommendation_id: str, item_id: str, time: int) -> bool:
        """Record a click; of several on one impression the first counts. Return whether there is the impression."""

    @abstractmethod
    def impressions(self, user_id: str) -> tuple[Impression, ...]:
        """Return what was shown to a user, by time and position."""

    @abstractmethod
    def clicks_by_user(self) -> tuple[UserClicks, ...]:
        """Return impressions and clicks of each user and model, without an order."""

    @abstractmethod
    def clicks_by_position(self) -> tuple[PositionClicks, ...]:
        """Return impressions and clicks of each model and position, in this order."""

    @abstractmethod
    def put_token(self, token: Token) -> None:
        """Store a new token.

        Raises:
            StoreError: there is one with this hash.
        """

    @abstractmethod
    def token(self, token_hash: str) -> Token | None:
        """Return the token with a hash, even if revoked or expired; None: there is none."""

    @abstractmethod
    def tokens(self) -> list[Token]:
        """Return all tokens, oldest first."""

    @abstractmethod
    def revoke_token(self, token_hash: str, now: int) -> bool:
        """Revoke a token at `now`, unless it is revoked already; return whether it exists."""

    @abstractmethod
    def close(self) -> None:
        """Close files and connections."""

    @final
    def replay(self, after: int = 0, page: int = 5000) -> Iterator[Change]:
        """Yield the changes after a sequence number, in order, up to the last one at the time of the call."""
        last = self.last_sequence()
        while after < last and (changes := self.since(after, page)):
            yield from (change for change in changes if change.sequence <= last)
            after = changes[-1].sequence

    @final
    def __enter__(self) -> Self:
        return self

    @final
    def __exit__(self, *_: object) -> None:
        self.close()


def user_hash(user_id: str) -> str:
    """Return the SHA-256 of a user in an `Erased` record; it confirms a guessed id, but reveals none."""
    return hashlib.sha256(user_id.encode()).hexdigest()
