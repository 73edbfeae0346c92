"""Opens event stores by their address."""

from __future__ import annotations

import re
from pathlib import Path

from recsys.errors import nearest
from recsys.events.memory import MemoryStore
from recsys.events.store import EventStore, StoreError

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_SCHEMES = ("postgresql", "sqlite", "memory")
_KNOWN = "a path, sqlite:///PATH, postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or memory:"
PINNED = re.compile(r"#([0-9]+)$")
"""The end of an address that means the store as it was at that sequence number."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def open_store(address: str, *, create: bool = True) -> EventStore:
    """Open an event store; its schema is created, or brought up to date, where that is needed.

    Args:
        address: a path or `sqlite:///PATH` (four slashes for an absolute path), `postgresql://...`, or `memory:`.
        create: whether to create a store where there is none.

    Raises:
        StoreError: the scheme is unknown, there is no such store, its schema is newer, or the database refuses. No
            error shows a password.

    >>> open_store("memory:").count()
    0
    """
    if address == "memory:":
        return MemoryStore()
    match = _SCHEME.match(address)
    scheme = None if match is None else match[1].lower()
    complete = is_address(address) and address != _SQLITE
    if not complete and (scheme is not None or not address):
        hint = "" if scheme in _SCHEMES else nearest(scheme or "", _SCHEMES)
        raise StoreError(f"this is no address of an event store: {scheme or 'nothing'!r}{hint}; give {_KNOWN}")
    try:
        from recsys.events.sql import SqlStore  # noqa: PLC0415 (an optional library)
        from recsys.events.sql_database import postgresql_database, sqlite_database  # noqa: PLC0415

        if address.startswith(_POSTGRESQL):
            database = postgresql_database(address, located(address).partition("?")[0])
        else:
            database = sqlite_database(Path(address.removeprefix(_SQLITE)).expanduser(), create=create)
        return SqlStore(database, create=create)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"this event store needs {error.name}, which is not installed; pip install 'recsys[serving]'"
        ) from None


def is_address(text: str) -> bool:
    """Return whether a text is the address of an event store rather than a path or the name of a data set.

    >>> is_address("postgresql://localhost/shop"), is_address("events.db")
    (True, False)
    """
    return text.startswith((_SQLITE, _POSTGRESQL))


def located(address: str) -> str:
    """Return an address fit for records: paths absolute, without password; the rest, including a pin, is unchanged.

    >>> located("postgresql://ada:secret@db.example/shop?password=x&sslmode=require")
    'postgresql://ada@db.example/shop?sslmode=require'
    """
    if address.startswith(_SQLITE):
        return _SQLITE + str(Path(address.removeprefix(_SQLITE)).expanduser().resolve())
    if not address.startswith(_POSTGRESQL):
        return address
    pin = PINNED.search(address)
    if pin is not None:
        return located(address[: pin.start()]) + pin[0]
    place, mark, query = address.removeprefix(_POSTGRESQL).partition("?")
    credentials, at, host = place.rpartition("@")
    options = "&".join(part for part in query.split("&") if "password" not in part.partition("=")[0].lower())
    return f"{_POSTGRESQL}{credentials.partition(':')[0]}{at}{host}{mark if options else ''}{options}"
