"""The states of histories under exponential decay as a linear operator that is never made in full."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.types import Doubles, Floats, Ints

_LENGTH = 8
"""Events of a segment. Within one, states are sums of rows; between two, one row for each memory is carried over."""


@final
class DecayedStates:
    """F, whose row t is the state before event t: memory p has f_j d_p^(t - 1 - j) at item x_j of each earlier j.

    F has one dense row per event. Histories are cut into segments, so that F = A_1 + A_2 S with sparse A: what is left
    in memory p at the end of a segment, S_p, follows from the segment and what was left at the end of the one before.
    A product with F or its transpose costs about 8 vector additions per event and memory, whatever the half-lives.

    Args:
        item: "events", of all users, one user after the other, in order of time.
        position: "events", in the user's history.
        n_items: items of the catalogue.
        half_lives: h_p in events; d_p = 2^(-1 / h_p).
        feature: "events", f_j.
    """

    def __init__(
        self, item: Ints, position: Ints, n_items: int, half_lives: tuple[float, ...], feature: Floats
    ) -> None:
        self.width = len(half_lives) * n_items
        self._events = len(item)
        log_decay = -np.log(2) / np.asarray(half_lives)
        segment, offset = np.divmod(position, _LENGTH)
        last = np.append(position[1:] == 0, True)
        length = position[last][np.cumsum(last) - last] + 1
        # Segments that have a later one, by their level (segment number), so that a level is a slice.
        start = np.flatnonzero((offset == 0) & ((segment + 1) * _LENGTH < length))
        start = start[np.argsort(segment[start], kind="stable")]
        level_size = np.bincount(segment[start], minlength=1)
        first = (np.cumsum(level_size) - level_size) * len(half_lives)
        slot = np.full(len(item) + _LENGTH, -1)
        slot[start] = np.arange(len(start)) - (first // len(half_lives))[segment[start]]

        def left(events: Ints, memory: int) -> Ints:
            """Return the row of what memory keeps at the end of the segments that start at these events."""
            level = segment[events]
            return np.asarray(first[level] + memory * level_size[level] + slot[events])

        head = np.arange(len(item)) - offset  # first event of the segment
        # States from items and from what is left; the transpose; what is left at the end of a segment; what the states
        # after a segment hold, which is the transpose of that.
        forward, backward, ends, begins = _Entries(), _Entries(), _Entries(), _Entries()
        for p in range(len(half_lives)):
            source = p * n_items + item
            for gap in range(1, _LENGTH):
                newer = np.flatnonzero(offset >= gap)
                weight = feature[newer - gap] * np.exp(log_decay[p] * (gap - 1))
                forward.add(newer, source[newer - gap], weight)
                backward.add(source[newer - gap], newer, weight)
            after = np.flatnonzero(segment > 0)
            weight = np.exp(log_decay[p] * offset[after])
            forward.add(after, self.width + left(head[after] - _LENGTH, p), weight)
            before = np.flatnonzero(slot[head] >= 0)
            weight = feature[before] * np.exp(log_decay[p] * (_LENGTH - 1 - offset[before]))
            backward.add(source[before], len(item) + left(head[before], p), weight)
            ends.add(left(head[before], p), source[before], weight)
            linked = start[segment[start] > 0]
            once = np.full(len(linked), np.exp(log_decay[p] * _LENGTH))
            ends.add(left(linked, p), self.width + left(linked - _LENGTH, p), once)
            begins.add(left(linked - _LENGTH, p), len(item) + left(linked, p), once)
            weight = np.exp(log_decay[p] * offset[after])
            begins.add(left(head[after] - _LENGTH, p), after, weight)
        self._kept = kept = len(start) * len(half_lives)
        self._levels = list(zip(first.tolist(), [*first[1:].tolist(), kept], strict=True))
        self._forward = _Rows(forward.matrix(len(item), self.width + kept))
        self._backward = _Rows(backward.matrix(self.width, len(item) + kept))
        end, begin = ends.matrix(kept, self.width + kept), begins.matrix(kept, len(item) + kept)
        self._ends = [_Rows(end, *level) for level in self._levels]
        self._begins = [_Rows(begin, *level) for level in self._levels]

    def gram(self, vectors: Float[Tensor, "width n"]) -> Float[Tensor, "width n"]:
        """Return F^T F V."""
        ends = torch.zeros(self._kept, vectors.shape[1])
        table = torch.cat([vectors, ends])
        for (start, stop), rows in zip(self._levels, self._ends, strict=True):
            table[self.width + start : self.width + stop] = rows @ table
        states = torch.cat([self._forward @ table, ends])
        for (start, stop), rows in zip(reversed(self._levels), reversed(self._begins), strict=True):
            states[self._events + start : self._events + stop] = rows @ states
        return self._backward @ states


@final
class _Entries:
    """Collects the entries of a sparse matrix."""

    def __init__(self) -> None:
        self._rows: list[Ints] = []
        self._columns: list[Ints] = []
        self._weights: list[Doubles] = []

    def add(self, rows: Ints, columns: Ints, weights: Doubles) -> None:
        self._rows.append(rows)
        self._columns.append(columns)
        self._weights.append(weights)

    def matrix(self, rows: int, columns: int) -> sp.csr_matrix:
        weights = np.concatenate(self._weights).astype(np.float32)
        return sp.csr_matrix((weights, (np.concatenate(self._rows), np.concatenate(self._columns))), (rows, columns))


@final
class _Rows:
    """Rows of a sparse matrix, ready to be multiplied with a table."""

    def __init__(self, matrix: sp.csr_matrix, start: int = 0, stop: int | None = None) -> None:
        indptr = matrix.indptr[start : None if stop is None else stop + 1]
        entries = slice(indptr[0], indptr[-1])
        self._columns = torch.from_numpy(matrix.indices[entries].astype(np.int64))
        self._indptr = torch.from_numpy((indptr - indptr[0]).astype(np.int64))
        self._weights = torch.from_numpy(matrix.data[entries])

    def __matmul__(self, table: Float[Tensor, "columns n"]) -> Float[Tensor, "rows n"]:
        return torch.nn.functional.embedding_bag(
            self._columns, table, self._indptr, mode="sum", per_sample_weights=self._weights, include_last_offset=True
        )
