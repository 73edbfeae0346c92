"""Nothing lost: what the service confirmed is there after every kill, once. `python -m benchmarks.serving_kill`.

Writers send batches of events over HTTP as fast as they are confirmed. Meanwhile the service is killed (SIGKILL) and
started again, or one of its workers, or the PostgreSQL server under it. A batch that was not confirmed is sent again
with the same event ids until it is; one that was confirmed is never sent again, so nothing can mend a loss. After each
kill a reader goes on where it had stopped in the store. Processes die here, not machines: that a commit is on disk when
it returns is promised by the databases (`synchronous=FULL`, `fsync`), and cannot be tried by killing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import count, zip_longest
from pathlib import Path
from typing import Any, Literal, final, get_args

from benchmarks.serving.postgresql_server import PostgresqlServer
from benchmarks.serving.served_process import ServedProcess, small_run
from benchmarks.tools.environment import environment
from benchmarks.tools.report import REPORT_NAME, facts, report_folder, table, verdict, write_text
from recsys.errors import RecsysError
from recsys.events.addresses import open_store
from recsys.events.store import Event, Recorded

Trial = Literal["sqlite", "postgresql", "postgresql-server", "workers"]
"""What is killed: the service on SQLite, the service on PostgreSQL, the PostgreSQL server under a living service, or by
turns one of two workers on SQLite and the process that keeps them."""

TRIALS: tuple[Trial, ...] = get_args(Trial)
WRITERS, BATCH = 4, 10
_BETWEEN = 20
"""Batches that are confirmed between two kills, at least."""

_PAUSE = 0.05
"""Seconds until a batch is sent again."""

_PATIENCE = 60.0
"""Seconds until a service must confirm events again."""


@final
@dataclass(frozen=True)
class Outcome:
    """What became of the events of one trial.

    Attributes:
        killed: what was killed.
        times: how often.
        confirmed: events that the service answered 200 for.
        held: events in the store at the end.
        lost: confirmed events that are not there.
        doubled: events that are there more than once.
        altered: events that are there with other content.
        reordered: places where the order that the reader followed differs from that of the end, or has a gap.
        not_shown: confirmed events that the export of their user does not show exactly once.
        met_again: events that were held before they were confirmed: a kill came between the disk and the answer.
        sent_again: how often batches were sent again, by the reason.
        defects: answers that no client has to expect, such as a status 500.
        seconds: it took.
    """

    killed: Trial
    times: int
    confirmed: int
    held: int
    lost: int
    doubled: int
    altered: int
    reordered: int
    not_shown: int
    met_again: int
    sent_again: dict[str, int]
    defects: list[str]
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether nothing was lost, doubled or changed, and no answer was a defect."""
        wrong = self.lost + self.doubled + self.altered + self.reordered + self.not_shown
        return wrong == 0 and not self.defects and self.confirmed > 0


@final
class Writers:
    """Threads that send batches until they are told to stop, each with a connection of its own.

    Args:
        port: of the service on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._confirmed: dict[str, Event] = {}
        self._batches = 0
        self.met_again = 0
        self.again: Counter[str] = Counter()
        self.defects: list[str] = []
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    @property
    def confirmed(self) -> dict[str, Event]:
        """The events that were confirmed so far, by id."""
        with self._changed:
            return dict(self._confirmed)

    def wait(self, batches: int) -> None:
        """Return when so many more batches are confirmed, or a defect was seen.

        Raises:
            TimeoutError: that takes too long.
        """
        with self._changed:
            enough = self._batches + batches
            if not self._changed.wait_for(lambda: self._batches >= enough or self.defects, _PATIENCE):
                raise TimeoutError(f"{enough - self._batches} of {batches} batches are not confirmed: {self.again}")

    def stop(self) -> None:
        """Stop when the batches under way are confirmed or given up."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: int) -> None:
        with closing(_connect(self._port)) as connection:
            self._write_to(connection, name)

    def _write_to(self, connection: http.client.HTTPConnection, name: int) -> None:
        for number in count():
            batch = batch_of(name, number)
            while (refused := self._send(connection, batch)) is not None:
                with self._changed:
                    self.again[refused] += 1
                if self._stopping.is_set() or self.defects:
                    return
                time.sleep(_PAUSE)
            with self._changed:
                self._confirmed.update((event.event_id, event) for event in batch)
                self._batches += 1
                self._changed.notify_all()
            if self._stopping.is_set():
                return

    def _send(self, connection: http.client.HTTPConnection, batch: Sequence[Event]) -> str | None:
        """Send a batch once; return None when it is confirmed, else why not."""
        body = json.dumps({"events": [asdict(event) for event in batch]})
        try:
            connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"no answer ({type(error).__name__})"
        if status == 200 and answer["accepted"] + answer["repeated"] == len(batch):
            with self._changed:
                self.met_again += answer["repeated"]
            return None
        if status != 503:
            with self._changed:
                self.defects.append(f"{status}: {json.dumps(answer)}")
                self._changed.notify_all()
        return f"{status} {answer.get('error', {}).get('code')}"


def batch_of(writer: int, number: int) -> list[Event]:
    """Return a batch of one writer: of a user of its own, and of one whom all share."""
    users = (f"writer-{writer}", "everybody")
    return [
        Event(f"{writer}-{number}-{at}", users[at % 2], f"item-{at}", at + 0.5, 1_500_000_000 + number)
        for at in range(BATCH)
    ]


def run_trial(trial: Trial, run: Path, folder: Path, times: int, seed: int = 0) -> Outcome:
    """Kill so many times under load and compare what is held with what was confirmed.

    Args:
        trial: what to kill.
        run: directory of a finished run.
        folder: for a store in a file.
        times: kills.
        seed: of the moments.

    Raises:
        TimeoutError: the service confirms nothing any more.
    """
    started, draw = time.perf_counter(), random.Random(seed)
    options = ("--no-auth", "--workers", "2") if trial == "workers" else ("--no-auth",)
    with _place(trial, folder) as (address, server), ServedProcess(run, address, options) as service:
        writers = Writers(service.port)
        try:
            followed: list[Recorded] = []
            for number in range(times):
                writers.wait(_BETWEEN)
                time.sleep(draw.random() * 0.2)
                if server is not None:
                    server.die("kill" if number % 2 == 0 else "immediate")
                    server.start()
                elif trial == "workers" and number % 2 == 0:
                    service.kill_worker()
                else:
                    service.kill()
                    service.start()
                followed += _read(address, followed[-1].sequence if followed else 0)
            writers.wait(_BETWEEN)
        finally:
            writers.stop()
        followed += _read(address, followed[-1].sequence if followed else 0)
        shown = Counter(_exported(service.port, ["everybody", *(f"writer-{name}" for name in range(WRITERS))]))
        held, confirmed = _read(address, 0), writers.confirmed
    return Outcome(
        trial,
        times,
        len(confirmed),
        len(held),
        **compare(confirmed, held, followed, shown),
        met_again=writers.met_again,
        sent_again=dict(sorted(writers.again.items())),
        defects=writers.defects,
        seconds=time.perf_counter() - started,
    )


def compare(
    confirmed: Mapping[str, Event], held: Sequence[Recorded], followed: Sequence[Recorded], shown: Mapping[str, int]
) -> dict[str, int]:
    """Return what is wrong, by the names of `Outcome`.

    Args:
        confirmed: events that were confirmed, by id.
        held: the store at the end.
        followed: the store as a reader followed it.
        shown: how often the service shows an event.
    """
    by_id = {record.event.event_id: record.event for record in held}
    places = zip_longest(followed, held)
    return {
        "lost": len(confirmed.keys() - by_id.keys()),
        "doubled": len(held) - len(by_id),
        "altered": sum(by_id.get(key, event) != event for key, event in confirmed.items()),
        "reordered": sum(a is None or a != b or a.sequence != place for place, (a, b) in enumerate(places, start=1)),
        "not_shown": sum(shown.get(key) != 1 for key in confirmed),
    }


@contextmanager
def _place(trial: Trial, folder: Path) -> Iterator[tuple[str, PostgresqlServer | None]]:
    """Give the address of a new store, and the server if it is to be killed."""
    if trial in ("sqlite", "workers"):
        yield f"sqlite:///{folder / f'{trial}.db'}", None
        return
    with PostgresqlServer() as server:
        yield server.address, server if trial == "postgresql-server" else None


def _read(address: str, after: int) -> list[Recorded]:
    with open_store(address) as store:
        return [change for change in store.replay(after) if isinstance(change, Recorded)]


def _exported(port: int, users: Sequence[str]) -> Iterator[str]:
    """Yield the ids of the events that the service shows of its users."""
    with closing(_connect(port)) as connection:
        for user in users:
            connection.request("GET", f"/v1/users/{user}/data")
            yield from (event["event_id"] for event in json.loads(connection.getresponse().read())["events"])


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_kill", description=__doc__)
    parser.add_argument("--times", type=int, default=20, metavar="N", help="kills of each kind (default 20)")
    parser.add_argument("--store", nargs="+", choices=TRIALS, default=list(TRIALS), help="what to kill (default all)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
    parser.add_argument("--quick", action="store_true", help="two kills of each kind: tries the benchmark itself")
    options = parser.parse_args(arguments)
    times = 2 if options.quick else options.times
    try:
        outcomes = run(options.store, times, report_folder("serving-kill", options.out, options.quick), print)
    except RecsysError as error:
        print(f"error: {error}")
        return 2
    return 0 if all(outcome.kept for outcome in outcomes) else 1


def run(trials: Sequence[Trial], times: int, out: Path, say: Callable[[str], object]) -> list[Outcome]:
    """Run the trials, write `result.json` and the report, and return what became of the events."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        trained = small_run(Path(folder) / "run")
        for trial in trials:
            outcomes.append(run_trial(trial, trained, Path(folder), times))
            say(" ".join(f"{name}={value}" for name, value in asdict(outcomes[-1]).items()))
    told = environment()
    content: dict[str, Any] = told | {"outcomes": [asdict(outcome) for outcome in outcomes]}
    write_text(out / "result.json", json.dumps(content, indent=1) + "\n")
    say(f"report: {write_text(out / REPORT_NAME, report(outcomes, told))}")
    return outcomes


def report(outcomes: Sequence[Outcome], told: dict[str, str]) -> str:
    """Return the report."""
    rows = [
        [
            outcome.killed,
            *map(str, (outcome.times, outcome.confirmed, outcome.held, outcome.lost, outcome.doubled)),
            *map(str, (outcome.altered, outcome.reordered, outcome.not_shown)),
            str(outcome.met_again),
            ", ".join(f"{number} {why}" for why, number in outcome.sent_again.items()) or "-",
            verdict(outcome.kept),
        ]
        for outcome in outcomes
    ]
    header = ["killed", "times", "confirmed", "held", "lost", "doubled", "altered", "reordered", "not shown"]
    columns = [*header, "held before confirmed", "sent again", "every confirmed event is there, once"]
    defects = [f"{outcome.killed}: {defect}" for outcome in outcomes for defect in outcome.defects]
    text = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    parts = ["# Nothing lost", facts(told | {"writers": f"{WRITERS}, batches of {BATCH}"}), text]
    return "\n\n".join([*parts, table(columns, rows), *defects]) + "\n"
