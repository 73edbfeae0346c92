"""Array aliases of the whole library, and the lengths of time that its clocks are counted in."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""Single precision: scores, weights, whatever is as long as a history or a catalogue."""

Doubles = npt.NDArray[np.float64]
"""Double precision: sums, statistics, probabilities."""

Ints = npt.NDArray[np.int64]
"""Positions, counts, times."""

Items = npt.NDArray[np.int32]
"""Numbers of items or users; `UNKNOWN` (-1) for those that a vocabulary lacks."""

Mask = npt.NDArray[np.bool_]
"""True where something is meant."""

HOUR: Final = 3_600
"""Seconds."""

DAY: Final = 86_400
"""Seconds."""
