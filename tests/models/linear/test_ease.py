from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.linear.ease import EASE
from recsys.models.linear.operations import regularized_factor
from recsys.models.linear.persona_ease import PersonaEASE


def random_log(users: int = 60, items: int = 15, events: int = 400) -> Interactions:
    source = np.random.default_rng(1)
    return Interactions.from_columns(source.integers(0, users, events), source.integers(0, items, events))


def test_weights_are_the_closed_form() -> None:
    log = random_log()
    x = log.matrix().toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + 20 * np.eye(log.n_items))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    learned = EASE(20).fit(log).arrays()["weights"]
    np.testing.assert_allclose(learned, expected, atol=1e-5)


def test_each_column_is_ridge_regression_on_the_other_items() -> None:
    """The constraint diag(B) = 0 makes the columns independent regressions (Steck 2019, section 3.1)."""
    log = random_log()
    x = log.matrix().toarray().astype(np.float64)
    learned = EASE(7).fit(log).arrays()["weights"]
    for item in range(log.n_items):
        others = np.delete(x, item, axis=1)
        solution = np.linalg.solve(others.T @ others + 7 * np.eye(log.n_items - 1), others.T @ x[:, item])
        np.testing.assert_allclose(np.delete(learned[:, item], item), solution, atol=1e-5)
        assert learned[item, item] == 0


def test_scores_are_the_weighted_history_times_the_weights() -> None:
    model = EASE(20).fit(random_log())
    queries = Queries.from_history([[0, 3, 7], [2]]).with_weights(np.array([1, 0.5, 0.25, 0.1], np.float32))
    b = model.arrays()["weights"]
    expected = np.stack([b[0] + 0.5 * b[3] + 0.25 * b[7], 0.1 * b[2]])
    np.testing.assert_allclose(model.score(queries).numpy(), expected, rtol=1e-5, atol=1e-7)


def test_memory_is_stated_and_a_catalogue_beyond_the_limit_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    log = random_log()
    with caplog.at_level(logging.INFO, "recsys.models.linear.operations"):
        EASE().fit(log)
    assert "15 items needs about 0.00 GB" in caplog.text
    needed = EASE.memory_gb(log.n_items)
    with pytest.raises(CapabilityError, match=r"15 items needs about .* GB.*ItemKNN, IALS or AMPCF.*memory_limit_gb"):
        EASE(memory_limit_gb=needed / 2).fit(log)
    EASE(memory_limit_gb=needed * 1.01).fit(log)


def test_a_huge_catalogue_is_refused_before_anything_is_allocated() -> None:
    log = Interactions.from_columns(np.zeros(300_000, np.int64), np.arange(300_000))
    with pytest.raises(CapabilityError, match=r"360\.0 GB"):
        EASE().fit(log)


@pytest.mark.parametrize(("users", "items"), [(3000, 2), (3000, 3), (2999, 7), (1000, 20), (65_000, 2)])
def test_a_regularization_below_single_precision_is_refused(users: int, items: int) -> None:
    """Rounding leaves the last pivots of alike items at a tiny positive or negative number: both are no matrix."""
    alike = Interactions.from_columns(np.repeat(np.arange(users), items), np.tile(np.arange(items), users))
    for model in (EASE(regularization=1e-6), PersonaEASE(1, regularization=1e-6, history_power=0.0)):
        with pytest.raises(ConfigError, match=r"regularization is 1e-06, too small"):
            model.fit(alike)
    assert np.isfinite(EASE(regularization=1.0).fit(alike).arrays()["weights"]).all()


@pytest.mark.parametrize("size", [2, 10, 100])
def test_a_factor_without_significant_lambda_is_refused(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        half = torch.from_numpy(rng.integers(0, 2, (size // 2, size)).astype(np.float32))
        half[:, 0] = 1.0
        matrix = 1000 * half.T @ half
        with pytest.raises(ConfigError, match="too small"):
            regularized_factor(matrix + 1e-6 * torch.eye(size), 1e-6)
        regularized = matrix + 50 * torch.eye(size)
        factor = regularized_factor(regularized, 50.0)
        torch.testing.assert_close(factor @ factor.T, regularized, rtol=1e-4, atol=1e-2 * size)


@pytest.mark.parametrize("arguments", [{"regularization": 0.0}, {"memory_limit_gb": -1.0}, {"regularization": np.nan}])
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        EASE(**arguments)


def test_scoring_reads_contiguous_rows() -> None:
    assert torch.from_numpy(EASE().fit(random_log()).arrays()["weights"]).is_contiguous()
