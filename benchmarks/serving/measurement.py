"""Measures a served run: traffic, durable events, a soak."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from benchmarks.serving.load import Plan, put_load
from benchmarks.serving.model import model_times
from benchmarks.serving.processes.postgresql_server import PostgresqlServer
from benchmarks.serving.processes.served_process import OPEN, Client, ServedProcess, resident_bytes
from benchmarks.serving.results import EventsResult, ServingResult, SoakResult, Store, TrafficResult, Window
from benchmarks.serving.traffic import ANSWERS, BAR, Mix, Traffic, event, event_batches, recommendation_path
from benchmarks.tools.command import Say
from benchmarks.tools.environment import environment
from benchmarks.tools.search import shipped_experiment
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.experiments.runs import DataSettings, run_data, train_run

HEADLINE: Final = Mix("by activity", events=0.1, new=0.05)
MIXES: Final = (
    HEADLINE,
    replace(HEADLINE, alternate=True),
    Mix("by activity", alternate=True),
    Mix("all alike", alternate=True),
)
BATCH: Final = 50
_MOST_PER_SECOND: Final = 2_500
_WRITERS: Final = 4
_CHECKED: Final = 20
_SAMPLE_SECONDS: Final = 2.0


@final
@dataclass(frozen=True)
class Settings:
    """Length of the measurements."""

    seconds: float = 8.0  # of a window
    windows: int = 3  # of each kind
    soak_seconds: float = 600.0  # of the soak; 0 leaves it out
    users: int = 150  # of the model's own times


def measure(data: str, configs: Sequence[str], settings: Settings, stores: Sequence[Store], say: Say) -> ServingResult:
    """Train and measure shipped configurations, the first in every respect, on a log whose times are seconds."""
    lengths = {"seconds": f"{settings.seconds:g} a window, {settings.windows} windows each"}
    result = ServingResult(environment() | lengths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, config in enumerate(configs):
            run = folder / config
            train_run(shipped_experiment(config), DataSettings(data), run, cutoffs=[10])
            log = run_data(run).load()
            say(f"{config} is trained")
            times = result.model[config] = model_times(run, log, users=settings.users)
            say(f"{config}: " + ", ".join(f"{key} {value:.3f} ms" for key, value in times.items()))
            served = _ServedRun(run, folder, log, settings, say)
            result.traffic[config] = [served.traffic(mix) for mix in (MIXES if number == 0 else (HEADLINE,))]
            if number == 0:
                result.facts["log"] = f"{log.name}, {len(log)} events, {log.n_users} users, {log.n_items} items"
                result.events = [events for store in stores for events in served.events(store)]
                if settings.soak_seconds > 0:
                    result.soak = served.soak(result.traffic[config][0].best_rate / 2)
    result.facts["load of the machine at the end"] = f"{os.getloadavg()[0]:.1f}"
    return result


@final
@dataclass(frozen=True)
class _ServedRun:
    run: Path
    folder: Path
    log: Interactions
    settings: Settings
    say: Say

    def traffic(self, mix: Mix) -> TrafficResult:
        """Measure one mix on a service of its own."""
        seconds, count = self.settings.seconds, self.settings.windows
        most = round(_MOST_PER_SECOND * seconds)
        with self._service("sqlite") as service:
            traffic = Traffic(self.log, mix, service.port)
            traffic.put(min(2.0, seconds), most=most)

            def window(rate: float | None = None) -> Window:
                return Window.measure(service.pid, lambda: traffic.put(seconds, most=most, rate=rate), rate)

            closed = [window() for _ in range(count)]
            best = max(closed, key=lambda window: window.rate)
            # Half of the answers, and of the events with them.
            requests = sum(best.counts.values()) / max(1, sum(best.counts[kind] for kind in ANSWERS))
            halved = [window(0.5 * best.rate * requests) for _ in range(count)]
            at_bar = [window(0.5 * BAR * requests) for _ in range(count if mix.events else 0)]
        result = TrafficResult(str(mix), closed, halved, at_bar)
        self.say(
            f"{self.run.name}, {mix}: {result.best_rate:.0f} answers/s, p99 {result.best_p99:.1f} ms at half of it, "
            f"{result.p99_at_bar:.1f} ms at {BAR / 2:.0f} answers/s"
        )
        return result

    def events(self, store: Store) -> Iterator[EventsResult]:
        """Measure a store; yield nothing where its database is not installed."""
        most = round(400 * self.settings.seconds)
        try:
            with self._service(store) as service:
                windows = []
                for number in range(self.settings.windows):
                    requests = event_batches(self.log, BATCH, most, f"window-{number}", number)
                    plan = Plan(service.port, requests, self.settings.seconds, _WRITERS)
                    windows.append((put_load(plan), os.getloadavg()[0]))
                with Client(service.port, timeout=60) as client:
                    held = _accepted_events(client)
                    reflected = sum(_is_reflected(client, self.log, number) for number in range(_CHECKED))
        except ConfigError as error:
            self.say(f"{store}: not measured ({error})")
            return
        confirmed = [BATCH * int((window.statuses == 200).sum()) for window, _ in windows]
        rates = [count / window.seconds for count, (window, _) in zip(confirmed, windows, strict=True)]
        failed = sum(window.failed for window, _ in windows)
        loads = [load for _, load in windows]
        result = EventsResult(store, rates, loads, failed, sum(confirmed), held, reflected, _CHECKED)
        self.say(
            f"{store}: {max(rates):.0f} events/s, {held} of {result.confirmed} held, "
            f"{reflected} of {_CHECKED} reflected"
        )
        yield result

    def soak(self, rate: float) -> SoakResult:
        """Put load on a service for long, and sample its memory."""
        seconds = self.settings.soak_seconds
        megabytes: list[float] = []
        ended = threading.Event()
        with self._service("sqlite") as service:

            def sample() -> None:
                while not ended.wait(_SAMPLE_SECONDS if seconds > 60 else 0.2):
                    megabytes.append(resident_bytes(service.pid) / 1e6)

            sampler = threading.Thread(target=sample)
            sampler.start()
            try:
                most = round(1.2 * rate * seconds) + 100
                traffic = Traffic(self.log, HEADLINE, service.port, seed=1)
                window = Window.measure(service.pid, lambda: traffic.put(seconds, most=most, rate=rate), rate)
            finally:
                ended.set()
                sampler.join()
        result = SoakResult(seconds, rate, sum(window.counts.values()), window.failed, megabytes, window)
        self.say(f"soak: {result.answers} answers, {result.failed} failed, memory {result.growth:+.1%}")
        return result

    @contextmanager
    def _service(self, store: Store) -> Iterator[ServedProcess]:
        """Start a service with an empty store."""
        if store == "postgresql":
            with PostgresqlServer() as server, ServedProcess(self.run, server.address, OPEN) as service:
                yield service
            return
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as own,
            ServedProcess(self.run, f"sqlite:///{own}/events.db", OPEN) as service,
        ):
            yield service


def _accepted_events(client: Client) -> int:
    """Return how many events the service has accepted by its own count."""
    lines = client.text("/metrics").splitlines()
    start = 'recsys_events_total{outcome="accepted"'
    return int(float(next(line.split()[1] for line in lines if line.startswith(start))))


def _is_reflected(client: Client, log: Interactions, number: int) -> bool:
    """Send an event of the best item of a user; return whether the next answer counts it and leaves the item out."""
    user = str(log.users.id_of(number % log.n_users))
    path = recommendation_path(user)
    before = client.get(path)
    best = before["items"][0]["item_id"]
    client.post_events([event(f"next-{number}", user, best, int(time.time()))])
    after = client.get(path)
    # Of a long history the newest 2,000 events are read, so it need not have grown.
    grown = after["known_events"] == min(before["known_events"] + 1, max(2_000, before["known_events"]))
    return grown and best not in [item["item_id"] for item in after["items"]]
