"""Memory of a serving process, of a user and of an event. `python -m benchmarks.serving_size`.

A service is started on a run, and its resident memory is read after its first answer. Then new users are made, with one
event each, and later more events of the same users; each time all of them get an answer, so that their state is cached,
and memory is read again. The growth, divided by users or events, is the size of one of them. Linux only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pyarrow.parquet as pq

from benchmarks.serving.processes.served_process import OPEN, Client, ServedProcess, resident_bytes, small_run
from benchmarks.serving.traffic import event, recommendation_path
from benchmarks.tools.command import Say, parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, method, report_folder, table, write_report

_BATCH = 500
_HEADER = ["run", "items", "bundle, MB", "process, MB", "a user, bytes", "an event, bytes", "an event in SQLite, bytes"]


@final
@dataclass(frozen=True)
class Size:
    """Sizes of a served run, in bytes."""

    name: str  # of the directory
    items: int  # number of items of the model
    bundle: int  # files of the model on disk
    start: int  # resident memory of the process after its first answer
    user: float  # growth by a new user with one event
    event: float  # growth by a further event of such a user
    stored: float  # growth of the store's file by an event


def measure(run: Path, folder: Path, users: int, events: int) -> Size:
    """Serve a run to new users with some events each."""
    items = pq.read_table(run / "model" / "items.parquet")["item_id"].to_pylist()
    store = folder / f"{run.name}.events.db"
    with ServedProcess(run, f"sqlite:///{store}", OPEN) as service:
        with Client(service.port) as client:
            _recommend(client, 1)
            start = resident_bytes(service.pid)
            _write(client, users, range(1), items)
            _recommend(client, users)
            cached, empty = resident_bytes(service.pid), store_size(store)
            _write(client, users, range(1, events), items)
            _recommend(client, users)
            full = resident_bytes(service.pid)
        added = users * (events - 1)
        stored = (store_size(store) - empty) / added
    bundle = sum(path.stat().st_size for path in (run / "model").iterdir())
    return Size(run.name, len(items), bundle, start, (cached - start) / users, (full - cached) / added, stored)


def store_size(file: Path) -> int:
    """Return the bytes of a store's file and of its log."""
    return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))


def _write(client: Client, users: int, numbers: range, items: Sequence[object]) -> None:
    events = [
        event(f"{user}-{number}", f"new {user}", str(items[(user + number) % len(items)]), 1_600_000_000 + number)
        for user in range(users)
        for number in numbers
    ]
    for start in range(0, len(events), _BATCH):
        client.post_events(events[start : start + _BATCH])


def _recommend(client: Client, users: int) -> None:
    for user in range(users):
        client.get(recommendation_path(f"new {user}"))


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    command = parser("serving_size", __doc__, quick="few users")
    command.add_argument("--run", nargs="+", type=Path, default=[], metavar="DIR", help="runs (default: a small one)")
    command.add_argument("--users", type=int, default=2_000, metavar="N", help="new users (default 2000)")
    command.add_argument("--events", type=int, default=50, metavar="N", help="events of each, at least 2 (default 50)")
    options = command.parse_args(arguments)
    users, events = (20, 3) if options.quick else (options.users, max(2, options.events))

    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    run(options.run, users, events, report_folder("serving-size", options.out, options.quick), print)
    return 0


def run(runs: Sequence[Path], users: int, events: int, out: Path, say: Say) -> list[Size]:
    """Measure runs, write the report, and return the sizes."""
    with tempfile.TemporaryDirectory() as folder:
        measured = list(runs) or [small_run(Path(folder) / "simulated-ease")]
        sizes = [measure(one, Path(folder), users, events) for one in measured]
    rows = []
    for size in sizes:
        megabytes = [f"{size.bundle / 1e6:,.1f}", f"{size.start / 1e6:,.0f}"]
        growth = [f"{value:,.0f}" for value in (size.user, size.event, size.stored)]
        rows.append([size.name, f"{size.items:,}", *megabytes, *growth])
    traffic = {"users": f"{users:,} new ones, {events} events each, all get answers"}
    say(table(_HEADER, rows))
    parts = ["# Size of serving", facts(environment() | traffic), method(__doc__), table(_HEADER, rows)]
    say(f"report: {write_report(out, parts)}")
    return sizes
