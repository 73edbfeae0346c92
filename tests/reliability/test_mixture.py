"""The mixture on a world whose truth is known, and what it must refuse to tell."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from recsys.evaluation.reliability import auc, calibration_error, share_correlation
from recsys.reliability import ResponseMixture, Responses, judge
from recsys.worlds.responses import answer_world
from tests.reliability.answers import fitted, responses, small_world, world


def test_classes_spreads_and_shares_of_the_world_are_found() -> None:
    truth, (mixture, found) = world(), fitted()
    assert mixture.constructed
    genuine, random, constructed = found.probabilities.T
    assert auc(genuine, truth.kind == 0) > 0.84
    assert auc(random, truth.kind == 1) > 0.79
    assert auc(constructed, truth.kind == 2) > 0.89
    # A placebo: how far an answer is from the item's mean, which is what "noise" is often taken for.
    level = np.bincount(truth.item, truth.value) / np.bincount(truth.item)
    assert auc(-np.abs(truth.value - level[truth.item]), truth.kind == 0) < 0.72
    assert calibration_error(genuine, truth.kind == 0) < 0.04
    assert mixture.spreads.pull[0] == pytest.approx(0.8, abs=0.15)
    assert mixture.spreads.genuine == pytest.approx(0.4, abs=0.12)
    first = responses(truth).first
    kind, user = truth.kind[first].astype(np.int64), truth.user[first].astype(np.int64)
    assert share_correlation(found.shares[:, 0], kind, user) > 0.7
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0)


def test_nine_in_ten_shares_lie_in_their_interval() -> None:
    _, found = fitted()
    low, high = np.array([found.interval(user) for user in range(len(found.shares))]).T
    true = world().shares[:, 0]
    assert 0.84 < ((low <= true) & (true <= high)).mean() < 0.96


def test_conditions_that_move_nothing_leave_constructed_unknown() -> None:
    truth = small_world()
    shuffled = np.random.default_rng(5).permutation(truth.anchor)
    mixture, found = ResponseMixture(rounds=3).fit(responses(truth, shuffled))
    assert not mixture.constructed
    assert "permuted" in mixture.reason
    assert np.isnan(found.probabilities[:, 2]).all()
    assert np.isnan(found.shares[:, 2]).all()
    np.testing.assert_allclose(np.nansum(found.probabilities, 1), 1.0)


def test_conditions_that_differ_between_users_alone_leave_constructed_unknown() -> None:
    truth = small_world()
    # Users of one version of a page rate higher, whatever else differs between their answers.
    version = (truth.user % 2).astype(np.float64)
    higher = replace(truth, value=np.clip(truth.value + version, 1, 5))
    mixture, _ = ResponseMixture(rounds=1).fit(responses(higher, version))
    assert not mixture.constructed
    assert "the same condition" in mixture.reason
    noise = 0.1 * np.random.default_rng(0).normal(size=len(version))
    mixture, _ = ResponseMixture(rounds=2).fit(responses(higher, version + noise))
    assert not mixture.constructed
    assert "permuted" in mixture.reason


def test_of_a_world_of_preferences_hardly_anything_is_doubted() -> None:
    truth = answer_world(0.5, (0.98, 0.01, 0.01), users=120, items=60, pairs=25, seed=3)
    _, found = ResponseMixture(rounds=4).fit(responses(truth))
    assert found.weights.mean() > 0.93


def test_a_class_that_hardly_any_answer_has_is_dropped(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = answer_world(1.0, (0.998, 0.001, 0.001), users=120, items=60, pairs=25, seed=3)
    monkeypatch.setattr("recsys.reliability.mixture._LEAST_MASS", 0.1)
    with caplog.at_level(logging.WARNING):
        mixture, found = ResponseMixture(rounds=3, classes=2).fit(responses(truth))
    assert "under 10% of the answers are non-attitudes" in caplog.text
    assert mixture.shares.tolist() == [1.0, 0.0, 0.0]
    assert (found.weights == 1).all()
    assert found.interval(0) == pytest.approx((1.0, 1.0))
    assert (judge(mixture, responses(truth)).weights == 1).all()


def test_answers_that_nothing_predicts_count_alike() -> None:
    for seed in range(2):
        answers = responses(small_world())
        noise = replace(answers, value=np.random.default_rng(seed).integers(1, 6, len(answers)).astype(np.float64))
        mixture, found = ResponseMixture(rounds=1, classes=2).fit(noise)
        assert not mixture.identified
        assert not found.identified
        assert (found.weights == 1).all()
        assert "own mean" in mixture.reason
        assert (judge(mixture, noise).weights == 1).all()


def test_users_whose_level_alone_differs_are_no_prediction() -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(100), 4), rng.integers(50, size=400)
    value = np.clip(np.rint(3 + rng.normal(size=100)[user] + 0.7 * rng.normal(size=400)), 1, 5)
    columns = user.astype(np.int32), item.astype(np.int32), value, np.arange(400)
    answers = Responses(*columns, np.zeros((400, 0)), (), 100, 50)
    mixture, _ = ResponseMixture(rounds=1).fit(answers.take(answers.first))
    assert not mixture.identified


def test_second_answers_tell_where_nothing_else_predicts() -> None:
    truth = answer_world(1.0, (0.5, 0.45, 0.05), users=120, items=60, pairs=25, seed=1)
    answers = responses(truth, np.zeros(len(truth.user)))
    alone = replace(answers, item=answers.pair.astype(np.int32), n_items=answers.n_pairs)
    mixture, found = ResponseMixture(rounds=3).fit(alone)
    assert mixture.identified
    assert auc(found.probabilities[:, 0], truth.kind == 0) > 0.7


def test_people_who_were_not_seen_are_judged_by_what_was_learned() -> None:
    truth = small_world()
    answers, seen = responses(truth), truth.user < 60
    mixture, _ = ResponseMixture(rounds=5).fit(replace(answers.take(seen), n_users=60))
    others = answers.take(~seen)
    assert auc(judge(mixture, others).probabilities[:, 0], truth.kind[~seen] == 0) > 0.78
    assert len(judge(mixture, others.take(np.zeros(0, np.int64))).weights) == 0


def test_where_no_condition_is_known_it_may_have_been_any() -> None:
    truth, (mixture, _) = world(), fitted()
    answers = responses(truth).under(np.zeros((len(truth.user), 0)), ())
    genuine, _, constructed = judge(mixture, answers).probabilities.T
    assert auc(genuine, truth.kind == 0) > 0.82
    assert auc(constructed, truth.kind == 2) > 0.7
    assert calibration_error(genuine, truth.kind == 0) < 0.06


def test_conditions_count_from_their_mean_when_they_are_read_too() -> None:
    truth = small_world()
    plain, moved = (ResponseMixture(rounds=3).fit(responses(truth, truth.anchor + by)) for by in (0.0, 100.0))
    assert plain[0].constructed
    np.testing.assert_allclose(moved[1].probabilities, plain[1].probabilities, atol=1e-3)
    again = [
        judge(mixture, responses(truth, truth.anchor + by)).probabilities
        for by, (mixture, _) in ((0.0, plain), (100.0, moved))
    ]
    np.testing.assert_allclose(again[0], again[1], atol=1e-3)


def test_an_answer_beyond_the_scale_is_at_its_end() -> None:
    mixture, _ = fitted()
    answers = responses(world()).take(np.arange(60))
    far = replace(answers, value=np.where(answers.value == 5, 1e9, answers.value))
    assert (far.value > 5).any()
    np.testing.assert_array_equal(judge(mixture, far).probabilities, judge(mixture, answers).probabilities)


def test_a_fitted_mixture_is_restored_from_its_arrays() -> None:
    mixture, _ = fitted()
    answers = responses(world()).take(np.arange(200))
    again = type(mixture).restored(mixture.arrays())
    np.testing.assert_array_equal(judge(again, answers).probabilities, judge(mixture, answers).probabilities)
    assert (again.reason, again.conditions.names) == (mixture.reason, mixture.conditions.names)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=9))
def test_a_log_of_any_size_is_told_apart_or_not_but_fitted(rows: list[tuple[int, int, int]]) -> None:
    user, item, value = np.array(rows).T
    size = len(rows)
    condition = np.arange(size, dtype=np.float64)[:, None]
    columns = user.astype(np.int32), item.astype(np.int32), value.astype(np.float64), np.arange(size)
    answers = Responses(*columns, condition, ("place",), 3, 4)
    if len(set(value.tolist())) < 2:
        with pytest.raises(DataError, match="every response is"):
            ResponseMixture().fit(answers)
        return
    mixture, found = ResponseMixture(rounds=1, permutations=2).fit(answers)
    assert not mixture.identified  # of three users nothing is certain
    assert found.weights.tolist() == [1.0] * size
    assert judge(mixture, answers).weights.tolist() == [1.0] * size
    assert np.isfinite(found.shares[:, :2]).all()


def test_bad_conditions_and_settings_are_named() -> None:
    mixture, _ = fitted()
    answers = responses(world()).take(np.arange(10))
    with pytest.raises(DataError, match=r"condition 'numbr shown' is unknown.*'number shown'"):
        judge(mixture, answers.under(answers.condition, ("numbr shown",)))
    with pytest.raises(DataError, match="no response"):
        ResponseMixture().fit(answers.take(np.zeros(0, np.int64)))
    with pytest.raises(ConfigError, match="classes is 4"):
        ResponseMixture(classes=4)
    with pytest.raises(ConfigError, match="folds is 1"):
        ResponseMixture(folds=1)
