"""The memory of the visit that is going on: more like what somebody just did, gone when the visit ends."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from recsys.checks import positive
from recsys.data.queries import Queries
from recsys.data.sessions import PAUSE
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock, ages
from recsys.decay.base import FixedRule, HalfLifeBelief, certain_half_life
from recsys.decay.visits import going_on
from recsys.types import Doubles, Floats, Mask


@final
class ShortTerm(FixedRule):
    """w = 2^(-later events / half_life) for the events of the visit that is going on, 0 for all others.

    A visit goes on until nothing happens for a pause (`recsys.data.sessions`). It is a list of its own beside the long
    term's: `model.scoring_model.recommend(ShortTerm().visit(queries), n)`; there is nothing to list where no event is
    left. Nothing is learned, and nothing is left of it at the next visit.

    Args:
        half_life: in the user's own events since.
        pause: in the unit of the log's times.

    Raises:
        ConfigError: a value is not positive.
    """

    def __init__(self, half_life: float = 3.0, pause: float = PAUSE) -> None:
        positive("half_life", half_life)
        positive("pause", pause)
        self.half_life = half_life
        self.pause = pause
        self.clock: AgeClock = "events"

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        decayed = np.exp2(-ages(queries, self.clock, event_age) / self.half_life)
        return np.where(self.going_on(queries), decayed, 0.0).astype(np.float32)

    def visit(self, queries: Queries) -> Queries:
        """Return the queries of unknown users whose histories are the visits that are going on, weighed.

        What may not be listed stays what it was: the items of the whole histories.
        """
        visit = queries.keep(self.going_on(queries))
        weights = self.weights(visit)
        weighed = visit.with_weights(weights if visit.weights is None else weights * visit.weights)
        return replace(weighed, users=np.full(len(queries), UNKNOWN, np.int32))

    def going_on(self, queries: Queries) -> Mask:
        """Return which events belong to the visit that is going on at the moment of the query, "events"."""
        return going_on(queries, self.pause)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        return self.weights(queries, event_age) >= 0.5

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        return [certain_half_life("shared", self.clock, self.half_life, 0.0)] * len(queries)
