"""Judgements: which item of a pair each user prefers, with the pairs that enough users judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.pairs import Pairs
from recsys.types import Doubles, Floats, Ints, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class Judgements:
    """Who prefers which item of which pair.

    Attributes:
        user: "judgements", int32.
        pair: "judgements", int64, number of the pair.
        first: "judgements", whether the user prefers the pair's first item.
        gap: "judgements", float32, by how much more the preferred item was rated.
        items: "pairs 2", int32, the items of each pair, the lower number first.
    """

    user: Items
    pair: Ints
    first: Mask
    gap: Floats
    items: Items

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, pairs: Pairs, n_items: int, raters: int = 1) -> Judgements:
        """Number the pairs of items that at least `raters` users judge; the other judgements are left out."""
        low, high = np.minimum(pairs.winner, pairs.loser), np.maximum(pairs.winner, pairs.loser)
        distinct, number, count = np.unique(
            low.astype(np.int64) * n_items + high, return_inverse=True, return_counts=True
        )
        enough = count >= raters
        keep = enough[number]
        renumbered = np.cumsum(enough) - 1
        chosen = distinct[enough]
        items = np.stack([chosen // n_items, chosen % n_items], 1).astype(np.int32)
        return cls(pairs.user[keep], renumbered[number[keep]], (pairs.winner == low)[keep], pairs.gap[keep], items)

    def take(self, chosen: Mask | Ints) -> Judgements:
        """Return some of the judgements, by mask or position, with the same pairs."""
        return Judgements(self.user[chosen], self.pair[chosen], self.first[chosen], self.gap[chosen], self.items)

    @property
    def preferred(self) -> Items:
        """ "judgements", the item that the user prefers."""
        return self.items[self.pair, (~self.first).astype(np.int64)]

    @property
    def other(self) -> Items:
        """ "judgements", the other item."""
        return self.items[self.pair, self.first.astype(np.int64)]


def right(margin: Doubles) -> Doubles:
    """Return 1 where the preferred item scores higher, 0 where lower, 1/2 where neither does."""
    return np.where(margin > 0, 1.0, np.where(margin < 0, 0.0, 0.5))
