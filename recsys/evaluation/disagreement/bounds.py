"""What one rule for all cannot do: the trade of a pooled policy, and the exact error of the best pooled rule.

A share p of those who meet a pair (i, j) prefers i; a pooled policy shows i with probability q.

    L(q) = q (1 - p) + (1 - q) p       share of users who do not get what they prefer
    W(q) = max(q, 1 - q)               how often that happens to the users who fare worst, over repeated draws
    L + (2p - 1) W = p                 for p >= 1/2 and q >= 1/2

L is linear in q, so its minimum over q is min(p, 1 - p), at q = 0 or 1; the last line follows with W = q. It is one
line, from (W = 1, L = 1 - p), where a minority loses always, to (W = 1/2, L = 1/2), where everybody loses half of the
time; no q leaves it. The proof and what follows from it stand in docs/disagreement.md.
"""

from __future__ import annotations

import numpy as np

from recsys.checks import share
from recsys.types import Doubles, Ints, Mask


def unhappy_share(p: float, q: float) -> float:
    """Return L(q), the share of users who do not get what they prefer.

    >>> round(unhappy_share(0.51, 1.0), 10), unhappy_share(0.51, 0.5)
    (0.49, 0.5)
    """
    share("p", p)
    share("q", q)
    return q * (1 - p) + (1 - q) * p


def worst_share(q: float) -> float:
    """Return W(q), how often the users who fare worst do not get what they prefer.

    >>> worst_share(1.0), worst_share(0.5)
    (1.0, 0.5)
    """
    share("q", q)
    return max(q, 1 - q)


def votes(pair: Ints, first: Mask, pairs: int, weights: Doubles | None = None) -> Doubles:
    """Return "pairs 2": the weight of the judgements for the first and for the second item of each pair."""
    counts = np.bincount(pair * 2 + ~first, weights, 2 * pairs)
    return counts.reshape(pairs, 2).astype(np.float64)


def hindsight_bound(pair: Ints, first: Mask, weights: Doubles | None = None) -> float:
    """Return the smallest error that any rule can have which answers a pair alike for all users.

        sum_pairs min(n_ij, n_ji) / sum_pairs (n_ij + n_ji)

    For each pair the rule says i or says j, and errs n_ji or n_ij times; the smaller is reached by the majority, so no
    rule, transitive or not, drawn by lot or not, errs less on these judgements. Nothing is estimated. A rule that is a
    score (Bradley-Terry, Borda) can only follow a linear order: its bound is that of the best order (Kemeny), which
    is this one exactly where the majorities have no cycle.

    With estimated shares the same formula is no bound: min(p, 1 - p) of an estimate is too low on average, and a rule
    that borrows strength across pairs may still be below the hindsight bound of another sample.

    Args:
        pair: "judgements", number of the pair.
        first: "judgements", whether the user prefers its first item.
        weights: "judgements", what each counts; None: all alike.

    Returns:
        The bound; NaN without judgements.

    >>> hindsight_bound(np.array([0, 0, 0, 1]), np.array([True, True, False, True]))
    0.25
    """
    if len(pair) == 0:
        return float("nan")
    counts = votes(pair, first, int(pair.max()) + 1, weights)
    return float(counts.min(1).sum() / counts.sum())


def majority(pair: Ints, first: Mask) -> Mask:
    """Return "judgements": whether each is on the side of its pair's majority; with equal sides, on that of the first.

    The majority rule, which gets exactly these right, has the error `hindsight_bound`.
    """
    if len(pair) == 0:
        return np.zeros(0, np.bool_)
    counts = votes(pair, first, int(pair.max()) + 1)
    return np.asarray(first == (counts[:, 0] >= counts[:, 1])[pair])
