"""The grid of half-lives, beliefs over it, and the weights of a history under a mixture of half-lives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from recsys.checks import positive
from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock, ages, time_ages
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Floats

_TINY = 1e-12
_TABULATED = 4096  # ages in events, beyond those of nearly all histories


@final
@dataclass(frozen=True)
class HalfLives:
    """The grid of half-lives that a user can have; its last entry is always "never", no decay.

    Attributes:
        events: half-lives in the user's own events since.
        time: half-lives in the unit of the log's times.
    """

    events: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    time: tuple[float, ...] = tuple(days * DAY for days in (1.0, 4.0, 16.0, 64.0, 256.0))

    def __post_init__(self) -> None:
        for name in ("events", "time"):
            values = getattr(self, name)
            for value in values:
                positive(f"half_lives.{name}", value, infinite=True)
                if not np.isfinite(value):
                    raise ConfigError(f"half_lives.{name} has {value}; no decay is always there, leave it out")
            if list(values) != sorted(set(values)):
                raise ConfigError(f"half_lives.{name} is {values}; the values must rise")

    def __len__(self) -> int:
        return len(self.events) + len(self.time) + 1

    def of(self, clock: AgeClock) -> tuple[float, ...]:
        """Return the half-lives on a clock, without "never"."""
        return self.events if clock == "events" else self.time

    @property
    def names(self) -> tuple[str, ...]:
        """The half-lives in words, in the order of the grid."""
        of_time = tuple(f"{value / DAY:g} days" if value >= DAY else f"{value:g}" for value in self.time)
        return (*(f"{value:g} events" for value in self.events), *of_time, "never")

    def weights(self, queries: Queries, *, from_newest: bool = False, event_age: Doubles | None = None) -> Floats:
        """Return 2^(-age / half-life), "half-lives events".

        Args:
            queries: the histories.
            from_newest: count time from the newest event of each history instead of from now. Within a history this
                multiplies all weights of a half-life by one number, so that they do not underflow after a long absence.
            event_age: "events", takes the place of the number of later events.
        """
        weights = np.ones((len(self), len(queries.history.items)), np.float32)
        by_events, by_time = weights[: len(self.events)], weights[len(self.events) : -1]
        if self.events and event_age is None and int(queries.later.max(initial=0)) < _TABULATED:
            np.take(self._by_events, queries.later, axis=1, out=by_events, mode="clip")
        elif self.events:
            _halved(ages(queries, "events", event_age), self.events, by_events)
        if self.time:
            _halved(_since_newest(queries) if from_newest else time_ages(queries), self.time, by_time)
        return weights

    @cached_property
    def _by_events(self) -> Floats:
        """2^(-age / half-life) on the clock of events, "half-lives of events, ages"."""
        table = np.empty((len(self.events), _TABULATED), np.float32)
        _halved(np.arange(_TABULATED, dtype=np.float64), self.events, table)
        return table


@final
@dataclass(frozen=True)
class Posterior:
    """The belief about one user's half-life.

    Attributes:
        names: "half-lives".
        probability: "half-lives", float64, sums to 1.
        events: number of events it was learned from.
    """

    names: tuple[str, ...]
    probability: Doubles
    events: int

    @property
    def never(self) -> float:
        """The probability that nothing decays: the floor of the weights, less what changes of taste take away."""
        return float(self.probability[-1])

    def quantile(self, clock: AgeClock, half_lives: HalfLives, level: float) -> float:
        """Return the half-life below which a share `level` of the belief in this clock and in "never" lies."""
        values = half_lives.of(clock)
        first = 0 if clock == "events" else len(half_lives.events)
        mass = np.append(self.probability[first : first + len(values)], self.never)
        until = np.cumsum(mass) / max(float(mass.sum()), _TINY)
        position = int(np.searchsorted(until, level))
        return values[position] if position < len(values) else float("inf")


def mass_of(by_half_life: Floats) -> Doubles:
    """Return the sums of the weights of a single history, "half-lives", given "half-lives events"."""
    return np.asarray(np.add.reduceat(by_half_life, [0], axis=1, dtype=np.float64)[:, 0])


def mixture(queries: Queries, by_half_life: Floats, belief: Floats, mass: Doubles | None = None) -> Floats:
    """Return the mixture of the weights under several half-lives, "events"; see `TemporalDecay`.

    Args:
        queries: the histories.
        by_half_life: "half-lives events", weights under each half-life.
        belief: "queries half-lives"; rows sum to 1.
        mass: `mass_of` a single history, if computed before.
    """
    if len(queries) == 1 and len(queries.history.items):  # while serving
        total = mass_of(by_half_life) if mass is None else mass
        one = (by_half_life * (belief[0] / np.maximum(total, _TINY))[:, None]).sum(0)
        return np.asarray(one / max(float(one.max()), _TINY), dtype=np.float32)
    nonempty = np.flatnonzero(queries.history.lengths)
    if len(nonempty) == 0:
        return np.zeros(0, np.float32)
    starts, lengths = queries.history.indptr[nonempty], queries.history.lengths[nonempty]
    masses = np.add.reduceat(by_half_life, starts, axis=1, dtype=np.float64)
    share = belief[nonempty].T / np.maximum(masses, _TINY)
    # Not a product of matrices: equal ages must have equal weights to the last bit.
    weights = (by_half_life * np.repeat(share, lengths, axis=1)).sum(0)
    largest = np.maximum(np.maximum.reduceat(weights, starts), _TINY)
    return np.asarray(weights / np.repeat(largest, lengths), dtype=np.float32)


def _since_newest(queries: Queries) -> Doubles:
    """Return how much older each event is than the newest of its history, "events"; times ascend in a history."""
    times, indptr = queries.times, queries.history.indptr
    if len(queries) == 1:
        return (times[-1:] - times).astype(np.float64)
    newest = times[np.maximum(indptr[1:] - 1, 0)] if len(times) else np.zeros(len(queries), np.int64)
    return (np.repeat(newest, queries.history.lengths) - times).astype(np.float64)


def _halved(age: Doubles, half_lives: tuple[float, ...], out: Floats) -> None:
    """Write 2^(-age / half-life), "half-lives events"."""
    np.exp2(age / -np.asarray(half_lives)[:, None], out=out, casting="same_kind")
