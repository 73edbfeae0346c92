"""Tastes: a partition of the items independent of every model, and taste distributions of histories and lists.

Each item has shares of tastes, s(t|i), with sum_t s(t|i) = 1. Where the log has genres, tastes are genres and
an item with several shares equally; otherwise tastes are clusters of a separate PureSVD and each item has one. The
taste distribution of a history H, or of a list, is the mean over its items: P(t) = sum_{i in H} s(t|i) / |H|. Items
without any taste (no genre, or no event) enter neither the sum nor |H|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.clusters import pure_svd, spherical_kmeans, unit_rows
from recsys.data.interactions import Interactions
from recsys.data.items import NO_GENRE
from recsys.data.queries import Ragged
from recsys.errors import ConfigError
from recsys.types import Doubles, Items, Mask

SVD_DIM = 32
"""Factors of the PureSVD behind clusters and item vectors; independent of the size of any evaluated model."""


@final
@dataclass(frozen=True, eq=False)
class Tastes:
    """The tastes of the items of a training log.

    Attributes:
        shares: "items tastes", float64, s(t|i); a zero row for an item without taste.
        names: one name per taste.
        vectors: "items dim", float64, unit rows (zero where unknown), for the diversity of lists: the genre vectors,
            or the clustered PureSVD vectors.
        source: whether tastes are genres or clusters.
    """

    shares: Doubles
    names: tuple[str, ...]
    vectors: Doubles
    source: Literal["genres", "clusters"]

    @classmethod
    def of(cls, train: Interactions, *, clusters: int = 20, seed: int = 0) -> Tastes:
        """Return the genres of a log if it has any, else clusters of its items.

        Args:
            train: the training log; held-out events must not influence the tastes.
            clusters: how many, where there are no genres.
            seed: of PureSVD and k-means.

        Raises:
            ConfigError: fewer than one cluster.
        """
        if clusters < 1:
            raise ConfigError(f"clusters is {clusters}; at least 1 is needed")
        names, genres = train.metadata.genre_matrix
        columns = [column for column, name in enumerate(names) if name not in NO_GENRE]
        if columns:
            has = genres[:, columns].astype(np.float64)
            total = has.sum(1, keepdims=True)
            shares = has / np.where(total > 0, total, 1.0)
            return cls(shares, tuple(names[column] for column in columns), unit_rows(has), "genres")
        vectors = pure_svd(train.matrix(), SVD_DIM, seed)
        placed = np.flatnonzero(vectors.any(1))
        shares = np.zeros((len(vectors), clusters))
        if len(placed):
            shares[placed, spherical_kmeans(vectors[placed], clusters, seed)] = 1.0
        used = np.flatnonzero(shares.any(0))
        return cls(shares[:, used], tuple(f"taste {number}" for number in range(len(used))), vectors, "clusters")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def padded_shares(self) -> Doubles:
        """ "items+1 tastes": `shares` with a zero row at the end, where the number `UNKNOWN` (-1) points."""
        return np.ascontiguousarray(np.vstack([self.shares, np.zeros((1, len(self)))]))  # rows are read

    @cached_property
    def padded_vectors(self) -> Doubles:
        """ "items+1 dim": `vectors` with a zero row at the end, where the number `UNKNOWN` (-1) points."""
        return np.ascontiguousarray(np.vstack([self.vectors, np.zeros((1, self.vectors.shape[1]))]))

    @cached_property
    def has_taste(self) -> Mask:
        """ "items+1", bool: whether an item has a taste; False at the end, where `UNKNOWN` (-1) points."""
        return np.asarray(self.padded_shares.any(1))

    def tasted(self, history: Ragged) -> sp.csr_matrix:
        """Return "queries items": 1 for each distinct item of a history that has a taste."""
        entries = history.items[self.has_taste[history.items]]
        rows = history.rows[self.has_taste[history.items]]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(history)))])
        matrix = sp.csr_matrix((np.ones(len(entries)), entries, indptr), shape=(len(history), len(self.shares)))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix

    def distributions(self, tasted: sp.csr_matrix) -> Doubles:
        """Return P_u, "queries tastes", of histories given as `tasted`; a row of zeros where no item has a taste."""
        return normalised(np.asarray(tasted @ self.shares))

    def of_histories(self, history: Ragged) -> Doubles:
        """Return P_u, "queries tastes": the taste distribution of the distinct known items of each history."""
        return self.distributions(self.tasted(history))

    def of_lists(self, top: Items, cutoffs: Sequence[int]) -> Doubles:
        """Return Q_u, "cutoffs queries tastes": the taste distribution of the first k items of each list.

        Args:
            top: "queries n", item numbers; `UNKNOWN` positions do not count.
            cutoffs: ascending list lengths.
        """
        return normalised(sums_at(self.padded_shares[top], cutoffs))

    def home_share(self, histories: Doubles, rows: npt.NDArray[np.integer], items: npt.NDArray[np.integer]) -> Doubles:
        """Return the share of a user's history that the home taste of an item holds: max_{t: s(t|i) > 0} P_u(t).

        The home taste of an item, for a user, is the one of its tastes that the user's history holds most of.

        Args:
            histories: "queries tastes", P_u.
            rows: "entries", the query of each entry.
            items: "entries", item numbers; `UNKNOWN` and items without taste give 0.
        """
        return np.asarray((histories[rows] * (self.padded_shares[items] > 0)).max(1, initial=0.0))


def sums_at(values: Doubles, cutoffs: Sequence[int]) -> Doubles:
    """Return the sums over the first k positions for each ascending cutoff k: "queries n ..." to "cutoffs queries ...".

    >>> sums_at(np.array([[1.0, 2.0, 4.0]]), [1, 3]).tolist()
    [[1.0], [7.0]]
    """
    starts = [0, *cutoffs[:-1]]
    parts = np.stack([values[:, start:stop].sum(1) for start, stop in zip(starts, cutoffs, strict=True)])
    return np.cumsum(parts, axis=0)


def normalised(counts: Doubles) -> Doubles:
    """Divide rows by their sum; rows of zeros stay zero."""
    total = counts.sum(-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, 1.0))


def entropy(distribution: Doubles) -> Doubles:
    """Return the Shannon entropy in bits, -sum_t P(t) log2 P(t), over the last axis; NaN for a row of zeros.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([1., 0.])
    """
    bits = 0.0 - _row_sums(distribution * np.log2(np.maximum(distribution, np.finfo(np.float64).tiny)))
    return np.where(_row_sums(distribution) > 0, bits, np.nan)


def _row_sums(values: Doubles) -> Doubles:
    """Return the sums over the last axis, which has few entries: a product takes a sixth of the time of `sum`."""
    return np.asarray(values @ np.ones(values.shape[-1]))
