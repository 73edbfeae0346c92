"""Sequential models in one table: the next item after each user's last event. `python -m benchmarks.sequential`.

Split last_one, all items ranked, which leaks the future of other users. Settings are those of the files, which were
chosen on validation questions; the test is asked once per seed. The peer is trained for the processor time that the own
model took, and its best validated epoch counts. Users with an event in training are warm; the quarter with the shortest
histories stands apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from benchmarks.sequential.contenders import BARS, CONTENDERS, LOGS, OWN, PAIRS, PEER, PUBLISHED, contender
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.fitting import count_parameters, fit_within
from benchmarks.tools.grid import is_seeded
from benchmarks.tools.report import bar, bars_table, facts, method, number, report_folder, spread, table, write_report
from recsys.data.catalogue import datasets
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate, validator

_METRICS = ("ndcg", "hr", "mrr")
_VALIDATION_USERS = 2000


@final
@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of a contender on a log, one for each seed."""

    records: list[dict[str, Any]]  # `seconds`, `epochs`, `examples_per_second`, `parameters`
    tables: list[pd.DataFrame]  # a row per user

    def spread(self, metric: str, column: str = "", group: str = "") -> str:
        """Return the mean over the users of a group, and its deviation over seeds."""
        tables = [each[each[column] == group] if column else each for each in self.tables]
        return "-" if tables[0].empty else spread([float(each[metric].mean()) for each in tables])

    def mean(self, metric: str = "ndcg@10") -> float:
        """Return the mean over users and seeds."""
        return sum(float(each[metric].mean()) for each in self.tables) / len(self.tables)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return its report."""
    command = parser("sequential", __doc__, quick="a simulated log, 2 epochs, 1 seed", threads=True)
    command.add_argument("--datasets", nargs="+", metavar="NAME", help=f"logs (default: {', '.join(LOGS)})")
    command.add_argument("--models", nargs="+", metavar="NAME", choices=CONTENDERS, help="contenders (default: all)")
    command.add_argument("--seeds", type=int, metavar="N", help="seeds of models that draw (default 3)")
    options = command.parse_args(arguments)
    seeds = options.seeds or (1 if options.quick else 3)
    out = report_folder("sequential", options.out, options.quick)
    cells = Cells(out / "cells")
    parts = ["# Sequential models", method(__doc__), facts(environment())]
    differences: list[Difference] = []
    bars = []
    for log in options.datasets or (("simulated",) if options.quick else LOGS):
        cut = split(datasets.load(log), "last_one")
        names = [name for name in CONTENDERS if name in (options.models or CONTENDERS)]
        # The own model first: the peer gets its time.
        ordered = sorted(names, key=lambda name: name == PEER)
        runs: dict[str, Runs] = {}
        for name in ordered:
            budget = max((run["seconds"] for run in runs[OWN].records), default=0) if OWN in runs else math.inf
            runs[name] = run(name, log, cut, seeds, budget if name == PEER else math.inf, cells, options.quick)
            print(f"{log}, {name}: NDCG@10 {runs[name].spread('ndcg@10')}", flush=True)
        parts += [f"## {log}", _facts(cut), results(log, {name: runs[name] for name in names})]
        for own, other in PAIRS:
            if own in runs and other in runs:
                sides = (own, runs[own].tables), (other, runs[other].tables)
                differences += Difference.over_seeds(log, *sides, ["ndcg@10"])
        if log in BARS and OWN in runs:
            reached = runs[OWN].mean()
            bars.append(bar(f"{OWN} on {log}", number(BARS[log], 3), number(reached), reached >= BARS[log]))
    rows = [
        [pair.where, f"{pair.own} - {pair.other}", *pair.columns(), pair.outcome] for pair in corrected(differences)
    ]
    lost = [f"- {row[0]}: {row[1]}: {row[2]}" for row in rows if row[-1] == "lost"] or ["Nothing, of the pairs below."]
    parts[3:3] = ["## What lost", "\n".join(lost)]
    parts += ["## Paired over users", table(["log", "pair", *COLUMNS, ""], rows)]
    if bars:
        parts += ["## Bars", bars_table(bars)]
    return write_report(out, parts)


def run(name: str, log: str, cut: Split, seeds: int, seconds: float, cells: Cells, quick: bool) -> Runs:
    """Fit and test a contender with every seed, within seconds of processor time; finished runs are read from disk."""
    experiment = contender(name, log, quick)
    records, tables = [], []
    for seed in range(seeds if is_seeded(experiment) else 1):
        cell = f"{log}/{name}-{seed}"
        facts_of_run = experiment.to_dict(), cut.train.fingerprint, cut.name, _VALIDATION_USERS

        def make(seed: int = seed) -> CellContent:
            validate = validator(cut.valid, sample=_VALIDATION_USERS)
            fitted = fit_within(experiment, seed, cut.train, validate, seconds)
            effort = fitted.model.effort
            values = fitted.effort | {
                "parameters": count_parameters(fitted.model),
                "examples_per_second": None if effort is None or fitted.capped else effort.examples / effort.seconds,
            }
            tested = evaluate(fitted.model, cut, metrics=_METRICS, cutoffs=(10,))
            return CellContent(values, tested)

        record, _ = cells.make(cell, identity(*facts_of_run), make)
        records.append(record)
        tables.append(cells.evaluation(cell).per_user)
    return Runs(records, tables)


def results(log: str, runs: dict[str, Runs]) -> str:
    """Return the table of a log: contenders that were run, then published numbers, marked."""
    rows = []
    for name, own in runs.items():
        record = own.records[0]
        pace = record["examples_per_second"]
        cost = [f"{record['seconds']:.0f}", str(record["epochs"]), "-" if pace is None else f"{pace:,.0f}"]
        rows.append(
            [
                name + (" ⏱" if record["capped"] else ""),
                *(own.spread(f"{metric}@10") for metric in _METRICS),
                own.spread("ndcg@10", "user_kind", "warm"),
                own.spread("ndcg@10", "user_kind", "cold"),
                own.spread("ndcg@10", "activity_quartile", "Q1"),
                *cost,
                f"{record['parameters']:,}",
            ]
        )
    rows += [[f"*published:* {name}", number(value), *["-"] * 9] for name, value in PUBLISHED.get(log, {}).items()]
    groups = ["warm", "cold", "shortest histories"]
    header = ["model", "NDCG@10", "HR@10", "MRR@10", *groups, "CPU s", "epochs", "examples/s", "parameters"]
    return table(header, rows)


def _facts(cut: Split) -> str:
    known = {
        "training": f"{len(cut.train)} events, {cut.train.n_users} users, {cut.train.n_items} items",
        "questions": f"{len(cut.test)}; **leaks time**" if cut.leaks_time else f"{len(cut.test)}",
        "fingerprint": cut.train.fingerprint[:12],
    }
    return facts(known)
