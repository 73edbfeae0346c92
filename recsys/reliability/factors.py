"""What a user would think of an item: matrix factorisation with its uncertainty, weighted by how far answers count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recsys.types import Doubles, Ints

_NOISE_EVERY = 5
"""Sweeps after which the noise is estimated anew."""

_SWEEPS: Final = 20


@final
@dataclass(frozen=True, eq=False)
class Side:
    """Posterior of the users or of the items: an offset and a vector each.

    Attributes:
        mean: "rows 1+size", the offset first.
        covariance: "rows 1+size 1+size".
        prior: "1+size", variance of the prior of each coordinate.
    """

    mean: Doubles
    covariance: Doubles
    prior: Doubles


@final
@dataclass(frozen=True, eq=False)
class Factors:
    """theta_ui = mu + a_u + b_i + p_u . q_i, with Gaussian posteriors of users and items.

    Each side is the Bayesian regression on the other, whose uncertainty is part of it. Source: Lim and Teh,
    *Variational Bayesian Approach to Movie Rating Prediction*, KDD Cup 2007, with offsets, and with weights of the
    ratings. The variances of the noise and of the offsets' priors are estimated as there; those of the vectors' where
    `fitted` is told so: where ratings are few or noisy their estimates are too small, and every taste vanishes.

    Attributes:
        middle: mu.
        users: offsets a and vectors p.
        items: offsets b and vectors q.
        noise: variance of a rating about theta.
    """

    middle: float
    users: Side
    items: Side
    noise: float

    @classmethod
    def start(
        cls, user: Ints, item: Ints, value: Doubles, weight: Doubles, shape: tuple[int, int], size: int
    ) -> Factors:
        """Return where estimation begins: shrunken offsets, and the first singular vectors of what they leave.

        Begun at random, the weaker dimensions are given up before they have found their place.

        Args:
            user: "ratings".
            item: "ratings".
            value: "ratings".
            weight: "ratings".
            shape: numbers of users and items.
            size: length of the vectors.
        """
        size = max(min(size, min(shape) - 1), 0)
        total = float(weight.sum())
        middle = float((weight * value).sum()) / max(total, 1e-9)
        rest = value - middle
        offsets = []
        for place, rows in ((item, shape[1]), (user, shape[0])):
            offset = np.bincount(place, weight * rest, rows) / (np.bincount(place, weight, rows) + 5.0)
            rest = rest - offset[place]
            offsets.append(offset[:, None])
        matrix = sp.csr_matrix((weight * rest, (user, item)), shape=shape)
        vectors = np.zeros((shape[0], size)), np.zeros((size, shape[1]))
        if size and matrix.data.any():
            left, _, right = svds(matrix, k=size, v0=np.random.default_rng(0).random(min(shape)))
            vectors = np.sqrt(shape[0]) * left / 2, np.sqrt(shape[1]) * right / 2

        noise = max(float((weight * rest**2).sum()) / max(total, 1e-9), 1e-3)

        def side(offset: Doubles, vector: Doubles) -> Side:
            spread = np.tile(0.1 * np.eye(size + 1), (len(offset), 1, 1))
            return Side(np.hstack([offset, vector]), spread, np.full(size + 1, 0.3))

        return cls(middle, side(offsets[1], vectors[0]), side(offsets[0], vectors[1].T), noise)

    @classmethod
    def of(cls, user: Ints, item: Ints, value: Doubles, weight: Doubles, shape: tuple[int, int], size: int) -> Factors:
        """Return the factors of ratings, all variances estimated; arguments as for `start`."""
        columns = user, item, value, weight
        return cls.start(*columns, shape, size).fitted(*columns, _SWEEPS, learns=True)

    def scaled(self, by: float) -> Factors:
        """Return the factors with the prior variances of the vectors times a factor."""
        users, items = (
            replace(side, prior=np.r_[side.prior[:1], by * side.prior[1:]]) for side in (self.users, self.items)
        )
        return replace(self, users=users, items=items)

    def foretells(self, user: Ints, item: Ints, value: Doubles, weight: Doubles) -> float:
        """Return the mean log-likelihood of other ratings, by their weights."""
        mean, variance = self.predicted(user, item)
        variance = variance + self.noise
        likelihood = -0.5 * ((value - mean) ** 2 / variance + np.log(2 * np.pi * variance))
        return float((weight * likelihood).sum() / max(float(weight.sum()), 1e-9))

    def fitted(
        self, user: Ints, item: Ints, value: Doubles, weight: Doubles, sweeps: int = 5, learns: bool = False
    ) -> Factors:
        """Return the factors after some sweeps over ratings.

        Args:
            user: "ratings".
            item: "ratings".
            value: "ratings".
            weight: "ratings", how far each counts; its precision is weight / noise.
            sweeps: alternations of users and items.
            learns: whether the variances of the vectors' priors are estimated, each for itself.
        """
        counted = weight > 0
        user, item, value, weight = user[counted], item[counted], value[counted], weight[counted]
        total = float(weight.sum())
        if total <= 0:
            return self
        result = self
        middle = float((weight * value).sum() / total)
        rest = value - middle
        shape = len(self.users.mean), len(self.items.mean)
        by_user = [sp.csr_matrix((column, (user, item)), shape=shape) for column in (weight, weight * rest)]
        by_item = [matrix.T.tocsr() for matrix in by_user]
        for sweep in range(sweeps):
            users = _regressed(result.users, result.items, by_user[0], by_user[1], result.noise, learns)
            items = _regressed(result.items, users, by_item[0], by_item[1], result.noise, learns)
            result = Factors(middle, users, items, result.noise)
            if sweep % _NOISE_EVERY == _NOISE_EVERY - 1 or sweep == sweeps - 1:  # it takes as long as a sweep
                mean, variance = result.predicted(user, item)
                noise = float((weight * ((value - mean) ** 2 + variance)).sum() / total)
                result = replace(result, noise=max(noise, 1e-3))
        return result

    def predicted(self, user: Ints, item: Ints) -> tuple[Doubles, Doubles]:
        """Return mean and variance of theta for pairs of user and item, "pairs" each."""
        u, v = self.users, self.items
        p, q = u.mean[user], v.mean[item]
        mean = self.middle + p[:, 0] + q[:, 0] + (p[:, 1:] * q[:, 1:]).sum(1)
        x, y = p.copy(), q.copy()
        x[:, 0] = y[:, 0] = 1.0
        of_user, of_item = u.covariance[user], v.covariance[item]
        variance = np.einsum("ri,rij,rj->r", y, of_user, y) + np.einsum("ri,rij,rj->r", x, of_item, x)
        return mean, variance + np.einsum("rij,rij->r", of_user[:, 1:, 1:], of_item[:, 1:, 1:])

    def without(self, user: Ints, item: Ints, value: Doubles, weight: Doubles) -> tuple[Doubles, Doubles]:
        """Return mean and variance of theta as the user's other ratings tell it, with the items as they are.

        A user's posterior is one regression, so leaving a rating out has a closed form, up to the items'
        own uncertainty.

        Args:
            user: "ratings", of users whose posterior is `of_users` of these very ratings.
            item: "ratings".
            value: "ratings".
            weight: "ratings".
        """
        mean, variance = self.predicted(user, item)
        design = self.items.mean[item].copy()
        design[:, 0] = 1.0
        spread = np.einsum("ri,rij,rj->r", design, self.users.covariance[user], design)
        left = np.maximum(1.0 - weight / self.noise * spread, 0.05)
        return value - (value - mean) / left, variance + spread * (1 / left - 1)

    def of_users(self, user: Ints, item: Ints, value: Doubles, weight: Doubles, n_users: int) -> Factors:
        """Return the factors with users who are told by ratings alone, and the items as they are."""
        shape = n_users, len(self.items.mean)
        weights = sp.csr_matrix((weight, (user, item)), shape=shape)
        rests = sp.csr_matrix((weight * (value - self.middle), (user, item)), shape=shape)
        blank = Side(np.zeros((n_users, self.users.mean.shape[1])), np.zeros((n_users, 1, 1)), self.users.prior)
        return replace(self, users=_regressed(blank, self.items, weights, rests, self.noise, learns=False))


def _regressed(
    side: Side, other: Side, weights: sp.csr_matrix, rests: sp.csr_matrix, noise: float, learns: bool
) -> Side:
    """Return the posterior of one side, given the other, with the prior of the offsets that follows from it.

    The design of a rating is (1, vector of the other side); the offset of the other side is taken from the rating.

    Args:
        side: what is to be estimated.
        other: the other side.
        weights: "rows others", how far each rating counts.
        rests: "rows others", weight times rating, less the middle.
        noise: variance of a rating.
        learns: see `Factors.fitted`.
    """
    size = other.mean.shape[1]
    design = other.mean.copy()
    design[:, 0] = 1.0
    spread = other.covariance.copy()
    offset = other.mean[:, :1] * design + spread[:, 0]  # E[offset * design]
    offset[:, 0] = other.mean[:, 0]
    spread[:, 0] = spread[:, :, 0] = 0.0
    outer = (design[:, :, None] * design[:, None] + spread).reshape(len(design), -1)
    precision = np.asarray(weights @ outer).reshape(-1, size, size) / noise
    precision[:, np.arange(size), np.arange(size)] += 1.0 / side.prior
    covariance = np.linalg.inv(precision)
    mean = np.einsum("rij,rj->ri", covariance, np.asarray(rests @ design - weights @ offset) / noise)
    estimated = np.maximum((mean**2 + np.diagonal(covariance, axis1=1, axis2=2)).mean(0), 1e-4)
    prior = estimated if learns else np.r_[estimated[:1], side.prior[1:]]
    return Side(mean, np.asarray(covariance, np.float64), np.asarray(prior, np.float64))
