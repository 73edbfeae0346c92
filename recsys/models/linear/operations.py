"""What linear models share: co-occurrence in bounded memory, checked factors, and weighted histories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.types import Items

BLOCK_ENTRIES = 8_000_000
"""Stored entries of one block of the co-occurrence matrix, at most (unless one row alone has more): about 64 MB."""

_ROUNDING = 8 * torch.finfo(torch.float32).eps
"""Of the largest diagonal entry: pivots below are what rounding leaves of a singular matrix."""


def cooccurrence_blocks(matrix: sp.csr_matrix, entries: int = BLOCK_ENTRIES) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield X^T X ("items items": how many users have both) in blocks of rows, as (first row, sparse block).

    The rows of a block are chosen before it is computed, from a bound on their entries: item i co-occurs with no more
    items than its users have events in all. So a large catalogue never allocates anything quadratic.

    Args:
        matrix: X, "users items".
        entries: the bound per block.

    >>> x = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))
    >>> [(first, block.toarray().tolist()) for first, block in cooccurrence_blocks(x, entries=3)]
    [(0, [[2.0, 1.0, 1.0]]), (1, [[1.0, 1.0, 0.0]]), (2, [[1.0, 0.0, 1.0]])]
    """
    n_items = matrix.shape[1]
    transposed = matrix.T.tocsr()
    bound = np.minimum(transposed.astype(np.float64) @ np.diff(matrix.indptr).astype(np.float64), n_items)
    until = np.concatenate([[0.0], np.cumsum(bound)])
    start = 0
    while start < n_items:
        stop = max(start + 1, int(np.searchsorted(until, until[start] + entries, side="right")) - 1)
        yield start, (transposed[start:stop] @ matrix).tocsr()
        start = stop


def regularized_factor(matrix: Float[Tensor, "n n"], regularization: float) -> Float[Tensor, "n n"]:
    """Return the lower Cholesky factor of a positive semidefinite matrix to whose diagonal lambda was added.

    Every pivot of such a matrix is at least lambda. One that is lost in the rounding of the largest entry can come out
    negative, which the factorisation notices, or, depending on the order of additions, as a tiny positive number, which
    it does not: its inverse would be noise.

    Args:
        matrix: the sum, float32.
        regularization: lambda, for the message.

    Raises:
        ConfigError: lambda is too small for single precision.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed) or bool(factor.diagonal().min() ** 2 < _ROUNDING * matrix.diagonal().max()):
        raise ConfigError(
            f"regularization is {regularization:g}, too small to invert this log's matrix in single precision; raise it"
        )
    return factor


def pair_weights(weights: Float[Tensor, "items items"], queries: Queries, items: Items) -> npt.NDArray[np.float32]:
    """Return "events n": the weight from each history event's item to each item that is asked of its query.

    Args:
        weights: "items items", contiguous: from an item of the history to a candidate.
        queries: the questions; unknown items read item 0.
        items: "queries n", known item numbers.
    """
    target = items[0] if len(queries) == 1 else items[queries.history.rows]
    return table_weights(weights, queries.history.items, target)


def table_weights(weights: Float[Tensor, "items items"], history: Items, items: Items) -> npt.NDArray[np.float32]:
    """Return "events n": the weight from each event's item to the items asked for.

    Args:
        weights: "items items", contiguous: from an item of the history to a candidate.
        history: "events"; unknown items read item 0.
        items: "n", the same for all events, or "events n".
    """
    source = np.maximum(history, 0).astype(np.int64) * weights.shape[1]
    # One flat look-up takes half of the time of a look-up by two indices, and there is little else to do.
    return weights.numpy().reshape(-1).take(source[:, None] + items)


def weighted(queries: Queries, pairs: npt.NDArray[np.float32]) -> Float[Tensor, "events n"]:
    """Return what each event contributes, given what it would at weight 1, "events n", which is overwritten."""
    if queries.weights is not None:
        pairs *= event_weights(queries)[:, None]
    elif not queries.counted.all():
        pairs[~queries.counted] = 0.0
    return torch.from_numpy(pairs)


@final
class KeptColumns:
    """The columns of an item-item matrix that are read again and again, side by side: ten times as fast to read."""

    def __init__(self) -> None:
        self._weights: Tensor | None = None
        self._columns: Items | None = None
        self._kept = np.zeros((0, 0), np.float32)

    def rows(self, weights: Float[Tensor, "items items"], columns: Items, items: Items) -> npt.NDArray[np.float32]:
        """Return `weights[items][:, columns]`, "events columns"; unknown items read item 0.

        Args:
            weights: "items items".
            columns: "columns", item numbers; the same array (not an equal one) as last time is not looked up again.
            items: "events", of histories.
        """
        if weights is not self._weights or columns is not self._columns:
            self._kept = np.take(weights.numpy(), columns, axis=1)
            self._weights, self._columns = weights, columns
        return self._kept.take(items, 0, mode="clip")


def event_weights(queries: Queries) -> npt.NDArray[np.float32]:
    """Return "events", float32: the weight with which each event enters its user's state; 0 where it is not counted."""
    counted = queries.counted.astype(np.float32)
    return counted if queries.weights is None else np.asarray(counted * queries.weights, np.float32)
