"""Measures of reliability against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recsys.evaluation.reliability import auc, gain_to_truth, share_correlation


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_that_of_scikit_learn(cases: list[tuple[int, bool]]) -> None:
    score, positive = np.array([case[0] for case in cases], np.float64), np.array([case[1] for case in cases])
    if positive.all() or not positive.any():
        assert np.isnan(auc(score, positive))
    else:
        assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score))


def test_gain_is_one_for_the_truth_and_none_for_chance() -> None:
    rng = np.random.default_rng(0)
    truth, open_ = rng.normal(size=(400, 50)), rng.random((400, 50)) < 0.7
    assert gain_to_truth(truth, truth, open_, 5) == pytest.approx(1.0)
    assert abs(gain_to_truth(rng.normal(size=truth.shape), truth, open_, 5)) < 0.05


def test_share_correlation_of_the_true_shares_is_one() -> None:
    user, kind = np.repeat(np.arange(5), 4), np.array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    assert share_correlation(np.array([1, 0.75, 0.5, 0.25, 0.0]), kind, user) == pytest.approx(1.0)
