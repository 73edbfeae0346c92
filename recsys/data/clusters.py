"""Groups of items: clusters of what the same users use (PureSVD, then spherical k-means), and classes of popularity."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh, svds

from recsys.types import Doubles, Floats, Ints, Mask

_ROWS: Final = 1024
"""Rows of a matrix of items that are converted to double precision at a time."""


def unit_rows(vectors: Doubles) -> Doubles:
    """Scale rows to length 1; rows of zeros stay zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def pure_svd(matrix: sp.csr_matrix, dim: int, seed: int = 0) -> Doubles:
    """Return item vectors V S of the truncated decomposition matrix = U S V', as "items dim" unit rows.

    The inner products of V S are those of the low-rank co-occurrence matrix, so the cosine of two unit rows is their
    denoised cosine similarity. Items without events have a zero row. Cremonesi, Koren and Turrin, *Performance of
    recommender algorithms on top-N recommendation tasks*, 2010, section 3.3.2 (PureSVD).

    Args:
        matrix: "users items", 1 if the user used the item.
        dim: number of factors; at most one less than the smaller side of the matrix.
        seed: of the start vector of the iteration, which makes the result reproducible.
    """
    smaller = min(matrix.shape)
    used = np.asarray(matrix.sum(axis=0)).ravel() > 0
    rank = min(dim, smaller - 1)
    if rank < 1:
        vectors = used[:, None].astype(np.float64)
    else:
        start = np.random.default_rng(seed).uniform(0.5, 1.5, smaller)
        _, strength, right = svds(matrix.astype(np.float64), k=rank, v0=start)
        vectors = np.asarray(right).T * np.asarray(strength)
    return _directions(vectors, used)


def pure_svd_of_gram(gram: Floats, n_users: int, dim: int, seed: int = 0) -> Doubles:
    """Return what `pure_svd` returns, up to rounding, given the Gram matrix M' M = V S S V' in place of M.

    Args:
        gram: "items items", how many users used both of two items.
        n_users: the number of rows of M.
        dim, seed: see `pure_svd`.
    """
    n_items, used = len(gram), gram.diagonal() > 0
    rank = min(dim, min(n_users, n_items) - 1)
    if rank < 1:
        return unit_rows(used[:, None].astype(np.float64))

    def times(vector: Doubles) -> Doubles:
        blocks = (gram[start : start + _ROWS].astype(np.float64) for start in range(0, n_items, _ROWS))
        return np.concatenate([block @ vector for block in blocks])

    start = np.random.default_rng(seed).uniform(0.5, 1.5, n_items)
    operator = LinearOperator((n_items, n_items), matvec=times, dtype=np.float64)
    strength, vectors = eigsh(operator, k=rank, v0=start)
    return _directions(vectors * np.sqrt(np.maximum(strength, 0)), used)


def _directions(vectors: Doubles, used: Mask) -> Doubles:
    """Return unit rows, or rows of zeros for items outside the leading factors and those that nobody used."""
    # The vector of an item outside the leading factors is rounding noise, without a meaningful direction.
    noise = 1e-9 * max(float(np.abs(vectors).max(initial=0.0)), 1e-300)
    vectors[np.linalg.norm(vectors, axis=1) < noise] = 0.0
    return unit_rows(vectors * used[:, None])


def spherical_kmeans(vectors: Doubles, clusters: int, seed: int = 0, iterations: int = 50) -> Ints:
    """Return the cluster of each unit vector, maximising the sum of cosines with the cluster's mean direction.

    Seeding is k-means++ (Arthur and Vassilvitskii, 2007); the update is Dhillon and Modha's, *Concept decompositions
    for large sparse text data using clustering*, 2001. An empty cluster takes the vector farthest from its centre.

    Args:
        vectors: "points dim", unit rows.
        clusters: number of clusters; fewer if there are fewer distinct points.
        seed: of the initial centres.
        iterations: maximum number of updates; it stops when no point moves.

    >>> spherical_kmeans(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), 2).tolist() in ([0, 1, 0], [1, 0, 1])
    True
    """
    centres = _plus_plus(vectors, clusters, np.random.default_rng(seed))
    assigned = np.full(len(vectors), -1, np.int64)
    for _ in range(iterations):
        cosine = vectors @ centres.T
        nearest = cosine.argmax(1)
        worst = np.argsort(cosine[np.arange(len(vectors)), nearest], kind="stable")
        empty = np.flatnonzero(np.bincount(nearest, minlength=len(centres)) == 0)
        nearest[worst[: len(empty)]] = empty
        if np.array_equal(nearest, assigned):
            break
        assigned = nearest
        ones = np.ones(len(vectors)), (assigned, np.arange(len(vectors)))
        membership = sp.csr_matrix(ones, shape=(len(centres), len(vectors)))
        centres = unit_rows(np.asarray(membership @ vectors))
    return assigned


def _plus_plus(vectors: Doubles, clusters: int, rng: np.random.Generator) -> Doubles:
    """Draw centres among the points, with probability proportional to the distance from those already drawn."""
    chosen = [int(rng.integers(len(vectors)))]
    distance = 1.0 - vectors @ vectors[chosen[0]]
    while len(chosen) < clusters:
        distance[chosen] = 0.0  # of a vector of zeros, too, so that no point is drawn twice
        weight = np.where(distance > 1e-12, distance, 0.0)
        if not weight.any():
            break
        chosen.append(int(rng.choice(len(vectors), p=weight / weight.sum())))
        distance = np.minimum(distance, 1.0 - vectors @ vectors[chosen[-1]])
    return vectors[chosen]


POPULARITY: Final = ("head", "middle", "tail")
"""Names of the classes, from the most used items to the least used."""


def popularity_parts(counts: Ints) -> Doubles:
    """Return "items 3": 1 for the class of each item.

    Items are ordered by their uses, most first, and cut so that each class has a third of all uses; an item that
    straddles a cut is in the class that has its middle. Items without uses are in the tail. The counts are those of
    training: those of the test period would leak.

    Args:
        counts: "items", uses of each item.

    >>> popularity_parts(np.array([1, 6, 3, 1, 1, 0])).argmax(1).tolist()
    [2, 0, 1, 2, 2, 2]
    """
    order = np.argsort(-counts, kind="stable")
    ranked = counts[order].astype(np.float64)
    total = ranked.sum()
    middle = (np.cumsum(ranked) - ranked / 2) / total if total > 0 else np.ones(len(ranked))
    place = np.where(ranked > 0, np.minimum((middle * 3).astype(np.int64), 2), 2)
    parts = np.zeros((len(counts), len(POPULARITY)))
    parts[order, place] = 1.0
    return parts
