"""Ranked lists of a model, batch by batch, and the validation metric for early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsys.checks import whole
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.metrics import ASKS, SMALLER_IS_BETTER, parse_metric, ranking_metrics
from recsys.models.base import FittedOn, Recommender, Validate
from recsys.models.top_n import mask, top_n
from recsys.types import Doubles, Items, Mask

Progress = Callable[[int, int], None]
"""Called after each batch with the number of queries answered and the number of all queries."""

_SCORES_IN_MEMORY = 64_000_000


def rank(
    model: Recommender, holdout: Holdout, n: int, *, batch_size: int | None = None, progress: Progress | None = None
) -> tuple[Items, Mask]:
    """Rank all items (or the holdout's candidates) for every question, keeping the best n.

    Memory is bounded by one score matrix of "batch items" beside the lists. Unknown users whom the model cannot serve
    get the items with the most training events, as every model lists them for a user without history.

    Args:
        model: a fitted model.
        holdout: the questions.
        n: length of the lists.
        batch_size: queries scored at a time; by default what keeps the score matrix under about 256 MB.
        progress: called after each batch.

    Returns:
        "queries n", item numbers, best first, `UNKNOWN` where there is no item; and "queries", whether the list is
        the model's own.
    """
    if batch_size is not None:
        whole("batch_size", batch_size)
    size = batch_size or max(1, min(2048, _SCORES_IN_MEMORY // max(1, model.n_items)))
    served = holdout.queries.users != UNKNOWN if model.needs_known_users else np.ones(len(holdout), np.bool_)
    top = np.full((len(holdout), n), UNKNOWN, np.int32)
    done = 0
    for rows, own in ((np.flatnonzero(served), True), (np.flatnonzero(~served), False)):
        for start in range(0, len(rows), size):
            batch_rows = rows[start : start + size]
            batch = holdout.take(batch_rows)
            if own:
                top[batch_rows] = model.recommend(batch.queries, n, candidates=batch.candidates, batch_size=size).items
            else:
                top[batch_rows] = _most_popular(model.fitted_on, batch, n)
            done += len(batch_rows)
            if progress is not None:
                progress(done, len(holdout))
    return top, served


def _most_popular(fitted_on: FittedOn, holdout: Holdout, n: int) -> Items:
    """Return the n items with the most training events that each question allows."""
    scores = torch.zeros((len(holdout), len(fitted_on.items)))
    mask(scores, holdout.queries.excluded, holdout.candidates)
    return top_n(scores, n, fitted_on.tie_rank)[0]


def validator(holdout: Holdout, metric: str = "ndcg@10", sample: int | None = None, seed: int = 0) -> Validate:
    """Return a function from a model to its mean of one ranking metric, for early stopping and tuning.

    Only questions with relevant items count, and a metric of which less is better counts negatively. The sample, if
    any, is drawn once, so that every epoch and every model is measured on the same users.

    Args:
        holdout: the validation questions.
        metric: a ranking metric with cutoff, such as "ndcg@10" or "recall@20".
        sample: at most this many users, drawn at random.
        seed: of the draw.

    Raises:
        ConfigError: the metric is unknown, no question has a relevant item, or the sample is smaller than 1.
    """
    name, _ = parse_metric(metric)
    if sample is not None and sample < 1:
        raise ConfigError(f"sample is {sample}; it must be at least 1 (or None for every user)")
    rows = np.flatnonzero(holdout.relevant.lengths > 0)
    if len(rows) == 0:
        raise ConfigError(
            f"none of the {len(holdout)} validation questions has a relevant item, so {metric} cannot be computed; "
            "use a split with a larger validation part"
        )
    rows = sampled_of(rows, sample, seed)
    if ASKS.get(name) in holdout.untold:
        raise ConfigError(f"{metric} is not defined here: {holdout.untold[ASKS[name]]}; choose another metric")
    sampled = holdout.take(rows)
    return lambda model: mean_of(metric, values_of(metric, model, sampled))


def sampled_of(rows: npt.NDArray[Any], most: int | None, seed: int = 0) -> npt.NDArray[Any]:
    """Return at most some of the rows, drawn at random, in order."""
    if most is None or most >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def values_of(metric: str, model: Recommender, holdout: Holdout) -> Doubles:
    """Return one ranking metric of a model, "questions"; NaN where it is not defined."""
    name, cutoff = parse_metric(metric)
    top, _ = rank(model, holdout, cutoff)
    (values,) = ranking_metrics(top, holdout.relevant, [cutoff], [name], holdout.verdicts).values()
    return values


def mean_of(metric: str, values: Doubles) -> float:
    """Return the mean of the values of a metric where it is defined; negative where less is better.

    Raises:
        ConfigError: it is defined nowhere.
    """
    defined = values[np.isfinite(values)]
    if len(defined) == 0:
        raise ConfigError(f"{metric} is defined for none of the validation users; choose another metric")
    return float(defined.mean()) * (-1.0 if parse_metric(metric)[0] in SMALLER_IS_BETTER else 1.0)
