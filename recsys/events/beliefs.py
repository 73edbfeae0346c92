"""What a model learned of a user's events, saved so that it need not learn it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class SavedBelief:
    """The state of a belief after some of a user's events.

    Attributes:
        model: identity of the model, and of all else that the state depends on; for any other it is invalid.
        sequence: number of the last event that it was learned from.
        events: how many of the user's events have numbers up to that one. Events never change, so that another number
            tells that one was removed since, and that the state is invalid.
        state: of the belief.
    """

    model: str
    sequence: int
    events: int
    state: bytes
