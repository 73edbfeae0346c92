"""Lists that are about what the history is about, and as popular: Steck's greedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import positive, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Content, Pool, SizedSlate
from recsys.slates.scores import free_scores, one_by_one, unit
from recsys.types import Doubles, Floats, Ints

ALPHA: Final = 0.01
"""How much of the history's distribution is mixed into the list's, so that the divergence is finite."""


@final
@dataclass(frozen=True)
class Calibrated(SizedSlate):
    """Lists whose mixture of labels, and of popular and rare items, is that of the history.

        value_i = score_i - weight KL(p | q_i) - popularity KL(p' | q'_i)

    One candidate after the other is chosen by the largest value, where q_i is what the list would be about with it, of
    which ALPHA p is mixed in, and p what the history is about; p' and q' are the shares of head, middle and tail.
    Scores are scaled to [0, 1] over the pool, so that the weight of Steck, *Calibrated recommendations*, RecSys 2018,
    equation 5, is weight / (1 + weight). His greedy is within 1 - 1/e of the best list.

    Args:
        weight: of the labels, at least 0.
        popularity: of the classes of popularity, at least 0.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    weight: float = 0.5
    popularity: float = 0.0
    size: int = 100

    def __post_init__(self) -> None:
        positive("weight", self.weight, zero=True)
        positive("popularity", self.popularity, zero=True)
        whole("size", self.size)

    def _choose(self, pool: Pool, n: int) -> Ints:
        free = free_scores(pool)
        axes = self._axes(pool)
        queries = np.arange(len(free))
        held = [np.zeros_like(axis.shares) for axis in axes]

        def value(_rank: int) -> Doubles:
            worth = free.copy()
            for axis, sums in zip(axes, held, strict=True):
                worth -= axis.divergence(sums)
            return worth

        def seat(_rank: int, best: Ints) -> None:
            for place, axis in enumerate(axes):
                held[place] += axis.parts[queries, best]

        return one_by_one(free, n, value, seat)

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        value = np.repeat(free_scores(pool)[:, None], chosen.shape[1], axis=1)
        queries, place = np.arange(len(chosen))[:, None], np.maximum(chosen, 0)
        for axis in self._axes(pool):
            parts = axis.parts[queries, place] * (chosen != UNKNOWN)[:, :, None]
            others = parts.sum(1, keepdims=True) - parts  # "queries n labels"
            for seat in range(chosen.shape[1]):
                value[:, seat] -= axis.divergence(others[:, seat])
        return np.asarray(value * unit(pool)[:, :, None])

    def _axes(self, pool: Pool) -> list[_Axis]:
        axes = []
        if self.weight > 0:
            axes.append(_Axis.of(pool.about, self.weight))
        if self.popularity > 0:
            axes.append(_Axis.of(pool.popular, self.popularity))
        return axes


@final
@dataclass(frozen=True, eq=False)
class _Axis:
    """What candidates are about, and how much it counts that the list is about the same as the history.

    Attributes:
        parts: "queries pool labels", float32.
        shares: "queries labels", float32, p.
        weight: of the divergence.
    """

    parts: Floats
    shares: Floats
    weight: float

    @classmethod
    def of(cls, content: Content, weight: float) -> _Axis:
        return cls(content.parts.astype(np.float32), content.shares.astype(np.float32), weight)

    def divergence(self, held: Floats | Doubles) -> Floats:
        """Return the weighted divergence of the lists with each candidate, "queries pool", up to -p log p of each.

        A candidate about nothing leaves the list's mixture as it is.

        Args:
            held: "queries labels", sums of the parts of those that are listed.
        """
        labelled = self.parts.sum(2)
        length = np.maximum(held.sum(1, keepdims=True) + labelled, 1e-6)
        mixed = self.parts + held[:, None].astype(np.float32)
        mixed *= ((1.0 - ALPHA) / length).astype(np.float32)[:, :, None]
        mixed += np.maximum(np.float32(ALPHA) * self.shares, np.float32(1e-9))[:, None]
        np.log(mixed, out=mixed)
        return np.asarray(np.float32(-self.weight) * np.matmul(mixed, self.shares[:, :, None])[:, :, 0])
