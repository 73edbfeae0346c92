"""Pieces of work shared by processes that do the same otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import torch

from recsys.scale.engine import Engine


@final
class Group(Engine):
    """The processes of `torch.distributed`: each does every Nth piece, and all have all results."""

    def __init__(self) -> None:
        super().__init__(torch.distributed.get_world_size())
        self._number = torch.distributed.get_rank()

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        found: list[list[Any]] = [[] for _ in range(self.workers)]
        own = [function(pieces[number]) for number in self.own(len(pieces))]
        torch.distributed.all_gather_object(found, own)
        return (found[number % self.workers][number // self.workers] for number in range(len(pieces)))

    def own(self, pieces: int) -> range:
        return range(self._number, pieces, self.workers)
