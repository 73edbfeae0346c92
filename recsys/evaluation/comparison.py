"""Two fitted models on the same questions, with paired tests.

The headline of a comparison is the users whom every model serves from a history of their own. For the others, the cold
users, at least one model can only list what is popular, and a difference says who can serve, not who serves better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from recsys.checks import whole
from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout, Split
from recsys.errors import ConfigError
from recsys.evaluation.holdout import evaluate, holdout_of
from recsys.evaluation.result import Evaluation
from recsys.evaluation.significance import compare
from recsys.evaluation.tastes import Tastes
from recsys.models.base import Recommender
from recsys.types import Mask

SERVED, COLD = "served by all", "cold"
"""Groups of users of a comparison."""


def served_by_all(tables: Sequence[pd.DataFrame]) -> list[Mask]:
    """Return, for each per-user table, which of its users have a history and are served by the model of every table.

    >>> warm = pd.DataFrame({"user_id": [1, 2, 3], "n_history": [5, 2, 0], "served": [True, False, True]})
    >>> [mask.tolist() for mask in served_by_all([warm, warm.assign(served=True)])]
    [[True, False, False], [True, False, False]]
    """
    ids = [table["user_id"].astype(str) for table in tables]
    shared = set(ids[0])
    for user_ids, table in zip(ids, tables, strict=True):
        shared &= set(user_ids[table["served"] & (table["n_history"] > 0)])
    return [user_ids.isin(shared).to_numpy(np.bool_) for user_ids in ids]


def compare_models(
    a: Recommender | Evaluation,
    b: Recommender | Evaluation,
    questions: Split | Holdout | None = None,
    train: Interactions | None = None,
    *,
    metrics: str | Sequence[str] = ("ndcg@10", "recall@10", "hr@10"),
    bootstrap: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return by how much B beats A, with intervals and paired tests.

    Args:
        a: the baseline: a fitted model, or its evaluation.
        b: the other model, likewise.
        questions: a split (for its test questions) or a holdout; not needed for evaluations.
        train: the training log, beside a holdout.
        metrics: columns of `Evaluation.per_user`, with cutoff. The metrics of a group of users are the family of Holm's
            correction.
        bootstrap: resamples of the users.
        seed: of the resamples.

    Returns:
        One row per group of users and metric: `group`, "served by all" (the headline; `n` is 0 if there is nobody) and,
        where there are such users, "cold"; `n`, users of the group with the metric; `mean_a`, `mean_b`,
        `diff` = mean_b - mean_a (positive where B is better) with its interval from `low` to `high`, and more; see
        `recsys.evaluation.significance.compare`.

    Raises:
        ConfigError: a metric is unknown, or there is nothing to evaluate a model on.
        DataError: the models were not evaluated on the same users.
    """
    whole("seed", seed, least=0)
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(metrics, Sequence) or not all(isinstance(metric, str) for metric in metrics):
        raise ConfigError(f"metrics is {metrics!r}; give names with a cutoff, as in ['ndcg@10', 'recall@20']")
    tables = []
    tastes: Tastes | None = None
    for model in (a, b):
        if isinstance(model, Evaluation):
            tables.append(model.per_user)
            continue
        if questions is None:
            raise ConfigError("compare needs the split that the models are evaluated on: compare(a, b, split)")
        holdout, log = holdout_of(questions, train)
        tastes = tastes or Tastes.of(log)
        cutoffs = (5, 10, 20, *_cutoffs(metrics))
        tables.append(evaluate(model, holdout, log, cutoffs=cutoffs, tastes=tastes).per_user)
    served = served_by_all(tables)
    groups = []
    for group, chosen in ((SERVED, served), (COLD, [~mask for mask in served])):
        if group == COLD and not any(mask.any() for mask in chosen):
            continue
        first, second = (_within(table, mask, metrics) for table, mask in zip(tables, chosen, strict=True))
        rows = compare(first, second, metrics, bootstrap=bootstrap, seed=seed)
        rows.insert(0, "group", group)
        groups.append(rows)
    return pd.concat(groups, ignore_index=True)


def _within(table: pd.DataFrame, users: Mask, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table whose metrics are undefined for all but the given users."""
    known = [metric for metric in metrics if metric in table]
    return table.assign(**{metric: table[metric].where(users) for metric in known})


def _cutoffs(metrics: Sequence[str]) -> Iterator[int]:
    for metric in metrics:
        name, _, cutoff = metric.rpartition("@")
        if not (cutoff.isascii() and cutoff.isdigit()):
            raise ConfigError(f"metric {metric!r} has no cutoff; give one, as in {name or cutoff}@10")
        yield int(cutoff)
