"""The event store in SQLite (WAL mode) and PostgreSQL (psycopg 3), through SQLAlchemy Core.

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

Appending events, and the two reads that come before every answer, go to the driver directly: SQLAlchemy compiles each
statement anew, at several times the cost of executing it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor

from recsys.events import sql_schema as schema
from recsys.events.checks import check_id, check_page, check_persona
from recsys.events.sql_engines import BEGIN, PATIENCE, postgresql_engine, sqlite_engine
from recsys.events.sql_readers import Readers
from recsys.events.sql_schema import CORRECTIONS, ERASURES, EVENTS, TOKENS
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
    distinct,
    fresh,
    user_hash,
)

LOGGER = logging.getLogger("recsys.serving")

_CHUNK = 1000
"""Ids in one statement, which bounds its parameters."""


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
        self._file = file
        self._inode = None if file is None else _inode(file)
        self._label = label
        self._secret = secret
        self._sqlite = engine.dialect.name == "sqlite"
        place = "?" if self._sqlite else "%s"
        self._reserve_statement, self._since_statement = (
            text.replace("?", place) for text in (schema.RESERVE, schema.SINCE)
        )
        self._readers = Readers(self._reader, self._is_dead)
        try:
            with self._transaction("be opened", writing=True) as connection:
                schema.migrate(connection, label, create=create)
            if self._sqlite and (mark := self._mark()):
                self._scrub(mark, required=False)
        except BaseException:
            engine.dispose()
            raise

    def append(self, events: Sequence[Event]) -> Appended:
        batch = distinct(events)
        if not batch:
            return Appended(0, 0)
        with self._driver_transaction("take events") as cursor:
            first = self._reserve(cursor, len(batch))
            new = fresh(batch, self._stored(cursor, list(batch)))
            if new:
                self._insert(cursor, first, new)
            if len(new) < len(batch):
                self._reserve(cursor, len(new) - len(batch))
        return Appended(len(new), len(events) - len(new))

    def of_users(self, user_ids: Iterable[str], after: int | None = None) -> dict[str, tuple[Recorded, ...]]:
        histories: dict[str, list[Recorded]] = {user: [] for user in user_ids}
        query = sa.select(EVENTS).order_by(EVENTS.c.user_id, EVENTS.c.time, EVENTS.c.sequence)
        if after is not None:
            query = query.where(EVENTS.c.sequence > after)
        with self._transaction("read histories") as connection:
            for users in _chunks(list(histories)):
                for row in connection.execute(query.where(EVENTS.c.user_id.in_(users))):
                    histories[row.user_id].append(schema.recorded(row))
        return {user: tuple(records) for user, records in histories.items()}

    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        check_page(sequence, limit)
        rows = self._read("read changes", self._since_statement, (sequence, limit) * 3)
        return tuple(map(schema.change, sorted(rows, key=schema.SEQUENCE)[:limit]))

    def last_sequence(self) -> int:
        ((last,),) = self._read("be read", schema.LAST)
        return int(last)

    def count(self) -> int:
        with self._transaction("count events") as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(EVENTS)).scalar_one())

    def users(self) -> list[str]:
        with self._transaction("list users") as connection:
            users = sa.select(EVENTS.c.user_id).distinct().order_by(EVENTS.c.user_id)
            return list(connection.execute(users).scalars())

    def erase_user(self, user_id: str) -> Erased:
        check_id("user_id", user_id)
        with self._transaction("erase a user", writing=True) as connection:
            erased = Erased(schema.reserve(connection, 1), user_hash(user_id))
            for table in (EVENTS, CORRECTIONS, TOKENS):
                connection.execute(table.delete().where(table.c.user_id == user_id))
            connection.execute(ERASURES.insert(), {"sequence": erased.sequence, "user_hash": erased.user_hash})
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
            corrected = Corrected(schema.reserve(connection, 1), user_id, persona, correction)
            same = (CORRECTIONS.c.user_id == user_id, CORRECTIONS.c.persona == persona)
            connection.execute(CORRECTIONS.delete().where(*same))
            connection.execute(
                CORRECTIONS.insert(),
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
        own = sa.select(CORRECTIONS).where(CORRECTIONS.c.user_id == user_id).order_by(CORRECTIONS.c.persona)
        with self._transaction("read corrections") as connection:
            return {row.persona: schema.correction(row) for row in connection.execute(own)}

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
            schema.reserve(connection, 0)
            if connection.execute(schema.token_of(token.token_hash)).first() is not None:
                raise StoreError("there is a token with this hash; make another secret")
            connection.execute(TOKENS.insert(), row)

    def token(self, token_hash: str) -> Token | None:
        with self._transaction("read a token") as connection:
            row = connection.execute(schema.token_of(token_hash)).first()
        return None if row is None else schema.token(row)

    def tokens(self) -> list[Token]:
        with self._transaction("list tokens") as connection:
            ordered = sa.select(TOKENS).order_by(TOKENS.c.created, TOKENS.c.token_hash)
            return [schema.token(row) for row in connection.execute(ordered)]

    def revoke_token(self, token_hash: str, now: int) -> bool:
        with self._transaction("revoke a token", writing=True) as connection:
            unrevoked = TOKENS.update().where(TOKENS.c.token_hash == token_hash, TOKENS.c.revoked.is_(None))
            connection.execute(unrevoked.values(revoked=now))
            return connection.execute(schema.token_of(token_hash)).first() is not None

    def close(self) -> None:
        self._readers.close()
        self._engine.dispose()

    def _reserve(self, cursor: DBAPICursor, count: int) -> int:
        """As `schema.reserve`, by the driver."""
        cursor.execute(self._reserve_statement, (count,))
        ((last,),) = cursor.fetchall()
        return int(last) - count + 1

    def _stored(self, cursor: DBAPICursor, event_ids: Sequence[str]) -> dict[str, Event]:
        stored: dict[str, Event] = {}
        for ids in _chunks(event_ids):
            if self._sqlite:
                cursor.execute(f"{schema.STORED} IN ({', '.join('?' * len(ids))})", ids)
            else:
                cursor.execute(f"{schema.STORED} = ANY(%s)", (ids,))
            stored.update((row[0], Event(*row)) for row in cursor.fetchall())
        return stored

    def _insert(self, cursor: DBAPICursor, first: int, events: Sequence[Event]) -> None:
        rows = [
            (sequence, event.event_id, event.user_id, event.item_id, event.value, event.time, event.kind)
            for sequence, event in enumerate(events, start=first)
        ]
        if self._sqlite:
            cursor.executemany(schema.INSERT_ROW, rows)
        else:
            cursor.execute(schema.INSERT_COLUMNS, [list(column) for column in zip(*rows, strict=True)])

    def _read(self, purpose: str, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Return the rows of a statement that writes nothing, read by the driver outside a transaction."""
        self._check_file(purpose)
        try:
            return self._readers.ask(statement, parameters)
        except (exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, TimeoutError) as error:
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
    def _transaction(self, purpose: str, *, writing: bool = False) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction, committed at the end; errors of the database become `StoreError`s."""
        begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
        try:
            with self._engine.connect().execution_options(**{BEGIN: begin}) as connection, connection.begin():
                self._check_file(purpose)
                yield connection
        except exc.SQLAlchemyError as error:
            raise self._error(purpose, error) from None

    @contextmanager
    def _driver_transaction(self, purpose: str) -> Iterator[DBAPICursor]:
        """Yield a cursor of the driver in a transaction that writes; see `_transaction`."""
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

    def _mark(self) -> int:
        """Return the mark of an erasure whose traces are still in the file; 0: none."""
        with self._transaction("be opened") as connection:
            return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def _scrub(self, mark: int, *, required: bool) -> None:
        """Rewrite the file without erased data, and remove the mark unless a later erasure has set its own."""
        try:
            with self._engine.connect().execution_options(**{BEGIN: ""}) as connection:
                connection.exec_driver_sql("VACUUM")
                if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]:
                    raise StoreError("another process reads it")
            with self._transaction("be opened", writing=True) as connection:
                if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == mark:
                    connection.exec_driver_sql("PRAGMA user_version = 0")
        except (exc.SQLAlchemyError, StoreError) as error:
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
