"""What an event says of the item: its kind, and the preference in [-1, 1] that is read from kind and rating."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Self, final

import numpy as np

from recsys.checks import number
from recsys.data.interactions import Interactions
from recsys.data.kinds import (
    CODES,
    KINDS,
    NEGATIVE_KINDS,
    UNRATED_KINDS,
    Kind,
)
from recsys.data.queries import Queries
from recsys.data.uses import described, interactions, kinds_of_values
from recsys.errors import ConfigError
from recsys.types import DAY, Floats, Ints, Kinds, Mask

__all__ = [
    "CODES",
    "DEFAULT_WEIGHTS",
    "KINDS",
    "NEGATIVE_HALF_LIFE",
    "NEGATIVE_KINDS",
    "UNRATED_KINDS",
    "Kind",
    "KindWeights",
    "RatingScale",
    "described",
    "interactions",
    "is_rated",
    "kinds_of",
    "log_preferences",
    "preferences",
    "query_preferences",
]

NEGATIVE_HALF_LIFE: Final = 90 * DAY
"""Seconds after which a dislike or a skip is half as strong, where a model lets them fade."""

_STEEPNESS: Final = 0.75
_PRIOR: Final = 3.0


@final
@dataclass(frozen=True)
class KindWeights:
    """The preference, from -1 to 1, that an event of each kind but "rating" stands for.

    Raises:
        ConfigError: a weight is outside [-1, 1].
    """

    use: float = 0.5
    view: float = 0.3
    click: float = 0.3
    like: float = 1.0
    dislike: float = -1.0
    buy: float = 1.0
    skip: float = -0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            weight = getattr(self, field.name)
            number(f"the weight of a {field.name}", weight)
            if not -1 <= weight <= 1:
                raise ConfigError(f"the weight of a {field.name} is {weight:g}; it must lie between -1 and 1")

    @property
    def by_code(self) -> Floats:
        """ "kinds", float32: the weight of each code; of a rating without a value that of a use."""
        return np.array([self.use if kind == "rating" else getattr(self, kind) for kind in KINDS], np.float32)


DEFAULT_WEIGHTS: Final = KindWeights()


@final
@dataclass(frozen=True)
class RatingScale:
    """How people rate in a log, to which the few ratings of one user are shrunk.

    Attributes:
        mean: the mean over users of their mean rating.
        spread: the standard deviation of a rating around the mean of its user, above 0.
        highest: the highest rating.
    """

    mean: float
    spread: float
    highest: float

    @classmethod
    def of(cls, log: Interactions) -> Self | None:
        """Measure the ratings of a log; None where there are none, or all are equal, so that they tell nothing.

        >>> RatingScale.of(Interactions.from_columns([1, 1, 1, 2], [1, 2, 3, 1], [2, 3, 4, 3]))
        RatingScale(mean=3.0, spread=1.0, highest=4.0)
        """
        rated = is_rated(log.value, log.kinds)
        value, owner = log.value[rated].astype(np.float64), log.user_num[rated]
        if len(value) == 0 or float(value.min()) == float(value.max()):
            return None
        count = np.bincount(owner, minlength=log.n_users)
        own = np.bincount(owner, value, log.n_users) / np.maximum(count, 1)
        squares, freedom = float(((value - own[owner]) ** 2).sum()), len(value) - int((count > 0).sum())
        spread = (squares / freedom) ** 0.5 if squares > 0 else float(value.std())  # one rating each: between users
        return cls(float(own[count > 0].mean()), spread, float(value.max()))


def preferences(
    values: Floats,
    kinds: Kinds | None,
    indptr: Ints,
    scale: RatingScale | None,
    weights: KindWeights = DEFAULT_WEIGHTS,
) -> Floats:
    """Read every event as a preference: "events", float32 in [-1, 1], never NaN.

    A rating r of a user with n ratings of mean a and sum of squared deviations q is read against the user's own mean
    m and spread s, both shrunk to those of everybody, M and S, by c = 3 pseudo-ratings, as the mean of the posterior of
    a normal distribution with a normal-inverse-gamma prior:

        p = tanh(0.75 (r - m) / s),    m   = (n a + c M) / (n + c)
                                       s^2 = (q + c S^2 + (n c / (n + c)) (a - M)^2) / (n + c)

    (1 + p) / 2 is then sigmoid(1.5 z) of the standardised rating z. Somebody's first rating is so read against
    everybody's, and the ratings of somebody who always gives the same tend to 0. Every other event has the weight of
    its kind, and an event without kind and rating that of a use. The equations of m and s: Murphy, Machine Learning:
    A Probabilistic Perspective (2012), section 4.6.3.

    Args:
        values: "events", ratings; NaN for events without one.
        kinds: "events", codes of `KINDS`; None: events with a value are ratings, the others uses.
        indptr: "users+1": the events of a user are `indptr[u]:indptr[u+1]`; all of them count for the user's mean.
        scale: of the training log; None: it has no ratings that differ, and ratings count as uses.
        weights: of the other kinds.

    >>> values = np.float32([5, 1, np.nan])
    >>> preferences(values, None, np.array([0, 3]), RatingScale(3, 1, 5)).astype(float).round(2).tolist()
    [0.77, -0.77, 0.5]
    """
    result = np.full(len(values), weights.use, np.float32) if kinds is None else weights.by_code[kinds]
    if scale is None:
        return result
    rated = is_rated(values, kinds)
    if not rated.any():
        return result
    users = len(indptr) - 1
    owner = np.repeat(np.arange(users), np.diff(indptr))[rated]
    value = values[rated].astype(np.float64)
    count = np.bincount(owner, minlength=users)
    own = np.bincount(owner, value, users) / np.maximum(count, 1)
    squares = np.bincount(owner, (value - own[owner]) ** 2, users)
    total = count + _PRIOR
    mean = (count * own + _PRIOR * scale.mean) / total
    variance = (squares + _PRIOR * scale.spread**2 + count * _PRIOR / total * (own - scale.mean) ** 2) / total
    result[rated] = np.tanh(_STEEPNESS * (value - mean[owner]) / np.sqrt(variance)[owner])
    return result


def log_preferences(log: Interactions, scale: RatingScale | None, weights: KindWeights = DEFAULT_WEIGHTS) -> Floats:
    """ "events": the preferences of a log, see `preferences`."""
    return preferences(log.value, log.kinds, log.indptr, scale, weights)


def query_preferences(queries: Queries, scale: RatingScale | None, weights: KindWeights = DEFAULT_WEIGHTS) -> Floats:
    """ "events": the preferences of the histories of queries, of which only the visible events count."""
    return preferences(queries.values, queries.kinds, queries.history.indptr, scale, weights)


def kinds_of(log: Interactions) -> Kinds:
    """ "events": the kinds of a log, also where only the values tell them: if all are 1, they are no ratings."""
    if log.kinds is not None:
        return log.kinds
    rated = np.isfinite(log.value) & (log.value != 1)
    return kinds_of_values(log.value) if rated.any() else np.full(len(log), CODES["use"], np.int8)


def is_rated(values: Floats, kinds: Kinds | None) -> Mask:
    """ "events": which have a rating."""
    finite = np.isfinite(values)
    return finite if kinds is None else finite & (kinds == CODES["rating"])
