from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigError
from recsys.models.linear import conjugate_gradients
from recsys.models.linear.conjugate_gradients import RidgeSolver


def gram(size: int = 60, rank: int = 40) -> torch.Tensor:
    """Return a positive semidefinite matrix whose eigenvalues span five orders of magnitude."""
    factor = torch.randn(size, rank, generator=torch.Generator().manual_seed(1))
    return (factor * torch.logspace(-2, 1, rank)) @ factor.T


@pytest.mark.parametrize("rank", [1, 10, 200])
def test_solutions_are_those_of_the_matrix(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjugate_gradients, "RANK", rank)
    matrix = gram()
    right = torch.randn(60, 7, generator=torch.Generator().manual_seed(2))
    right[:, 3] = 0
    result = RidgeSolver(lambda vectors: matrix @ vectors, 60, 2.0).solve(right)
    expected = torch.linalg.solve(matrix.double() + 2 * torch.eye(60).double(), right.double())
    assert float((result - expected).norm() / expected.norm()) < 1e-3
    assert not result[:, 3].any()


def test_leading_directions_are_solved_in_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, right = gram(300, 300), torch.eye(300)
    steps: list[int] = []
    for rank in (1, 100):
        monkeypatch.setattr(conjugate_gradients, "RANK", rank)
        products: list[int] = []

        def multiply(vectors: torch.Tensor, products: list[int] = products) -> torch.Tensor:
            products.append(1)
            return matrix @ vectors

        RidgeSolver(multiply, 300, 1.0).solve(right)
        steps.append(len(products))
    assert steps[1] < steps[0] / 2


def test_a_lambda_lost_in_rounding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjugate_gradients, "RANK", 1)
    matrix = 1e6 * gram()
    solver = RidgeSolver(lambda vectors: matrix @ vectors, 60, 1e-6)
    with pytest.raises(ConfigError, match=r"regularization is 1e-06, too small .* raise it"):
        solver.solve(torch.eye(60))
