"""Bases of taste: offsets and vectors of items, by EM on a crowd's ratings, or given, such as personas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np

from recsys.checks import positive, seed_of_draws, whole
from recsys.elicitation.crowd import Crowd
from recsys.errors import CapabilityError, DataError
from recsys.types import Doubles

_CHUNK: Final = 20_000
"""Users whose covariances are in memory at once."""

_FEW: Final = 5.0
"""Ratings at the mean that are added to each item's offset."""

_PENALTY: Final = 8.0
"""Of the vectors, in units of the noise."""

LOGISTIC: Final = 1.702
"""Standard deviation of the normal distribution that is closest to the standard logistic one (Camilli, 1994)."""


@final
@dataclass(frozen=True, eq=False)
class TasteBases:
    """What ratings and known items say of a person's taste u, whose prior is N(0, I).

        r_ui = b_i + v_i . u + e,   e ~ N(0, s^2);      k_ui = p_i + g_i . u + e',   var e' = p_i (1 - p_i) / t

    Flags of neighbours are not independent, so that those of being known are tempered by t.

    Attributes:
        offsets: "items", b_i.
        vectors: "items d", v_i.
        noise: s.
        known: "items", p_i, strictly between 0 and 1; 1 where everything is known, as answers of a language model are.
        known_vectors: "items d", g_i.
        temper: t; 0 reads nothing from "don't know".
        mixing: "d d", from u to coordinates in the bases that were given.
        audience: "items d", a_i, the mean taste of those who rated each item: people choose what they see, so that the
            mean rating of an item is b_i + v_i . a_i, which is what somebody who knows it, and of whom nothing else is
            known, is expected to say.
    """

    offsets: Doubles
    vectors: Doubles
    noise: float
    known: Doubles
    known_vectors: Doubles
    temper: float
    mixing: Doubles
    audience: Doubles

    @classmethod
    def of(
        cls,
        crowd: Crowd,
        dim: int = 12,
        *,
        bases: Doubles | None = None,
        temper: float = 0.15,
        rounds: int = 15,
        seed: int = 0,
    ) -> Self:
        """Fit to a crowd's ratings by expectation maximisation, from a random start.

        Args:
            crowd: the other people.
            dim: d, when no bases are given.
            bases: "items d", directions of taste that are given, such as the share of each persona in each item; the
                vectors are then linear combinations of them with prior N(0, I).
            temper: t.
            rounds: of EM.
            seed: of the start.

        Raises:
            CapabilityError: the crowd has no ratings.
            DataError: bases of another catalogue, or with values that are not finite.
            ConfigError: a setting is out of range.
        """
        whole("dim", dim)
        whole("rounds", rounds)
        positive("temper", temper, zero=True)
        seed_of_draws(seed)
        if crowd.scale is None:
            raise CapabilityError("a belief in taste is learned from ratings, and this log has none; use RankingBases")
        if bases is not None and (bases.ndim != 2 or len(bases) != crowd.n_items or not np.isfinite(bases).all()):
            raise DataError(
                f"bases of shape {bases.shape} for {crowd.n_items} items; give one row of finite numbers for each"
            )
        state = _Expectation(crowd, dim if bases is None else bases.shape[1], bases, seed)
        for _ in range(rounds):
            state.step()
        known = np.clip(crowd.known_shares, 1e-4, 1 - 1e-4)
        flags, audience = state.known_vectors(crowd, known), state.audience()
        return cls(state.offsets, state.vectors, state.variance**0.5, known, flags, temper, state.mixing, audience)

    @classmethod
    def of_rewards(cls, common: Doubles, each: Doubles) -> Self:
        """Return the bases of a linear reward s_u(i) = common_i + each_i . u with prior N(0, I), for pairs of texts.

        The choice between two answers is logistic there; here it is the probit that is closest. Everything is known.

        Args:
            common: "items", everybody's reward.
            each: "items d", what each coordinate of a person adds, see `recsys.models.preference.PersonaReward.bases`.
        """
        items, dim = each.shape
        none = np.zeros((items, dim))
        return cls(common, each, LOGISTIC / 2**0.5, np.ones(items), none, 0.0, np.eye(dim), none)

    @property
    def dim(self) -> int:
        """Length of a taste."""
        return int(self.vectors.shape[1])


@final
class _Expectation:
    """Expectation maximisation: posteriors of the people given the items, then the items given these."""

    def __init__(self, crowd: Crowd, dim: int, bases: Doubles | None, seed: int) -> None:
        self._values = crowd.ratings.astype(np.float64)
        self._rated = self._values.copy()
        self._rated.data = np.ones_like(self._values.data)
        self._value_rows, self._rated_rows = self._values.T.tocsr(), self._rated.T.tocsr()
        self._count = np.asarray(self._rated.sum(0)).ravel()
        self._sums = np.asarray(self._values.sum(0)).ravel()
        self._mean = float(self._values.data.mean())
        self._fixed = bases is not None
        self.offsets = (self._sums + _FEW * self._mean) / (self._count + _FEW)
        self.vectors = np.asarray(bases, np.float64).copy() if bases is not None else self._start(dim, seed)
        self.variance = float(self._values.data.var())
        self.mixing = np.eye(dim)
        self._upper = np.triu_indices(dim)
        self._place = np.zeros((dim, dim), np.int64)
        self._place[self._upper] = self._place.T[self._upper] = np.arange(len(self._upper[0]))

    def _start(self, dim: int, seed: int) -> Doubles:
        vectors = 0.1 * np.random.default_rng(seed).standard_normal((len(self._count), dim))
        vectors[:, 0] = 0.4  # people differ most in how high they rate everything
        return vectors

    def step(self) -> None:
        """Do one round."""
        dim, items = self.vectors.shape[1], len(self._count)
        squares, means = np.zeros((items, len(self._upper[0]))), np.zeros((items, dim))
        cross = np.zeros((items, dim))
        total, square, people = np.zeros(dim), np.zeros((dim, dim)), self._rated.shape[0]
        for rows, mean, covariance in self._posteriors():
            second = covariance + mean[:, :, None] * mean[:, None, :]
            squares += self._rated_rows[:, rows] @ second[:, self._upper[0], self._upper[1]]
            means += self._rated_rows[:, rows] @ mean
            cross += self._value_rows[:, rows] @ mean
            total, square = total + mean.sum(0), square + second.sum(0)
        average = total / people
        spread = square / people - np.outer(average, average)
        if not self._fixed:
            self._fit_items(squares, means, cross)
        else:
            fitted = (self.vectors * means).sum(1)
            self.offsets = (self._sums - fitted + _FEW * self._mean) / (self._count + _FEW)
        # Prior N(0, I): the mean moves into the offsets, the covariance into the vectors.
        error = self._errors(squares, means, cross)
        self.variance = max(error / float(self._count.sum()), 1e-6)
        self.offsets = self.offsets + self.vectors @ average
        factor = np.linalg.cholesky(spread + 1e-9 * np.eye(dim))
        self.vectors, self.mixing = self.vectors @ factor, self.mixing @ factor

    def _fit_items(self, squares: Doubles, means: Doubles, cross: Doubles) -> None:
        dim = means.shape[1]
        system = np.zeros((len(means), dim + 1, dim + 1))
        system[:, :dim, :dim] = squares[:, self._place]
        system[:, :dim, dim] = system[:, dim, :dim] = means
        system[:, dim, dim] = self._count + _FEW
        system[:, np.arange(dim), np.arange(dim)] += _PENALTY * self.variance
        right = np.concatenate([cross, (self._sums + _FEW * self._mean)[:, None]], 1)
        solved = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        self.vectors, self.offsets = solved[:, :dim], solved[:, dim]

    def _errors(self, squares: Doubles, means: Doubles, cross: Doubles) -> float:
        """Return the expected sum of squared residuals of all ratings."""
        v, b = self.vectors, self.offsets
        outer = np.einsum("ia,iab,ib->i", v, squares[:, self._place], v)
        quadratic = outer + 2 * b * (v * means).sum(1) + b * b * self._count
        return float((self._values.data**2).sum() - 2 * ((v * cross).sum() + b @ self._sums) + quadratic.sum())

    def _posteriors(self) -> list[tuple[slice, Doubles, Doubles]]:
        """Return the means and covariances of the people's tastes, in chunks of people."""
        dim = self.vectors.shape[1]
        outer = self.vectors[:, self._upper[0]] * self.vectors[:, self._upper[1]]
        found: list[tuple[slice, Doubles, Doubles]] = []
        for start in range(0, self._rated.shape[0], _CHUNK):
            rows = slice(start, start + _CHUNK)
            rated = self._rated[rows]
            precision = np.asarray(rated @ outer)[:, self._place] / self.variance + np.eye(dim)
            covariance = np.linalg.inv(precision)
            right = (self._values[rows] @ self.vectors - rated @ (self.offsets[:, None] * self.vectors)) / self.variance
            mean = np.asarray((covariance @ right[:, :, None])[:, :, 0])
            found.append((rows, mean, np.asarray(covariance)))
        return found

    def audience(self) -> Doubles:
        """Return the mean taste of those who rated each item, with a few people at 0."""
        sums = sum(self._rated_rows[:, rows] @ mean for rows, mean, _ in self._posteriors())
        return np.asarray(sums / (self._count + _FEW)[:, None])

    def known_vectors(self, crowd: Crowd, known: Doubles) -> Doubles:
        """Return g_i, by least squares of the known flags on the people's tastes."""
        dim = self.vectors.shape[1]
        square, cross = 30.0 * np.eye(dim), np.zeros((dim, len(known)))
        for rows, mean, covariance in self._posteriors():
            square += covariance.sum(0) + mean.T @ mean
            cross += (crowd.known[rows].T @ mean).T - np.outer(mean.sum(0), known)
        return np.asarray(np.linalg.solve(square, cross).T)
