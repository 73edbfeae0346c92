"""ItemKNN: item-based nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn, SampledContributions
from recsys.models.feedback import Feedback, FeedbackReader
from recsys.models.linear.operations import cooccurrence_blocks, weighted_sum
from recsys.models.top_n import SparseScores, largest_per_row
from recsys.training.session import Session
from recsys.types import Floats, Items

ItemSimilarity = Literal["cosine", "jaccard", "dice"]

_SPARSE = 10
"""Items of the catalogue per stored score from which sparse scores are faster than dense ones."""


@final
class ItemKNN(Recommender, FoldIn, SampledContributions, SparseScores):
    """Score an item by its similarity to those of its nearest neighbours that are in the user's history.

        s_ui = sum_{j in N_k(i)} w_uj sim(i, j)

    With c_ij the number of users of both items, n_i the number of users of i and h the shrinkage, which damps
    similarities that few users support, sim(i, j) is

        cosine   c_ij / (sqrt(n_i n_j) + h)
        jaccard  c_ij / (n_i + n_j - c_ij + h)
        dice     2 c_ij / (n_i + n_j + h)

    N_k(i) are the k items most similar to the candidate i; equal similarities go to the lower item number. Similarities
    are computed in blocks of rows, so memory grows with items * k, not with items squared. Sources: Sarwar, Karypis,
    Konstan, Riedl, *Item-based Collaborative Filtering Recommendation Algorithms*, WWW 2001; the shrinkage is Bell and
    Koren's (ICDM 2007). The score is additive: event j adds w_j sim(i, j).

    Where ratings or kinds of events count (`FeedbackReader`), c_ij is the sum over users of the product of both
    targets, n_i the sum of the squared targets of i, and the feature of an event takes the place of w_uj: with "signed"
    feedback the second one, w_uj p_uj, alone, so that what was disliked repels its neighbours.

    Args:
        neighbours: k.
        similarity: one of the three above.
        shrinkage: h, in users.
        feedback: how ratings and kinds of events count.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        neighbours: int = 100,
        similarity: ItemSimilarity = "cosine",
        shrinkage: float = 10.0,
        feedback: Feedback = "events",
    ) -> None:
        positive("neighbours", neighbours)
        choice("similarity", similarity, ItemSimilarity)
        positive("shrinkage", shrinkage, zero=True)
        choice("feedback", feedback, Feedback)
        self.neighbours = neighbours
        self.similarity = similarity
        self.shrinkage = shrinkage
        self.feedback = feedback
        self._reader = FeedbackReader(feedback)
        self._by_neighbour: sp.csr_matrix
        self._by_candidate: sp.csc_matrix
        self._row_lengths: npt.NDArray[np.integer]
        self._sample: tuple[Items, sp.csr_matrix] | None = None

    @property
    def folds_in(self) -> bool:
        return True

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        _ = self.fitted_on
        weight, history, similarity = self._feature(queries), queries.history, self._by_candidate
        result = np.zeros((len(history.items), items.shape[1]), np.float32)
        # A candidate has few neighbours, a popular neighbour many candidates: so search the candidates' columns.
        begins, ends = similarity.indptr[items], similarity.indptr[items + 1]
        event_of = np.zeros(self.n_items, np.int64)  # 1 + the event of each item, 0 where none is counted
        for row, (begin, end) in enumerate(pairwise(history.indptr.tolist())):
            events = begin + np.flatnonzero(weight[begin:end])
            own = history.items[events]
            event_of[own] = events + 1
            starts, counts = begins[row], ends[row] - begins[row]
            column = np.repeat(np.arange(len(counts)), counts)
            entry = np.arange(len(column)) + (starts - np.cumsum(counts) + counts)[column]
            event = event_of[similarity.indices[entry]]
            matches = np.flatnonzero(event)
            result[event[matches] - 1, column[matches]] = similarity.data[entry[matches]]
            event_of[own] = 0
        return torch.from_numpy(weight[:, None] * result)

    def contributions_to_sample(
        self, queries: Queries, item_sample: Items, items: Items
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events n"]]:
        _ = self.fitted_on
        if self._sample is None or self._sample[0] is not item_sample:
            self._sample = item_sample, self._by_candidate[:, item_sample].tocsr()
        similarity = self._sample[1][np.maximum(queries.history.items, 0)].toarray()
        return weighted_sum([self._feature(queries)], [similarity]), self.contributions(queries, items)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        self._reader = FeedbackReader.of(self.feedback, train, "ItemKNN")
        _, matrix = self._reader.matrices(train)
        users_of = np.bincount(matrix.indices, matrix.data.astype(np.float64) ** 2, train.n_items).astype(np.float32)
        candidates, neighbours, values = [], [], []
        for start, block in cooccurrence_blocks(matrix):
            row = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
            other = block.indices != row + start
            row, column = row[other], block.indices[other]
            similar = self._similarity(block.data[other], users_of[row + start], users_of[column])
            nearest = largest_per_row(row, column, similar, self.neighbours)
            candidates.append(row[nearest] + start)
            neighbours.append(column[nearest])
            values.append(similar[nearest])
        index = (np.concatenate([*neighbours, []]), np.concatenate([*candidates, []]))
        shape = (train.n_items, train.n_items)
        similarity = sp.csr_matrix((np.concatenate([*values, np.zeros(0, np.float32)]), index), shape=shape)
        similarity.sort_indices()
        self._set(similarity)

    def _set(self, similarity: sp.csr_matrix) -> None:
        """Set the similarities "neighbour candidate", by neighbour for scores and by candidate for contributions."""
        self._by_neighbour, self._by_candidate, self._sample = similarity, similarity.tocsc(), None
        self._row_lengths = np.append(np.diff(similarity.indptr), 0)  # UNKNOWN (-1) reads the last entry

    def _similarity(self, both: Floats, one: Floats, other: Floats) -> Floats:
        if self.similarity == "cosine":
            value = both / (np.sqrt(one * other) + self.shrinkage)
        elif self.similarity == "jaccard":
            value = both / (one + other - both + self.shrinkage)
        else:
            value = 2 * both / (one + other + self.shrinkage)
        return np.asarray(value, dtype=np.float32)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy(self.sparse_scores(queries).toarray())

    def _feature(self, queries: Queries) -> Floats:
        """Return the feature of each event, "events": of two the one that tells likes from dislikes."""
        return self._reader.features(queries)[-1]

    def is_sparse(self, queries: Queries) -> bool:
        if not self._reader.is_plain(queries) and bool((self._feature(queries) < 0).any()):
            return False  # scores below 0 come after those that are not stored
        stored = int(self._row_lengths[queries.history.items].sum())
        return stored * _SPARSE <= len(queries) * self.n_items

    def sparse_scores(self, queries: Queries) -> sp.csr_matrix:
        return sp.csr_matrix(queries.history.matrix(self.n_items, self._feature(queries)) @ self._by_neighbour)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        votes = self._by_neighbour
        stored = {"votes.data": votes.data, "votes.indices": votes.indices, "votes.indptr": votes.indptr}
        return stored | self._reader.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        parts = (arrays["votes.data"], arrays["votes.indices"], arrays["votes.indptr"])
        self._set(sp.csr_matrix(parts, shape=(self.n_items, self.n_items)))
        self._reader = FeedbackReader.restored(arrays)
