"""The taste belief: a normal distribution of somebody's taste, updated by one answer after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy.special import log_ndtr, ndtr

from recsys.elicitation.questions import Answer
from recsys.elicitation.taste_bases import TasteBases
from recsys.types import Doubles, Ints

_CERTAIN: Final = 1e-3
"""A known share this close to 0 or 1 tells nothing."""


@final
@dataclass(frozen=True, eq=False)
class TasteBelief:
    """N(mean, covariance) of a person's taste u.

    Ratings, and the flags of being known, are exact updates of a normal distribution. A like or a dislike, and a choice
    between two items, is a probit, of which the first two moments are matched (Rasmussen and Williams, *Gaussian
    Processes for Machine Learning*, 2006, section 3.9):

        a = y (o + v.m) / sqrt(c),  c = s^2 + v'Sv,  h = phi(a) / Phi(a)
        m <- m + y h Sv / sqrt(c),  S <- S - h (a + h) Sv v'S / c

    Of an item v = v_i and o = b_i less the lowest rating that is liked; of a pair v = v_i - v_j and o = b_i - b_j, with
    2 s^2 in the place of s^2.

    Attributes:
        bases: offsets and vectors of the items.
        mean: "d".
        covariance: "d d".
        liked_at: the lowest rating that counts as liked, for likes and dislikes.
    """

    bases: TasteBases
    mean: Doubles
    covariance: Doubles
    liked_at: float

    @staticmethod
    def of(bases: TasteBases, answers: Sequence[Answer] = (), liked_at: float = 0.0) -> TasteBelief:
        """Return the belief after some answers; before any it is N(0, I)."""
        belief = TasteBelief(bases, np.zeros(bases.dim), np.eye(bases.dim), liked_at)
        for answer in answers:
            belief = belief.update(answer)
        return belief

    def update(self, answer: Answer) -> TasteBelief:
        """Return the belief after one more answer."""
        belief = self
        unsure = answer.kind == "dont_know"
        for item in (answer.item,) if answer.other is None else (answer.item, answer.other):
            if not (unsure and answer.other is not None):  # which of the two is not known is not said
                belief = belief._told_known(item, not unsure)
        bases, item = self.bases, answer.item
        if answer.kind == "rating":
            assert answer.value is not None
            return belief._linear(bases.vectors[item], answer.value - bases.offsets[item], bases.noise**2)
        if answer.kind in ("like", "dislike"):
            sign = 1.0 if answer.kind == "like" else -1.0
            return belief._probit(bases.vectors[item], bases.offsets[item] - self.liked_at, sign, bases.noise**2)
        if answer.other is not None and not unsure:
            direction = bases.vectors[item] - bases.vectors[answer.other]
            offset = float(bases.offsets[item] - bases.offsets[answer.other])
            if answer.kind == "same":
                return belief._linear(direction, -offset, 2 * bases.noise**2)
            return belief._probit(direction, offset, 1.0, 2 * bases.noise**2)
        return belief

    @property
    def expected(self) -> Doubles:
        """ "items", the rating that is expected of somebody who knows the item: b_i + v_i . (m + S a_i).

        Before any answer that is the mean rating of the item. The more is known of the person, the less it matters whom
        the item attracts (ours).
        """
        bases = self.bases
        attracted = ((bases.vectors @ self.covariance) * bases.audience).sum(1)
        return np.asarray(bases.offsets + bases.vectors @ self.mean + attracted)

    @property
    def sd(self) -> Doubles:
        """ "items", the standard deviation of a rating, its noise included."""
        return np.asarray(np.sqrt(self.variance(self.bases.vectors) + self.bases.noise**2))

    @property
    def liked(self) -> Doubles:
        """ "items", the probability that the item is known and rated at least `liked_at`."""
        return np.asarray(ndtr((self.expected - self.liked_at) / self.sd) * self.knows(slice(None)))

    @property
    def coordinates(self) -> Doubles:
        """ "d", where the taste differs from the crowd's mean, in the coordinates of the bases that were given."""
        return np.asarray(self.bases.mixing @ self.mean)

    @property
    def known(self) -> float:
        """The share of the variance of the taste that the answers explain."""
        return float(1.0 - np.trace(self.covariance) / self.bases.dim)

    def knows(self, items: Ints | slice) -> Doubles:
        """Return the probability that somebody of this taste knows each item, between .01 and .99 or exactly 1."""
        bases = self.bases
        share = bases.known[items] + bases.known_vectors[items] @ self.mean
        return np.where(bases.known[items] >= 1, 1.0, np.clip(share, 0.01, 0.99))

    def variance(self, vectors: Doubles) -> Doubles:
        """Return v'Sv of rows v."""
        return np.asarray(((vectors @ self.covariance) * vectors).sum(1))

    def probability(self, first: int, second: int) -> float:
        """Return the probability that the first of two items is preferred."""
        v = self.bases.vectors[first] - self.bases.vectors[second]
        offset = self.bases.offsets[first] - self.bases.offsets[second]
        spread = 2 * self.bases.noise**2 + float(v @ self.covariance @ v)
        return float(ndtr((offset + v @ self.mean) / spread**0.5))

    def _told_known(self, item: int, known: bool) -> TasteBelief:
        share, temper = float(self.bases.known[item]), self.bases.temper
        if temper == 0 or not _CERTAIN / 10 < share < 1:
            return self
        vector = self.bases.known_vectors[item]
        return self._linear(vector, float(known) - share, share * (1 - share) / temper)

    def _linear(self, vector: Doubles, value: float, variance: float) -> TasteBelief:
        """Condition on vector . u + e = value, e ~ N(0, variance)."""
        moved = self.covariance @ vector
        total = variance + float(vector @ moved)
        mean = self.mean + moved * ((value - float(vector @ self.mean)) / total)
        return TasteBelief(self.bases, mean, self.covariance - np.outer(moved, moved) / total, self.liked_at)

    def _probit(self, vector: Doubles, offset: float, sign: float, variance: float) -> TasteBelief:
        """Condition on sign (offset + vector . u + e) > 0, by matching moments."""
        moved = self.covariance @ vector
        total = variance + float(vector @ moved)
        a = sign * (offset + float(vector @ self.mean)) / total**0.5
        h = float(np.exp(-0.5 * a * a - 0.5 * np.log(2 * np.pi) - log_ndtr(a)))
        mean = self.mean + sign * h * moved / total**0.5
        covariance = self.covariance - h * (a + h) * np.outer(moved, moved) / total
        return TasteBelief(self.bases, mean, covariance, self.liked_at)
