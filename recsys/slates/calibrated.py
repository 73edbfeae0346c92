"""Lists that are about what the history is about, and as popular: Steck's greedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import positive, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Content, Pool, SizedSlate
from recsys.slates.scores import free_scores, one_by_one, unit
from recsys.types import Doubles, Floats, Ints, Mask

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
        held = [np.zeros(axis.shares.shape) for axis in axes]

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

    A candidate changes the list's shares of its own labels alone, and the list's length by one. So its divergence needs
    a logarithm of each of its labels, beside those of the list: of films, a ninth of all labels.

    Attributes:
        parts: "queries pool labels".
        shares: "queries labels", p.
        weight: of the divergence.
        labelled: "queries pool", whether the candidate is about anything.
        candidate: "entries", of the labels of candidates of which the history holds something: whose, of all queries.
        label: "entries", which, of all queries.
        part: "entries", float32, how much of the candidate is about it.
        held: "entries", float32, how much of the history is.
    """

    parts: Doubles
    shares: Doubles
    weight: float
    labelled: Mask
    candidate: Ints
    label: Ints
    part: Floats
    held: Floats

    @classmethod
    def of(cls, content: Content, weight: float) -> _Axis:
        queries, pool, labels = content.parts.shape
        place = np.flatnonzero(content.parts > 0)  # of booleans, which is ten times as fast
        candidate, label = np.divmod(place, max(labels, 1))
        labelled = np.zeros(queries * pool, np.bool_)
        labelled[candidate] = True
        label += candidate // max(pool, 1) * labels
        part, held = (
            values.ravel()[at].astype(np.float32) for values, at in ((content.parts, place), (content.shares, label))
        )
        some = np.flatnonzero(held)
        entries = candidate[some], label[some], part[some], held[some]
        return cls(content.parts, content.shares, weight, labelled.reshape(queries, pool), *entries)

    def divergence(self, listed: Doubles) -> Doubles:
        """Return the weighted divergence of the lists with each candidate, "queries pool", up to -p log p of each.

        A candidate about nothing leaves the list's mixture as it is.

        Args:
            listed: "queries labels", sums of the parts of those that are listed.
        """
        length = listed.sum(1, keepdims=True)
        least = np.maximum(ALPHA * self.shares, 1e-9)
        unit = (1.0 - ALPHA) / (length + 1.0)
        mixed = listed * unit + least
        change = self.part / (mixed / unit).astype(np.float32).take(self.label)  # entries in float32: half of the time
        change += np.float32(1.0)
        np.log(change, out=change)
        change *= self.held
        fit = np.bincount(self.candidate, change, self.labelled.size).astype(np.float64, copy=False)  # int without any
        fit = fit.reshape(self.labelled.shape)
        fit += (self.shares * np.log(mixed)).sum(1, keepdims=True)
        if not self.labelled.all():
            mixed = listed * ((1.0 - ALPHA) / np.maximum(length, 1e-6)) + least
            fit = np.where(self.labelled, fit, (self.shares * np.log(mixed)).sum(1, keepdims=True))
        return np.asarray(-self.weight * fit)
