"""Histories of different lengths as rectangles, so that a whole batch is one tensor operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.types import Doubles, Floats, Ints, Items, Mask

BATCH = 128
"""Queries explained at a time: keeps "queries events items" rectangles of long histories in the tens of megabytes."""


@final
@dataclass(frozen=True, eq=False)
class PaddedHistory:
    """The counted events of each query (see `Queries.counted`), oldest first, padded on the right.

    Attributes:
        items: "queries length", int32 item numbers; 0 in the padding.
        events: "queries length", int64 positions in `queries.history.items`; 0 in the padding.
        mask: "queries length", True where there is an event.
        weights: "queries length", float32; 0 in the padding.
    """

    items: Items
    events: Ints
    mask: Mask
    weights: Floats

    @classmethod
    def of(cls, queries: Queries) -> PaddedHistory:
        """Arrange the counted events of the queries as rectangles.

        >>> PaddedHistory.of(Queries.from_history([[4, 2, 4], [], [7]])).items.tolist()
        [[2, 4], [0, 0], [7, 0]]
        """
        counted = queries.counted
        history = queries.history.select(counted)
        lengths = history.lengths
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        events, items = np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int32)
        weights = np.zeros(mask.shape, np.float32)
        # Both the mask and the events are in the order of rows, then time.
        events[mask], items[mask] = np.flatnonzero(counted), history.items
        weights[mask] = 1.0 if queries.weights is None else queries.weights[counted]
        return cls(items, events, mask, weights)

    @property
    def lengths(self) -> Ints:
        """ "queries", int64: counted events of each query."""
        return np.asarray(self.mask.sum(1), dtype=np.int64)

    def gather(self, values: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
        """Arrange values of events, "events" or "events n", as rectangles, with `fill` in the padding."""
        if len(self.mask) == 1 and len(values) == self.mask.size:  # saves the service 90 microseconds per 1,000 events
            return values[None]
        mask = self.mask.reshape(*self.mask.shape, *[1] * (values.ndim - 1))
        return np.where(mask, values[self.events], np.asarray(fill, values.dtype))


def largest(values: Doubles, most: int) -> Ints:
    """Return the places of the largest values of each row, "rows most", largest first, the first of equals first.

    The place of a value of -inf has no meaning.
    """
    count = min(most, values.shape[1])
    places = np.zeros((len(values), count), np.int64)
    remaining, rows = values.copy(), np.arange(len(values))
    for column in range(count):  # faster than a sort for a few of many columns
        places[:, column] = remaining.argmax(1)
        remaining[rows, places[:, column]] = -np.inf
    return places
