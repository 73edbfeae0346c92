"""Metrics of the service for Prometheus. No label contains text that a client sent."""

from __future__ import annotations

import os
from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder in which several processes share their counters."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


@final
class Metrics:
    """Counters of this process, or of all that share the folder in `SHARED` if it is set."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "recsys_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._events = Counter(
            "recsys_events", "Events that were sent: new, or there already.", ("outcome",), registry=self._registry
        )
        self._errors = Counter("recsys_errors", "Answers that were errors.", ("code",), registry=self._registry)
        self._lag = Gauge(
            "recsys_store_lag",
            "Changes of the store that the last answer did not know yet.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._up = Gauge(
            "recsys_store_up",
            "Whether the store answered when this was asked for.",
            registry=self._registry,
            multiprocess_mode="livemostrecent",
        )
        self._failures = Counter(
            "recsys_store_failures", "Requests that the store failed.", ("cause",), registry=self._registry
        )
        self._reloads = Counter("recsys_reloads", "Bundles that were asked for.", ("outcome",), registry=self._registry)

    def observe_answer(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record the latency of an answer; `route` is the template of its path."""
        self._latency.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)

    def count_error(self, code: str) -> None:
        """Count an error."""
        self._errors.labels(code).inc()

    def count_store_failure(self, cause: str) -> None:
        """Count a request that the store failed."""
        self._failures.labels(cause).inc()

    def count_events(self, accepted: int, repeated: int) -> None:
        """Count the events of a batch."""
        self._events.labels("accepted").inc(accepted)
        self._events.labels("repeated").inc(repeated)

    def count_reload(self, *, accepted: bool) -> None:
        """Count a reload."""
        self._reloads.labels("accepted" if accepted else "refused").inc()

    def render(self, lag: int | None) -> bytes:
        """Return everything in Prometheus' text format; the lag stays as it was where the store is down (None)."""
        self._up.set(lag is not None)
        if lag is not None:
            self._lag.set(lag)
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
