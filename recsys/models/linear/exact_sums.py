"""Persona scores of a history's own items as integer sums, updated event by event without rounding errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.linear.operations import table_weights
from recsys.types import Floats, Ints, Items, Mask

MOST_ITEMS = 16_384
"""Maximal items of a history: their sums fit into 64 bits for any weights."""

_BITS = 24
_HALF = 12
_PAIRS = 131_072
"""Weights per block, about: 1 MB in double precision."""

_MOST_ROWS = 1_024


@final
@dataclass(frozen=True, eq=False)
class ExactSums:
    """Persona sums over the items of a history, for the same items."""

    items: Items  # "items", ascending and distinct
    sums: Ints  # "personas items", in units of the `ExactSummation` that computed them

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.items.nbytes + self.sums.nbytes


@final
class ExactSummation:
    """Sums routed weights in integers, so that the order of additions and subtractions does not change the result.

        g_ki = sum_j [r_jk 2^24] [B_ji 2^24 / unit]          [x]: x rounded; unit: the smallest power of 2 >= max |B|

    The product of two rounded numbers has 48 bits, so 64 bits hold the sum of 2^15 of them. r is split into two halves,
    for each of which a matrix product in double precision is exact.

    Args:
        weights: B, "items items", float32.
        routing: r, "items personas", in [0, 1].
    """

    def __init__(self, weights: Float[Tensor, "items items"], routing: Floats) -> None:
        largest = max(float(weights.max()), -float(weights.min()), 2.0**-100)
        power = float(np.ceil(np.log2(largest)))
        self._weights = weights
        self._scale = 2.0 ** (_BITS - power)
        whole = np.rint(routing.astype(np.float64) * 2**_BITS).T
        high = np.floor(whole / 2**_HALF)
        self._halves = np.concatenate([high, whole - high * 2**_HALF])
        self.unit = 2.0**-_BITS / self._scale

    def of(self, items: Items, former: ExactSums | None = None) -> ExactSums:
        """Return the sums over a history; see `IncrementalPersonas.exact_sums`."""
        if former is None:
            return ExactSums(items, self._sums(items, items))
        position = np.minimum(np.searchsorted(former.items, items), max(len(former.items) - 1, 0))
        common: Mask = former.items[position] == items if len(former.items) else np.zeros(len(items), np.bool_)
        is_removed = np.ones(len(former.items), np.bool_)
        is_removed[position[common]] = False
        added, removed = items[~common], former.items[is_removed]
        if 2 * (len(added) + len(removed)) > len(items):
            return ExactSums(items, self._sums(items, items))
        sums = np.empty((len(former.sums), len(items)), np.int64)
        old = items[common]
        sums[:, common] = former.sums[:, position[common]] + self._sums(added, old) - self._sums(removed, old)
        sums[:, ~common] = self._sums(items, added)
        return ExactSums(items, sums)

    def _sums(self, rows: Items, columns: Items) -> Ints:
        """Return the sums over `rows` for `columns`, "personas columns"."""
        personas = len(self._halves) // 2
        sums = np.zeros((personas, len(columns)), np.int64)
        if len(columns) == 0:
            return sums
        count = min(_MOST_ROWS, max(16, _PAIRS // len(columns)))
        for start in range(0, len(rows), count):
            part = rows[start : start + count]
            pairs = table_weights(self._weights, part, columns).astype(np.float64)
            pairs *= self._scale
            np.rint(pairs, out=pairs)
            # Integers below 2^53 throughout: exact in any order of summation.
            product = torch.from_numpy(self._halves[:, part]) @ torch.from_numpy(pairs)
            high, low = product.numpy().astype(np.int64).reshape(2, personas, -1)
            sums += (high << _HALF) + low
        return sums
