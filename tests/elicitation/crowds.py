"""Crowds whose truth is known, for the tests of interviews."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.elicitation import Crowd


def two_camps(people: int = 120, items: int = 24, seed: int = 0) -> Interactions:
    """Even people like the first half of the items and odd ones the second; each knows about half of them."""
    draw = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for item in range(items):
            if draw.random() < 0.6 - 0.02 * (item % (items // 2)):
                likes = (item < items // 2) == (person % 2 == 0)
                rows.append((person, item, 5 if likes else 1 if draw.random() < 0.8 else 3))
    users, chosen, values = zip(*rows, strict=True)
    return Interactions.from_columns(users, chosen, values)


def crowd() -> Crowd:
    """Return what the two camps would have answered."""
    return Crowd.of(two_camps())
