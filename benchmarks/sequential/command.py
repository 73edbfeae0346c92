"""Sequential models in one table: what each user does next. `python -m benchmarks.sequential`.

All items are ranked. With last_one a user's last event is asked for, given all others, which leaks the future of other
users; by session each user is asked once, at the first session after a cut in time (pause 12 hours), and all its items
are relevant. Settings were chosen on validation questions; the test is asked once per seed. The peer is trained for the
processor time that the own models of one persona took, and its best validated epoch counts; without that limit it
is sasrec_long, where it was run. Users with an event in
training are warm; the quarter with the shortest histories stands apart. Where a table says so, items with fewer than
five training events are left out of all models, and count as missed where they are asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from benchmarks.sequential.contenders import (
    BARS,
    CONTENDERS,
    LINEAR,
    MATCHED,
    OWN,
    PAIRS,
    PEER,
    PEER_LONG,
    PLANS,
    PUBLISHED,
    SMALL,
    TRIAL,
    TWIN,
    Plan,
)
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.fitting import Fitted, count_parameters, fit_within
from benchmarks.tools.grid import is_seeded
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    method,
    number,
    percent,
    report_folder,
    spread,
    table,
    write_report,
)
from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Split
from recsys.evaluation.holdout import evaluate, validator
from recsys.experiments.configuration import Experiment
from recsys.models.base import Validate
from recsys.models.linear.next_item import LinearNextItem
from recsys.models.sequential.expert import ReusedExperts, reusing_experts
from recsys.training.session import Session

_METRICS = ("ndcg", "hr", "mrr")
_VALIDATION_USERS = 1000
_GAIN, _LEVEL = 0.03, 0.01


@final
@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of a contender on a log, one for each seed."""

    records: list[dict[str, Any]]  # `seconds`, `epochs`, `examples_per_second`, `parameters`
    tables: list[pd.DataFrame]  # a row per user
    commits: frozenset[str] = frozenset()  # of the code that made them

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
    logs = list(dict.fromkeys(plan.log for plan in PLANS))
    told = f"logs (default: {', '.join(logs)})"
    command.add_argument("--datasets", nargs="+", metavar="NAME", choices=logs, help=told)
    command.add_argument("--asked", nargs="+", metavar="HOW", choices=("last_one", "session"), help="(default: both)")
    command.add_argument("--models", nargs="+", metavar="NAME", choices=CONTENDERS, help="contenders (default: all)")
    command.add_argument("--seeds", type=int, metavar="N", help="seeds of models that draw (default 3)")
    command.add_argument("--finished", action="store_true", help="report the runs that are finished, start none")
    options = command.parse_args(arguments)
    seeds = options.seeds or (1 if options.quick else 3)
    out = report_folder("sequential", options.out, options.quick)
    cells = Cells(out / "cells")
    parts = ["# Sequential models", method(__doc__)]
    commits, differences, means = set[str](), list[Difference](), dict[str, float]()
    for plan in (TRIAL,) if options.quick else PLANS:
        if plan.log not in (options.datasets or [plan.log]) or plan.asked not in (options.asked or [plan.asked]):
            continue
        cut = plan.cut()
        names = [name for name in plan.models if name in (options.models or CONTENDERS)]
        # The own model first: the peer gets its time.
        ordered = sorted(names, key=lambda name: name == PEER)
        runs: dict[str, Runs] = {}
        with reusing_experts() as experts:
            for name in ordered:
                one = [record["seconds"] for model in (OWN, TWIN) if model in runs for record in runs[model].records]
                budget = max(one, default=math.inf)
                cell, asked = f"{plan.log}-{plan.asked}/{name}", plan.asked_of(name, cut)
                how = plan.contender(name, options.quick), cell, asked, cells, experts
                made = run(*how, seeds, budget if name == PEER else math.inf, finished=options.finished)
                commits |= made.commits
                if made.tables:
                    runs[name] = made
                    print(f"{plan.name}, {name}: NDCG@10 {made.spread('ndcg@10')}", flush=True)
        if not runs:
            continue
        ran = {name: runs[name] for name in names if name in runs}
        parts += [f"## {plan.name}", _facts(plan, cut), results(plan.name, ran)]
        if PEER_LONG in ran:
            parts.append(curve_of(ran[PEER_LONG]))
        differences += [pair for own, other in PAIRS for pair in _paired(plan.name, runs, own, other)]
        if OWN in runs:
            means[plan.name] = runs[OWN].mean()
    pairs = corrected(differences)
    rows = [[pair.where, f"{pair.own} - {pair.other}", *pair.columns(), pair.outcome] for pair in pairs]
    lost = [f"- {row[0]}: {row[1]}: {row[3]}" for row in rows if row[-1] == "lost"]
    bars = bars_of(means, pairs)
    missed = [f"- missed: {row[0]}: {row[2]}, bar {row[1]}" for row in bars if "missed" in row[-1]]
    known = facts(environment() | {"commit": ", ".join(sorted(commits))})
    parts[2:2] = [known, "## What lost", "\n".join(lost + missed) or "Nothing, of the pairs below."]
    parts += ["## Paired over users", table(["log", "pair", *COLUMNS, ""], rows)]
    if bars:
        parts += ["## Bars", bars_table(bars)]
    return write_report(out, parts)


def _paired(where: str, runs: dict[str, Runs], own: str, other: str) -> list[Difference]:
    """Return the difference of two contenders, over the seeds that both have where neither has one alone."""
    if own not in runs or other not in runs:
        return []
    sides = [runs[own].tables, runs[other].tables]
    fewest = min(map(len, sides))
    if fewest > 1:
        sides = [tables[:fewest] for tables in sides]
    return Difference.over_seeds(where, (own, sides[0]), (other, sides[1]), ["ndcg@10"])


def bars_of(means: dict[str, float], pairs: Sequence[Difference]) -> list[list[str]]:
    """Return the rows of the bars that what was measured can answer.

    Args:
        means: test NDCG@10 of the own model by table.
        pairs: all of them, corrected.
    """
    rows = [
        bar(
            f"{OWN} on {name}",
            number(least, 3),
            number(means.get(name)),
            means[name] >= least if name in means else None,
        )
        for name, least in BARS.items()
    ]
    linear = [pair for pair in pairs if (pair.own, pair.other) == (OWN, LINEAR)]
    if linear:
        below = [f"{pair.where} {percent(pair.relative)} ({pair.outcome})" for pair in linear if pair.relative < 0]
        measured = ", ".join(below) or f"on none of {len(linear)}"
        rows.append(bar(f"{OWN} below {LINEAR} by the mean", "on no log", measured, not below))
    for own, other in MATCHED:
        matched = [pair for pair in pairs if (pair.own, pair.other) == (own, other)]
        if matched:
            below = [pair.where for pair in matched if pair.outcome == "lost"]
            measured = ", ".join(below) or f"on none of {len(matched)}"
            rows.append(bar(f"{own} established to be worse than its twin", "on no log", measured, not below))
        if (own, other) in SMALL and matched:
            better = [pair for pair in matched if pair.relative >= _GAIN and pair.p_holm < _LEVEL]
            told = ", ".join(f"{pair.where} {percent(pair.relative)}" for pair in matched)
            claim = f"{own} better than its twin by {percent(_GAIN, 0)}, p < {number(_LEVEL, 2)}"
            rows.append(bar(claim, "on two logs", told, len(better) >= 2))
    return rows


def run(
    experiment: Experiment,
    cell: str,
    cut: Split,
    cells: Cells,
    experts: ReusedExperts,
    seeds: int,
    seconds: float,
    *,
    finished: bool = False,
) -> Runs:
    """Fit and test a contender with every seed, within seconds of processor time; finished runs are read from disk.

    Experts that were fitted before count with the time that their fit took. With `finished` no run is started.
    """
    records, tables, commits = [], [], set()
    for seed in range(seeds if is_seeded(experiment) else 1):
        facts_of_run = experiment.to_dict(), cut.train.fingerprint, cut.name, _VALIDATION_USERS

        if finished and cells.load(f"{cell}-{seed}", identity(*facts_of_run)) is None:
            continue

        def make(seed: int = seed) -> CellContent:
            validate, before = validator(cut.valid, sample=_VALIDATION_USERS), experts.seconds
            fitted = _fitted(experiment, seed, cut.train, validate, seconds, experts)
            effort = fitted.model.effort
            values = fitted.effort | {
                "seconds": fitted.seconds + experts.seconds - before,
                "parameters": count_parameters(fitted.model),
                "curve": fitted.curve,
                "examples_per_second": None if effort is None or fitted.capped else effort.examples / effort.seconds,
            }
            tested = evaluate(fitted.model, cut, metrics=_METRICS, cutoffs=(10,))
            return CellContent(values, tested)

        record, _ = cells.make(f"{cell}-{seed}", identity(*facts_of_run), make)
        records.append(record)
        tables.append(cells.evaluation(f"{cell}-{seed}").per_user)
        commits.add(cells.environment(f"{cell}-{seed}").get("commit", "unknown"))
    return Runs(records, tables, frozenset(commits))


def _fitted(
    experiment: Experiment, seed: int, train: Interactions, validate: Validate, seconds: float, experts: ReusedExperts
) -> Fitted:
    """Fit a contender; the linear model is the expert of the others, so that it need not be fitted for itself."""
    model = experiment.build(seed)
    if not isinstance(model, LinearNextItem):
        return fit_within(experiment, seed, train, validate, seconds)
    began = time.process_time()
    fitted = experts.fit(model, train, Session())
    took = time.process_time() - began
    return Fitted(fitted, validate(fitted), 1, took, capped=False)


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
                str(len(own.records)),
                *(own.spread(f"{metric}@10") for metric in _METRICS),
                own.spread("ndcg@10", "user_kind", "warm"),
                own.spread("ndcg@10", "user_kind", "cold"),
                own.spread("ndcg@10", "activity_quartile", "Q1"),
                *cost,
                f"{record['parameters']:,}",
            ]
        )
    rows += [[f"*published:* {name}", "-", number(value), *["-"] * 9] for name, value in PUBLISHED.get(log, {}).items()]
    groups = ["warm", "cold", "shortest histories"]
    header = ["model", "seeds", "NDCG@10", "HR@10", "MRR@10", *groups, "CPU s", "epochs", "examples/s", "parameters"]
    return table(header, rows)


def curve_of(runs: Runs) -> str:
    """Return how the peer without a limit of time rose, by its first seed."""
    curve = ", ".join(number(value) for value in runs.records[0]["curve"])
    return f"Validation NDCG@10 of {PEER_LONG} after each epoch ({_VALIDATION_USERS:,} users): {curve}."


def _facts(plan: Plan, cut: Split) -> str:
    fewest = {"left out": f"items with fewer than {plan.min_item_events} training events"}
    decay = {"half-life": f"{plan.days} days, of what {LINEAR} and the models beside it read"}
    known = (
        (fewest if plan.min_item_events > 1 else {})
        | (decay if plan.days else {})
        | {
            "training": f"{len(cut.train)} events, {cut.train.n_users} users, {cut.train.n_items} items",
            "questions": f"{len(cut.test)}; **leaks time**" if cut.leaks_time else f"{len(cut.test)}",
            "fingerprint": cut.train.fingerprint[:12],
        }
    )
    return facts(known)
