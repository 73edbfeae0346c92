"""The population's prior of `TemporalDecay` as a rule of its own: one mixture of hypotheses for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.decay.base import Calibration, ForgettingRule, HalfLifeBelief
from recsys.decay.half_lives import HalfLives
from recsys.decay.temporal import TemporalDecay, strangers
from recsys.decay.visits import VisitWeights
from recsys.errors import ConfigError
from recsys.types import Doubles, Floats, Mask

_DEFAULT = TemporalDecay(fading=0.0, changepoints=False)


@final
class PopulationDecay(ForgettingRule):
    """A mixture of hypotheses about forgetting that is the same for everybody, learned from the calibration.

        w_j(t) = TemporalDecay's weights of a user without evidence of their own

    Args:
        temporal: settings of the mixture and of its prior.

    Raises:
        ConfigError: `temporal` asks whether users have a part of their own.
    """

    def __init__(self, temporal: TemporalDecay = _DEFAULT) -> None:
        if temporal.own != "always":
            raise ConfigError(
                f"own is {temporal.own!r}; under PopulationDecay users have no part of their own, leave it out"
            )
        self.temporal = temporal

    def for_log(self, n_users: int, clock: str) -> Self:
        return type(self)(self.temporal.for_log(n_users, clock))

    @property
    def learns(self) -> bool:
        return True

    @property
    def counts_events(self) -> bool:
        return self.temporal.counts_events

    def calibrate(self, calibration: Calibration | None) -> None:
        if calibration is None or len(calibration.users) == 0:
            return
        utilities = self.temporal.evaluate(calibration)
        self.temporal.fit_prior(utilities.half_lives, calibration.users)
        self.temporal = self.temporal.without_users()

    @property
    def half_lives(self) -> HalfLives:
        """The grid of hypotheses."""
        return self.temporal.half_lives

    def belief_at(self, queries: Queries) -> Floats:
        """Return everybody's belief, "queries hypotheses"."""
        return self.temporal.belief_at(strangers(queries))

    def since_changes(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", reduced by how often tastes change."""
        return self.temporal.since_changes(strangers(queries), weights)

    @property
    def visit_weights(self) -> VisitWeights | None:
        """How weights depend on visits; None where they do not."""
        return self.temporal.visit_weights

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return self.temporal.weights(strangers(queries), event_age)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        return self.temporal.recent(strangers(queries), event_age)

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        return self.temporal.describe(strangers(queries))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.temporal.state()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.temporal.restore(state)
