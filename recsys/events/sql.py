"""The event store in SQLite (WAL mode) and PostgreSQL (psycopg 3), through SQLAlchemy Core.

The order of changes. A serial column would hand out numbers in the order of asking, while transactions become visible
in the order of committing: a reader that has seen 7 may find 6 appear later, and never looks there again. Here a writer
first updates the one row of `recsys_store`, which holds the last number, and so locks it to the end of its transaction.
The next writer therefore starts from committed numbers, and no rolled-back transaction leaves a gap. In SQLite the lock
is BEGIN IMMEDIATE.

Durability. A commit returns when the log of the database is on disk: `synchronous=FULL` in SQLite, `synchronous_commit`
in PostgreSQL, which is switched on where it is off.

Erasure in SQLite. Deleted rows are overwritten (`secure_delete`), but not the copies that the splitting of pages leaves
behind in their unused parts, nor the write-ahead log. So the file is written anew (VACUUM) and the log cut to nothing.
A mark in the file's header says that this is still to be done, if the process dies in between.

What is asked before every answer, and the taking of events, goes to the driver as bare statements: the library makes
and prepares each statement anew, at several times the cost of executing it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor

from recsys.events.migrations import MIGRATIONS, TYPES
from recsys.events.sql_readers import Readers
from recsys.events.store import (
    SCOPES,
    Appended,
    Change,
    Corrected,
    Correction,
    Erased,
    Event,
    EventStore,
    Recorded,
    StoreError,
    Token,
    check_id,
    check_page,
    check_persona,
    distinct,
    fresh,
    user_hash,
)

LOGGER = logging.getLogger("recsys.serving")

_PATIENCE = 30
"""Seconds that a writer waits for another one."""

_ASKED_AT_ONCE = 1000
"""Ids in one question, which bounds the parameters of a statement."""

_MIGRATION_LOCK = 7_283_977_761
"""Any number: the workers that start at once on one PostgreSQL migrate one after the other."""

_BEGIN = "recsys_begin"
_META = sa.MetaData()
_STORE = sa.Table(
    "recsys_store", _META, sa.Column("id", sa.Integer, primary_key=True), sa.Column("last_sequence", sa.BigInteger)
)
_SCHEMA = sa.Table(
    "recsys_schema",
    _META,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied", sa.BigInteger),
)
_EVENTS = sa.Table(
    "recsys_events",
    _META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Text),
    sa.Column("user_id", sa.Text),
    sa.Column("item_id", sa.Text),
    sa.Column("value", sa.Double),
    sa.Column("time", sa.BigInteger),
    sa.Column("kind", sa.Text),
)
_ERASURES = sa.Table(
    "recsys_erasures",
    _META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("user_hash", sa.Text),
)
_CORRECTIONS = sa.Table(
    "recsys_corrections",
    _META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text),
    sa.Column("persona", sa.Integer),
    sa.Column("weight", sa.Double),
    sa.Column("name", sa.Text),
    sa.Column("model", sa.Text),
)
_TOKENS = sa.Table(
    "recsys_tokens",
    _META,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("label", sa.Text),
    sa.Column("scopes", sa.Text),
    sa.Column("created", sa.BigInteger),
    sa.Column("user_id", sa.Text),
    sa.Column("expires", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)


# Bare statements. A `?` is what the driver of SQLite writes for a parameter; for that of PostgreSQL it is replaced.

_LAST = "SELECT last_sequence FROM recsys_store"
_RESERVE = "UPDATE recsys_store SET last_sequence = last_sequence + ? RETURNING last_sequence"

# One statement sees one state of the database, so nothing can be missed between the tables. Each of them is cut to the
# page: PostgreSQL would read and sort the whole of them to cut it from all together.
_SINCE = """
    SELECT * FROM (
        SELECT 0, sequence, event_id, user_id, item_id, value, time, kind FROM recsys_events
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS recorded
    UNION ALL SELECT * FROM (
        SELECT 1, sequence, user_id, name, model, weight, persona, '' FROM recsys_corrections
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS corrected
    UNION ALL SELECT * FROM (
        SELECT 2, sequence, user_hash, '', '', 0, 0, '' FROM recsys_erasures
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS erased
"""
_SEQUENCE = itemgetter(1)

_HELD = "SELECT event_id, user_id, item_id, value, time, kind FROM recsys_events WHERE event_id"
_INSERT = "INSERT INTO recsys_events (sequence, event_id, user_id, item_id, value, time, kind) "
_ROW = "VALUES (?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = (
    "SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::double precision[], %s::bigint[], "
    "%s::text[])"
)
"""The rows of a batch as PostgreSQL takes them with one statement."""


@final
class SqlStore(EventStore):
    """See `EventStore`; made by `open_sqlite` and `open_postgresql`.

    Args:
        engine: of one of the two databases, with its connections prepared.
        label: how errors call it, without secrets.
        file: of the database, if it is one. SQLite goes on writing to a file that was moved or removed, and later
            connections open another one.
        secret: what no error may show.
        create: whether to create and migrate the schema, or to insist that it is there.

    Raises:
        StoreError: the database cannot be used, has no schema and none may be made, or one newer than this program.
    """

    def __init__(
        self, engine: sa.Engine, label: str, *, file: Path | None = None, secret: str = "", create: bool = True
    ) -> None:
        self._engine = engine
        self._file = file
        self._inode = None if file is None else _inode(file)
        self._label = label
        self._secret = secret
        self._sqlite = engine.dialect.name == "sqlite"
        place = "?" if self._sqlite else "%s"
        self._reserving, self._changed_since = (text.replace("?", place) for text in (_RESERVE, _SINCE))
        self._readers = Readers(self._reader, self._is_dead)
        try:
            with self._transaction("be opened", writing=True) as connection:
                self._migrate(connection, create=create)
            if self._sqlite and (mark := self._mark()):
                self._scrub(mark, required=False)
        except BaseException:
            engine.dispose()
            raise

    def append(self, events: Sequence[Event]) -> Appended:
        batch = distinct(events)
        if not batch:
            return Appended(0, 0)
        with self._bare_transaction("take events") as cursor:
            first = self._reserve(cursor, len(batch))
            new = fresh(batch, self._held(cursor, list(batch)))
            if new:
                self._insert(cursor, first, new)
            if len(new) < len(batch):
                self._reserve(cursor, len(new) - len(batch))
        return Appended(len(new), len(events) - len(new))

    def of_users(self, user_ids: Iterable[str], after: int | None = None) -> dict[str, tuple[Recorded, ...]]:
        found: dict[str, list[Recorded]] = {user: [] for user in user_ids}
        history = sa.select(_EVENTS).order_by(_EVENTS.c.user_id, _EVENTS.c.time, _EVENTS.c.sequence)
        if after is not None:
            history = history.where(_EVENTS.c.sequence > after)
        with self._transaction("read histories") as connection:
            for users in _portions(list(found)):
                for row in connection.execute(history.where(_EVENTS.c.user_id.in_(users))):
                    found[row.user_id].append(_recorded(row))
        return {user: tuple(records) for user, records in found.items()}

    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        check_page(sequence, limit)
        rows = self._read("read changes", self._changed_since, (sequence, limit) * 3)
        return tuple(map(_change, sorted(rows, key=_SEQUENCE)[:limit]))

    def last_sequence(self) -> int:
        ((last,),) = self._read("be read", _LAST)
        return int(last)

    def count(self) -> int:
        with self._transaction("count events") as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(_EVENTS)).scalar_one())

    def users(self) -> list[str]:
        with self._transaction("list users") as connection:
            return list(
                connection.execute(sa.select(_EVENTS.c.user_id).distinct().order_by(_EVENTS.c.user_id)).scalars()
            )

    def erase_user(self, user_id: str) -> Erased:
        check_id("user_id", user_id)
        with self._transaction("erase a user", writing=True) as connection:
            erased = Erased(_reserve(connection, 1), user_hash(user_id))
            for table in (_EVENTS, _CORRECTIONS, _TOKENS):
                connection.execute(table.delete().where(table.c.user_id == user_id))
            connection.execute(_ERASURES.insert(), {"sequence": erased.sequence, "user_hash": erased.user_hash})
            mark = 1 + erased.sequence % 2**30
            if self._sqlite:
                connection.exec_driver_sql(f"PRAGMA user_version = {mark}")
        if self._sqlite:
            self._scrub(mark, required=True)
        return erased

    def put_correction(self, user_id: str, persona: int, correction: Correction) -> Corrected:
        check_id("user_id", user_id)
        check_persona(persona)
        with self._transaction("keep a correction", writing=True) as connection:
            corrected = Corrected(_reserve(connection, 1), user_id, persona, correction)
            table = _CORRECTIONS
            connection.execute(table.delete().where(table.c.user_id == user_id, table.c.persona == persona))
            connection.execute(
                table.insert(),
                {
                    "sequence": corrected.sequence,
                    "user_id": user_id,
                    "persona": persona,
                    "weight": correction.weight,
                    "name": correction.name,
                    "model": correction.model,
                },
            )
        return corrected

    def corrections(self, user_id: str) -> dict[int, Correction]:
        own = sa.select(_CORRECTIONS).where(_CORRECTIONS.c.user_id == user_id).order_by(_CORRECTIONS.c.persona)
        with self._transaction("read corrections") as connection:
            return {row.persona: _corrected(row).correction for row in connection.execute(own)}

    def put_token(self, token: Token) -> None:
        row = {
            "token_hash": token.token_hash,
            "label": token.label,
            "scopes": " ".join(scope for scope in SCOPES if scope in token.scopes),
            "created": token.created,
            "user_id": token.user_id,
            "expires": token.expires,
            "revoked": token.revoked,
        }
        with self._transaction("keep a token", writing=True) as connection:
            _reserve(connection, 0)
            if connection.execute(_token_of(token.token_hash)).first() is not None:
                raise StoreError("there is a token with this hash; make another secret")
            connection.execute(_TOKENS.insert(), row)

    def token(self, token_hash: str) -> Token | None:
        with self._transaction("read a token") as connection:
            row = connection.execute(_token_of(token_hash)).first()
        return None if row is None else _token(row)

    def tokens(self) -> list[Token]:
        with self._transaction("list tokens") as connection:
            ordered = sa.select(_TOKENS).order_by(_TOKENS.c.created, _TOKENS.c.token_hash)
            return [_token(row) for row in connection.execute(ordered)]

    def revoke_token(self, token_hash: str, now: int) -> bool:
        with self._transaction("revoke a token", writing=True) as connection:
            unrevoked = _TOKENS.update().where(_TOKENS.c.token_hash == token_hash, _TOKENS.c.revoked.is_(None))
            connection.execute(unrevoked.values(revoked=now))
            return connection.execute(_token_of(token_hash)).first() is not None

    def ping(self) -> None:
        self.last_sequence()

    def close(self) -> None:
        self._readers.close()
        self._engine.dispose()

    def _reserve(self, cursor: DBAPICursor, count: int) -> int:
        """As the function `_reserve`, which is for what is asked seldom."""
        cursor.execute(self._reserving, (count,))
        ((last,),) = cursor.fetchall()
        return int(last) - count + 1

    def _held(self, cursor: DBAPICursor, event_ids: Sequence[str]) -> dict[str, Event]:
        held: dict[str, Event] = {}
        for ids in _portions(event_ids):
            if self._sqlite:
                cursor.execute(f"{_HELD} IN ({', '.join('?' * len(ids))})", ids)
            else:
                cursor.execute(f"{_HELD} = ANY(%s)", (ids,))
            held.update((row[0], Event(*row)) for row in cursor.fetchall())
        return held

    def _insert(self, cursor: DBAPICursor, first: int, events: Sequence[Event]) -> None:
        rows = [
            (sequence, event.event_id, event.user_id, event.item_id, event.value, event.time, event.kind)
            for sequence, event in enumerate(events, start=first)
        ]
        if self._sqlite:
            cursor.executemany(_INSERT + _ROW, rows)
        else:
            cursor.execute(_INSERT + _COLUMNS, [list(column) for column in zip(*rows, strict=True)])

    def _read(self, purpose: str, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Return the rows of one bare statement that writes nothing."""
        self._check_file(purpose)
        try:
            return self._readers.ask(statement, parameters)
        except (exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, TimeoutError) as error:
            raise self._told(purpose, error) from None

    def _reader(self) -> DBAPICursor:
        """Return a cursor of a connection beside the pool, for statements outside a transaction."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if not self._sqlite:
            connection.autocommit = True  # never idle in a transaction
        cursor: DBAPICursor = connection.cursor()
        return cursor

    def _is_dead(self, error: BaseException, cursor: DBAPICursor) -> bool:
        dialect = self._engine.dialect
        return isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, cursor.connection, cursor)

    @contextmanager
    def _transaction(self, purpose: str, *, writing: bool = False) -> Iterator[sa.Connection]:
        """One transaction, committed at the end; errors of the database become errors that people can read."""
        how = "BEGIN IMMEDIATE" if writing else "BEGIN"
        try:
            with self._engine.connect().execution_options(**{_BEGIN: how}) as connection, connection.begin():
                self._check_file(purpose)
                yield connection
        except exc.SQLAlchemyError as error:
            raise self._told(purpose, error) from None

    @contextmanager
    def _bare_transaction(self, purpose: str) -> Iterator[DBAPICursor]:
        """As `_transaction` that writes, for bare statements."""
        driver = self._engine.dialect.loaded_dbapi
        try:
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                if self._sqlite:
                    cursor.execute("BEGIN IMMEDIATE")
                self._check_file(purpose)
                yield cursor
                connection.commit()
            except driver.Error:
                connection.invalidate()
                raise
            finally:
                connection.close()  # to the pool, which rolls back what was not committed
        except (exc.SQLAlchemyError, driver.Error) as error:
            raise self._told(purpose, error) from None

    def _check_file(self, purpose: str) -> None:
        if self._file is not None and _inode(self._file) != self._inode:
            raise StoreError(
                f"the event store {self._label} cannot {purpose}: its file was moved, removed or replaced while it was "
                "in use; put it back, or start again"
            )

    def _told(self, purpose: str, error: Exception) -> StoreError:
        cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
        reason = " ".join(str(cause).split())
        if self._secret:
            reason = reason.replace(self._secret, "***")
        cure = "see that the database is there and has room, then try again: what was not confirmed was not done"
        if "locked" in reason or "lock timeout" in reason:
            cure = f"another process held it for more than {_PATIENCE} seconds; try again when it is done"
        elif "not a database" in reason:
            cure = "give the file of an event store, or a new name"
        return StoreError(f"the event store {self._label} cannot {purpose}: {reason}; {cure}")

    def _migrate(self, connection: sa.Connection, *, create: bool) -> None:
        if not self._sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        version = 0
        if sa.inspect(connection).has_table(_SCHEMA.name):
            version = connection.execute(sa.select(sa.func.max(_SCHEMA.c.version))).scalar_one() or 0
        if version > len(MIGRATIONS):
            raise StoreError(
                f"the event store {self._label} has schema version {version}, this program knows versions up to "
                f"{len(MIGRATIONS)}; use a newer recsys, or another store"
            )
        if version == 0:
            if not create:
                raise StoreError(f"{self._label} holds no event store; give the address of one that was served from")
            connection.execute(sa.schema.CreateTable(_SCHEMA))
        types = TYPES[self._engine.dialect.name]
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                connection.exec_driver_sql(statement.format_map(types))
            connection.execute(_SCHEMA.insert(), {"version": number, "applied": int(time.time())})

    def _mark(self) -> int:
        """Return the mark of an erasure whose traces are still in the file; 0 where there is none."""
        with self._transaction("be opened") as connection:
            return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def _scrub(self, mark: int, *, required: bool) -> None:
        """Write the file anew without what was erased, and take the mark off unless a later erasure set its own."""
        try:
            with self._engine.connect().execution_options(**{_BEGIN: ""}) as connection:
                connection.exec_driver_sql("VACUUM")
                if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]:
                    raise StoreError("another process reads it")
            with self._transaction("be opened", writing=True) as connection:
                if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == mark:
                    connection.exec_driver_sql("PRAGMA user_version = 0")
        except (exc.SQLAlchemyError, StoreError) as error:
            told = StoreError(
                f"a user is erased from {self._label}, but traces are left in its file "
                f"({' '.join(str(error).split())}); erase the user again, or open the store again when no other "
                "process uses it"
            )
            if required:
                raise told from None
            LOGGER.warning("%s", told)


def open_sqlite(path: Path, *, create: bool = True) -> SqlStore:
    """Open the event store in an SQLite file; see `recsys.events.addresses.open_store`."""
    label = str(path)
    if path.is_dir() or not path.parent.is_dir():
        raise StoreError(f"{label} cannot be a file of events; make its folder, or give another path")
    try:
        if create:
            path.touch(mode=0o600)  # what people do is nobody else's business
        elif not path.exists():
            raise StoreError(f"{label} does not exist; give the file of an event store")
    except OSError as error:
        raise StoreError(f"{label} cannot be written: {error.strerror}; give another path") from None
    engine = sa.create_engine(
        sa.URL.create("sqlite+pysqlite", database=label),
        connect_args={"timeout": _PATIENCE, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return SqlStore(engine, label, file=path, create=create)


def open_postgresql(url: str, label: str, *, create: bool = True) -> SqlStore:
    """Open the event store in a PostgreSQL database; see `recsys.events.addresses.open_store`."""
    try:
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
        waiting = {} if "connect_timeout" in address.query else {"connect_timeout": 10}
        if "@" in (address.host or ""):
            raise ValueError("part of the password was taken for the host")
        engine = sa.create_engine(address, pool_pre_ping=True, connect_args=waiting)
    except (exc.ArgumentError, ValueError):
        raise StoreError(
            "the address of the event store cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, in "
            "the password / as %2F, @ as %40, : as %3A and % as %25"
        ) from None
    sa.event.listen(engine, "connect", _prepare_postgresql)
    secret = str(address.password or address.query.get("password", ""))
    return SqlStore(engine, label, secret=secret, create=create)


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says, not where the driver guesses
    # Two processes that both turn a new file to WAL: one is told "locked" at once, without waiting.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    # fullfsync: on macOS fsync alone leaves data in the drive's cache.
    for pragma in ("synchronous = FULL", "fullfsync = ON", "secure_delete = ON", "journal_size_limit = 67108864"):
        connection.execute(f"PRAGMA {pragma}")


def _inode(file: Path) -> tuple[int, int] | None:
    """Return what a file is on its disk, whatever it is called; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


def _prepare_postgresql(connection: Any, _: object) -> None:  # noqa: ANN401 (psycopg is an optional library)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT set_config('lock_timeout', '{_PATIENCE}s', false)")
        # A plan that was kept from when the table was small would read the whole of it for every batch.
        cursor.execute("SELECT set_config('plan_cache_mode', 'force_custom_plan', false)")
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.execute("SELECT current_setting('fsync')")
        if cursor.fetchone()[0] == "off":
            LOGGER.warning("the PostgreSQL server runs with fsync = off: accepted events can be lost; switch it on")
    connection.commit()


def _reserve(connection: sa.Connection, count: int) -> int:
    """Become the only writer until the transaction ends; return the first of `count` new numbers."""
    last = _STORE.c.last_sequence
    counted = _STORE.update().values(last_sequence=last + count).returning(last)
    return int(connection.execute(counted).scalar_one()) - count + 1


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _ASKED_AT_ONCE] for start in range(0, len(ids), _ASKED_AT_ONCE))


def _token_of(token_hash: str) -> sa.Select[Any]:
    return sa.select(_TOKENS).where(_TOKENS.c.token_hash == token_hash)


def _recorded(row: sa.Row[Any]) -> Recorded:
    return Recorded(row.sequence, Event(row.event_id, row.user_id, row.item_id, row.value, row.time, row.kind))


def _corrected(row: sa.Row[Any]) -> Corrected:
    return Corrected(row.sequence, row.user_id, row.persona, Correction(row.weight, row.name, row.model))


def _change(row: Sequence[Any]) -> Change:
    """Read a row of `_SINCE`."""
    kind, sequence, first, second, third, number, whole, last = row
    if kind == 0:
        return Recorded(sequence, Event(first, second, third, number, whole, last))
    if kind == 1:
        return Corrected(sequence, first, whole, Correction(number, second, third))
    return Erased(sequence, first)


def _token(row: sa.Row[Any]) -> Token:
    scopes = frozenset(scope for scope in SCOPES if scope in row.scopes.split())
    return Token(row.token_hash, row.label, scopes, row.created, row.user_id, row.expires, row.revoked)
