"""How mixed lists may be and how sharp attention is, chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from recsys.slates import Seats

SLATES: Final = (
    *(Seats(0.0, 0.0), Seats(0.05, 0.0), Seats(0.1, 0.0), Seats(0.1, 0.1), Seats(0.1, 0.2), Seats(0.1, 0.3)),
    *(Seats(0.1, 0.4), Seats(0.1, 0.5), Seats(0.1, 0.6)),
)
"""From the best scores to the most mixed lists."""

SHARPNESS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""From attention that is nearly the same for all personas to one that hears the strongest alone."""

_LOSS = 0.0025
"""Relative loss on validation that counts as none."""


def chosen_slate(validate: Callable[[Seats], float], slates: Sequence[Seats] = SLATES) -> Seats:
    """Return the most mixed slate with which validation loses next to nothing.

    Args:
        validate: a metric of the lists of a slate, larger is better.
        slates: from the best scores to the most mixed.
    """
    best = validate(slates[0])
    chosen = slates[0]
    for slate in slates[1:]:
        if validate(slate) >= (1.0 - _LOSS) * best:
            chosen = slate
    return chosen


def chosen_sharpness(validate: Callable[[float], float], grid: Sequence[float] = SHARPNESS) -> float:
    """Return the sharpness with the best validation; the least sharp of equals.

    Args:
        validate: a metric of the lists with this sharpness, larger is better.
        grid: ascending.
    """
    values = [validate(sharpness) for sharpness in grid]
    return grid[values.index(max(values))]
