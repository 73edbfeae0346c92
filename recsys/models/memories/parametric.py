"""A low-rank state: what the scores of the whole history look like along the directions in which users differ."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.linear.operations import sum_of_rows
from recsys.models.memories.contract import Arrays, Judge, Memory, StateMemory, counted_weights, linear_rows
from recsys.models.memories.stored import Stored, pack_numbers, unpack_numbers
from recsys.types import Floats, Items

_OVERSAMPLING, _ITERATIONS = 10, 4


@final
class Parametric(StateMemory):
    """The first m principal directions of the scores: m + 2 bytes.

        z = s V,   score z V',   V: the first m eigenvectors of (X B)' X B,   s = sum_j w_j B_j

    X is "users items" of the log. Online z <- 2^(-1/h) z + B_j V. The directions are found by subspace iteration
    (Halko, Martinsson and Tropp, *Finding structure with randomness*, 2011, algorithm 4.4) from a fixed start.

    Args:
        numbers: m; at most the number of items.

    Raises:
        ConfigError: there is no number.
    """

    def __init__(self, numbers: int = 32) -> None:
        whole("numbers", numbers)
        self.numbers = numbers
        self._directions: Floats = np.zeros((0, 0), np.float32)
        self._events: Floats = np.zeros((0, 0), np.float32)

    def learned(self, model: Recommender, train: Interactions, judge: Judge | None = None) -> Memory:
        _ = judge
        table, uses = linear_rows(model, self).rows(), train.uses.matrix().astype(np.float32)
        width = min(self.numbers, train.n_items)
        start = np.random.default_rng(0).standard_normal((train.n_items, min(width + _OVERSAMPLING, train.n_items)))
        basis = np.linalg.qr(start)[0].astype(np.float32)
        for _ in range(_ITERATIONS):
            seen = uses.T @ (uses @ (table @ torch.from_numpy(basis)).numpy())
            basis = np.linalg.qr((table.T @ torch.from_numpy(np.ascontiguousarray(seen))).numpy())[0]
        own = uses @ (table @ torch.from_numpy(basis)).numpy()
        _, turn = np.linalg.eigh(own.T.astype(np.float64) @ own)
        directions = (basis @ turn[:, ::-1][:, :width]).astype(np.float32)
        return self._with(directions, (table @ torch.from_numpy(directions)).numpy())

    def _with(self, directions: Floats, events: Floats) -> Self:
        other = type(self)(self.numbers)
        other._directions, other._events = directions, events
        return other

    @property
    def width(self) -> int:
        """Numbers of a user: m, or the number of items where these are fewer."""
        return int(self._directions.shape[1])

    def state(self, queries: Queries) -> Floats:
        """Return z, "queries m", before it is rounded."""
        history = queries.history
        table = torch.from_numpy(self._events)
        return sum_of_rows(table, history.items, history.indptr, counted_weights(queries)).numpy()

    def carried(self, state: Floats, items: Items, factor: float) -> Floats:
        """Return z after one more event of each user, "queries", the others counting `factor` of what they did."""
        return np.asarray(state * np.float32(factor) + self._events[items])

    def encode(self, model: Recommender, queries: Queries) -> Stored:
        _ = model
        return pack_numbers(self.state(queries))

    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        _ = model
        return torch.from_numpy(unpack_numbers(stored) @ self._directions.T)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"directions": self._directions, "events": self._events}

    def restored(self, arrays: Arrays) -> Self:
        return self._with(arrays["directions"].copy(), arrays["events"].copy())
