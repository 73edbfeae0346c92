"""Ratings as what a user says beyond the usual: less the user's mean and the item's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.sparse as sp

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.data.pairs.pairs import rated
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.linear.operations import event_weights
from recsys.types import Doubles, Floats

_OF_USER, _OF_ITEM = 3.0, 5.0
"""Ratings at the common mean that are added to those of a user and of an item."""

_SWEEPS = 8


@final
@dataclass(frozen=True, eq=False)
class Residuals:
    """x_ul = r_ul - m_u - b_l, with m_u = mu + the mean of r_ul - mu - b_l over the user's ratings; both shrunk.

    Attributes:
        mean: mu, the mean rating.
        item: "items", float64, b_l.
    """

    mean: float
    item: Doubles

    @classmethod
    def of(cls, log: Interactions) -> Residuals:
        """Estimate the means of users and items by turns.

        Raises:
            DataError: no two ratings differ.
        """
        has = rated(log)
        user, item, value = log.user_num[has], log.item_num[has], log.value[has].astype(np.float64)
        mean = float(value.mean())
        of_user, of_item = np.zeros(log.n_users), np.zeros(log.n_items)
        sizes = np.bincount(user, minlength=log.n_users), np.bincount(item, minlength=log.n_items)
        for _ in range(_SWEEPS):
            of_user = np.bincount(user, value - mean - of_item[item], log.n_users) / (sizes[0] + _OF_USER)
            of_item = np.bincount(item, value - mean - of_user[user], log.n_items) / (sizes[1] + _OF_ITEM)
        return cls(mean, of_item)

    def features(self, queries: Queries) -> tuple[Floats, Floats]:
        """Return x_l and n_u^-1/2 of each event, "events" each, times its weight; 0 where it is not counted.

        The user's mean and the number n_u of events are those of the whole history, events of weight 0 included: so
        without some events the others say what they said.
        """
        rows, items = queries.history.rows, queries.history.items
        counted = queries.counted
        has = counted & np.isfinite(queries.values)
        if queries.kinds is not None:
            has &= queries.kinds == CODES["rating"]
        raw = np.where(has, queries.values - self.mean - self.item[np.where(items == UNKNOWN, 0, items)], 0.0)
        size = len(queries)
        of_user = np.bincount(rows, raw, size) / (np.bincount(rows, has, size) + _OF_USER)
        count = np.maximum(np.bincount(rows, counted, size), 1.0)
        weights = event_weights(queries)
        signed = np.where(has, raw - of_user[rows], 0.0) * weights
        return signed.astype(np.float32), (count[rows] ** -0.5 * weights).astype(np.float32)

    def matrices(self, log: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Return both features of a log, "users items" each; an entry of the first may be 0 where it is rated."""
        queries = Queries.from_interactions(log)
        counted = queries.counted
        shape = log.n_users, log.n_items
        found = []
        for feature in self.features(queries):
            entries = feature[counted], (queries.history.rows[counted], queries.history.items[counted])
            found.append(sp.csr_matrix(entries, shape=shape, dtype=np.float32))
        return found[0], found[1]
