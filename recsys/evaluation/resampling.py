"""Bootstrap over users: resamples in bounded memory, and intervals of any statistic of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.errors import ConfigError
from recsys.types import Doubles

Statistic = Callable[[Doubles], Doubles]
"""From how often each user was drawn, "resamples users", to "resamples values"; NaN where it is not defined."""

_NUMBERS_IN_MEMORY = 2_000_000


def resamples(users: int, draws: int, seed: int) -> Iterator[Doubles]:
    """Yield blocks of bootstrap resamples, "resamples users": how often each user is drawn, with replacement."""
    rng = np.random.default_rng(seed)
    size = max(1, _NUMBERS_IN_MEMORY // users)
    for start in range(0, draws, size):
        count = min(size, draws - start)
        drawn = rng.integers(users, size=(count, users)) + np.arange(count)[:, None] * users
        yield np.bincount(drawn.ravel(), minlength=count * users).reshape(count, users).astype(np.float64)


@final
@dataclass(frozen=True)
class Score:
    """A number with its interval.

    Attributes:
        value: the score; NaN without users.
        low: lower end of the interval.
        high: upper end of the interval.
        users: number of users behind it.
    """

    value: float
    low: float
    high: float
    users: int


@final
@dataclass(frozen=True)
class Resampling:
    """Settings of a bootstrap interval.

    Attributes:
        draws: resamples of the users.
        seed: of the draws.
        confidence: coverage of the interval.

    Raises:
        ConfigError: a number is out of range.
    """

    draws: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.draws < 1 or not 0.0 < self.confidence < 1.0:
            raise ConfigError(
                f"resampling: draws is {self.draws} and confidence {self.confidence}; they must be >= 1 and in (0, 1)"
            )

    def interval(self, users: int, statistic: Statistic) -> tuple[Doubles, Doubles, Doubles]:
        """Return value, low and high of a statistic, each "values"; NaN without users or where it is not defined.

        The ends are order statistics, not interpolated, of the resamples in which the value is defined: it may be
        infinite.
        """
        value = statistic(np.ones((1, users)))[0]
        if users == 0:
            undefined = np.full(len(value), np.nan)
            return undefined, undefined, undefined
        values = [statistic(times) for times in resamples(users, self.draws, self.seed)]
        ordered = np.sort(np.concatenate(values), axis=0)  # NaN last
        tail = (1.0 - self.confidence) / 2
        last = np.maximum((~np.isnan(ordered)).sum(0) - 1, 0)
        column = np.arange(ordered.shape[1])
        low = ordered[np.floor(tail * last).astype(np.int64), column]
        return value, low, ordered[np.ceil((1.0 - tail) * last).astype(np.int64), column]

    def score(self, users: int, statistic: Statistic) -> Score:
        """Return the interval of a statistic of one value."""
        value, low, high = self.interval(users, statistic)
        return Score(float(value[0]), float(low[0]), float(high[0]), users)


DEFAULT = Resampling()
"""1,000 resamples, seed 0, 95%."""
