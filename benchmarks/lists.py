"""Lists of all users a second, with reasons and without. `python -m benchmarks.lists`.

Every user of the log gets a list of ten, in batches, on one core. Explained lists have every reason checked by the
scores without its events. Beside them the batch call of `implicit`, and Cornac's `recommend`, which takes one user, of
the same EASE. Repeats are interleaved; medians count. A rate is lists per second of processor time; wall-clock time is
beside it. Fitting is not timed.

`--slates USERS` measures instead what slates add to the ranking of so many users, those of the log over and over.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, final

import numpy as np
import torch

from benchmarks.tools.command import parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, method, report_folder, table, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.experiments.lists.batch import RunLists
from recsys.experiments.lists.everybody import ListSettings, ListWriter
from recsys.models import EASE, Slated, WithPersonas
from recsys.models.base import Recommender
from recsys.models.parameters import to_call
from recsys.slates import Calibrated, Diverse, Seats, Slate

LENGTH: Final = 10
_PART: Final = 1024
_SLOW: Final = 512
"""Users of the calls that take one user at a time, and of explained lists with personas."""

EXPLAINED, PLAIN = 3_000, 20_000
"""Lists a second of a core that are asked for."""

SLATES: Final[tuple[Slate, ...]] = (Calibrated(0.3), Seats(0.2, 0.08, 100, "tastes"), Diverse())
RATIO: Final = 2.0
"""Time of slated lists over that of ranking alone, at most."""


@final
@dataclass(frozen=True)
class Case:
    """Something that makes lists.

    Attributes:
        users: how many lists it makes.
        make: makes them.
    """

    users: int
    make: Callable[[], object]


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("lists", __doc__, quick="the simulated log, 1 repeat")
    command.add_argument("--dataset", metavar="NAME", help="log (default ml-1m-ordered)")
    command.add_argument("--repeats", type=int, metavar="N", help="interleaved repeats (default 5)")
    command.add_argument("--slates", type=int, metavar="USERS", help="measure slates on so many users, and no peers")
    options = command.parse_args(arguments)
    if options.slates:
        torch.set_num_threads(1)
        log = datasets.load(options.dataset or ("simulated" if options.quick else "ml-1m-ordered"))
        return run_slates(
            log, options.slates, options.repeats or 1, report_folder("slates", options.out, options.quick)
        )
    require("benchmarks", "cornac", "implicit")
    torch.set_num_threads(1)
    name = options.dataset or ("simulated" if options.quick else "ml-1m-ordered")
    repeats = options.repeats or (1 if options.quick else 5)
    return run(datasets.load(name), repeats, report_folder("lists", options.out, options.quick))


def run(log: Interactions, repeats: int, out: Path) -> Path:
    """Measure and write the report; return its path."""
    from benchmarks.speed.lists_of_peers import cornac_lists, implicit_lists  # noqa: PLC0415 (needs the peers)

    ease = EASE(1000.0, feedback="weighted").fit(log)
    personas = WithPersonas(EASE(1000.0, feedback="weighted")).fit(log)
    few = min(_SLOW, log.n_users)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.parquet"
        cases: dict[str, Case] = {}
        for title, model, users in (("EASE", ease, log.n_users), ("EASE with personas", personas, few)):
            lists = RunLists.of_model(model, LENGTH)
            cases |= {
                f"{title}, explained, in Parquet": Case(users, partial(write, lists, log, users, part, explain=True)),
                f"{title}, explained, as records": Case(users, partial(explain, lists, log, users)),
                f"{title}, in Parquet": Case(users, partial(write, lists, log, users, part, explain=False)),
                f"{title}, as arrays": Case(users, partial(recommend, model, log, users)),
            }
        cases |= {f"implicit {kind}": Case(log.n_users, make) for kind, make in implicit_lists(log, LENGTH).items()}
        cases |= {f"Cornac {kind}": Case(few, make) for kind, make in cornac_lists(log, LENGTH, few).items()}
        seconds = interleaved(cases, repeats)
    write_result(out, {name: {"users": cases[name].users, "seconds": times} for name, times in seconds.items()})
    return write_report(out, report(log, cases, seconds, repeats))


def run_slates(log: Interactions, users: int, repeats: int, out: Path) -> Path:
    """Measure slates beside ranking alone and write the report; return its path."""
    model = EASE(500.0).fit(log)
    numbers = np.arange(users, dtype=np.int32) % log.n_users

    def make(slated: Recommender, count: int = users) -> None:
        for start in range(0, count, _PART):
            slated.recommend(model.fitted_on.queries(log, numbers[start : start + _PART]), LENGTH)

    models: dict[str, Recommender] = {"ranking alone": model}
    models |= {to_call(slate): Slated.around(model, slate, log) for slate in SLATES}
    for slated in models.values():  # fills caches
        make(slated, 1)
    seconds = interleaved(
        {name: Case(users, partial(make, slated)) for name, slated in models.items()}, repeats, warm_up=False
    )
    write_result(out, {name: {"users": users, "seconds": times} for name, times in seconds.items()})
    made = environment() | {
        "log": f"{log.name}, fingerprint {log.fingerprint[:12]}, {log.n_users} users, {log.n_items} items",
        "lists": f"{users:,} of {LENGTH}, the users of the log over and over, in batches of {_PART:,}",
        "repeats": f"{repeats}, interleaved; medians of processor time",
    }
    spent = {name: statistics.median(taken for taken, _ in times) for name, times in seconds.items()}
    plain = spent["ranking alone"]
    rows = [[name, f"{1e6 * taken / users:,.0f}", f"{taken / plain:.2f}"] for name, taken in spent.items()]
    worst = max(spent, key=lambda name: spent[name])
    ratio = spent[worst] / plain
    bars = [bar("slated lists, time over that of ranking alone", f"{RATIO:g}", f"{ratio:.2f}", ratio <= RATIO)]
    header = ["", "microseconds a list", "over ranking alone"]
    return write_report(out, ["# Slates of many users", facts(made), "## Bars", bars_table(bars), table(header, rows)])


def batches(log: Interactions, users: int) -> list[np.ndarray]:
    """Return the numbers of users, evenly spread over the log, in parts."""
    chosen = np.unique(np.linspace(0, log.n_users - 1, users).astype(np.int32))
    return [chosen[start : start + _PART] for start in range(0, len(chosen), _PART)]


def write(lists: RunLists, log: Interactions, users: int, part: Path, *, explain: bool) -> None:
    """Write lists as `recsys recommend --all` does, part by part."""
    writer = ListWriter(lists, log, ListSettings(LENGTH, explain))
    for numbers in batches(log, users):
        writer.write(part, numbers)


def explain(lists: RunLists, log: Interactions, users: int) -> None:
    """Make explained lists as records."""
    for numbers in batches(log, users):
        lists.explained(lists.model.fitted_on.queries(log, numbers))


def recommend(model: Recommender, log: Interactions, users: int) -> None:
    """Make lists as arrays."""
    for numbers in batches(log, users):
        model.recommend(model.fitted_on.queries(log, numbers), LENGTH)


def interleaved(
    cases: Mapping[str, Case], repeats: int, *, warm_up: bool = True
) -> dict[str, list[tuple[float, float]]]:
    """Run all cases in turn, several times; return processor and wall-clock seconds of each run by name."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for repeat in range(-1 if warm_up else 0, repeats):
        for name, case in cases.items():
            processor, wall = time.process_time(), time.perf_counter()
            case.make()
            taken = time.process_time() - processor, time.perf_counter() - wall
            if repeat >= 0:  # the first round fills caches
                seconds[name].append(taken)
            print(f"[{repeat + 1}/{repeats}] {name}: {case.users / taken[0]:,.0f} lists/s of a core", flush=True)
    return seconds


def report(
    log: Interactions, cases: Mapping[str, Case], seconds: Mapping[str, Sequence[tuple[float, float]]], repeats: int
) -> list[str]:
    """Return the paragraphs of the report."""
    made = environment() | {
        "log": f"{log.name}, fingerprint {log.fingerprint[:12]}, {log.n_users} users, {log.n_items} items",
        "repeats": f"{repeats}, interleaved, after one to warm up; medians, with the range in brackets",
    }
    rates = {
        name: [[cases[name].users / taken[clock] for taken in times] for clock in (0, 1)]
        for name, times in seconds.items()
    }
    rate = {name: statistics.median(of_name[0]) for name, of_name in rates.items()}
    rows = [
        [name, f"{cases[name].users:,}", *(_range(values) for values in of_name), f"{rate[name] / _best(rate):.2f}"]
        for name, of_name in rates.items()
    ]
    bars = [
        bar(f"{name}, lists a second of a core", f"at least {least:,}", f"{rate[name]:,.0f}", rate[name] >= least)
        for name in rate
        for least in (EXPLAINED if "explained" in name else PLAIN,)
        if name.startswith("EASE")
    ]
    header = ["", "lists", "lists/s of a core", "lists/s by the clock", "ratio to implicit ALS"]
    return ["# Lists", method(__doc__), facts(made), "## Bars", bars_table(bars), "## Rates", table(header, rows)]


def _best(rate: Mapping[str, float]) -> float:
    return rate["implicit ALS"]


def _range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} [{min(values):,.0f}, {max(values):,.0f}]"


if __name__ == "__main__":
    raise SystemExit(main())
