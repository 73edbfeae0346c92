"""What decays in a model, and its half-lives as records for people."""

from __future__ import annotations

import math

from recsys.data.queries import Queries
from recsys.decay.base import HalfLifeBelief, Quantiles
from recsys.decay.own_gain import OwnGain
from recsys.decay.temporal import TemporalDecay
from recsys.explanations.records import HalfLife, HalfLifeInterval, Unit
from recsys.models.base import Recommender
from recsys.models.cold_items.model import WithColdItems
from recsys.models.decayed.model import Decayed
from recsys.models.memories.remembering import Remembering
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.models.wrapping import Wrapper
from recsys.types import DAY


def decayed_within(model: Recommender) -> Decayed | None:
    """Return what decays in a model: itself, or the one whose personas it finds or whose lists it chooses."""
    within = model.base if isinstance(model, WithPersonas | Slated) else model
    return within if isinstance(within, Decayed) else None


def own_gain(model: Recommender) -> OwnGain | None:
    """Return what half-lives of users' own add in a fitted model; None where that was not asked."""
    while not isinstance(model, Decayed):
        if not isinstance(model, WithPersonas | Wrapper | Remembering | WithColdItems):
            return None
        model = model.base
    return model.rule.own_gain if isinstance(model.rule, TemporalDecay) else None


def user_half_lives(model: Recommender, queries: Queries) -> list[HalfLife] | None:
    """Return the half-life by which each history is weighed; None where nothing decays by half-lives."""
    decayed = decayed_within(model)
    beliefs = None if decayed is None else decayed.rule.describe(queries)
    by_clock: dict[str, Unit] = {"seconds": "days", "period": "periods"}
    unit = by_clock.get(model.fitted_on.clock, "positions")
    return None if beliefs is None else [_half_life(belief, unit) for belief in beliefs]


def _half_life(belief: HalfLifeBelief, unit_of_time: Unit) -> HalfLife:
    clocks = tuple(
        _interval(quantiles, "events" if clock == "events" else unit_of_time)
        for clock, quantiles in belief.clocks.items()
    )
    lasted = None if belief.lasted is None else _interval(belief.lasted, "events")
    return HalfLife(belief.kind, clocks, belief.never, belief.learned_from, lasted)


def _interval(quantiles: Quantiles, unit: Unit) -> HalfLifeInterval:
    length = DAY if unit == "days" else 1
    values = (quantiles.median, quantiles.low, quantiles.high)
    median, low, high = (value / length if math.isfinite(value) else None for value in values)
    return HalfLifeInterval(unit, median, low, high, quantiles.probability)
