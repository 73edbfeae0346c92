"""How mixed lists may be and how sharp attention is, chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from recsys.slates import Seats

FLOOR: Final = 0.3
"""Share of the history from which a persona is in the list, however the scores are."""

UNCHOSEN: Final = Seats(floor=FLOOR)
"""The slate without validation."""

_CALIBRATIONS = (0.04, 0.08, 0.12, 0.16, 0.2)
SLATES: Final = (Seats(0.0, 0.0, floor=FLOOR), *(Seats(0.1, each, floor=FLOOR) for each in _CALIBRATIONS))
"""From the best scores to the most mixed lists."""

SHARPNESS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""From attention that is nearly the same for all personas to one that hears the strongest alone."""

_ENOUGH = 0.4
"""Part of the distortion of the best scores that is little enough: it is half of it for other users, with a margin."""

_LOSS = 0.0025
"""Relative loss that counts as none."""

_BELIEVED = 0.5
"""How much of what validation says is believed: the rest is what was seen on other logs, that mixed lists cost nothing.

The paired difference of two slates has a standard error of about 1% with a thousand questions, so that the choice
would otherwise be left to chance.
"""


def sufficient(distortion: Callable[[Seats], float], slates: Sequence[Seats] = SLATES) -> Sequence[Seats]:
    """Return the slates up to the first whose lists distort little enough beside the best scores.

    Lists that are more mixed than that cost NDCG for nothing that was asked for.

    Args:
        distortion: of the lists of a slate, see `recsys.models.personas.content.systematic_distortion`.
        slates: from the best scores to the most mixed, at least one.
    """
    most = _ENOUGH * distortion(slates[0])
    for place, slate in enumerate(slates[1:], 2):
        if distortion(slate) <= most:
            return slates[:place]
    return slates


def chosen_slate(validate: Callable[[Seats], float], slates: Sequence[Seats] = SLATES) -> Seats:
    """Return the most mixed slate with which next to nothing is lost.

    A parabola through the first slate is fitted to the relative losses of the others, by their places: neighbours make
    nearly the same lists, so that a loss of one that they do not share is noise.

    Args:
        validate: a metric of the lists of a slate, larger is better.
        slates: from the best scores to the most mixed, at least one.
    """
    values = np.asarray([validate(slate) for slate in slates], np.float64)
    if len(slates) == 1 or values[0] <= 0:
        return slates[0]
    place = np.arange(len(slates)) / (len(slates) - 1)
    curve = np.column_stack([place, place**2])
    loss = curve @ np.linalg.lstsq(curve, 1.0 - values / values[0])[0]
    return slates[int(np.flatnonzero(_BELIEVED * loss <= _LOSS)[-1])]


def chosen_sharpness(validate: Callable[[float], float], grid: Sequence[float] = SHARPNESS) -> float:
    """Return the sharpness with the best validation; the least sharp of equals.

    Args:
        validate: a metric of the lists with this sharpness, larger is better.
        grid: ascending.
    """
    values = [validate(sharpness) for sharpness in grid]
    return grid[values.index(max(values))]
