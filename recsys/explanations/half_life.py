"""How long a user's events keep counting, told to a person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.temporal import TemporalDecay
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.types import DAY

Unit = Literal["events", "days", "periods", "positions"]
"""What a half-life is counted in."""

_LOW, _HIGH = 0.1, 0.9


@final
@dataclass(frozen=True)
class Interval:
    """A half-life in one unit: infinity is "never".

    Attributes:
        median: as likely longer as shorter.
        low: longer with 90%.
        high: shorter with 90%.
        probability: of the clock that this unit counts on; what is left over is the other clock's, and "never".
    """

    median: float
    low: float
    high: float
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; None for "never"."""
        values = {"median": self.median, "low": self.low, "high": self.high, "probability": self.probability}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


@final
@dataclass(frozen=True)
class UserHalfLife:
    """What is believed of a user's half-life.

    Attributes:
        kind: "own", learned for the user; or "shared", one for everybody.
        clocks: the half-life by unit, given that it is on this clock or "never".
        never: the probability that nothing fades (`kind` "own"), or the weight that is never lost ("shared"): the
            long-term floor.
        learned_from: number of events of the user it was learned from; None where it is shared.
        lasted: of how many of the newest events the user's present taste is; infinite: of all. Its probability is that
            it is not of all, which is to say, that the taste changed. None where changes are not looked for.
    """

    kind: Literal["own", "shared"]
    clocks: dict[Unit, Interval]
    never: float
    learned_from: int | None
    lasted: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        clocks = {str(unit): interval.to_dict() for unit, interval in self.clocks.items()}
        lasted = {} if self.lasted is None else {"lasted": self.lasted.to_dict()}
        return {"kind": self.kind, **clocks, "never": self.never, "learned_from": self.learned_from, **lasted}


def user_half_lives(model: Recommender, queries: Queries) -> list[UserHalfLife] | None:
    """Return what a decayed model believes of the half-life of each user; None of a model without decay."""
    if not isinstance(model, Decayed):
        return None
    rule, clock = model.rule, model.fitted_on.clock
    if isinstance(rule, TemporalDecay):
        lasted = _lasted(rule, queries)
        return [_own(rule, user, taste) for user, taste in zip(queries.users.tolist(), lasted, strict=True)]
    by_clock: dict[str, Unit] = {"seconds": "days", "period": "periods"}
    unit = "events" if rule.clock == "events" else by_clock.get(clock, "positions")
    value = rule.half_life / DAY if unit == "days" else rule.half_life
    shared = UserHalfLife("shared", {unit: Interval(value, value, value, 1.0)}, rule.floor, None)
    return [shared] * len(queries)


def _own(rule: TemporalDecay, user: int, lasted: Interval | None) -> UserHalfLife:
    posterior, grid = rule.posterior(user), rule.half_lives
    found: dict[Unit, Interval] = {}
    of_events = float(posterior.probability[: len(grid.events)].sum())
    if grid.events:
        median, low, high = (posterior.quantile("events", grid, level) for level in (0.5, _LOW, _HIGH))
        found["events"] = Interval(median, low, high, of_events)
    # The grid has half-lives in time only where the log's times are seconds.
    if grid.time:
        median, low, high = (posterior.quantile("time", grid, level) / DAY for level in (0.5, _LOW, _HIGH))
        found["days"] = Interval(median, low, high, 1.0 - of_events - posterior.never)
    return UserHalfLife("own", found, posterior.never, posterior.events, lasted)


def _lasted(rule: TemporalDecay, queries: Queries) -> list[Interval] | list[None]:
    """Return how long each user's present taste has lasted, in events."""
    if rule.changepoints is None:
        return [None] * len(queries)
    lengths = np.append(rule.changepoints.lengths.astype(np.float64), np.inf)
    until = np.cumsum(rule.changepoints.belief(queries.users, queries.history.lengths).astype(np.float64), axis=1)
    found = []
    for row in until:
        places = np.minimum([(row < level).sum() for level in (0.5, _LOW, _HIGH)], len(row) - 1)
        median, low, high = lengths[places].tolist()
        found.append(Interval(median, low, high, float(row[-2])))
    return found
