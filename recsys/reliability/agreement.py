"""Logs without ratings: an event counts by how well the rest of the history agrees with it."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.types import Floats, Ints

FLOOR: Final = 0.5
"""Weight of the event that agrees least. Chosen on half of the users of one log, where .3 and .7 do about as well."""


def agreement_weights(scores: Floats, rows: Ints) -> Floats:
    """Return FLOOR + (1 - FLOOR) rank_j, "events".

    rank_j is the share of the history's events that score lower; equal ones, and itself, are counted half.

    False positives of implicit logs have large losses (Wang et al., *Denoising Implicit Feedback for Recommendation*,
    WSDM 2021), but so have events that are merely hard, so nothing is dropped. The rank within the history is used, for
    scores of different users cannot be compared.

    Args:
        scores: "events", of each event's item, from the other events of its history.
        rows: "events", the history of each, ascending.
    """
    order = np.lexsort((scores, rows))
    count = np.bincount(rows)
    start = np.cumsum(count) - count
    begins = np.r_[True, (np.diff(rows[order]) != 0) | (np.diff(scores[order]) != 0)][: len(rows)]
    first = np.flatnonzero(begins)
    middle = (first + np.r_[first[1:], len(rows)][: len(first)] - 1) / 2  # equal scores share their places
    rank = np.empty(len(rows))
    rank[order] = (middle[np.cumsum(begins) - 1] - start[rows[order]] + 0.5) / count[rows[order]]
    return np.asarray(FLOOR + (1 - FLOOR) * rank, np.float32)
