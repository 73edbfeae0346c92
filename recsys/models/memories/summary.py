"""How much of the history is of each taste: a semantic summary."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.memories.contract import Arrays, Judge, Memory, StateMemory, counted_weights, linear_rows
from recsys.models.memories.stored import Stored, pack_numbers, unpack_numbers
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.types import Floats, Items


@final
class SemanticSummary(StateMemory):
    """The mass of the history in each of m tastes, the groups of items that personas are made of: m + 2 bytes.

        z_c = sum_j w_j [j in c],   s = sum_c z_c M_c,   M_c: the mean row of B over everybody's events in c

    Online z <- 2^(-1/h) z + e_c, with h the half-life.

    Args:
        tastes: m.

    Raises:
        ConfigError: there is no taste.
    """

    def __init__(self, tastes: int = 32) -> None:
        whole("tastes", tastes)
        self.tastes = tastes
        self._of_item: Items = np.zeros(0, np.int32)
        self._rows: Floats = np.zeros((0, 0), np.float32)

    def learned(self, model: Recommender, train: Interactions, judge: Judge | None = None) -> Memory:
        _ = judge
        table = linear_rows(model, self).rows().numpy()
        of_item = TasteDictionary.of(train, TasteSettings(tastes=self.tastes)).taste
        counts = np.bincount(train.uses.item_num, minlength=train.n_items).astype(np.float32)
        tastes = int(of_item.max(initial=0)) + 1
        of_taste = sp.csr_matrix((counts, (of_item, np.arange(len(of_item)))), shape=(tastes, len(of_item)))
        mass = np.maximum(np.bincount(of_item, counts, tastes), 1e-9).astype(np.float32)
        return self._with(of_item.astype(np.int32), np.asarray(of_taste @ table / mass[:, None], np.float32))

    def _with(self, of_item: Items, rows: Floats) -> Self:
        other = type(self)(self.tastes)
        other._of_item, other._rows = of_item, rows
        return other

    def state(self, queries: Queries) -> Floats:
        """Return z, "queries tastes", before it is rounded."""
        weights, tastes = counted_weights(queries), len(self._rows)
        place = queries.history.rows * tastes + self._of_item[np.maximum(queries.history.items, 0)]
        return np.bincount(place, weights, len(queries) * tastes).reshape(-1, tastes).astype(np.float32)

    def carried(self, state: Floats, items: Items, factor: float) -> Floats:
        """Return z after one more event of each user, "queries", the others counting `factor` of what they did."""
        state = state * np.float32(factor)
        state[np.arange(len(items)), self._of_item[items]] += 1.0
        return state

    def encode(self, model: Recommender, queries: Queries) -> Stored:
        _ = model
        return pack_numbers(self.state(queries))

    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        _ = model
        return torch.from_numpy(unpack_numbers(stored) @ self._rows)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"of_item": self._of_item, "rows": self._rows}

    def restored(self, arrays: Arrays) -> Self:
        return self._with(arrays["of_item"].copy(), arrays["rows"].copy())
