"""Shared operations of linear models: co-occurrence, memory limits, checked factors, sums over weighted histories."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.types import Doubles, Floats, Items

_LOG = logging.getLogger(__name__)

BLOCK_ENTRIES = 8_000_000
"""Maximal stored entries of one block of the co-occurrence matrix (unless one row alone has more): about 64 MB."""

_CACHED = 250_000
"""Entries of a table, a megabyte, that a processor's core has at hand."""

_NARROWEST = 64
"""Columns of a block of a large table: blocks of 16 take 1.5 to 2 times as long with 9,700 rows or more."""

_REPEATED = 6
"""Times that each row has to be read on average before copying blocks of columns pays."""

_ROUNDING = 8 * torch.finfo(torch.float32).eps
"""Relative to the largest diagonal entry: smaller pivots are rounding errors of a singular matrix."""


def check_memory(fit: str, needed_gb: float, limit_gb: float, alternatives: str) -> None:
    """Raise a CapabilityError when the estimated memory of a fit, in 10^9 bytes, exceeds the model's limit.

    The message names the fit (the model and the size of the log) and the alternatives.
    """
    _LOG.info("%s needs about %.2f GB of memory", fit, needed_gb)
    if needed_gb > limit_gb:
        raise CapabilityError(
            f"{fit} needs about {needed_gb:.1f} GB, more than memory_limit_gb={limit_gb:g}; {alternatives}, keep fewer "
            "items with the filter of minimum events per item, or raise memory_limit_gb"
        )


def cooccurrence_blocks(matrix: sp.csr_matrix, entries: int = BLOCK_ENTRIES) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield X^T X ("items items": how many users have both) in blocks of rows, as (first row, sparse block).

    Blocks are sized in advance from a bound on their entries: item i co-occurs with at most as many items as its users
    have events in total. So no quadratic allocation is needed for a large catalogue. X is "users items".

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


def gram_matrix(matrix: sp.csr_matrix, entries: int = BLOCK_ENTRIES) -> Floats:
    """Return X^T X, "items items", float32, as a dense matrix; X is "users items".

    Each pair of items is counted once and written twice: two thirds of the time with 27,000 items.

    >>> gram_matrix(sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))).tolist()
    [[2.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    n_items = matrix.shape[1]
    gram = np.empty((n_items, n_items), np.float32)
    rows, transposed = max(1, entries // n_items), matrix.T.tocsr()
    for start in range(0, n_items, rows):
        stop = min(start + rows, n_items)
        block = (transposed[start:stop] @ matrix).toarray()
        gram[start:stop, start:], gram[start:, start:stop] = block, block.T
        matrix = matrix[:, stop - start :]  # from column `stop`
    return gram


@final
class CoUse(NamedTuple):
    """How many users used both of two items, X^T X, and what that is to be compared with.

    Attributes:
        users: number of all users.
        used: "items", how many used each.
        blocks: of its rows, as `cooccurrence_blocks` yields them; they can be read once.
    """

    users: int
    used: Doubles
    blocks: Iterator[tuple[int, sp.csr_matrix]]

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> Self:
        """Count over a log in memory, X "users items"."""
        return cls(matrix.shape[0], np.asarray(matrix.sum(0), np.float64).ravel(), cooccurrence_blocks(matrix))

    @classmethod
    def of_gram(cls, gram: Floats, users: int) -> Self:
        """Return what is counted already, as X^T X "items items"."""
        rows = max(1, BLOCK_ENTRIES // len(gram))
        blocks = ((start, sp.csr_matrix(gram[start : start + rows])) for start in range(0, len(gram), rows))
        return cls(users, gram.diagonal().astype(np.float64), blocks)


def regularized_factor(matrix: Float[Tensor, "n n"], regularization: float) -> Float[Tensor, "n n"]:
    """Return the lower Cholesky factor of a positive semidefinite matrix plus lambda times the identity.

    Every pivot of such a matrix is at least lambda. If lambda is lost in the rounding of the largest entry, a pivot can
    become negative, which the factorisation reports, or a tiny positive number, which it does not report and whose
    inverse is noise.

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


def sum_of_rows(
    table: Float[Tensor, "rows n"], index: npt.NDArray[np.integer], indptr: npt.NDArray[np.integer], weights: Floats
) -> Float[Tensor, "queries n"]:
    """Return the weighted sum of rows of a table for each query; on a CPU the fastest of torch's sparse products.

    For many queries the table is read in blocks of columns that stay in the processor's cache: 2,048 histories of 170
    events on 3,416 items take 77 instead of 272 ms, and every sum is the same to the last bit.

    Args:
        table: "rows n".
        index: "entries", row numbers; negative ones read row 0.
        indptr: "queries + 1": entries of query q are `indptr[q]:indptr[q+1]`.
        weights: "entries", 0 where the index is negative.
    """
    rows = torch.from_numpy(np.maximum(index, 0).astype(np.int64))
    offsets, weight = torch.from_numpy(indptr.astype(np.int64)), torch.from_numpy(weights)

    def summed(part: Tensor) -> Tensor:
        return torch.nn.functional.embedding_bag(
            rows, part, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True
        )

    if len(index) < _REPEATED * len(table) or table.numel() <= _CACHED:
        return summed(table)
    sums = torch.empty(len(indptr) - 1, table.shape[1])
    width = max(_NARROWEST, _CACHED // len(table) // 16 * 16)
    for start in range(0, table.shape[1], width):
        sums[:, start : start + width] = summed(table[:, start : start + width].contiguous())
    return sums


def pair_weights(weights: Float[Tensor, "items items"], queries: Queries, items: Items) -> Floats:
    """Return "events n": the weights from each event's item to its query's candidates, `items` "queries n".

    `weights` is contiguous, from an item of the history to a candidate; unknown items of histories read item 0.
    """
    candidates = items[0] if len(queries) == 1 else items[queries.history.rows]
    return table_weights(weights, queries.history.items, candidates)


def table_weights(weights: Float[Tensor, "items items"], history: Items, items: Items) -> Floats:
    """Return "events n": the weights from each event's item to candidates, the same "n" for all or "events n".

    `weights` is contiguous; unknown items of the history ("events") read item 0.
    """
    # One flat look-up takes a sixth of the time of indexing by two arrays; nothing wraps, but bounds are not checked.
    source = np.maximum(history, 0).astype(np.int64) * weights.shape[1]
    return weights.numpy().reshape(-1).take(source[:, None] + items, mode="wrap")


def table_rows(weights: Float[Tensor, "items items"], history: Items, items: Items | None) -> Floats:
    """Return what `table_weights` does, and of all items where `items` is None; of a known history."""
    return weights.numpy()[history] if items is None else table_weights(weights, history, items)


def weighted_sum(features: Iterable[Floats], parts: Iterable[Floats]) -> Float[Tensor, "events n"]:
    """Return the sum of features, "events", times their parts, "events n"; overwrites the parts."""
    total: Floats | None = None
    for feature, part in zip(features, parts, strict=True):
        product = part if bool((feature == 1).all()) else np.multiply(part, feature[:, None], out=part)
        total = product if total is None else np.add(total, product, out=total)
    assert total is not None
    return torch.from_numpy(total)


@final
class CachedColumns:
    """Caches some columns of an item-item matrix in a contiguous copy, which is ten times as fast to read."""

    def __init__(self) -> None:
        self._weights: Tensor | None = None
        self._columns: Items | None = None
        self._cache = np.zeros((0, 0), np.float32)

    def rows(self, weights: Float[Tensor, "items items"], columns: Items, items: Items) -> Floats:
        """Return `weights[items][:, columns]`, "events columns"; unknown items read item 0.

        The copy is reused while the caller passes the same array objects as weights and columns.
        """
        if weights is not self._weights or columns is not self._columns:
            self._cache = np.take(weights.numpy(), columns, axis=1)
            self._weights, self._columns = weights, columns
        return self._cache.take(items, 0, mode="clip")


def event_weights(queries: Queries) -> Floats:
    """Return "events", float32: the weight of each event in its user's state; 0 where it is not counted."""
    counted = queries.counted.astype(np.float32)
    return counted if queries.weights is None else np.asarray(counted * queries.weights, np.float32)
