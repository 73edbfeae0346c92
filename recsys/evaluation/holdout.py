"""Evaluation of a model on held-out items: one table with a row per user, and its means.

    questions --rank, max(cutoffs)--> lists --+-- ranking metrics ------------+
                                              +-- tastes, novelty, diversity --+--> per user --> strata, means
                                              +-- coverage, Gini (all lists together) ---------> summary

The model ranks once. Everything after that works on the lists, in blocks of users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.interactions import Interactions, check_log
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.beyond_accuracy import (
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    recommended_counts,
    self_information,
)
from recsys.evaluation.calibration import chance_distance, minority_recall, miscalibration, taste_distance
from recsys.evaluation.leaks import check_unseen
from recsys.evaluation.metrics import ASKS, DESCRIBED, RANKING_METRICS, Metrics, metrics_by_name, ranking_metrics
from recsys.evaluation.ranking import Progress, rank, validator
from recsys.evaluation.result import Evaluation
from recsys.evaluation.strata import quartiles
from recsys.evaluation.tastes import Tastes, entropy
from recsys.models.base import Recommender
from recsys.types import Doubles, Items, Mask

__all__ = ["Evaluation", "evaluate", "evaluate_lists", "holdout_of", "validator"]

_BLOCK = 1024
_DRAWS_SEED = 0


def evaluate(
    model: Recommender,
    questions: Split | Holdout,
    train: Interactions | None = None,
    *,
    metrics: Metrics = (*RANKING_METRICS,),
    cutoffs: int | Sequence[int] = (5, 10, 20),
    tastes: Tastes | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank every item for every question and compute all metrics.

    Every user has a row. A user without relevant items has no ranking metrics (NaN) and is counted; a relevant item
    that is not in training stays in the denominators and is counted; a user whom the model cannot serve gets the most
    popular items, and is marked in the column `served` and counted.

    Args:
        model: fitted on `train`.
        questions: a split, of which the test questions are asked, or the questions themselves.
        train: the training log, for popularity, tastes, and who is warm; that of the split when None.
        metrics: ranking metrics by name, without cutoff, or functions of one's own; see `recsys.evaluation.metrics`.
        cutoffs: list lengths.
        tastes: the partition of the items; made from `train` when None. Make it once to evaluate several models.
        batch_size: queries scored at a time; by default what keeps the score matrix under about 256 MB.
        progress: called after each batch of ranked queries.

    Raises:
        ConfigError: a cutoff is not positive, a metric is unknown, or the training log is missing.
        DataError: the model was fitted on another log than `train`, or on answers to the questions.
    """
    if not isinstance(model, Recommender):
        raise ConfigError(
            f"evaluate needs a fitted model, not {model!r}: evaluate(train(split, 'ease'), split), or "
            "evaluate(load_model(DIR), split)"
        )
    holdout, train = holdout_of(questions, train)
    lengths = ascending_cutoffs(cutoffs)
    check_unseen(model, holdout, train)
    top, served = rank(model, holdout, lengths[-1], batch_size=batch_size, progress=progress)
    return evaluate_lists(top, holdout, train, metrics=metrics, cutoffs=lengths, tastes=tastes, served=served)


def holdout_of(questions: Split | Holdout, train: Interactions | None) -> tuple[Holdout, Interactions]:
    """Return questions with the training log: the test questions of a split with its own.

    Raises:
        ConfigError: a holdout comes without the training log.
    """
    if isinstance(questions, Split):
        return holdout_of(questions.test, questions.train if train is None else train)
    if not isinstance(questions, Holdout):
        raise ConfigError(
            "a model is evaluated on held-out events: evaluate(model, split(log)), trained on that split; "
            "recsys.from_pandas makes a log of a DataFrame"
        )
    if train is None:
        raise ConfigError("a holdout is evaluated with its training log: evaluate(model, split.valid, split.train)")
    check_log(train, "an evaluation")
    return questions, train


def evaluate_lists(
    top: Items,
    holdout: Holdout,
    train: Interactions,
    *,
    metrics: Metrics = (*RANKING_METRICS,),
    cutoffs: int | Sequence[int] = (5, 10, 20),
    tastes: Tastes | None = None,
    served: Mask | None = None,
    information: Doubles | None = None,
) -> Evaluation:
    """Compute all metrics of given lists, of a model or of anything else.

    Args:
        top: "queries n", item numbers, best first, `UNKNOWN` padding; n >= max(cutoffs).
        holdout: the questions and the relevant items.
        train, metrics, cutoffs, tastes: see `evaluate`.
        served: "queries", whether the model itself made the list; all of them when None.
        information: "items", bits of each item, where `train` is a part of the training log; made from it when None.

    Raises:
        ConfigError: a cutoff is not positive, the lists are shorter than the largest, or a metric is unknown.
    """
    lengths = ascending_cutoffs(cutoffs)
    if top.ndim != 2 or top.shape[1] < lengths[-1] or len(top) != len(holdout):
        raise ConfigError(
            f"lists of shape {top.shape} cannot answer {len(holdout)} questions at cutoff {lengths[-1]}; one list "
            "of at least that length is needed for each question"
        )
    top = top[:, : lengths[-1]]
    partition = Tastes.of(train) if tastes is None else tastes
    history = holdout.queries.history
    ranking = ranking_metrics(top, holdout.relevant, lengths, metrics, holdout.verdicts)
    bits = self_information(train) if information is None else information
    taste_entropy, described = _describe(partition, bits, history, top, holdout.relevant, lengths)
    active = np.where(history.lengths > 0, history.lengths.astype(np.float64), np.nan)
    columns: dict[str, Any] = {
        "user_id": _plain_ids(holdout.user_ids),
        "n_relevant": holdout.relevant.lengths,
        "n_history": history.lengths,
        "served": np.ones(len(holdout), np.bool_) if served is None else served,
        "taste_entropy": taste_entropy,
        "taste_entropy_quartile": quartiles(taste_entropy),
        "activity_quartile": quartiles(active),
        "user_kind": np.where(holdout.queries.users == UNKNOWN, "cold", "warm").astype(object),
    }
    if reserved := sorted(set(ranking) & {*columns, *described}):
        raise ConfigError(f"a metric of one's own is named {reserved[0]!r}, which every evaluation has; rename it")
    overall: dict[str, float] = {}
    for k in lengths:
        counts = recommended_counts(top, k, train.n_items)
        overall |= {f"coverage@{k}": coverage(counts), f"gini@{k}": gini(counts)}
    unreachable = int((holdout.relevant.items == UNKNOWN).sum())
    values = ranking | described
    asked = metrics_by_name(metrics)
    undefined = {name: holdout.untold[what] for name, what in ASKS.items() if name in asked and what in holdout.untold}
    return Evaluation(pd.DataFrame(columns | values), tuple(values), overall, lengths, unreachable, undefined)


def ascending_cutoffs(cutoffs: int | Sequence[int]) -> tuple[int, ...]:
    """Return the distinct cutoffs in ascending order; raise a ConfigError unless they are positive whole numbers."""
    lengths = np.atleast_1d(np.asarray(cutoffs))
    if lengths.dtype.kind not in "iu" or not (lengths >= 1).all():
        raise ConfigError(f"cutoffs are {lengths.tolist()}; give at least one, each at least 1, as in 5 10 20")
    return tuple(sorted(set(lengths.tolist())))


def _plain_ids(user_ids: npt.NDArray[np.object_]) -> pd.Series[Any]:
    """Return external ids as one column of integers, or else of text, so that it can be stored and joined on."""
    if pd.api.types.infer_dtype(user_ids, skipna=False) == "integer":
        return pd.Series(user_ids.astype(np.int64))
    return pd.Series([str(user_id) for user_id in user_ids], dtype=object)


def _describe(
    tastes: Tastes, information: Doubles, history: Ragged, top: Items, relevant: Ragged, cutoffs: tuple[int, ...]
) -> tuple[Doubles, dict[str, Doubles]]:
    """Return the taste entropy of the users and the metrics of tastes, novelty and diversity, in blocks of users.

    Blocks do not depend on `batch_size`, and each has draws of its own, so that two models evaluated on one holdout are
    compared with the same chance distances.
    """
    columns = {f"{name}@{k}": np.full(len(top), np.nan) for name in DESCRIBED for k in cutoffs}
    taste_entropy = np.full(len(top), np.nan)
    for start in range(0, len(top), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(top)))
        lists = top[rows]
        tasted = tastes.tasted(history.take(rows))
        p = tastes.distributions(tasted)
        q = tastes.of_lists(lists, cutoffs)
        distance = taste_distance(p, q)
        chance = chance_distance(tastes, tasted, p, lists, cutoffs, (_DRAWS_SEED, start))
        block = {
            "tdd": distance,
            "tdd_excess": distance - chance,
            "ckl": miscalibration(p, q),
            "minority_recall": minority_recall(tastes, p, lists, relevant.take(rows), cutoffs),
            "novelty": novelty(information, lists, cutoffs),
            "ild": intra_list_diversity(tastes, lists, cutoffs),
        }
        taste_entropy[rows] = entropy(p)
        for name, values in block.items():
            for k, value in zip(cutoffs, values, strict=True):
                columns[f"{name}@{k}"][rows] = value
    return taste_entropy, columns
