"""Answers of the simulated world, for tests."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from recsys.reliability import FittedMixture, Reliability, ResponseMixture, Responses
from recsys.worlds.responses import AnswerWorld, answer_world


def responses(world: AnswerWorld, condition: np.ndarray | None = None) -> Responses:
    """Return the answers of a world; None: under the number that was shown."""
    shown = world.anchor if condition is None else condition
    columns = world.user, world.item, world.value, np.arange(len(world.user))
    return Responses(*columns, shown[:, None], ("number shown",), *world.theta.shape)


@lru_cache
def small_world(repeats: float = 0.5, seed: int = 0) -> AnswerWorld:
    """Return a small world."""
    return answer_world(repeats, users=120, items=60, pairs=25, seed=seed)


@lru_cache
def world() -> AnswerWorld:
    """Return a world of half the size of that of the benchmark."""
    return answer_world(0.3, users=300, items=150, pairs=40, seed=0)


@lru_cache
def fitted() -> tuple[FittedMixture, Reliability]:
    """Return the mixture of the larger world."""
    return ResponseMixture(rounds=6).fit(responses(world()))
