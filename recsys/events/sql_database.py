"""The database of an SQL event store: SQLite or PostgreSQL, over SQLAlchemy's pools.

Durability. A commit returns when the log of the database is on disk: `synchronous=FULL` in SQLite, `synchronous_commit`
in PostgreSQL, which is switched on where it is off.

Statements go to the driver directly: SQLAlchemy, which pools the connections and knows which errors end one, would
compile each statement anew, at several times the cost of executing it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor

from recsys.events.causes import cause_of, detail_of
from recsys.events.store import Cause, StoreError

Cursor = DBAPICursor
LOGGER = logging.getLogger("recsys.serving")

PATIENCE = 20
"""Seconds that a writer waits for another one, and a reader for a connection.

An answer of the service may take longer, so that the log tells what it waited for.
"""

READERS: Final = 4
"""Connections outside the pool: for answers, for metrics, for a bundle that is being loaded, and one to spare."""


_CURES: Final[Mapping[Cause, str]] = {
    "disk_full": "make room, or lift the quota or the limit on the size of a file, then try again: what was not "
    "confirmed was not done",
    "busy": f"another process held it, or all its connections, for {PATIENCE} seconds; try again when it is done",
    "refused": "give a user or a file that may be read and written, and the name of a database that is there",
    "damaged": "give the file of an event store, or a new name; a damaged one is restored from a backup",
}


@final
class Database:
    """Runs statements; errors of the database become `StoreError`s.

    Transactions use the pool. Single statements that read, such as those before every answer, have at most `READERS`
    connections of their own, each for one thread at a time: the pool would roll back each connection that is returned
    to it, and ping one of PostgreSQL before lending it, which is several times the work of the statement. Outside a
    transaction nothing is left to roll back, and a dead connection is replaced.

    Args:
        engine: of one of the two databases.
        label: the store's name in errors, without secrets.
        file: of an SQLite database, watched because SQLite goes on writing to a file that was moved or removed, while
            new connections open another one.
        secret: what no error may show.
    """

    def __init__(self, engine: sa.Engine, label: str, *, file: Path | None = None, secret: str = "") -> None:
        self.label = label
        self.dialect = engine.dialect.name
        self._engine = engine
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._file = file
        self._inode = None if file is None else _inode(file)
        self._secret = secret
        self._turns = threading.Semaphore(READERS)
        self._idle: list[Cursor] = []
        self._closed = False

    def close(self) -> None:
        """Close the connections; those of readers in use are closed after their statement."""
        self._closed = True
        self._close_idle()
        self._engine.dispose()

    def run(self, cursor: Cursor, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Execute a statement with `?` for its parameters, and return all its rows if it has any."""
        cursor.execute(statement if self.dialect == "sqlite" else statement.replace("?", "%s"), parameters)
        return cursor.fetchall() if cursor.description else ()

    def read(self, purpose: str, statement: str, parameters: Sequence[object] = ()) -> Sequence[Any]:
        """Return the rows of one statement that writes nothing, outside a transaction."""
        self._check_file(purpose)
        if not self._turns.acquire(timeout=PATIENCE):
            busy = TimeoutError(f"{READERS} statements have been waiting for {PATIENCE} seconds")
            raise self._error(purpose, busy)
        try:
            return self._read(statement, parameters)
        except (exc.SQLAlchemyError, self._driver_error) as error:
            raise self._error(purpose, error) from None
        finally:
            self._turns.release()

    @contextmanager
    def transaction(self, purpose: str, *, writing: bool = False) -> Iterator[Cursor]:
        """Yield a cursor in a transaction, committed at the end."""
        with self.connection(purpose) as cursor:
            if self.dialect == "sqlite":
                cursor.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            self._check_file(purpose)
            yield cursor
            cursor.connection.commit()

    @contextmanager
    def connection(self, purpose: str) -> Iterator[Cursor]:
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

    def _read(self, statement: str, parameters: Sequence[object]) -> Sequence[Any]:
        while True:
            idle = self._pop_idle()
            cursor = idle or self._new_reader()
            try:
                rows = self.run(cursor, statement, parameters)  # all: for unread ones SQLite keeps an old state
            except BaseException as error:
                dialect, connection = self._engine.dialect, cursor.connection
                dead = isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(
                    error, connection, cursor
                )
                connection.close()
                if dead and idle is not None:
                    continue
                raise
            self._idle.append(cursor)
            if self._closed:
                self._close_idle()
            return rows

    def _new_reader(self) -> Cursor:
        """Return a cursor of a connection outside the pool."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if self.dialect != "sqlite":
            connection.autocommit = True  # never idle in a transaction
        cursor: Cursor = connection.cursor()
        return cursor

    def _pop_idle(self) -> Cursor | None:
        with suppress(IndexError):  # checking first whether there is one would need a lock
            return self._idle.pop()
        return None

    def _close_idle(self) -> None:
        while (cursor := self._pop_idle()) is not None:
            cursor.connection.close()

    def _check_file(self, purpose: str) -> None:
        if self._file is not None and _inode(self._file) != self._inode:
            raise StoreError(
                f"the event store {self.label} cannot {purpose}: its file was moved, removed or replaced while it was "
                "in use; put it back, or start again",
                "moved",
            )

    def _error(self, purpose: str, error: Exception) -> StoreError:
        original = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
        reason = " ".join(str(original).split())
        if self._secret:
            reason = reason.replace(self._secret, "***")
        cause = cause_of(error)
        cure = _CURES.get(cause, "see that the database is there, then try again: what was not confirmed was not done")
        return StoreError(f"the event store {self.label} cannot {purpose}: {reason}; {cure}", cause, detail_of(error))


def sqlite_database(path: Path, *, create: bool) -> Database:
    """Return the database in an SQLite file.

    Raises:
        StoreError: there is no file and none may be created, or it cannot be written.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise StoreError(f"{path} cannot be a file of events; make its folder, or give another path")
    try:
        if create:
            path.touch(mode=0o600)  # what people do is nobody else's business
        elif not path.exists():
            raise StoreError(f"{path} does not exist; give the file of an event store")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; give another path") from None
    url = sa.URL.create("sqlite+pysqlite", database=str(path))
    engine = sa.create_engine(url, connect_args={"timeout": PATIENCE, "check_same_thread": False})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return Database(engine, str(path), file=path)


def postgresql_database(url: str, label: str) -> Database:
    """Return the PostgreSQL database of a URL, under a label without the password.

    Raises:
        StoreError: the URL cannot be read.
    """
    try:
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
        timeout = {} if "connect_timeout" in address.query else {"connect_timeout": 10}
        if "@" in (address.host or ""):
            raise ValueError("part of the password was taken for the host")
        engine = sa.create_engine(address, pool_pre_ping=True, connect_args=timeout)
    except (exc.ArgumentError, ValueError):
        raise StoreError(
            "the address of the event store cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, in "
            "the password / as %2F, @ as %40, : as %3A and % as %25"
        ) from None
    sa.event.listen(engine, "connect", _prepare_postgresql)
    return Database(engine, label, secret=str(address.password or address.query.get("password", "")))


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where `Database` says so, not where the driver guesses
    # Where two processes turn a new file to WAL, one gets "locked" at once, without the timeout.
    deadline = time.monotonic() + PATIENCE
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


def _prepare_postgresql(connection: Any, _: object) -> None:  # noqa: ANN401 (psycopg is an optional library)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT set_config('lock_timeout', '{PATIENCE}s', false)")
        # A plan cached while the table was small would read all of it for every batch.
        cursor.execute("SELECT set_config('plan_cache_mode', 'force_custom_plan', false)")
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.execute("SELECT current_setting('fsync')")
        if cursor.fetchone()[0] == "off":
            LOGGER.warning("the PostgreSQL server runs with fsync = off: accepted events can be lost; switch it on")
    connection.commit()


def _inode(file: Path) -> tuple[int, int] | None:
    """Return the identity of a file on its disk, whatever its name; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
