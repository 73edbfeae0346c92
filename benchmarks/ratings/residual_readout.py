"""A neighbourhood model of ratings that is read with event weights: rating prediction for every rule of forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.linear.operations import cooccurrence_blocks
from recsys.types import Doubles


@final
@dataclass(frozen=True)
class ReadoutSettings:
    """Settings of the read-out.

    Raises:
        ConfigError: a value is out of range.
    """

    user_shrinkage: float = 5.0  # lambda_u, events of weight 1 at which the user's bias is halfway to its mean residual
    item_shrinkage: float = 5.0  # lambda_i, the same of items
    similarity_shrinkage: float = 10.0  # beta, added to the squared norms of the similarity
    # gamma, sum of weighted similarities at which the neighbours' term is half of their mean; infinity leaves
    # the biases alone, and no similarities are computed
    neighbour_shrinkage: float = 0.5
    neighbours: int = 100  # number of similar items of each item

    def __post_init__(self) -> None:
        for name in ("user_shrinkage", "item_shrinkage", "similarity_shrinkage"):
            positive(name, getattr(self, name))
        positive("neighbour_shrinkage", self.neighbour_shrinkage, infinite=True)
        positive("neighbours", self.neighbours)


@final
class ResidualReadout:
    """Biases and item-item neighbours of the residuals, read with the weights w_j of the user's events.

        b_u(t)  = sum_j w_j (r_uj - mu - b_j) / (lambda_u + sum_j w_j)              e_uj = r_uj - mu - b_j - b_u(t)
        r_ui(t) = mu + b_i + b_u(t) + sum_j w_j s_ij e_uj / (gamma + sum_j w_j s_ij)
        s_ij    = e_i . e_j / sqrt( (|e_i|^2 + beta) (|e_j|^2 + beta) ), the largest positive ones of each item i

    The form is that of Koren's neighbourhood model (*Collaborative Filtering with Temporal Dynamics*, KDD 2009, section
    5): item parameters from undecayed data, a read-out that decays. It is not that model: his item-item weights are
    learned by gradient together with beta_u, here they are adjusted cosines (Sarwar, Karypis, Konstan, Riedl, WWW
    2001), and the weights may be any rule's. Both sums are divided by the sum of their weights: forgetting everything
    leaves mu + b_i. Users are their histories, so no user is unknown.

    It is not a `Recommender`: it ranks nothing.
    """

    def __init__(self, settings: ReadoutSettings = ReadoutSettings()) -> None:
        self.settings = settings
        self.mean = 0.0
        self.item_bias: Doubles = np.zeros(0)
        self._similar = sp.csr_matrix((0, 0))

    def fit(self, train: Interactions, rounds: int = 10) -> ResidualReadout:
        """Learn mu, the biases (by alternating ridge regressions) and the similarities from a log of ratings.

        Raises:
            CapabilityError: no event has a rating, or all have the same.
        """
        rated = train.select(np.isfinite(train.value))
        rating = rated.value.astype(np.float64)
        if len(rating) == 0 or rating.min() == rating.max():
            raise CapabilityError(f"ResidualReadout predicts ratings, and {train.name} has none to learn from")
        self.mean = float(rating.mean())
        user, item = rated.user_num, rated.item_num
        of_user = np.bincount(user, minlength=rated.n_users) + self.settings.user_shrinkage
        of_item = np.bincount(item, minlength=rated.n_items) + self.settings.item_shrinkage
        user_bias, item_bias = np.zeros(rated.n_users), np.zeros(rated.n_items)
        for _ in range(rounds):
            item_bias = np.bincount(item, rating - self.mean - user_bias[user], rated.n_items) / of_item
            user_bias = np.bincount(user, rating - self.mean - item_bias[item], rated.n_users) / of_user
        self.item_bias = item_bias
        if np.isinf(self.settings.neighbour_shrinkage):
            self._similar = sp.csr_matrix((rated.n_items, rated.n_items))
            return self
        residual = rating - self.mean - item_bias[item] - user_bias[user]
        self._similar = self._similarities(
            sp.csr_matrix((residual.astype(np.float32), (user, item)), shape=(rated.n_users, rated.n_items))
        )
        return self

    def predict(self, queries: Queries, items: npt.NDArray[np.int32]) -> Doubles:
        """Return the predicted rating of one item for each query, "queries"; not clipped to the scale.

        An unknown item has neither bias nor neighbours. Events of unknown items and blank ratings in the history are
        ignored; of several ratings of an item the one with the largest weight (the latest of equals) counts.
        """
        used = np.flatnonzero(queries.counted & np.isfinite(queries.values))
        row, item = queries.history.rows[used], queries.history.items[used]
        weight = np.ones(len(used)) if queries.weights is None else queries.weights[used].astype(np.float64)
        count = len(queries)
        above = queries.values[used] - self.mean - self.item_bias[item]
        user_bias = np.bincount(row, weight * above, count) / (
            self.settings.user_shrinkage + np.bincount(row, weight, count)
        )
        known = items != UNKNOWN
        place = np.where(known, items, 0)
        similarity = np.asarray(self._similar[place[row], item], np.float64).ravel() * known[row] * weight
        total = np.bincount(row, similarity * (above - user_bias[row]), count)
        neighbours = total / (self.settings.neighbour_shrinkage + np.bincount(row, similarity, count))
        predicted: Doubles = self.mean + np.where(known, self.item_bias[place], 0.0) + user_bias + neighbours
        return predicted

    def _similarities(self, residual: sp.csr_matrix) -> sp.csr_matrix:
        """Return s, "items items": in row i the nearest neighbours of item i."""
        norm = np.asarray(residual.multiply(residual).sum(0)).ravel() + self.settings.similarity_shrinkage
        scaled = (residual @ sp.diags(1.0 / np.sqrt(norm))).tocsr()
        blocks = []
        for start, block in cooccurrence_blocks(scaled):
            near = block.tocoo()
            keep = (near.data > 0) & (near.row + start != near.col)
            row, column, value = near.row[keep], near.col[keep], near.data[keep]
            order = np.lexsort((-value, row))
            first = np.searchsorted(row[order], row[order])
            order = order[np.arange(len(order)) - first < self.settings.neighbours]
            blocks.append(sp.csr_matrix((value[order], (row[order], column[order])), shape=block.shape))
        similar: sp.csr_matrix = sp.vstack(blocks, format="csr")
        similar.sort_indices()
        return similar
