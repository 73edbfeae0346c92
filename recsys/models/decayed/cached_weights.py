"""Caches the time-independent part of one user's decay weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.ages import event_ages
from recsys.decay.half_lives import mass_of, mixture
from recsys.decay.temporal import TemporalDecay
from recsys.models.base import ReadOut, Recommender
from recsys.types import Doubles, Floats, Ints, Mask


@final
@dataclass(frozen=True, eq=False)
class CachedWeights:
    """The weights of one user's history under each half-life, with ages counted from the newest event.

    Between two events only two things change: the belief in each half-life, with the situation, and, on the clock of
    time, which events are younger than a half-life. `read` returns what `Decayed.read` does, to the last bit.

    Attributes:
        model: the wrapped model, which scores.
        rule: the fitted rule.
        weights: "half-lives events", the weights under each half-life, reduced where a changepoint is likely.
        mass: "half-lives", the sums of those; None for an empty history.
        younger: "half-lives of events": the first event that is no older than each half-life on the clock of events.
        present: "events", to which changepoints have left at least half of their weight.
    """

    model: Recommender
    rule: TemporalDecay
    weights: Floats
    mass: Doubles | None
    younger: Ints
    present: Mask

    @classmethod
    def of(cls, model: Recommender, rule: TemporalDecay, queries: Queries) -> Self:
        """Weigh the history of a single query; valid until the rule observes this user's next event."""
        age = event_ages(queries)
        weights = rule.half_lives.weights(queries, from_newest=True)
        # One call for both: they share the belief about changepoints.
        reduced = rule.since_changes(queries, np.concatenate([weights, np.ones((1, len(age)), np.float32)]))
        younger = np.searchsorted(-age, -np.asarray(rule.half_lives.events, np.float64))
        mass = mass_of(reduced[:-1]) if len(age) else None
        return cls(model, rule, reduced[:-1], mass, younger, reduced[-1] >= 0.5)

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return self.weights.nbytes + self.younger.nbytes + self.present.nbytes

    def read(self, queries: Queries) -> ReadOut:
        """Return what `Decayed.read` does, for the query given to `of`, at any moment and with any weights."""
        belief = self.rule.belief_at(queries)
        weights = mixture(queries, self.weights, belief, self.mass)
        weighted = queries.with_weights(weights if queries.weights is None else queries.weights * weights)
        return ReadOut(self.model, weighted, self._recent(queries, belief[0]))

    def _recent(self, queries: Queries, belief: Floats) -> Mask:
        """Return which events are recent, as `TemporalDecay.recent` does."""
        odds = belief[:-1].astype(np.float64)
        # Times and ages are sorted: what is younger than a half-life is the end of the history.
        by_time = np.searchsorted(queries.times, queries.now[0] - np.asarray(self.rule.half_lives.time, np.float64))
        younger = np.zeros(len(queries.times))
        for first, part in zip([*self.younger.tolist(), *by_time.tolist()], odds.tolist(), strict=True):
            younger[first:] += part
        return np.asarray(self.present & (younger >= 0.5 * odds.sum()))
