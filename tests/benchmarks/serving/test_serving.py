"""The load of the serving benchmark, and its measurements."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest

from benchmarks.serving.load import LoadResult, Plan, Request, put_load
from benchmarks.serving.measurement import HEADLINE, Settings, measure
from benchmarks.serving.report import report
from benchmarks.serving.traffic import EVENT, FIRST, NEW, REPEATED, Mix, Traffic, percentiles
from recsys.data.interactions import Interactions

_SLOW = 0.05
_REQUEST = Request("answer", "GET", "/")


@contextmanager
def _one_at_a_time() -> Iterator[int]:
    """Start a slow server that answers one request after the other; yield its port."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(65_536):
                time.sleep(_SLOW)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_closed_loop_waits_for_answers() -> None:
    with _one_at_a_time() as port:
        answered = put_load(Plan(port, [_REQUEST] * 5, seconds=30, connections=1))
    assert (len(answered.kinds), answered.failed) == (5, 0)
    assert answered.milliseconds.min() >= 1000 * _SLOW
    assert answered.seconds >= 5 * _SLOW


def test_an_open_loop_counts_what_waits_for_a_slow_service() -> None:
    with _one_at_a_time() as port:
        answered = put_load(Plan(port, [_REQUEST] * 20, seconds=30, connections=1, rate=1_000))
    assert (len(answered.kinds), answered.failed) == (20, 0)
    # All were due within moments, and the last was answered after all others.
    assert answered.milliseconds.max() >= 1000 * 15 * _SLOW


def test_connections_take_turns() -> None:
    served: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket, number: int) -> None:
            with closing(connection):
                while connection.recv(1_000):
                    served.append(number)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def accept() -> None:
            threads = [threading.Thread(target=answer, args=(listener.accept()[0], number)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        accepting = threading.Thread(target=accept)
        accepting.start()
        answered = put_load(Plan(listener.getsockname()[1], [_REQUEST] * 40, seconds=30, connections=4, rate=50))
        accepting.join()
    assert answered.failures == {}
    assert min(served.count(number) for number in range(4)) >= 5


def test_a_connection_that_breaks_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with closing(listener.accept()[0]) as connection:
                connection.recv(100)

        thread = threading.Thread(target=hang_up)
        thread.start()
        answered = put_load(Plan(listener.getsockname()[1], [_REQUEST], seconds=30, connections=1))
        thread.join()
    assert (answered.statuses.tolist(), answered.failed, answered.failures) == ([0], 1, {"0": 1})


def test_traffic_distinguishes_first_from_repeated_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    def answer_half(plan: Plan) -> LoadResult:
        plans.append(plan)
        count = len(plan.requests) // 2
        kinds = np.asarray([request.kind for request in plan.requests[:count]])
        return LoadResult(kinds, np.full(count, 200), np.ones(count), 1.0)

    monkeypatch.setattr("benchmarks.serving.traffic.put_load", answer_half)
    log = Interactions.from_columns([1, 1, 1, 2], [1, 2, 3, 1], times=[1, 2, 3, 4])
    traffic = Traffic(log, Mix("by activity", events=0.3, new=0.2), port=1)
    for _ in range(3):
        traffic.put(1.0, most=200)
    cached: set[str] = set()
    for plan in plans:
        for request in plan.requests[: len(plan.requests) // 2]:
            user = "1" if "/users/1/" in request.path or '"user_id": "1"' in request.body else "2"
            if request.kind == EVENT:
                cached.discard(user)
            elif request.kind != NEW:
                assert request.kind == (REPEATED if user in cached else FIRST)
                cached.add(user)
    sent = [request for plan in plans for request in plan.requests]
    assert {request.kind for request in sent} == {FIRST, REPEATED, NEW, EVENT}
    assert len({request.path for request in sent if request.kind == NEW}) == sum(r.kind == NEW for r in sent)
    bodies = [request.body for request in sent if request.kind == EVENT]
    assert len(set(bodies)) == len(bodies)
    paths = [request.path for request in sent if request.kind in (FIRST, REPEATED)]
    assert sum("/users/1/" in path for path in paths) > 2 * sum("/users/2/" in path for path in paths)


def test_percentiles_of_no_values_are_nan() -> None:
    assert percentiles(np.arange(101.0)) == {"p50": 50.0, "p99": 99.0}
    assert np.isnan(percentiles(np.zeros(0))["p50"])


def test_measurements_and_report() -> None:
    settings = Settings(seconds=0.5, windows=2, soak_seconds=2.0, users=3)
    result = measure("simulated", ["ease_decay"], settings, ["sqlite"], lambda _: None)
    (traffic, *others) = result.traffic["ease_decay"]
    assert traffic.mix == str(HEADLINE)
    assert len(others) == 3
    assert all(window.failed == 0 for one in (traffic, *others) for window in (*one.closed, *one.open, *one.at_bar))
    assert traffic.best_rate == max(window.rate for window in traffic.closed) > 0
    (events,) = result.events
    assert events.held == events.confirmed > 0
    assert events.reflected == events.checked
    assert result.soak is not None
    assert result.soak.failed == 0
    assert result.soak.answers > 0
    assert min(result.soak.megabytes) > 0
    result.kills = {"outcomes": [dict.fromkeys(("killed", "times", "confirmed", "held", "lost", "doubled"), 7)]}
    text = "\n\n".join(report(result))
    assert f"| explained answers per second, one worker | at least 300 | {traffic.best_rate:.0f} |" in text
    assert "| 7 | 7 | 7 | 7 | 7 | 7 |" in text
    assert "| answers that failed | 0 | 0 | met |" in text
    traffic.at_bar[-1].failures["503"] = 2
    text = "\n\n".join(report(result))
    assert "| answers that failed | 0 | 2 | **missed** |" in text
    assert "| 2 with 503 |" in text
