"""Paired comparison: against scipy, hand-computed corrections, and simulated differences of known size."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, wilcoxon

from recsys.errors import ConfigError, DataError
from recsys.evaluation.significance import compare, compare_seeds, established_sign, holm, rank_effect, signed_rank_p


def table(values: object, users: object = None, metric: str = "ndcg@10") -> pd.DataFrame:
    column = np.asarray(values, dtype=np.float64)
    return pd.DataFrame({"user_id": np.arange(len(column)) if users is None else users, metric: column})


def test_holm_by_hand() -> None:
    """Sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04; the running maximum makes the last .06."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, np.nan, 0.7]), [1.0, np.nan, 1.0])
    assert len(holm([])) == 0


def test_signed_rank_equals_scipy_with_pratt_zeros() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(0.1, 1, 300)
    difference[:200] = 0
    assert signed_rank_p(difference) == wilcoxon(difference, zero_method="pratt").pvalue
    assert signed_rank_p(np.zeros(5)) == 1.0
    assert math.isnan(signed_rank_p(np.zeros(0)))
    assert signed_rank_p(np.array([0.5])) == 1.0


@pytest.mark.parametrize("zeros", [0, 3, 400])
def test_few_differences_have_the_null_of_all_their_signs(zeros: int) -> None:
    """By going through the 2^9 signs of nine differences, some of them tied."""
    changed = np.array([1.0, 1.0, -1.0, 2.0, 0.5, -3.0, 2.0, 2.0, 7.0])
    whole = np.r_[changed, np.zeros(zeros)]
    ranks = rankdata(np.abs(whole))[: len(changed)]
    sums = np.array(list(itertools.product([-1, 1], repeat=len(changed)))) @ ranks
    expected = np.mean(np.abs(sums) >= abs(np.sign(changed) @ ranks))
    assert signed_rank_p(whole) == pytest.approx(expected)
    assert signed_rank_p(-whole) == pytest.approx(expected)


def test_few_users_establish_nothing_however_many_tie() -> None:
    """Four of 1,000 users gain: four equal signs have probability 1/8."""
    gain = np.where(np.arange(1000) < 4, 1.0, 0.0)
    row = compare(table(np.zeros(1000)), table(gain), ["ndcg@10"]).iloc[0]
    assert row["low"] > 0
    assert (row["p"], row["established"]) == (0.125, 0)


def test_exact_and_approximate_test_meet() -> None:
    """Around 50 differences, of few sizes and among many zeros, the p-values of the two are close."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        difference = np.r_[rng.choice([-0.37, -0.63, -1, 0.37, 0.63, 1], 50), np.zeros(300)]
        assert signed_rank_p(difference) == pytest.approx(wilcoxon(difference, zero_method="pratt").pvalue, abs=0.06)
        more = np.r_[difference, 0.5]
        assert signed_rank_p(more) == wilcoxon(more, zero_method="pratt").pvalue


def test_signed_rank_keeps_its_level_with_many_zeros() -> None:
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(400, 60)) * (rng.random((400, 60)) < 0.3)
    rejected = np.mean([signed_rank_p(row) < 0.1 for row in draws])
    assert 0.05 < rejected < 0.15


def test_a_skewed_difference_with_mean_0_is_not_established() -> None:
    """Exponential less its mean: the ranks differ from 0 in every large sample, the mean does not."""
    rng = np.random.default_rng(5)
    rejected = established = 0
    for _ in range(40):
        difference = rng.exponential(size=2000) - 1.0
        for one in (difference, -difference):
            row = compare(table(np.zeros(2000)), table(one), ["ndcg@10"], bootstrap=300).iloc[0]
            rejected += row["p_holm"] < 0.05
            established += row["established"] != 0
    assert rejected == 80
    assert established <= 8


def test_interval_and_ranks_must_point_to_one_side() -> None:
    """Most users lose a little and a few gain a lot: the mean is above 0, the ranks are below."""
    difference = np.where(np.arange(1000) < 100, 2.0, -0.01)
    row = compare(table(np.zeros(1000)), table(difference), ["ndcg@10"]).iloc[0]
    assert row["low"] > 0
    assert row["rank_effect"] < 0
    assert row["p_holm"] < 0.001
    assert row["established"] == 0
    both = compare(table(np.zeros(1000)), table(np.abs(difference)), ["ndcg@10"]).iloc[0]
    assert both["established"] == 1
    assert compare(table(np.abs(difference)), table(np.zeros(1000)), ["ndcg@10"]).iloc[0]["established"] == -1


def test_rank_effect_by_hand() -> None:
    """|d| 1 2 2 4 have the ranks 1, 2.5, 2.5, 4; (1 + 4 - 5) / 10 is 0."""
    assert rank_effect(np.array([1.0, -2.0, -2.0, 4.0])) == 0.0
    assert rank_effect(np.zeros(3)) == 0.0
    assert math.isnan(rank_effect(np.zeros(0)))
    assert established_sign(math.nan, math.nan, math.nan, math.nan) == 0


def test_differences_are_b_minus_a_on_common_users_in_any_order() -> None:
    a = table([0.2, 0.4, 0.6, np.nan], users=[1, 2, 3, 4])
    b = table([0.7, 0.1, 0.2, 0.6], users=[3, 4, 1, 2])
    row = compare(a, b, ["ndcg@10"]).iloc[0]
    assert row["n"] == 3
    assert row["mean_a"] == pytest.approx(0.4)
    assert row["mean_b"] == pytest.approx(0.5)
    assert row["diff"] == pytest.approx(0.1)
    assert row["relative"] == pytest.approx(0.25)
    assert row["low"] <= 0.1 <= row["high"]
    assert (row["only_a"], row["only_b"]) == (0, 0)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    truth, covered = 0.05, 0
    for run in range(150):
        a = rng.normal(0.5, 1, 80)
        row = compare(table(a), table(a + rng.normal(truth, 0.3, 80)), ["ndcg@10"], bootstrap=300, seed=run).iloc[0]
        covered += row["low"] <= truth <= row["high"]
    assert 0.87 <= covered / 150 <= 0.99


def test_the_interval_equals_a_plain_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the resamples come in many chunks."""
    monkeypatch.setattr("recsys.evaluation.resampling._NUMBERS_IN_MEMORY", 700)
    rng = np.random.default_rng(4)
    a, difference = rng.random(100), rng.normal(0.1, 0.5, 100)
    row = compare(table(a), table(a + difference), ["ndcg@10"], bootstrap=4000).iloc[0]
    means = rng.choice(difference, (4000, 100)).mean(1)
    error = difference.std() / 10
    np.testing.assert_allclose([row["low"], row["high"]], np.quantile(means, [0.025, 0.975]), atol=error / 5)


def test_equal_tables_have_no_difference() -> None:
    a = table(np.random.default_rng(0).random(30))
    row = compare(a, a, ["ndcg@10"]).iloc[0]
    assert (row["diff"], row["low"], row["high"], row["p"], row["p_holm"]) == (0, 0, 0, 1, 1)


def test_undefined_metrics_and_zero_baselines_are_not_numbers() -> None:
    a, b = table([np.nan, 1.0]), table([1.0, np.nan])
    row = compare(a, b, ["ndcg@10"]).iloc[0]
    assert row["n"] == 0
    assert row[["mean_a", "diff", "low", "p", "p_holm"]].isna().all()
    assert math.isnan(compare(table([0.0, 0.0]), b.fillna(1.0), ["ndcg@10"]).iloc[0]["relative"])


def test_family_of_holm_is_the_compared_metrics() -> None:
    rng = np.random.default_rng(7)
    first = rng.random((50, 3))
    second = np.stack([first[:, 0] + 0.1, rng.random(50), first[:, 2]], axis=1)
    a, b = (pd.DataFrame(values, columns=["m@0", "m@1", "m@2"]).assign(user_id=range(50)) for values in (first, second))
    result = compare(a, b, ["m@0", "m@1", "m@2"])
    np.testing.assert_allclose(result["p_holm"], holm(result["p"].to_numpy()))
    assert result["p_holm"][0] == pytest.approx(3 * result["p"][0])


def test_different_users_are_refused_and_few_are_counted() -> None:
    a, b = table(np.ones(100)), table(np.ones(100), users=np.arange(2, 102))
    row = compare(a, b, ["ndcg@10"]).iloc[0]
    assert (row["n"], row["only_a"], row["only_b"]) == (98, 2, 2)
    with pytest.raises(DataError, match=r"90 are in both tables, 10 only in A \(such as 0, 1, 2\) and 10 only in B"):
        compare(a, table(np.ones(100), users=np.arange(10, 110)), ["ndcg@10"])
    with pytest.raises(DataError, match=r"user 1 occurs twice in table B"):
        compare(a, table(np.ones(3), users=[0, 1, 1]), ["ndcg@10"])


def test_integer_and_text_ids_are_matched() -> None:
    a, b = table([0.1, 0.2]), table([0.2, 0.1], users=["1", "0"])
    assert compare(a, b, ["ndcg@10"]).iloc[0]["diff"] == 0


def test_misuse_is_explained() -> None:
    a = table([1.0, 2.0])
    with pytest.raises(ConfigError, match="did you mean 'ndcg@10'"):
        compare(a, a, ["ndgc@10"])
    with pytest.raises(ConfigError, match="no metric"):
        compare(a, a, [])
    with pytest.raises(ConfigError, match="bootstrap"):
        compare(a, a, ["ndcg@10"], bootstrap=0)
    with pytest.raises(ConfigError, match="2 runs of A cannot be paired with 3 of B"):
        compare_seeds([a] * 2, [a] * 3, ["ndcg@10"])


def test_seeds_are_averaged_per_user_before_the_test() -> None:
    rng = np.random.default_rng(0)
    a = [table(rng.random(40)) for _ in range(3)]
    b = [table(rng.random(40) + 0.05) for _ in range(3)]
    result = compare_seeds(a, b, ["ndcg@10"])
    assert result["runs"].tolist() == ["average", "1", "2", "3"]
    mean_a, mean_b = (np.mean([t["ndcg@10"] for t in tables], axis=0) for tables in (a, b))
    assert result.loc[0, "p"] == pytest.approx(wilcoxon(mean_b - mean_a, method="exact").pvalue)
    assert result.loc[0, "n"] == 40
    assert result.loc[2, "diff"] == pytest.approx((b[1]["ndcg@10"] - a[1]["ndcg@10"]).mean())


def test_single_run_is_paired_with_every_seed() -> None:
    rng = np.random.default_rng(0)
    a, b = [table(rng.random(40))], [table(rng.random(40)) for _ in range(2)]
    result = compare_seeds(a, b, ["ndcg@10"])
    assert result["runs"].tolist() == ["average", "1", "2"]
    np.testing.assert_allclose(result["mean_a"], a[0]["ndcg@10"].mean())
    assert compare_seeds(a, b[:1], ["ndcg@10"])["runs"].tolist() == ["average"]
