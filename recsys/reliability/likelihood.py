"""How likely the answers of a pair are if it is a preference, a non-attitude, or made by the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtr

from recsys.reliability.responses import Responses
from recsys.types import Doubles

_NODES, _MASS = hermegauss(11)
_LOG_MASS: Final = np.log(_MASS / _MASS.sum())
_LEAST: Final = -30.0
"""Of the logarithm of a star's probability: nobody is excluded by one answer."""
_SMALLEST: Final = float(np.exp(_LEAST))


@final
@dataclass(frozen=True)
class Spreads:
    """Standard deviations of the three classes, and how far a condition moves a constructed answer.

    Attributes:
        genuine: s_G, of answers about the preference.
        taste: tau, of the preference about what is predicted, beside the prediction's own uncertainty.
        random: s_N, of non-attitudes about the user's mean.
        constructed: s_C, of answers about where the condition moves them.
        pull: kappa, "conditions".
    """

    genuine: float = 0.5
    taste: float = 0.5
    random: float = 1.0
    constructed: float = 0.5
    pull: tuple[float, ...] = ()

    @classmethod
    def of(cls, deviations: Doubles, pull: Doubles) -> Spreads:
        """Return the spreads of four deviations, in the order of the attributes, and the pull of the conditions."""
        genuine, taste, random, constructed = deviations.tolist()
        return cls(genuine, taste, random, constructed, tuple(pull.tolist()))


@final
@dataclass(frozen=True, eq=False)
class Scale:
    """Between which limits an answer falls, "responses" each; equal limits on a continuous scale."""

    low: Doubles
    high: Doubles

    @classmethod
    def of(cls, responses: Responses) -> Scale:
        """Return the limits of the stars that were given: half-way to the next, open at the ends."""
        return cls.of_levels(responses.value, responses.levels)

    @classmethod
    def of_levels(cls, value: Doubles, levels: Doubles | None) -> Scale:
        """Return the limits of values on a scale, of which they need not be; None: a continuous one."""
        if levels is None:
            return cls(value, value)
        middles = (levels[1:] + levels[:-1]) / 2
        edges = np.concatenate([[-np.inf], middles, [np.inf]])
        place = np.searchsorted(middles, value, side="right")
        return cls(edges[place], edges[place + 1])

    def log_probability(self, mean: Doubles, deviation: float) -> Doubles:
        """Return log P(answer) of normal answers, of the shape of `mean`, whose first axis is "responses"."""
        low, high = (limit.reshape(-1, *[1] * (mean.ndim - 1)) for limit in (self.low, self.high))
        if np.array_equal(self.low, self.high):
            return np.asarray(
                np.maximum(-0.5 * ((low - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi)), _LEAST)
            )
        below, above = (low - mean) / deviation, (high - mean) / deviation
        # In the upper half the difference is taken of the other tails, which do not cancel.
        flipped = below + above > 0
        probability = ndtr(np.where(flipped, -below, above)) - ndtr(np.where(flipped, -above, below))
        return np.asarray(np.log(np.maximum(probability, _SMALLEST)))


def log_preferences(
    responses: Responses, scale: Scale, mean: Doubles, variance: Doubles, genuine: float, taste: float
) -> Doubles:
    """Return log P(answers | genuine), "pairs"; see `log_likelihoods`."""
    preferences = mean[:, None] + np.sqrt(taste**2 + variance)[:, None] * _NODES
    given = scale.log_probability(preferences[responses.pair], genuine)
    nodes = np.stack([np.bincount(responses.pair, column, len(mean)) for column in given.T], 1) + _LOG_MASS
    top = nodes.max(1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(nodes - top).sum(1)))


def log_likelihoods(
    responses: Responses, scale: Scale, mean: Doubles, variance: Doubles, own: Doubles, spreads: Spreads
) -> Doubles:
    """Return "pairs 3": log P(answers | class) of each pair, for genuine, non-attitude, constructed.

        genuine       y_e = theta + N(0, s_G^2),  theta ~ N(predicted, tau^2 + variance of the prediction)
        non-attitude  y_e = m_u + N(0, s_N^2), anew at every answer
        constructed   y_e = m_u + kappa . x_e + N(0, s_C^2)

    Each normal is integrated over the star that was given, and theta over its distribution (Gauss-Hermite), which all
    answers of a pair share.

    Args:
        responses: the answers.
        scale: their limits.
        mean: "pairs", predicted preferences.
        variance: "pairs", of the prediction.
        own: "users", m_u.
        spreads: of the classes.
    """
    pair, level = responses.pair, own[responses.user]
    moved = level + responses.condition @ np.asarray(spreads.pull)
    rest = [
        np.bincount(pair, scale.log_probability(center, deviation), len(mean))
        for center, deviation in ((level, spreads.random), (moved, spreads.constructed))
    ]
    genuine = log_preferences(responses, scale, mean, variance, spreads.genuine, spreads.taste)
    return np.stack([genuine, *rest], 1)
