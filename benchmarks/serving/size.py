"""What serving takes: memory of a process, of a user and of an event. `python -m benchmarks.serving_size`.

A service is started on a run and its resident memory read when it has answered once. Then new users are made, with one
event each, and later more events of the same users; every time all of them are asked, so that their pasts are known,
and memory is read again. What is added, divided by users or events, is what one of them takes. Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pyarrow.parquet as pq

from benchmarks.serving.served_process import ServedProcess, small_run
from benchmarks.tools.environment import environment
from benchmarks.tools.report import REPORT_NAME, facts, report_folder, table, write_text
from recsys.errors import RecsysError

_BATCH = 500


@final
@dataclass(frozen=True)
class Size:
    """What a run takes when it is served; bytes.

    Attributes:
        name: of the directory.
        items: items of the model.
        bundle: its files on disk.
        start: resident memory of the process that has answered once.
        user: added by a new user with one event.
        event: added by a further event of such a user.
        stored: of the store's file, by an event.
    """

    name: str
    items: int
    bundle: int
    start: int
    user: float
    event: float
    stored: float


def measure(run: Path, folder: Path, users: int, events: int) -> Size:
    """Serve a run and let so many new users come, with so many events each."""
    items = pq.read_table(run / "model" / "items.parquet")["item_id"].to_pylist()
    store = folder / f"{run.name}.events.db"
    with ServedProcess(run, f"sqlite:///{store}", ("--no-auth", "--rate", "1000000")) as service:
        with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=600)) as connection:
            _ask(connection, 1)
            start = resident(service.pid)
            _write(connection, users, range(1), items)
            _ask(connection, users)
            known, empty = resident(service.pid), store_size(store)
            _write(connection, users, range(1, events), items)
            _ask(connection, users)
            full = resident(service.pid)
        added = users * (events - 1)
        stored = (store_size(store) - empty) / added
    bundle = sum(path.stat().st_size for path in (run / "model").iterdir())
    return Size(run.name, len(items), bundle, start, (known - start) / users, (full - known) / added, stored)


def resident(pid: int) -> int:
    """Return the resident memory of a process."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def store_size(file: Path) -> int:
    """Return the bytes of a store's file and of its log."""
    return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))


def _write(connection: http.client.HTTPConnection, users: int, numbers: range, items: Sequence[object]) -> None:
    sent = [
        {
            "event_id": f"{user}-{number}",
            "user_id": f"new {user}",
            "item_id": str(items[(user + number) % len(items)]),
            "time": 1_600_000_000 + number,
        }
        for user in range(users)
        for number in numbers
    ]
    for start in range(0, len(sent), _BATCH):
        body = json.dumps({"events": sent[start : start + _BATCH]})
        _request(connection, "POST", "/v1/events", body)


def _ask(connection: http.client.HTTPConnection, users: int) -> None:
    for user in range(users):
        _request(connection, "GET", f"/v1/users/new%20{user}/recommendations")


def _request(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> None:
    connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RecsysError(f"{method} {path} was answered {response.status}: {answer.decode(errors='replace')}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_size", description=__doc__)
    parser.add_argument("--run", nargs="+", type=Path, default=[], metavar="DIR", help="runs (default: a small one)")
    parser.add_argument("--users", type=int, default=2_000, metavar="N", help="new users (default 2000)")
    parser.add_argument("--events", type=int, default=50, metavar="N", help="events of each, at least 2 (default 50)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
    parser.add_argument("--quick", action="store_true", help="few users: tries the benchmark itself")
    options = parser.parse_args(arguments)
    users, events = (20, 3) if options.quick else (options.users, max(2, options.events))
    try:
        run(options.run, users, events, report_folder("serving-size", options.out, options.quick), print)
    except RecsysError as error:
        print(f"error: {error}")
        return 2
    return 0


def run(runs: Sequence[Path], users: int, events: int, out: Path, say: Callable[[str], object]) -> list[Size]:
    """Measure runs, write the report, and return what was found."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = list(runs) or [small_run(Path(folder) / "simulated-ease")]
        sizes = [measure(one, Path(folder), users, events) for one in chosen]
    rows = [
        [
            size.name,
            f"{size.items:,}",
            f"{size.bundle / 1e6:,.1f}",
            f"{size.start / 1e6:,.0f}",
            *(f"{value:,.0f}" for value in (size.user, size.event, size.stored)),
        ]
        for size in sizes
    ]
    header = [
        "run",
        "items",
        "bundle, MB",
        "process, MB",
        "a user, bytes",
        "an event, bytes",
        "an event in SQLite, bytes",
    ]
    asked = {"users": f"{users:,} new ones, {events} events each, all asked"}
    text = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    parts = ["# Size of serving", facts(environment() | asked), text, table(header, rows)]
    say(table(header, rows))
    path = write_text(out / REPORT_NAME, "\n\n".join(parts) + "\n")
    say(f"report: {path}")
    return sizes
