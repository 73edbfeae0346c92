"""How popular items are: head, middle and tail, each a third of all events."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.types import Doubles, Ints

POPULARITY: Final = ("head", "middle", "tail")
"""Names of the classes, from the most used items to the least used."""


def popularity_parts(counts: Ints) -> Doubles:
    """Return "items 3": 1 for the class of each item.

    Items are ordered by their uses, most first, and cut so that each class has a third of all uses; an item that
    straddles a cut is in the class that has its middle. Items without uses are in the tail. The counts are those of
    training: those of the test period would leak.

    Args:
        counts: "items", uses of each item.

    >>> popularity_parts(np.array([1, 6, 3, 1, 1, 0])).argmax(1).tolist()
    [2, 0, 1, 2, 2, 2]
    """
    order = np.argsort(-counts, kind="stable")
    ranked = counts[order].astype(np.float64)
    total = ranked.sum()
    middle = (np.cumsum(ranked) - ranked / 2) / total if total > 0 else np.ones(len(ranked))
    place = np.where(ranked > 0, np.minimum((middle * 3).astype(np.int64), 2), 2)
    parts = np.zeros((len(counts), len(POPULARITY)))
    parts[order, place] = 1.0
    return parts
