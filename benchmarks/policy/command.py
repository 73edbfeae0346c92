"""Whether norms hold, whether lists are the best that norms allow, and what they cost. `python -m benchmarks.policy`.

Requests, catalogues and policies are made at random: up to 40 items of which much is not known, some with titles that
look as if they had a year; all kinds of rules, in four layers, with groups that cross, shares, and circumstances. A
checker that shares no code with the library counts the rules that a list breaks and that did not give way. Small cases
are compared with all their lists, and lists from 2,000 items with the integer program over all of them. Times are of
lists of ten from 10,000 items; processor time is that of the process alone, so that other programs do not lengthen it.
On ml-latest-small (random; 70% of the events for training, 20% for the test) lists by EASE under a rule are compared
with plain ones; both follow the model's scores, so a difference is the price of the rule alone. Intervals are 95%, by
resampling users; p is corrected after Holm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.policy.report import report
from benchmarks.policy.sizes import real_size, times
from benchmarks.policy.trials import NOBODY, enumerated, example, explained, fuzz, planted
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.report import report_folder, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.standard import split
from recsys.experiments.policies import catalogue_of
from recsys.experiments.policy_costs import costs
from recsys.models import EASE
from recsys.worlds.simulation import simulated_log

LOG = "ml-latest-small"
N = 10
USERS = 300
PENALTY = 500.0
_PART = 10_000
"""Requests of a cell."""

_CASES = 50
"""Lists of real size of a cell."""


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("policy", __doc__, quick="few cases, a small simulated log", threads=True)
    command.add_argument("--requests", type=int, default=1_000_000, metavar="N", help="made requests that are checked")
    command.add_argument("--time-again", action="store_true", help="measure the times anew, and nothing else")
    options = command.parse_args(arguments)
    quick = options.quick
    out = report_folder("policy", options.out, quick)
    cells = Cells(out / "cells")
    parts = 2 if quick else max(1, options.requests // _PART)
    size = 200 if quick else _PART

    def made(name: str, run: Callable[[], Any], *settings: object) -> Any:  # noqa: ANN401 (plain values)
        values, seconds = cells.make(name, identity(*settings), lambda: CellContent({"result": run()}))
        if seconds is not None:
            print(f"{name}: {str(values['result'])[:200]} ({seconds:.0f} s)", flush=True)
        return values["result"]

    count, sizes = (20, 2) if quick else (1_000, 1_000 // _CASES)
    if options.time_again:
        cells.path("times", "json").unlink(missing_ok=True)
    items = 1_000 if quick else 10_000
    measured: dict[str, Any] = {
        "enumerated": made("enumerated", lambda: enumerated(10 * count), count),
        "planted": made("planted", lambda: asdict(planted(count)), count),
        "explained": made("explained", lambda: explained(count), count),
        "costs": made("costs", lambda: priced(quick), LOG, USERS),
        "fuzz": [made(f"fuzz/{part:03}", partial(fuzzed, size, part), size) for part in range(parts)],
        "real_size": [
            made(f"real_size/{part:02}", partial(real_size, 3 if quick else _CASES, part), _CASES)
            for part in range(sizes)
        ],
        "times": made("times", lambda: [asdict(each) for each in times(items, count)], items, count),
    }
    write_result(out, measured)
    return write_report(out, report(measured, LOG, __doc__))


def fuzzed(requests: int, seed: int) -> dict[str, float]:
    """Return the counts of one trial as plain values."""
    return asdict(fuzz(requests, seed))


def priced(quick: bool) -> list[dict[str, Any]]:
    """Return what each rule of the example costs by itself, and all of them together."""
    log: Interactions = simulated_log(n_users=60, n_items=80, events_per_user=20) if quick else datasets.load(LOG)
    if not any("Horror" in genres for genres in log.metadata.genres):
        return []
    cut = split(log, "random", fractions=(0.7, 0.1, 0.2))
    model = EASE(regularization=PENALTY).fit(cut.train)
    rows = np.unique(np.linspace(0, len(cut.test) - 1, min(len(cut.test), USERS)).astype(np.int64))
    found = costs(example(), model, catalogue_of(model), cut.test.take(rows), cut.train, N, NOBODY, alone=True)
    return [each.to_dict() for each in found]
