"""The leaderboard of several runs: the best by each metric, and which of the others are established to be behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, final

import numpy as np

from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.comparison import served_by_all
from recsys.evaluation.significance import compare, established_sign, holm, signed_rank_p
from recsys.experiments.leaderboard.directions import smaller_is_better
from recsys.experiments.runs import evaluations_of, read_metrics, usual_metrics


@final
@dataclass(frozen=True)
class Row:
    """A run by one metric.

    Attributes:
        place: from 1; runs with the same mean share one.
        run: its directory.
        model: the class of its model.
        mean: over the users whom all runs serve from a history of their own.
        diff: mean less that of the leader, with its 95% interval from `low` to `high`; 0 of the leader itself.
        p_holm: signed-rank test against the leader, corrected over all pairs of runs and metrics; NaN of the leader.
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

    The leader is the run with the best mean, the first of equals. Every other run is paired with it on users: bootstrap
    interval of the mean difference, and the signed-rank test, corrected with Holm's method over all pairs of runs and
    all metrics: the leader is chosen by the values that it is tested on, which is a choice among all pairs. A run that
    is not established to be behind may be as good.

    Args:
        runs: directories of finished runs of one log and split.
        metrics: with cutoff; None: NDCG@10 and, where all runs have them, the two metrics of what users liked.

    Raises:
        ConfigError: a metric that not every run has, or a run twice.
        DataError: runs of different logs or splits, no user is served by all, or a metric is undefined for all of them.
    """
    places = [run.resolve() for run in runs]
    if len(set(places)) != len(places):
        twice = next(run for run in runs if places.count(run.resolve()) > 1)
        raise ConfigError(f"{twice} is given twice; give each run once")
    results = evaluations_of(runs)
    chosen = usual_metrics(results) if metrics is None else list(dict.fromkeys(metrics))
    models = [str(read_metrics(run).get("model", "")) for run in runs]
    tables = [result.per_user for result in results]
    for metric in chosen:
        for run, table in zip(runs, tables, strict=True):
            known = [str(name) for name in table.columns if "@" in str(name)]
            if metric not in known:
                raise ConfigError(f"{run} has no metric {metric!r}{nearest(metric, known)}")
    served = served_by_all(tables)
    if not served[0].any():
        raise DataError("no test user with a history is served by the models of all runs: they cannot be compared")
    tables = [table[mask].sort_values("user_id") for table, mask in zip(tables, served, strict=True)]
    pairs = list(combinations(range(len(runs)), 2))
    values = [np.stack([table[metric].to_numpy(np.float64) for table in tables]) for metric in chosen]
    defined = [np.isfinite(each).all(0) for each in values]
    tests = [
        signed_rank_p(each[b, on] - each[a, on]) for each, on in zip(values, defined, strict=True) for a, b in pairs
    ]
    corrected = holm(tests).reshape(len(chosen), len(pairs))
    boards = []
    for metric, each, on, ps in zip(chosen, values, defined, corrected, strict=True):
        if not on.any():
            raise DataError(f"{metric} is undefined for all users whom the models of all runs serve; choose another")
        means = each[:, on].mean(1)
        sign = -1.0 if smaller_is_better(metric) else 1.0
        order = np.argsort(-sign * means, kind="stable").tolist()
        leader = order[0]
        rows = []
        for one in order:
            place = 1 + int((sign * means > sign * means[one]).sum())
            diff, low, high, p, behind = 0.0, 0.0, 0.0, float("nan"), False
            if one != leader:
                pair = compare(tables[leader][on], tables[one][on], [metric]).iloc[0]
                diff, low, high = (float(pair[name]) for name in ("diff", "low", "high"))
                p = float(ps[pairs.index((min(one, leader), max(one, leader)))])
                behind = sign * established_sign(low, high, float(pair["rank_effect"]), p) < 0
            rows.append(Row(place, str(runs[one]), models[one], float(means[one]), diff, low, high, p, bool(behind)))
        boards.append(Board(metric, int(on.sum()), tuple(rows)))
    return boards
