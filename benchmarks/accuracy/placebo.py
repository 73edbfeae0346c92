"""Is it the personas, or just another regression? `python -m benchmarks.placebo`.

PersonaEASE and its one-persona twin have equally many parameters; they differ in the shrinkage of the weights, and in
the users from whom each expert learns. The placebo has the same experts, attention and shrinkage, but meaningless
personas, because the items' routing is shuffled over the items. The gain of the placebo is due to the mixture; the
model's further gain is due to the personas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.tools.command import parser, program
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.report import table
from benchmarks.tools.search import shipped_experiment
from recsys.data.catalogue import datasets
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate, evaluate_lists
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import Experiment
from recsys.models import PersonaEASE
from recsys.models.linear.persona_ridge import PersonaRidge

METRICS = ("ndcg@10", "recall@10", "minority_recall@10", "tdd@10")


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it as Markdown; return the exit code."""
    command = parser("placebo", __doc__)
    command.add_argument("--data", default="ml-1m-ordered", help="name of a data set, or a file")
    command.add_argument("--split", default="random", help="split of the log")
    command.add_argument("--seeds", type=int, default=3, help="seeds of personas and shuffles (default: 3)")
    options = command.parse_args(arguments)

    cut = split(datasets.load(options.data), options.split, seed=0)
    print(f"## {options.data}, {options.split}{' (leaks time)' if cut.leaks_time else ''}, test\n")
    pairs = compare_with_placebo(cut, options.seeds)
    print("Users with a history, each averaged over seeds; one family of Holm's correction.\n")
    rows = [[f"{pair.own} - {pair.other}", pair.metric, *pair.columns(), pair.outcome] for pair in pairs]
    print(table(["difference", "metric", *COLUMNS, ""], rows))
    return 0


def compare_with_placebo(cut: Split, seeds: int, experiment: Experiment | None = None) -> list[Difference]:
    """Return the paired differences of personas and placebo from the twin, and of personas from placebo.

    The experiment is that of a `PersonaEASE`; the shipped `persona_ease.yaml` when None. Users without a history, for
    whom all three list what is popular, do not count.
    """
    settings: Any = {"cutoffs": (10,), "tastes": Tastes.of(cut.train)}
    arguments = dict((experiment or shipped_experiment("persona_ease")).arguments)
    twin = PersonaEASE(**(arguments | {"personas": 1})).fit(cut.train)
    tables: dict[str, list[pd.DataFrame]] = {"twin": [_served(evaluate(twin, cut.test, cut.train, **settings))]}
    for seed in range(seeds):
        model = PersonaEASE(**(arguments | {"seed": seed})).fit(cut.train)
        tables.setdefault("personas", []).append(_served(evaluate(model, cut.test, cut.train, **settings)))
        shuffled = np.random.default_rng(seed).permutation(model.routing())
        top = placebo_lists(model, shuffled, cut)
        tables.setdefault("placebo", []).append(_served(evaluate_lists(top, cut.test, cut.train, **settings)))
    pairs = (("personas", "twin"), ("placebo", "twin"), ("personas", "placebo"))
    differences = [
        difference
        for own, other in pairs
        for difference in Difference.over_seeds(cut.name, (own, tables[own]), (other, tables[other]), METRICS)
    ]
    return corrected(differences)


def _served(evaluation: Evaluation) -> pd.DataFrame:
    return evaluation.per_user[evaluation.per_user["n_history"] > 0]


def placebo_lists(
    model: PersonaEASE, routing: npt.NDArray[np.float32], cut: Split, n: int = 10
) -> npt.NDArray[np.int32]:
    """Return the lists "queries n" of the model with its regression solved for another routing."""
    ridge = PersonaRidge(
        model.regularization, model.user_power, model.history_power, model.item_power, model.cohesion, model.locality
    )
    weights = ridge.solve(cut.train.matrix(), routing)
    placebo = PersonaEASE(**model.parameters_of_constructor())
    placebo.restore(model.fitted_on, {"weights": weights.numpy(), "routing": routing})
    return placebo.recommend(cut.test.queries, n).items
