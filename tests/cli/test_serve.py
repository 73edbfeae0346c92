"""`recsys tokens` and `recsys serve`: as a process that is told to reload and to stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys.cli.main import main
from recsys.events.addresses import open_store
from recsys.serving.access import secret_hash
from recsys.serving.server import listen
from tests.serving.client import event
from tests.serving.serving_run import train, write_log


def _cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def _misused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Return what is said of an option whose value is out of range."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    return capsys.readouterr().err


def _refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "events.db"
    secret = _cli(capsys, "tokens", "create", "--events", store, "--label", "shop").strip()
    own = json.loads(
        _cli(
            capsys, "tokens", "create", "--events", store, "--label", "ada", "--scopes", "read", "--user", "ada",
            "--days", 30, "--json",
        )
    )  # fmt: skip
    assert (own["scopes"], own["user"], own["expires"] - own["created"]) == (["read"], "ada", 30 * 86_400)
    rows = json.loads(_cli(capsys, "tokens", "list", "--events", store, "--json"))
    assert {row["label"]: row["scopes"] for row in rows} == {"shop": ["read", "write"], "ada": ["read"]}
    listed = _cli(capsys, "tokens", "list", "--events", store)
    assert secret not in listed
    assert secret.encode() not in store.read_bytes()
    _cli(capsys, "tokens", "revoke", "--events", store, own["id"])
    with open_store(str(store)) as opened:
        held = opened.token(secret_hash(own["token"]))
        assert held is not None
        assert not held.is_valid(int(time.time()))
    assert "revoked" in _cli(capsys, "tokens", "list", "--events", store)


def test_misuse_of_tokens_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "events.db"
    _cli(capsys, "tokens", "create", "--events", store, "--label", "shop")
    assert "tokens list" in _refused(capsys, "tokens", "revoke", "--events", store, "0123456789ab")
    assert "tokens list" in _refused(capsys, "tokens", "revoke", "--events", store, "")
    create = ("tokens", "create", "--events", store, "--label", "x")
    assert "admin" in _refused(capsys, *create, "--user", "ada", "--scopes", "admin")
    assert "--days" in _misused(capsys, *create, "--days", 0)


def test_misuse_of_serve_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve = ("serve", "--run", run, "--events", tmp_path / "events.db")
    assert "loopback" in _refused(capsys, *serve, "--no-auth", "--host", "0.0.0.0")
    assert "--port" in _misused(capsys, *serve, "--port", 70_000)
    assert "rate" in _refused(capsys, *serve, "--rate", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another --port" in _refused(capsys, *serve, "--port", taken.getsockname()[1])
    assert "no finished run" in _refused(capsys, "serve", "--run", tmp_path, "--events", tmp_path / "events.db")


def test_answers_do_not_wait_for_the_receipt_of_their_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@contextmanager
def _serving(run: Path, store: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    code = "import sys; from recsys.cli.main import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        "--run",
        str(run),
        "--events",
        str(store),
        "--port",
        "0",
        "--no-auth",
        *options,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving on http://"), process.communicate()
            yield process, line.split()[2]
        finally:
            process.kill()


def test_a_process_reloads_on_hangup_and_stops_without_losing_what_it_accepted(run: Path, tmp_path: Path) -> None:
    served, store = tmp_path / "run", tmp_path / "events.db"
    shutil.copytree(run, served)
    accepted: list[str] = []
    with _serving(served, store) as (process, address):
        before = httpx.get(f"{address}/v1/users/u0/recommendations?at=1500000000").json()

        def write(worker: int) -> None:
            with httpx.Client(base_url=address) as client:
                for number in range(10_000):
                    sent = f"{worker}-{number}"
                    try:
                        answer = client.post("/v1/events", json={"events": [event(sent, user="u1")]})
                    except httpx.TransportError:
                        return
                    if answer.status_code != 200:
                        return
                    accepted.append(sent)

        writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
        for writer in writers:
            writer.start()
        shutil.rmtree(served)
        process.send_signal(signal.SIGHUP)
        while 'outcome="refused"} 1.0' not in httpx.get(f"{address}/metrics").text:
            time.sleep(0.05)
        assert httpx.get(f"{address}/v1/users/u0/recommendations?at=1500000000").json() == before
        while len(accepted) < 20:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        for writer in writers:
            writer.join()
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in errors
    assert str(tmp_path) not in errors
    with open_store(str(store)) as opened:
        held = {record.event.event_id for record in opened.of_users(["u1"])["u1"]}
    assert set(accepted) <= held
    assert len(held) <= len(accepted) + len(writers)  # an answer may have been under way


def _asked(address: str, times: int = 20) -> list[dict[str, Any]]:
    """Return what new connections are answered, which any of the workers may take."""
    return [httpx.get(f"{address}/v1/users/u0/recommendations").json() for _ in range(times)]


def _children(process: subprocess.Popen[str]) -> list[int]:
    """Return the workers of a service; beside them there may be a tracker of Python's own."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_workers_share_the_store_and_a_reload_and_one_that_dies_is_replaced(run: Path, tmp_path: Path) -> None:
    served, store = tmp_path / "run", tmp_path / "events.db"
    shutil.copytree(run, served)
    with _serving(served, store, "--workers", "2") as (process, address):
        assert len(_children(process)) == 2
        before = _asked(address)
        assert len({answer["model"] for answer in before}) == 1
        best = before[0]["items"][0]["item_id"]
        sent = event("e1", user="u0", item=best, time=int(time.time()))
        assert httpx.post(f"{address}/v1/events", json={"events": [sent]}).json() == {"accepted": 1, "repeated": 0}
        assert all(best not in [item["item_id"] for item in answer["items"]] for answer in _asked(address))

        other = train(tmp_path / "other", write_log(tmp_path / "log.csv"), personas=2)
        shutil.rmtree(served)
        other.rename(served)
        new = httpx.post(f"{address}/v1/admin/reload", timeout=60).json()["model"]
        assert new != before[0]["model"]
        _until(lambda: all(answer["model"] == new for answer in _asked(address)))

        shutil.rmtree(served / "model")
        process.send_signal(signal.SIGHUP)
        _until(lambda: 'outcome="refused"} 2.0' in httpx.get(f"{address}/metrics").text)
        assert {answer["model"] for answer in _asked(address)} == {new}

        shutil.copytree(run / "model", served / "model")
        first, second = _children(process)
        os.kill(first, signal.SIGKILL)
        _until(lambda: len(_children(process)) == 2 and first not in _children(process))
        assert second in _children(process)
        assert httpx.get(f"{address}/v1/users/u0/data").json()["events"][0]["event_id"] == "e1"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/healthz")


def test_workers_end_with_a_parent_that_is_killed(run: Path, tmp_path: Path) -> None:
    with _serving(run, tmp_path / "events.db", "--workers", "2") as (process, address):
        assert httpx.get(f"{address}/healthz").status_code == 200
        process.kill()

        def refused() -> bool:
            try:
                httpx.get(f"{address}/healthz")
            except httpx.TransportError:
                return True
            return False

        _until(refused)


def test_workers_that_cannot_begin_are_told_of(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve = ("serve", "--no-auth", "--port", 0, "--events", tmp_path / "events.db", "--run")
    assert "no finished run" in _refused(capsys, *serve, tmp_path / "nothing", "--workers", 2)
    assert "--workers" in _misused(capsys, *serve, run, "--workers", 0)
    shared = ("serve", "--no-auth", "--port", 0, "--events", "memory:", "--run", run, "--workers", 2)
    assert "share a store" in _refused(capsys, *shared)
