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
from recsys.types import Doubles, Floats, Mask

_TINY = 1e-12

_HALF_WAY = 10.0
"""Events of a visit that have half of the share of `with_visit`."""


def going_on(queries: Queries, pause: float = PAUSE) -> Mask:
    """Return which events belong to the visit that is going on at the moment of the query, "events".

    Args:
        queries: the histories.
        pause: that ends a visit, in the unit of the log's times.
    """
    times, history = queries.times, queries.history
    if len(times) == 0:
        return np.zeros(0, np.bool_)
    # The gap to the next event; of the newest event, to now. A visit is what no gap parts from now.
    gap = np.append(np.diff(times), 0)
    nonempty = history.lengths > 0
    gap[history.indptr[1:][nonempty] - 1] = (queries.now - times[np.maximum(history.indptr[1:] - 1, 0)])[nonempty]
    pauses = np.append(0, np.cumsum(gap >= pause))
    return np.asarray(pauses[np.repeat(history.indptr[1:], history.lengths)] == pauses[:-1])


def with_visit(queries: Queries, weights: Floats, share: float) -> Floats:
    """Return weights in which the visit that is going on has a share of its own, as long as it lasts.

        w'_j = (1 - s) w_j / sum_j w_j + s [j is of the visit] / n,    s = share n / (n + 10),  scaled to max_j w'_j = 1

    n is the number of events of the visit. So one event moves a list a little, and ten of a new taste move it visibly;
    at the next visit nothing of it is left.

    Args:
        queries: the histories, with times in seconds.
        weights: "events".
        share: of the sum of the weights that a long visit has, in [0, 1].
    """
    visit = going_on(queries)
    if share == 0 or not visit.any():
        return weights
    history, rows = queries.history, queries.history.rows
    number = history.sum(visit.astype(np.float64))
    total = np.maximum(history.sum(weights.astype(np.float64)), _TINY)
    own = share * number / (number + _HALF_WAY)
    mixed = weights * ((1.0 - own) / total)[rows] + visit * (own / np.maximum(number, 1.0))[rows]
    largest = np.full(len(queries), _TINY)
    np.maximum.at(largest, rows, mixed)
    return np.asarray(np.where(number[rows] > 0, mixed / largest[rows], weights), np.float32)


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
