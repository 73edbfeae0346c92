"""Lists of questions from the literature: popularity, entropy0, HELF, IGCN.

Rashid, Karypis and Riedl, *Learning Preferences of New Users in Recommender Systems: An Information Theoretic
Approach*, SIGKDD Explorations 10(2), 2008.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.sparse as sp

from recsys.checks import seed_of_draws, whole
from recsys.elicitation.choosing import QUESTIONS, FixedList, best_known
from recsys.elicitation.crowd import Crowd
from recsys.types import Doubles, Ints

_CLUSTERS: Final = 20
_ROUNDS: Final = 10
_POOL: Final = 500


def popularity(crowd: Crowd, candidates: Ints | None = None, questions: int = QUESTIONS) -> FixedList:
    """Return the items that most people know, best known first."""
    return FixedList(best_known(crowd, candidates, questions))


def entropy0(crowd: Crowd, candidates: Ints | None = None, questions: int = QUESTIONS) -> FixedList:
    """Return the items whose answers are most uncertain, "don't know" being one of the answers.

    H0(i) = -(sum_v w_v p_v log p_v) / sum_v w_v, where p_v is the share of the people with the answer v; the weight of
    "don't know" is .5 and that of every other answer 1.
    """
    shares, unknown = _answer_shares(crowd)
    weight = np.r_[0.5, np.ones(len(shares))]
    every = np.vstack([unknown, shares])
    return _top(crowd, candidates, -(weight[:, None] * _x_log_x(every)).sum(0) / weight.sum(), questions)


def helf(crowd: Crowd, candidates: Ints | None = None, questions: int = QUESTIONS) -> FixedList:
    """Return the items with the largest harmonic mean of entropy and logarithm of frequency, both scaled to [0, 1].

        HELF(i) = 2 LF H' / (LF + H'),   LF = ln |known_i| / ln |people|,   H' = H(i) / ln(number of answers)

    H is the entropy of the answers of those who know the item.
    """
    shares, _ = _answer_shares(crowd)
    count = crowd.known_shares * crowd.n_users
    frequency = np.log(np.maximum(count, 1)) / np.log(max(crowd.n_users, 2))
    given = shares / np.maximum(shares.sum(0), 1e-12)
    entropy = -_x_log_x(given).sum(0) / np.log(max(len(shares), 2))
    return _top(crowd, candidates, 2 * frequency * entropy / np.maximum(frequency + entropy, 1e-12), questions)


def igcn(crowd: Crowd, candidates: Ints | None = None, questions: int = QUESTIONS, seed: int = 0) -> FixedList:
    """Return the items that tell most of which cluster of people somebody belongs to (information gain, CN).

        IG(i) = H(cluster) - sum_v P(answer_i = v) H(cluster | answer_i = v)

    The answers are those of everybody in order of their information, without the step that is personal (IGCN's second
    step, which needs some answers). Clusters are k-means of the people's flags of being known and liked.

    Args:
        crowd: the other people.
        candidates: items that may be asked; None: all.
        questions: length of the list.
        seed: of the clusters.
    """
    seed_of_draws(seed)
    items = best_known(crowd, candidates, _POOL)
    cluster = _clusters(crowd, items, min(_CLUSTERS, crowd.n_users), seed)
    member = np.zeros((int(cluster.max()) + 1, crowd.n_users))
    member[cluster, np.arange(crowd.n_users)] = 1.0
    size = member.sum(1, keepdims=True)
    parts = [_in_clusters(member, matrix, items) for matrix in _answer_matrices(crowd)]
    every = np.stack([size - sum(parts), *parts])  # "answers clusters items"
    joint = every / crowd.n_users
    answer = joint.sum(1)
    conditional = _x_log_x(answer).sum(0) - _x_log_x(joint).sum((0, 1))  # H(cluster | answer)
    entropy = -float(_x_log_x(size / crowd.n_users).sum())
    order = np.argsort(-(entropy - conditional), kind="stable")
    return FixedList(items[order][:questions])


def _answer_matrices(crowd: Crowd) -> list[sp.csr_matrix]:
    """Return a 0/1 matrix "users items" of each answer but "don't know": not liked, and liked."""
    return [crowd.known - crowd.liked, crowd.liked]


def _in_clusters(member: Doubles, matrix: sp.csr_matrix, items: Ints) -> Doubles:
    chosen = matrix[:, items]
    return np.asarray((chosen.T @ member.T).T)


def _clusters(crowd: Crowd, items: Ints, clusters: int, seed: int) -> Ints:
    """Return the cluster of each person, by k-means of flags, from people drawn at random."""
    whole("clusters", clusters)
    flags = sp.hstack([crowd.known[:, items], crowd.liked[:, items]], format="csr")
    centres = flags[np.random.default_rng(seed).permutation(crowd.n_users)[:clusters]].toarray()
    cluster = np.zeros(crowd.n_users, np.int64)
    for _ in range(_ROUNDS):
        cluster = np.asarray(((centres**2).sum(1) - 2 * (flags @ centres.T)).argmin(1), np.int64)
        for number in range(clusters):
            if (cluster == number).any():
                centres[number] = np.asarray(flags[cluster == number].mean(0)).ravel()
    return cluster


def _answer_shares(crowd: Crowd) -> tuple[Doubles, Doubles]:
    """Return "answers items", shares of the people with each rating (or liked or not), and "items", without any."""
    people = crowd.n_users
    if crowd.scale is None:
        shares = np.stack([crowd.known_shares - crowd.liked_shares, crowd.liked_shares])
    else:
        values = np.unique(crowd.ratings.data)
        values = values if len(values) <= 20 else np.quantile(values, np.linspace(0, 1, 11))
        code = np.searchsorted(values, crowd.ratings.data, side="right") - 1
        counts = np.zeros((len(values), crowd.n_items))
        np.add.at(counts, (code, crowd.ratings.indices), 1.0)
        shares = counts / people
    return shares, np.clip(1.0 - shares.sum(0), 0.0, 1.0)


def _x_log_x(shares: Doubles) -> Doubles:
    return np.asarray(np.where(shares > 0, shares * np.log(np.maximum(shares, 1e-300)), 0.0))


def _top(crowd: Crowd, candidates: Ints | None, worth: Doubles, questions: int) -> FixedList:
    items = np.arange(crowd.n_items) if candidates is None else np.asarray(candidates, np.int64)
    return FixedList(items[np.argsort(-worth[items], kind="stable")][:questions])
