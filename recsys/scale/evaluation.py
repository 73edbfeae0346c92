"""Evaluation of a model on a partitioned split: each part by itself, then one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import pandas as pd

from recsys.bundles import bundle
from recsys.data.partitions.splitting import PartitionedSplit
from recsys.evaluation.beyond_accuracy import coverage, gini, recommended_counts
from recsys.evaluation.holdout import evaluate_lists
from recsys.evaluation.ranking import rank
from recsys.evaluation.result import Evaluation
from recsys.evaluation.strata import quartiles
from recsys.evaluation.tastes import Tastes
from recsys.models.base import Recommender
from recsys.scale.users import known
from recsys.types import Doubles, Ints


@final
class PartResult(NamedTuple):
    """The evaluations of a part.

    Attributes:
        evaluations: by the name of the questions; only those that a part has.
        recommended: by the same name, "cutoffs items", in how many lists each item is.
    """

    evaluations: dict[str, Evaluation]
    recommended: dict[str, Ints]


@final
@dataclass(frozen=True, eq=False)
class PartEvaluation:
    """Evaluates a saved model on the questions of a part, given its number.

    Attributes:
        bundle: the model.
        split: of the partitioned log.
        cutoffs: ascending list lengths.
        tastes: of the items, the same for all parts.
        information: "items", bits of each item in the whole training log.
    """

    bundle: Path
    split: PartitionedSplit
    cutoffs: tuple[int, ...]
    tastes: Tastes
    information: Doubles

    def __call__(self, number: int) -> PartResult:
        model, cut = _loaded(self.bundle), self.split.split(number)
        evaluations, recommended = {}, {}
        for name, questions in (("valid", cut.valid), ("test", cut.test)):
            if not len(questions):
                continue
            holdout = known(questions, model)
            top, served = rank(model, holdout, self.cutoffs[-1])
            evaluations[name] = evaluate_lists(
                top,
                holdout,
                cut.train,
                cutoffs=self.cutoffs,
                tastes=self.tastes,
                served=served,
                information=self.information,
            )
            counts = [recommended_counts(top, k, model.n_items) for k in self.cutoffs]
            recommended[name] = np.stack(counts)
        return PartResult(evaluations, recommended)


def joined(results: Iterable[PartResult], cutoffs: Sequence[int]) -> dict[str, Evaluation]:
    """Return the evaluations of all parts as one each; what is relative to all users is computed anew."""
    found = list(results)
    whole = {}
    for name in ("valid", "test"):
        mine = [result for result in found if name in result.evaluations]
        evaluations = [result.evaluations[name] for result in mine]
        table = pd.concat([evaluation.per_user for evaluation in evaluations], ignore_index=True)
        active = np.where(table["n_history"] > 0, table["n_history"].astype(float), np.nan)
        table["taste_entropy_quartile"] = quartiles(table["taste_entropy"].to_numpy())
        table["activity_quartile"] = quartiles(active)
        counts = np.sum([result.recommended[name] for result in mine], axis=0)
        overall: dict[str, float] = {}
        for k, row in zip(cutoffs, counts, strict=True):
            overall |= {f"coverage@{k}": coverage(row), f"gini@{k}": gini(row)}
        unreachable = sum(evaluation.unreachable_relevant for evaluation in evaluations)
        whole[name] = replace(evaluations[0], per_user=table, overall=overall, unreachable_relevant=unreachable)
    return whole


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Recommender:
    """Return the model of a bundle; a worker loads it once."""
    return bundle.load(path)
