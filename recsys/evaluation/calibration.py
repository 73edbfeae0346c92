"""How well a list reflects the mixture of tastes of the user: distance, calibration, recall on minority tastes.

The idea of comparing the taste distributions of user and list is that of the AMP-CF paper (2020). Its exact formula
could not be read; the *taste distribution distance* defined here is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recsys.data.queries import Ragged, membership
from recsys.evaluation.tastes import Tastes, entropy, sums_at
from recsys.types import Doubles, Items

Distributions = Doubles
""" "... tastes", rows that sum to 1, or rows of zeros."""

STECK_ALPHA = 0.01
"""How much of the user's distribution is mixed into the list's, so that C_KL is finite (Steck 2018)."""

BOOTSTRAPS = 20
"""Lists drawn from each user's own history to estimate the distance that a short list has by chance."""

MINORITY = (0.05, 0.25)
"""A taste is a minority taste of a user if it holds at least the first and at most the second share of the history."""


def taste_distance(p: Distributions, q: Distributions) -> Doubles:
    """Taste distribution distance: the Jensen-Shannon distance between P_u and Q_u, over the last axis.

    TDD = sqrt(H((P + Q) / 2) - (H(P) + H(Q)) / 2) with entropies H in bits: 0 for equal, 1 for disjoint distributions,
    a metric. NaN where either is a row of zeros (no history, or an empty list). Lin, *Divergence measures based on the
    Shannon entropy*, 1991, equation 4.1; Endres and Schindelin, *A new metric for probability distributions*, 2003.

    >>> taste_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])).item()
    1.0
    """
    return _distance(p, entropy(p), q)


def _distance(p: Distributions, bits: Doubles, q: Distributions) -> Doubles:
    """Return `taste_distance`, given the entropy of P."""
    divergence = entropy((p + q) / 2) - (bits + entropy(q)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def miscalibration(p: Distributions, q: Distributions, alpha: float = STECK_ALPHA) -> Doubles:
    """C_KL = sum_t P(t) ln(P(t) / Q~(t)), Q~ = (1 - alpha) Q + alpha P, in nats; 0 is calibrated.

    NaN where either distribution is a row of zeros. Items of a list count alike (w_r = 1 in Steck's equations).
    Steck, *Calibrated recommendations*, RecSys 2018, equations 6 and 7.
    """
    mixed = (1.0 - alpha) * q + alpha * p
    ratio = np.divide(p, mixed, out=np.ones(np.broadcast_shapes(p.shape, q.shape)), where=(p > 0) & (mixed > 0))
    defined = p.any(-1) & q.any(-1)
    return np.where(defined, (p * np.log(ratio)).sum(-1), np.nan)


def chance_distance(
    tastes: Tastes,
    tasted: sp.csr_matrix,
    p: Distributions,
    top: Items,
    cutoffs: Sequence[int],
    seed: Sequence[int],
    bootstraps: int = BOOTSTRAPS,
) -> Doubles:
    """Return the mean TDD of lists drawn with replacement from the user's own history: "cutoffs queries".

    A list of k items cannot match a distribution over many tastes, so even a perfectly calibrated one has a distance.
    Each drawn list has as many items with a taste as the list it stands beside. The excess TDD of a list is its TDD
    less this mean: 0 is as close as the user's own items of that number, below 0 is closer than chance.

    Args:
        tastes: the partition.
        tasted: "queries items", the distinct items with a taste of each history (`Tastes.tasted`).
        p: "queries tastes", their distributions P_u.
        top: "queries n", the lists.
        cutoffs: ascending list lengths.
        seed: of the draws. A shorter list is the beginning of a longer one, and has the same draws from equal seeds
            whatever the other cutoffs are.
        bootstraps: number of drawn lists per user.
    """
    sizes = np.diff(tasted.indptr)
    drawn = tastes.has_taste[top] & (sizes > 0)[:, None]
    total = np.zeros((len(cutoffs), len(top)))
    if not len(tasted.indices):
        return np.full_like(total, np.nan)
    bits = entropy(p)
    count = np.maximum(sums_at(drawn.astype(np.float64), cutoffs), 1.0)[:, :, None]  # shares of an item sum to 1
    allowed = np.ascontiguousarray(drawn.T[: cutoffs[-1]])
    for bootstrap in range(bootstraps):
        uniform = np.random.default_rng([*seed, bootstrap]).random((cutoffs[-1], len(top)))
        event = np.minimum(tasted.indptr[:-1] + (uniform * sizes).astype(np.int64), len(tasted.indices) - 1)
        items = np.where(allowed, tasted.indices[event], len(tastes.shares))
        counts = np.zeros_like(p)
        for place, item in enumerate(items, 1):
            counts += tastes.padded_shares.take(item, 0)
            if place in cutoffs:
                at = cutoffs.index(place)
                total[at] += _distance(p, bits, counts / count[at])
    return total / bootstraps


def minority_recall(tastes: Tastes, p: Distributions, top: Items, relevant: Ragged, cutoffs: Sequence[int]) -> Doubles:
    """Recall of the relevant items that belong to a minority taste of the user: "cutoffs queries".

    minority_recall@k = |{i in top k and in M_u}| / |M_u|, where M_u are the known relevant items whose home taste (the
    one of the item's tastes that the user's history holds most of) holds between 5% and 25% of the history. Relevant
    items unknown to the model have no taste and are not in M_u. NaN where M_u is empty.
    """
    low, high = MINORITY
    share = tastes.home_share(p, relevant.rows, relevant.items)
    minority = (share >= low) & (share <= high)
    rows = relevant.select(minority)
    hits = sums_at(membership(top, rows).astype(np.float64), cutoffs)
    return np.where(rows.lengths > 0, hits / np.maximum(rows.lengths, 1), np.nan)
