"""The ridge regression with targets and features of its own against a direct solution without each item's features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsys.errors import ConfigError
from recsys.models.linear import feedback_ridge
from recsys.training.progress import FitProgress
from recsys.training.session import Session


def _progress() -> FitProgress:
    return FitProgress("test", 1.0, Session(), 0.0)


def _log(n_users: int, n_items: int, parts: int) -> tuple[list[sp.csr_matrix], sp.csr_matrix]:
    rng = np.random.default_rng(n_users)
    used = rng.random((n_users, n_items)) < 0.3
    features = [sp.csr_matrix(used * rng.normal(0.5, 1, used.shape), dtype=np.float32) for _ in range(parts)]
    return features, sp.csr_matrix(used * rng.uniform(0.3, 1, used.shape), dtype=np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("n_users", [9, 80])
def test_each_item_is_predicted_from_the_features_of_the_others(parts: int, n_users: int) -> None:
    """Fewer users than features: solved in the space of users; more: in that of the features."""
    n_items, ridge = 14, 3.0
    features, targets = _log(n_users, n_items, parts)
    tables = feedback_ridge.solve(features, targets, ridge, _progress())
    stacked = np.concatenate([matrix.toarray() for matrix in features], 1).astype(np.float64)
    for item in range(n_items):
        others = np.flatnonzero(np.arange(parts * n_items) % n_items != item)
        own = stacked[:, others]
        expected = np.zeros(parts * n_items)
        expected[others] = np.linalg.solve(
            own.T @ own + ridge * np.eye(len(others)), own.T @ targets[:, [item]].toarray().ravel()
        )
        found = np.concatenate([table[:, item].numpy() for table in tables])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    for table in tables:
        assert table.is_contiguous()
        assert not table.diagonal().any()


@pytest.mark.parametrize("n_users", [9, 80])
def test_equal_features_and_targets_are_ease(n_users: int) -> None:
    (features,), _ = _log(n_users, 14, 1)
    features.data[:] = 1.0
    (table,) = feedback_ridge.solve([features], features, 5.0, _progress())
    inverse = torch.linalg.inv(torch.from_numpy((features.T @ features).toarray()).double() + 5.0 * torch.eye(14))
    expected = (-inverse / inverse.diagonal()).fill_diagonal_(0.0)
    torch.testing.assert_close(table.double(), expected, rtol=1e-3, atol=1e-4)


def test_memory_is_that_of_the_smaller_space() -> None:
    assert feedback_ridge.memory_gb(600, 9000, 2) < 1.0
    assert feedback_ridge.memory_gb(100_000, 9000, 2) > 3.0
    assert feedback_ridge.work(600, 9000, 1) < feedback_ridge.work(100_000, 9000, 1)


def test_a_penalty_lost_in_rounding_is_refused() -> None:
    features, targets = _log(80, 14, 1)
    features[0].data[:] = 1e6
    twice = [features[0], features[0]]  # singular
    with pytest.raises(ConfigError, match="too small"):
        feedback_ridge.solve(twice, targets, 1e-6, _progress())
