"""How long a user's events keep counting: the belief of a decayed model, as records."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.temporal import TemporalDecay
from recsys.explanations.records import HalfLife, HalfLifeInterval, Unit
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.types import DAY, Doubles

_LEVELS = (0.5, 0.1, 0.9)
"""The quantiles of an interval: median, low, high."""


def user_half_lives(model: Recommender, queries: Queries) -> list[HalfLife] | None:
    """Return the half-life of each user under a decayed model; None for a model without decay."""
    if not isinstance(model, Decayed):
        return None
    rule, clock = model.rule, model.fitted_on.clock
    if isinstance(rule, TemporalDecay):
        lasted = _lasted(rule, queries)
        return [_own(rule, user, taste) for user, taste in zip(queries.users.tolist(), lasted, strict=True)]
    by_clock: dict[str, Unit] = {"seconds": "days", "period": "periods"}
    unit = "events" if rule.clock == "events" else by_clock.get(clock, "positions")
    value = rule.half_life / DAY if unit == "days" else rule.half_life
    shared = HalfLife("shared", (HalfLifeInterval(unit, value, value, value, 1.0),), rule.floor, None)
    return [shared] * len(queries)


def _own(rule: TemporalDecay, user: int, lasted: HalfLifeInterval | None) -> HalfLife:
    posterior, grid = rule.posterior(user), rule.half_lives
    clocks = []
    by_events = float(posterior.probability[: len(grid.events)].sum())
    if grid.events:
        clocks.append(_interval("events", [posterior.quantile("events", grid, level) for level in _LEVELS], by_events))
    # The grid has half-lives in time only where the log's times are seconds.
    if grid.time:
        days = [posterior.quantile("time", grid, level) / DAY for level in _LEVELS]
        clocks.append(_interval("days", days, 1.0 - by_events - posterior.never))
    return HalfLife("own", tuple(clocks), posterior.never, posterior.events, lasted)


def _lasted(rule: TemporalDecay, queries: Queries) -> list[HalfLifeInterval] | list[None]:
    """Return how long each user's present taste has lasted, in events."""
    if rule.changepoints is None:
        return [None] * len(queries)
    lengths = np.append(rule.changepoints.lengths.astype(np.float64), np.inf)
    until = np.cumsum(rule.changepoints.belief(queries.users, queries.history.lengths).astype(np.float64), axis=1)

    def interval(until: Doubles) -> HalfLifeInterval:
        places = np.minimum([(until < level).sum() for level in _LEVELS], len(until) - 1)
        return _interval("events", lengths[places].tolist(), float(until[-2]))

    return [interval(row) for row in until]


def _interval(unit: Unit, quantiles: Sequence[float], probability: float) -> HalfLifeInterval:
    median, low, high = (value if math.isfinite(value) else None for value in quantiles)
    return HalfLifeInterval(unit, median, low, high, probability)
