"""The population's prior of a `TemporalDecay` that was fitted until version 0.2: it depends on the situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.types import HOUR, Floats

_NAMES: Final = ("mean", "deviation", "intercept", "slopes")

_MOST = 3.0
"""Features are clipped to this many deviations from the mean."""


@final
@dataclass(frozen=True, eq=False)
class FormerPrior:
    """The expected gain of each hypothesis in a situation, so that saved models answer as they did.

        m_h(x) = b_h + a_h . (x - mean) / deviation

    x is log(1 + hours since the newest event), log(1 + events so far), their squares and their product.

    Attributes:
        mean, deviation: "features".
        intercept: "hypotheses", b_h.
        slopes: "features hypotheses", a_h.
        hour: an hour in the unit of the log's times; 1 where the unit is a period or a position.
    """

    mean: Floats
    deviation: Floats
    intercept: Floats
    slopes: Floats
    hour: float

    @classmethod
    def of(cls, state: Mapping[str, npt.NDArray[Any]], clock: str) -> Self | None:
        """Return the prior that a saved rule has; None for a rule of today."""
        if "population.slopes" not in state:
            return None
        mean, deviation, intercept, slopes = (np.array(state[f"population.{name}"], np.float32) for name in _NAMES)
        return cls(mean, deviation, intercept, slopes, float(HOUR) if clock == "seconds" else 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what `of` takes."""
        return {f"population.{name}": getattr(self, name).copy() for name in _NAMES}

    def expected(self, queries: Queries) -> Floats:
        """Return m_h(x), "queries hypotheses"."""
        standard = np.clip((self._situations(queries) - self.mean) / self.deviation, -_MOST, _MOST)
        return np.asarray(self.intercept + standard.astype(np.float32) @ self.slopes)

    def _situations(self, queries: Queries) -> Floats:
        """Return x, "queries features"; of an empty history all are 0."""
        history = queries.history
        newest = queries.times[np.maximum(history.indptr[1:] - 1, 0)] if len(queries.times) else queries.now
        gap = np.where(history.lengths > 0, np.maximum(queries.now - newest, 0), 0) / self.hour
        one, other = np.log1p(gap), np.log1p(history.lengths)
        return np.array((one, other, one * one, one * other, other * other), np.float32).T
