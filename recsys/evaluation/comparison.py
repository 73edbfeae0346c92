"""Two fitted models on the same questions, with paired tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout, Split
from recsys.errors import ConfigError
from recsys.evaluation.holdout import evaluate, holdout_of
from recsys.evaluation.result import Evaluation
from recsys.evaluation.significance import compare
from recsys.evaluation.tastes import Tastes
from recsys.models.base import Recommender


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
        metrics: columns of `Evaluation.per_user`, with cutoff; together they are the family of Holm's correction.
        bootstrap: resamples of the users.
        seed: of the resamples.

    Returns:
        One row per metric: `mean_a`, `mean_b`, `diff` = mean_b - mean_a (positive where B is better) with its interval
        from `low` to `high`, and more; see `recsys.evaluation.significance.compare`.

    Raises:
        ConfigError: a metric is unknown, or there is nothing to evaluate a model on.
        DataError: the models were not evaluated on the same users.
    """
    metrics = [metrics] if isinstance(metrics, str) else metrics
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
    return compare(tables[0], tables[1], metrics, bootstrap=bootstrap, seed=seed)


def _cutoffs(metrics: Sequence[str]) -> Iterator[int]:
    for metric in metrics:
        name, _, cutoff = metric.rpartition("@")
        if not (cutoff.isascii() and cutoff.isdigit()):
            raise ConfigError(f"metric {metric!r} has no cutoff; give one, as in {name or cutoff}@10")
        yield int(cutoff)
