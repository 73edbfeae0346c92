"""Rules with fixed settings for all users: no decay, one half-life, a sliding window."""

from __future__ import annotations

from typing import final

import numpy as np

from recsys.checks import choice, positive, share
from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock, ages
from recsys.decay.base import FixedRule, HalfLifeBelief, certain_half_life
from recsys.errors import ConfigError
from recsys.types import Doubles, Floats, Mask


def half_life_weights(age: Doubles, half_life: float | Doubles, floor: float | Doubles) -> Floats:
    """Return w = floor + (1 - floor) 2^(-age / half_life), float32, of the shape of `age`.

    Args:
        age: "events", at least 0.
        half_life: the age at which half of what is above the floor is left; one, or one per event.
        floor: the weight that is never lost, in [0, 1]; one, or one per event.

    >>> half_life_weights(np.asarray([0.0, 3.0, 6.0]), 3.0, 0.0).tolist()
    [1.0, 0.5, 0.25]
    """
    weights = floor + (1.0 - floor) * np.exp2(-age / half_life)
    return np.asarray(np.clip(weights, 0.0, 1.0), np.float32)


@final
class NoDecay(FixedRule):
    """w = 1: every event counts in full, for ever."""

    clock: AgeClock | None = None

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return np.ones(len(queries.history.items), np.float32)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> None:
        return None

    def describe(self, queries: Queries) -> None:
        return None


@final
class GlobalHalfLife(FixedRule):
    """w = floor + (1 - floor) 2^(-age / half_life), with one half-life and one floor for everybody.

    Exponential forgetting as in Koychev, *Gradual Forgetting for Adaptation to Concept Drift* (2000), and Ding and Li,
    *Time Weight Collaborative Filtering* (CIKM 2005), here on the read-out only.

    Args:
        half_life: in the unit of the clock; infinity is no decay.
        clock: "events", the user's events since; or "time", in the unit of the log's times (see `recsys.decay.ages`).
        floor: the weight that is never lost, from 0 to 1; 1 is no decay.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, half_life: float, clock: AgeClock = "events", floor: float = 0.0) -> None:
        positive("half_life", half_life, infinite=True)
        choice("clock", clock, AgeClock)
        share("floor", floor)
        self.half_life = half_life
        self.clock: AgeClock = clock
        self.floor = floor

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return half_life_weights(ages(queries, self.clock, event_age), self.half_life, self.floor)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        return np.asarray(ages(queries, self.clock, event_age) <= self.half_life)

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        return [certain_half_life("shared", self.clock, self.half_life, self.floor)] * len(queries)


@final
class SlidingWindow(FixedRule):
    """w = 1 inside the window, 0 outside: the newest events, or those of the last days.

    Args:
        events: keep the events with fewer than this many strictly later ones: the newest `events`, and with them those
            of the same time as the last of these.
        seconds: keep the events of age at most this, in the unit of the log's times (seconds in most, periods in some);
            none of a user whose last event is older.

    Raises:
        ConfigError: none or both are given, or a value is not positive.
    """

    def __init__(self, events: int | None = None, seconds: float | None = None) -> None:
        if (events is None) == (seconds is None):
            raise ConfigError(f"events is {events} and seconds is {seconds}; a window needs exactly one of them")
        if events is not None:
            positive("events", events)
        if seconds is not None:
            positive("seconds", seconds)
        self.events = events
        self.seconds = seconds
        self.clock: AgeClock = "time" if events is None else "events"

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return self.recent(queries, event_age).astype(np.float32)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        age = ages(queries, self.clock, event_age)
        return np.asarray(age < self.events if self.events is not None else age <= (self.seconds or 0.0))

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        length = self.seconds if self.events is None else self.events
        return [certain_half_life("window", self.clock, float(length or 0.0), 0.0)] * len(queries)
