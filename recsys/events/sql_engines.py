"""Connections to the databases of the SQL event store, prepared so that commits are durable."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from recsys.events.store import StoreError

LOGGER = logging.getLogger("recsys.serving")

PATIENCE = 30
"""Seconds that a writer waits for another one."""


def sqlite_engine(path: Path, *, create: bool) -> sa.Engine:
    """Return an engine of an SQLite file.

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
    engine = sa.create_engine(
        sa.URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": PATIENCE, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def postgresql_engine(url: str) -> tuple[sa.Engine, str]:
    """Return an engine of a PostgreSQL database, and the password, which no error may show.

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
    return engine, str(address.password or address.query.get("password", ""))


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where `SqlStore` says so, not where the driver guesses
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
