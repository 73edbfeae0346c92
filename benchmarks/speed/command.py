"""Training and evaluation speed as ratios against implicit and Cornac. `python -m benchmarks.speed`.

Repeats are interleaved (A B C, A B C, ...), so that other work of the machine falls on all alike; medians count. Work
that is done once (reading, set-up, the first epoch) is excluded for all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.tools.command import parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, number, report_folder, table, write_report
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.standard import split
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.holdout import evaluate
from recsys.experiments.configuration import Experiment
from recsys.models.base import Recommender, Validate
from recsys.training.session import Session

PAPER, TWIN, FASTEST = "AMP-CF, paper setting, K=3", "AMP-CF, paper setting, K=1", "AMP-CF, fastest setting, K=3"
CUTOFFS = (5, 10, 20)
_FAST = {
    "objective.shared_negatives": True,
    "objective.exclude_observed": False,
    "objective.negatives": 16,
    "optimization.batch_size": 8192,
    "optimization.learning_rate": 0.01,
}
_CHECKED = ("ndcg@10", "recall@10", "precision@10")

Rates = Mapping[str, Sequence[float]]
"""Examples per second (or seconds) of each repeat, by name."""


@final
class GivenScores(Recommender):
    """A model whose scores are given: "users items"."""

    def __init__(self, scores: npt.NDArray[np.float32]) -> None:
        self.scores = scores

    @property
    def needs_known_users(self) -> bool:
        return True

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        """Nothing is learned."""

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy(self.scores[queries.users])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"scores": self.scores}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.scores = arrays["scores"]


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("speed", __doc__, quick="the simulated log, 1 repeat", threads=True)
    command.add_argument("--dataset", metavar="NAME", help="log (default ml-1m-ordered)")
    command.add_argument("--repeats", type=int, metavar="N", help="interleaved repeats (default 3)")
    options = command.parse_args(arguments)
    name = options.dataset or ("simulated" if options.quick else "ml-1m-ordered")
    repeats = options.repeats or (1 if options.quick else 3)

    require("benchmarks", "cornac")
    return run(datasets.load(name), repeats, report_folder("speed", options.out, options.quick))


def run(log: Interactions, repeats: int, out: Path) -> Path:
    """Measure training and evaluation and write the report; return its path."""
    # Only here, so that the checks of this module do not need the peers.
    from benchmarks.speed import peers  # noqa: PLC0415

    cut = split(log, "random", seed=0)
    matrix = cut.train.matrix()
    experiments = settings()
    tasks: dict[str, Callable[[], float]] = {
        **{name: partial(training_rate, experiment, cut.train) for name, experiment in experiments.items()},
        **{f"implicit {kind}": partial(peers.implicit_rate, kind, matrix, 2) for kind in ("BPR", "ALS")},
        **{f"Cornac {kind}": partial(peers.cornac_rate, kind, matrix, 2) for kind in ("BPR", "MF")},
    }
    rates = interleaved(tasks, repeats, "examples/s")
    rng = np.random.default_rng(0)
    # Scores with some sense in them: popularity and noise. What is measured does not depend on them.
    popular = np.log1p(np.asarray(matrix.sum(0)).ravel())
    scores = (popular + rng.normal(size=matrix.shape)).astype(np.float32)
    common = replace(cut, test=answerable(cut.test))
    values: dict[str, dict[str, float]] = {}

    def ours() -> float:
        model = GivenScores(scores).fit(cut.train)
        started = time.perf_counter()
        values["ours"] = evaluate(model, common.test, common.train, cutoffs=CUTOFFS).summary
        return time.perf_counter() - started

    def theirs() -> float:
        values["Cornac"], seconds = peers.cornac_evaluation(scores, common, CUTOFFS)
        return seconds

    evaluations = interleaved({"ours": ours, "Cornac": theirs}, repeats, "s")
    return write_report(out, report(cut, log, repeats, rates, evaluations, values))


def settings() -> dict[str, Experiment]:
    """Return the settings of AMP-CF that are timed, all with d = 64 and personas per user."""
    setting = {"embedding_size": 64, "objective.negatives": 4, "optimization.batch_size": 256}
    paper = with_settings(shipped_experiment("ampcf_paper_dot"), setting)
    return {
        PAPER: with_settings(paper, {"personas": 3}),
        TWIN: with_settings(paper, {"personas": 1}),
        FASTEST: with_settings(paper, {"personas": 3, **_FAST}),
    }


def training_rate(experiment: Experiment, train: Interactions, epochs: int = 1) -> float:
    """Return positives per second of whole epochs as `fit` runs them; the first epoch is warm-up.

    The clock is read where validation would be, at the end of each epoch.
    """
    clock: list[float] = []

    def tick(_: Recommender) -> float:
        clock.append(time.perf_counter())
        return 0.0

    changes = {"optimization.epochs": 1 + epochs, "optimization.patience": 2 + epochs, "optimization.validate_every": 1}
    with_settings(experiment, changes).build(0).fit(train, tick)
    return epochs * int(train.matrix().nnz) / (clock[-1] - clock[0])


def interleaved(tasks: Mapping[str, Callable[[], float]], repeats: int, unit: str) -> dict[str, list[float]]:
    """Run all tasks in turn, several times, and return the results of each by name."""
    results: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(repeats):
        for name, task in tasks.items():
            results[name].append(task())
            print(f"[{repeat + 1}/{repeats}] {name}: {results[name][-1]:,.2f} {unit}", flush=True)
    return results


def answerable(holdout: Holdout) -> Holdout:
    """Return the questions of known users without relevant items that training lacks, as Cornac has them."""
    relevant = holdout.relevant
    known = relevant.items != UNKNOWN
    counts = np.bincount(relevant.rows[known], minlength=len(relevant))
    relevant_known = Ragged(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), relevant.items[known])
    rows = np.flatnonzero((counts > 0) & (holdout.queries.users != UNKNOWN))
    return replace(holdout, relevant=relevant_known, values=None, kinds=None).take(rows)


def report(
    cut: Split, log: Interactions, repeats: int, rates: Rates, seconds: Rates, values: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Return the paragraphs of the report."""
    made = environment() | {
        "log": f"{log.name}, fingerprint {log.fingerprint[:12]}, split random, seed 0 — **leaks time**",
        "training": f"{cut.train.matrix().nnz} distinct events, {cut.train.n_users} users, {cut.train.n_items} items",
        "repeats": f"{repeats}, interleaved; medians, with the range in brackets",
    }
    rate = {name: statistics.median(repeated) for name, repeated in rates.items()}
    peer_names = [name for name in rate if name not in (PAPER, TWIN, FASTEST)]
    rows = [[name, _range(rates[name], 0), *(f"{rate[name] / rate[peer]:.2f}" for peer in peer_names)] for name in rate]
    text = (
        "Positives per second in whole epochs through `fit`. The paper setting has d = 64, 4 negatives per positive "
        "among the items its user has not touched, batch 256; the fastest has K = 3, d = 64, batch "
        f"{_FAST['optimization.batch_size']:,} and {_FAST['objective.negatives']} negatives shared by the batch. An "
        "example is not the same work everywhere: BPR and MF update one negative or none per example with one vector "
        "per user, ALS solves exactly."
    )
    ratio = statistics.median(theirs / ours for ours, theirs in zip(seconds["ours"], seconds["Cornac"], strict=True))
    evaluation = [[name, _range(repeated, 2)] for name, repeated in seconds.items()]
    agreement = [[name, *(number(values[side][name], 6) for side in ("ours", "Cornac"))] for name in _CHECKED]
    work = (
        f"The same score matrix, {cut.train.n_items} items for each user, at {', '.join(map(str, CUTOFFS))}. Ours: "
        "NDCG, recall, precision, hit rate, MRR, MAP, novelty, diversity, calibration, taste distances with their "
        "chance level, minority recall, coverage, Gini, and strata, tastes made anew. Cornac (`ranking_eval`): NDCG, "
        f"recall, precision, hit ratio, MRR, MAP. Ours is **{ratio:.1f} times** as fast. Both agree:"
    )
    parts = ["# Speed", facts(made), "## Bars", bars_table(bars(rate, ratio))]
    parts += ["## Training", text, table(["", "examples/s", *(f"ratio to {peer}" for peer in peer_names)], rows)]
    parts += ["## Evaluation", table(["", "seconds"], evaluation), work]
    return [*parts, table(["metric", "ours", "Cornac"], agreement)]


def bars(rate: Mapping[str, float], evaluation_ratio: float) -> list[list[str]]:
    """Return the rows of the table of bars."""
    cost = rate[TWIN] / rate[PAPER]
    return [
        bar("time per example, K=3 over K=1", "at most 2", f"{cost:.2f}", cost <= 2),
        bar(PAPER, "at least 50,000 positives/s", f"{rate[PAPER]:,.0f}", rate[PAPER] >= 50_000),
        bar(FASTEST, "at least 900,000 positives/s", f"{rate[FASTEST]:,.0f}", rate[FASTEST] >= 900_000),
        bar("evaluation, Cornac's time over ours", "at least 20", f"{evaluation_ratio:.1f}", evaluation_ratio >= 20),
    ]


def _range(values: Sequence[float], digits: int) -> str:
    median, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} [{low}, {high}]"
