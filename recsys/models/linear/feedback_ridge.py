"""Item-item ridge regression whose targets are not its features, and whose events may have several features.

    minimise  sum_i ||t_i - sum_a F_a B^(a)_.i||^2 + lambda sum_a ||B^(a)||^2    subject to diag(B^(a)) = 0 for each a

F_a, "users items", holds feature a of every event, t_i is the column of targets of item i. With F = [F_1 F_2 ...],
P = (F^T F + lambda I)^-1 and c_i = P F^T t_i the solution without its constraints, the one that uses no feature of the
item itself is, by Lagrange's multipliers, one for each feature,

    B_.i = c_i - P_.(i) x_i,    P_(i)(i) x_i = c_(i)i

where (i) are the rows of the features of item i. One feature that is the target too is EASE (Steck, *Embarrassingly
Shallow Autoencoders for Sparse Data*, WWW 2019, equation 8); several are the side information of his *Autoencoders that
don't overfit towards the identity*, NeurIPS 2020, with events for attributes.

P is found in the space of the features, or, by Woodbury's identity, P F^T = F^T A / lambda with
A = (I + F F^T / lambda)^-1, in that of users, whichever is smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.linear.operations import gram_matrix, regularized_factor
from recsys.training.progress import FitProgress
from recsys.types import Doubles

_BLOCK = 512
_MATRICES = 3
"""Square matrices alive at the peak of an inversion."""


def memory_gb(n_users: int, n_items: int, parts: int) -> float:
    """Return the peak memory of `solve` in 10^9 bytes: the inverse in the smaller space, and the result."""
    width = parts * n_items
    if n_users < width:
        return 4 * (_MATRICES * n_users**2 + parts * n_items**2) / 1e9
    return 4 * max(_MATRICES * width**2, width**2 + 2 * width * n_items) / 1e9


def work(n_users: int, n_items: int, parts: int) -> float:
    """Return the floating-point operations of `solve`, nearly."""
    width = parts * n_items
    return float(min(n_users, width) ** 3 + 2 * min(n_users, width) ** 2 * n_items)


def solve(
    features: Sequence[sp.csr_matrix], targets: sp.csr_matrix, regularization: float, progress: FitProgress
) -> list[Float[Tensor, "items items"]]:
    """Return B^(a)_ji for each feature a, contiguous, from an item of the history to a candidate.

    Args:
        features: "users items" each.
        targets: "users items".
        regularization: lambda.
        progress: of the fit.

    Raises:
        ConfigError: lambda is too small to invert in single precision.
    """
    n_users, n_items = targets.shape
    by_users = n_users < len(features) * n_items
    solved = (_by_users if by_users else _by_items)(features, targets, regularization, progress)
    for table in solved:
        table.fill_diagonal_(0.0)
    return solved


def _by_items(
    features: Sequence[sp.csr_matrix], targets: sp.csr_matrix, regularization: float, progress: FitProgress
) -> list[Float[Tensor, "items items"]]:
    """Solve with the Gram matrix of the features."""
    n_items, parts = targets.shape[1], len(features)
    width = parts * n_items
    both = sp.csr_matrix(sp.hstack(features), dtype=np.float32)
    gram = torch.from_numpy(gram_matrix(both))
    gram.diagonal().add_(regularization)
    factor = regularized_factor(gram, regularization)
    del gram
    inverse = torch.cholesky_inverse(factor).contiguous()
    del factor
    progress.advance(width**3)
    cross = torch.from_numpy((both.T @ targets).toarray())
    free = inverse @ cross
    del cross
    progress.advance(2 * width**2 * n_items)
    own = np.arange(n_items)
    corners = np.empty((n_items, parts, parts))
    for a in range(parts):
        for b in range(parts):
            corners[:, a, b] = inverse[a * n_items + own, b * n_items + own].numpy()
    multiplier = _multipliers(corners, free.numpy().reshape(parts, n_items, n_items)[:, own, own].T)
    for b in range(parts):
        free -= inverse[:, b * n_items : (b + 1) * n_items] * torch.from_numpy(multiplier[:, b].astype(np.float32))
    return [table.clone() for table in free.view(parts, n_items, n_items)] if parts > 1 else [free]


def _by_users(
    features: Sequence[sp.csr_matrix], targets: sp.csr_matrix, regularization: float, progress: FitProgress
) -> list[Float[Tensor, "items items"]]:
    """Solve with the kernel matrix "users users", a block of targets at a time."""
    (n_users, n_items), parts = targets.shape, len(features)
    kernel = sum((feature @ feature.T).toarray() for feature in features) / np.float32(regularization)
    tensor = torch.from_numpy(np.ascontiguousarray(kernel, np.float32))
    tensor.diagonal().add_(1.0)
    inverse = torch.cholesky_inverse(regularized_factor(tensor, regularization)).numpy()
    del tensor, kernel
    progress.advance(n_users**3)
    transposed = [sp.csr_matrix(feature.T) for feature in features]
    of_target = sp.csr_matrix(targets.T)
    result = [torch.empty(n_items, n_items) for _ in features]
    for start in range(0, n_items, _BLOCK):
        part = slice(start, min(start + _BLOCK, n_items))
        own = [rows[part] for rows in transposed]
        projected = [np.asarray(rows @ inverse) for rows in own]  # "block users"
        target = projected[0] if features[0] is targets else np.asarray(of_target[part] @ inverse)
        count = part.stop - start
        # P_(i)(i) = (delta - f_a' A f_b / lambda) / lambda and c_(i)i = f_a' A t_i / lambda, in double precision.
        corners, free = np.empty((count, parts, parts)), np.empty((count, parts))
        for a in range(parts):
            free[:, a] = _row_products(own[a], target) / regularization
            for b in range(parts):
                corners[:, a, b] = (
                    float(a == b) - _row_products(own[a], projected[b]) / regularization
                ) / regularization
        multiplier = (_multipliers(corners, free) / regularization).astype(np.float32)
        combined = target + sum(multiplier[:, a, None] * projected[a] for a in range(parts))
        for a in range(parts):
            block = np.asarray(transposed[a] @ np.ascontiguousarray(combined.T)) / np.float32(regularization)
            result[a][:, part] = torch.from_numpy(block)
        progress.advance(2 * n_users**2 * count)
    return result


def _multipliers(corners: Doubles, free: Doubles) -> Doubles:
    """Return x_i, "items parts", from P_(i)(i) "items parts parts" and c_(i)i "items parts"."""
    return np.asarray(np.linalg.solve(corners, np.asarray(free, np.float64)[:, :, None])[:, :, 0])


def _row_products(sparse: sp.csr_matrix, dense: npt.NDArray[np.float32]) -> Doubles:
    """Return the product of each row of one matrix with the same row of the other, "rows"."""
    row = np.repeat(np.arange(sparse.shape[0]), np.diff(sparse.indptr))
    products = sparse.data.astype(np.float64) * dense[row, sparse.indices]
    return np.bincount(row, products, sparse.shape[0]).astype(np.float64)
