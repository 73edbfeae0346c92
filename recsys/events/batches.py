"""Which events of a batch are new and which were sent before, one rule for every store; ids of events without one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from recsys.data.kinds import Kind
from recsys.events.store import ConflictError, Event

Key = tuple[str, str]
"""The user and the id of an event."""


_EARLIER_WORDS: Final[dict[Kind, str]] = {"rating": "use", "dislike": "dismiss"}
_EQUAL: Final = {("use", None), ("rating", 1.0)}


def key_of(event: Event) -> Key:
    """Return what identifies an event in a store."""
    return event.user_id, event.event_id


def distinct(events: Sequence[Event]) -> dict[Key, Event]:
    """Return the events of a batch, each once.

    Raises:
        ConflictError: two of one user differ under one id.
    """
    by_key: dict[Key, Event] = {}
    for event in events:
        if not _same(by_key.setdefault(key_of(event), event), event):
            raise ConflictError(event.event_id)
    return by_key


def fresh(batch: Mapping[Key, Event], stored: Mapping[Key, Event | None]) -> list[Event]:
    """Return the events of a batch that are neither stored nor undone.

    Args:
        batch: events.
        stored: those that are stored under the same users and ids; None for undone ones.

    Raises:
        ConflictError: another event is stored under one of the ids; the first of the batch is named.
    """
    for key, event in batch.items():
        if not _same(stored.get(key) or event, event):
            raise ConflictError(event.event_id)
    return [event for key, event in batch.items() if key not in stored]


def _same(one: Event, other: Event) -> bool:
    """Whether two events of one user and id are the same.

    1 is as good as no value: schema 1 knew no difference. No condition is as good as any: schema 5 knew none.
    """
    said = {(one.kind, one.value), (other.kind, other.value)}
    same = len(said) == 1 or said == _EQUAL
    same &= one.condition == other.condition or None in (one.condition, other.condition)
    return same and (one.item_id, one.time) == (other.item_id, other.time)


def content_id(user: str, item: str, value: float | None, time: int, kind: Kind) -> str:
    """Return the id of an event without one: a function of its content.

    No value counts as 1, as it did in schema 1, and kinds have the words of schema 3, so that ids stay what they were.
    """
    content = "\n".join((user, item, repr(1.0 if value is None else value), str(time), _EARLIER_WORDS.get(kind, kind)))
    return f"row-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
