"""Whether a log shows that people forget each in their own way, or all alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from recsys.decay.changepoints import occurrences
from recsys.types import Doubles, Floats

SHARPNESS = 3.0
"""Power of the utility of a lesson; rules learn with a larger one, under which a mean over users rests on few hits."""

_LEVEL = 0.05
"""Of the one-sided test."""


@final
@dataclass(frozen=True)
class OwnGain:
    """What a person's own part of a rule finds beyond everybody's part alone, in utility^3 of a lesson.

    It is measured on the later half of each user's lessons: from the earlier ones the own part has yet to be learned.

    Attributes:
        mean: over users of the mean over these lessons.
        error: standard error of that mean; infinite for a single user.
        used: whether the mean is above 0 by a one-sided t test at 5%.
    """

    mean: float
    error: float
    used: bool

    @classmethod
    def of(cls, users: npt.NDArray[np.integer], difference: Floats) -> Self:
        """Measure it.

        Args:
            users: "lessons", who was asked, each user's in their order.
            difference: "lessons", utility^3 with a person's own part, minus that without it.
        """
        _, user, count = np.unique(users, return_inverse=True, return_counts=True)
        place = np.empty(len(users), np.int64)
        for number, rows in enumerate(occurrences(users)):
            place[rows] = number
        later = place >= (count[user] - 1) / 2
        each = np.bincount(user[later], weights=difference[later]) / np.bincount(user[later])
        mean = float(each.mean())
        if len(each) == 1:
            return cls(mean, math.inf, used=False)
        error = float(each.std(ddof=1)) / len(each) ** 0.5
        return cls(mean, error, used=mean > float(stdtrit(len(each) - 1, 1 - _LEVEL)) * error > 0)

    @classmethod
    def restored(cls, state: npt.NDArray[np.floating]) -> Self:
        """Return what `state` was of."""
        mean, error, used = state.tolist()
        return cls(mean, error, bool(used))

    def __str__(self) -> str:
        told = "used" if self.used else "not used, all users forget alike"
        error = f"standard error {self.error:.4f}" if math.isfinite(self.error) else "of a single user"
        return f"half-lives of users' own add {self.mean:+.4f} ({error}) to a visit: {told}"

    def state(self) -> Doubles:
        """Return it as an array, for checkpoints."""
        return np.asarray([self.mean, self.error, self.used], np.float64)
