"""Scores of how a model handles drift, as pure functions of the tables of prequential replays.

Notation: x_u(p) the metric of the question at position p of user u's history; c_u the position of the first event after
the user's change; d = p - c_u >= 0 the distance in events. A curve averages over the users who have a question at
that distance, m(d) = mean_u x_u(c_u + d). The oracle is the same model with histories that begin at the
true change. Intervals are percentiles over resamples of the users. "users" arrays are indexed by `user_num`; -1 (NaN
in arrays of floats) marks a user without the property.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.evaluation.drift.curves import at_distances, curve, paired_questions, recovered
from recsys.evaluation.resampling import DEFAULT, Resampling, Score
from recsys.types import DAY, Doubles, Ints, Mask

DAYS = (0, 7, 30, 90, 180)
"""Lower edges of the groups of `by_days_since_training`."""


def per_user(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the prequential mean of each user, (1/n_u) sum_p x_u(p): one row per user, for `significance.compare`.

    Args:
        table: of a replay, or a part of its rows.
        metrics: columns to average.

    Returns:
        `user_num`, `user_id`, `questions` and the metrics, ascending in `user_num`.
    """
    groups = table.groupby("user_num", sort=True)
    means = groups[list(metrics)].mean()
    means.insert(0, "questions", groups.size())
    means.insert(0, "user_id", groups["user_id"].first())
    return means.reset_index()


def position_at(log: Interactions, time: Doubles | Ints) -> Ints:
    """Return the position of each user's first event at or after a moment, so that moments become c_u.

    Args:
        log: the log.
        time: "users"; NaN for users without the moment.

    Returns:
        "users"; -1 for users without the moment. The number of the user's events if all are earlier.
    """
    moment = np.asarray(time, dtype=np.float64)
    earlier = np.bincount(log.user_num, log.time < moment[log.user_num], minlength=log.n_users).astype(np.int64)
    return np.where(np.isfinite(moment), earlier, -1)


def recovery_curve(
    table: pd.DataFrame,
    changed_at: Ints,
    metric: str = "ndcg@10",
    *,
    horizon: int = 50,
    smooth: int = 5,
    resampling: Resampling = DEFAULT,
) -> pd.DataFrame:
    """Return the smoothed curve after the change with a band, for a plot.

        m~(d) = sum_{|e - d| <= s/2} sum_u x_u(c_u + e) / number of these x,  distances e in [0, horizon)

    Args:
        table: of a replay.
        changed_at: "users", c_u; -1 for users without a change, who do not count.
        metric: a column of the table.
        horizon: distances 0 ... horizon - 1.
        smooth: s, distances averaged over; an odd number.
        resampling: settings of the interval.

    Returns:
        One row per distance: `distance`, `mean`, `low`, `high`, `users` (with a question at exactly this distance).
        NaN where no user has one.
    """
    values, present, users = at_distances([table], changed_at, metric, horizon)

    def smoothed(times: Doubles) -> Doubles:
        return curve(times @ values[0], times @ present, smooth)

    mean, low, high = resampling.interval(len(users), smoothed)
    asked = present.sum(0).astype(np.int64)
    return pd.DataFrame({"distance": np.arange(horizon), "mean": mean, "low": low, "high": high, "users": asked})


def recovery(
    table: pd.DataFrame,
    oracle: pd.DataFrame,
    changed_at: Ints,
    metric: str = "ndcg@10",
    *,
    share: float = 0.95,
    against: Literal["curve", "level"] = "curve",
    horizon: int = 50,
    smooth: int = 5,
    resampling: Resampling = DEFAULT,
) -> Score:
    """Return the events that a model needs after a change until it reaches 95% of the oracle.

        curve   0 if m~(d) >= share o~(d) everywhere, else the first d >= d* with m~(d) >= share o~(d),
                d* = argmax_d o~(d) - m~(d), the largest shortfall
        level   the first d with m~(d) >= share L,  L = mean of o(d) over the later half of the distances

    Infinity where there is no such d. With "curve" the search begins at the largest shortfall because right after the
    change the oracle has an empty history, and any model equals it there. "level" includes the events that the oracle
    itself needs to learn. Only questions that both tables have are compared.

    Args:
        table: of the model's replay.
        oracle: of the replay with histories that begin at the true change.
        share: of the oracle, to be reached.
        against: the oracle's curve, distance by distance, or its level over the later half.
        changed_at, metric, horizon, smooth, resampling: see `recovery_curve`.
    """
    values, present, users = at_distances([table, oracle], changed_at, metric, horizon)

    def events_needed(times: Doubles) -> Doubles:
        model, best = times @ values[0], times @ values[1]
        return recovered(model, best, times @ present, share, against, smooth)[:, None]

    return resampling.score(len(users), events_needed)


def degradation_area(
    table: pd.DataFrame,
    oracle: pd.DataFrame,
    changed_at: Ints,
    metric: str = "ndcg@10",
    *,
    horizon: int = 50,
    resampling: Resampling = DEFAULT,
) -> Score:
    """Return the total cost of a change: A = sum_{d < horizon} o(d) - m(d), in units of metric times events.

    Curves are not smoothed. Distances without questions count 0. Negative where the model beats the oracle,
    which happens if the old taste still predicts something of the new.

    The arguments are those of `recovery`.
    """
    values, present, users = at_distances([table, oracle], changed_at, metric, horizon)

    def area(times: Doubles) -> Doubles:
        count = times @ present
        lost = times @ (values[1] - values[0])
        each = np.where(count > 0, lost / np.where(count > 0, count, 1.0), 0.0)
        return np.asarray(each.sum(1, keepdims=True))

    return resampling.score(len(users), area)


def relative_cost(
    table: pd.DataFrame,
    baseline: pd.DataFrame,
    users: Mask,
    metric: str = "ndcg@10",
    *,
    from_position: Ints | None = None,
    horizon: int | None = None,
    resampling: Resampling = DEFAULT,
) -> Score:
    """Return the relative loss against a baseline: 1 - mean_u x_u / mean_u b_u, x_u and b_u means per user.

    Against the replay without decay, over users of kind stable, this is the *stable-user cost*; over users with a noise
    burst, with `from_position` the event at which their old taste returns, the *burst cost*. Positive:
    the model is worse. Only questions that both tables have count.

    Args:
        table: of the model's replay.
        baseline: of the replay it is compared with.
        users: "users", those that count.
        metric: a column of both tables.
        from_position: "users": only questions from this position on count; -1: none of the user. All when None.
        horizon: only so many positions from `from_position` on.
        resampling: settings of the interval.
    """
    pairs = paired_questions([table, baseline], metric)
    user, position = pairs["user_num"].to_numpy(), pairs["position"].to_numpy()
    counts = np.asarray(users, dtype=np.bool_)[user]
    if from_position is not None:
        distance = position - from_position[user]
        counts &= (from_position[user] >= 0) & (distance >= 0)
        counts &= distance < (np.inf if horizon is None else horizon)
    means = pairs[counts].groupby("user_num", sort=True)[["x0", "x1"]].mean().to_numpy(np.float64)

    def cost(times: Doubles) -> Doubles:
        model, base = (times @ means).T
        return np.where(base > 0, 1.0 - model / np.where(base > 0, base, 1.0), np.nan)[:, None]

    return resampling.score(len(means), cost)


def timescale_recovery(
    learned: Doubles,
    true: Doubles,
    *,
    events: Ints | None = None,
    min_events: int = 50,
    resampling: Resampling = DEFAULT,
) -> Score:
    """Return Spearman's rank correlation of learned and true half-lives over users.

    Args:
        learned: "users", in any unit; infinity is the longest; NaN where not learned.
        true: "users", likewise.
        events: "users", events seen of each user; those with fewer than `min_events` do not count. All when None.
        min_events: see `events`.
        resampling: settings of the interval.

    >>> timescale_recovery(np.array([1.0, 2.0, np.inf]), np.array([10.0, 20.0, 30.0])).users
    3
    """
    defined = ~np.isnan(learned) & ~np.isnan(true)
    if events is not None:
        defined &= events >= min_events
    # Ranks first: infinity has a rank, and resamples need no new ranking.
    x, y = (pd.Series(values[defined]).rank().to_numpy(np.float64) for values in (learned, true))
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Score(float("nan"), float("nan"), float("nan"), len(x))

    def correlation(times: Doubles) -> Doubles:
        n = times.sum(1)
        mean_x, mean_y = times @ x / n, times @ y / n
        covariance = times @ (x * y) / n - mean_x * mean_y
        spread = (times @ x**2 / n - mean_x**2) * (times @ y**2 / n - mean_y**2)
        usable = spread > 1e-12
        return np.where(usable, covariance / np.sqrt(np.where(usable, spread, 1.0)), np.nan)[:, None]

    return resampling.score(len(x), correlation)


def by_days_since_training(
    table: pd.DataFrame, metrics: Sequence[str], *, days: Sequence[float] = DAYS, day: float = DAY
) -> pd.DataFrame:
    """Return means over the questions by the time since the model's last training event could have happened.

    Args:
        table: of a replay, with `time` and `trained_until`.
        metrics: columns to average.
        days: lower edges of the groups, ascending; the last has no upper edge.
        day: a day in units of the log's time.

    Returns:
        One row per group: `days` (lower edge), `until` (upper edge), `questions`, `users`, and the metrics; NaN in
        groups without questions.
    """
    edges = np.asarray([*days, np.inf], dtype=np.float64)
    if len(days) == 0 or np.any(np.diff(edges) <= 0):
        raise ConfigError(f"days are {list(days)}; give ascending lower edges, as in 0 7 30 90 180")
    age = (table["time"] - table["trained_until"]).to_numpy(np.float64) / day
    group = np.searchsorted(edges, age, side="right") - 1
    groups = table.assign(group=group)[group >= 0].groupby("group")
    index = pd.RangeIndex(len(days))
    means = groups[list(metrics)].mean().reindex(index)
    means.insert(0, "users", groups["user_num"].nunique().reindex(index, fill_value=0))
    means.insert(0, "questions", groups.size().reindex(index, fill_value=0))
    means.insert(0, "until", edges[1:])
    means.insert(0, "days", edges[:-1])
    return means.reset_index(drop=True)
