r"""Which model's lists are clicked more, and by how much: rates over users, with intervals.

People, not impressions, are independent of each other: who clicks once clicks again. The rate of a model is
r = sum_u c_u / sum_u x_u, of the clicks c_u and impressions x_u of n users, and by the delta method

    var(r) = var_u(c_u - r x_u) / (n mean(x)^2)

(Deng, Knoblich, Lu 2018, "Applying the Delta Method in Metric Analytics", eq. 3). Two models serve different users, so
that the variances of their rates add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.events.impressions.records import PositionClicks, UserClicks
from recsys.events.store import EventStore

_NORMAL: Final = 1.959964
"""The two-sided 95% quantile."""


@final
@dataclass(frozen=True)
class Rate:
    """How much of what a model's lists showed was clicked.

    Attributes:
        variant, model: whose lists.
        users, lists, impressions, clicks: how many.
        rate: clicks per impression.
        low, high: its 95% interval over users; null for fewer than two users.
    """

    variant: str
    model: str
    users: int
    lists: int
    impressions: int
    clicks: int
    rate: float
    low: float | None
    high: float | None


@final
@dataclass(frozen=True)
class Difference:
    """The rate of the model that is tried beside, less that of the other, with its 95% interval over users."""

    beside: str
    main: str
    difference: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class Attribution:
    """What the impressions of a store say.

    Attributes:
        rates: of each variant and model, the most shown first.
        difference: between the most shown model of either variant; null where one has fewer than two users.
        positions: impressions and clicks by model and position.
    """

    rates: tuple[Rate, ...]
    difference: Difference | None
    positions: tuple[PositionClicks, ...]


def attribution(store: EventStore) -> Attribution:
    """Return what the impressions of a store say of the models that made the lists."""
    groups: dict[tuple[str, str], list[UserClicks]] = {}
    for one in store.clicks_by_user():
        groups.setdefault((one.variant, one.model), []).append(one)
    estimated = sorted((_rate(group) for group in groups.values()), key=lambda one: -one[0].impressions)
    first = {variant: next((one for one in estimated if one[0].variant == variant), None) for variant in _VARIANTS}
    return Attribution(
        tuple(rate for rate, _ in estimated), _difference(*first.values()), tuple(store.clicks_by_position())
    )


_VARIANTS = ("beside", "main")


def _rate(group: Sequence[UserClicks]) -> tuple[Rate, float]:
    """Return the rate of a model, and its standard error; NaN for fewer than two users."""
    clicks = np.asarray([one.clicks for one in group], np.float64)
    shown = np.asarray([one.impressions for one in group], np.float64)
    rate = float(clicks.sum() / shown.sum())
    error = math.nan
    if len(group) > 1:
        error = math.sqrt(float(np.var(clicks - rate * shown, ddof=1)) / len(group)) / float(shown.mean())
    bounds = (None, None) if math.isnan(error) else (rate - _NORMAL * error, rate + _NORMAL * error)
    of = group[0]
    counts = len(group), sum(one.lists for one in group), int(shown.sum()), int(clicks.sum())
    return Rate(of.variant, of.model, *counts, rate, *bounds), error


def _difference(beside: tuple[Rate, float] | None, main: tuple[Rate, float] | None) -> Difference | None:
    if beside is None or main is None or math.isnan(beside[1] + main[1]):
        return None
    difference, error = beside[0].rate - main[0].rate, math.hypot(beside[1], main[1])
    bounds = difference - _NORMAL * error, difference + _NORMAL * error
    return Difference(beside[0].model, main[0].model, difference, *bounds)
