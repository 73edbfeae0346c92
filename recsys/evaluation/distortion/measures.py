"""Distortion along one axis: per user, and what of it is common to all.

P_u is what the history is about, Q_u the list, delta_u = Q_u - P_u, and delta*_u the same of a chance list, drawn from
the own history:

    excess      D = mean |delta|^2 - mean |delta*|^2, and the same of the distance of Jensen and Shannon
    systematic  S = |mean delta|^2 - tr Cov(delta) / N       an unbiased estimate of |E delta|^2; D - S is individual
    direction   first eigenpair of mean delta delta' - mean delta* delta*'
    sameness    E_uv JS(Q_u, Q_v) / E_uv JS(chance_u, chance_v); below 1 users are made alike

The question whether distortion is individual or common to all is that of Roettger et al., *Measuring and Mitigating
Persona Distortions from AI Writing Assistance*, 2026 (arXiv 2604.22503, of which the abstract was read), asked there of
writing; the estimates are ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
from scipy.stats import binomtest

from recsys.evaluation.calibration import taste_distance
from recsys.evaluation.distortion.axes import Axis
from recsys.evaluation.distortion.chance import Chance
from recsys.evaluation.resampling import resamples
from recsys.models.personas.content import systematic_distortion
from recsys.types import Doubles, Mask

_PAIRS: Final = 20_000
"""Pairs of users whose lists are compared for the sameness."""


@final
@dataclass(frozen=True)
class Direction:
    """The one direction in which lists differ most from histories, beyond chance.

    Attributes:
        loadings: of each class; squares sum to 1. Positive: the lists have more of it, for most users.
        strength: the eigenvalue, lambda_1.
        share: of the users who are pulled along it: every other user, judged by the direction of the rest.
        p: of the sign test that this share is a half.
    """

    loadings: dict[str, float]
    strength: float
    share: float
    p: float


@final
@dataclass(frozen=True)
class AxisSummary:
    """Distortion along one axis, over the users with a history and a list.

    Attributes:
        users: how many they are.
        without: users without a history or a list in classes, who do not count.
        distance: mean distance of Jensen and Shannon; mostly what short lists have by chance.
        distance_excess: the same beyond chance.
        squared_excess: D.
        systematic: S, and its standard error if there were nothing systematic.
        systematic_low, systematic_high: 95% interval, by a bootstrap over users.
        mean: mean delta of each class.
        direction: None where lists differ from histories no more than by chance.
        sameness: NaN for fewer than two users.
    """

    users: int
    without: int
    distance: float
    distance_excess: float
    squared_excess: float
    systematic: float
    systematic_error: float
    systematic_low: float
    systematic_high: float
    mean: dict[str, float]
    direction: Direction | None
    sameness: float

    @property
    def individual(self) -> float:
        """D - S."""
        return self.squared_excess - self.systematic

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self) | {"individual": self.individual}


@final
@dataclass(frozen=True, eq=False)
class UserValues:
    """Distortion of each user along one axis; NaN for those who do not count.

    Attributes:
        distance_excess: "queries", distance of Jensen and Shannon beyond chance.
        squared_excess: "queries", |delta|^2 - E |delta*|^2.
        pull: "queries", delta along the direction.
    """

    distance_excess: Doubles
    squared_excess: Doubles
    pull: Doubles


def systematic_error(delta: Doubles) -> float:
    """Return the standard error of S if E delta = 0: (2 tr(Cov(delta)^2))^(1/2) / N.

    S is then the degenerate U-statistic sum over pairs of delta_u . delta_v / (N (N - 1)).

    Args:
        delta: "users classes".
    """
    count = len(delta)
    if count < 2:
        return float("nan")
    covariance = np.cov(delta, rowvar=False).reshape(delta.shape[1], delta.shape[1])
    return float(np.sqrt(2.0 * (covariance**2).sum()) / count)


def along(axis: Axis, chance: Chance, *, draws: int = 300, seed: int = 0) -> tuple[UserValues, AxisSummary]:
    """Return the distortion of lists along an axis, of each user and of all.

    Args:
        axis: histories and lists.
        chance: of the same histories.
        draws: resamples of the users, for the interval of the systematic part.
        seed: of resamples and of pairs of users.
    """
    delta = axis.delta
    known = np.asarray(np.isfinite(delta).all(1), np.bool_)
    own = delta[known]
    distance = np.where(known, taste_distance(axis.histories, axis.lists), np.nan)
    distance_excess = distance - chance.distance(axis)
    squared_excess = (delta**2).sum(1) - chance.squared(axis)
    systematic = systematic_distortion(axis.histories, axis.lists)
    low, high = _systematic_interval(own, draws, seed)
    direction, pull = _direction(axis, chance, delta, known)
    values = UserValues(distance_excess, squared_excess, pull)
    summary = AxisSummary(
        int(known.sum()),
        int((~known).sum()),
        mean_of_known(distance),
        mean_of_known(distance_excess),
        mean_of_known(squared_excess),
        systematic,
        systematic_error(own),
        low,
        high,
        dict(zip(axis.classes, own.mean(0).tolist(), strict=True)) if len(own) else {},
        direction,
        _sameness(axis, chance, np.flatnonzero(known), seed),
    )
    return values, summary


def mean_of_known(values: Doubles) -> float:
    """Return the mean of the values that are defined; NaN without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _systematic_interval(delta: Doubles, draws: int, seed: int) -> tuple[float, float]:
    """Return the 95% interval of S; of a resample the bias that resampling adds is taken out."""
    if len(delta) < 2:
        return float("nan"), float("nan")
    count, squares = len(delta), (delta**2).sum(1)
    values = []
    for weights in resamples(count, draws, seed):
        mean = weights @ delta / count  # "resamples classes"
        size = (mean**2).sum(1)
        spread = (weights @ squares / count - size) * count / (count - 1)
        # A resample's mean scatters about the sample's as the sample's about the truth: twice the variance.
        values.append(size - 2 * spread / count)
    low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
    return float(low), float(high)


def _direction(axis: Axis, chance: Chance, delta: Doubles, known: Mask) -> tuple[Direction | None, Doubles]:
    pull = np.full(len(delta), np.nan)
    if known.sum() < 2:
        return None, pull
    rows = np.flatnonzero(known)
    loadings, strength = _first(axis, chance, delta, known)
    if strength <= 0:
        return None, pull
    pull[rows] = delta[rows] @ loadings
    # Halves that judge each other would both be for the direction, or both against it: their signs are not independent.
    rest = np.zeros_like(known)
    rest[rows[::2]] = True
    direction, _ = _first(axis, chance, delta, rest)
    positive, judged = int((delta[rows[1::2]] @ direction > 0).sum()), len(rows[1::2])
    p = float(binomtest(positive, judged).pvalue)
    named = dict(zip(axis.classes, loadings.tolist(), strict=True))
    return Direction(named, strength, positive / judged, p), pull


def _first(axis: Axis, chance: Chance, delta: Doubles, users: Mask) -> tuple[Doubles, float]:
    """Return the first eigenvector of some users' second moments beyond chance, towards their mean, and its value."""
    own = delta[users]
    moment = own.T @ own / len(own) - chance.second_moment(axis, users)
    values, vectors = np.linalg.eigh(moment)
    first = vectors[:, -1]
    return np.asarray(-first if own.mean(0) @ first < 0 else first), float(values[-1])


def _sameness(axis: Axis, chance: Chance, rows: np.ndarray, seed: int) -> float:
    if len(rows) < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    one = rng.integers(0, len(rows), _PAIRS)
    other = (one + rng.integers(1, len(rows), _PAIRS)) % len(rows)
    lists, drawn = axis.lists[rows], np.zeros((len(rows), axis.lists.shape[1]))
    sizes = axis.sizes[rows]
    for size in np.unique(sizes).tolist():
        drawn[sizes == size] = chance.lists(rows[sizes == size], size, 0)
    by_chance = (taste_distance(drawn[one], drawn[other]) ** 2).mean()
    same = (taste_distance(lists[one], lists[other]) ** 2).mean()
    return float(same / by_chance) if by_chance > 0 else float("nan")
