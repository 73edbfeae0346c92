"""Opening a store, what its addresses may be, and what only SQLite or only PostgreSQL has to keep."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.data.feedback import Kind
from recsys.events import migrations
from recsys.events.addresses import is_address, located, open_store
from recsys.events.store import (
    Appended,
    Corrected,
    Correction,
    Erased,
    Event,
    EventStore,
    Recorded,
    StoreError,
    Undone,
)
from recsys.events.tokens import Token
from tests.events.store_addresses import address_of, users_of

if TYPE_CHECKING:
    from recsys.events.sql import SqlStore


def event(number: int, user: str = "ada") -> Event:
    return Event(f"e{number}", user, f"item {number}", number / 3, 1000 + number)


def test_what_was_written_is_there_when_opened_again(shared_address: str) -> None:
    with open_store(shared_address) as store:
        store.append([event(1), event(2, "bob")])
        before = list(store.replay())
    for _ in range(2):
        with open_store(shared_address, create=False) as store:
            assert list(store.replay()) == before


def test_a_store_that_must_exist_is_not_made(shared_address: str) -> None:
    with pytest.raises(StoreError, match=r"does not exist|holds no event store"):
        open_store(shared_address, create=False)
    open_store(shared_address).close()
    open_store(shared_address, create=False).close()


def test_migrations_are_applied_once_and_a_newer_schema_is_refused(
    shared_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.events import sql

    with open_store(shared_address) as store:
        store.append([event(1)])
    newer = (*migrations.MIGRATIONS, ("ALTER TABLE recsys_events ADD COLUMN place {text}",))
    with monkeypatch.context() as future:
        future.setattr(sql, "MIGRATIONS", newer)
        for _ in range(2):
            with open_store(shared_address) as store:
                assert [change.sequence for change in store.replay()] == [1]
    with pytest.raises(
        StoreError, match=f"schema version {len(newer)}, .* versions up to {len(newer) - 1}; use a newer recsys"
    ):
        open_store(shared_address)


_Row = tuple[str, tuple[object, ...]]

_V1 = (
    (1, "a", "ada", "x", 3.0, 30, "use"),
    (2, "b", "ada", "y", 1.0, 20, "use"),
    (3, "c", "bob", "y", 1.0, 20, "like"),
    (4, "d", "bob", "z", 1.0, 21, "dismiss"),
    (6, "e", "bob", "w", 4.5, 22, "like"),
)
"""Events as 0.1 wrote them, with 1 for no rating."""


def _write_old(address: str, steps: int, events: Sequence[tuple[object, ...]], others: Sequence[_Row] = ()) -> None:
    """Make a store as it was after the first migrations."""
    from recsys.events.sql_database import postgresql_database, sqlite_database

    sqlite = address.startswith("sqlite")
    path = Path(address.removeprefix("sqlite:///"))
    database = sqlite_database(path, create=True) if sqlite else postgresql_database(address, "old")
    rows = [("events (sequence, event_id, user_id, item_id, value, time, kind)", event) for event in events]
    rows += [*others, *(("schema (version, applied)", (version, 5)) for version in range(1, steps + 1))]
    with database.transaction("be written", writing=True) as cursor:
        for statement in (migrations.SCHEMA, *chain(*migrations.MIGRATIONS[:steps])):
            database.run(cursor, statement.format_map(migrations.TYPES[database.dialect]))
        for table, row in rows:
            database.run(cursor, f"INSERT INTO recsys_{table} VALUES ({', '.join('?' * len(row))})", row)
        database.run(cursor, "UPDATE recsys_store SET last_sequence = 7")
    database.close()


def _write_version_1(address: str, events: Sequence[tuple[object, ...]]) -> None:
    others: list[_Row] = [
        ("erasures (sequence, user_hash)", (5, "f" * 64)),
        ("corrections (sequence, user_id, persona, weight, model)", (7, "ada", 0, 0.5, "m")),
        ("tokens (token_hash, label, scopes, created, user_id)", ("a" * 64, "hers", "read", 5, "ada")),
    ]
    _write_old(address, 1, events, others)


def test_the_kinds_of_a_store_of_schema_3_are_migrated(shared_address: str) -> None:
    """A use with a value was a rating, a dismissal is a dislike, and what cannot have a value loses it."""
    _write_old(
        shared_address,
        3,
        [
            (1, "a", "ada", "x", 3.5, 30, "use"),
            (2, "b", "ada", "y", None, 31, "use"),
            (3, "c", "ada", "z", 1.0, 32, "like"),
            (4, "d", "ada", "w", 2.0, 33, "dismiss"),
        ],
    )
    with open_store(shared_address, create=False) as store:
        events = [record.event for record in store.of_users(["ada"])["ada"]]
        assert [(event.kind, event.value) for event in events] == [
            ("rating", 3.5),
            ("use", None),
            ("like", None),
            ("dislike", None),
        ]
        assert store.append(events) == Appended(0, 4)
        assert store.append([Event("a", "ada", "x", 3.5, 30)]) == Appended(0, 1)  # as its sender says it


def test_a_store_of_schema_5_takes_conditions_and_knows_none_of_before(shared_address: str) -> None:
    _write_old(shared_address, 5, [(1, "a", "ada", "x", 3.5, 30, "rating")])
    with open_store(shared_address, create=False) as store:
        before = Event("a", "ada", "x", 3.5, 30, "rating")
        assert [record.event for record in store.of_users(["ada"])["ada"]] == [before]
        now = Event("b", "ada", "x", 4.5, 40, "rating", "phone")
        assert store.append([replace(before, condition="phone"), now]) == Appended(1, 1)
        assert [record.event for record in store.of_users(["ada"])["ada"]] == [before, now]


def _as_sent_now(row: tuple[object, ...]) -> Event:
    """Return an event of 0.1 in the words of now: a like and a dislike have no value."""
    *rest, value, time, kind = row[1:]
    kind = "dislike" if kind == "dismiss" else kind
    return Event(*rest, value if kind == "use" else None, time, kind)  # type: ignore[arg-type, call-arg]


def _unrated(kind: Kind) -> Kind:
    return "use" if kind == "rating" else kind


@pytest.mark.parametrize("rating", [1.0, 3.0])
def test_a_store_of_version_0_1_is_migrated_with_its_events(shared_address: str, rating: float) -> None:
    """Where no use has another value than 1, none is a rating; else a use of 1 may be one, and is kept."""
    old = [(*row[:4], rating, *row[5:]) if row[0] == 1 else row for row in _V1]
    _write_version_1(shared_address, old)
    kept = set() if rating == 1 else {"a", "b"}
    with open_store(shared_address, create=False) as store:
        sent = [_as_sent_now(row) for row in old]
        events = [one if one.event_id in kept else replace(one, kind=_unrated(one.kind), value=None) for one in sent]
        recorded = [Recorded(int(row[0]), one) for row, one in zip(old, events, strict=True)]
        corrected = Corrected(7, "ada", 0, Correction(0.5, model="m"))
        assert list(store.replay()) == [*recorded[:4], Erased(5, "f" * 64), recorded[4], corrected]
        assert (store.count(), store.last_sequence()) == (5, 7)
        assert store.tokens() == [Token("a" * 64, "hers", frozenset({"read"}), 5, user_id="ada")]
        assert [record.sequence for record in store.of_users(["ada"])["ada"]] == [2, 1]
        # An event is the same whether it is sent again as it was sent, or as it would be sent now.
        assert store.append([*sent, *events]) == Appended(0, 10)
        assert store.append([Event("a", "bob", "x", None, 30)]) == Appended(1, 0)
        assert store.undo_event("bob", "c") == Undone(9, "bob", "c")
        assert store.unscrubbed() == int(shared_address.startswith("sqlite"))  # 0.1 may have died before the rewriting
        store.scrub()
        assert store.unscrubbed() == 0


def test_a_migration_that_fails_changes_nothing(shared_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.events import sql

    broken = (*migrations.MIGRATIONS, ("CREATE TABLE recsys_more (id INTEGER)", "CREATE NONSENSE"))
    with monkeypatch.context() as future:
        future.setattr(sql, "MIGRATIONS", broken)
        with pytest.raises(StoreError, match="cannot be opened"):
            open_store(shared_address)
    with open_store(shared_address) as store:
        assert store.append([event(1)]) == Appended(1, 0)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mysql://ada:hunter2@host/shop", "'mysql'"),
        ("postgres://ada:hunter2@host/shop", "did you mean 'postgresql'?"),
        ("sqlite://shop.db", "sqlite:///PATH"),
        ("", "memory:"),
        ("postgresql://ada:hunter2@127.0.0.1:1/shop", "postgresql://ada@127.0.0.1:1/shop cannot be opened"),
        ("postgresql://ada:x@hunter2@127.0.0.1:1/shop", "@ as %40"),
        ("postgresql://ada:/hunter2@127.0.0.1:no/shop", "/ as %2F"),
        ("postgresql://127.0.0.1:1/shop?password=hunter2&user=ada", "cannot be opened"),
    ],
)
def test_bad_addresses_are_refused_without_telling_the_password(address: str, told: str) -> None:
    pytest.importorskip("psycopg", reason="pip install recsys[serving]")
    with pytest.raises(StoreError) as error:
        open_store(address)
    assert told in str(error.value)
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_addresses_are_written_down_absolute_and_without_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("sqlite:///shop.db") == f"sqlite:///{tmp_path}/shop.db"
    assert located("postgresql://ada:p/q@r@host:5/shop?sslpassword=x") == "postgresql://ada@host:5/shop"
    assert located("postgresql://ada:x@host/shop?sslmode=require&password=x#12").endswith("shop?sslmode=require#12")
    assert located("sqlite:///shop.db#12") == f"sqlite:///{tmp_path}/shop.db#12"
    assert located("ml-latest-small") == "ml-latest-small"
    assert not is_address("folder/events.db")


# SQLite's file.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pytest.importorskip("sqlalchemy", reason="pip install recsys[serving]")
    return tmp_path / "events.db"


def test_files_that_are_no_store_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_text("userId,movieId\n1,2\n" * 500)
    with pytest.raises(StoreError, match="file is not a database; give the file of an event store"):
        open_store(str(file))
    with pytest.raises(StoreError, match="make its folder"):
        open_store(str(tmp_path / "missing" / "events.db"))
    with pytest.raises(StoreError, match="cannot be a file of events"):
        open_store(f"sqlite:///{tmp_path}")


def test_only_the_owner_can_read_the_file(file: Path) -> None:
    open_store(str(file)).close()
    assert file.stat().st_mode & 0o077 == 0


def _bytes(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))


def test_no_trace_of_an_erased_user_is_left_in_the_file(file: Path) -> None:
    """Enough events in random order that pages split: overwriting the deleted rows alone leaves a trace of user 3."""
    draw = random.Random(0)
    users = [f"user {number:03d} y{'x' * draw.randrange(20)}" for number in range(100)]
    with open_store(str(file)) as store, open_store(str(file)) as other:
        for _ in range(10):
            store.append(
                [
                    Event(f"{draw.getrandbits(64):x} of {user}", user, f"what {user} likes", 1.0, draw.randrange(10**9))
                    for user in draw.choices(users, k=600)
                ]
            )
        other.of_users(users)
        assert store.last_sequence() == len(list(other.replay()))
        for number, user in enumerate(users[:5]):
            assert user.encode() in _bytes(file)
            (store, other)[number % 2].erase_user(user)
            (store, other)[number % 2].scrub()
            assert user.encode() not in _bytes(file)
        assert users_of(store) == sorted(users[5:])


def test_an_erasure_returns_before_the_file_is_rewritten_and_the_next_opening_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.events import scrubbing

    with open_store(str(file)) as store:
        store.append([event(1, "somebody private")])
        store.erase_user("somebody private")
        assert store.unscrubbed() == 1
        assert store.count() == 0
        assert b"somebody private" in _bytes(file)
    monkeypatch.setattr(scrubbing, "_PAUSE", 0.0)
    with open_store(str(file)) as store:
        _wait(lambda: store.unscrubbed() == 0)
        assert b"somebody private" not in _bytes(file)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert until()


def test_erasing_at_once_succeeds_for_all_and_rewrites_the_file_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.events import scrubbing
    from recsys.events.sql_database import Database

    monkeypatch.setattr(scrubbing, "_PAUSE", 3600.0)
    rewritten = []
    connection = Database.connection

    def counting(database: Database, purpose: str) -> object:
        rewritten.extend([purpose] if purpose == "be rewritten" and database.label == str(file) else [])
        return connection(database, purpose)

    users = [f"user {number}" for number in range(24)]
    with open_store(str(file)) as store, open_store(str(file)) as other:
        store.append([event(number, user) for user in users for number in range(100)])
        monkeypatch.setattr(Database, "connection", counting)
        erased: list[Erased] = []
        threads = [
            threading.Thread(target=lambda user=user, by=by: erased.append(by.erase_user(user)))
            for user, by in zip(users, (store, other) * 12, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.sequence for one in erased) == list(range(2401, 2425))
        assert (store.count(), other.count()) == (0, 0)
        assert (store.unscrubbed(), rewritten) == (24, [])
        store.scrub()
        other.scrub()
        assert store.unscrubbed() == 0
        assert rewritten == ["be rewritten"] * 2  # one VACUUM, and the transaction that removes the marks
        assert not any(user.encode() in _bytes(file) for user in users)


def test_erasing_nobody_rewrites_nothing_and_lets_others_write(file: Path) -> None:
    with open_store(str(file)) as store, open_store(str(file)) as other:
        store.append([event(1)])
        identity, size = file.stat().st_ino, file.stat().st_size
        for number in range(20):
            store.erase_user(f"nobody {number % 10}")
            assert other.append([event(2 + number)]) == Appended(1, 0)
        assert store.last_sequence() == 1 + 10 + 20
        assert store.unscrubbed() == 0
        assert (file.stat().st_ino, file.stat().st_size) == (identity, size)


def test_a_reader_keeps_traces_in_the_log_until_it_is_done(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.events import sql_database

    monkeypatch.setattr(sql_database, "PATIENCE", 0.05)
    with open_store(str(file)) as store:
        store.append([event(1)])
        reader = sqlite3.connect(file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM recsys_events").fetchall()
        store.erase_user("ada")
        with pytest.raises(StoreError, match=r"traces are left in its file .*; it is tried again"):
            store.scrub()
        assert (store.count(), store.unscrubbed()) == (0, 1)
        reader.execute("COMMIT")
        reader.close()
        store.scrub()
        assert store.unscrubbed() == 0


def test_a_rewriting_that_fails_in_the_background_is_told_and_tried_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from recsys.events import scrubbing
    from recsys.events import sql_statements as sql

    monkeypatch.setattr(scrubbing, "_PAUSE", 0.0)
    monkeypatch.setattr(scrubbing, "_RETRY", 0.0)
    with open_store(str(file)) as store:
        store.append([event(1)])
        with monkeypatch.context() as failing:
            failing.setattr(sql, "SCRUBBED", "UPDATE nowhere SET x = ?")
            store.erase_user("ada")
            _wait(lambda: "traces are left in its file (the event store" in caplog.text)
            assert store.unscrubbed() == 1
        _wait(lambda: store.unscrubbed() == 0)


def test_a_store_that_stays_locked_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.events import sql_database

    open_store(str(file)).close()
    monkeypatch.setattr(sql_database, "PATIENCE", 0.05)
    with open_store(str(file)) as store:
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked; another process held it"):
            store.append([event(1)])
        holder.execute("ROLLBACK")
        holder.close()
        assert store.append([event(1)]) == Appended(1, 0)


def test_sqlite_syncs_every_commit(file: Path) -> None:
    from recsys.events.sql import SqlStore
    from recsys.events.sql_database import sqlite_database

    with SqlStore(sqlite_database(file, create=True)) as store, store._database._engine.connect() as connection:
        modes = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete")
        ]
    assert modes == ["wal", 2, 1]


def test_what_was_read_keeps_no_old_state_of_the_file(file: Path) -> None:
    with open_store(str(file)) as store, open_store(str(file)) as other:
        for number in range(1, 4):
            other.append([event(number)])
            assert [store.last_sequence(), len(store.since(0, 2))] == [number, min(number, 2)]
            checkpointing = sqlite3.connect(file)
            assert checkpointing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
            checkpointing.close()
            assert Path(f"{file}-wal").stat().st_size == 0


def test_closing_lets_go_of_the_file(file: Path) -> None:
    log = Path(f"{file}-wal")  # which SQLite removes with the last connection
    store = open_store(str(file))
    store.append([event(1)])
    store.since(0, 5)
    assert log.exists()
    store.close()
    assert not log.exists()
    assert store.last_sequence() == 1  # by whoever was about to ask
    assert not log.exists()


# PostgreSQL's session.


def test_postgresql_commits_durably_even_where_the_server_does_not(tmp_path: Path) -> None:
    from recsys.events.sql import SqlStore

    with address_of("postgresql", tmp_path) as address:
        lazy = open_store(address + "%20-csynchronous_commit%3Doff")
        assert isinstance(lazy, SqlStore)
        with lazy, lazy._database._engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_broken_connection_is_replaced(tmp_path: Path) -> None:
    from recsys.events.sql import SqlStore

    with address_of("postgresql", tmp_path) as address, open_store(address) as store, open_store(address) as other:
        assert isinstance(store, SqlStore)
        assert isinstance(other, SqlStore)
        store.append([event(1)])
        with store._database._engine.connect() as connection:
            backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with other._database._engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_terminate_backend({backend})")
        assert store.append([event(1), event(2)]) == Appended(1, 1)


def _reading(store: SqlStore, count: int) -> list[int]:
    """Let as many connections of a store be used and kept; return what their processes in the server are called."""
    store._database._idle.extend([store._database._new_reader() for _ in range(count - len(store._database._idle))])
    return [reader.connection.info.backend_pid for reader in store._database._idle]


def _states(store: SqlStore, backends: list[int]) -> list[str]:
    with store._database._engine.connect() as connection:
        asked = f"SELECT state FROM pg_stat_activity WHERE pid IN ({', '.join(map(str, backends))})"
        return list(connection.exec_driver_sql(asked).scalars())


@pytest.mark.parametrize("ask", [lambda store: store.last_sequence(), lambda store: store.since(0, 5)[-1].sequence])
def test_broken_connections_of_readers_are_replaced(tmp_path: Path, ask: Callable[[EventStore], int]) -> None:
    from recsys.events.sql import SqlStore

    with address_of("postgresql", tmp_path) as address, open_store(address) as store, open_store(address) as other:
        assert isinstance(store, SqlStore)
        assert isinstance(other, SqlStore)
        store.append([event(1)])
        backends = _reading(store, 3)
        with other._database._engine.connect() as connection:
            for backend in backends:
                connection.exec_driver_sql(f"SELECT pg_terminate_backend({backend}, 5000)")
        assert ask(store) == 1
        assert len(store._database._idle) == 1


def test_readers_are_never_idle_in_a_transaction_and_end_with_the_store(tmp_path: Path) -> None:
    from recsys.events.sql import SqlStore

    with address_of("postgresql", tmp_path) as address, open_store(address) as store, open_store(address) as other:
        assert isinstance(store, SqlStore)
        assert isinstance(other, SqlStore)
        backends = _reading(store, 1)
        assert (store.last_sequence(), store.since(0, 5)) == (0, ())
        assert _states(other, backends) == ["idle"]
        store.close()
        deadline = time.monotonic() + 20
        while _states(other, backends) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _states(other, backends) == []


@pytest.mark.parametrize("put_back", [True, False])
def test_a_file_that_was_taken_away_is_not_written_to(tmp_path: Path, put_back: bool) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        store.append([event(1)])
        for part in tmp_path.glob("events.db*"):
            part.rename(tmp_path / f"away-{part.name}")
        if not put_back:
            open_store(str(file)).close()  # another store in its place
        for ask in (lambda: store.append([event(2)]), store.count, store.last_sequence, lambda: store.since(0, 5)):
            with pytest.raises(StoreError, match="moved, removed or replaced while it was in use; put it back"):
                ask()
        if put_back:
            for part in tmp_path.glob("away-*"):
                part.rename(tmp_path / part.name.removeprefix("away-"))
            assert store.append([event(1), event(2)]) == Appended(1, 1)
