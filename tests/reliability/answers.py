"""Answers of the simulated world, for tests."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from recsys.reliability import FittedMixture, Reliability, ResponseMixture, Responses
from recsys.worlds.responses import AnswerWorld, answer_world

USERS, ITEMS = 160, 80


def responses(world: AnswerWorld, condition: np.ndarray | None = None) -> Responses:
    """Return the answers of a world of `USERS` and `ITEMS`; None: under the number that was shown."""
    shown = world.anchor if condition is None else condition
    columns = world.user, world.item, world.value, np.arange(len(world.user))
    return Responses(*columns, shown[:, None], ("number shown",), USERS, ITEMS)


@lru_cache
def small_world(repeats: float = 0.5, seed: int = 0) -> AnswerWorld:
    """Return a small world."""
    return answer_world(repeats, users=USERS, items=ITEMS, pairs=30, seed=seed)


@lru_cache
def fitted() -> tuple[FittedMixture, Reliability]:
    """Return the mixture of the small world."""
    return ResponseMixture(rounds=6).fit(responses(small_world()))
