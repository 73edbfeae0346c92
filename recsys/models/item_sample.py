"""A sample of items that represents the whole catalogue, to estimate ranks without scoring every item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np
import numpy.typing as npt

_ROUNDS = 50


@final
@dataclass(frozen=True, eq=False)
class ItemSample:
    """A sample of items, with the number of items of the catalogue that each represents.

    The most used items, which an item has to beat to be listed, are all there and stand for themselves. The others are
    a systematic sample with probability pi_i proportional to (events of the item)^.5, and stand for 1 / pi_i items each
    (Horvitz and Thompson 1952), so that

        rank of i  ~  1 + sum over the item_sample of [score > score_i] / pi

    is unbiased. It is the same for all users and half-lives, so that their ranks can be compared.

    Attributes:
        items: "item_sample", int32, ascending.
        stands_for: "item_sample", float32, at least 1.
    """

    items: npt.NDArray[np.int32]
    stands_for: npt.NDArray[np.float32]

    def places(self, items: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return where in the sample items are, "items"; -1 for those that are not, and for `UNKNOWN`."""
        return np.asarray(self._places[np.minimum(items, len(self._places) - 1)])

    @cached_property
    def _places(self) -> npt.NDArray[np.int32]:
        """The place of each item, -1 where it has none; the last entry is for all larger items, and `UNKNOWN`."""
        table = np.full(int(self.items.max(initial=-1)) + 2, -1, np.int32)
        table[self.items] = np.arange(len(self.items), dtype=np.int32)
        return table

    @classmethod
    def of(cls, item_counts: npt.NDArray[np.integer], size: int = 1024) -> Self:
        """Draw a sample of about `size` items, half of them the most used; always the same for the same counts.

        `item_counts` is "items"; items without events are not in the sample. A smaller catalogue is its own sample.
        """
        used = np.flatnonzero(item_counts > 0)
        if len(used) <= size:
            return cls(used.astype(np.int32), np.ones(len(used), np.float32))
        by_use = used[np.argsort(-item_counts[used], kind="stable")]
        head, tail = by_use[: size // 2], by_use[size // 2 :]
        chance = _chances(np.sqrt(item_counts[tail].astype(np.float64)), size - len(head))
        # Systematic sampling of items in the order of use: every level of popularity is there in its proportion.
        until = np.cumsum(chance)
        points = 0.5 + np.arange(int(until[-1] + 0.5))
        drawn = np.searchsorted(until, points[points < until[-1]], side="right")
        items = np.concatenate([head, tail[drawn]])
        stands_for = np.concatenate([np.ones(len(head)), 1.0 / chance[drawn]])
        order = np.argsort(items)
        return cls(items[order].astype(np.int32), stands_for[order].astype(np.float32))


def _chances(size: npt.NDArray[np.float64], expected: int) -> npt.NDArray[np.float64]:
    """Return probabilities proportional to sizes, at most 1, that sum up to the expected number of draws."""
    chance = np.zeros(len(size))
    certain = np.zeros(len(size), np.bool_)
    for _ in range(_ROUNDS):
        left = expected - int(certain.sum())
        chance = np.where(certain, 1.0, size * (left / size[~certain].sum()))
        more = chance > 1.0
        if not more.any():
            break
        certain |= more
    return np.minimum(chance, 1.0)
