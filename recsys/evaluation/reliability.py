"""How well a reliability of answers agrees with a known truth."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from recsys.types import Doubles, Ints, Mask


def auc(score: Doubles, positive: Mask) -> float:
    """Return the probability that a positive scores above a negative, ties counted half; NaN if either is missing.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True]))
    0.875
    """
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    above = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count)))


def calibration_error(probability: Doubles, positive: Mask, bins: int = 10) -> float:
    """Return the expected calibration error: |mean probability - share of positives| of equal bins, by their size.

    >>> calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), np.array([True, True, False, False]))
    0.1
    """
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, probability - positive, bins)
    return round(float(np.abs(gap).sum() / len(probability)), 12)


def gain_to_truth(predicted: Doubles, truth: Doubles, open_: Mask, n: int = 10) -> float:
    """Return how good the n best-predicted items of each user truly are: 0 as random ones, 1 as the best.

    Args:
        predicted: "users items".
        truth: "users items", what each user really thinks.
        open_: "users items", what may be recommended; at least n items of each user.
        n: length of the lists.
    """
    top = np.argsort(np.where(open_, -predicted, np.inf), axis=1, kind="stable")[:, :n]
    got = np.take_along_axis(truth, top, 1).mean(1)
    best = -np.sort(np.where(open_, -truth, np.inf), axis=1)[:, :n].mean(1)
    random = (truth * open_).sum(1) / open_.sum(1)
    return float((got - random).mean() / (best - random).mean())


def share_correlation(estimated: Doubles, kind: Ints, user: Ints, which: int = 0) -> float:
    """Return the correlation over users of an estimated share and the true one, "pairs" of class `kind`."""
    count = np.bincount(user, minlength=len(estimated))
    true = np.bincount(user[kind == which], minlength=len(estimated)) / np.maximum(count, 1)
    asked = count > 0
    return float(np.corrcoef(estimated[asked], true[asked])[0, 1])
