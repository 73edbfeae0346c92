"""The distribution of half-lives over users."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.decay.ages import AgeClock
from recsys.decay.temporal import TemporalDecay
from recsys.types import DAY

_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def describe_beliefs(rule: TemporalDecay, users: npt.NDArray[np.integer], clock: str) -> dict[str, Any]:
    """Return the distribution of half-lives over users, as plain values.

    Args:
        rule: after the replay.
        users: numbers of the users.
        clock: of the log; times are in days where it is "seconds".

    Returns:
        `users`; `names` of the grid; `unit` of its times; `mean_belief`, the mean over users; `prior`; and for each
        clock of the grid the `median` of the users' posteriors (within that clock and "never"): `values` of the grid
        and "never", `shares` of the users whose median it is, and `quantiles` of the median over users (None: never).
    """
    grid = rule.half_lives
    belief = rule.belief(users).astype(np.float64)
    unit, word = (DAY, "days") if clock == "seconds" else (1.0, "periods")
    summary: dict[str, Any] = {
        "users": len(users),
        "names": list(grid.named(unit, word)),
        "unit": word,
        "mean_belief": belief.mean(0).tolist(),
        "prior": rule.prior.astype(np.float64).tolist(),
        "medians": {},
    }
    clocks: tuple[tuple[AgeClock, float], ...] = (("events", 1.0), ("time", unit))
    for name, length in clocks:
        values = grid.of(name)
        if not values:
            continue
        medians = np.asarray([rule.posterior(int(user)).quantile(name, 0.5) for user in users]) / length
        grid_values = [*(value / length for value in values), np.inf]
        summary["medians"][name] = {
            "values": [value if np.isfinite(value) else "never" for value in grid_values],
            "shares": [float((medians == value).mean()) for value in grid_values],
            "quantiles": {f"{level:g}": _order_statistic(medians, level) for level in _LEVELS},
        }
    return summary


def _order_statistic(values: npt.NDArray[np.float64], level: float) -> float | None:
    """Return a quantile that is one of the values, so that infinity is one like another; None for infinity."""
    value = float(np.quantile(values, level, method="inverted_cdf"))
    return value if np.isfinite(value) else None
