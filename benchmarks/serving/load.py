"""Puts load on a service, from a process of its own. `python -m benchmarks.serving_load < plan.json > answers.json`.

Sends requests over a bounded number of persistent connections. In a closed loop each connection sends its next request
when the last one is answered, which measures the capacity of the service. In an open loop requests are due at moments
that do not wait for answers (a Poisson process), and latency counts from the moment a request is due: requests that
wait for a free connection because the service is slow count in full (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from benchmarks.tools.command import parser
from recsys.errors import ConfigError

_ROOT = Path(__file__).resolve().parents[2]


@final
@dataclass(frozen=True)
class Request:
    """A request, and the kind under which it counts."""

    kind: str
    method: str
    path: str
    body: str = ""

    def encoded(self, host: str) -> bytes:
        """Return the bytes on the wire."""
        body = self.body.encode()
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


@final
@dataclass(frozen=True)
class Plan:
    """Requests and their pace."""

    port: int  # of the service on the loopback address
    requests: Sequence[Request]  # in this order; the load ends when they are used up
    seconds: float  # after which no request is sent
    connections: int  # how many at once
    rate: float | None = None  # requests per second of the open loop; None: a closed loop
    seed: int = 0  # of the moments of the open loop


@final
@dataclass(frozen=True, eq=False)
class LoadResult:
    """Answers to a plan."""

    kinds: npt.NDArray[np.str_]  # "answers", of the requests
    statuses: npt.NDArray[np.int64]  # "answers"; 0 where the connection broke
    # "answers", from the moment a request was due (open loop) or sent (closed loop) to its end
    milliseconds: npt.NDArray[np.float64]
    seconds: float  # from the first request to the last answer

    @property
    def failed(self) -> int:
        """Number of answers that are not 200."""
        return int((self.statuses != 200).sum())

    @property
    def failures(self) -> dict[str, int]:
        """Number of answers of each status that is not 200."""
        statuses, counts = np.unique(self.statuses[self.statuses != 200], return_counts=True)
        return dict(zip(map(str, statuses.tolist()), counts.tolist(), strict=True))

    def of(self, *kinds: str) -> npt.NDArray[np.float64]:
        """Return the latencies of answers of these kinds, milliseconds."""
        return self.milliseconds[np.isin(self.kinds, kinds)]

    def rate(self, *kinds: str) -> float:
        """Return answers per second of these kinds."""
        return len(self.of(*kinds)) / self.seconds


def put_load(plan: Plan) -> LoadResult:
    """Run a plan in a process of its own.

    Raises:
        ConfigError: that process failed.
    """
    command, content = [sys.executable, "-m", "benchmarks.serving_load"], json.dumps(asdict(plan))
    completed = subprocess.run(command, input=content, capture_output=True, text=True, cwd=_ROOT, check=False)
    if completed.returncode != 0:
        raise ConfigError(f"the load failed: {completed.stderr.strip()[-500:]}")
    result = json.loads(completed.stdout)
    kinds, statuses = np.asarray(result["kinds"], np.str_), np.asarray(result["statuses"], np.int64)
    return LoadResult(kinds, statuses, np.asarray(result["milliseconds"], np.float64), result["seconds"])


@final
@dataclass
class _Run:
    """State of a plan that is running."""

    plan: Plan
    loop: asyncio.AbstractEventLoop
    started: float
    sent: int = 0
    waiting: deque[tuple[int, float]] = field(default_factory=deque)
    free: deque[_Connection] = field(default_factory=deque)
    open: int = 0
    answers: list[tuple[str, int, float]] = field(default_factory=list)
    ended: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Whether no further request is sent."""
        late = self.loop.time() - self.started >= self.plan.seconds
        return late or self.sent >= len(self.plan.requests)

    def next(self) -> tuple[int, float] | None:
        """Return the number of the next request and the moment it is due; None where there is none now."""
        if self.plan.rate is not None:
            return self.waiting.popleft() if self.waiting else None
        if self.over:
            return None
        self.sent += 1
        return self.sent - 1, self.loop.time()

    def record(self, number: int, due: float, status: int) -> None:
        """Record an answer."""
        self.ended = self.loop.time()
        self.answers.append((self.plan.requests[number].kind, status, 1000 * (self.ended - due)))

    def use(self, connection: _Connection) -> None:
        """Send the next request on a connection, or let it wait."""
        request = self.next()
        if request is None:
            self.free.append(connection)
            if self.over and not self.waiting and len(self.free) == self.open:
                self.done.set()
        else:
            connection.send(*request)

    def due(self, number: int, moment: float) -> None:
        """Send a request of the open loop as soon as a connection is free."""
        self.sent += 1
        self.waiting.append((number, moment))
        if self.free:
            self.use(self.free.popleft())  # in turns, so that none idles until the service closes it


@final
class _Connection(asyncio.Protocol):
    """Sends one request at a time and reads its answer, which has a length."""

    def __init__(self, run: _Run, encoded: Sequence[bytes]) -> None:
        self._run = run
        self._encoded = encoded
        self._transport: asyncio.Transport | None = None
        self._pending: tuple[int, float] | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._run.open += 1

    def send(self, number: int, due: float) -> None:
        assert self._transport is not None
        self._pending = (number, due)
        self._received.clear()
        self._transport.write(self._encoded[number])

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._pending is None:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) >= end + 4 + length:
            pending, self._pending = self._pending, None
            self._run.record(*pending, int(head[9:12]))
            self._run.use(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.open -= 1
        if self._pending is not None:
            self._run.record(*self._pending, 0)
        elif self in self._run.free:
            self._run.free.remove(self)
        if not self._run.open:
            self._run.done.set()


async def _send(plan: Plan) -> _Run:
    loop = asyncio.get_running_loop()
    encoded = [request.encoded(f"127.0.0.1:{plan.port}") for request in plan.requests]
    run = _Run(plan, loop, loop.time())
    connections = [
        (await loop.create_connection(lambda: _Connection(run, encoded), "127.0.0.1", plan.port))[1]
        for _ in range(plan.connections)
    ]
    run.started = loop.time()
    for connection in connections:
        run.use(connection)
    if plan.rate is not None:
        draws = np.random.default_rng(plan.seed).exponential(1 / plan.rate, len(plan.requests))
        for number, moment in enumerate((run.started + np.cumsum(draws)).tolist()):
            if moment >= run.started + plan.seconds:
                break
            await asyncio.sleep(max(0.0, moment - loop.time()))
            run.due(number, moment)
        run.sent = len(plan.requests)
        if len(run.free) == run.open and not run.waiting:
            run.done.set()
    await asyncio.wait_for(run.done.wait(), plan.seconds + 60)
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan of standard input; return the exit code."""
    parser("serving_load", __doc__).parse_args(arguments)
    fields = json.load(sys.stdin)
    plan = Plan(**{**fields, "requests": [Request(**request) for request in fields["requests"]]})
    run = asyncio.run(_send(plan))
    kinds, statuses, milliseconds = zip(*run.answers, strict=True) if run.answers else ((), (), ())
    seconds = run.ended - run.started
    json.dump({"kinds": kinds, "statuses": statuses, "milliseconds": milliseconds, "seconds": seconds}, sys.stdout)
    return 0
