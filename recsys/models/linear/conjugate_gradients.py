"""Solves a ridge regression by preconditioned conjugate gradients, for a matrix that is only multiplied with."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import ConfigError

RANK = 128
"""Directions that the preconditioner treats exactly."""

TOLERANCE = 5e-5
"""A column is solved when its residual has this norm relative to its right-hand side."""

_MOST = 400
"""Steps after which a column that is not solved is an error: single precision does not reach the tolerance."""

Multiply = Callable[[Float[Tensor, "n columns"]], Float[Tensor, "n columns"]]


@final
class RidgeSolver:
    """Solves (G + lambda I) X = C for a positive semidefinite G, given only its products.

    The preconditioner is a randomised Nystroem approximation of G, U diag(theta) U^T, of rank r (Frangella, Tropp,
    Udell, *Randomized Nystroem Preconditioning*, SIAM Journal on Matrix Analysis and Applications 2023, algorithms 2.1
    and 5.1):

        P^-1 = U ((theta_r + lambda) / (theta + lambda) - 1) U^T + I

    Steps then depend on theta_r / lambda, not on the largest eigenvalue, which popular items make large.

    Args:
        multiply: V -> G V.
        size: n.
        regularization: lambda.
    """

    def __init__(self, multiply: Multiply, size: int, regularization: float) -> None:
        self._multiply = multiply
        self._regularization = regularization
        rank = min(RANK, size)
        sketch = torch.linalg.qr(torch.randn(size, rank, generator=torch.Generator().manual_seed(0)))[0]
        product = multiply(sketch)
        # One step of power iteration: the sketch then lies closer to the leading directions.
        sketch = torch.linalg.qr(product)[0]
        product = multiply(sketch).double()
        shift = torch.finfo(torch.float32).eps * float(product.norm())
        product += shift * sketch.double()
        middle = sketch.double().T @ product
        factor = torch.linalg.cholesky((middle + middle.T) / 2)
        vectors, values, _ = torch.linalg.svd(torch.linalg.solve_triangular(factor, product.T, upper=False).T, False)
        eigenvalues = (values**2 - shift).clamp_min(0.0)
        self._vectors = vectors.float()
        self._scale = ((eigenvalues[-1] + regularization) / (eigenvalues + regularization) - 1).float()

    def solve(self, right: Float[Tensor, "n columns"]) -> Float[Tensor, "n columns"]:
        """Return X.

        Raises:
            ConfigError: lambda is too small for single precision.
        """
        solution, residual = torch.zeros_like(right), right.clone()
        limit = TOLERANCE**2 * _squares(right)
        direction = self._precondition(residual)
        energy = (residual * direction).sum(0)
        for _ in range(_MOST):
            if bool((_squares(residual) <= limit).all()):
                return solution
            product = self._multiply(direction).add_(direction, alpha=self._regularization)
            step = energy / (direction * product).sum(0).clamp_min(torch.finfo(torch.float32).tiny)
            solution.addcmul_(direction, step)
            residual.addcmul_(product, step, value=-1)
            preconditioned = self._precondition(residual)
            before, energy = energy, (residual * preconditioned).sum(0)
            direction.mul_(energy / before.clamp_min(torch.finfo(torch.float32).tiny)).add_(preconditioned)
        raise ConfigError(
            f"regularization is {self._regularization:g}, too small to solve for this log in single precision; raise it"
        )

    def _precondition(self, vectors: Float[Tensor, "n columns"]) -> Float[Tensor, "n columns"]:
        return torch.addmm(vectors, self._vectors, self._scale[:, None] * (self._vectors.T @ vectors))


def _squares(vectors: Float[Tensor, "n columns"]) -> Float[Tensor, "columns"]:
    """Return the squared norms of columns; a tenth of the time of `norm(dim=0)`."""
    return (vectors * vectors).sum(0)
