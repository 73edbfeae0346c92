"""The scores of drift handling on tables whose scores are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.errors import ConfigError, DataError
from recsys.evaluation import resampling
from recsys.evaluation.calibration import taste_distance
from recsys.evaluation.drift.detection import detection
from recsys.evaluation.drift.measured import measured_drift
from recsys.evaluation.drift.scores import (
    by_days_since_training,
    degradation_area,
    per_user,
    position_at,
    recovery,
    recovery_curve,
    relative_cost,
    timescale_recovery,
)
from recsys.evaluation.resampling import Resampling
from recsys.evaluation.significance import compare
from recsys.evaluation.strata import quartiles, summarise_strata
from recsys.evaluation.tastes import Tastes

FEW = Resampling(draws=200)
Floats = npt.NDArray[np.float64]


def table(users: int, length: int, value: Callable[[Floats, Floats], Floats]) -> pd.DataFrame:
    """Questions of all users at all positions, with `value(user, position)` as NDCG@10."""
    user, position = (a.ravel() for a in np.meshgrid(np.arange(users), np.arange(length), indexing="ij"))
    ndcg = np.broadcast_to(value(user.astype(float), position.astype(float)), len(user)).astype(float)
    ids = np.array([f"u{number}" for number in user], dtype=object)
    return pd.DataFrame({"user_num": user, "user_id": ids, "position": position, "time": position, "ndcg@10": ndcg})


def test_means_per_user_and_their_comparison() -> None:
    a = table(8, 4, lambda u, p: u / 10 + 0 * p)
    b = a.assign(**{"ndcg@10": a["ndcg@10"] + 0.1})
    means = per_user(a.iloc[2:], ["ndcg@10"])
    assert means["questions"].tolist() == [2, *[4] * 7]
    assert means["user_id"].tolist() == [f"u{number}" for number in range(8)]
    np.testing.assert_allclose(means["ndcg@10"], np.arange(8) / 10)
    difference = compare(per_user(a, ["ndcg@10"]), per_user(b, ["ndcg@10"]), ["ndcg@10"], bootstrap=10)
    assert difference["diff"].item() == pytest.approx(0.1)
    labelled = means.assign(drift_quartile=quartiles(means["ndcg@10"].to_numpy()))
    assert summarise_strata(labelled, ["ndcg@10"], ["drift_quartile"])["users"].tolist() == [2, 2, 2, 2]


def test_positions_of_moments() -> None:
    log = Interactions.from_columns([1, 1, 1, 2, 2], [1, 2, 3, 1, 2], times=[3, 5, 5, 4, 9])
    assert position_at(log, np.array([5.0, np.nan])).tolist() == [1, -1]
    assert position_at(log, np.array([3, 10])).tolist() == [0, 2]


def test_curve_is_aligned_at_the_change_and_smoothed() -> None:
    changed = np.array([2, 4, -1])
    # Users 0 and 1 have the value d after the change; user 2 does not count; before the change nothing does.
    data = table(3, 8, lambda u, p: np.where(u == 2, 99, np.maximum(p - changed[u.astype(int)], -50)))
    data = data[~((data["user_num"] == 1) & (data["position"] == 5))]  # no question: a repeat
    curve = recovery_curve(data, changed, horizon=7, smooth=1, resampling=FEW)
    assert curve["users"].tolist() == [2, 1, 2, 2, 1, 1, 0]
    np.testing.assert_allclose(curve["mean"], [0, 1, 2, 3, 4, 5, np.nan])
    np.testing.assert_allclose(curve["low"], curve["mean"])
    smooth = recovery_curve(data, changed, horizon=7, smooth=3, resampling=FEW)
    # (0+0+1)/3, (0+0+1+2+2)/5, (1+2+2+3+3)/5, (2+2+3+3+4)/5, (3+3+4+5)/4, (4+5)/2, 5
    np.testing.assert_allclose(smooth["mean"], [1 / 3, 1, 11 / 5, 14 / 5, 15 / 4, 4.5, 5])
    with pytest.raises(ConfigError, match="odd"):
        recovery_curve(data, changed, smooth=2)
    with pytest.raises(ConfigError, match="horizon"):
        recovery_curve(data, changed, horizon=0)
    with pytest.raises(ConfigError, match="not in the table"):
        recovery_curve(data, changed, "ndcg@11")


def test_band_covers_the_spread_of_users_and_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = table(100, 3, lambda u, p: (u % 2) + 0 * p)
    changed = np.zeros(100, np.int64)
    curve = recovery_curve(data, changed, horizon=3, smooth=1)
    np.testing.assert_allclose(curve["low"], 0.5 - 1.96 * 0.05, atol=0.03)
    np.testing.assert_allclose(curve["high"], 0.5 + 1.96 * 0.05, atol=0.03)
    monkeypatch.setattr(resampling, "_NUMBERS_IN_MEMORY", 1)
    pd.testing.assert_frame_equal(recovery_curve(data, changed, horizon=3, smooth=1), curve)
    none = recovery_curve(data, np.full(100, -1), horizon=3)
    assert none[["mean", "low", "high"]].isna().all(axis=None)


def test_recovery_is_where_the_curve_meets_the_oracle_again() -> None:
    changed = np.full(6, 10)

    def after(f: Callable[[Floats], Floats]) -> pd.DataFrame:
        return table(6, 40, lambda u, p: f(p - 10) + 0 * u)

    oracle = after(lambda d: np.minimum(d / 5, 1))  # empty at first, at its level from 5 on
    options: dict[str, Any] = {"horizon": 30, "smooth": 1, "resampling": FEW}
    slow = after(lambda d: np.minimum(d / 20, 1))
    for against in ("curve", "level"):
        score = recovery(slow, oracle, changed, against=against, **options)
        assert (score.value, score.low, score.high, score.users) == (19, 19, 19, 6)
    assert recovery(oracle, oracle, changed, **options).value == 0
    assert recovery(oracle, oracle, changed, against="level", **options).value == 5
    never = after(lambda d: np.minimum(d / 5, 0.9))
    assert recovery(never, oracle, changed, **options).value == np.inf
    score = recovery(never, oracle, changed, against="level", **options)
    assert (score.value, score.low, score.high) == (np.inf, np.inf, np.inf)
    assert recovery(never, oracle, changed, share=0.9, **options).value == 0
    better = after(lambda d: np.full(len(d), 2.0))
    assert recovery(better, oracle, changed, against="level", **options).value == 0
    nobody = recovery(slow, oracle, np.full(6, -1), **options)
    assert nobody.users == 0
    assert np.isnan([nobody.value, nobody.low, nobody.high]).all()


def test_users_who_differ_widen_the_interval_of_recovery_to_infinity() -> None:
    changed = np.full(10, 0)
    oracle = table(10, 20, lambda u, p: np.ones(len(p)))
    model = table(10, 20, lambda u, p: np.where(u < 9, p >= 4, p >= 100).astype(float))
    score = recovery(model, oracle, changed, share=0.85, horizon=20, smooth=1)
    assert (score.value, score.low, score.high) == (4, 4, np.inf)


def test_degradation_area_is_the_sum_of_the_shortfalls() -> None:
    changed = np.array([3, 3, -1])
    oracle = table(3, 9, lambda u, p: np.ones(len(p)))
    model = table(3, 9, lambda u, p: np.where(p < 3, -7, np.where(p < 5, 0.5, 1.25)))
    score = degradation_area(model, oracle, changed, horizon=4, resampling=FEW)
    assert score.value == pytest.approx(0.5 + 0.5 - 0.25 - 0.25)
    assert score.low == score.high == pytest.approx(score.value)
    assert score.users == 2
    # Distances without questions count nothing.
    assert degradation_area(model, oracle, changed, horizon=50, resampling=FEW).value == pytest.approx(0.0)


def test_cost_is_relative_and_over_the_given_users_and_positions() -> None:
    base = table(4, 10, lambda u, p: np.ones(len(p)) * (u + 1))
    model = table(4, 10, lambda u, p: (u + 1) * np.where(u >= 2, 0, np.where(p < 5, 0.9, 0.7)))
    stable = np.array([True, True, False, False])
    score = relative_cost(model, base, stable, resampling=FEW)
    assert score.value == pytest.approx(0.2)
    assert score.users == 2
    assert score.low == pytest.approx(0.2)
    returns = np.array([5, -1, 5, 5])
    burst = relative_cost(model, base, np.array([True, True, True, False]), from_position=returns, resampling=FEW)
    # Users 0 and 2: means .7 and 0 against 1 and 3.
    assert burst.value == pytest.approx(1 - 0.7 / 4)
    assert burst.users == 2
    early = relative_cost(model, base, stable, from_position=np.full(4, 4), horizon=1, resampling=FEW)
    assert early.value == pytest.approx(0.1)
    assert relative_cost(base, model, stable, resampling=FEW).value < 0
    assert np.isnan(relative_cost(model, base, np.zeros(4, np.bool_)).value)
    # Only common questions are compared.
    assert relative_cost(model[model["position"] < 5], base, stable).value == pytest.approx(0.1)


def test_timescales_are_compared_by_rank() -> None:
    true = np.array([1.0, 2, 4, 8, 16, np.nan, 3])
    learned = np.array([3.0, 5, 6, 100, np.inf, 1, np.nan])
    score = timescale_recovery(learned, true, resampling=FEW)
    assert score.value == pytest.approx(1)
    assert score.users == 5
    assert timescale_recovery(-learned[:5], true[:5]).value == pytest.approx(-1)
    few = timescale_recovery(learned, true, events=np.array([60, 60, 60, 50, 49, 60, 60]))
    assert few.users == 4
    assert np.isnan(timescale_recovery(np.ones(5), true[:5]).value)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    score = timescale_recovery(x, y)
    assert score.value == pytest.approx(pd.Series(x).corr(pd.Series(y), method="spearman"))
    assert score.low < score.value < score.high
    assert score.high - score.low == pytest.approx(2 * 1.96 * (1 - score.value**2) / 20, rel=0.3)


def test_alarms_are_right_for_a_while_after_a_change_and_false_otherwise() -> None:
    changed = np.array([10, 10, -1, 30])
    users = np.array([0, 0, 0, 1, 2, 3])
    positions = np.array([5, 12, 14, 25, 3, 30])
    score = detection(users, positions, changed, np.zeros(4, np.int64), np.full(4, 40), horizon=10)
    assert (score.changes, score.detected) == (3, 2 / 3)  # user 0 after 2 events, user 3 at once; user 1 too late
    assert (score.delay, score.delay_median) == (1, 1)
    assert score.false_alarms == 3
    assert score.false_per_1000 == pytest.approx(1000 * 3 / (160 - 30))
    none = detection(users[:0], positions[:0], np.array([-1]), np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert (none.changes, none.false_alarms) == (0, 0)
    assert np.isnan([none.detected, none.delay, none.delay_median, none.false_per_1000]).all()


def test_questions_are_grouped_by_the_days_since_training() -> None:
    day = 86_400
    data = pd.DataFrame(
        {
            "user_num": [0, 0, 1, 1, 0],
            "time": np.array([0, 7, 6.99, 200, 40]) * day,
            "trained_until": [0, 0, 0, 0, 35 * day],
            "hr@5": [1.0, 0, 0, 1, 0],
        }
    )
    groups = by_days_since_training(data, ["hr@5"])
    assert groups["days"].tolist() == [0, 7, 30, 90, 180]
    assert groups["until"].tolist() == [7, 30, 90, 180, np.inf]
    assert groups["questions"].tolist() == [3, 1, 0, 0, 1]
    assert groups["users"].tolist() == [2, 1, 0, 0, 1]
    np.testing.assert_allclose(groups["hr@5"], [1 / 3, 0, np.nan, np.nan, 1])
    assert by_days_since_training(data.assign(time=[0, 1, 2, 3, 10**7]), ["hr@5"], days=(0, 2), day=1)[
        "questions"
    ].tolist() == [2, 3]
    with pytest.raises(ConfigError, match="ascending"):
        by_days_since_training(data, ["hr@5"], days=(7, 0))


def genred_log() -> Interactions:
    """User 0 moves from one genre to another, user 1 mixes them all along, user 2 has one, user 3 few events."""
    first, second = np.arange(20), np.arange(20, 40)
    mixed = np.stack([first, second], axis=1).ravel()
    items = np.concatenate([first, second, mixed, first, first[:4], [0, 0]])
    users = np.concatenate([np.repeat([0, 1, 2, 3], [40, 40, 20, 4]), [3, 3]])
    log = Interactions.from_columns(users, items, times=np.arange(len(users)))
    genres = tuple(("A",) if number < 20 else ("B",) for number in range(40))
    columns = (log.user_num, log.item_num, log.value, log.time)
    return Interactions(*columns, log.users, log.items, ItemMetadata(log.metadata.titles, genres), log.clock, log.name)


def test_measured_drift_is_large_for_drifting_users_only() -> None:
    log = genred_log()
    tastes = Tastes.of(log)
    drift = measured_drift(log, tastes, draws=50)
    assert drift[0] > 0.8
    assert -0.2 < drift[1] <= 0
    assert drift[2] == 0
    assert np.isnan(drift[3])
    np.testing.assert_array_equal(drift, measured_drift(log, tastes, draws=50))
    # The first user by hand, with halves drawn in another way.
    rng = np.random.default_rng(1)
    splits = [rng.permutation(np.repeat([0, 1], 20)) for _ in range(2000)]
    halves = np.array(
        [[np.bincount(split[part], minlength=2) / 20 for part in (slice(20), slice(20, 40))] for split in splits]
    )
    chance = taste_distance(halves[:, 0], halves[:, 1]).mean()
    assert measured_drift(log, tastes, draws=2000)[0] == pytest.approx(1 - chance, abs=0.01)
    assert quartiles(drift)[3] == "undefined"
    with pytest.raises(DataError, match="cannot describe"):
        measured_drift(
            log.select(np.arange(40)).compact(), Tastes(tastes.shares[:5], tastes.names, tastes.vectors, "genres")
        )
    with pytest.raises(ConfigError, match="draws"):
        measured_drift(log, tastes, draws=0)


def test_impossible_resamplings_are_refused() -> None:
    wrong: dict[str, Any]
    for wrong in ({"draws": 0}, {"confidence": 1.0}):
        with pytest.raises(ConfigError, match="resampling"):
            Resampling(**wrong)
