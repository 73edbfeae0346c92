"""Lists whose items differ from each other: maximal marginal relevance, and determinantal point processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import positive, share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, SizedSlate
from recsys.slates.scores import free_scores, one_by_one, unit
from recsys.types import Doubles, Ints

_OWN: Final = 0.1
"""Part of an item that no label describes: two items of the same labels are alike, not the same."""


@final
@dataclass(frozen=True)
class Diverse(SizedSlate):
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

    def _choose(self, pool: Pool, n: int) -> Ints:
        vectors, free = _directions(pool), free_scores(pool, 1.0 - self.weight)
        nearest = np.zeros_like(free)

        def seat(_rank: int, best: Ints) -> None:
            np.maximum(nearest, _alike(vectors, _of(vectors, best[:, None]))[:, 0], out=nearest)

        return one_by_one(free, n, lambda _rank: free - self.weight * nearest, seat)

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        vectors, free = _directions(pool), free_scores(pool, 1.0 - self.weight)
        alike = _alike(vectors, _of(vectors, chosen))  # "queries n pool"
        value = np.empty_like(alike)
        for seat in range(chosen.shape[1]):
            value[:, seat] = free - self.weight * np.delete(alike, seat, axis=1).max(1, initial=0.0)
        return np.asarray(value * (unit(pool) / max(1.0 - self.weight, 1e-9))[:, :, None])


@final
@dataclass(frozen=True)
class Determinantal(SizedSlate):
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

    def _choose(self, pool: Pool, n: int) -> Ints:
        vectors, free = _directions(pool), free_scores(pool, self.theta)
        queries, variance = np.arange(len(free)), np.ones_like(free)
        factor = np.zeros((len(free), min(n, free.shape[1]), free.shape[1]))  # the Cholesky factor of the listed

        def seat(rank: int, best: Ints) -> None:
            alike = (1.0 - _OWN) * _alike(vectors, _of(vectors, best[:, None]))[:, 0]
            known = (factor[queries, :rank, best][:, None] @ factor[:, :rank])[:, 0]
            factor[:, rank] = (alike - known) / np.sqrt(variance[queries, best])[:, None]
            np.maximum(variance - factor[:, rank] ** 2, _OWN / 2, out=variance)

        return one_by_one(free, n, lambda _rank: free + np.log(variance), seat)

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        vectors, free = _directions(pool), free_scores(pool, self.theta)
        own = _of(vectors, chosen)
        alike, among = ((1.0 - _OWN) * _alike(others, own) for others in (vectors, own))  # "queries n pool", "n n"
        place = np.arange(chosen.shape[1])
        among[:, place, place] = 1.0
        value = np.empty_like(alike)
        for seat in place:
            others = np.delete(place, seat)
            solved = np.linalg.solve(among[:, others][:, :, others], alike[:, others])
            variance = 1.0 - (alike[:, others] * solved).sum(1)
            value[:, seat] = free + np.log(np.maximum(variance, _OWN / 2))
        return np.asarray(value * (unit(pool) / self.theta)[:, :, None])


def _directions(pool: Pool) -> Doubles:
    """Return what candidates are about as vectors of length 1, "queries pool labels"; 0 of nothing."""
    parts = pool.about.parts
    length = np.linalg.norm(parts, axis=2, keepdims=True)
    return np.asarray(parts / np.where(length > 0, length, 1.0))


def _of(vectors: Doubles, chosen: Ints) -> Doubles:
    """Return the vectors of listed candidates, "queries n labels"; 0 where there is none."""
    own = vectors[np.arange(len(chosen))[:, None], np.maximum(chosen, 0)]
    return np.asarray(own * (chosen != UNKNOWN)[:, :, None])


def _alike(vectors: Doubles, own: Doubles) -> Doubles:
    """Return how alike listed candidates and others are, "queries n pool"."""
    return np.asarray(own @ vectors.transpose(0, 2, 1))
