"""Choosers of pairs: by information, and PReF's as published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds
from scipy.special import expit, log_ndtr

from recsys.checks import positive, seed_of_draws, whole
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.questions import Answer, PairQuestion
from recsys.elicitation.taste import TasteBelief
from recsys.elicitation.taste_bases import TasteBases
from recsys.errors import CapabilityError, ConfigError
from recsys.types import Doubles, Ints

_NEWTON: Final = 25


def pair_bases(crowd: Crowd, dim: int = 12, *, each: int = 30, rounds: int = 60, seed: int = 0) -> Doubles:
    """Return "items dim", bases of a reward by factorising pooled pairs, as PReF makes its own.

        maximise  sum_(u, i over j) ln sigma(lambda_u . (phi_i - phi_j)) - penalties

    From a singular value decomposition of the ratings less the means of user and item, then by Adagrad.

    Args:
        crowd: the other people.
        dim: of the bases.
        each: pairs of each person, drawn at random.
        rounds: passes over all pairs.
        seed: of the pairs.

    Raises:
        CapabilityError: the crowd has no ratings, or fewer than two people or items.
    """
    if crowd.scale is None:
        raise CapabilityError("pairs are made of ratings, and this log has none; read a log of pairs")
    if min(crowd.n_users, crowd.n_items) < 2:
        raise CapabilityError(
            f"{crowd.n_users} people and {crowd.n_items} items make no pairs; give two of each at least"
        )
    centred = _centred(crowd)
    left, strength, right = map(np.asarray, svds(centred, k=min(dim, min(centred.shape) - 1), rng=seed))
    people, phi = left * np.sqrt(strength), (right * np.sqrt(strength)[:, None]).T
    user, winner, loser = _drawn_pairs(crowd, each, seed)
    count = len(user)
    of_items = sp.csr_matrix(
        (np.r_[np.ones(count), -np.ones(count)], (np.r_[:count, :count], np.r_[winner, loser])),
        shape=(count, crowd.n_items),
    )
    of_users = sp.csr_matrix((np.ones(count), (np.arange(count), user)), shape=(count, crowd.n_users))
    seen = np.full_like(people, 1e-8), np.full_like(phi, 1e-8)
    for _ in range(rounds):
        difference, own = of_items @ phi, of_users @ people
        wrong = expit(-(difference * own).sum(1))[:, None]
        to_people = of_users.T @ (wrong * difference) - people
        to_items = of_items.T @ (wrong * own) - phi
        seen = seen[0] + to_people**2, seen[1] + to_items**2
        people = people + 0.05 * to_people / np.sqrt(seen[0])
        phi = phi + 0.05 * to_items / np.sqrt(seen[1])
    return np.asarray(phi)


def _centred(crowd: Crowd) -> sp.csr_matrix:
    """Return the ratings less the means of their user and item."""
    ratings = crowd.ratings.copy()
    rows = np.repeat(np.arange(crowd.n_users), np.diff(ratings.indptr))
    for number, size in ((ratings.indices, crowd.n_items), (rows, crowd.n_users)):
        mean = np.bincount(number, ratings.data, size) / np.maximum(np.bincount(number, minlength=size), 1)
        ratings.data = ratings.data - mean[number]
    return ratings


def _drawn_pairs(crowd: Crowd, each: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Return user, preferred and other item of pairs that are drawn at random."""
    source, ratings = np.random.default_rng(seed), crowd.ratings
    user = np.repeat(np.arange(crowd.n_users), each)
    start, length = ratings.indptr[user], np.diff(ratings.indptr)[user]
    user, start, length = user[length > 1], start[length > 1], length[length > 1]
    first, second = (start + (source.random(len(user)) * length).astype(np.int64) for _ in range(2))
    differ = ratings.data[first] != ratings.data[second]
    user, first, second = user[differ], first[differ], second[differ]
    up = ratings.data[first] > ratings.data[second]
    chosen = np.where(up, first, second), np.where(up, second, first)
    return user, ratings.indices[chosen[0]].astype(np.int64), ratings.indices[chosen[1]].astype(np.int64)


def _pool(items: int, most: int, seed: int) -> Ints:
    """Return pairs of positions, "pairs 2": all of them, or `most` at random."""
    whole("pairs", most)
    seed_of_draws(seed)
    if items < 2:
        raise ConfigError(f"{items} items make no pair; give at least two")
    if items * (items - 1) // 2 <= most:
        return np.stack(np.triu_indices(items, 1), 1).astype(np.int64)
    source = np.random.default_rng(seed)
    first = source.integers(items, size=most)
    second = (first + source.integers(1, items, size=most)) % items
    return np.unique(np.sort(np.stack([first, second], 1), axis=1), axis=0)


def _keys(answers: Sequence[Answer]) -> set[tuple[int, int]]:
    return {(min(a.item, a.other), max(a.item, a.other)) for a in answers if a.other is not None}


@final
class PairsByInformation:
    """The pair whose answer is expected to tell most of the taste; one that asks of what is not known tells little.

        v = v_i - v_j,  o = b_i - b_j,  a = (o + v.m) / sqrt(c),  c = 2 s^2 + v'Sv
        gain = -P(known_i) P(known_j) ln(1 - w v'Sv / c),   w = phi(a)^2 / (Phi(a) Phi(-a))

    Args:
        bases: of taste; of answers of a language model `TasteBases.of_rewards`.
        candidates: items of which pairs are made; or the pairs themselves, "pairs 2", as of answers to one prompt.
        pairs: how many pairs are looked at, at random; all where there are fewer.
        seed: of the pairs.
    """

    def __init__(self, bases: TasteBases, candidates: Ints, pairs: int = 2_000, seed: int = 0) -> None:
        whole("pairs", pairs)
        self.bases = bases
        given = np.asarray(candidates, np.int64)
        if given.ndim == 1:
            self._pairs = given[_pool(len(given), pairs, seed)]
        else:
            kept = np.sort(np.random.default_rng(seed).permutation(len(given))[:pairs])
            self._pairs = given[kept]
        self._vectors = bases.vectors[self._pairs[:, 0]] - bases.vectors[self._pairs[:, 1]]
        self._offsets = bases.offsets[self._pairs[:, 0]] - bases.offsets[self._pairs[:, 1]]

    def next(self, answers: Sequence[Answer]) -> PairQuestion | None:
        """Return the next pair; None when all were asked."""
        belief = TasteBelief.of(self.bases, answers)
        spread = belief.variance(self._vectors)
        total = 2 * self.bases.noise**2 + spread
        a = (self._offsets + self._vectors @ belief.mean) / np.sqrt(total)
        w = np.exp(-a * a - np.log(2 * np.pi) - log_ndtr(a) - log_ndtr(-a))
        knows = belief.knows(self._pairs[:, 0]) * belief.knows(self._pairs[:, 1])
        gain = -knows * np.log1p(-w * spread / total)
        return _best(gain, self._pairs, answers)


@final
class PReFChoice:
    """The choice of Shenfeld, Faltings, Agrawal and Pacchiano (PReF, arXiv 2503.06358, 2025), as in the authors' code.

        the first pair at random, then   argmax_d sigma'(lambda.d)^2 d' S^-1 d,
        S = penalty I + sum_s sigma'(lambda.d_s) d_s d_s',   lambda by logistic regression of the answers so far

    where d = phi(i) - phi(j). It has no "don't know": a pair without a choice is asked, and tells nothing.

    Args:
        phi: "items d", bases of the reward.
        candidates: items of which pairs are made.
        pairs: how many pairs are looked at.
        penalty: of S and of lambda.
        seed: of the pairs and the first question.
    """

    def __init__(
        self, phi: Doubles, candidates: Ints, pairs: int = 2_000, penalty: float = 0.001, seed: int = 0
    ) -> None:
        positive("penalty", penalty)
        self.phi, self.penalty, self.seed = phi, penalty, seed
        self._pairs = np.asarray(candidates, np.int64)[_pool(len(candidates), pairs, seed)]
        self._differences = phi[self._pairs[:, 0]] - phi[self._pairs[:, 1]]

    def next(self, answers: Sequence[Answer], seed: int = 0) -> PairQuestion | None:
        """Return the next pair; None when all were asked. The first one is drawn with `seed`, which is the person's."""
        if not answers:
            first, second = self._pairs[np.random.default_rng([self.seed, seed]).integers(len(self._pairs))]
            return PairQuestion(int(first), int(second))
        coefficients = self.coefficients(answers)
        told = self._told(answers)
        slope = _slope(told @ coefficients)
        information = self.penalty * np.eye(self.phi.shape[1]) + (told.T * slope) @ told
        d = self._differences
        gain = _slope(d @ coefficients) ** 2 * ((d @ np.linalg.inv(information)) * d).sum(1)
        return _best(gain, self._pairs, answers)

    def coefficients(self, answers: Sequence[Answer]) -> Doubles:
        """Return lambda, "d", by Newton's method."""
        told = self._told(answers)
        point = np.zeros(self.phi.shape[1])
        ridge = max(self.penalty, 1e-2) * np.eye(len(point))  # answers that can be separated have no finite optimum
        for _ in range(_NEWTON if len(told) else 0):
            margin = told @ point
            slope = ridge @ point - told.T @ expit(-margin)
            step = np.linalg.solve(ridge + (told.T * _slope(margin)) @ told, slope)
            point = point - step * min(1.0, 2.0 / max(float(np.abs(told @ step).max()), 1e-9))
        return point

    def _told(self, answers: Sequence[Answer]) -> Doubles:
        """Return phi(preferred) - phi(other) of the choices, "choices d"."""
        chosen = [(a.item, a.other) for a in answers if a.kind == "prefer" and a.other is not None]
        return np.array([self.phi[i] - self.phi[j] for i, j in chosen]).reshape(-1, self.phi.shape[1])


def _slope(margin: Doubles) -> Doubles:
    return np.asarray(expit(margin) * expit(-margin))


def _best(gain: Doubles, pairs: Ints, answers: Sequence[Answer]) -> PairQuestion | None:
    done = _keys(answers)
    order = np.argsort(-gain, kind="stable")[: len(done) + 1]  # one of the best so many was not asked yet
    for first, second in pairs[order].tolist():
        if (min(first, second), max(first, second)) not in done:
            return PairQuestion(first, second)
    return None
