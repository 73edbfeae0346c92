"""Numbers of a benchmark of drift, made from the tables of its replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.evaluation.drift.measured import measured_drift
from recsys.evaluation.drift.scores import DAYS, by_days_since_training, per_user
from recsys.evaluation.prequential.result import Replay
from recsys.evaluation.resampling import DEFAULT
from recsys.evaluation.significance import compare, established_sign, holm
from recsys.evaluation.strata import UNDEFINED
from recsys.evaluation.tastes import Tastes
from recsys.experiments.drift.arm_results import ArmResult
from recsys.experiments.drift.names import HINDSIGHT
from recsys.types import DAY

METRIC = "ndcg@10"
METRICS = (METRIC, "hr@10")
OURS = "per_user"
_NUMBERS = ("diff", "relative", "low", "high", "rank_effect", "p")
TERCILES = ("low", "middle", "high")
_HISTORIES = (0, 5, 20, 100)
"""The least visible events of each stratum of histories."""


def arm_entry(result: ArmResult, clock: str) -> dict[str, Any]:
    """Return the entry of an arm in `drift.json`; means are over the questions of the whole stage, and `over_users`."""
    replay = result.replay
    means: dict[str, Any] = {name: replay.summary[name] for name in METRICS}
    means["over_users"] = {name: replay.over_users[name] for name in METRICS}
    counts = {"n": replay.counts["questions"], "users": replay.counts["users"]}
    days = days_since_training(replay) if clock == "seconds" else []
    facts = {name: value for name, value in result.facts.items() if name != "half_lives"}
    return means | counts | facts | {"bytes_per_user": replay.state_bytes, "by_days": days}


def days_since_training(replay: Replay) -> list[dict[str, Any]]:
    """Return the rows of `by_days_since_training` with the interval of NDCG@10 over resamples of the users."""
    table = by_days_since_training(replay.table, METRICS)
    age = (replay.table["time"] - replay.table["trained_until"]).to_numpy(np.float64) / DAY
    group = np.searchsorted(np.asarray(DAYS, dtype=np.float64), age, side="right") - 1
    _, user = np.unique(replay.table["user_num"], return_inverse=True)
    shape = (int(user.max(initial=-1)) + 1, len(DAYS))
    place, size = user * len(DAYS) + group, shape[0] * shape[1]
    total = np.bincount(place, replay.table[METRIC], size).reshape(shape)
    count = np.bincount(place, minlength=size).reshape(shape).astype(np.float64)

    def means(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        questions = times @ count
        return np.where(questions > 0, (times @ total) / np.where(questions > 0, questions, 1.0), np.nan)

    _, low, high = DEFAULT.interval(shape[0], means)
    rows = table.assign(low=low, high=high).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def paired_over_users(results: Mapping[str, ArmResult], seed: int) -> dict[str, dict[str, Any]]:
    """Return `per_user` minus every rival by NDCG@10, paired over users; empty without `per_user`."""
    return _paired({arm: per_user(result.replay.table, [METRIC]) for arm, result in results.items()}, seed)


def correct(pairs: Sequence[dict[str, Any]], further: Sequence[float] = ()) -> list[float]:
    """Add `p_holm` and `established` to differences that are one family, in place.

    Args:
        pairs: made by `paired_over_users`.
        further: p-values of other differences of the family, which are returned corrected.
    """
    corrected = holm([*(pair["p"] for pair in pairs), *further])
    for pair, p_holm in zip(pairs, corrected[: len(pairs)], strict=True):
        pair["p_holm"] = float(p_holm)
        pair["established"] = established_sign(pair["low"], pair["high"], pair["rank_effect"], pair["p_holm"])
    return [float(p_holm) for p_holm in corrected[len(pairs) :]]


def drift_terciles(log: Interactions, before: Interactions, users: npt.NDArray[np.integer]) -> npt.NDArray[np.object_]:
    """Return, "users of the log", the tercile of the measured drift among some users; `UNDEFINED` for all others.

    Args:
        log: whose histories are measured.
        before: the events that tastes are made from, with the vocabularies of `log`.
        users: numbers of the users that the terciles divide.
    """
    drift = measured_drift(log, Tastes.of(before))
    labels = np.full(log.n_users, UNDEFINED, dtype=object)
    defined = users[np.isfinite(drift[users])]
    if len(defined):
        cuts = np.quantile(drift[defined], [1 / 3, 2 / 3])
        labels[defined] = np.asarray(TERCILES, dtype=object)[np.searchsorted(cuts, drift[defined], side="left")]
    return labels


def by_stratum(results: Mapping[str, ArmResult], labels: npt.NDArray[np.object_], seed: int) -> list[dict[str, Any]]:
    """Return NDCG@10 of every arm in each stratum (mean over its users), with the differences of `per_user`."""
    tables = {arm: per_user(result.replay.table, [METRIC]) for arm, result in results.items()}
    rows = []
    for group in (*TERCILES, UNDEFINED):
        parts = {arm: table[labels[table["user_num"]] == group] for arm, table in tables.items()}
        users = len(next(iter(parts.values())))
        if users == 0:
            continue
        row: dict[str, Any] = {"measured_drift": group, "users": users}
        row["arms"] = {arm: float(part[METRIC].mean()) for arm, part in parts.items()}
        if OURS in parts:
            row["paired"] = _paired(parts, seed)
        rows.append(row)
    return rows


def by_history(results: Mapping[str, ArmResult]) -> list[dict[str, Any]]:
    """Return NDCG@10 of every arm by how many events were visible: the mean over users of their questions there."""
    rows = []
    tables = {arm: result.replay.table for arm, result in results.items()}
    for least, below in pairwise((*_HISTORIES, None)):
        parts = {
            arm: per_user(table[(table["n_visible"] >= least) & (table["n_visible"] < (below or np.inf))], [METRIC])
            for arm, table in tables.items()
        }
        users = len(next(iter(parts.values())))
        if users:
            row: dict[str, Any] = {"least": least, "below": below, "users": users}
            rows.append(row | {"arms": {arm: float(part[METRIC].mean()) for arm, part in parts.items()}})
    return rows


def _paired(tables: Mapping[str, pd.DataFrame], seed: int) -> dict[str, dict[str, Any]]:
    """Return the differences of `per_user` from its rivals, which what is known in hindsight is not."""
    rivals = [arm for arm in tables if arm not in (OURS, HINDSIGHT)] if OURS in tables else []
    return {f"{OURS}-{arm}": _difference(tables[arm], tables[OURS], seed) for arm in rivals}


def _difference(rival: pd.DataFrame, ours: pd.DataFrame, seed: int) -> dict[str, Any]:
    row = compare(rival, ours, [METRIC], seed=seed).iloc[0]
    return {name: float(row[name]) for name in _NUMBERS} | {"n": int(row["n"])}
