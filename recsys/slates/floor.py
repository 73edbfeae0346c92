"""The slate that leaves no large persona out: the best scores, with a place for each owner that is due one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, Slate
from recsys.slates.greedy import allowed_candidates
from recsys.types import Doubles, Ints, Mask


@final
@dataclass(frozen=True)
class Floor(Slate):
    """The best-scored candidates, in which each owner with a large enough share has a place: its best candidate.

    Places are taken from the lowest scores. Where there are fewer places than owners that are due one, those of the
    larger shares have them. Muted owners are due nothing; boosts have no meaning here.

    Args:
        least: the share from which an owner is due a place.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    least: float = 0.08
    size: int = 200

    def __post_init__(self) -> None:
        share("least", self.least)
        whole("size", self.size)

    @property
    def pool(self) -> int:
        return self.size

    def choose(self, pool: Pool, n: int) -> Ints:
        allowed = allowed_candidates(pool)
        reserved = self._reserved(pool, allowed, n)
        order = np.argsort(np.where(allowed, np.where(reserved, 0, 1), 2), axis=1, kind="stable")[:, :n]
        order = np.where(np.take_along_axis(allowed, order, 1), order, allowed.shape[1])
        order = np.sort(order, axis=1)
        chosen = np.full((len(allowed), n), UNKNOWN, np.int64)
        chosen[:, : order.shape[1]] = np.where(order < allowed.shape[1], order, UNKNOWN)
        return chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        allowed = allowed_candidates(pool)
        worth = np.where(allowed, pool.scores, -np.inf).astype(np.float64)[:, None].repeat(chosen.shape[1], axis=1)
        reserved = self._reserved(pool, allowed, chosen.shape[1])
        owner = pool.owned.owner
        place = np.maximum(chosen, 0)
        holder = np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(owner, place, 1))
        alone = (holder[:, :, None] == holder[:, None, :]).sum(2) == 1
        kept = np.take_along_axis(reserved, place, 1) & alone & (chosen != UNKNOWN)
        return np.where(kept[:, :, None] & (owner[:, None] != holder[:, :, None]), -np.inf, worth)

    def _reserved(self, pool: Pool, allowed: Mask, n: int) -> Mask:
        """Return "queries pool": the best candidate of each owner that is due a place."""
        seating = pool.owned
        shares = np.where(seating.shares >= self.least, seating.shares, 0.0)
        rank = np.argsort(np.argsort(-shares, axis=1, kind="stable"), axis=1)
        due = (shares > 0) & (rank < n)
        own = (seating.owner[:, :, None] == np.arange(shares.shape[1])) & (allowed[:, :, None] & due[:, None, :])
        first = own.argmax(1)  # "queries owners"
        reserved = np.zeros(allowed.shape, np.bool_)
        rows, owners = np.nonzero(own.any(1))
        reserved[rows, first[rows, owners]] = True
        return reserved
