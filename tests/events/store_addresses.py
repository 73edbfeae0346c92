"""Addresses of fresh event stores for tests; PostgreSQL ones live in a schema of their own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from benchmarks.serving.processes.postgresql_server import is_installed
from recsys.data.feedback import UNRATED_KINDS, Kind
from recsys.events.store import Event, EventStore, Recorded

POSTGRESQL = "postgresql://127.0.0.1:5432/test"
_VARIABLE = "RECSYS_TEST_POSTGRESQL"
OWN_SERVER = pytest.mark.skipif(
    _VARIABLE not in os.environ and not is_installed(),
    reason=f"no PostgreSQL server to start and to kill; install one (needed where {_VARIABLE} is set)",
)
"""Marks a test that starts a server of its own."""

KINDS = ("memory", "sqlite", "postgresql")


@contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of a new store, and leave nothing of it in a server."""
    if kind == "memory":
        yield "memory:"
        return
    pytest.importorskip("sqlalchemy", reason="pip install recsys[serving]")
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'events.db'}"
        return
    psycopg = pytest.importorskip("psycopg", reason="pip install recsys[serving]")
    url = os.environ.get(_VARIABLE, POSTGRESQL)
    schema = f"recsys_test_{uuid.uuid4().hex}"
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if _VARIABLE in os.environ:
            raise
        pytest.skip(f"no PostgreSQL at {url} ({' '.join(str(error).split())}); set {_VARIABLE} to one")
    with connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={schema}')}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def users_of(store: EventStore) -> list[str]:
    """Return the ids of all users with events, sorted by code point."""
    return sorted({change.event.user_id for change in store.replay() if isinstance(change, Recorded)})


def event(number: int, user: str = "ada", *, time: int | None = None, kind: Kind = "use") -> Event:
    """Return an event of a number, whose content follows from it."""
    value = None if kind in UNRATED_KINDS else number / 3
    return Event(f"e{number}", user, f"item {number}", value, 1000 + number if time is None else time, kind)
