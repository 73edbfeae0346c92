"""How often each persona acts, as a system may believe: from what was chosen, with or without what was shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import positive, whole
from recsys.types import Doubles, Ints, Items


@final
@dataclass(frozen=True, eq=False)
class Record:
    """What a system knows of the personas of its users.

    Attributes:
        organic: "users personas": what users chose of each by themselves, counted.
        shown: "rounds users personas": places of each in the lists.
        taken: "rounds users", int32: the persona of what was taken; `UNKNOWN` for nothing.
    """

    organic: Ints
    shown: Ints
    taken: Items

    @property
    def clicks(self) -> Ints:
        """ "users personas": what was taken from lists, counted."""
        own = self.taken[:, :, None] == np.arange(self.organic.shape[1])
        return np.asarray(own.sum(0), np.int64)


class Belief(ABC):
    """Estimates how often each persona acts. A frozen dataclass of settings."""

    @abstractmethod
    def shares(self, record: Record) -> Doubles:
        """Return b_uk, "users personas"; rows sum to 1."""


@final
@dataclass(frozen=True)
class Organic(Belief):
    """The shares of what users chose by themselves: it never learns."""

    def shares(self, record: Record) -> Doubles:
        return _normal(record.organic.astype(np.float64))


@final
@dataclass(frozen=True)
class History(Belief):
    """The shares of everything that was chosen: it learns from what it showed, and feeds on itself."""

    def shares(self, record: Record) -> Doubles:
        return _normal((record.organic + record.clicks).astype(np.float64))


@final
@dataclass(frozen=True)
class Rate(Belief):
    """Clicks per exposure, shrunken to the organic shares.

        b_uk ~ (c_uk + prior p_uk) / (C_u e_uk / E_u + prior / K)

    c_uk and e_uk are the choices and the places of persona k in lists so far, C_u and E_u their sums, p_uk the organic
    shares, K the number of personas: one that had twice the places and was taken twice as often is worth the same.

    Args:
        prior: number of choices that the organic shares are worth.
    """

    prior: float = 1.0

    def __post_init__(self) -> None:
        positive("prior", self.prior)

    def shares(self, record: Record) -> Doubles:
        clicks, shown = record.clicks, record.shown.sum(0)
        part = _normal(shown.astype(np.float64)) * clicks.sum(1, keepdims=True)
        even = 1.0 / clicks.shape[1]
        return _normal((clicks + self.prior * _normal(record.organic.astype(np.float64))) / (part + self.prior * even))


@final
@dataclass(frozen=True)
class Mixture(Belief):
    """Which persona acted, given what it could choose from: a mixture, shrunken to the organic shares.

        P(taken is k's | list) = sum_m b_um n_k e^(s [k = m]) / sum_j n_j e^(s [j = m])
        b_u = argmax sum_t log P + sum_k (prior p_uk + floor) log b_uk                by EM

    n_k is the number of places of persona k in the list, s how much a persona prefers its own items. What could not be
    chosen says nothing against a persona, and a persona that chose among few of its own says more than one that chose
    among many. Ours; a conditional logit (McFadden 1974) within a mixture.

    Args:
        strength: s.
        prior: number of choices that the organic shares are worth.
        floor: choices added to each persona, which keeps none at 0.
        rounds: of EM.
    """

    strength: float = 2.0
    prior: float = 3.0
    floor: float = 1.0
    rounds: int = 30

    def __post_init__(self) -> None:
        for name in ("strength", "prior", "floor"):
            positive(name, getattr(self, name))
        whole("rounds", self.rounds)

    def shares(self, record: Record) -> Doubles:
        before = self.prior * _normal(record.organic.astype(np.float64)) + self.floor
        own, count = record.taken != -1, before.shape[1]
        shares = _normal(before)
        if not own.any():
            return shares
        shown = record.shown.astype(np.float64)
        total = shown.sum(2)
        taken = np.take_along_axis(shown, np.maximum(record.taken, 0)[:, :, None], 2)[:, :, 0]
        # of persona m that acts: the chance that what is taken is what was taken, "rounds users personas"
        weight = np.exp(self.strength)
        drawn = total[:, :, None] + (weight - 1) * shown  # 0 where there was no list
        likely = np.divide(taken[:, :, None], drawn, out=np.zeros_like(drawn), where=drawn > 0)
        hit = record.taken[:, :, None] == np.arange(count)
        likely = np.where(hit, weight * likely, likely) * own[:, :, None]
        for _ in range(self.rounds):
            joint = shares * likely
            whole = joint.sum(2, keepdims=True)
            shares = _normal(before + np.divide(joint, whole, out=np.zeros_like(joint), where=whole > 0).sum(0))
        return shares


def _normal(values: Doubles) -> Doubles:
    """Scale rows to sum 1; rows of zeros become even."""
    total = values.sum(1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), 1.0 / values.shape[1])
