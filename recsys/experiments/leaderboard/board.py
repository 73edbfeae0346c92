"""The leaderboard of several runs: the best by each metric, and which of the others are established to be behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.comparison import served_by_all
from recsys.evaluation.significance import compare, established_sign, holm
from recsys.experiments.leaderboard.directions import smaller_is_better
from recsys.experiments.runs import evaluations_of, read_metrics, usual_metrics


@final
@dataclass(frozen=True)
class Row:
    """A run by one metric.

    Attributes:
        place: from 1.
        run: its directory.
        model: the class of its model.
        mean: over the users whom all runs serve from a history of their own.
        diff: mean less that of the leader, with its 95% interval from `low` to `high`; 0 of the leader itself.
        p_holm: signed-rank test against the leader, corrected over the runs; NaN of the leader.
        behind: whether it is established to be behind the leader: interval and test agree.
    """

    place: int
    run: str
    model: str
    mean: float
    diff: float
    low: float
    high: float
    p_holm: float
    behind: bool


@final
@dataclass(frozen=True)
class Board:
    """The runs by one metric.

    Attributes:
        metric: its name, with cutoff.
        users: who have the metric in every run and are served by all from a history of their own.
        rows: best first.
    """

    metric: str
    users: int
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"metric": self.metric, "users": self.users, "rows": [vars(row) for row in self.rows]}


def leaderboard(runs: Sequence[Path], metrics: Sequence[str] | None = None) -> list[Board]:
    """Return the runs by each metric, best first.

    The leader is the run with the best mean. Every other run is paired with it on users: bootstrap interval of the mean
    difference, and the signed-rank test, corrected with Holm's method over the runs. A run that is not established to
    be behind may be as good.

    Args:
        runs: directories of finished runs of one log and split.
        metrics: with cutoff; None: NDCG@10 and, where all runs have them, the two metrics of what users liked.

    Raises:
        ConfigError: a metric that not every run has, or a run twice.
        DataError: runs of different logs or splits, or no user is served by all.
    """
    places = [run.resolve() for run in runs]
    if len(set(places)) != len(places):
        twice = next(run for run in runs if places.count(run.resolve()) > 1)
        raise ConfigError(f"{twice} is given twice; give each run once")
    results = evaluations_of(runs)
    chosen = usual_metrics(results) if metrics is None else list(metrics)
    models = [str(read_metrics(run).get("model", "")) for run in runs]
    tables = [result.per_user for result in results]
    for metric in chosen:
        for run, table in zip(runs, tables, strict=True):
            if metric not in table:
                raise ConfigError(f"{run} has no metric {metric!r}{nearest(metric, map(str, table.columns))}")
    served = served_by_all(tables)
    if not served[0].any():
        raise DataError("no test user with a history is served by the models of all runs: they cannot be compared")
    tables = [table[mask].sort_values("user_id") for table, mask in zip(tables, served, strict=True)]
    boards = []
    for metric in chosen:
        values = np.stack([table[metric].to_numpy(np.float64) for table in tables])
        defined = np.isfinite(values).all(0)
        means = values[:, defined].mean(1) if defined.any() else np.full(len(runs), np.nan)
        sign = -1.0 if smaller_is_better(metric) else 1.0
        order = np.argsort(-sign * means, kind="stable").tolist()
        leader = order[0]
        kept = [table[defined] for table in tables]
        rows = [compare(kept[leader], kept[one], [metric]).iloc[0] for one in order[1:]]
        corrected = holm([float(row["p"]) for row in rows]) if rows else np.zeros(0)
        found = [Row(1, str(runs[leader]), models[leader], float(means[leader]), 0.0, 0.0, 0.0, float("nan"), False)]
        for place, (one, row, p) in enumerate(zip(order[1:], rows, corrected.tolist(), strict=True), 2):
            diff, low, high = (float(row[name]) for name in ("diff", "low", "high"))
            behind = sign * established_sign(low, high, float(row["rank_effect"]), p) < 0
            found.append(Row(place, str(runs[one]), models[one], float(means[one]), diff, low, high, p, bool(behind)))
        boards.append(Board(metric, int(defined.sum()), tuple(found)))
    return boards
