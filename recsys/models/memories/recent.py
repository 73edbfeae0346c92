"""The newest events."""

from __future__ import annotations

from typing import final

import numpy as np

from recsys.checks import whole
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.memories.contract import EventMemory, counted_weights
from recsys.types import Floats, Ints


@final
class EpisodicRecent(EventMemory):
    """The last k events that count: 2 k bytes, 3 k where they have weights (4 and 5 above 65,536 items).

    Args:
        events: k.

    Raises:
        ConfigError: it holds no event.
    """

    def __init__(self, events: int = 8) -> None:
        whole("events", events)
        self.events = events

    def choose(self, model: Recommender, queries: Queries) -> tuple[Ints, Floats | None]:
        _ = model
        weights = counted_weights(queries)
        counted = np.flatnonzero(weights > 0)
        rows = queries.history.rows[counted]
        later = np.cumsum(np.bincount(rows, minlength=len(queries)))[rows] - np.arange(len(rows))  # 1: the newest
        kept = counted[later <= self.events]
        return kept, None if queries.weights is None else weights[kept]
