"""A fast memory of the last events beside a slow one of all of them, with a gate."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import share, whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.base import Recommender
from recsys.models.memories.contract import Arrays, Judge, Memory, StateMemory
from recsys.models.memories.parametric import Parametric
from recsys.models.memories.recent import EpisodicRecent
from recsys.models.memories.stored import Stored
from recsys.models.wrapping import part_of, prefixed
from recsys.types import Ints

_GATES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHARES = (0.0, 0.25, 0.5, 1.0)
"""Of the bytes that go to events, tried on validation; each with the gates between, which alone mix anything."""

_SCALE = 2
"""Bytes of the scale of the numbers."""


@final
class Dual(StateMemory):
    """The last events beside a low-rank state, in a number of bytes.

        s = (1 - g) zscore(fast) + g zscore(slow)           fast: `EpisodicRecent`, slow: `Parametric`

    z-scores are over the items. How many of the bytes are of events, and the gate g, are chosen on validation.

    Args:
        capacity: bytes of a user.
        events: k of the fast memory, in 3 bytes each; None: chosen, and half of the bytes without validation.
        gate: g, from 0 (fast alone) to 1 (slow alone); None: chosen, and .5 without validation.

    Raises:
        ConfigError: the events do not fit, or the gate is not in [0, 1].
    """

    def __init__(self, capacity: int = 34, events: int | None = None, gate: float | None = None) -> None:
        whole("capacity", capacity, least=_SCALE + 1)
        if events is not None:
            whole("events", events, least=0)
            if 3 * events > capacity:
                raise ConfigError(f"{events} events take {3 * events} bytes, and capacity is {capacity}")
        if gate is not None:
            share("gate", gate)
        self.capacity = capacity
        self.events = events
        self.gate = gate
        self._kept = capacity // 6 if events is None else events
        self._gate = 0.5 if gate is None else gate
        self._fast, self._slow = self._parts(self._kept)

    @property
    def chosen(self) -> tuple[int, float]:
        """Events of the fast memory, and the gate."""
        return self._kept, self._gate

    def _parts(self, events: int) -> tuple[EpisodicRecent | None, Parametric | None]:
        numbers = self.capacity - 3 * events - _SCALE
        return (EpisodicRecent(events) if events else None), (Parametric(numbers) if numbers > 0 else None)

    def _with(self, events: int, gate: float, slow: Parametric | None) -> Self:
        other = type(self)(self.capacity, self.events, self.gate)
        other._kept, other._gate = events, gate
        other._fast, _ = other._parts(events)
        other._slow = slow
        return other

    def learned(self, model: Recommender, train: Interactions, judge: Judge | None = None) -> Memory:
        most = self.capacity // 3
        counts = sorted({round(part * most) for part in _SHARES}) if self.events is None else [self.events]
        if judge is None:
            counts = [self._kept]
        best: tuple[float, Dual] | None = None
        for events in counts:
            _, slow = self._parts(events)
            learned = None if slow is None else slow.learned(model, train)
            assert learned is None or isinstance(learned, Parametric)
            gates = (1.0,) if events == 0 else (0.0,) if learned is None else _GATES[1:-1]
            for gate in gates if self.gate is None and judge is not None else (self._gate,):
                tried = self._with(events, gate, learned)
                value = 0.0 if judge is None else judge(tried)
                if best is None or value > best[0]:
                    best = value, tried
        assert best is not None
        return best[1]

    def encode(self, model: Recommender, queries: Queries) -> Stored:
        parts = [part.encode(model, queries) for part in (self._slow, self._fast) if part is not None]
        sizes = np.sum([part.sizes for part in parts], axis=0)
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        data = np.zeros(int(indptr[-1]), np.uint8)
        begin = indptr[:-1]
        for part in parts:
            data[_places(begin, part)] = part.data
            begin = begin + part.sizes
        return Stored(indptr, data, queries.weights is not None)

    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        numbers = 0 if self._slow is None else self._slow.width + _SCALE
        own = np.minimum(stored.sizes, numbers)
        slow = _part(stored, np.zeros_like(own), own, weighted=False)
        fast = _part(stored, own, stored.sizes - own, weighted=stored.weighted)
        total = torch.zeros(len(stored), model.n_items)
        if self._fast is not None:
            total += (1 - self._gate) * _standard(self._fast.scores(model, fast))
        if self._slow is not None:
            total += self._gate * _standard(self._slow.scores(model, slow))
        return torch.round(total, decimals=5)  # sums of a batch differ in the last bits, and equal scores would too

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        slow = {} if self._slow is None else prefixed("slow.", self._slow.arrays())
        return slow | {"chosen": np.asarray([self._kept, self._gate], np.float64)}

    def restored(self, arrays: Arrays) -> Self:
        events, gate = arrays["chosen"].tolist()
        _, slow = self._parts(int(events))
        return self._with(int(events), gate, None if slow is None else slow.restored(part_of(arrays, "slow.")))


def _places(begin: Ints, part: Stored) -> Ints:
    """Return where the bytes of each user go, given where the user's begin."""
    within = np.arange(len(part.data)) - np.repeat(part.indptr[:-1], part.sizes)
    return np.repeat(begin, part.sizes) + within


def _part(stored: Stored, offset: Ints, sizes: Ints, *, weighted: bool) -> Stored:
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    within = np.arange(int(indptr[-1])) - np.repeat(indptr[:-1], sizes)
    return Stored(indptr, stored.data[np.repeat(stored.indptr[:-1] + offset, sizes) + within], weighted)


def _standard(scores: Float[Tensor, "queries items"]) -> Float[Tensor, "queries items"]:
    centred = scores - scores.mean(1, keepdim=True)
    return centred / centred.std(1, keepdim=True).clamp(min=1e-9)
