"""An event store that threads and processes share: nothing is lost, nothing is seen too early."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.events.addresses import open_store
from recsys.events.batches import Key
from recsys.events.store import (
    Change,
    Event,
    EventStore,
    Recorded,
    StoreError,
)
from tests.events import store_writer
from tests.events.store_addresses import event

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor


ROOT = Path(__file__).parents[2]


def test_threads_share_a_store(store: EventStore) -> None:
    def write(name: str) -> None:
        for number in range(10):
            store.append(store_writer.batch(name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == store.last_sequence() == 10 * (3 * (store_writer.SIZE - 1) + 1)


def test_nothing_becomes_visible_before_what_has_a_smaller_number(
    shared_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One writer stops between taking its numbers and committing; the other must not overtake it."""
    from recsys.events.sql import SqlStore

    numbered, go_on, stored = threading.Event(), threading.Event(), SqlStore._stored

    def stopping(store: SqlStore, cursor: DBAPICursor, keys: Sequence[Key]) -> dict[Key, Event | None]:
        if ("ada", "e1") in keys:
            numbered.set()
            assert go_on.wait(20)
        return stored(store, cursor, keys)

    monkeypatch.setattr(SqlStore, "_stored", stopping)
    with open_store(shared_address) as store:
        first = threading.Thread(target=store.append, args=([event(1)],))
        second = threading.Thread(target=store.append, args=([event(2)],))
        first.start()
        assert numbered.wait(20)
        second.start()
        second.join(0.3)  # time enough to overtake, if that were possible
        seen = store.since(0, 10)
        go_on.set()
        first.join()
        second.join()
        assert seen == ()
        assert store.since(0, 10) == (Recorded(1, event(1)), Recorded(2, event(2)))


def test_what_another_store_commits_is_seen_at_once(shared_address: str) -> None:
    with open_store(shared_address) as writer, open_store(shared_address) as reader:
        for number in range(1, 6):
            assert (reader.last_sequence(), reader.since(number - 1, 10)) == (number - 1, ())
            writer.append([event(number)])
            assert (reader.last_sequence(), reader.since(number - 1, 10)) == (
                number,
                (Recorded(number, event(number)),),
            )


def test_many_threads_read_at_once_over_few_connections(shared_address: str) -> None:
    from recsys.events import sql, sql_database

    together, read = threading.Barrier(20), []
    with open_store(shared_address) as store:
        assert isinstance(store, sql.SqlStore)
        store.append([event(1)])

        def ask() -> None:
            together.wait(20)
            read.extend([(store.last_sequence(), store.since(0, 5)) for _ in range(20)])

        threads = [threading.Thread(target=ask) for _ in range(together.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read == [(1, (Recorded(1, event(1)),))] * 400
        assert 1 <= len(store._database._idle) <= sql_database.READERS


def test_a_reading_does_not_wait_for_ever(shared_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.events import sql, sql_database

    monkeypatch.setattr(sql_database, "PATIENCE", 0.01)
    with open_store(shared_address) as store:
        assert isinstance(store, sql.SqlStore)
        for _ in range(sql_database.READERS):
            store._database._turns.acquire()
        with pytest.raises(StoreError, match="cannot be read: 4 statements have been waiting"):
            store.last_sequence()
        store._database._turns.release(sql_database.READERS)
        assert store.last_sequence() == 0


def test_a_reading_that_fails_stands_in_nobodys_way(shared_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.events import sql_database, sql_statements

    with open_store(shared_address) as store:
        store.append([event(1)])
        with monkeypatch.context() as failing:
            failing.setattr(sql_statements, "LAST", "SELECT nonsense FROM nowhere")
            for _ in range(2 * sql_database.READERS):
                with pytest.raises(StoreError, match=r"cannot be read: .*nowhere"):
                    store.last_sequence()
        assert store.last_sequence() == 1


def _writer(address: str, name: str, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(store_writer.__file__)), address, name, "0", str(last)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _go(*writers: subprocess.Popen[str]) -> None:
    """Let processes write, once all have opened the store."""
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.close()


def test_two_processes_start_and_write_at_once_and_a_reader_misses_nothing(shared_address: str) -> None:
    """The store does not exist yet: both processes and the reader create it. The reader follows while they write."""
    writers = [_writer(shared_address, name, 40) for name in ("a", "b")]
    seen: list[Change] = []
    with open_store(shared_address) as store:
        _go(*writers)
        while any(writer.poll() is None for writer in writers):
            seen.extend(store.since(seen[-1].sequence if seen else 0, 7))
        seen.extend(store.replay(after=seen[-1].sequence if seen else 0))
        assert seen == list(store.replay())
        assert [change.sequence for change in seen] == list(range(1, len(seen) + 1))
        sent = {e for name in ("a", "b") for number in range(40) for e in store_writer.batch(name, number)}
        assert {change.event for change in seen if isinstance(change, Recorded)} == sent
        assert len(seen) == len(sent)
    for writer in writers:
        assert writer.wait() == 0
        assert writer.stdout is not None
        writer.stdout.close()


def test_a_writer_that_is_killed_loses_nothing_it_was_confirmed(shared_address: str) -> None:
    confirmed: list[int] = []
    for kill_after in (1, 5, 12):
        # Each time from the start again: what is there already is not taken twice.
        writer = _writer(shared_address, "a", 100_000)
        _go(writer)
        assert writer.stdout is not None
        lines = [int(writer.stdout.readline()) for _ in range(kill_after)]
        writer.kill()
        confirmed = [*lines, *map(int, writer.stdout.read().split())]
        writer.wait()
        writer.stdout.close()
        with open_store(shared_address) as store:
            events = [change.event for change in store.replay() if isinstance(change, Recorded)]
        held = {one.event_id for one in events}
        assert len(held) == len(events)
        assert {e.event_id for number in confirmed for e in store_writer.batch("a", number)} <= held
        # What was not confirmed is there as a whole or not at all.
        numbers = {one.time for one in events}
        assert held == {e.event_id for number in numbers for e in store_writer.batch("a", number)}
    assert confirmed
