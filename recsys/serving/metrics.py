"""Metrics of the service for Prometheus. No label contains text that a client sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from recsys.serving.records import Shelf

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder in which several processes share their counters."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_DISTANCES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
_DUE = 0.1
"""A persona with this share of the history is due a place."""
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
        self._stale = Counter(
            "recsys_stale_lists", "Lists that were given while the store did not answer.", registry=self._registry
        )
        self._persona_lists = Counter(
            "recsys_persona_lists",
            "Lists of users with several personas, without filters: whether each persona with a tenth of the history "
            "has a place.",
            ("starved",),
            registry=self._registry,
        )
        self._distance = Histogram(
            "recsys_persona_distance",
            "Of these lists: sum over personas of the difference between share of the places and of the history.",
            buckets=_DISTANCES,
            registry=self._registry,
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

    def count_stale(self) -> None:
        """Count a list that was given while the store did not answer."""
        self._stale.inc()

    def count_events(self, accepted: int, repeated: int) -> None:
        """Count the events of a batch."""
        self._events.labels("accepted").inc(accepted)
        self._events.labels("repeated").inc(repeated)

    def observe_list(self, shelves: Sequence[Shelf]) -> None:
        """Count a list by what it does to the user's personas; lists of fewer than two personas say nothing.

        Starved are lists in which a persona with a tenth of the history has no place. Muted personas are due none.
        """
        personas = [shelf for shelf in shelves if shelf.persona is not None and not shelf.muted]
        places, mass = sum(shelf.seats for shelf in personas), sum(shelf.share for shelf in personas)
        if len(personas) < 2 or places == 0 or mass == 0:
            return
        starved = any(shelf.seats == 0 and shelf.share >= _DUE * mass for shelf in personas)
        self._persona_lists.labels("yes" if starved else "no").inc()
        self._distance.observe(sum(abs(shelf.seats / places - shelf.share / mass) for shelf in personas))

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
