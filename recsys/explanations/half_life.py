"""How long a user's events keep counting: the belief of a decayed model, as records."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.base import Forgetting
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.decay.gradient import GradientHalfLife
from recsys.decay.temporal import TemporalDecay
from recsys.explanations.records import HalfLife, HalfLifeInterval, Unit
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.types import DAY, Doubles

_UNITS_OF_TIME: dict[str, Unit] = {"seconds": "days", "period": "periods"}
"""The unit of a half-life in time, by the clock of the log; else positions."""

_LEVELS = (0.5, 0.1, 0.9)
"""The quantiles of an interval: median, low, high."""


def user_half_lives(model: Recommender, queries: Queries) -> list[HalfLife] | None:
    """Return the half-life of each user under a decayed model; None for a model without decay.

    | rule | half-life |
    |---|---|
    | `TemporalDecay` | the user's belief, on both clocks |
    | `GlobalHalfLife` | the shared half-life; `never` is its floor |
    | `SlidingWindow` | the shared length of the window, at which an event loses its weight |
    | `GradientHalfLife` | the user's own, without uncertainty; `never` is the floor |
    | any other | the number of the user's newest events with at least half of the largest weight |
    """
    rule: Forgetting = model.rule if isinstance(model, Decayed) else NoDecay()
    if isinstance(rule, NoDecay):
        return None
    unit_of_time = _UNITS_OF_TIME.get(model.fitted_on.clock, "positions")
    if isinstance(rule, TemporalDecay):
        lasted = _lasted(rule, queries)
        return [_own(rule, user, taste) for user, taste in zip(queries.users.tolist(), lasted, strict=True)]
    if isinstance(rule, GlobalHalfLife | SlidingWindow):
        return [_shared(rule, unit_of_time)] * len(queries)
    if isinstance(rule, GradientHalfLife):
        unit = "events" if rule.clock == "events" else unit_of_time
        learned = zip(rule.half_lives(queries).tolist(), rule.floors(queries).tolist(), strict=True)
        return [HalfLife("own", (_exact(unit, value),), floor, None) for value, floor in learned]
    return [HalfLife("own", (_exact("events", value),), 0.0, None) for value in _measured(model, queries).tolist()]


def _shared(rule: GlobalHalfLife | SlidingWindow, unit_of_time: Unit) -> HalfLife:
    if isinstance(rule, GlobalHalfLife):
        unit = "events" if rule.clock == "events" else unit_of_time
        return HalfLife("shared", (_exact(unit, rule.half_life),), rule.floor, None)
    window = _exact(unit_of_time, rule.seconds) if rule.events is None else _exact("events", rule.events)
    return HalfLife("shared", (window,), 0.0, None)


def _measured(model: Recommender, queries: Queries) -> Doubles:
    """Return how many of each user's events have at least half of the largest weight; infinity for all of them."""
    history, weights = queries.history, model.read(queries).queries.weights
    assert weights is not None
    largest = np.zeros(len(queries))
    np.maximum.at(largest, history.rows, weights)
    count = history.sum(weights >= 0.5 * largest[history.rows])
    return np.where(count < history.lengths, count, np.inf)


def _exact(unit: Unit, value: float | None) -> HalfLifeInterval:
    """Return a half-life that is certain, given in the unit of the log's times where it is counted in days."""
    own = value / DAY if unit == "days" and value is not None else value
    return _interval(unit, [math.inf if own is None else own] * len(_LEVELS), 1.0)


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
