"""Readings of a history that does not change while time passes: what stands still is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.decay.ages import event_ages
from recsys.decay.temporal import TemporalDecay, mass_of, mixture
from recsys.explanations.explain import Reading
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed


@final
@dataclass(frozen=True, eq=False)
class CachedWeights:
    """One user's history under each half-life, counted from its newest event.

    Between two events only the belief in each half-life changes, with the situation, and on the clock of time which
    events are younger than it. `at` returns what `Reading.of` does, to the last bit.

    Attributes:
        model: what reads it.
        faded: "half-lives events", the weights under each half-life, less what is likely of a former taste.
        mass: "half-lives", the sums of those; None for an empty history.
        younger: "half-lives of events": the first event that is no older than each half-life on the clock of events.
        present: "events", to which changes of taste have left at least half of their weight.
    """

    model: Decayed
    faded: npt.NDArray[np.float32]
    mass: npt.NDArray[np.float64] | None
    younger: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, model: Recommender, queries: Queries) -> Self | None:
        """Read one user's history; None where half-lives are not the user's own, or personas have a say in them.

        Args:
            model: a fitted model.
            queries: the question, as of any moment, with nothing of the model's learning to come before it is asked.
        """
        if not isinstance(model, Decayed) or len(queries) != 1 or model.fitted_on.clock == "none":
            return None
        rule = model.rule
        if not isinstance(rule, TemporalDecay) or model.forgetting is not rule:
            return None
        age = event_ages(queries)
        weights = rule.half_lives.weights(queries, from_newest=True)
        # The two are faded together: what is believed of changes of taste is the same.
        faded = rule.faded(queries, np.concatenate([weights, np.ones((1, len(age)), np.float32)]))
        younger = np.searchsorted(-age, -np.asarray(rule.half_lives.events, np.float64))
        mass = mass_of(faded[:-1]) if len(age) else None
        return cls(model, faded[:-1], mass, younger, faded[-1] >= 0.5)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.faded.nbytes + self.younger.nbytes + self.present.nbytes

    def at(self, queries: Queries) -> Reading:
        """Read the history at a moment.

        Args:
            queries: the question that `of` was given, at any moment, with or without weights.
        """
        rule = self.model.rule
        assert isinstance(rule, TemporalDecay)
        belief = rule.belief_at(queries)
        weights = mixture(queries, self.faded, belief, self.mass)
        read = queries.with_weights(weights if queries.weights is None else queries.weights * weights)
        return Reading(self.model.undecayed, read, self._recent(rule, queries, belief[0]))

    def _recent(self, rule: TemporalDecay, queries: Queries, belief: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return which events are recent, as `Decayed.recent` does."""
        odds = belief[:-1].astype(np.float64)
        # Times and ages are sorted: what is younger than a half-life is the end of the history.
        by_time = np.searchsorted(queries.times, queries.now[0] - np.asarray(rule.half_lives.time, np.float64))
        younger = np.zeros(len(queries.times))
        for first, part in zip([*self.younger.tolist(), *by_time.tolist()], odds.tolist(), strict=True):
            younger[first:] += part
        return np.asarray(self.present & (younger >= 0.5 * odds.sum()))
