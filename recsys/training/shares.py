"""Batches in shares: several processes each compute a part of every batch, and their gradients add up to its own.

A loss is made of sums over examples. A process adds up its own examples, and `Share.total` adds up the processes:

    value     s = sum_r s_r                    the sum of the whole batch, the same in every process
    gradient  d total / d s_r = count          so that the mean over processes, which is what data-parallel training
                                               takes, is the gradient of the whole batch's loss

This holds for losses that are not linear in the sums, too, such as ratios. What is random is drawn for the whole batch
by every process, from the same generator, so that the batch does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Total = Callable[[Tensor], Tensor]
"""Returns the sum over processes of a sum over a process's own examples."""


@final
@dataclass(frozen=True)
class Share:
    """The rows of each batch that this process computes: every `count`-th one, from `number`.

    Attributes:
        number: of the process, from 0.
        count: of processes.
        add: adds the processes up in place of `torch.distributed`.
    """

    number: int = 0
    count: int = 1
    add: Total | None = None

    @property
    def rows(self) -> slice:
        """The own rows of a batch."""
        return slice(self.number, None, self.count)

    def has(self, rows: Int[Tensor, " entries"]) -> Bool[Tensor, " entries"]:
        """Return which rows of the batch, by number, are own ones."""
        return rows % self.count == self.number

    def place(self, rows: Int[Tensor, " entries"]) -> Int[Tensor, " entries"]:
        """Return the place of own rows among them, given their numbers in the batch."""
        return rows // self.count

    @property
    def total(self) -> Total | None:
        """The function that adds up the processes; None where there is one."""
        return self.add or (None if self.count == 1 else self._total)

    def _total(self, own: Tensor) -> Tensor:
        whole = own.detach().clone()
        torch.distributed.all_reduce(whole)
        return whole + self.count * (own - own.detach())
