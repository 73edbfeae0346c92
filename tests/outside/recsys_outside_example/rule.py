"""Forgetting by a power law of the number of later events."""

from __future__ import annotations

from typing import final

import numpy as np

from recsys.checks import positive
from recsys.data.queries import Queries
from recsys.decay.base import Forgetting
from recsys.types import Floats


@final
class PowerLaw(Forgetting):
    """w = (1 + age)^-exponent, with age the number of later events of the user.

    Args:
        exponent: 0 forgets nothing.
    """

    def __init__(self, exponent: float = 0.5) -> None:
        positive("exponent", exponent, zero=True)
        self.exponent = exponent

    def weights(self, queries: Queries) -> Floats:
        return ((1.0 + queries.later) ** -self.exponent).astype(np.float32)
