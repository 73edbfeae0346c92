"""Is it the personas, or just another regression? `python -m benchmarks.placebo`.

LinearAMPCF and its one-persona twin have equally many parameters; they differ in how the weights are shrunk, and in
which users each expert learns from. So it is also compared with a placebo: the same experts, attention and shrinkage,
by personas that mean nothing, because the items' routing was shuffled over the items. What the placebo gains is the
mixture; what the model gains beyond it is the personas.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.tools.report import table
from recsys.data.catalogue import datasets
from recsys.data.catalogue.locations import shipped
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate, evaluate_lists
from recsys.evaluation.significance import compare
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import read_experiment
from recsys.models import LinearAMPCF
from recsys.models.ampcf.ridge import PersonaRidge

METRICS = ("ndcg@10", "recall@10", "minority_recall@10", "tdd@10")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it as Markdown; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placebo", description=__doc__)
    parser.add_argument("--data", default="ml-1m-ordered", help="name of a data set, or a file")
    parser.add_argument("--split", default="random", help="split of the log")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of personas and shuffles (default: 3)")
    options = parser.parse_args(arguments)
    cut = split(datasets.load(options.data), options.split, seed=0)
    print(f"## {options.data}, {options.split}{' (leaks time)' if cut.leaks_time else ''}, test\n")
    found = compare_with_placebo(cut, options.seeds)
    rows = [[f"{value:.5g}" if isinstance(value, float) else str(value) for value in row] for row in found.to_numpy()]
    print(table([str(name) for name in found.columns], rows))
    return 0


def compare_with_placebo(cut: Split, seeds: int, config: Path | None = None) -> pd.DataFrame:
    """Return the paired differences of personas and placebo from the twin, and of personas from placebo.

    Args:
        cut: training log and test questions.
        seeds: seeds of personas and shuffles.
        config: experiment file of a LinearAMPCF; the shipped `ampcf.yaml` when None.
    """
    experiment = read_experiment(config or shipped("configs") / "ampcf.yaml")
    tastes = Tastes.of(cut.train)
    arguments = dict(experiment.arguments)
    twin = LinearAMPCF(**(arguments | {"personas": 1})).fit(cut.train)
    one = evaluate(twin, cut.test, cut.train, cutoffs=(10,), tastes=tastes).per_user
    rows = []
    for seed in range(seeds):
        model = LinearAMPCF(**(arguments | {"seed": seed})).fit(cut.train)
        real = evaluate(model, cut.test, cut.train, cutoffs=(10,), tastes=tastes).per_user
        shuffled = np.random.default_rng(seed).permutation(model.routing())
        top = placebo_lists(model, shuffled, cut)
        fake = evaluate_lists(top, cut.test, cut.train, cutoffs=(10,), tastes=tastes).per_user
        pairs = (("personas - twin", one, real), ("placebo - twin", one, fake), ("personas - placebo", fake, real))
        for name, first, second in pairs:
            paired = compare(first, second, METRICS)[["metric", "mean_a", "mean_b", "diff", "low", "high", "p"]]
            paired.insert(0, "difference", name)
            paired.insert(0, "seed", seed)
            rows.append(paired)
    return pd.concat(rows, ignore_index=True)


def placebo_lists(
    model: LinearAMPCF, routing: npt.NDArray[np.float32], cut: Split, n: int = 10
) -> npt.NDArray[np.int32]:
    """Return the lists "queries n" of the model's regression with another routing."""
    ridge = PersonaRidge(
        model.regularization,
        model.user_power,
        model.history_power,
        model.item_power,
        model.cohesion,
        model.locality,
    )
    weights = ridge.solve(cut.train.matrix(), routing)
    placebo = LinearAMPCF(**model.parameters_of_constructor())
    placebo.restore(model.fitted_on, {"weights": weights.numpy(), "routing": routing})
    return placebo.recommend(cut.test.queries, n).items
