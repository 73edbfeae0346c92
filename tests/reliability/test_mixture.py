"""The mixture on a world whose truth is known, and what it must refuse to tell."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ConfigError, DataError
from recsys.evaluation.reliability import auc, calibration_error, share_correlation
from recsys.reliability import ResponseMixture, judge
from recsys.worlds.responses import answer_world
from tests.reliability.answers import ITEMS, USERS, fitted, responses, small_world


def test_classes_spreads_and_shares_of_the_world_are_found() -> None:
    world, (mixture, found) = small_world(), fitted()
    assert mixture.constructed
    genuine, random, constructed = found.probabilities.T
    assert auc(genuine, world.kind == 0) > 0.79
    assert auc(random, world.kind == 1) > 0.75
    assert auc(constructed, world.kind == 2) > 0.88
    # A placebo: how far an answer is from the item's mean, which is what "noise" is often taken for.
    level = np.bincount(world.item, world.value, ITEMS) / np.bincount(world.item, minlength=ITEMS)
    assert auc(-np.abs(world.value - level[world.item]), world.kind == 0) < 0.72
    assert calibration_error(genuine, world.kind == 0) < 0.09
    assert mixture.spreads.pull[0] == pytest.approx(0.8, abs=0.25)
    assert mixture.spreads.genuine == pytest.approx(0.4, abs=0.12)
    first = responses(world).first
    assert (
        share_correlation(found.shares[:, 0], world.kind[first].astype(np.int64), world.user[first].astype(np.int64))
        > 0.6
    )
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0)
    low, high = found.interval(0)
    assert low < found.shares[0, 0] < high


def test_conditions_that_move_nothing_leave_constructed_unknown() -> None:
    world = small_world()
    shuffled = np.random.default_rng(5).permutation(world.anchor)
    mixture, found = ResponseMixture(rounds=3).fit(responses(world, shuffled))
    assert not mixture.constructed
    assert "permuted" in mixture.reason
    assert np.isnan(found.probabilities[:, 2]).all()
    assert np.isnan(found.shares[:, 2]).all()
    np.testing.assert_allclose(np.nansum(found.probabilities, 1), 1.0)


def test_one_condition_leaves_constructed_unknown() -> None:
    world = small_world()
    mixture, _ = ResponseMixture(rounds=2).fit(responses(world, np.zeros(len(world.user))))
    assert not mixture.constructed
    assert "the same condition" in mixture.reason


def test_of_a_world_of_preferences_hardly_anything_is_doubted() -> None:
    world = answer_world(0.5, (0.98, 0.01, 0.01), users=USERS, items=ITEMS, pairs=30, seed=3)
    _, found = ResponseMixture(rounds=4).fit(responses(world))
    assert found.weights.mean() > 0.93


def test_answers_that_nothing_predicts_count_alike() -> None:
    world, rng = small_world(), np.random.default_rng(0)
    noise = responses(world)
    noise.value[:] = rng.integers(1, 6, len(noise))
    mixture, found = ResponseMixture(rounds=3, classes=2).fit(noise)
    if not mixture.predicts:
        assert not found.identified
        assert (found.weights == 1).all()
        assert "own mean" in mixture.reason
    else:
        assert found.shares[:, 0].mean() < 0.6


def test_people_who_were_not_seen_are_judged_by_what_was_learned() -> None:
    world, (mixture, _) = small_world(seed=0), fitted()
    other = answer_world(0.5, users=USERS, items=ITEMS, pairs=30, seed=0)
    half = other.user < USERS // 2
    answers = responses(other).take(half)
    assert auc(judge(mixture, answers).probabilities[:, 0], other.kind[half] == 0) > 0.8
    assert len(judge(mixture, answers.take(np.zeros(0, np.int64))).weights) == 0
    # Without conditions answers are taken as given under the usual ones.
    plain = answers.under(np.zeros((len(answers), 0)), ())
    assert auc(judge(mixture, plain).probabilities[:, 0], world.kind[half] == 0) > 0.75


def test_a_fitted_mixture_is_restored_from_its_arrays() -> None:
    world, (mixture, _) = small_world(), fitted()
    answers = responses(world).take(np.arange(200))
    again = type(mixture).restored(mixture.arrays())
    np.testing.assert_array_equal(judge(again, answers).probabilities, judge(mixture, answers).probabilities)
    assert (again.reason, again.names) == (mixture.reason, mixture.names)


def test_bad_conditions_and_settings_are_named() -> None:
    mixture, _ = fitted()
    answers = responses(small_world())
    with pytest.raises(DataError, match=r"condition 'numbr shown' is unknown.*'number shown'"):
        judge(mixture, answers.under(answers.condition, ("numbr shown",)))
    with pytest.raises(ConfigError, match="classes is 4"):
        ResponseMixture(classes=4)
    with pytest.raises(ConfigError, match="folds is 1"):
        ResponseMixture(folds=1)
