"""The state of the mixture's estimation, and its steps: predictions, spreads, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from scipy.optimize import minimize

from recsys.reliability.factors import Factors
from recsys.reliability.likelihood import Scale, Spreads, log_likelihoods, log_preferences
from recsys.reliability.posterior import classes, own_levels, user_shares
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Ints, Mask

_MOST: Final = 8_000
"""Pairs from which the spreads are estimated in each round."""
_STEP: Final = 1.3
"""Between priors that are tried in a round."""
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
        rounds: of predictions so far.
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
    rounds: int = 0

    @classmethod
    def begun(cls, responses: Responses, folds: int, size: int, seed: int) -> Estimate:
        """Return where the estimation begins: predictions know nothing, and most answers are genuine."""
        rng = np.random.default_rng(seed)
        folds = min(folds, responses.n_pairs)
        pairs, first = responses.n_pairs, responses.first
        user, item = responses.user[first].astype(np.int64), responses.item[first].astype(np.int64)
        answer = np.bincount(responses.pair, responses.value, pairs) / responses.counts
        fold = rng.permutation(np.arange(pairs) % folds)
        shape = responses.n_users, responses.n_items

        weight = np.ones(pairs)
        whole, *factors = [
            Factors.of(user[others], item[others], answer[others], weight[others], shape, size)
            for others in (fold != k for k in range(-1, folds))
        ]
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
        mean, variance, weight = np.empty(len(self.user)), np.empty(len(self.user)), self.weights()
        by, learns = self._change(weight)
        factors = []
        for k, former in enumerate(self.factors):
            judged = self.fold == k
            user, item, answer, others = self._rated(~judged, weight)
            fitted = former.scaled(by).fitted(user, item, answer, others, learns=learns)
            factors.append(fitted)
            users = fitted.of_users(self.user, self.item, self.answer, weight, self.responses.n_users)
            mean[judged], variance[judged] = users.without(*self._rated(judged, weight))
        whole = self.whole.scaled(by).fitted(self.user, self.item, self.answer, weight, learns=learns)
        return replace(self, mean=mean, variance=variance, whole=whole, factors=tuple(factors), rounds=self.rounds + 1)

    def _rated(self, part: Mask, weight: Doubles) -> tuple[Ints, Ints, Doubles, Doubles]:
        """Return users, items, answers and weights of some pairs."""
        return self.user[part], self.item[part], self.answer[part], weight[part]

    def _change(self, weight: Doubles) -> tuple[float, bool]:
        """Return how the vectors' priors change so that a fold is foretold best: weights change with the rounds.

        Returns:
            By what factor, and whether they are estimated.
        """
        k = self.rounds % len(self.factors)
        judged = self._rated(self.fold == k, weight)
        user, item, answer, others = self._rated(self.fold != k, weight)

        def foretold(change: tuple[float, bool]) -> float:
            by, learns = change
            return self.factors[k].scaled(by).fitted(user, item, answer, others, learns=learns).foretells(*judged)

        return max(((1.0, False), (1 / _STEP, False), (_STEP, False), (1.0, True)), key=foretold)

    def spread(self) -> Estimate:
        """Estimate the spreads from a part of the pairs, given their classes: each class has its own."""
        part = np.zeros(len(self.user), np.bool_)
        part[self.subset] = True
        answers = self.responses.take(part[self.responses.pair])
        scale, gamma = Scale.of_levels(answers.value, self.responses.levels), self.gamma[self.subset] * self.kept
        mean, variance = self.mean[self.subset], self.variance[self.subset]
        level, weight = self.own[answers.user], gamma[answers.pair]
        former, count = self.spreads, len(gamma)
        usual = float(np.log(self.responses.value.std())) + _USUAL

        def genuine(x: Doubles) -> float:
            likelihood = log_preferences(answers, scale, mean, variance, float(np.exp(x[0])), float(np.exp(x[1])))
            return float(gamma[:, 0] @ likelihood)

        def random(x: Doubles) -> float:
            return float(weight[:, 1] @ scale.log_probability(level, float(np.exp(x[0]))))

        def constructed(x: Doubles) -> float:
            moved = level + answers.condition @ x[1:]
            return float(weight[:, 2] @ scale.log_probability(moved, float(np.exp(x[0]))))

        own, taste = _likeliest(genuine, (former.genuine, former.taste), usual[:2], count)
        found = replace(former, genuine=own, taste=taste)
        if self.kept[1]:
            found = replace(found, random=_likeliest(random, (former.random,), usual[2:3], count)[0])
        if self.kept[2]:
            made, *pull = _likeliest(constructed, (former.constructed,), usual[3:], count, former.pull)
            found = replace(found, constructed=made, pull=tuple(pull))
        return replace(self, spreads=found)

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

    def without(self, dropped: int) -> Estimate:
        """Return the estimate without a class, whose mass goes to the others."""
        kept = self.kept & (np.arange(3) != dropped)
        gamma, shares = self.gamma * kept, self.user_shares * kept
        gamma, shares = gamma / gamma.sum(1, keepdims=True), shares / shares.sum(1, keepdims=True)
        return replace(self, kept=kept, gamma=gamma, user_shares=shares)

    def predicts(self) -> bool:
        """Whether predictions tell answers beyond the mean of the user's other answers.

        To be asked before anything was judged: pairs that agree by chance are soon found to be preferences, and then
        predict each other. The user's mean is shrunk as the answers' own variances say, for a mean that is shrunk too
        little or too much would make a better one look like a prediction.
        """
        users, overall = self.responses.n_users, float(self.answer.mean())
        count, total = np.bincount(self.user, minlength=users), np.bincount(self.user, self.answer, users)
        several = count > 1
        within = float(((self.answer - (total / np.maximum(count, 1))[self.user]) ** 2).sum())
        within /= max(int((count - 1)[several].sum()), 1)
        between = max(float(self.answer.var()) - within, 0.01 * within)
        shrinkage = max(within, 1e-9) / max(between, 1e-9)
        others = (total[self.user] - self.answer + shrinkage * overall) / (count[self.user] - 1 + shrinkage)
        return _is_positive((self.answer - others) * (self.mean - others), self.user)


def repeats_agree(responses: Responses) -> bool:
    """Whether second answers follow first ones, from item to item within users."""
    order = np.lexsort((responses.time, responses.pair))
    begins = np.r_[True, np.diff(responses.pair[order]) != 0]
    first = order[begins][responses.counts > 1]
    second = order[np.flatnonzero(begins)[responses.counts > 1] + 1]
    user = responses.user[first].astype(np.int64)
    count = np.maximum(np.bincount(user, minlength=responses.n_users), 1)
    rests = [
        responses.value[each] - (np.bincount(user, responses.value[each], responses.n_users) / count)[user]
        for each in (first, second)
    ]
    return _is_positive(rests[0] * rests[1], user)


def _is_positive(products: Doubles, user: Ints) -> bool:
    """Return whether a sum is above zero by more than three standard errors, users drawn at random."""
    if len(products) == 0:
        return False
    sums = np.bincount(user, products)
    return bool(sums.sum() > 3 * np.sqrt((sums**2).sum()))


def _likeliest(
    likelihood: Callable[[Doubles], float],
    deviations: tuple[float, ...],
    usual: Doubles,
    count: int,
    pull: tuple[float, ...] = (),
) -> list[float]:
    """Return the deviations of a class and its pull after a few steps to where its answers are likeliest."""
    size = len(deviations)

    def loss(x: Doubles) -> float:
        return float(2 * ((x[:size] - usual) ** 2).sum() - likelihood(x)) / count

    unit = float(usual[0])
    bounds = [(unit - 3, unit + 3)] * size + [(-5.0, 5.0)] * len(pull)
    x = minimize(loss, np.r_[np.log(deviations), pull], method="L-BFGS-B", options={"maxiter": 6}, bounds=bounds).x
    return [*np.exp(x[:size]).tolist(), *x[size:].tolist()]
