"""The slate without any thought for owners: the best scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, Slate
from recsys.types import Doubles, Ints


@final
@dataclass(frozen=True)
class Greedy(Slate):
    """The candidates in the order of their scores."""

    @property
    def pool(self) -> int:
        return 0

    def choose(self, pool: Pool, n: int) -> Ints:
        allowed = pool.allowed
        order = np.argsort(~allowed, axis=1, kind="stable")[:, :n]
        chosen = np.full((len(allowed), n), UNKNOWN, np.int64)
        chosen[:, : order.shape[1]] = np.where(np.take_along_axis(allowed, order, 1), order, UNKNOWN)
        return chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        worth = np.where(pool.allowed, pool.scores, -np.inf).astype(np.float64)
        return np.repeat(worth[:, None], chosen.shape[1], axis=1)
