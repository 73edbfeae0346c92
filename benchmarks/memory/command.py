"""What is kept of a user, in how many bytes, and what that costs. `python -m benchmarks.memory`.

EASE is fitted on other users than those who are asked about; the half-life of the whole history is chosen on
validation users, and so are the gate of `Dual` and how its bytes are divided. Every memory is encoded to bytes, which
are counted, and decoded; lists are made from what was decoded. The items of the history are masked in all lists, and
what that takes is counted apart. NDCG@10 is compared user by user over all seeds, of which each has other users (on
ml-latest-small each seed draws them anew, and fits again). Placebos: item vectors shuffled; titles of another user.
Texts are written, read again, and are then all that is known of a user. Edits add "avoids G" or "mostly G" to texts,
for the genres that have at least 5% of all events, and take it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.memory.measures import Result, carried, edits, measured
from benchmarks.memory.report import report
from benchmarks.memory.tasks import Plan, Task, tasks
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.report import report_folder, write_report, write_result

PLANS = {
    plan.log: plan
    for plan in (
        Plan("ml-latest-small", 500.0, ("random",), users=200, validation=60, refit=True),
        Plan("ml-1m-ordered", 500.0, ("random", "last", "next 10")),
        Plan("movietweetings", 300.0, ("next 10",), min_item_events=5, validation=200),
        Plan("amazon-beauty", 200.0, ("last",)),
    )
}
QUICK = Plan("simulated", 50.0, ("random", "next 10"), users=40, validation=30)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("memory", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="LOG", help=f"some of {', '.join(PLANS)}")
    command.add_argument("--seeds", type=int, default=3, help="groups of users (default: %(default)s)")
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    out = report_folder("memory", options.out, options.quick)
    cells = Cells(out / "cells")
    results: dict[str, list[Result]] = {}
    for plan in plans:
        names = [(f"{plan.log}, {asked}", seed) for seed in range(1, options.seeds + 1) for asked in plan.asked]
        key = identity(asdict(plan), options.seeds)
        missing = {name for name in names if cells.load(_cell(*name), key) is None}
        unedited = {name for name, seed in names if seed == 1 and cells.load(_edits(name), key) is None}
        for task in tasks(plan, options.seeds) if missing or unedited else ():
            if task.seed == 1 and task.name in unedited:
                cells.save(_edits(task.name), key, edits(task))
            if (task.name, task.seed) in missing:
                print(f"{task.name}, seed {task.seed} ...", flush=True)
                cells.save(_cell(task.name, task.seed), key, _measured(task).values)
        for name, seed in names:
            stored = cells.load(_cell(name, seed), key)
            assert stored is not None
            results.setdefault(name, []).append(stored | {"edits": cells.load(_edits(name), key)})
    write_result(out, {name: [_short(one) for one in each] for name, each in results.items()})
    return write_report(out, report(__doc__, results, out))


def _cell(name: str, seed: int) -> str:
    return f"{name.replace(', ', '/').replace(' ', '_')}-{seed}"


def _edits(name: str) -> str:
    return f"{_cell(name, 1)}-edits"


def _measured(task: Task) -> CellContent:
    result = measured(task)
    if task.seed == 1 and task.name.endswith("next 10"):
        result["carried"] = carried(task)
    return CellContent(result)


def _short(result: Result) -> Result:
    """Return a result with means in place of the values of users."""
    rows = {name: {**row, "ndcg": float(np.nanmean(row["ndcg"]))} for name, row in result["rows"].items()}
    return {**result, "rows": rows}
