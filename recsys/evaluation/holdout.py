"""Evaluate a model on held-out answers: one table with a row per user, and what follows from it.

    questions --rank, max(cutoffs)--> lists --+-- ranking metrics ------------+
                                              +-- tastes, novelty, diversity --+--> per user --> strata, means
                                              +-- coverage, Gini (all lists together) ---------> summary

The models are asked once. Everything after that works on the lists, in blocks of users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError
from recsys.evaluation.beyond_accuracy import (
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    recommended_counts,
    self_information,
)
from recsys.evaluation.calibration import chance_distance, minority_recall, miscalibration, taste_distance
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.ranking import Progress, rank, validator
from recsys.evaluation.result import Evaluation
from recsys.evaluation.strata import quartiles
from recsys.evaluation.tastes import Tastes, entropy
from recsys.models.base import Recommender

__all__ = ["Evaluation", "evaluate", "evaluate_lists", "validator"]

_BLOCK = 1024
_DRAWS_SEED = 0


def evaluate(
    model: Recommender,
    holdout: Holdout,
    train: Interactions,
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    tastes: Tastes | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank every item for every question of a holdout and compute all metrics.

    Nobody is dropped in silence. A user without relevant items has no ranking metrics (NaN) and is counted; a relevant
    item that is not in training stays in the denominators and is counted; a user the model cannot serve gets an empty
    list, which scores 0, and is counted.

    Args:
        model: fitted on `train`.
        holdout: the questions, the answers, and the candidates if only some items are to be ranked.
        train: the training log, for popularity, tastes, and who is warm.
        cutoffs: list lengths.
        tastes: the partition of the items; made from `train` when None. Make it once to evaluate several models.
        batch_size: queries scored at a time; by default what keeps the score matrix under about 256 MB.
        progress: told after each batch of ranked queries.

    Raises:
        ConfigError: a cutoff is not positive.
        DataError: the model was fitted on other items than `train` has, so that item numbers mean different things.
    """
    lengths = _ascending(cutoffs)
    if model.fitted_on.items != train.items:
        raise DataError(
            f"{type(model).__name__} was fitted on {model.n_items} items of {model.fitted_on.dataset!r}, which are not "
            f"the {train.n_items} items of the training log {train.name!r}; evaluate it with the log and split that it "
            "was fitted on"
        )
    lists = rank(model, holdout, lengths[-1], batch_size=batch_size, progress=progress)
    return evaluate_lists(lists.top, holdout, train, cutoffs=lengths, tastes=tastes, served=lists.served)


def evaluate_lists(
    top: npt.NDArray[np.int32],
    holdout: Holdout,
    train: Interactions,
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    tastes: Tastes | None = None,
    served: npt.NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Compute all metrics of lists that are already made, by a model or by anything else.

    Args:
        top: "queries n", item numbers, best first, `UNKNOWN` padding; n >= max(cutoffs).
        holdout: the questions and the answers.
        train: the training log.
        cutoffs: list lengths.
        tastes: the partition of the items; made from `train` when None.
        served: "queries", bool, whether the question was asked at all; everyone when None.

    Raises:
        ConfigError: a cutoff is not positive, or the lists are shorter than the largest.
    """
    lengths = _ascending(cutoffs)
    if top.ndim != 2 or top.shape[1] < lengths[-1] or len(top) != len(holdout):
        raise ConfigError(
            f"lists of shape {top.shape} cannot answer {len(holdout)} questions at cutoff {lengths[-1]}; one list "
            "of at least that length is needed for each question"
        )
    top = top[:, : lengths[-1]]
    partition = Tastes.of(train) if tastes is None else tastes
    history = holdout.queries.history
    relevant = holdout.relevant.lengths
    columns: dict[str, Any] = {
        "user_id": _plain_ids(holdout.user_ids),
        "n_relevant": relevant,
        "n_history": history.lengths,
        "served": np.ones(len(holdout), np.bool_) if served is None else served,
    }
    metrics = ranking_metrics(top, holdout.relevant, lengths)
    described = _describe(partition, self_information(train), history, top, holdout.relevant, lengths)
    taste_entropy = described.pop("taste_entropy")
    active = np.where(history.lengths > 0, history.lengths.astype(np.float64), np.nan)
    cold = holdout.queries.users == UNKNOWN
    columns |= {
        "taste_entropy": taste_entropy,
        "taste_entropy_quartile": quartiles(taste_entropy),
        "activity_quartile": quartiles(active),
        "user_kind": np.where(cold, "cold", "warm").astype(object),
    }
    per_user = pd.DataFrame(columns | metrics | described)
    overall: dict[str, float] = {}
    for k in lengths:
        counts = recommended_counts(top, k, train.n_items)
        overall |= {f"coverage@{k}": coverage(counts), f"gini@{k}": gini(counts)}
    unreachable = int((holdout.relevant.items == UNKNOWN).sum())
    return Evaluation(per_user, tuple(metrics | described), overall, lengths, unreachable)


def _ascending(cutoffs: Sequence[int]) -> tuple[int, ...]:
    """Return the distinct cutoffs in ascending order."""
    if not cutoffs or min(cutoffs) < 1:
        raise ConfigError(f"cutoffs are {list(cutoffs)}; give at least one, each at least 1, as in 5 10 20")
    return tuple(sorted({int(k) for k in cutoffs}))


def _plain_ids(user_ids: npt.NDArray[np.object_]) -> pd.Series[Any]:
    """Return external ids as one column of integers, or else of text, so that it can be stored and joined on."""
    kind = pd.api.types.infer_dtype(user_ids, skipna=False)
    if kind == "integer":
        return pd.Series(user_ids.astype(np.int64))
    return pd.Series([str(user_id) for user_id in user_ids], dtype=object)


def _describe(
    tastes: Tastes,
    information: npt.NDArray[np.float64],
    history: Ragged,
    top: npt.NDArray[np.int32],
    relevant: Ragged,
    cutoffs: tuple[int, ...],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return `taste_entropy` and the metrics of tastes, novelty and diversity, block by block to bound memory.

    Blocks do not depend on `batch_size`, and each draws from a generator of its own, so that two models evaluated on
    one holdout are compared with the same chance distances.
    """
    names = ("tdd", "tdd_excess", "ckl", "minority_recall", "novelty", "ild")
    columns = {f"{name}@{k}": np.full(len(top), np.nan) for name in names for k in cutoffs}
    columns["taste_entropy"] = np.full(len(top), np.nan)
    for start in range(0, len(top), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(top)))
        lists, answers = top[rows], relevant.take(rows)
        tasted = tastes.tasted(history.take(rows))
        p = tastes.distributions(tasted)
        q = tastes.of_lists(lists, cutoffs)
        distance = taste_distance(p, q)
        chance = chance_distance(tastes, tasted, p, lists, cutoffs, np.random.default_rng([_DRAWS_SEED, start]))
        minority = minority_recall(tastes, p, lists, answers, cutoffs)
        block = {
            "tdd": distance,
            "tdd_excess": distance - chance,
            "ckl": miscalibration(p, q),
            "minority_recall": np.stack([minority[k] for k in cutoffs]),
            "novelty": novelty(information, lists, cutoffs),
            "ild": intra_list_diversity(tastes, lists, cutoffs),
        }
        columns["taste_entropy"][rows] = entropy(p)
        for name, values in block.items():
            for k, value in zip(cutoffs, values, strict=True):
                columns[f"{name}@{k}"][rows] = value
    return columns
