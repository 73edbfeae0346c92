"""The grid of hypotheses about forgetting, beliefs over it, and the weights of a history under a mixture of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock, ages
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Floats, Mask

_TINY = 1e-12


@final
@dataclass(frozen=True)
class HalfLives:
    """The grid of hypotheses about how a user forgets: half-lives on two clocks, each with every floor.

        w_jh(t) = floor_h + (1 - floor_h) 2^-(later_j / events_h + (t - t_j) / time_h)

    `later_j` counts the user's events since. Where the log has times (and `paired`), a half-life in events never stands
    alone, but with each of the half-lives in time: after a long absence all that is left is the floor, and with it the
    old taste. The last hypothesis is always "never", no decay.

    Attributes:
        events: half-lives in the user's own events since.
        time: half-lives in the unit of the log's times.
        floors: weights that are never lost, in [0, 1).
        paired: whether both clocks act together; else each half-life is on one clock.
    """

    events: tuple[float, ...] = (2.0, 8.0, 32.0)
    time: tuple[float, ...] = tuple(days * DAY for days in (16.0, 64.0, 256.0))
    floors: tuple[float, ...] = (0.0, 0.1, 0.3)
    paired: bool = True

    def __post_init__(self) -> None:
        for name in ("events", "time"):
            values = getattr(self, name)
            for value in values:
                positive(f"half_lives.{name}", value, infinite=True)
                if not np.isfinite(value):
                    raise ConfigError(f"half_lives.{name} has {value}; no decay is always there, leave it out")
            if list(values) != sorted(set(values)):
                raise ConfigError(f"half_lives.{name} is {values}; the values must rise")
        for floor in self.floors:
            share("half_lives.floors", floor)
        if not self.floors or list(self.floors) != sorted(set(self.floors)) or self.floors[-1] >= 1:
            raise ConfigError(f"half_lives.floors is {self.floors}; give at least one, rising, below 1 (no decay)")

    def __len__(self) -> int:
        return len(self.floors) * len(self.decays) + 1

    def of(self, clock: AgeClock) -> tuple[float, ...]:
        """Return the half-lives on a clock, without "never"."""
        return self.events if clock == "events" else self.time

    @cached_property
    def decays(self) -> tuple[tuple[float, float], ...]:
        """The half-lives (events, time) of each pair, infinite where a clock does not act."""
        alone = [(np.inf, value) for value in self.time]
        if self.paired and self.time:
            return (*((events, time) for events in self.events for time in self.time), *alone)
        return (*((events, np.inf) for events in self.events), *alone)

    @cached_property
    def grid(self) -> Doubles:
        """ "hypotheses 3": half-life in events, in time, and floor of each; of "never" infinite, infinite and 1."""
        rows = [(*decay, floor) for floor in self.floors for decay in self.decays]
        return np.asarray([*rows, (np.inf, np.inf, 1.0)])

    @property
    def names(self) -> tuple[str, ...]:
        """The hypotheses in words, in the order of the grid; times as of a log in seconds."""
        return self.named(DAY, "days")

    def named(self, length: float, unit: str) -> tuple[str, ...]:
        """Return the hypotheses in words, in the order of the grid, with times in a unit of this length."""
        names = []
        for events, time, floor in self.grid[:-1].tolist():
            clocks = [f"{events:g} events"] if np.isfinite(events) else []
            clocks += [f"{time / length:g} {unit}"] if np.isfinite(time) else []
            names.append(" and ".join(clocks) + (f", floor {floor:g}" if floor else ""))
        return (*names, "never")

    def since_newest(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return 2^-(later / events + time before the newest event / time), "decays+1 events"; the last row is 1.

        It is all that does not change between two events of a user.
        """
        events, time = np.asarray(self.decays, np.float64).reshape(-1, 2).T
        exponent = np.zeros((len(self.decays), len(queries.history.items)))
        if self.events:
            exponent -= ages(queries, "events", event_age) / events[:, None]
        if self.time:
            exponent -= _before_newest(queries) / time[:, None]
        return np.concatenate([np.exp2(exponent), np.ones((1, exponent.shape[1]))]).astype(np.float32)

    def absence(self, queries: Queries) -> Doubles:
        """Return 2^-(time since the newest event / time), "queries decays"."""
        newest = queries.times[np.maximum(queries.history.indptr[1:] - 1, 0)] if len(queries.times) else queries.now
        gap = np.where(queries.history.lengths > 0, np.maximum(queries.now - newest, 0), 0).astype(np.float64)
        return np.asarray(np.exp2(-gap[:, None] / np.asarray([time for _, time in self.decays])))

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return w_jh, "hypotheses events"; without a floor counted from the newest event, which changes no ranking.

        Args:
            queries: the histories.
            event_age: "events", takes the place of the number of later events.
        """
        since, absence = self.since_newest(queries, event_age), self.absence(queries)[queries.history.rows].T
        parts = [
            floor + (1.0 - floor) * since[:-1] * absence if floor else since[:-1].astype(np.float64)
            for floor in self.floors
        ]
        return np.concatenate([*parts, since[-1:]]).astype(np.float32)

    def mixture(self, queries: Queries, reduced: Floats, belief: Floats, mass: Doubles | None = None) -> Floats:
        """Return the weights under a belief, "events", each hypothesis scaled to the same sum; see `TemporalDecay`.

            w_j = sum_h p_h w_jh / sum_j w_jh,   scaled to max_j w_j = 1

        Args:
            queries: the histories.
            reduced: "decays+1 events", `since_newest`, perhaps reduced where a change of taste is likely.
            belief: "queries hypotheses"; rows sum to 1.
            mass: `mass_of` the same, if computed before.
        """
        nonempty = np.flatnonzero(queries.history.lengths)
        if len(nonempty) == 0:
            return np.zeros(0, np.float32)
        starts, lengths = queries.history.indptr[nonempty], queries.history.lengths[nonempty]
        total = mass_of(queries, reduced) if mass is None else mass
        absence = self.absence(queries)[nonempty]
        share = np.zeros((len(nonempty), len(reduced)))
        share[:, -1] = belief[nonempty, -1] / np.maximum(total[:, -1], _TINY)
        count = len(self.decays)
        for place, floor in enumerate(self.floors):
            # What all of a history has lost while nothing happened is no matter where nothing else is left.
            left = (1.0 - floor) * absence if floor else np.ones_like(absence)
            believed = belief[nonempty, place * count : (place + 1) * count]
            part = believed / np.maximum(floor * total[:, -1:] + left * total[:, :-1], _TINY)
            share[:, :-1] += left * part
            share[:, -1] += floor * part.sum(1)
        # Not a product of matrices: equal ages must have equal weights to the last bit.
        spread = share.T if len(nonempty) == 1 else np.repeat(share.T, lengths, axis=1)
        weights = (reduced * spread).sum(0)
        largest = np.maximum(np.maximum.reduceat(weights, starts), _TINY)
        return np.asarray(weights / np.repeat(largest, lengths), dtype=np.float32)

    def recent(self, queries: Queries, since: Floats, belief: Floats) -> Mask:
        """Return which events are younger than the half-life with at least even odds, given that anything decays.

        Args:
            queries: the histories.
            since: "decays+1 events", `since_newest`.
            belief: "queries hypotheses".
        """
        rows = queries.history.rows
        odds = belief[:, :-1].astype(np.float64).reshape(len(belief), len(self.floors), -1).sum(1)
        younger = since[:-1] * self.absence(queries)[rows].T >= 0.5
        return np.asarray((odds[rows].T * younger).sum(0) >= 0.5 * odds.sum(1)[rows])


@final
@dataclass(frozen=True)
class Posterior:
    """The belief about how one user forgets.

    Attributes:
        half_lives: the grid.
        probability: "hypotheses", float64, sums to 1.
        events: number of lessons it was learned from.
    """

    half_lives: HalfLives
    probability: Doubles
    events: int

    @property
    def never(self) -> float:
        """The expected floor: the share of an old event's weight that is never lost, but for changes of taste."""
        return float(self.probability @ self.half_lives.grid[:, 2])

    def on(self, clock: AgeClock) -> float:
        """Return the probability that a half-life on a clock acts."""
        return float(self.probability @ np.isfinite(self._column(clock)))

    def quantile(self, clock: AgeClock, level: float) -> float:
        """Return the half-life below which a share `level` of the belief in this clock and in "never" lies."""
        values, column = self.half_lives.of(clock), self._column(clock)
        mass = np.asarray([*(self.probability[column == value].sum() for value in values), self.probability[-1]])
        until = np.cumsum(mass) / max(float(mass.sum()), _TINY)
        position = int(np.searchsorted(until, level))
        return values[position] if position < len(values) else float("inf")

    def _column(self, clock: AgeClock) -> Doubles:
        return np.asarray(self.half_lives.grid[:, 0 if clock == "events" else 1])


def mass_of(queries: Queries, reduced: Floats) -> Doubles:
    """Return the sums over each history that is not empty, "queries decays+1", given "decays+1 events"."""
    nonempty = np.flatnonzero(queries.history.lengths)
    starts = queries.history.indptr[nonempty]
    return np.asarray(np.add.reduceat(reduced, starts, axis=1, dtype=np.float64).T)


def _before_newest(queries: Queries) -> Doubles:
    """Return how much older each event is than the newest of its history, "events"; times ascend in a history."""
    times, indptr = queries.times, queries.history.indptr
    newest = times[np.maximum(indptr[1:] - 1, 0)] if len(times) else np.zeros(len(queries), np.int64)
    return (np.repeat(newest, queries.history.lengths) - times).astype(np.float64)
