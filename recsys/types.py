"""Array aliases and units of time of the whole library."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""Single precision: scores, weights, ratings."""

Doubles = npt.NDArray[np.float64]
"""Double precision: sums, statistics, probabilities."""

Ints = npt.NDArray[np.int64]
"""Positions, counts, times."""

Items = npt.NDArray[np.int32]
"""Numbers of items or users; `UNKNOWN` (-1) for those outside a vocabulary."""

Kinds = npt.NDArray[np.int8]
"""Codes of what was done, positions in `recsys.data.feedback.KINDS`."""

Mask = npt.NDArray[np.bool_]
"""Selects elements of an array."""

HOUR: Final = 3_600
"""Seconds."""

DAY: Final = 86_400
"""Seconds."""
