"""The event store in SQLite (WAL mode) and PostgreSQL (psycopg 3), over SQLAlchemy's pools.

Order of changes. A serial column hands out numbers in the order of asking, while transactions become visible in the
order of committing: a reader that has seen 7 may find 6 appear later, and would never look there again. Here a writer
first updates the one row of `recsys_store`, which holds the last number, and so locks it to the end of its transaction.
The next writer starts from committed numbers, and a rolled-back transaction leaves no gap. In SQLite the lock is BEGIN
IMMEDIATE.

Durability. A commit returns when the log of the database is on disk: `synchronous=FULL` in SQLite, `synchronous_commit`
in PostgreSQL, which is switched on where it is off.

Erasure in SQLite. Deleted rows are overwritten (`secure_delete`), but neither the copies that page splits leave behind
nor the write-ahead log. So the file is rewritten (VACUUM) and the log truncated. A mark in the file's header
(`user_version`) says that this is still to be done, if the process dies in between.

Statements go to the driver directly: SQLAlchemy, which pools the connections and knows which errors end one, would
compile each statement anew, at several times the cost of executing it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor

from recsys.events import sql_statements as sql
from recsys.events.checks import check_id, check_page, check_persona
from recsys.events.migrations import MIGRATIONS, SCHEMA, TYPES
from recsys.events.sql_engines import PATIENCE, postgresql_engine, sqlite_engine
from recsys.events.sql_readers import Readers
from recsys.events.store import (
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
    distinct,
    fresh,
    user_hash,
)

LOGGER = logging.getLogger("recsys.serving")

_CHUNK = 1000
"""Ids in one statement, which bounds its parameters."""

_MIGRATION_LOCK = 7_283_977_761
"""Any number: processes that open one PostgreSQL database at once migrate it one after the other."""


@final
class SqlStore(EventStore):
    """See `EventStore`; made by `open_sqlite` and `open_postgresql`.

    Args:
        engine: of one of the two databases; see `recsys.events.sql_engines`.
        label: the store's name in errors, without secrets.
        file: of an SQLite database, watched because SQLite goes on writing to a file that was moved or removed, while
            new connections open another one.
        secret: what no error may show.
        create: whether to create the schema where there is none.

    Raises:
        StoreError: the database cannot be used, or has no schema that this program can use.
    """

    def __init__(
        self, engine: sa.Engine, label: str, *, file: Path | None = None, secret: str = "", create: bool = True
    ) -> None:
        self._engine = engine
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._file = file
        self._inode = None if file is None else _inode(file)
        self._label = label
        self._secret = secret
        self._sqlite = engine.dialect.name == "sqlite"
        self._readers = Readers(self._reader, self._is_dead)
        try:
            with self._transaction("be opened", writing=True) as cursor:
                self._migrate(cursor, create=create)
            if self._sqlite and (mark := self._erasure_mark()):
                self._scrub(mark, required=False)
        except BaseException:
            engine.dispose()
            raise

    def append(self, events: Sequence[Event]) -> Appended:
        batch = distinct(events)
        if not batch:
            return Appended(0, 0)
        with self._transaction("take events", writing=True) as cursor:
            first = self._reserve(cursor, len(batch))
            new = fresh(batch, self._stored(cursor, list(batch)))
            if new:
                self._insert(cursor, first, new)
            if len(new) < len(batch):
                self._reserve(cursor, len(new) - len(batch))
        return Appended(len(new), len(events) - len(new))

    def of_users(self, user_ids: Iterable[str], after: int | None = None) -> dict[str, tuple[Recorded, ...]]:
        histories: dict[str, list[Recorded]] = {user: [] for user in user_ids}
        with self._transaction("read histories") as cursor:
            for users in _chunks(list(histories)):
                among, parameters = self._among(users)
                for row in self._run(cursor, sql.HISTORIES.format(among=among), (after or 0, *parameters)):
                    histories[row[2]].append(Recorded(row[0], Event(*row[1:])))
        return {user: tuple(records) for user, records in histories.items()}

    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        check_page(sequence, limit)
        rows = self._read("read changes", sql.SINCE, (sequence, limit) * 3)
        return tuple(map(sql.change_of, sorted(rows, key=sql.SEQUENCE)[:limit]))

    def last_sequence(self) -> int:
        ((last,),) = self._read("be read", sql.LAST)
        return int(last)

    def count(self) -> int:
        ((count,),) = self._read("count events", sql.COUNT)
        return int(count)

    def users(self) -> list[str]:
        return [user for (user,) in self._read("list users", sql.USERS)]

    def erase_user(self, user_id: str) -> Erased:
        check_id("user_id", user_id)
        with self._transaction("erase a user", writing=True) as cursor:
            erased = Erased(self._reserve(cursor, 1), user_hash(user_id))
            for statement in sql.ERASE:
                self._run(cursor, statement, (user_id,))
            self._run(cursor, sql.INSERT_ERASURE, (erased.sequence, erased.user_hash))
            mark = 1 + erased.sequence % 2**30
            if self._sqlite:
                self._run(cursor, f"PRAGMA user_version = {mark}")
        if self._sqlite:
            self._scrub(mark, required=True)
        return erased

    def put_correction(self, user_id: str, persona: int, correction: Correction) -> Corrected:
        check_id("user_id", user_id)
        check_persona(persona)
        with self._transaction("keep a correction", writing=True) as cursor:
            corrected = Corrected(self._reserve(cursor, 1), user_id, persona, correction)
            self._run(cursor, sql.DELETE_CORRECTION, (user_id, persona))
            values = (correction.weight, correction.name, correction.model)
            self._run(cursor, sql.INSERT_CORRECTION, (corrected.sequence, user_id, persona, *values))
        return corrected

    def corrections(self, user_id: str) -> dict[int, Correction]:
        rows = self._read("read corrections", sql.CORRECTIONS, (user_id,))
        return {persona: Correction(*values) for persona, *values in rows}

    def put_token(self, token: Token) -> None:
        with self._transaction("keep a token", writing=True) as cursor:
            self._reserve(cursor, 0)
            if self._run(cursor, sql.TOKEN, (token.token_hash,)):
                raise StoreError("there is a token with this hash; make another secret")
            self._run(cursor, sql.INSERT_TOKEN, sql.token_row(token))

    def token(self, token_hash: str) -> Token | None:
        rows = self._read("read a token", sql.TOKEN, (token_hash,))
        return sql.token_of(rows[0]) if rows else None

    def tokens(self) -> list[Token]:
        return [sql.token_of(row) for row in self._read("list tokens", sql.TOKENS)]

    def revoke_token(self, token_hash: str, now: int) -> bool:
        with self._transaction("revoke a token", writing=True) as cursor:
            self._run(cursor, sql.REVOKE, (now, token_hash))
            return bool(self._run(cursor, sql.TOKEN, (token_hash,)))

    def close(self) -> None:
        self._readers.close()
        self._engine.dispose()

    def _reserve(self, cursor: DBAPICursor, count: int) -> int:
        """Become the only writer until the transaction ends; return the first of `count` new sequence numbers."""
        ((last,),) = self._run(cursor, sql.RESERVE, (count,))
        return int(last) - count + 1

    def _stored(self, cursor: DBAPICursor, event_ids: Sequence[str]) -> dict[str, Event]:
        stored: dict[str, Event] = {}
        for ids in _chunks(event_ids):
            among, parameters = self._among(ids)
            stored.update((row[0], Event(*row)) for row in self._run(cursor, f"{sql.STORED} {among}", parameters))
        return stored

    def _insert(self, cursor: DBAPICursor, first: int, events: Sequence[Event]) -> None:
        rows = [sql.event_row(sequence, event) for sequence, event in enumerate(events, start=first)]
        if self._sqlite:
            cursor.executemany(sql.INSERT_ROW, rows)
        else:
            self._run(cursor, sql.INSERT_COLUMNS, [list(column) for column in zip(*rows, strict=True)])

    def _among(self, ids: Sequence[str]) -> tuple[str, Sequence[object]]:
        """Return the condition that a column is one of some ids, and its parameters."""
        return (f"IN ({', '.join('?' * len(ids))})", ids) if self._sqlite else ("= ANY(?)", (ids,))

    def _run(self, cursor: DBAPICursor, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Execute a statement, and return its rows if it has any."""
        cursor.execute(statement if self._sqlite else statement.replace("?", "%s"), parameters)
        return cursor.fetchall() if cursor.description else ()

    def _read(self, purpose: str, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Return the rows of one statement that writes nothing, outside a transaction."""
        self._check_file(purpose)
        try:
            return self._readers.ask(statement if self._sqlite else statement.replace("?", "%s"), parameters)
        except (exc.SQLAlchemyError, self._driver_error, TimeoutError) as error:
            raise self._error(purpose, error) from None

    def _reader(self) -> DBAPICursor:
        """Return a cursor of a connection outside the pool."""
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
    def _transaction(self, purpose: str, *, writing: bool = False) -> Iterator[DBAPICursor]:
        """Yield a cursor in a transaction, committed at the end; errors of the database become `StoreError`s."""
        with self._connection(purpose) as cursor:
            if self._sqlite:
                cursor.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            self._check_file(purpose)
            yield cursor
            cursor.connection.commit()

    @contextmanager
    def _connection(self, purpose: str) -> Iterator[DBAPICursor]:
        """Yield a cursor of a pooled connection; one on which a statement fails is not used again."""
        try:
            connection = self._engine.raw_connection()
            try:
                yield connection.cursor()
            except self._driver_error:
                connection.invalidate()
                raise
            finally:
                connection.close()  # to the pool, which rolls back what was not committed
        except (exc.SQLAlchemyError, self._driver_error) as error:
            raise self._error(purpose, error) from None

    def _check_file(self, purpose: str) -> None:
        if self._file is not None and _inode(self._file) != self._inode:
            raise StoreError(
                f"the event store {self._label} cannot {purpose}: its file was moved, removed or replaced while it was "
                "in use; put it back, or start again"
            )

    def _error(self, purpose: str, error: Exception) -> StoreError:
        cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
        reason = " ".join(str(cause).split())
        if self._secret:
            reason = reason.replace(self._secret, "***")
        cure = "see that the database is there and has room, then try again: what was not confirmed was not done"
        if "locked" in reason or "lock timeout" in reason:
            cure = f"another process held it for more than {PATIENCE} seconds; try again when it is done"
        elif "not a database" in reason:
            cure = "give the file of an event store, or a new name"
        return StoreError(f"the event store {self._label} cannot {purpose}: {reason}; {cure}")

    def _migrate(self, cursor: DBAPICursor, *, create: bool) -> None:
        if not self._sqlite:
            self._run(cursor, "SELECT pg_advisory_xact_lock(?)", (_MIGRATION_LOCK,))
        self._run(cursor, SCHEMA)
        ((version,),) = self._run(cursor, "SELECT coalesce(max(version), 0) FROM recsys_schema")
        if version > len(MIGRATIONS):
            raise StoreError(
                f"the event store {self._label} has schema version {version}, this program knows versions up to "
                f"{len(MIGRATIONS)}; use a newer recsys, or another store"
            )
        if version == 0 and not create:  # the transaction is rolled back
            raise StoreError(f"{self._label} holds no event store; give the address of one that was served from")
        types = TYPES[self._engine.dialect.name]
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                self._run(cursor, statement.format_map(types))
            applied = "INSERT INTO recsys_schema (version, applied) VALUES (?, ?)"
            self._run(cursor, applied, (number, int(time.time())))

    def _erasure_mark(self) -> int:
        """Return the mark of an erasure whose traces are still in the file; 0: none."""
        ((mark,),) = self._read("be opened", "PRAGMA user_version")
        return int(mark)

    def _scrub(self, mark: int, *, required: bool) -> None:
        """Rewrite the file without erased data, and remove the mark unless a later erasure has set its own."""
        try:
            with self._connection("be rewritten") as cursor:
                self._run(cursor, "VACUUM")
                if self._run(cursor, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                    raise StoreError("another process reads it")
            with self._transaction("be opened", writing=True) as cursor:
                if self._run(cursor, "PRAGMA user_version")[0][0] == mark:
                    self._run(cursor, "PRAGMA user_version = 0")
        except StoreError as error:
            failure = StoreError(
                f"a user is erased from {self._label}, but traces are left in its file "
                f"({' '.join(str(error).split())}); erase the user again, or open the store again when no other "
                "process uses it"
            )
            if required:
                raise failure from None
            LOGGER.warning("%s", failure)


def open_sqlite(path: Path, *, create: bool = True) -> SqlStore:
    """Open the event store in an SQLite file; see `recsys.events.addresses.open_store`."""
    return SqlStore(sqlite_engine(path, create=create), str(path), file=path, create=create)


def open_postgresql(url: str, label: str, *, create: bool = True) -> SqlStore:
    """Open the event store in a PostgreSQL database; see `recsys.events.addresses.open_store`."""
    engine, secret = postgresql_engine(url)
    return SqlStore(engine, label, secret=secret, create=create)


def _inode(file: Path) -> tuple[int, int] | None:
    """Return the identity of a file on its disk, whatever its name; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
