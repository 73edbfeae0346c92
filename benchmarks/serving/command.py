"""Explained recommendations over HTTP: how many, how fast, how many durable events. `python -m benchmarks.serving`.

The service is `recsys serve` with one worker on the loopback address, and the load comes from a process of its own. A
closed loop on a few connections finds what the service can take; an open loop at half of that finds how long people
wait, from the moment they ask. Short windows are repeated and the best counts, because other work of the machine only
ever makes a window worse; all windows are listed, with the load of the machine. On a machine with two cores the load
takes one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, final, get_args

import httpx
import numpy as np

from benchmarks.serving.load import Answered, Plan, put_load
from benchmarks.serving.model import model_times
from benchmarks.serving.postgresql_server import PostgresqlServer
from benchmarks.serving.report import report
from benchmarks.serving.served_process import ServedProcess
from benchmarks.serving.traffic import ANSWERS, BAR, EVENT, Mix, Traffic, batches, event_request, percentiles, question
from benchmarks.tools.environment import environment
from benchmarks.tools.report import REPORT_NAME, report_folder, write_text
from recsys.data.catalogue import locations
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, RecsysError
from recsys.experiments.configuration import read_experiment
from recsys.experiments.runs import DataSettings, run_data, train_run

Store = Literal["sqlite", "postgresql"]
STORES: Final[tuple[Store, ...]] = get_args(Store)

HEADLINE: Final = Mix("by activity", events=0.1, new=0.05)
ANEW: Final = replace(HEADLINE, anew=True)
MIXES: Final = (HEADLINE, ANEW, Mix("by activity", anew=True), Mix("all alike", anew=True))
BATCH: Final = 50
_OPTIONS: Final = ("--no-auth", "--rate", "1000000")
_MOST_PER_SECOND: Final = 2_500
_WRITERS: Final = 4
_CHECKED: Final = 20
_EVERY: Final = 2.0


@final
@dataclass(frozen=True)
class Settings:
    """How long is measured.

    Attributes:
        seconds: of a window.
        windows: of each kind.
        soak_seconds: of the soak; 0 leaves it out.
        users: of whom the model's time is measured.
    """

    seconds: float = 8.0
    windows: int = 3
    soak_seconds: float = 600.0
    users: int = 150


@final
@dataclass(frozen=True)
class Window:
    """One window of load.

    Attributes:
        rate: answers per second, events that came in between not counted.
        milliseconds: median and 99th percentile of all answers and of each kind.
        counts: answers of each kind.
        failures: answers that are not 200, by status; "0" where the connection broke.
        asked_rate: requests per second of an open loop; None: a closed loop.
        processor: milliseconds of processor time that the service took per request.
        load: the machine's average of the last minute, at the end.
    """

    rate: float
    milliseconds: dict[str, dict[str, float]]
    counts: dict[str, int]
    failures: dict[str, int]
    asked_rate: float | None
    processor: float
    load: float

    @property
    def failed(self) -> int:
        """Answers that are not 200."""
        return sum(self.failures.values())

    @classmethod
    def of(cls, pid: int, put: Callable[[], Answered], asked_rate: float | None = None) -> Window:
        """Load the service that is this process, and sum the window up."""
        before = _processor_seconds(pid)
        answered = put()
        seconds = _processor_seconds(pid) - before
        kinds = (*ANSWERS, EVENT)
        return cls(
            answered.rate(*ANSWERS),
            {"answers": percentiles(answered.of(*ANSWERS))} | {kind: percentiles(answered.of(kind)) for kind in kinds},
            {kind: len(answered.of(kind)) for kind in kinds},
            answered.failures,
            asked_rate,
            1000 * seconds / max(1, len(answered.kinds)),
            os.getloadavg()[0],
        )


@final
@dataclass(frozen=True)
class Asked:
    """What became of one mix of traffic.

    Attributes:
        mix: what it was.
        closed: windows of a closed loop.
        open: windows of an open loop at half of the best rate of those.
        at_bar: windows of an open loop at half of the rate that is asked of a service.
    """

    mix: str
    closed: list[Window]
    open: list[Window]
    at_bar: list[Window]

    @property
    def best_rate(self) -> float:
        """Answers per second of the best window."""
        return max(window.rate for window in self.closed)

    @property
    def best_p99(self) -> float:
        """The 99th percentile of answers in the best window at half of the rate, milliseconds."""
        return _best_p99(self.open)

    @property
    def p99_at_bar(self) -> float:
        """The same at half of the rate that is asked of a service; NaN where that was not measured."""
        return _best_p99(self.at_bar)


@final
@dataclass(frozen=True)
class Taken:
    """Durable events: per second in each window; how many next answers reflected the event before, of how many."""

    store: Store
    rates: list[float]
    loads: list[float]
    failed: int
    confirmed: int
    held: int
    reflected: int
    checked: int


@final
@dataclass(frozen=True)
class Soaked:
    """A soak: megabytes of resident memory at every so many seconds, and answers that failed."""

    seconds: float
    rate: float
    answers: int
    failed: int
    megabytes: list[float]
    window: Window

    @property
    def growth(self) -> float:
        """How much larger the last tenth of the soak is than the tenth after the first, which is warm-up."""
        tenth = max(1, len(self.megabytes) // 10)
        return float(np.mean(self.megabytes[-tenth:]) / np.mean(self.megabytes[tenth : 2 * tenth]) - 1.0)


@final
@dataclass
class Measured:
    """Everything that was measured; by configuration where it depends on one, the first of which has everything."""

    told: dict[str, str]
    asked: dict[str, list[Asked]] = field(default_factory=dict)
    model: dict[str, dict[str, float]] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    soaked: Soaked | None = None
    kills: dict[str, Any] | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--data", metavar="NAME", help="log (default ml-latest-small)")
    parser.add_argument(
        "--config",
        nargs="+",
        default=["ampcf_decay", "ampcf", "ease_decay"],
        metavar="NAME",
        help="shipped configurations; the first is measured in every respect (default ampcf_decay ampcf ease_decay)",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="of a window (default 8)")
    parser.add_argument("--windows", type=int, metavar="N", help="windows of each kind (default 3)")
    parser.add_argument("--soak-seconds", type=float, metavar="S", help="of the soak; 0: none (default 600)")
    parser.add_argument("--stores", nargs="*", choices=STORES, default=list(STORES), help="that take events (both)")
    parser.add_argument(
        "--kills", type=Path, metavar="FILE", help="a result.json of benchmarks.serving.kill to include"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
    parser.add_argument("--quick", action="store_true", help="the simulated log, a second each: tries the benchmark")
    options = parser.parse_args(arguments)
    base = Settings(seconds=1.0, windows=1, soak_seconds=5.0, users=10) if options.quick else Settings()
    given = {"seconds": options.seconds, "windows": options.windows, "soak_seconds": options.soak_seconds}
    settings = Settings(**(asdict(base) | {name: value for name, value in given.items() if value is not None}))
    data = options.data or ("simulated" if options.quick else "ml-latest-small")
    try:
        measured = measure(data, options.config, settings, options.stores, print)
        if options.kills is not None:
            measured.kills = json.loads(options.kills.read_text(encoding="utf-8"))
    except (OSError, RecsysError) as error:
        print(f"error: {error}")
        return 2
    out = report_folder("serving", options.out, options.quick)
    write_text(out / "result.json", json.dumps(asdict(measured), indent=1) + "\n")
    print(f"report: {write_text(out / REPORT_NAME, report(measured))}")
    return 0


def measure(
    data: str, configs: Sequence[str], settings: Settings, stores: Sequence[Store], say: Callable[[str], object]
) -> Measured:
    """Train and measure everything.

    Args:
        data: a log whose times are seconds.
        configs: names of shipped configurations.
        settings: how long.
        stores: that take events.
        say: is told of each result as it comes.
    """
    measured = Measured(environment() | {"seconds": f"{settings.seconds:g} a window, {settings.windows} windows each"})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, config in enumerate(configs):
            run = folder / config
            train_run(
                read_experiment(locations.shipped("configs") / f"{config}.yaml"), DataSettings(data), run, cutoffs=[10]
            )
            log = run_data(run).load()
            if place == 0:
                measured.told["log"] = f"{log.name}, {len(log)} events, {log.n_users} users, {log.n_items} items"
            say(f"{config} is trained")
            measured.model[config] = model_times(run, log, users=settings.users)
            say(f"{config}: " + ", ".join(f"{key} {value:.3f} ms" for key, value in measured.model[config].items()))
            mixes = MIXES if place == 0 else (HEADLINE,)
            measured.asked[config] = [_asked(run, folder, log, mix, settings, say) for mix in mixes]
            if place == 0:
                for store in stores:
                    measured.taken += _taken(run, folder, log, store, settings, say)
                if settings.soak_seconds > 0:
                    measured.soaked = _soaked(run, folder, log, settings, measured.asked[config][0].best_rate / 2, say)
    measured.told["load of the machine at the end"] = f"{os.getloadavg()[0]:.1f}"
    return measured


def _asked(
    run: Path, folder: Path, log: Interactions, mix: Mix, settings: Settings, say: Callable[[str], object]
) -> Asked:
    """Measure one mix on a service of its own."""
    most = round(_MOST_PER_SECOND * settings.seconds)
    with _service(run, folder, "sqlite") as (service, _):
        traffic = Traffic(log, mix, service.port)
        traffic.put(min(2.0, settings.seconds), most=most)

        def window(rate: float | None = None) -> Window:
            return Window.of(service.pid, lambda: traffic.put(settings.seconds, most=most, rate=rate), rate)

        closed = [window() for _ in range(settings.windows)]
        best = max(closed, key=lambda window: window.rate)
        # Half of the answers, and of the events with them.
        requests = sum(best.counts.values()) / max(1, sum(best.counts[kind] for kind in ANSWERS))
        halved = [window(0.5 * best.rate * requests) for _ in range(settings.windows)]
        at_bar = [window(0.5 * BAR * requests) for _ in range(settings.windows if mix.events else 0)]
    asked = Asked(str(mix), closed, halved, at_bar)
    say(
        f"{run.name}, {mix}: {asked.best_rate:.0f} answers/s, p99 {asked.best_p99:.1f} ms at half of it, "
        f"{asked.p99_at_bar:.1f} ms at {BAR / 2:.0f} answers/s"
    )
    return asked


def _best_p99(windows: Sequence[Window]) -> float:
    return min((window.milliseconds["answers"]["p99"] for window in windows), default=float("nan"))


def _taken(
    run: Path, folder: Path, log: Interactions, store: Store, settings: Settings, say: Callable[[str], object]
) -> Iterator[Taken]:
    """Measure a store; nothing where the database is not at hand."""
    most = round(400 * settings.seconds)
    try:
        with _service(run, folder, store) as (service, _):
            windows = []
            for number in range(settings.windows):
                requests = batches(log, BATCH, most, f"window-{number}", number)
                windows.append((put_load(Plan(service.port, requests, settings.seconds, _WRITERS)), os.getloadavg()[0]))
            with httpx.Client(base_url=service.url, timeout=60) as client:
                held = _held(client)
                reflected = sum(_reflected(client, log, number) for number in range(_CHECKED))
    except ConfigError as error:
        say(f"{store}: not measured ({error})")
        return
    confirmed = BATCH * sum(int((window.statuses == 200).sum()) for window, _ in windows)
    taken = Taken(
        store,
        [BATCH * float((window.statuses == 200).sum()) / window.seconds for window, _ in windows],
        [load for _, load in windows],
        sum(window.failed for window, _ in windows),
        confirmed,
        held,
        reflected,
        _CHECKED,
    )
    say(f"{store}: {max(taken.rates):.0f} events/s, {held} of {confirmed} held, {reflected} of {_CHECKED} reflected")
    yield taken


def _held(client: httpx.Client) -> int:
    """Return how many events the service says it took."""
    lines = client.get("/metrics").text.splitlines()
    return int(
        float(next(line.split()[1] for line in lines if line.startswith('recsys_events_total{outcome="accepted"')))
    )


def _reflected(client: httpx.Client, log: Interactions, number: int) -> bool:
    """Send an event of the best item of a user; return whether the next answer knows it and does not recommend it."""
    user = str(log.users.id_of(number % log.n_users))
    path = question("", user).path
    before = client.get(path).json()
    best = before["items"][0]["item_id"]
    event = {"event_id": f"next-{number}", "user_id": user, "item_id": best, "time": int(time.time())}
    client.post("/v1/events", content=event_request("", [event]).body, headers={"Content-Type": "application/json"})
    after = client.get(path).json()
    # Of a long history the newest 2,000 events are read, so it need not have grown.
    grown = after["known_events"] == min(before["known_events"] + 1, max(2_000, before["known_events"]))
    return grown and best not in [item["item_id"] for item in after["items"]]


def _soaked(
    run: Path, folder: Path, log: Interactions, settings: Settings, rate: float, say: Callable[[str], object]
) -> Soaked:
    """Load a service for long, and watch its memory."""
    megabytes: list[float] = []
    ended = threading.Event()
    with _service(run, folder, "sqlite") as (service, _):

        def watch() -> None:
            while not ended.wait(_EVERY if settings.soak_seconds > 60 else 0.2):
                megabytes.append(_resident(service.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            most = round(1.2 * rate * settings.soak_seconds) + 100
            traffic = Traffic(log, HEADLINE, service.port, seed=1)
            window = Window.of(
                service.pid, lambda: traffic.put(settings.soak_seconds, most=most, rate=rate), asked_rate=rate
            )
        finally:
            ended.set()
            watcher.join()
    soaked = Soaked(settings.soak_seconds, rate, sum(window.counts.values()), window.failed, megabytes, window)
    say(f"soak: {soaked.answers} answers, {soaked.failed} failed, memory {soaked.growth:+.1%}")
    return soaked


def _processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, as Linux tells it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes), as Linux tells it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024 / 1e6


@contextmanager
def _service(run: Path, folder: Path, store: Store) -> Iterator[tuple[ServedProcess, str]]:
    """Give a service with an empty store, and the address of that."""
    if store == "postgresql":
        with PostgresqlServer() as server, ServedProcess(run, server.address, _OPTIONS) as service:
            yield service, server.address
        return
    with tempfile.TemporaryDirectory(dir=folder) as own:
        address = f"sqlite:///{own}/events.db"
        with ServedProcess(run, address, _OPTIONS) as service:
            yield service, address
