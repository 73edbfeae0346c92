"""Measurements of the serving benchmark: windows of load, traffic, durable events, the soak."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final, get_args

import numpy as np

from benchmarks.serving.load import LoadResult
from benchmarks.serving.processes.served_process import processor_seconds
from benchmarks.serving.traffic import ANSWERS, EVENT, percentiles

Store = Literal["sqlite", "postgresql"]
STORES: Final[tuple[Store, ...]] = get_args(Store)


@final
@dataclass(frozen=True)
class Window:
    """One window of load."""

    rate: float  # answers per second, without the events in between
    milliseconds: dict[str, dict[str, float]]  # median and 99th percentile of all answers and of each kind
    counts: dict[str, int]  # answers of each kind
    failures: dict[str, int]  # answers that are not 200, by status; "0" for a broken connection
    target_rate: float | None  # requests per second of an open loop; None: a closed loop
    processor: float  # milliseconds of the service's processor time per request
    load: float  # the machine's average of the last minute, at the end

    @property
    def failed(self) -> int:
        """Answers that are not 200."""
        return sum(self.failures.values())

    @classmethod
    def measure(cls, pid: int, put: Callable[[], LoadResult], target_rate: float | None = None) -> Window:
        """Put load on the service of this process, and summarise it."""
        before = processor_seconds(pid)
        result = put()
        seconds = processor_seconds(pid) - before
        kinds = (*ANSWERS, EVENT)
        times = {"answers": result.of(*ANSWERS)} | {kind: result.of(kind) for kind in kinds}
        milliseconds = {kind: percentiles(values) for kind, values in times.items()}
        counts = {kind: len(times[kind]) for kind in kinds}
        processor = 1000 * seconds / max(1, len(result.kinds))
        rate, load = result.rate(*ANSWERS), os.getloadavg()[0]
        return cls(rate, milliseconds, counts, result.failures, target_rate, processor, load)


@final
@dataclass(frozen=True)
class TrafficResult:
    """Windows of one mix of traffic."""

    mix: str  # the mix in words
    closed: list[Window]  # windows of a closed loop
    open: list[Window]  # windows of an open loop at half of the best rate of the closed ones
    at_bar: list[Window]  # windows of an open loop at half of the bar

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows."""
        return (*self.closed, *self.open, *self.at_bar)

    @property
    def best_rate(self) -> float:
        """Answers per second of the best window."""
        return max(window.rate for window in self.closed)

    @property
    def best_p99(self) -> float:
        """The 99th percentile of answers in the best window at half of the best rate, milliseconds."""
        return _best_p99(self.open)

    @property
    def p99_at_bar(self) -> float:
        """The same at half of the bar; NaN where it was not measured."""
        return _best_p99(self.at_bar)


def _best_p99(windows: Sequence[Window]) -> float:
    return min((window.milliseconds["answers"]["p99"] for window in windows), default=float("nan"))


@final
@dataclass(frozen=True)
class EventsResult:
    """Durable events of a store."""

    store: Store  # kind of the store
    rates: list[float]  # events per second of each window
    loads: list[float]  # load of the machine after each window
    failed: int  # batches that were not answered 200
    confirmed: int  # events that were answered 200
    held: int  # events that the service counts as accepted
    reflected: int  # how many next answers reflect the event before
    checked: int  # out of how many


@final
@dataclass(frozen=True)
class SoakResult:
    """A long window: its length and rate, answers and failures, and samples of the resident memory."""

    seconds: float
    rate: float
    answers: int
    failed: int
    megabytes: list[float]
    window: Window

    @property
    def growth(self) -> float:
        """Relative growth from the second tenth of the soak (the first is warm-up) to the last."""
        tenth = max(1, len(self.megabytes) // 10)
        return float(np.mean(self.megabytes[-tenth:]) / np.mean(self.megabytes[tenth : 2 * tenth]) - 1.0)


@final
@dataclass
class ServingResult:
    """All measurements; those by configuration have everything for the first one."""

    facts: dict[str, str]
    traffic: dict[str, list[TrafficResult]] = field(default_factory=dict)
    model: dict[str, dict[str, float]] = field(default_factory=dict)
    events: list[EventsResult] = field(default_factory=list)
    soak: SoakResult | None = None
    kills: dict[str, Any] | None = None
