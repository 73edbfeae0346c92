"""Candidates of the arms of the drift benchmark, in the order of precedence: a smaller budget takes the first ones."""

from __future__ import annotations

from itertools import zip_longest
from typing import final

import numpy as np

from recsys.data.queries import Queries
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset, Scope
from recsys.decay.fixed import SlidingWindow
from recsys.decay.half_lives import HalfLives
from recsys.types import DAY, Floats

# Of `global`: half-lives in events and in days, and floor; the order was chosen on the parts of `constants`.
_GLOBAL: tuple[tuple[float | None, float, float], ...] = (
    *((8.0, 256.0, 0.1), (2.0, 16.0, 0.0), (32.0, 64.0, 0.0), (None, 16.0, 0.0), (8.0, 256.0, 0.0), (8.0, 64.0, 0.1)),
    *((32.0, 16.0, 0.1), (2.0, 256.0, 0.1), (8.0, 16.0, 0.1), (32.0, 256.0, 0.0), (2.0, 64.0, 0.1), (32.0, 64.0, 0.1)),
)
ALL_GLOBAL = len(_GLOBAL)
_PERIODS = {16.0: 1.0, 64.0: 2.0, 256.0: 4.0}  # in place of days
_WINDOW_EVENTS = (10, 3, 20, 50, 5, 1, 2)
_WINDOW_PERIODS = (2.0, 1.0, 4.0)
_WINDOW_DAYS = (90.0, 30.0, 365.0, 7.0, 1.0)
SPREADS = (1.0, 0.3, 3.0, 0.1, 2.0, 0.6)
"""Of half-lives by gradient, each on both clocks."""
_SIGNIFICANCES = (0.002, 0.05, 0.3, 1e-4, 0.01, 0.1, 1e-6, 0.5, 0.02, 1e-3, 0.2, 1e-5)
_THRESHOLDS: dict[Scope, tuple[float, ...]] = {
    "population": (50.0, 20.0, 100.0, 10.0, 200.0, 5.0, 500.0, 2.0, 30.0, 70.0, 15.0, 1000.0),
    "user": (5.0, 2.0, 10.0, 3.0, 20.0, 1.0, 50.0, 0.5, 1.5, 4.0, 7.0, 15.0),
}
Learning = tuple[float, float, float, float, float]
"""Learning rate, shrinkage, fading, sharpness and caution of `TemporalDecay`."""

OWN: tuple[Learning, ...] = (
    *((5.0, 200.0, 0.02, 6.0, 5.0), (10.0, 200.0, 0.02, 6.0, 5.0), (20.0, 200.0, 0.02, 6.0, 5.0)),
    *((5.0, 200.0, 0.02, 3.0, 5.0), (2.0, 500.0, 0.02, 6.0, 5.0), (10.0, 200.0, 0.1, 6.0, 5.0)),
    *((5.0, 600.0, 0.02, 6.0, 5.0), (2.0, 1500.0, 0.02, 3.0, 5.0), (5.0, 200.0, 0.02, 10.0, 5.0)),
    *((2.0, 500.0, 0.02, 10.0, 5.0), (1.0, 1000.0, 0.02, 6.0, 5.0), (10.0, 100.0, 0.1, 6.0, 5.0)),
)
"""Of "per_user": the defaults, and what other lengths of history and catalogues may want."""

EVERYBODY: tuple[Learning, ...] = (
    *((20.0, 200.0, 0.0, 6.0, 0.0), (5.0, 200.0, 0.0, 6.0, 0.0), (60.0, 200.0, 0.0, 6.0, 0.0)),
    *((20.0, 200.0, 0.0, 10.0, 0.0), (60.0, 200.0, 0.0, 3.0, 0.0), (60.0, 200.0, 0.0, 10.0, 0.0)),
    *((20.0, 200.0, 0.0, 3.0, 0.0), (5.0, 200.0, 0.0, 3.0, 0.0), (1.0, 200.0, 0.0, 6.0, 0.0)),
    *((5.0, 200.0, 0.0, 10.0, 0.0), (20.0, 200.0, 0.0, 6.0, 5.0), (200.0, 200.0, 0.0, 6.0, 0.0)),
)

_Named = tuple[str, Forgetting | None]


def unit(clock: str) -> tuple[float, str]:
    """Return the unit of time that candidates are given in: its length, and its name."""
    return (DAY, "days") if clock == "seconds" else (1.0, "periods")


def rules_of(arm: str, clock: str, most: int) -> dict[str, Forgetting | None]:
    """Return the rules of an arm that is tuned by replaying the whole stage, by their description."""
    length, word = unit(clock)
    if arm == "global":
        return dict([("no decay", None), *(_one_rule(*setting, clock=clock) for setting in _GLOBAL[:most])])
    if arm == "window":
        by_events = [(f"{number} events", SlidingWindow(number)) for number in _WINDOW_EVENTS]
        lengths = {"seconds": _WINDOW_DAYS, "period": _WINDOW_PERIODS}.get(clock, ())
        by_time = [(f"{value:g} {word}", SlidingWindow(seconds=value * length)) for value in lengths]
        # One of either clock in turn, so that a small budget sees both.
        mixed = [entry for pair in zip_longest(by_events, by_time) for entry in pair if entry is not None]
        return dict([("no decay", None), *mixed[:most]])
    return dict(_detectors(arm)[:most])


def _one_rule(events: float | None, days: float, floor: float, *, clock: str) -> _Named:
    """Return one rule for everybody; half-lives in time are left out where the log's times are positions."""
    length, word = unit(clock)
    time = {"seconds": (days * length,), "period": (_PERIODS[days],)}.get(clock, ())
    if not time and events is None:
        events = days
    half_lives = HalfLives(() if events is None else (events,), time, (floor,))
    return half_lives.named(length, word)[0], OneRule(half_lives)


@final
class OneRule(Forgetting):
    """The first hypothesis of a grid, for everybody.

    Args:
        half_lives: the grid.
    """

    def __init__(self, half_lives: HalfLives) -> None:
        self.half_lives = half_lives

    def weights(self, queries: Queries) -> Floats:
        return np.asarray(self.half_lives.weights(queries)[0])


def _detectors(arm: str) -> list[_Named]:
    scope: Scope = "population" if arm.startswith("population") else "user"
    if arm.endswith("adwin"):
        return [(f"delta {value:g}", DetectorReset("adwin", scope, significance=value)) for value in _SIGNIFICANCES]
    return [
        (f"threshold {value:g}", DetectorReset("page_hinkley", scope, threshold=value)) for value in _THRESHOLDS[scope]
    ]
