"""Lists of many users by implicit and Cornac."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from cornac.models import EASE
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.speed.peers import cornac_dataset
from recsys.data.interactions import Interactions


def implicit_lists(log: Interactions, n: int, size: int = 64) -> Mapping[str, Callable[[], object]]:
    """Return calls that make the lists of all users in one batch, by ALS and by cosine neighbours, on one thread."""
    matrix = log.matrix()
    users = np.arange(log.n_users)
    models: dict[str, Any] = {
        "ALS": AlternatingLeastSquares(factors=size, iterations=3, use_gpu=False, random_state=0, num_threads=1),
        "cosine neighbours": CosineRecommender(K=100, num_threads=1),
    }
    with threadpool_limits(1, user_api="blas"):
        for model in models.values():
            model.fit(matrix, show_progress=False)

    def lists(model: Any) -> Callable[[], object]:  # noqa: ANN401 - implicit has no types
        return lambda: model.recommend(users, matrix, N=n, filter_already_liked_items=True)

    return {name: lists(model) for name, model in models.items()}


def cornac_lists(log: Interactions, n: int, users: int) -> Mapping[str, Callable[[], object]]:
    """Return a call that makes the lists of the first users by EASE; Cornac's `recommend` takes one of them."""
    coo = log.matrix().tocoo()
    data = cornac_dataset(coo.row, coo.col, log.n_users, log.n_items)
    model = EASE(lamb=1000.0, posB=False, verbose=False)
    model.fit(data)

    def lists() -> None:
        for user in range(users):
            model.recommend(user, k=n, remove_seen=True, train_set=data)

    return {"EASE": lists}
