"""Paired replays, and their curves by distance from a change: the parts of the scores of drift handling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from recsys.errors import ConfigError
from recsys.types import Doubles, Ints

_ROUNDING = 1e-12
"""Curves of equal metrics may differ by rounding, which must not decide whether one reaches the other."""


def paired_questions(tables: Sequence[pd.DataFrame], metric: str) -> pd.DataFrame:
    """Return the questions that all tables have: `user_num`, `position`, and x0, x1, ... of the tables."""
    for table in tables:
        if metric not in table:
            raise ConfigError(f"metric {metric!r} is not in the table; it has {', '.join(map(str, table.columns))}")
    keys = ["user_num", "position"]
    joined = tables[0][[*keys, metric]].rename(columns={metric: "x0"})
    for number, table in enumerate(tables[1:], start=1):
        other = table[[*keys, metric]].rename(columns={metric: f"x{number}"})
        joined = joined.merge(other, on=keys, how="inner", validate="one_to_one")
    return joined


def at_distances(
    tables: Sequence[pd.DataFrame], changed_at: Ints, metric: str, horizon: int
) -> tuple[list[Doubles], Doubles, Ints]:
    """Return values of each table, "users horizon" (0 without a question), 1 where one is asked, and the users."""
    if horizon < 1:
        raise ConfigError(f"horizon is {horizon}; it must be at least 1")
    pairs = paired_questions(tables, metric)
    user, position = pairs["user_num"].to_numpy(), pairs["position"].to_numpy()
    distance = position - changed_at[user]
    inside = (changed_at[user] >= 0) & (distance >= 0) & (distance < horizon)
    users, row = np.unique(user[inside], return_inverse=True)
    place = (row, distance[inside])
    present = np.zeros((len(users), horizon))
    present[place] = 1.0
    values = [np.zeros(present.shape) for _ in tables]
    for number, matrix in enumerate(values):
        matrix[place] = pairs[f"x{number}"].to_numpy(np.float64)[inside]
    return values, present, users.astype(np.int64)


def curve(total: Doubles, count: Doubles, smooth: int) -> Doubles:
    """Return "... distances": sums over a centred window of the last axis, divided; NaN where the count is 0."""
    if smooth < 1 or smooth % 2 == 0:
        raise ConfigError(f"smooth is {smooth}; it must be an odd number, at least 1")
    numerator, denominator = windowed(total, smooth), windowed(count, smooth)
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), np.nan)


def windowed(values: Doubles, smooth: int) -> Doubles:
    """Return the sums over a centred window of the last axis, shorter at the ends.

    >>> windowed(np.array([1.0, 2.0, 4.0]), 3).tolist()
    [3.0, 7.0, 6.0]
    """
    total = values.copy()
    for shift in range(1, min(smooth // 2 + 1, values.shape[-1])):
        total[..., shift:] += values[..., :-shift]
        total[..., :-shift] += values[..., shift:]
    return total


def recovered(
    model: Doubles, oracle: Doubles, count: Doubles, share: float, against: Literal["curve", "level"], smooth: int
) -> Doubles:
    """Return "resamples": the events until recovery, infinity where never; see `scores.recovery`.

    Args:
        model: "resamples distances", sums of the model's metric over the users, as `oracle`.
        count: "resamples distances", numbers of questions.
    """
    own, best = curve(model, count, smooth), curve(oracle, count, smooth)
    distance = np.arange(own.shape[1])
    if against == "level":
        later = slice(own.shape[1] // 2, None)
        total = count[:, later].sum(1)
        level = np.where(total > 0, oracle[:, later].sum(1) / np.where(total > 0, total, 1.0), np.nan)
        searched = own >= share * level[:, None] - _ROUNDING
    else:
        reached = own >= share * best - _ROUNDING
        shortfall = np.where(np.isfinite(own), best - own, -np.inf)
        worst = np.where((reached | np.isnan(own)).all(1), 0, shortfall.argmax(1))
        searched = reached & (distance >= worst[:, None])
    return np.where(searched.any(1), searched.argmax(1).astype(np.float64), np.inf)
