"""Metrics beyond accuracy: coverage, evenness, novelty and diversity of lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.tastes import Tastes, sums_at
from recsys.types import Doubles, Ints, Items


def recommended_counts(top: Items, k: int, n_items: int) -> Ints:
    """Return "items", int64: in how many lists each item is among the first k."""
    first = top[:, :k].ravel()
    return np.bincount(first[first != UNKNOWN], minlength=n_items).astype(np.int64)


def coverage(counts: npt.NDArray[np.integer]) -> float:
    """Catalogue coverage: the share of items that are in at least one list. NaN without items.

    Ge, Delgado-Battenfeld and Jannach, *Beyond accuracy: evaluating recommender systems by coverage and serendipity*,
    RecSys 2010.

    Args:
        counts: "items", in how many lists each item is.

    >>> coverage(np.array([3, 0, 1, 0]))
    0.5
    """
    return float((counts > 0).mean()) if len(counts) else float("nan")


def gini(counts: npt.NDArray[np.integer]) -> float:
    """Gini index of how often items are recommended: sum_j (2j - n - 1) c_(j) / (n sum_j c_(j)), c_(1) <= c_(2) <= ...

    0 when all items are recommended equally often, 1 - 1/n when there is only one; items never recommended count.
    NaN when nothing is recommended. Fleder and Hosanagar, *Blockbuster culture's next rise or fall*, 2009.

    Args:
        counts: "items", in how many lists each item is.

    >>> gini(np.array([5, 5])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    total = float(counts.sum())
    if total == 0:
        return float("nan")
    n = len(counts)
    weight = 2.0 * np.arange(1, n + 1) - n - 1
    return float(weight @ np.sort(counts) / (n * total))


def self_information(train: Interactions) -> Doubles:
    """Return "items", float64: -log2 p(i) in bits, p(i) = the share of training users who used item i.

    An item without users counts as used by one.
    """
    users = np.asarray(train.matrix().sum(axis=0)).ravel()
    return information_of(users, int((np.diff(train.indptr) > 0).sum()))


def information_of(users: npt.NDArray[np.number], active: int) -> Doubles:
    """Return "items", float64: -log2 p(i), given "items", the users of each item, and the number of all users."""
    return np.asarray(np.log2(max(1, active)) - np.log2(np.maximum(users, 1.0)))


def novelty(information: Doubles, top: Items, cutoffs: Sequence[int]) -> Doubles:
    """Mean self-information of the first k items of each list, in bits: "cutoffs queries". NaN for an empty list.

    Zhou et al., *Solving the apparent diversity-accuracy dilemma of recommender systems*, PNAS 2010 ("surprisal").

    Args:
        information: "items", from `self_information`.
        top: "queries n", item numbers; `UNKNOWN` positions do not count.
        cutoffs: ascending list lengths.
    """
    bits = sums_at(np.append(information, 0.0)[top], cutoffs)
    size = sums_at((top != UNKNOWN).astype(np.float64), cutoffs)
    return np.where(size > 0, bits / np.maximum(size, 1.0), np.nan)


def intra_list_diversity(tastes: Tastes, top: Items, cutoffs: Sequence[int]) -> Doubles:
    """1 - the mean cosine over the pairs of different items among the first k: "cutoffs queries".

    With unit vectors v_i and m items, the mean is (|sum_i v_i|^2 - m) / (m (m - 1)), without forming pairs. Vectors
    are `Tastes.vectors`; items without one do not count. NaN for fewer than two items. Ziegler et al., *Improving
    recommendation lists through topic diversification*, WWW 2005.

    Args:
        tastes: holds the item vectors.
        top: "queries n", item numbers; `UNKNOWN` positions do not count.
        cutoffs: ascending list lengths.
    """
    vectors = tastes.padded_vectors
    resultant = sums_at(vectors[top], cutoffs)
    size = sums_at(np.asarray(vectors.any(1), np.float64)[top], cutoffs)
    pairs = size * (size - 1.0)
    cosine = ((resultant**2).sum(-1) - size) / np.where(pairs > 0, pairs, 1.0)
    return np.where(pairs > 0, 1.0 - cosine, np.nan)
