"""Which few things to ask somebody of whom nothing is known. `python -m benchmarks.interview`.

Held-out users are interviewed; all others are the crowd from which questions and beliefs are learned. Items are split
in two halves matched by popularity: one may be asked, the other judges, so that no answer is lost to the test and
none leaks. An answer is the user's own rating, and "don't know" where there is none, which is pessimistic: the log
lacks much that was seen. NDCG@10 is of a list of all judged items (relevant: rated 4 of 5 or more). Contested
accuracy is the share of pairs of judged items in the right order that the user rates a star or more apart and the
crowd less than a quarter of a star. All choosers are read out by the same two beliefs, by EASE fitted on the crowd
and folded in on what was liked, and by a blend of this and the ranking belief; the tree and PReF also by their own.
Screens are of four. Settings were chosen on splits 0 to 2, whose numbers are not reported. Intervals are 95%, by
resampling users; p is Wilcoxon's, after Holm. Milliseconds are of processor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interview.halves import Halves
from benchmarks.interview.report import draw, report
from benchmarks.interview.trial import interviews, question_times
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.report import report_folder, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.types import Doubles
from recsys.worlds.simulation import simulated_log

LOGS = {"ml-1m-ordered": 800, "ml-latest-small": 150}
"""Held-out users of each log."""

SEEDS = (10, 11, 12)
DIM, TEMPER = 12, 0.15
CANDIDATES = 2_000


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("interview", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", choices=list(LOGS), default=list(LOGS))
    command.add_argument("--splits", type=int, choices=(1, 2, 3), default=3, help="how many (default: %(default)s)")
    options = command.parse_args(arguments)
    seeds = SEEDS[: 1 if options.quick else options.splits]
    out = report_folder("interview", options.out, options.quick)
    cells = Cells(out / "cells")
    measured: dict[str, dict[str, Any]] = {}
    for name in ["simulated"] if options.quick else options.logs:
        log: Interactions = simulated_log(n_users=200, n_items=120) if options.quick else datasets.load(name)
        held = 40 if options.quick else LOGS[name]
        dim = 4 if options.quick else DIM
        tables = [_trial(cells, log, name, held, seed, dim) for seed in seeds]
        times, _ = cells.make(
            f"{name}/times",
            identity("times", name, log.fingerprint, dim, TEMPER, CANDIDATES),
            lambda log=log, held=held, dim=dim: CellContent(  # type: ignore[misc]
                question_times(Halves.of(log, held, SEEDS[0]), dim, TEMPER, CANDIDATES)
            ),
        )
        measured[name] = {
            "log": str(log),
            "fingerprint": log.fingerprint[:16],
            "held": held,
            "trials": tables,
            "times": times,
        }
    numbers = {name: _means(found) for name, found in measured.items()}
    write_result(out, numbers)
    for name, found in measured.items():
        draw(out / f"{name}.png", found["trials"], name)
    return write_report(out, report(measured, __doc__, seeds, DIM, TEMPER))


def _trial(cells: Cells, log: Interactions, name: str, held: int, seed: int, dim: int) -> dict[str, Doubles]:
    """Return the metrics of one trial by name, with the numbers of the users."""
    cell = f"{name}/{seed}"

    def run() -> CellContent:
        halves = Halves.of(log, held, seed)
        found, spent = interviews(halves, dim, TEMPER)
        return CellContent({"milliseconds": spent}, arrays=found | {"users": halves.users})

    values, seconds = cells.make(cell, identity(name, log.fingerprint, held, seed, dim, TEMPER, 1), run)
    print(f"{cell}: {'stored' if seconds is None else f'{seconds:.0f} s'}", flush=True)
    arrays = cells.arrays(cell)
    assert arrays is not None
    return arrays | {f"{key}|0|ms": np.array([value]) for key, value in values["milliseconds"].items()}


def _means(found: dict[str, Any]) -> dict[str, Any]:
    tables = found["trials"]
    # On a small log a chooser may run out of titles to ask: a number of questions is told where every split reached it.
    reached = [name for name in tables[0] if name != "users" and all(name in table for table in tables)]
    values = {name: [round(float(np.nanmean(table[name])), 5) for table in tables] for name in reached}
    return {**{key: found[key] for key in ("log", "fingerprint", "held", "times")}, "trials": values}
