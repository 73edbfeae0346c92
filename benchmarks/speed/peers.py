"""Cornac and implicit as peers in training and evaluation."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from cornac import metrics as cornac_metrics
from cornac import models as cornac_models
from cornac.data import Dataset
from cornac.eval_methods.base_method import ranking_eval
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recsys.data.splits.holdout import Split
from recsys.data.vocabulary import UNKNOWN

Scores = npt.NDArray[np.float32]


@final
class CornacScores(cornac_models.Recommender):  # type: ignore[misc]
    """A Cornac model whose scores are given: "users items"."""

    def __init__(self, scores: Scores) -> None:
        super().__init__(name="scores", trainable=False)
        self._scores = scores

    def score(self, user_idx: int, item_idx: int | None = None, **_: object) -> Any:  # noqa: ANN401 - Cornac's own
        row = self._scores[user_idx]
        return row if item_idx is None else row[item_idx]


def cornac_dataset(users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], n_users: int, n_items: int) -> Dataset:
    """Return events as Cornac's data set, with our numbers as its own."""
    uid_map, iid_map = (OrderedDict((number, number) for number in range(size)) for size in (n_users, n_items))
    ones = np.ones(len(users), dtype=np.float64)
    return Dataset(n_users, n_items, uid_map, iid_map, (users.astype(np.int64), items.astype(np.int64), ones))


def cornac_evaluation(scores: Scores, split: Split, cutoffs: Sequence[int]) -> tuple[dict[str, float], float]:
    """Evaluate given scores with Cornac: NDCG, recall, precision and hit ratio at the cutoffs, MRR and MAP.

    Returns:
        Means by name in small letters, as "ndcg@10", and the seconds of `ranking_eval` alone, without making data sets.
    """
    train = split.train
    n_users, n_items = train.n_users, train.n_items
    train_set = cornac_dataset(train.user_num, train.item_num, n_users, n_items)
    parts = []
    for part in (split.valid, split.test):
        owner, item = part.queries.users[part.relevant.rows], part.relevant.items
        known = (owner != UNKNOWN) & (item != UNKNOWN)
        parts.append(cornac_dataset(owner[known], item[known], n_users, n_items))
    valid_set, test_set = parts
    model = CornacScores(scores)
    model.fit(train_set, valid_set)
    kinds = (cornac_metrics.NDCG, cornac_metrics.Recall, cornac_metrics.Precision, cornac_metrics.HitRatio)
    chosen = [kind(k=k) for kind in kinds for k in cutoffs] + [cornac_metrics.MRR(), cornac_metrics.MAP()]
    started = time.perf_counter()
    means, _ = ranking_eval(model, chosen, train_set, test_set, valid_set)
    seconds = time.perf_counter() - started
    return {metric.name.lower(): float(mean) for metric, mean in zip(chosen, means, strict=True)}, seconds


def cornac_rate(kind: str, matrix: sp.csr_matrix, epochs: int, size: int = 64) -> float:
    """Return the examples per second of Cornac's "BPR" or "MF" in `epochs` further epochs, without preparation."""
    coo = matrix.tocoo()
    data = cornac_dataset(coo.row, coo.col, *matrix.shape)
    classes = {"BPR": cornac_models.BPR, "MF": cornac_models.MF}

    def seconds(count: int) -> float:
        model = classes[kind](k=size, max_iter=count, learning_rate=0.01, lambda_reg=0.01, verbose=False)
        started = time.perf_counter()
        model.fit(data)
        return time.perf_counter() - started

    return epochs * int(matrix.nnz) / (seconds(1 + epochs) - seconds(1))


def implicit_rate(kind: str, matrix: sp.csr_matrix, epochs: int, size: int = 64) -> float:
    """Return the examples per second of implicit's "BPR" or "ALS"; the first epoch is warm-up."""
    clock: list[float] = []

    def tick(*_: object) -> None:
        clock.append(time.perf_counter())

    if kind == "ALS":
        # implicit has its own threads, which those of BLAS would slow down.
        with threadpool_limits(1, user_api="blas"):
            model: Any = AlternatingLeastSquares(factors=size, iterations=1 + epochs, use_gpu=False, random_state=0)
            model.fit(matrix, show_progress=False, callback=tick)
    else:
        model = BayesianPersonalizedRanking(factors=size - 1, iterations=1 + epochs, use_gpu=False, random_state=0)
        model.fit(matrix, show_progress=False, callback=tick)
    return epochs * int(matrix.nnz) / (clock[-1] - clock[0])
