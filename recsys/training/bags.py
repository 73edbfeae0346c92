"""Lists of items of different lengths as tensors, such as the histories of a batch of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.queries import Ragged
from recsys.types import Floats


@final
@dataclass(frozen=True, eq=False)
class Bags:
    """Lists of items, weighted or not, in compressed form.

    Attributes:
        items: "entries", int64 item numbers.
        offsets: "bags+1", int64: bag b has the entries `offsets[b]:offsets[b+1]`.
        weights: "entries", float32; None where all are 1.
    """

    items: Int[Tensor, " entries"]
    offsets: Int[Tensor, " bags_1"]
    weights: Float[Tensor, " entries"] | None = None

    @classmethod
    def of(cls, lists: Ragged, weights: Floats | None = None) -> Bags:
        """Return lists of known items as tensors."""
        items, offsets = torch.from_numpy(lists.items.astype("int64")), torch.from_numpy(lists.indptr)
        return cls(items, offsets, None if weights is None else torch.from_numpy(weights))

    @property
    def lengths(self) -> Int[Tensor, " bags"]:
        """Number of entries of each bag."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def rows(self) -> Int[Tensor, " entries"]:
        """The bag of each entry."""
        lengths = self.lengths
        return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)

    def to(self, device: torch.device) -> Bags:
        """Return the same on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Bags(self.items.to(device), self.offsets.to(device), weights)

    def take(self, chosen: Int[Tensor, " chosen"]) -> Bags:
        """Return the given bags, in that order, without weights."""
        start, lengths = self.offsets[chosen], self.lengths[chosen]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = torch.repeat_interleave(start - offsets[:-1], lengths)
        return Bags(self.items[torch.arange(len(shift), device=shift.device) + shift], offsets)

    def sum(self, table: Float[Tensor, "items width"]) -> Float[Tensor, "bags width"]:
        """Return the weighted sum of the entries' rows of a table, for each bag."""
        return F.embedding_bag(
            self.items, table, self.offsets, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )
