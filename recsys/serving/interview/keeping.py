"""Keeps the answers of an interview as events of a user."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

from recsys.data.kinds import Kind
from recsys.events.store import Event, Recorded
from recsys.serving.interview.records import SaidAnswer

_PREFIX: Final = "interview-"
"""Of the ids of such events."""

_KINDS: Final[dict[str, Kind]] = {"like": "like", "dislike": "dislike", "rating": "rating"}


@final
@dataclass(frozen=True)
class Kept:
    """What has to change in a store for answers to be in it.

    Attributes:
        events: new ones.
        undone: ids of events of earlier answers about the same items.
    """

    events: tuple[Event, ...]
    undone: tuple[str, ...]


def keeping(user_id: str, said: Sequence[SaidAnswer], stored: Iterable[Recorded], now: int) -> Kept:
    """Return how answers are kept: of several about one item the last, and none that is stored already.

    A "don't know" is no event; it takes an earlier answer about the item back.

    Args:
        user_id: external id.
        said: the answers so far, the earliest first.
        stored: the user's events.
        now: when they were given, Unix seconds.
    """
    answers = {one.item_id: one for one in said}
    earlier = {one.event.item_id: one.event for one in stored if one.event.event_id.startswith(_PREFIX)}
    events, undone = [], []
    for item, one in answers.items():
        kind, former = _KINDS.get(one.answer), earlier.get(item)
        if former is not None and (former.kind, former.value) == (kind, one.value):
            continue
        if former is not None:
            undone.append(former.event_id)
        if kind is not None:
            events.append(Event(_PREFIX + secrets.token_hex(16), user_id, item, one.value, now, kind))
    return Kept(tuple(events), tuple(undone))
