"""What is known of the reliability of answers, and how a fitted mixture judges answers that it has not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from recsys.errors import DataError, nearest
from recsys.reliability.factors import Factors, Side
from recsys.reliability.likelihood import Scale, Spreads, log_likelihoods
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Floats, Ints

CLASSES: Final = ("genuine", "non-attitude", "constructed")
LEAST_WEIGHT: Final = 0.02
"""An answer never counts for less: nobody is silenced."""
_ROUNDS: Final = 3
"""Of prediction and posterior."""


@final
@dataclass(frozen=True, eq=False)
class AnswerScale:
    """What people could answer.

    Attributes:
        levels: ascending; None: continuous.
        ends: the least and the largest answer.
        mean: of all users.
    """

    levels: Doubles | None
    ends: tuple[float, float]
    mean: float

    @classmethod
    def of(cls, responses: Responses) -> AnswerScale:
        """Return the scale of responses."""
        ends = float(responses.value.min()), float(responses.value.max())
        return cls(responses.levels, ends, float(responses.value.mean()))


@final
@dataclass(frozen=True, eq=False)
class Conditions:
    """Under which conditions people answered.

    Attributes:
        names: of the conditions.
        center: "conditions", their means.
        scatter: "conditions conditions", their covariance.
    """

    names: tuple[str, ...]
    center: Doubles
    scatter: Doubles

    @classmethod
    def of(cls, responses: Responses) -> Conditions:
        """Return the conditions of responses."""
        center = responses.condition.mean(0)
        rest = responses.condition - center
        return cls(responses.names, center, rest.T @ rest / len(responses))


@final
@dataclass(frozen=True, eq=False)
class FittedMixture:
    """What the mixture learned of all users together.

    Attributes:
        factors: what a user would think of an item.
        spreads: of the three classes.
        shares: "3", of the three classes, over all users; 0 of a class that was dropped.
        shrinkage: answers that `shares` count as in the shares of a user.
        scale: what could be answered.
        conditions: under which it was.
        identified: whether other answers of users, or second ones, tell an answer better than the user's mean does.
        constructed: whether constructed answers are told apart.
        reason: what can be told apart, and why not more.
    """

    factors: Factors
    spreads: Spreads
    shares: Doubles
    shrinkage: float
    scale: AnswerScale
    conditions: Conditions
    identified: bool
    constructed: bool
    reason: str

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that `judge` needs, as arrays by name. What was learned of single users is left out."""
        items, spreads = self.factors.items, self.spreads
        told = {
            "names": self.conditions.names,
            "identified": self.identified,
            "constructed": self.constructed,
            "reason": self.reason,
            "shrinkage": self.shrinkage,
            "ends": self.scale.ends,
            "mean_answer": self.scale.mean,
            "middle": self.factors.middle,
            "noise": self.factors.noise,
            "spreads": [spreads.genuine, spreads.taste, spreads.random, spreads.constructed, *spreads.pull],
        }
        return {
            "item_mean": items.mean,
            "item_covariance": items.covariance,
            "item_prior": items.prior,
            "user_prior": self.factors.users.prior,
            "shares": self.shares,
            "levels": np.zeros(0) if self.scale.levels is None else self.scale.levels,
            "center": self.conditions.center,
            "scatter": self.conditions.scatter,
            "told": np.frombuffer(json.dumps(told).encode(), np.uint8).copy(),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> FittedMixture:
        """Restore the result of `arrays`."""
        told = json.loads(arrays["told"].tobytes())
        prior = arrays["user_prior"]
        nobody = Side(np.zeros((0, len(prior))), np.zeros((0, len(prior), len(prior))), prior)
        items = Side(arrays["item_mean"], arrays["item_covariance"], arrays["item_prior"])
        genuine, taste, random, constructed, *pull = told["spreads"]
        return cls(
            Factors(told["middle"], nobody, items, told["noise"]),
            Spreads(genuine, taste, random, constructed, tuple(pull)),
            arrays["shares"],
            told["shrinkage"],
            AnswerScale(arrays["levels"] if len(arrays["levels"]) else None, tuple(told["ends"]), told["mean_answer"]),
            Conditions(tuple(told["names"]), arrays["center"], arrays["scatter"]),
            told["identified"],
            told["constructed"],
            told["reason"],
        )


@final
@dataclass(frozen=True, eq=False)
class Reliability:
    """How far answers are preferences.

    Attributes:
        probabilities: "responses 3": of genuine, non-attitude, constructed; the last column is NaN where constructed
            answers cannot be told apart.
        shares: "users 3": of each user's answers, likewise.
        mass: "users", answers that the share of genuine ones rests on: those of the prior, and of the user's own each
            as far as it tells its class, (gamma - pi)^2 / (pi (1 - pi)) (the information of a mixture's share; Louis,
            *Finding the Observed Information Matrix when Using the EM Algorithm*, JRSS B 1982).
        identified: whether anything is told apart.
        reason: what can be told apart, and why not more.
    """

    probabilities: Doubles
    shares: Doubles
    mass: Doubles
    identified: bool
    reason: str

    @classmethod
    def of(cls, fitted: FittedMixture, responses: Responses, gamma: Doubles, shares: Doubles) -> Reliability:
        """Return the reliability of responses whose pairs have the classes gamma, "pairs 3"."""
        user = responses.user[responses.first]
        probabilities, shares = gamma[responses.pair], shares.copy()
        if not fitted.constructed:
            probabilities[:, 2] = shares[:, 2] = np.nan
        own = shares[:, 0]
        told = np.bincount(user, (gamma[:, 0] - own[user]) ** 2, responses.n_users)
        mass = fitted.shrinkage + told / np.maximum(own * (1 - own), 1e-9)
        return cls(probabilities, shares, mass, fitted.identified, fitted.reason)

    @property
    def weights(self) -> Floats:
        """ "responses", float32: P(genuine), at least `LEAST_WEIGHT`; 1 where nothing is told apart."""
        if not self.identified:
            return np.ones(len(self.probabilities), np.float32)
        return np.maximum(self.probabilities[:, 0], LEAST_WEIGHT).astype(np.float32)

    def interval(self, user: int, level: float = 0.9) -> tuple[float, float]:
        """Return between which shares the user's genuine answers lie, as the posterior of `mass` answers says."""
        share, mass = float(np.clip(self.shares[user, 0], 1e-6, 1 - 1e-6)), float(self.mass[user])
        tail = (1 - level) / 2
        ends = beta.ppf(np.array([tail, 1 - tail]), mass * share, mass * (1 - share))
        return float(ends[0]), float(ends[1])


def judge(fitted: FittedMixture, responses: Responses) -> Reliability:
    """Return the reliability of responses by users who need not have been seen; the items' part stays as learned.

    Args:
        fitted: the mixture.
        responses: with the items of the fit, and its conditions in any order or none.

    Raises:
        DataError: the responses have another condition, or only some of those that the mixture knows.
    """
    judged = Judged.of(fitted, responses)
    return Reliability.of(fitted, judged.responses, judged.gamma, judged.shares)


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """Answers as a fitted mixture sees them.

    Attributes:
        responses: on the scale of the fit, under its conditions less their means.
        spreads: of the classes.
        mean: "pairs", predicted preferences, from the user's other answers.
        variance: "pairs".
        own: "users", m_u.
        gamma: "pairs 3".
        shares: "users 3".
    """

    responses: Responses
    spreads: Spreads
    mean: Doubles
    variance: Doubles
    own: Doubles
    gamma: Doubles
    shares: Doubles

    @classmethod
    def of(cls, fitted: FittedMixture, responses: Responses) -> Judged:
        """Judge responses, see `judge`."""
        responses, spreads = _read(fitted, responses)
        first, n_users = responses.first, responses.n_users
        user, item = responses.user[first].astype(np.int64), responses.item[first].astype(np.int64)
        answer = np.bincount(responses.pair, responses.value, responses.n_pairs) / responses.counts
        worth = (spreads.taste**2 + spreads.genuine**2) / (spreads.taste**2 + spreads.genuine**2 / responses.counts)
        own, scale = own_levels(responses, fitted.scale.mean), Scale.of_levels(responses.value, fitted.scale.levels)
        shares = np.tile(fitted.shares, (n_users, 1))
        gamma, mean, variance = shares[user], np.zeros(len(user)), np.zeros(len(user))
        for _ in range(_ROUNDS):
            columns = user, item, answer, gamma[:, 0] * worth
            mean, variance = fitted.factors.of_users(*columns, n_users).without(*columns)
            likelihoods = log_likelihoods(responses, scale, mean, variance, own, spreads)
            for _ in range(4):
                gamma = classes(likelihoods, shares[user])
                shares = user_shares(gamma, user, n_users, fitted.shares, fitted.shrinkage)
        return cls(responses, spreads, mean, variance, own, gamma, shares)


def _read(fitted: FittedMixture, responses: Responses) -> tuple[Responses, Spreads]:
    """Return responses on the scale of the fit, under its conditions less their means, and the spreads they have.

    Answers beyond the scale are at its ends. Where no condition is known, constructed answers are where any of the
    conditions of the fit moves them.
    """
    known, spreads = fitted.conditions, fitted.spreads
    for name in responses.names:
        if name not in known.names:
            names = ", ".join(known.names) or "none"
            raise DataError(
                f"condition {name!r} is unknown{nearest(name, list(known.names))}; the mixture knows {names}"
            )
    missing = [name for name in known.names if name not in responses.names]
    if missing and responses.names:
        raise DataError(f"condition {missing[0]!r} is not given, and others are; give all of them, or none")
    if missing:
        pull = np.asarray(spreads.pull)
        wider = float(np.sqrt(spreads.constructed**2 + pull @ known.scatter @ pull))
        spreads, condition = replace(spreads, constructed=wider), np.zeros((len(responses), len(known.names)))
    else:
        condition = responses.condition[:, [responses.names.index(name) for name in known.names]] - known.center
    on_scale = replace(responses, value=np.clip(responses.value, *fitted.scale.ends))
    return on_scale.under(condition, known.names), spreads


def own_levels(responses: Responses, overall: float) -> Doubles:
    """Return m_u, "users": the mean answer of each user, shrunk to that of all as by five answers."""
    count = np.bincount(responses.user, minlength=responses.n_users)
    total = np.bincount(responses.user, responses.value, responses.n_users)
    return np.asarray((total + 5 * overall) / (count + 5))


def classes(likelihoods: Doubles, shares: Doubles) -> Doubles:
    """Return gamma, "pairs 3", from log-likelihoods and shares, both "pairs 3"."""
    with np.errstate(divide="ignore"):
        joint = likelihoods + np.log(shares)
    joint = np.exp(joint - joint.max(1, keepdims=True))
    return np.asarray(joint / joint.sum(1, keepdims=True))


def user_shares(gamma: Doubles, user: Ints, n_users: int, overall: Doubles, shrinkage: float) -> Doubles:
    """Return pi_u, "users 3"."""
    mass = np.stack([np.bincount(user, column, n_users) for column in gamma.T], 1) + shrinkage * overall
    return np.asarray(mass / mass.sum(1, keepdims=True))
