"""Which items of the model may not be listed now."""

from __future__ import annotations

from typing import final

import numpy as np

from recsys.types import Items


@final
class Stock:
    """The items of the model that are unavailable or deleted.

    Attributes:
        unavailable: their numbers, ascending; another array as soon as another item is, so that who has made something
            of it can tell by identity whether it still holds.
    """

    def __init__(self) -> None:
        self.unavailable: Items = np.zeros(0, np.int32)

    def set(self, numbers: Items) -> None:
        """Replace the unavailable items, unless they are the same."""
        if not np.array_equal(numbers, self.unavailable):
            self.unavailable = numbers
