"""Groups of items of which a list must have so many, and which items are interchangeable for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from recsys.types import Ints, Mask


@final
@dataclass(frozen=True, eq=False)
class Bound:
    """How many items of a group the first places of a list may have.

    Attributes:
        members: "items".
        low: the least number.
        high: the largest number.
        first: number of places, at most the length of the list.
        level: of the layer, 0 for the one that binds most: what is relaxed first has the highest.
        rule: id of the rule from which it comes.
    """

    members: Mask
    low: int
    high: int
    first: int
    level: int = 0
    rule: str = ""


@final
@dataclass(frozen=True, eq=False)
class Groups:
    """Bounds on one list, and items by the groups that they belong to.

    Items of one signature, that is of the same groups, are interchangeable: of each only the best, as many as the list
    has places, can be in an optimal list.

    Attributes:
        bounds: the bounds.
        signature: "items", number of each item's signature.
        has: "signatures bounds": whether items of a signature belong to the group of a bound.
    """

    bounds: tuple[Bound, ...]
    signature: Ints
    has: Mask

    @classmethod
    def of(cls, bounds: Sequence[Bound], items: int) -> Groups:
        """Return the groups of a catalogue of so many items."""
        if not bounds:
            return cls((), np.zeros(items, np.int64), np.zeros((1, 0), np.bool_))
        packed = np.packbits(np.stack([bound.members for bound in bounds], 1), axis=1)
        codes, signature = np.unique(packed, axis=0, return_inverse=True)
        has = np.unpackbits(codes, axis=1, count=len(bounds)).astype(np.bool_)
        return cls(tuple(bounds), signature.reshape(-1), has)

    def __len__(self) -> int:
        return len(self.bounds)

    def with_bounds(self, bounds: Sequence[Bound]) -> Groups:
        """Return the same groups with other numbers."""
        return Groups(tuple(bounds), self.signature, self.has)

    def without(self, rules: frozenset[str]) -> Groups:
        """Return the groups without the bounds that come from some rules."""
        keep = [place for place, bound in enumerate(self.bounds) if bound.rule not in rules]
        return Groups(tuple(self.bounds[place] for place in keep), self.signature, self.has[:, keep])

    @cached_property
    def is_laminar(self) -> bool:
        """Whether any two groups are nested or have no item in common."""
        has = self.has.astype(np.int64)
        both, size = has.T @ has, has.sum(0)
        nested = (both == 0) | (both == size[:, None]) | (both == size[None])
        return bool(nested.all())

    def counts(self, items: Ints, first: int) -> Ints:
        """Return how many items of each group the first places of a list have."""
        return np.asarray(self.has[self.signature[items[:first]]].sum(0), np.int64)

    def broken(self, items: Ints) -> list[int]:
        """Return the positions of the bounds that a list does not keep."""
        found = []
        for place, bound in enumerate(self.bounds):
            count = int(self.has[self.signature[items[: bound.first]], place].sum())
            if not bound.low <= count <= bound.high:
                found.append(place)
        return found
