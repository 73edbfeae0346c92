"""What each persona has to say of the items of a history, carried from event to event without a rounding error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.linear.operations import table_weights
from recsys.types import Items

MOST_ITEMS = 16_384
"""Items of a history, at most: their sums fit into 64 bits whatever the weights are."""

_BITS = 24
_HALF = 12
_PAIRS = 131_072
"""Weights that are looked up at a time, about: 1 MB in double precision."""

_MOST_ROWS = 1_024


@final
@dataclass(frozen=True, eq=False)
class ExactSums:
    """Sums over the items of a history, for the items of that history.

    Attributes:
        items: "items", rising, each once.
        sums: "personas items", int64, in units of the `ExactSummation` that made them.
    """

    items: Items
    sums: npt.NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.items.nbytes + self.sums.nbytes


class IncrementalPersonas(ABC):
    """The capability of models whose personas' opinion of a history's own items can be carried from event to event."""

    @abstractmethod
    def exact_sums(self, items: Items, former: ExactSums | None = None) -> ExactSums:
        """Return what the personas are made of, for a history without weights.

        Args:
            items: known items of the history, rising, each once; at most `MOST_ITEMS`.
            former: of a history that has most of its items in common with this one. It saves work, and changes no bit.
        """

    @abstractmethod
    def opinions_of(self, sums: ExactSums) -> tuple[Float[Tensor, "personas items"], Float[Tensor, "personas items"]]:
        """Return `attention` and `persona_scores` of the history's own items, up to rounding."""


@final
class ExactSummation:
    """Adds routed weights up in whole numbers, so that the order of adding and taking away changes nothing.

        g_ki = sum_j [r_jk 2^24] [B_ji 2^24 / unit]          [x]: x rounded; unit: the smallest power of 2 >= max |B|

    The product of two rounded numbers has 48 bits, and 64 hold 2^15 of them. It is taken in two halves of r, each of
    which a product of matrices in double precision adds up exactly.

    Args:
        weights: B, "items items", float32.
        routing: r, "items personas", in [0, 1].
    """

    def __init__(self, weights: Float[Tensor, "items items"], routing: npt.NDArray[np.float32]) -> None:
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
            return ExactSums(items, self._added(items, items))
        place = np.minimum(np.searchsorted(former.items, items), max(len(former.items) - 1, 0))
        stayed = former.items[place] == items if len(former.items) else np.zeros(len(items), np.bool_)
        left = np.ones(len(former.items), np.bool_)
        left[place[stayed]] = False
        came, went = items[~stayed], former.items[left]
        if 2 * (len(came) + len(went)) > len(items):
            return ExactSums(items, self._added(items, items))
        sums = np.empty((len(former.sums), len(items)), np.int64)
        old = items[stayed]
        sums[:, stayed] = former.sums[:, place[stayed]] + self._added(came, old) - self._added(went, old)
        sums[:, ~stayed] = self._added(items, came)
        return ExactSums(items, sums)

    def _added(self, rows: Items, columns: Items) -> npt.NDArray[np.int64]:
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
            # Whole numbers below 2^53 throughout: exact, in whatever order they are added up.
            product = torch.from_numpy(self._halves[:, part]) @ torch.from_numpy(pairs)
            high, low = product.numpy().astype(np.int64).reshape(2, personas, -1)
            sums += (high << _HALF) + low
        return sums
