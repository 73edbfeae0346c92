"""ItemKNN: items used by the same users are alike."""

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
from recsys.models.base import FoldIn, Recommender, Validate
from recsys.models.linear.operations import cooccurrence_blocks, event_weights, weighted
from recsys.models.sparse_top_n import largest_per_row
from recsys.training.session import Session

ItemSimilarity = Literal["cosine", "jaccard", "dice"]

_SPARSE = 10
"""How many items of the catalogue there have to be for each stored score, so that dense ones cost more."""


@final
class ItemKNN(Recommender, FoldIn):
    """Each candidate item is voted for by those of its nearest items that the user's history holds.

        s_ui = sum_{j in N_k(i)} w_uj sim(i, j)

    With c_ij the users of both items, n_i the users of i and h the shrinkage, which damps similarities that few users
    support, sim(i, j) is

        cosine   c_ij / (sqrt(n_i n_j) + h)
        jaccard  c_ij / (n_i + n_j - c_ij + h)
        dice     2 c_ij / (n_i + n_j + h)

    N_k(i) are the k items most similar to the candidate i; equal similarities go to the lower item number. Similarities
    are made in blocks of rows, so memory grows with items * k, not with items squared. Sources: Sarwar, Karypis,
    Konstan, Riedl, *Item-based Collaborative Filtering Recommendation Algorithms*, WWW 2001; the shrinkage is Bell and
    Koren's (ICDM 2007). The score is additive: event j adds w_j sim(i, j).

    Args:
        neighbours: k.
        similarity: one of the three above.
        shrinkage: h, in users.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, neighbours: int = 100, similarity: ItemSimilarity = "cosine", shrinkage: float = 10.0) -> None:
        positive("neighbours", neighbours)
        choice("similarity", similarity, ItemSimilarity)
        positive("shrinkage", shrinkage, zero=True)
        self.neighbours = neighbours
        self.similarity = similarity
        self.shrinkage = shrinkage
        self._votes: sp.csr_matrix
        self._voters: sp.csc_matrix
        self._reached: npt.NDArray[np.integer]
        self._item_sample: tuple[npt.NDArray[np.int32], sp.csr_matrix] | None = None

    @property
    def folds_in(self) -> bool:
        return True

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        _ = self.fitted_on
        weight, history = event_weights(queries), queries.history
        result = np.zeros((len(history.items), items.shape[1]), np.float32)
        # Few voters stand behind each candidate, many candidates behind a popular voter: so look among the former.
        asked = self._voters.indptr[items], self._voters.indptr[items + 1]
        place = np.zeros(self.n_items, np.int64)  # 1 + the event of each item, 0 where none counts
        for row, (begin, end) in enumerate(pairwise(history.indptr.tolist())):
            events = begin + np.flatnonzero(weight[begin:end])
            own = history.items[events]
            place[own] = events + 1
            starts, counts = asked[0][row], asked[1][row] - asked[0][row]
            column = np.repeat(np.arange(len(counts)), counts)
            entry = np.arange(len(column)) + (starts - np.cumsum(counts) + counts)[column]
            event = place[self._voters.indices[entry]]
            votes = np.flatnonzero(event)
            result[event[votes] - 1, column[votes]] = self._voters.data[entry[votes]]
            place[own] = 0
        return torch.from_numpy(weight[:, None] * result)

    def sample_contributions(
        self, queries: Queries, item_sample: npt.NDArray[np.int32]
    ) -> Float[Tensor, "events item_sample"]:
        _ = self.fitted_on
        if self._item_sample is None or self._item_sample[0] is not item_sample:
            self._item_sample = item_sample, self._voters[:, item_sample].tocsr()
        votes = self._item_sample[1][np.maximum(queries.history.items, 0)].toarray()
        return weighted(queries, votes)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        matrix = train.matrix()
        users_of = np.bincount(matrix.indices, minlength=train.n_items).astype(np.float32)
        candidates, voters, values = [], [], []
        for start, block in cooccurrence_blocks(matrix):
            row = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
            other = block.indices != row + start
            row, column = row[other], block.indices[other]
            similar = self._similarity(block.data[other], users_of[row + start], users_of[column])
            kept = largest_per_row(row, column, similar, self.neighbours)
            candidates.append(row[kept] + start)
            voters.append(column[kept])
            values.append(similar[kept])
        index = (np.concatenate([*voters, []]), np.concatenate([*candidates, []]))
        shape = (train.n_items, train.n_items)
        votes = sp.csr_matrix((np.concatenate([*values, np.zeros(0, np.float32)]), index), shape=shape)
        votes.sort_indices()
        self._take(votes)

    def _take(self, votes: sp.csr_matrix) -> None:
        """Keep the votes by voter, for scores, and by candidate, for contributions."""
        self._votes, self._voters, self._item_sample = votes, votes.tocsc(), None
        self._reached = np.append(np.diff(votes.indptr), 0)  # UNKNOWN (-1) points at the end

    def _similarity(
        self, both: npt.NDArray[np.float32], one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        if self.similarity == "cosine":
            value = both / (np.sqrt(one * other) + self.shrinkage)
        elif self.similarity == "jaccard":
            value = both / (one + other - both + self.shrinkage)
        else:
            value = 2 * both / (one + other + self.shrinkage)
        return np.asarray(value, dtype=np.float32)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy((queries.matrix(self.n_items) @ self._votes).toarray())

    def _is_sparse(self, queries: Queries) -> bool:
        # How many scores are stored at most: lists from them are faster while they are a small part of the catalogue.
        stored = int(self._reached[queries.history.items].sum())
        return stored * _SPARSE <= len(queries) * self.n_items

    def _sparse_score(self, queries: Queries) -> sp.csr_matrix:
        scores: sp.csr_matrix = queries.matrix(self.n_items) @ self._votes
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        votes = self._votes
        return {"votes.data": votes.data, "votes.indices": votes.indices, "votes.indptr": votes.indptr}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        parts = (arrays["votes.data"], arrays["votes.indices"], arrays["votes.indptr"])
        self._take(sp.csr_matrix(parts, shape=(self.n_items, self.n_items)))
