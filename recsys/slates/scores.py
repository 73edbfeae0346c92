"""Scores of a pool on one scale, what the weights of slates weigh, and lists of the largest values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool
from recsys.types import Doubles, Floats, Ints


def scaled(pool: Pool) -> Doubles:
    """Scale the scores of each query to [0, 1]; equal scores are all 1, and 0 where no item is present."""
    high, low = score_range(pool)
    width = np.where(high > low, high - low, 1.0)
    return np.where(pool.present, 1.0 - (high - np.where(pool.present, pool.scores, 0.0)) / width, 0.0)


def score_range(pool: Pool) -> tuple[Doubles, Doubles]:
    """Return the highest and the lowest score of each query, "queries 1"; -inf and inf without candidates."""
    present, scores = pool.present, pool.scores.astype(np.float64)
    high = np.where(present, scores, -np.inf).max(1, initial=-np.inf, keepdims=True)
    return high, np.where(present, scores, np.inf).min(1, initial=np.inf, keepdims=True)


def unit(pool: Pool) -> Doubles:
    """Return what one unit of scaled score is in units of score, "queries 1"; 1 where all scores are equal."""
    high, low = score_range(pool)
    width = np.maximum(high - low, 0.0)
    return np.where(width > 0, width, 1.0)


def free_scores(pool: Pool, weight: float = 1.0) -> Doubles:
    """Return the scaled scores times a weight, "queries pool"; -inf for candidates that must not be listed."""
    return np.where(pool.allowed, weight * scaled(pool), -np.inf)


def one_by_one(
    free: Doubles, n: int, value: Callable[[int], Doubles | Floats], seat: Callable[[int, Ints], object]
) -> Ints:
    """Return lists that have at each rank the candidate of the largest value, as `Slate.choose`.

    Args:
        free: "queries pool", -inf for candidates that must not be listed; it becomes so for those that are.
        n: length of the lists.
        value: from a rank, from 0, to the values, "queries pool"; -inf where `free` is.
        seat: takes note of a rank and the candidates that have it, "queries"; any of lists that are complete.
    """
    chosen = np.full((len(free), n), UNKNOWN, np.int64)
    queries = np.arange(len(free))
    for rank in range(min(n, free.shape[1])):
        best = value(rank).argmax(1)
        chosen[:, rank] = np.where(free[queries, best] > -np.inf, best, UNKNOWN)
        free[queries, best] = -np.inf
        seat(rank, best)
    return chosen


def by_score(chosen: Ints, size: int) -> Ints:
    """Return lists in the order of their scores.

    Args:
        chosen: "queries n", positions in the pool.
        size: number of candidates.
    """
    place = np.sort(np.where(chosen == UNKNOWN, size, chosen), axis=1)
    return np.where(place == size, UNKNOWN, place)
