"""The slate without any thought for owners: the best scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, Slate
from recsys.types import Doubles, Ints, Mask


@final
@dataclass(frozen=True)
class Greedy(Slate):
    """The candidates in the order of their scores."""

    @property
    def pool(self) -> int:
        return 0

    def choose(self, pool: Pool, n: int) -> Ints:
        allowed = allowed_candidates(pool)
        order = np.argsort(~allowed, axis=1, kind="stable")[:, :n]
        chosen = np.full((len(allowed), n), UNKNOWN, np.int64)
        chosen[:, : order.shape[1]] = np.where(np.take_along_axis(allowed, order, 1), order, UNKNOWN)
        return chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        worth = np.where(allowed_candidates(pool), pool.scores, -np.inf).astype(np.float64)
        return np.repeat(worth[:, None], chosen.shape[1], axis=1)


def allowed_candidates(pool: Pool) -> Mask:
    """Return "queries pool": whether there is an item whose owner is not muted."""
    allowed = pool.items != UNKNOWN
    seating = pool.seating
    if seating is not None and seating.muted is not None and seating.muted.shape[1]:
        of_muted = np.take_along_axis(seating.muted, np.maximum(seating.owner, 0), 1) & (seating.owner != UNKNOWN)
        allowed &= ~of_muted
    return np.asarray(allowed)
