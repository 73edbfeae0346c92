"""Causes of failing stores, provoked in a real file and a real server where that is possible; they hold no value."""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
from pathlib import Path

import pytest

from benchmarks.serving.processes.postgresql_server import PostgresqlServer
from recsys.events import sql_database
from recsys.events.addresses import open_store
from recsys.events.causes import detail_of
from recsys.events.store import Event, StoreError
from tests.events.store_addresses import OWN_SERVER


def _event(number: int) -> Event:
    return Event(f"order-{number}", "ada", "i" * 200, 1.0, 1_500_000_000)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is of Linux")
def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "events.db")) as store:
        store.append([_event(0)])
        size = (tmp_path / "events.db-wal").stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(StoreError, match="make room") as failed:
                store.append([_event(number) for number in range(1, 1000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert failed.value.cause == "disk_full"
        assert failed.value.detail == "disk I/O error"


def test_a_lock_that_another_process_holds_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_database, "PATIENCE", 0.05)
    with open_store(str(tmp_path / "events.db")) as store:
        holder = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process held it") as failed:
            store.append([_event(0)])
        holder.close()
        assert (failed.value.cause, failed.value.detail) == ("busy", "database is locked")


def test_a_file_that_is_no_database_is_damaged_and_one_that_was_moved_is_moved(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but a longer text than the head of one needs\n" * 9)
    with pytest.raises(StoreError) as failed:
        open_store(str(tmp_path / "text.db"))
    assert failed.value.cause == "damaged"
    with open_store(str(tmp_path / "events.db")) as store:
        (tmp_path / "events.db").rename(tmp_path / "elsewhere.db")
        with pytest.raises(StoreError) as failed:
            store.append([_event(0)])
        assert failed.value.cause == "moved"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "events.db")):
        pass
    (tmp_path / "events.db").chmod(0o400)
    with pytest.raises(StoreError) as failed:
        open_store(str(tmp_path / "events.db"))
    assert failed.value.cause == "refused"


def test_a_server_that_is_not_there_is_a_lost_connection() -> None:
    with pytest.raises(StoreError) as failed:
        open_store("postgresql://postgres:hush@127.0.0.1:1/nothing")
    assert failed.value.cause == "connection"
    assert "refused" in failed.value.detail.lower()
    assert not any(inside in failed.value.detail for inside in ("hush", "127.0.0.1", "nothing"))


@OWN_SERVER
def test_a_cut_connection_a_wrong_name_and_a_lock_of_postgresql_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_database, "PATIENCE", 0.2)
    with PostgresqlServer() as server:
        with pytest.raises(StoreError) as failed:
            open_store(f"{server.address}-of-nobody")
        assert failed.value.cause == "refused"
        with open_store(server.address) as store:
            with store._database.transaction("hold it", writing=True) as cursor:  # type: ignore[attr-defined]
                cursor.execute("SELECT * FROM recsys_store FOR UPDATE")
                with pytest.raises(StoreError) as failed:
                    store.append([_event(0)])
                assert failed.value.cause == "busy"
            server.die("immediate")
            with pytest.raises(StoreError) as failed:
                store.append([_event(0)])
            assert failed.value.cause == "connection"
            server.start()


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('duplicate key value violates unique constraint "recsys_events_pkey"', "recsys_events_pkey"),
        ("unable to open /srv/shop/events.db", "/srv"),
        ("connection to server on socket '/var/run/.s.PGSQL.5432' failed: No such file", "PGSQL"),
        ('connection to server at "::1" (::1), port 5432 failed: Connection refused', "::1"),
        ("host 10.0.0.7 is unreachable", "10.0.0.7"),
    ],
)
def test_details_name_nothing_of_the_installation(text: str, hidden: str) -> None:
    assert hidden not in detail_of(Exception(text))
    assert len(detail_of(Exception(text))) > 15
