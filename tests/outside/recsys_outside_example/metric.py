"""A metric that asks for the first place only."""

from __future__ import annotations

import numpy as np

from recsys.evaluation.metrics import PerQuery, RankedHits


def first_hit(ranked: RankedHits, k: int) -> PerQuery:
    """Return 1 if the first of k items is relevant, else 0."""
    return ranked.per_relevant(ranked.at(k)[:, 0], np.ones(len(ranked.hits)))
