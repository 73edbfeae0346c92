"""Nothing lost: every confirmed event is in the store after every kill, once. `python -m benchmarks.serving_kill`.

Writers send batches of events over HTTP as fast as they are confirmed. Meanwhile the service is killed (SIGKILL) and
restarted, or one of its workers, or the PostgreSQL server under it. A batch that was not confirmed is sent again with
the same event ids until it is; a confirmed one is never sent again, so nothing can mend a loss. After each kill a
reader continues where it had stopped in the store. Processes die here, not machines: that a commit is on disk when it
returns is promised by the databases (`synchronous=FULL`, `fsync`), and killing cannot test it.
"""

from __future__ import annotations

import http.client
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, zip_longest
from pathlib import Path
from typing import Literal, final, get_args

from benchmarks.serving.processes.postgresql_server import PostgresqlServer, postgresql_programs
from benchmarks.serving.processes.served_process import Client, ServedProcess, small_run
from benchmarks.tools.command import Say, parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, method, report_folder, table, verdict, write_report, write_result
from recsys.events.addresses import open_store
from recsys.events.store import Event, Recorded

Trial = Literal["sqlite", "postgresql", "postgresql-server", "workers"]
"""Target of the kills: the service on SQLite, the service on PostgreSQL, the PostgreSQL server under a running service,
or in turns one of two workers on SQLite and their parent process."""

TRIALS: tuple[Trial, ...] = get_args(Trial)
WRITERS, BATCH = 4, 10
_BATCHES_BETWEEN = 20
"""Confirmed batches between two kills, at least."""

_PAUSE = 0.05
"""Seconds until a batch is sent again."""

_PATIENCE = 60.0
"""Seconds until a service must confirm events again."""


@final
@dataclass(frozen=True)
class Outcome:
    """Events of one trial."""

    killed: Trial  # target of the kills
    times: int  # number of kills
    confirmed: int  # events that the service answered with 200
    held: int  # events in the store at the end
    lost: int  # confirmed events that are not in the store
    doubled: int  # events that are in the store more than once
    altered: int  # events that are in the store with other content
    reordered: int  # positions at which the reader saw another event than the store holds at the end, or a gap
    not_shown: int  # confirmed events that the export of their user does not show exactly once
    met_again: int  # events that were in the store before they were confirmed (a kill between the disk and the answer)
    sent_again: dict[str, int]  # number of repeated batches, by the reason
    defects: list[str]  # answers that no client has to expect, such as a status 500
    seconds: float  # duration

    @property
    def is_complete(self) -> bool:
        """Whether nothing was lost, doubled or changed, and no answer was a defect."""
        wrong = self.lost + self.doubled + self.altered + self.reordered + self.not_shown
        return wrong == 0 and not self.defects and self.confirmed > 0


@final
class Writers:
    """Threads that send batches to a port of this machine until they are stopped, each over its own connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
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
        """Wait for the confirmation of so many more batches, or for a defect.

        Raises:
            TimeoutError: the service takes too long.
        """
        with self._changed:
            enough = self._batches + batches
            if not self._changed.wait_for(lambda: self._batches >= enough or self.defects, _PATIENCE):
                raise TimeoutError(f"{enough - self._batches} of {batches} batches are not confirmed: {self.again}")

    def stop(self) -> None:
        """Stop after the current batches."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: int) -> None:
        with Client(self._port, _PATIENCE) as client:
            self._write_with(client, name)

    def _write_with(self, client: Client, name: int) -> None:
        for number in count():
            batch = batch_of(name, number)
            while (refused := self._send(client, batch)) is not None:
                with self._changed:
                    self.again[refused] += 1
                if self._stop.is_set() or self.defects:
                    return
                time.sleep(_PAUSE)
            with self._changed:
                self._confirmed.update((event.event_id, event) for event in batch)
                self._batches += 1
                self._changed.notify_all()
            if self._stop.is_set():
                return

    def _send(self, client: Client, batch: Sequence[Event]) -> str | None:
        """Send a batch once; return None when it is confirmed, else the reason."""
        body = json.dumps({"events": [asdict(event) for event in batch]})
        try:
            status, content = client.send("POST", "/v1/events", body)
        except (OSError, http.client.HTTPException) as error:
            client.close()
            return f"no answer ({type(error).__name__})"
        answer = json.loads(content)
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
    """Return a batch of one writer, half of a user of its own and half of one that all writers share."""
    users = (f"writer-{writer}", "everybody")
    return [
        Event(f"{writer}-{number}-{at}", users[at % 2], f"item-{at}", at + 0.5, 1_500_000_000 + number)
        for at in range(BATCH)
    ]


def run_trial(trial: Trial, run: Path, folder: Path, times: int, seed: int = 0) -> Outcome:
    """Kill so many times under load, and compare the store with the confirmed events.

    The seed determines the moments; the folder holds a store in a file.

    Raises:
        TimeoutError: the service no longer confirms events.
    """
    started, draw = time.perf_counter(), random.Random(seed)
    options = ("--no-auth", "--workers", "2") if trial == "workers" else ("--no-auth",)
    with _store(trial, folder) as (address, server), ServedProcess(run, address, options) as service:
        writers = Writers(service.port)
        try:
            followed: list[Recorded] = []
            for number in range(times):
                writers.wait(_BATCHES_BETWEEN)
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
            writers.wait(_BATCHES_BETWEEN)
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
    """Return the numbers of wrong events, by the names of `Outcome`.

    Compares the `confirmed` events by id with the store at the end (`held`), the store as a reader followed it, and how
    often the service shows each event.
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
def _store(trial: Trial, folder: Path) -> Iterator[tuple[str, PostgresqlServer | None]]:
    """Make a store; yield its address, and its server if that is the target."""
    if trial in ("sqlite", "workers"):
        yield f"sqlite:///{folder / f'{trial}.db'}", None
        return
    with PostgresqlServer() as server:
        yield server.address, server if trial == "postgresql-server" else None


def _read(address: str, after: int) -> list[Recorded]:
    with open_store(address) as store:
        return [change for change in store.replay(after) if isinstance(change, Recorded)]


def _exported(port: int, users: Sequence[str]) -> Iterator[str]:
    """Yield the ids of the events in the exports of users."""
    with Client(port, _PATIENCE) as client:
        for user in users:
            yield from (event["event_id"] for event in client.get(f"/v1/users/{user}/data")["events"])


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 if anything was lost."""
    command = parser("serving_kill", __doc__, quick="two kills of each kind")
    command.add_argument("--times", type=int, default=20, metavar="N", help="kills of each kind (default 20)")
    command.add_argument("--store", nargs="+", choices=TRIALS, default=list(TRIALS), help="targets (default all)")
    options = command.parse_args(arguments)

    require("serving", "fastapi", "uvicorn", "sqlalchemy", "psycopg")
    if any(trial.startswith("postgresql") for trial in options.store):
        postgresql_programs()
    out = report_folder("serving-kill", options.out, options.quick)
    outcomes = run(options.store, 2 if options.quick else options.times, out, print)
    return 0 if all(outcome.is_complete for outcome in outcomes) else 1


def run(trials: Sequence[Trial], times: int, out: Path, say: Say) -> list[Outcome]:
    """Run the trials, write `result.json` and the report, and return the outcomes."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        trained = small_run(Path(folder) / "run")
        for trial in trials:
            outcomes.append(run_trial(trial, trained, Path(folder), times))
            say(" ".join(f"{name}={value}" for name, value in asdict(outcomes[-1]).items()))
    made = environment()
    write_result(out, {**made, "outcomes": [asdict(outcome) for outcome in outcomes]})
    say(f"report: {write_report(out, report(outcomes, made))}")
    return outcomes


def report(outcomes: Sequence[Outcome], made: dict[str, str]) -> list[str]:
    """Return the paragraphs of the report."""
    numbers = ("killed", "times", "confirmed", "held", "lost", "doubled", "altered", "reordered", "not_shown")
    rows = []
    for outcome in outcomes:
        again = ", ".join(f"{number} {why}" for why, number in outcome.sent_again.items()) or "-"
        counts = [str(getattr(outcome, name)) for name in (*numbers, "met_again")]
        rows.append([*counts, again, verdict(outcome.is_complete)])
    header = [name.replace("_", " ") for name in numbers]
    columns = [*header, "held before confirmed", "sent again", "every confirmed event is there, once"]
    defects = [f"{outcome.killed}: {defect}" for outcome in outcomes for defect in outcome.defects]
    writers = {"writers": f"{WRITERS}, batches of {BATCH}"}
    return ["# Nothing lost", facts(made | writers), method(__doc__), table(columns, rows), *defects]
