"""Caches the time-independent part of one user's decay weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.half_lives import mass_of
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import TemporalDecay
from recsys.models.base import ReadOut, Recommender
from recsys.types import Doubles, Floats, Mask


@final
@dataclass(frozen=True, eq=False)
class CachedWeights:
    """The part of one user's decay weights that stays the same until the user's next event.

    Between two events only the time since the newest one changes. `read` returns what `Decayed.read` does, to the last
    bit.

    Attributes:
        model: the wrapped model, which scores.
        rule: the fitted rule.
        since: "decays+1 events", `HalfLives.since_newest`.
        reduced: the same, reduced where a changepoint is likely.
        mass: "1 decays+1", the sums of those; None for an empty history.
        present: "events", to which changepoints have left at least half of their weight.
    """

    model: Recommender
    rule: TemporalDecay | PopulationDecay
    since: Floats
    reduced: Floats
    mass: Doubles | None
    present: Mask

    @classmethod
    def of(cls, model: Recommender, rule: TemporalDecay | PopulationDecay, queries: Queries) -> Self:
        """Weigh the history of a single query; valid until the rule learns from this user's next events."""
        since = rule.half_lives.since_newest(queries)
        reduced = rule.since_changes(queries, since)
        mass = mass_of(queries, reduced) if len(queries.times) else None
        return cls(model, rule, since, reduced, mass, reduced[-1] >= 0.5)

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return self.since.nbytes + self.reduced.nbytes + self.present.nbytes

    def read(self, queries: Queries) -> ReadOut:
        """Return what `Decayed.read` does, for the query given to `of`, at any moment and with any weights."""
        half_lives, belief = self.rule.half_lives, self.rule.belief_at(queries)
        weights = self.rule.in_visit(queries, half_lives.mixture(queries, self.reduced, belief, self.mass))
        weighted = queries.with_weights(weights if queries.weights is None else queries.weights * weights)
        recent = self.present & half_lives.recent(queries, self.since, belief)
        return ReadOut(self.model, weighted, np.asarray(recent))
