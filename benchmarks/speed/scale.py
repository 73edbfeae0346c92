"""A log of 20 million events from file to ranked lists in one process. `python -m benchmarks.scale`.

The peak after each stage is that of the whole process so far: the claim is about all stages together.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

import numpy as np

from benchmarks.speed.simulated_csv import write_simulated_csv
from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment, peak_memory_gb
from benchmarks.tools.report import bar, bars_table, facts, report_folder, table, write_report
from recsys.data.catalogue import datasets
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate
from recsys.models.ampcf.model import AMPCF
from recsys.models.ampcf.settings import Objective
from recsys.training.session import Session
from recsys.training.trainable import Optimization

BAR_GB = 8.0
SPLIT: SplitName = "global_time"
_Result = TypeVar("_Result")


@final
@dataclass(frozen=True)
class Size:
    """The size of the run."""

    events: int = 20_000_000
    users: int = 138_000
    items: int = 27_000
    queries: int = 10_000


@final
class Stages:
    """Times stages and reads the peak memory after each.

    >>> stages = Stages(verbose=False)
    >>> stages.run("add", lambda: 1 + 1), [row[0] for row in stages.rows]
    (2, ['add'])
    """

    def __init__(self, *, verbose: bool = True) -> None:
        self.rows: list[tuple[str, float, float]] = []
        self._verbose = verbose

    def run(self, name: str, work: Callable[[], _Result]) -> _Result:
        """Do the work of one stage and return its result."""
        if self._verbose:
            print(f"{name} ...", flush=True)
        started = time.perf_counter()
        result = work()
        self.rows.append((name, time.perf_counter() - started, peak_memory_gb()))
        if self._verbose:
            print(f"{name}: {self.rows[-1][1]:.1f} s, peak so far {self.rows[-1][2]:.2f} GB", flush=True)
        return result


def model_for_scale(users: str = "embedding") -> AMPCF:
    """Return AMP-CF for a large log: large batches, negatives shared by the batch, one epoch."""
    objective = Objective(
        loss="sampled_softmax", negatives=16, shared_negatives=True, exclude_observed=False, ce_weight=1.0
    )
    batch_size = 32768 if users == "embedding" else 1024
    return AMPCF(
        embedding_size=64,
        personas=3,
        users="embedding" if users == "embedding" else "history",
        objective=objective,
        optimization=Optimization(epochs=1, batch_size=batch_size, learning_rate=0.01),
    )


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    default = Size()
    command = parser("scale", __doc__, quick="200,000 events", threads=True)
    command.add_argument("--events", type=int, default=default.events)
    command.add_argument("--users", type=int, default=default.users)
    command.add_argument("--items", type=int, default=default.items)
    command.add_argument("--asked", type=int, default=default.queries, help="users for whom all items are ranked")
    command.add_argument("--personas-from", choices=["embedding", "history"], default="embedding")
    options = command.parse_args(arguments)
    size = Size(options.events, options.users, options.items, options.asked)
    if options.quick:
        size = Size(200_000, 2_000, 1_000, 500)
    return run(size, report_folder("scale", options.out, options.quick), personas_from=options.personas_from)


def run(size: Size, out: Path, *, personas_from: str = "embedding", verbose: bool = True) -> Path:
    """Write, load, split, train, rank; write the report and return its path."""
    stages = Stages(verbose=verbose)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.csv"
        stages.run("write the CSV", lambda: write_simulated_csv(path, size.events, size.users, size.items, 0))
        megabytes = path.stat().st_size / 1e6
        log = stages.run("load it", lambda: datasets.load(path))
    cut = stages.run(f"split ({SPLIT})", lambda: split(log, SPLIT, seed=0))
    model = model_for_scale(personas_from)
    stages.run("train AMP-CF one epoch", lambda: model.fit(cut.train, None, Session(progress=verbose)))
    relevant = np.flatnonzero(cut.test.relevant.lengths > 0)
    drawn = np.random.default_rng(0).choice(relevant, min(size.queries, len(relevant)), replace=False)
    holdout = cut.test.take(np.sort(drawn))
    result = stages.run(f"full-rank {len(holdout)} users, all metrics", lambda: evaluate(model, holdout, cut.train))
    effort = model.effort
    assert effort is not None
    made = environment() | {
        "log": f"simulated, {len(log)} events, {log.n_users} users, {log.n_items} items, a CSV of {megabytes:.0f} MB",
        "fingerprint": log.fingerprint[:12],
        "split": f"{cut.name}, {len(cut.train)} training events",
        "seed": "0",
        "model": f"AMP-CF, K = 3, d = 64, personas from {personas_from}, {effort.examples / effort.seconds:,.0f} "
        "positives/s, set-up included",
        "result": f"NDCG@10 {result.summary['ndcg@10']:.4f} after one epoch (a check that it learns, not a claim)",
    }
    peak = stages.rows[-1][2]
    bars = [bar("peak memory of the whole run", f"below {BAR_GB:g} GB", f"{peak:.2f} GB", peak < BAR_GB)]
    rows = [[name, f"{seconds:.1f}", f"{memory:.2f}"] for name, seconds, memory in stages.rows]
    parts = ["# Scale", facts(made), bars_table(bars)]
    parts += ["## Stages", table(["stage", "seconds", "peak so far, GB"], rows)]
    return write_report(out, parts)
