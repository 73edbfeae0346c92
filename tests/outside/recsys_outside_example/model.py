"""CoUsers: items are alike if the same users use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn
from recsys.models.linear.operations import event_weights
from recsys.training.session import Session


@final
class CoUsers(Recommender, FoldIn):
    """Sum over the history of the number of common users, damped for popular items.

        s_ui = sum_j w_uj c_ij / (c_ii c_jj)^damping

    Args:
        damping: 0 counts common users, 0.5 is their cosine.
    """

    def __init__(self, damping: float = 0.5) -> None:
        positive("damping", damping, zero=True)
        self.damping = damping
        self._similarity: torch.Tensor

    @property
    def folds_in(self) -> bool:
        return True

    def contributions(self, queries: Queries, items: np.ndarray[Any, Any]) -> torch.Tensor:
        _ = self.fitted_on
        history = torch.from_numpy(np.maximum(queries.history.items, 0).astype(np.int64))
        candidates = torch.from_numpy(items[queries.history.rows].astype(np.int64))
        return torch.from_numpy(event_weights(queries))[:, None] * self._similarity[history].gather(1, candidates)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        users = torch.from_numpy(train.matrix().toarray())
        common = users.T @ users
        popularity = common.diagonal().clamp(min=1) ** self.damping
        self._similarity = (common / torch.outer(popularity, popularity)).fill_diagonal_(0.0)

    def _score(self, queries: Queries) -> torch.Tensor:
        return torch.from_numpy(queries.matrix(self.n_items).toarray()) @ self._similarity

    def _arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"similarity": self._similarity.numpy()}

    def _restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._similarity = torch.from_numpy(arrays["similarity"].copy())
