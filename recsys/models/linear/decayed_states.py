"""The states of histories under exponential decay as a linear operator that is never made in full."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import final

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.types import Doubles, Floats, Ints

_LENGTH = 8
"""Events of a segment, and segments of a longer one. Within one, states are sums of rows; to the next, one row for each
memory is carried over."""


@final
class DecayedStates:
    """F, whose row t is the state before event t: memory p has f_j d_p^(t - 1 - j) at item x_j of each earlier j.

    F has one dense row per event. Histories are cut into segments, so that F = A_1 + A_2 S with sparse A: what is left
    in memory p at the end of each segment, S_p, is again a decayed sum, over the segments, and is made in the same way
    of longer ones. A product with F or its transpose costs about 8 vector additions per event and memory, whatever the
    half-lives, in few large steps: on ml-latest-small, whose longest history has 337 segments, 6 instead of 337.

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
        self.width = width = len(half_lives) * n_items
        self._events = len(item)
        log_decay = [-np.log(2) / half_life for half_life in half_lives]
        sums = _Sums(width, len(half_lives))
        sources = [p * n_items + item for p in range(len(half_lives))]
        offset, before, left = sums.carried(position, sources, log_decay, feature)
        forward, after = _Entries(), np.flatnonzero(before != _NONE)
        for p, (source, decay) in enumerate(zip(sources, log_decay, strict=True)):
            for gap in range(1, _LENGTH):
                newer = np.flatnonzero(offset >= gap)
                forward.add(newer, source[newer - gap], feature[newer - gap] * np.exp(decay * (gap - 1)))
            if len(after):
                forward.add(after, left[p][before[after]], np.exp(decay * offset[after]))
        kept = sums.rows
        states, ends = forward.matrix(len(item), width + kept), sums.entries.matrix(kept, width + kept)
        # A product with the transpose reads the same entries the other way round.
        every = sp.vstack([states, ends]).T.tocsr()
        first = _Step(states, slice(0, len(item)))
        self._read = [*(_Step(ends[rows], _below(width, rows)) for rows in sums.steps), first]
        self._sum = [_Step(every[_below(width, rows)], _below(len(item), rows)) for rows in reversed(sums.steps)]
        self._sum.append(_Step(every[:width], slice(0, width)))
        self._kept = kept
        self._tables = torch.zeros(0, 0), torch.zeros(0, 0)

    def gram(self, vectors: Float[Tensor, "width n"]) -> Float[Tensor, "width n"]:
        """Return F^T F V."""
        columns = vectors.shape[1]
        if self._tables[0].shape[1] != columns:
            rows = self.width + self._kept, self._events + self._kept
            self._tables = torch.zeros(rows[0], columns), torch.zeros(rows[1], columns)
        table, states = self._tables  # kept, because to get fresh memory takes longer than to fill it
        table[: self.width] = vectors
        for step in self._read[:-1]:
            step(table, table)
        self._read[-1](table, states)
        for step in self._sum[:-1]:
            step(states, states)
        result = torch.empty_like(vectors)
        self._sum[-1](states, result)
        return result


def _below(first: int, rows: slice) -> slice:
    return slice(first + rows.start, first + rows.stop)


_NONE = -1


@final
class _Sums:
    """Decayed sums along sequences as rows below a table, step by step: each step reads only rows above its own.

    Attributes:
        rows: their number.
        steps: which of them each step makes.
        entries: what each row is the sum of, "rows, table and rows".
    """

    def __init__(self, width: int, memories: int) -> None:
        self.rows, self.steps, self.entries = 0, list[slice](), _Entries()
        self._width, self._memories = width, memories

    def carried(
        self, position: Ints, sources: Sequence[Ints], log_decay: Sequence[float], feature: Floats | None = None
    ) -> tuple[Ints, Ints, list[Ints]]:
        """Cut sequences into segments and make what is left of each at its end, and of all before it.

        Args:
            position: "places", in their sequence, one sequence after the other.
            sources: "memories places", the row of each.
            log_decay: "memories", from one place to the next.
            feature: "places", what a row is multiplied by; None for 1.

        Returns:
            The position of each place in its segment; which segment ends before it, `_NONE` for none; and "memories
            segments", the rows.
        """
        offset = position % _LENGTH
        head = np.arange(len(position)) - offset
        start = np.flatnonzero(offset == 0)
        end = np.minimum(start + _LENGTH, len(position) - 1)
        start = start[position[end] == position[start] + _LENGTH]  # of those that another one follows
        segment = np.full(len(position) + _LENGTH, _NONE)
        segment[start] = np.arange(len(start))
        before = np.where(position >= _LENGTH, segment[head - _LENGTH], _NONE)
        if not len(start):
            return offset, before, []
        own = self._new(len(start))
        for row, source, decay in zip(own, sources, log_decay, strict=True):
            for place in range(_LENGTH):
                weight = np.full(len(start), np.exp(decay * (_LENGTH - 1 - place)))
                weight *= 1.0 if feature is None else feature[start + place]
                self.entries.add(self._of(row), source[start + place], weight)
        slower = [_LENGTH * decay for decay in log_decay]
        number = position[start] // _LENGTH
        within, earlier, carried = self.carried(number, own, slower)
        left, later = self._new(len(start)), np.flatnonzero(earlier != _NONE)
        for p, (row, source, decay) in enumerate(zip(left, own, slower, strict=True)):
            for gap in range(_LENGTH):
                newer = np.flatnonzero(within >= gap)
                self.entries.add(self._of(row[newer]), source[newer - gap], np.full(len(newer), np.exp(decay * gap)))
            if len(later):
                weight = np.exp(decay * (within[later] + 1))
                self.entries.add(self._of(row[later]), carried[p][earlier[later]], weight)
        return offset, before, left

    def _new(self, count: int) -> list[Ints]:
        """Begin a step of so many rows for each memory; return them as rows of the table."""
        first = self.rows + self._width + count * np.arange(self._memories)
        self.steps.append(slice(self.rows, self.rows + count * self._memories))
        self.rows += count * self._memories
        return [each + np.arange(count) for each in first]

    def _of(self, rows: Ints) -> Ints:
        return rows - self._width


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
        weights = np.concatenate([np.zeros(0), *self._weights]).astype(np.float32)
        row, column = (np.concatenate([np.zeros(0, np.int64), *each]) for each in (self._rows, self._columns))
        return sp.csr_matrix((weights, (row, column)), (rows, columns))


@final
class _Step:
    """Makes some rows of a table as sums of rows of another, or of other rows of the same."""

    def __init__(self, matrix: sp.csr_matrix, rows: slice) -> None:
        indptr, indices = (torch.from_numpy(array.astype(np.int32)) for array in (matrix.indptr, matrix.indices))
        with warnings.catch_warnings():  # that such matrices are "in beta"
            warnings.simplefilter("ignore", UserWarning)
            data = torch.from_numpy(matrix.data)
            self._matrix = torch.sparse_csr_tensor(indptr, indices, data, matrix.shape, check_invariants=False)
        self._rows = rows

    def __call__(self, table: Float[Tensor, "columns n"], made: Float[Tensor, "rows n"]) -> None:
        rows = made[self._rows]
        torch.addmm(rows, self._matrix, table, beta=0, out=rows)
