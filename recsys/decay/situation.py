"""The situation of a query, and the gain of each half-life to expect in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.types import Floats

FEATURES = ("log_gap", "log_events", "log_gap^2", "log_gap log_events", "log_events^2")
"""log_gap: log(1 + hours since the newest event, or periods or positions); log_events: log(1 + events so far)."""

_MOST = 3.0
"""Features are clipped to this many deviations from the mean."""


def situations(queries: Queries, hour: float) -> Floats:
    """Return the situation of each query, "queries features", float32; of an empty history all are 0.

    Args:
        queries: the queries; the events of a history ascend in time.
        hour: an hour in the unit of the log's times; 1 where the unit is a period or a position.
    """
    history = queries.history
    if len(history.items) == 0:
        return np.zeros((len(queries), len(FEATURES)), np.float32)
    count = history.lengths
    newest = queries.times[np.maximum(history.indptr[1:] - 1, 0)]
    gap = np.where(count > 0, np.maximum(queries.now - newest, 0), 0) / hour
    one, other = np.log1p(gap), np.log1p(count)
    return np.array((one, other, one * one, one * other, other * other), np.float32).T


@final
class SituationPrior:
    """The expected gain of each half-life in a situation, m_h(x), by ridge regression.

        m_h(x) = b_h + a_h . (x - mean) / deviation

    Args:
        outputs: number of half-lives.
    """

    def __init__(self, outputs: int) -> None:
        self._mean = np.zeros(len(FEATURES), np.float32)
        self._deviation = np.ones(len(FEATURES), np.float32)
        self._intercept = np.zeros(outputs, np.float32)
        self._slopes = np.zeros((len(FEATURES), outputs), np.float32)

    @property
    def average(self) -> Floats:
        """m_h in an average situation, "half-lives"."""
        return self._intercept

    def expected(self, situation: Floats) -> Floats:
        """Return m_h(x), "queries half-lives"."""
        standard: Floats = (situation - self._mean) / self._deviation
        # np.clip takes three times as long for a single query.
        np.minimum(standard, np.float32(_MOST), out=standard)
        np.maximum(standard, np.float32(-_MOST), out=standard)
        expected: Floats = self._intercept + standard @ self._slopes
        return expected

    def fit(self, situation: Floats, gain: Floats, ridge: float) -> None:
        """Learn from events, forgetting anything learned before.

        Args:
            situation: "events features", at least one.
            gain: "events half-lives".
            ridge: penalty of the slopes and of the differences between half-lives, in events.
        """
        self._mean = situation.mean(0, dtype=np.float64).astype(np.float32)
        deviation = situation.std(0, dtype=np.float64)
        self._deviation = np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)
        standard = np.clip((situation - self._mean) / self._deviation, -_MOST, _MOST).astype(np.float64)
        centre = gain.mean(0, dtype=np.float64)
        # Half-lives are alike until enough events differ: the penalty holds for their differences too.
        centre = centre.mean() + (centre - centre.mean()) * len(gain) / (len(gain) + ridge)
        # Clipped features need not have mean 0: the intercept absorbs the rest.
        offset = standard.mean(0)
        standard -= offset
        # The penalty also decides where features are constant (a log of orders has no gaps).
        matrix = standard.T @ standard + max(ridge, 1e-3) * np.eye(len(offset))
        slopes = np.linalg.solve(matrix, standard.T @ (gain - centre))
        self._slopes = slopes.astype(np.float32)
        self._intercept = (centre - offset @ slopes).astype(np.float32)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of what was learned, as arrays by name."""
        return {
            "mean": self._mean.copy(),
            "deviation": self._deviation.copy(),
            "intercept": self._intercept.copy(),
            "slopes": self._slopes.copy(),
        }

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned."""
        self._mean, self._deviation = state["mean"].copy(), state["deviation"].copy()
        self._intercept, self._slopes = state["intercept"].copy(), state["slopes"].copy()
