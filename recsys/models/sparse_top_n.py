"""The best items of sparse scores, never made dense: of 300,000 items a history reaches a few thousand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.queries import Ragged
from recsys.data.vocabulary import UNKNOWN

Ints = npt.NDArray[np.integer]


def sparse_top_n(
    scores: sp.csr_matrix, excluded: Ragged, n: int, tie_order: Ints, tie_rank: Ints
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the n largest scores of each row, best first, as `recsys.models.base.top_n` does with dense ones.

    Args:
        scores: "queries items", float32, 0 or more; what is not stored is 0.
        excluded: what must not be returned, a row for each query.
        n: length of the lists.
        tie_order: "items", all items in the order in which equal scores are listed.
        tie_rank: "items", the place of each item in it.

    Returns:
        items "queries n" int32 (`UNKNOWN` where there are no more) and scores "queries n" float32 (there -inf).

    Raises:
        FloatingPointError: a score is NaN.
    """
    if np.isnan(scores.data).any():
        raise FloatingPointError("a model produced NaN scores")
    n_items = scores.shape[1]
    items = np.full((len(excluded), n), UNKNOWN, np.int32)
    best = np.full((len(excluded), n), -np.inf, np.float32)
    known = excluded.items != UNKNOWN
    used = excluded.rows[known] * n_items + excluded.items[known]
    positive = scores.data > 0
    row = np.repeat(np.arange(len(excluded)), np.diff(scores.indptr))[positive]
    column, value = scores.indices[positive], scores.data[positive]
    # So many are enough, whatever is excluded; to look all entries up among what is would take ten times as long.
    first = largest_per_row(row, tie_rank[column], value, n + excluded.lengths)
    row, column, value = row[first], column[first], value[first]
    listed = np.flatnonzero(~np.isin(row * n_items + column, used))
    listed = listed[np.lexsort((tie_rank[column[listed]], -value[listed], row[listed]))]
    row, column, value = row[listed], column[listed], value[listed]
    count = np.bincount(row, minlength=len(excluded))
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    listed = np.flatnonzero(place < n)
    items[row[listed], place[listed]] = column[listed]
    best[row[listed], place[listed]] = value[listed]
    # All other items have a score of 0, and follow in the order of equals.
    short = np.flatnonzero(count < n)
    if len(short):
        enough = n + int((excluded.lengths[short] + count[short]).max())
        filler = tie_order[:enough]
        taken = np.concatenate([used, row * n_items + column])
        free = ~np.isin(short[:, None] * n_items + filler, taken)
        place = np.cumsum(free, axis=1) - 1 + count[short, None]
        which, entry = np.nonzero(free & (place < n))
        items[short[which], place[which, entry]] = filler[entry]
        best[short[which], place[which, entry]] = 0.0
    return items, best


def largest_per_row(row: Ints, column: Ints, value: npt.NDArray[np.float32], k: int | Ints) -> npt.NDArray[np.int64]:
    """Return the positions of the k largest values of each row, equal values by ascending column.

    Sorts plain integers (the row above the inverted bits of the value) to find each row's k-th value, which is several
    times faster than sorting triples; only entries that equal it are looked at again.

    Args:
        row: "entries", ascending.
        column: "entries".
        value: "entries", positive.
        k: entries kept per row, at most; the same for all, or "rows".

    >>> value = np.array([0.5, 0.5, 0.9, 0.1], dtype=np.float32)
    >>> largest_per_row(np.array([0, 0, 0, 1]), np.array([7, 3, 5, 0]), value, 2).tolist()
    [1, 2, 3]
    """
    length = np.bincount(row, minlength=0 if isinstance(k, int) else len(k))
    wanted = np.minimum(length, k)
    # The bits of positive floats are ordered as the floats are.
    key = (row.astype(np.uint64) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - value.view(np.uint32).astype(np.uint64))
    position = np.cumsum(length) - length + np.maximum(wanted, 1) - 1
    bound = np.zeros(len(length), np.uint64)
    bound[length > 0] = np.sort(key)[position[length > 0]]
    kept = key < bound[row]
    free = wanted - np.bincount(row[kept], minlength=len(length))
    tied = np.flatnonzero(key == bound[row])
    tied = tied[np.lexsort((column[tied], row[tied]))]
    count = np.bincount(row[tied], minlength=len(length))
    rank = np.arange(len(tied)) - np.repeat(np.cumsum(count) - count, count)
    kept[tied[rank < free[row[tied]]]] = True
    return np.flatnonzero(kept)
