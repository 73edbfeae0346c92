"""A failing store: the answer says nothing of it, the log and the metrics tell its cause, and both need no store."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from benchmarks.serving.processes.postgresql_server import PostgresqlServer
from recsys.events import sql_database
from recsys.events.addresses import open_store
from recsys.events.store import StoreError
from recsys.serving.access import Limits, new_token
from recsys.serving.answers import Answers
from recsys.serving.logs import LogLines
from recsys.serving.service import Service
from tests.events.store_addresses import OWN_SERVER
from tests.serving.client import ALL, Client, client_of, event, service_of, token


@contextmanager
def _log() -> Iterator[io.StringIO]:
    """What the service writes to standard error meanwhile."""
    stream, logger = io.StringIO(), logging.getLogger("recsys")
    lines = LogLines(stream)
    logger.addHandler(lines)
    try:
        yield stream
    finally:
        logger.removeHandler(lines)
        lines.close()


def _line(stream: io.StringIO, request_id: str) -> dict[str, Any]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [line for line in found if line.get("request_id") == request_id]
    return dict(line)


def _failed(answer: Any) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "store_unavailable"), answer.text
    request_id: str = error["request_id"]
    return request_id


def _metrics(client: Client) -> str:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def test_a_lock_is_told_by_its_name(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_database, "PATIENCE", 0.05)
    with open_store(str(tmp_path / "events.db")) as store, _log() as stream:
        client = client_of(service_of(run, store), token(store))
        holder = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        request_id = _failed(client.post("/v1/events", json={"events": [event("e1")]}))
        line = _line(stream, request_id)
        assert (line["level"], line["code"], line["cause"], line["detail"]) == (
            "error", "store_unavailable", "busy", "database is locked",
        )  # fmt: skip
        assert str(tmp_path) not in stream.getvalue()
        assert 'recsys_store_failures_total{cause="busy"} 1.0' in _metrics(client)
        holder.close()


def test_the_store_gives_up_before_the_answer_does() -> None:
    """Else every lock would look like a slow answer."""
    assert Limits.seconds > sql_database.PATIENCE


@OWN_SERVER
def test_metrics_need_no_store_and_a_cut_connection_is_told_by_its_name(run: Path) -> None:
    with PostgresqlServer() as server, open_store(server.address) as store, _log() as stream:
        scraper, expired, one_user = (
            new_token("t", ALL, *limits) for limits in ((None, None), (None, 9), ("u0", None))
        )
        for _, made in (scraper, expired, one_user):
            store.put_token(made)
        service = service_of(run, store)
        client = client_of(service, scraper[0])  # which has never asked before
        server.die("immediate")
        measured = _metrics(client)
        assert "recsys_store_up 0.0" in measured
        line = _line(stream, _failed(client.get("/v1/users/u0/recommendations")))
        assert line["cause"] == "connection"
        assert not any(inside in json.dumps(line) for inside in ("127.0.0.1", "postgres@", "psycopg", "u0"))
        assert 'recsys_store_failures_total{cause="connection"} 1.0' in _metrics(client)
        assert client_of(service, "recsys_wrong").get("/metrics").status_code == 503  # nobody knows
        assert client_of(service, expired[0]).get("/metrics").status_code == 503
        assert client_of(service, one_user[0]).get("/metrics").status_code == 403
        server.start()
        assert "recsys_store_up 1.0" in _metrics(client)
        store.revoke_token(scraper[1].token_hash, int(time.time()))
        service.tokens.clear()
        assert client.get("/metrics").status_code == 401
        server.die("immediate")
        assert client.get("/metrics").status_code == 503  # it was revoked when the store was last read


@OWN_SERVER
def test_metrics_do_not_wait_for_a_store_that_hangs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_database, "PATIENCE", 3)  # longer than metrics wait
    with PostgresqlServer() as server, open_store(server.address) as store:
        secret = token(store)
        client = client_of(service_of(run, store, Limits(token_seconds=0.0)), secret)
        with psycopg.connect(server.address) as holder:
            holder.execute("LOCK TABLE recsys_tokens, recsys_store IN ACCESS EXCLUSIVE MODE")
            assert "recsys_store_up 0.0" in _metrics(client)
        assert "recsys_store_up 1.0" in _metrics(client)


def test_a_slow_answer_is_logged_as_one(run: Path) -> None:
    import asyncio

    service = service_of(run, open_store("memory:"), Limits(seconds=0.05))

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    with _log() as stream:
        headers = {"Content-Type": "application/json"}
        answer = client_of(service, token(service.store)).post("/v1/events", content=slow(), headers=headers)
        assert answer.status_code == 503
        assert _line(stream, answer.json()["error"]["request_id"])["cause"] == "timeout"


class _Broken:
    """Answers nothing."""

    model = "broken"
    applied = unsaved = 0
    learning, warm = False, True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def check(self) -> None:
        """Nothing is wrong yet."""

    def recommend(self, *_: object, **__: object) -> None:
        raise self._error

    catch_up = recommend


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("secret of /etc/recsys at line 3"), (500, "internal")),
        (StoreError("postgresql://db.internal/shop: gone"), (503, "store_unavailable")),
        (TimeoutError("/etc/recsys"), (503, "timeout")),
    ],
)
def test_errors_reveal_no_internals(
    error: Exception, expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store("memory:")
    service = Service(store, lambda: cast(Answers, _Broken(error)))
    response = client_of(service, token(store)).get("/v1/users/u0/recommendations")
    assert (response.status_code, response.json()["error"]["code"]) == expected
    assert client_of(service).get("/readyz").status_code == expected[0]
    for text in (response.text, caplog.text):
        assert not any(word in text for word in ("secret", "/etc", "internal/shop", "Traceback", str(Path.cwd())))
