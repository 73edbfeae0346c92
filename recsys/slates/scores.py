"""Scores of a pool on one scale: what the weights of slates weigh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool
from recsys.types import Doubles, Floats, Ints, Mask

_AT_ONCE: Final = 64
"""Users for whom a slate chooses at a time."""


def scaled(scores: Floats | Doubles, present: Mask) -> Doubles:
    """Scale the scores of each row to [0, 1]; equal scores are all 1, and 0 where no item is present."""
    values = np.where(present, scores, np.nan).astype(np.float64)
    high, low = score_range(scores, present)
    width = np.where(high > low, high - low, 1.0)
    return np.where(present, 1.0 - (high - values) / width, 0.0)


def score_range(scores: Floats | Doubles, present: Mask) -> tuple[Doubles, Doubles]:
    """Return the highest and the lowest score of each row, "queries 1"; -inf and inf without candidates."""
    values = np.where(present, scores, np.nan).astype(np.float64)
    high = np.where(present, values, -np.inf).max(1, initial=-np.inf, keepdims=True)
    return high, np.where(present, values, np.inf).min(1, initial=np.inf, keepdims=True)


def unit(pool: Pool, present: Mask) -> Doubles:
    """Return what one unit of scaled score is in units of score, "queries 1"; 1 where all scores are equal."""
    high, low = score_range(pool.scores, present)
    width = np.maximum(high - low, 0.0)
    return np.where(width > 0, width, 1.0)


def few_at_a_time(pool: Pool, n: int, choose: Callable[[Pool, int], Ints]) -> Ints:
    """Let a slate choose for few users at a time, so that what it computes of their candidates stays in the cache."""
    chosen = np.full((len(pool.items), n), UNKNOWN, np.int64)
    for start in range(0, len(chosen), _AT_ONCE):
        few = slice(start, start + _AT_ONCE)
        chosen[few] = choose(pool.take(few), n)
    return chosen
