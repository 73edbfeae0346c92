"""A service as a process, asked through its socket: requests that no client library sends, and disks that fail."""

from __future__ import annotations

import json
import re
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from benchmarks.serving.processes.postgresql_server import PostgresqlServer
from benchmarks.serving.processes.served_process import ServedProcess
from recsys.events.addresses import open_store
from recsys.serving.access import CODES
from tests.events.store_addresses import OWN_SERVER
from tests.serving.client import bearer, client_of, event, service_of, token


@dataclass
class Live:
    """A service, the file of its store, and a token."""

    process: ServedProcess
    store: Path
    secret: str
    causes: set[str] = field(default_factory=set)  # of refusals that tests have brought about

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.process.url, headers=bearer(self.secret), timeout=60)

    def send(self, content: bytes, seconds: float = 60.0) -> bytes:
        """Send bytes; return everything that comes until the service closes, or has said nothing for some seconds."""
        with socket.create_connection(("127.0.0.1", self.process.port), timeout=seconds) as connection:
            with suppress(OSError):  # the answer came, and the connection was closed
                connection.sendall(content)
            return _everything(connection)


def _everything(connection: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):  # what was sent after the answer was not read
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture(scope="module")
def live(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    store = tmp_path_factory.mktemp("live") / "events.db"
    with open_store(str(store)) as opened:
        secret = token(opened)
    process = ServedProcess(run, str(store), ())
    with process:
        live = Live(process, store, secret)
        yield live
    for inside in ("Traceback", "/", secret, "u0"):  # no path, and nobody's id
        assert inside not in process.errors.replace("disk I/O error", ""), process.errors
    lines = [json.loads(line) for line in process.errors.splitlines()]
    assert {line["cause"] for line in lines if line.get("code") == "store_unavailable"} == live.causes
    assert all({"time", "level", "message", "pid"} <= set(line) for line in lines)


def _head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def _status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d+)", answer)
    assert found, answer
    return int(found[1])


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"\x00\x01\x02\r\n\r\n", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),  # the greeting of TLS
        (_head("GET /healthz", "X: " + "x" * 4_000_000), {400, 431}),
        (_head("GET /v1/users/" + "x" * 4_000_000 + "/data"), {400, 431}),
        (_head("GET /healthz", *(f"X{number}: x" for number in range(400_000))), {400, 431}),
        (_head("GET /healthz", "X: a\x00"), {400}),
        (_head("POST /v1/events", JSON, "Content-Length: -1"), {400}),
        (_head("POST /v1/events", JSON, "Content-Length: 1e3"), {400}),
        (_head("POST /v1/events", JSON, "Content-Length: 5", "Content-Length: 6"), {400}),
        (_head("GET http://elsewhere.example/v1/users/u0/data", "Connection: close"), {401, 404}),
        (_head("CONNECT elsewhere.example:443", "Connection: close"), {400, 401, 404}),
        (_head("OPTIONS *", "Connection: close"), {400, 401, 404, 405}),
        (_head("GET /healthz", "Upgrade: websocket", "Connection: close"), {200}),
    ],
)
def test_malformed_http_is_answered_shortly(live: Live, request_: bytes, statuses: set[int]) -> None:
    answer = live.send(request_)
    if answer or len(request_) < 100_000:  # a reset may overtake an answer to what was not read
        assert _status(answer) in statuses
    assert len(answer) < 2_000
    assert b"Traceback" not in answer


@pytest.mark.parametrize("how", ["told", "chunked"])
def test_a_large_body_is_refused_and_not_read_to_its_end(live: Live, how: str) -> None:
    authorization = f"Authorization: Bearer {live.secret}"
    with socket.create_connection(("127.0.0.1", live.process.port), timeout=60) as connection:
        size = "Content-Length: 10000000000" if how == "told" else "Transfer-Encoding: chunked"
        connection.sendall(_head("POST /v1/events", JSON, authorization, size))
        part = b" " * 65_536
        with suppress(OSError):
            for _ in range(0 if how == "told" else 2_000):
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        answer = _everything(connection)
    if answer or how == "told":
        assert _status(answer) == 413
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"
    with live.client() as client:
        assert client.get("/readyz").status_code == 200


def test_one_body_is_not_the_next_request(live: Live) -> None:
    """What stands after a body of a told length is another request, with an answer of its own."""
    authorization = f"Authorization: Bearer {live.secret}"
    inner = _head("GET /v1/users/u3/data", "Connection: close")
    body = b'{"events": []}'
    answer = live.send(_head("POST /v1/events", JSON, authorization, f"Content-Length: {len(body)}") + body + inner)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)] == [422, 401]
    both = _head("POST /v1/events", JSON, authorization, "Content-Length: 4", "Transfer-Encoding: chunked")
    answer = live.send(both + b"0\r\n\r\n" + inner)
    assert b"logged" not in answer


def _written(live: Live, client: httpx.Client, name: str) -> httpx.Response:
    return client.post("/v1/events", json={"events": [event(name, user="u1")]})


def _unavailable(answer: httpx.Response, live: Live) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "store_unavailable")
    assert error["code"] in CODES[503]
    assert "retry-after" in answer.headers
    assert str(live.store.parent) not in answer.text
    assert not any(word in answer.text for word in ("disk", "sqlite", "moved"))


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is of Linux")
def test_a_full_disk_refuses_events_and_loses_none(live: Live) -> None:
    kept: list[str] = []
    with live.client() as client:
        assert _written(live, client, "before").status_code == 200
        full = live.store.with_name("events.db-wal").stat().st_size
        _, hard = resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        try:
            refused = 0
            live.causes.add("disk_full")
            for number in range(200):
                answer = _written(live, client, f"full-{number}")
                if answer.status_code == 200:
                    kept.append(f"full-{number}")
                    continue
                _unavailable(answer, live)
                refused += 1
                if refused == 5:
                    break
            assert refused == 5
            assert client.get("/v1/users/u1/recommendations").status_code == 200  # reading goes on
        finally:
            resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert _written(live, client, f"full-{number}").json() == {"accepted": 1, "repeated": 0}
        held = [one["event_id"] for one in client.get("/v1/users/u1/data").json()["events"]]
    assert sorted(held) == sorted(["before", *kept, f"full-{number}"])


def test_events_are_refused_while_the_store_is_missing(live: Live) -> None:
    away = live.store.with_name("away")
    away.mkdir()
    with live.client() as client:
        assert _written(live, client, "first").status_code == 200
        names = [path.name for path in live.store.parent.glob("events.db*")]
        for name in names:
            live.store.with_name(name).rename(away / name)
        live.causes.add("moved")
        _unavailable(_written(live, client, "second"), live)
        stale = client.get("/v1/users/u1/recommendations")
        assert (stale.status_code, stale.json()["stale"]) == (200, True)
        _unavailable(client.get("/v1/users/u5/recommendations"), live)
        _unavailable(client.get("/readyz"), live)
        assert client.get("/healthz").status_code == 200
        for name in names:
            (away / name).rename(live.store.with_name(name))
        assert _written(live, client, "second").json() == {"accepted": 1, "repeated": 0}
        assert _written(live, client, "first").json() == {"accepted": 0, "repeated": 1}


@OWN_SERVER
def test_a_lost_postgresql_is_reconnected_and_not_revealed(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with PostgresqlServer() as server:
        address = server.address.replace("postgres@", "postgres:hush@")
        with open_store(address) as store:
            client = client_of(service_of(run, store), token(store))
            sent = {"events": [event("e1")]}
            assert client.post("/v1/events", json=sent).status_code == 200
            server.die("immediate")
            asked = [
                client.post("/v1/events", json=sent),
                client.get("/v1/users/u0/recommendations"),
                client.get("/v1/users/u0/data"),
                client.delete("/v1/users/u0/data"),
                client.get("/readyz"),
            ]
            assert client.get("/healthz").status_code == 200
            measured = client.get("/metrics")
            server.start()
            assert client.post("/v1/events", json=sent).json() == {"accepted": 0, "repeated": 1}
            assert client.get("/readyz").status_code == 200
    assert measured.status_code == 200
    assert "recsys_store_up 0.0" in measured.text
    assert 'recsys_store_failures_total{cause="connection"} 5.0' in measured.text
    for answer in asked:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    for text in (caplog.text, *(answer.text for answer in asked)):
        assert not any(inside in text for inside in ("hush", "127.0.0.1", "psycopg", "Traceback", "u0"))
