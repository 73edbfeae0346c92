"""The state of the mixture's estimation, and its steps: predictions, spreads, classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from scipy.optimize import minimize

from recsys.reliability.factors import Factors
from recsys.reliability.likelihood import Scale, Spreads, log_likelihoods
from recsys.reliability.posterior import classes, own_levels, user_shares
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Ints, Mask

_MOST: Final = 8_000
"""Pairs from which the spreads are estimated in each round."""
_START: Final = np.array([0.7, 0.15, 0.15])
_USUAL: Final = np.log([0.5, 0.5, 1.0, 0.5])
"""Spreads that are expected before anything is seen, as two answers would tell them."""


@final
@dataclass(frozen=True, eq=False)
class Estimate:
    """The state of the estimation.

    Attributes:
        responses: the answers.
        scale: their limits.
        user: "pairs".
        item: "pairs".
        answer: "pairs", mean of the answers of each.
        fold: "pairs".
        subset: positions of the pairs that the spreads are estimated on.
        own: "users", m_u.
        gamma: "pairs 3".
        user_shares: "users 3".
        spreads: of the classes.
        mean: "pairs", predicted preferences.
        variance: "pairs".
        whole: the factors of all pairs.
        factors: of the pairs outside each fold.
        kept: "3", the classes there are.
    """

    responses: Responses
    scale: Scale
    user: Ints
    item: Ints
    answer: Doubles
    fold: Ints
    subset: Ints
    own: Doubles
    gamma: Doubles
    user_shares: Doubles
    spreads: Spreads
    mean: Doubles
    variance: Doubles
    whole: Factors
    factors: tuple[Factors, ...]
    kept: Mask

    @classmethod
    def begun(cls, responses: Responses, folds: int, size: int, seed: int) -> Estimate:
        """Return where the estimation begins: predictions know nothing, and most answers are genuine."""
        rng = np.random.default_rng(seed)
        pairs, first = responses.n_pairs, responses.first
        user, item = responses.user[first].astype(np.int64), responses.item[first].astype(np.int64)
        answer = np.bincount(responses.pair, responses.value, pairs) / responses.counts
        fold = rng.permutation(np.arange(pairs) % folds)
        shape = responses.n_users, responses.n_items

        def start(part: Mask) -> Factors:
            return Factors.start(user[part], item[part], answer[part], np.ones(int(part.sum())), shape, size)

        whole, *factors = [start(fold != k) for k in range(-1, folds)]
        whole = whole.fitted(user, item, answer, np.ones(pairs), sweeps=30)
        subset = np.sort(rng.permutation(pairs)[:_MOST])
        deviation = float(responses.value.std())
        spreads = Spreads.of(deviation * np.exp(_USUAL), np.full(len(responses.names), 0.5))
        return cls(
            responses,
            Scale.of(responses),
            user,
            item,
            answer,
            fold,
            subset,
            own_levels(responses, float(responses.value.mean())),
            np.tile(_START, (pairs, 1)),
            np.tile(_START, (responses.n_users, 1)),
            spreads,
            np.zeros(pairs),
            np.ones(pairs),
            whole,
            tuple(factors),
            np.ones(3, np.bool_),
        )

    def weights(self) -> Doubles:
        """Return "pairs", how far the mean answer counts: by gamma, and by how much several answers are worth."""
        taste, genuine = self.spreads.taste**2, self.spreads.genuine**2
        return self.gamma[:, 0] * (taste + genuine) / (taste + genuine / self.responses.counts)

    def predicted(self) -> Estimate:
        """Predict each preference from the others."""
        weight, mean, variance = self.weights(), np.empty(len(self.user)), np.empty(len(self.user))
        columns = (self.user, self.item, self.answer, weight)
        whole = self.whole.fitted(*columns, learns="scale")
        factors = []
        for k, former in enumerate(self.factors):
            judged = self.fold == k
            others = ~judged
            # Of fewer ratings the weaker dimensions would be given up.
            start = former.with_priors_of(whole)
            part = self.user[others], self.item[others], self.answer[others], weight[others]
            fitted = start.fitted(*part, learns="nothing")
            factors.append(fitted)
            user = fitted.of_users(*columns, self.responses.n_users)
            mean[judged], variance[judged] = user.without(*(column[judged] for column in columns))
        return replace(self, mean=mean, variance=variance, whole=whole, factors=tuple(factors))

    def spread(self) -> Estimate:
        """Estimate the spreads from a part of the pairs, given their classes."""
        part = np.zeros(len(self.user), np.bool_)
        part[self.subset] = True
        answers = self.responses.take(part[self.responses.pair])
        scale, gamma = Scale.of_levels(answers.value, self.responses.levels), self.gamma[self.subset] * self.kept
        mean, variance = self.mean[self.subset], self.variance[self.subset]
        unit = np.log(self.responses.value.std())

        def loss(x: Doubles) -> float:
            spreads = Spreads.of(np.exp(x[:4]), x[4:])
            likelihoods = log_likelihoods(answers, scale, mean, variance, self.own, spreads)
            return float(2 * ((x[:4] - unit - _USUAL) ** 2).sum() - (gamma * likelihoods).sum()) / len(gamma)

        former = self.spreads
        start = np.r_[
            np.log([former.genuine, former.taste, former.random, former.constructed]), np.asarray(former.pull)
        ]
        bounds = [(unit - 3, unit + 2)] * 4 + [(-5.0, 5.0)] * len(former.pull)
        x = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 6}, bounds=bounds).x
        return replace(self, spreads=Spreads.of(np.exp(x[:4]), x[4:]))

    def judged(self, shrinkage: float) -> Estimate:
        """Return the run with the classes of all pairs, and the users' shares, in turns."""
        likelihoods = log_likelihoods(self.responses, self.scale, self.mean, self.variance, self.own, self.spreads)
        gamma, shares = self.gamma, self.user_shares
        for _ in range(8):
            gamma = classes(likelihoods, shares[self.user])
            shares = user_shares(gamma, self.user, self.responses.n_users, gamma.mean(0), shrinkage)
        return replace(self, gamma=gamma, user_shares=shares)

    def shares(self) -> Doubles:
        return np.asarray(self.gamma.mean(0))

    def predicts(self) -> bool:
        """Whether predictions are nearer to the answers than the users' means are, where answers are genuine."""
        weight = self.gamma[:, 0]
        own = self.own[self.user]
        return bool((weight * ((self.answer - self.mean) ** 2 - (self.answer - own) ** 2)).sum() < 0)
