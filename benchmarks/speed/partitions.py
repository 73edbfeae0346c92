"""Closed-form training on logs in parts, of growing size: processor seconds and peak memory of each stage's process.

Each stage runs in a process of its own, so that its peak is its own, and its seconds are those of processors: on a
machine with other work the clock would measure that work. The users grow with the events, the items do not: sums over
users (the Gram matrix of EASE) are compared with the smallest log; the factorisation of that matrix costs the same for
every log, and is made for the largest one, with lists for some of its users. It reads the saved sums, in a process that
has summed a part, so that its peak is that of a process that does both. Files are deleted once not needed; with
`--work` the logs in parts are kept, and a stage whose row the report has already is not run again.

The speed of workers over one is that of the clock, which says something where processors are idle, and that of
processor seconds: those of the command, which adds, and of its busiest worker.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.speed.simulated_csv import write_simulated_csv
from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment, peak_memory_gb
from benchmarks.tools.report import bar, bars_table, facts, report_folder, table, write_report, write_result
from recsys.bundles import bundle
from recsys.data.partitions.log import PartitionedLog
from recsys.data.partitions.splitting import PartitionedSplit
from recsys.data.partitions.writing import write_partitions
from recsys.models import EASE
from recsys.models.base import FittedOn
from recsys.models.feedback import FeedbackReader
from recsys.models.linear.ease import Cooccurrence
from recsys.scale.engine import Engine, InProcess, Result
from recsys.scale.engines import engine_of
from recsys.scale.training import fitted_on_parts
from recsys.scale.users import PartUsers

BAR_GB, BAR_LINEAR, BAR_WORKERS = 8.0, 0.15, 1.7
_USERS_PER_MILLION = 7_000
_EVENTS_PER_PART = 10_000_000
_REGULARIZATION = 1000.0
_BATCH = 2048
_GRAM = Cooccurrence(FeedbackReader.of_each("events", "seconds", "EASE"))


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("partitions", __doc__, quick="200,000 and 400,000 events", threads=True)
    command.add_argument("--millions", type=float, nargs="+", default=[20.0, 200.0], help="of events, ascending")
    command.add_argument("--items", type=int, default=27_000)
    command.add_argument("--lists", type=int, default=100_000, help="users for whom lists are made")
    command.add_argument("--work", type=Path, metavar="DIR", help="keep the logs here, and go on from what is there")
    command.add_argument("--parts", type=int, metavar="N", help="where no lists are made, sum only the first N parts")
    command.add_argument("--workers", type=int, nargs="+", default=[], help="sum also on so many workers, ascending")
    options = command.parse_args(arguments)
    if options.quick:
        options.millions, options.items, options.lists = [0.2, 0.4], 1_000, 500
    out = report_folder("partitions", options.out, options.quick)
    return run(
        options.millions,
        options.items,
        options.lists,
        out,
        workers=options.workers,
        work=options.work,
        parts_summed=options.parts,
    )


def run(
    millions: Sequence[float],
    items: int,
    lists: int,
    out: Path,
    *,
    workers: Sequence[int] = (),
    work: Path | None = None,
    parts_summed: int | None = None,
    verbose: bool = True,
) -> Path:
    """Measure all sizes and write the report after each stage, so that an interrupted benchmark has one."""
    former = out / "result.json"
    rows = json.loads(former.read_text(encoding="utf-8")) if work is not None and former.exists() else []
    stages = Stages(lambda rows: write(rows, items, out), rows, verbose=verbose)
    for place, size in enumerate(millions):
        stages.size = round(size * 1e6)
        with tempfile.TemporaryDirectory(prefix="recsys-partitions-") as temporary:
            folder = Path(temporary) if work is None else work / str(stages.size)
            measure(stages, folder, items, lists if place == len(millions) - 1 else 0, workers, parts_summed)
    return write(stages.rows, items, out)


def measure(
    stages: Stages,
    folder: Path,
    items: int,
    lists: int,
    workers: Sequence[int] = (),
    parts_summed: int | None = None,
) -> None:
    """Make a log of a size and sum over it, also on workers; factorise and make lists if there are lists to make."""
    events = stages.size
    users = max(200, round(events / 1e6 * _USERS_PER_MILLION))
    parts = max(2, round(events / _EVENTS_PER_PART))
    csv, directory = folder / "simulated.csv", folder / "parts"
    if not directory.exists():
        folder.mkdir(parents=True, exist_ok=True)
        stages.run("simulate", partial(_simulate, csv, events, users, items))
        stages.run("partition", partial(_partition, csv, directory, parts))
        csv.unlink()
    if not lists:
        stages.run("sums", partial(_sums, directory, parts=parts_summed))
        for count in workers:
            stages.run(f"sums on Ray, workers: {count}", partial(_workers, directory, count))
    else:
        gram, model = folder / "gram.npy", folder / "model"
        stages.run("sums", partial(_sums, directory, gram))
        stages.run("fit", partial(_fit, directory, gram, model))
        stages.run("lists", partial(_lists, directory, model, lists))


@final
class Stages:
    """Runs stages in processes of their own, and keeps what they took."""

    def __init__(
        self, report: Callable[[Sequence[dict[str, Any]]], object], rows: list[dict[str, Any]], *, verbose: bool
    ) -> None:
        self.rows = rows
        self.size = 0
        self._report, self._verbose = report, verbose

    def run(self, name: str, work: Callable[[], dict[str, Any] | None]) -> None:
        """Do the work of one stage, unless that is done."""
        if any((row["events"], row["stage"]) == (self.size, name) for row in self.rows):
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            told, cpu, peak, seconds = pool.submit(_measured, work).result()
        row = {"events": self.size, "stage": name, "cpu": round(cpu, 1), "seconds": round(seconds, 1)}
        self.rows.append(row | {"peak_gb": round(peak, 2)} | told)
        self.rows.sort(key=lambda row: row["events"])
        self._report(self.rows)
        if self._verbose:
            print(row | told, flush=True)


def _measured(work: Callable[[], dict[str, Any] | None]) -> tuple[dict[str, Any], float, float, float]:
    """Return what a stage tells, its processor seconds, its peak of memory in 10^9 bytes, and its seconds."""
    started, before = time.perf_counter(), time.process_time()
    told = work() or {}
    return told, time.process_time() - before, peak_memory_gb(), time.perf_counter() - started


def _simulate(csv: Path, events: int, users: int, items: int) -> dict[str, Any]:
    write_simulated_csv(csv, events, users, items, 0)
    return {"csv_mb": round(csv.stat().st_size / 1e6)}


def _partition(csv: Path, directory: Path, parts: int) -> dict[str, Any]:
    log = write_partitions(str(csv), directory, parts)
    on_disk = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
    return {"users": log.users, "kept": log.events, "parts": parts, "parts_mb": round(on_disk)}


@final
class _Timed:
    """A function, and the process that called it with its processor seconds."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, piece: Any) -> tuple[Any, int, float]:  # noqa: ANN401 - as the function takes it
        before = time.process_time()
        result = self._function(piece)
        return result, os.getpid(), time.process_time() - before


@final
class _Measured(Engine):
    """An engine that tells what its last pass over the parts took, additions included.

    Attributes:
        told: the clock; processor seconds of this process; and of it and the busiest worker, which is how long the pass
            takes where every worker has a processor.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.workers)
        self._engine = engine
        self.told: dict[str, Any] = {}

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        clock, own, base, pairs, size = time.perf_counter(), time.process_time(), peak_memory_gb(), 0.0, 0
        busy: dict[int, float] = {}
        for result, process, seconds in self._engine.map(_Timed(function), pieces, what):
            if process != os.getpid():
                busy[process] = busy.get(process, 0.0) + seconds
            pairs, size = pairs + float(result["gram"].sum(dtype=np.float64)), result["gram"].nbytes
            yield result
            del result  # the next part is worked on
        cpu = time.process_time() - own
        self.told = {"gram_cpu": round(cpu, 1), "base_gb": round(base, 2), "sums_peak_gb": round(peak_memory_gb(), 2)}
        self.told |= {"gram_bytes": size, "pairs": pairs, "clock": round(time.perf_counter() - clock, 1)}
        self.told |= {"longest_cpu": round(cpu + max(busy.values(), default=0.0), 1)}

    def own(self, pieces: int) -> range:
        return self._engine.own(pieces)

    def together(self, function: Callable[[Engine], Result], most: int, folder: Path) -> Result:
        return self._engine.together(function, most, folder)

    def __exit__(self, *_: object) -> None:
        pass


@final
class _Saved(Engine):
    """Yields saved sums over all parts, once it has worked on the first beside them, as who sums them does.

    Attributes:
        cpu: processor seconds of this process until then.
    """

    def __init__(self, gram: Path) -> None:
        super().__init__(1)
        self.cpu = 0.0
        self._gram = gram

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        gram = np.load(self._gram)
        function(pieces[0])
        self.cpu = time.process_time()
        yield {"gram": gram}

    def own(self, pieces: int) -> range:
        return range(pieces)

    def together(self, function: Callable[[Engine], Result], most: int, folder: Path) -> Result:
        return function(self)

    def __exit__(self, *_: object) -> None:
        pass


def _users(log: PartitionedLog, engine: Engine, parts: int | None = None) -> tuple[FittedOn, PartUsers]:
    """Find the cuts in this process; the engine sums, over the first parts or all."""
    split, facts_of_log = PartitionedSplit.of(log, lambda function: map(function, range(len(log))))
    fitted_on = fitted_on_parts(log, split, facts_of_log)
    return fitted_on, PartUsers(fitted_on, split, parts or len(log), facts_of_log.events, engine)


def _sums(directory: Path, gram: Path | None = None, parts: int | None = None) -> dict[str, Any]:
    """Find the cuts, sum the Gram matrix over the first parts or all, and save it if there is a path for it."""
    engine, log = _Measured(InProcess()), PartitionedLog.open(directory)
    summed = min(parts or len(log), len(log))
    _, users = _users(log, engine, summed)
    sums = users.total(_GRAM)
    if gram is not None:
        np.save(gram, sums["gram"])
    share = sum(size.events for size in log.sizes[:summed]) / log.events
    return engine.told | {"training_events": users.events, "summed_parts": summed, "summed_share": round(share, 4)}


def _fit(directory: Path, gram: Path, model: Path) -> dict[str, Any]:
    """Factorise the saved sums, and save the model in their place."""
    engine, ease = _Saved(gram), EASE(_REGULARIZATION)
    fitted_on, users = _users(PartitionedLog.open(directory), engine, 1)
    ease.fit_sums(fitted_on, users)
    solving = time.process_time() - engine.cpu
    bundle.save(ease, model)
    gram.unlink()
    return {"items": len(fitted_on.items), "solve_cpu": round(solving, 1)}


def _workers(directory: Path, count: int) -> dict[str, Any]:
    """Sum the Gram matrix on Ray's workers, which are started before."""
    with engine_of("ray", count) as ray:
        engine = _Measured(ray)
        _, users = _users(PartitionedLog.open(directory), engine)
        list(ray.map(_warm, range(4 * count)))
        users.total(_GRAM)
    return engine.told | {"workers": count, "load": round(os.getloadavg()[0], 1)}


def _warm(number: int) -> int:
    """Import what a worker needs, for long enough that every worker has its share."""
    time.sleep(0.2)
    return number


def _lists(directory: Path, model: Path, count: int) -> dict[str, Any]:
    """Make the lists of the first users of the parts, from all their events."""
    log, ease, done, spent = PartitionedLog.open(directory), bundle.load(model), 0, 0.0
    for number in range(len(log)):
        part = log.part(number)
        for start in range(0, min(part.n_users, count - done), _BATCH):
            users = np.arange(start, min(start + _BATCH, part.n_users, start + count - done), dtype=np.int32)
            before = time.process_time()
            ease.recommend(ease.fitted_on.queries(part, users), 10)
            spent += time.process_time() - before
            done += len(users)
    return {"lists": done, "lists_cpu": round(spent, 1)}


def write(rows: Sequence[dict[str, Any]], items: int, out: Path) -> Path:
    """Write the report of what has been measured."""
    write_result(out, list(rows))
    sums = {row["events"]: row for row in rows if row["stage"] == "sums"}
    first = min(sums, default=0)
    per_event = {size: row["gram_cpu"] / row["pairs"] for size, row in sums.items()}
    peak = max((row["peak_gb"] for row in rows if row["stage"] != "simulate"), default=0.0)
    bars = [bar("peak memory of every process", f"below {BAR_GB:g} GB", f"{peak:.2f} GB", peak < BAR_GB)]
    for size, row in sums.items():
        if size == first:
            continue
        share = row.get("summed_share", 1.0)
        ratio = row["gram_cpu"] / sums[first]["gram_cpu"] / (size * share / first)
        some = "" if share == 1 else f" (the first {row['summed_parts']} parts)"
        claim = f"cost of the sums of {size / 1e6:g} million events{some} against {first / 1e6:g} million, over linear"
        bars.append(bar(claim, f"within {BAR_LINEAR:.0%}", f"{ratio:.3f}", abs(ratio - 1) <= BAR_LINEAR))
    fewest: dict[int, dict[str, Any]] = {}  # of each size
    for row in (row for row in rows if "workers" in row):
        one = fewest.setdefault(row["events"], row)
        if one is row:
            continue
        for name, what in (("clock", f"by the clock, load {row['load']:g}"), ("longest_cpu", "by processor seconds")):
            times = one[name] / row[name]
            size = f"{row['events'] / 1e6:g} million events"
            claim = f"{size}: speed of {row['workers']} workers over {one['workers']}, {what}"
            bars.append(bar(claim, f"at least {BAR_WORKERS:g}", f"{times:.2f}", times >= BAR_WORKERS))
    made = environment() | {
        "log": f"simulated, {items} items, {_USERS_PER_MILLION} users per million events",
        "model": f"EASE, regularization {_REGULARIZATION:g}; one process, parts of about {_EVENTS_PER_PART / 1e6:g} "
        "million events",
        "seed": "0",
    }
    names = ("events", "stage", "cpu", "peak_gb")
    shown = [[f"{row['events'] / 1e6:g} M", row["stage"], f"{row['cpu']:.0f}", f"{row['peak_gb']:.2f}"] for row in rows]
    details = [
        [
            f"{row['events'] / 1e6:g} M",
            row["stage"],
            *[f"{key} {value}" for key, value in row.items() if key not in names],
        ]
        for row in rows
    ]
    lines = [f"- {head[0]}, {head[1]}: {', '.join(head[2:])}" for head in details]
    pairs = [
        [f"{size / 1e6:g} M", f"{row['pairs'] / 1e9:.2f}", f"{1e9 * per_event[size]:.2f}"] for size, row in sums.items()
    ]
    return write_report(
        out,
        [
            "# Logs in parts",
            facts(made),
            bars_table(bars),
            "## Stages",
            table(["events", "stage", "processor seconds", "peak, GB"], shown),
            "## Pairs of items that the sums count",
            table(["events", "thousand million pairs", "nanoseconds a pair"], pairs),
            "## All that was measured",
            "\n".join(lines),
        ],
    )
