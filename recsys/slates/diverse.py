"""Lists whose items differ from each other: maximal marginal relevance, and determinantal point processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import positive, share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, Slate
from recsys.slates.greedy import allowed_candidates
from recsys.slates.scores import few_at_a_time, scaled, unit
from recsys.types import Doubles, Ints

_OWN: Final = 0.1
"""Part of an item that no label describes: two items of the same labels are alike, not the same."""


@final
@dataclass(frozen=True)
class Diverse(Slate):
    """Lists of good items that do not resemble each other: maximal marginal relevance.

        value_i = (1 - weight) score_i - weight max over the listed j of cos(a_i, a_j)

    One candidate after the other is chosen by the largest value; a_i is what item i is about, scores are scaled to
    [0, 1] over the pool. Carbonell and Goldstein, SIGIR 1998. The user's history is not asked: such lists may turn
    everybody towards the same rare labels (docs/distortion.md).

    Args:
        weight: of the resemblance, from 0 to 1.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    weight: float = 0.3
    size: int = 100

    def __post_init__(self) -> None:
        share("weight", self.weight)
        whole("size", self.size)

    @property
    def pool(self) -> int:
        return self.size

    def choose(self, pool: Pool, n: int) -> Ints:
        return few_at_a_time(pool, n, self._choose)

    def _choose(self, pool: Pool, n: int) -> Ints:
        vectors = _directions(pool)
        free = self._free(pool)
        queries = np.arange(len(free))
        nearest = np.zeros_like(free)
        chosen = np.full((len(free), n), UNKNOWN, np.int64)
        for rank in range(min(n, free.shape[1])):
            best = (free - self.weight * nearest).argmax(1)
            found = free[queries, best] > -np.inf
            chosen[found, rank] = best[found]
            alike = (vectors @ vectors[queries, best][:, :, None])[:, :, 0]
            nearest = np.maximum(nearest, alike * found[:, None])
            free[queries[found], best[found]] = -np.inf
        return chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        vectors, listed = _directions(pool), chosen != UNKNOWN
        own = vectors[np.arange(len(chosen))[:, None], np.maximum(chosen, 0)] * listed[:, :, None]
        alike = own @ vectors.transpose(0, 2, 1)  # "queries n pool"
        value = np.empty_like(alike)
        for seat in range(chosen.shape[1]):
            others = np.delete(alike, seat, axis=1)
            value[:, seat] = self._free(pool) - self.weight * others.max(1, initial=0.0)
        one = unit(pool, pool.items != UNKNOWN) / max(1.0 - self.weight, 1e-9)
        return np.asarray(value * one[:, :, None])

    def _free(self, pool: Pool) -> Doubles:
        scores = (1.0 - self.weight) * scaled(pool.scores, pool.items != UNKNOWN)
        return np.where(allowed_candidates(pool), scores, -np.inf)


@final
@dataclass(frozen=True)
class Determinantal(Slate):
    """Lists of good items that span as much as possible: the greedy MAP of a determinantal point process.

        P(list) proportional to det(L),   L_ij = exp(theta (score_i + score_j) / 2) S_ij,   S = (1 - e) cos + e I

    S compares what items are about, e = .1, and scores are scaled to [0, 1] over the pool. Each step takes the
    candidate of the largest theta score_i + log(variance of i given the listed), updated with one row of a Cholesky
    factor: Chen, Zhang and Zhou, *Fast greedy MAP inference for determinantal point process*, NeurIPS 2018, algorithm
    1. The user's history is not asked, as with `Diverse`.

    Args:
        theta: of the scores, positive; the larger, the more the list is `Greedy`'s.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    theta: float = 4.0
    size: int = 100

    def __post_init__(self) -> None:
        positive("theta", self.theta)
        whole("size", self.size)

    @property
    def pool(self) -> int:
        return self.size

    def choose(self, pool: Pool, n: int) -> Ints:
        return few_at_a_time(pool, n, self._choose)

    def _choose(self, pool: Pool, n: int) -> Ints:
        vectors = _directions(pool)
        free = self._free(pool)
        queries, steps = np.arange(len(free)), min(n, free.shape[1])
        variance = np.ones_like(free)
        rows = np.zeros((len(free), steps, free.shape[1]))  # of the Cholesky factor of the listed
        chosen = np.full((len(free), n), UNKNOWN, np.int64)
        for rank in range(steps):
            best = (free + np.log(variance)).argmax(1)
            found = free[queries, best] > -np.inf
            chosen[found, rank] = best[found]
            alike = (1.0 - _OWN) * (vectors @ vectors[queries, best][:, :, None])[:, :, 0]
            known = (rows[queries, :rank, best][:, None] @ rows[:, :rank])[:, 0]
            added = (alike - known) / np.sqrt(variance[queries, best])[:, None]
            rows[:, rank] = added * found[:, None]
            variance = np.maximum(variance - rows[:, rank] ** 2, _OWN / 2)
            free[queries[found], best[found]] = -np.inf
        return chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        vectors, listed, free = _directions(pool), chosen != UNKNOWN, self._free(pool)
        own = vectors[np.arange(len(chosen))[:, None], np.maximum(chosen, 0)] * listed[:, :, None]
        alike = (1.0 - _OWN) * own @ vectors.transpose(0, 2, 1)  # "queries n pool"
        among = (1.0 - _OWN) * own @ own.transpose(0, 2, 1)
        place = np.arange(chosen.shape[1])
        among[:, place, place] = 1.0
        value = np.empty_like(alike)
        for seat in place:
            others = np.delete(place, seat)
            solved = np.linalg.solve(among[:, others][:, :, others], alike[:, others])
            variance = 1.0 - (alike[:, others] * solved).sum(1)
            value[:, seat] = free + np.log(np.maximum(variance, _OWN / 2))
        return np.asarray(value * (unit(pool, pool.items != UNKNOWN) / self.theta)[:, :, None])

    def _free(self, pool: Pool) -> Doubles:
        scores = self.theta * scaled(pool.scores, pool.items != UNKNOWN)
        return np.where(allowed_candidates(pool), scores, -np.inf)


def _directions(pool: Pool) -> Doubles:
    """Return what candidates are about as vectors of length 1, "queries pool labels"; 0 of nothing."""
    parts = pool.about.parts
    length = np.linalg.norm(parts, axis=2, keepdims=True)
    return np.asarray(parts / np.where(length > 0, length, 1.0))
