"""Why a database failed: one word for programs, and what the database said of it, without names and values."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from recsys.events.store import Cause

_SQLITE: Final[tuple[tuple[str, Cause], ...]] = (
    ("SQLITE_FULL", "disk_full"),
    ("SQLITE_IOERR_WRITE", "disk_full"),  # a quota, or the limit on the size of a file
    ("SQLITE_IOERR", "disk_error"),
    ("SQLITE_BUSY", "busy"),
    ("SQLITE_LOCKED", "busy"),
    ("SQLITE_READONLY", "refused"),
    ("SQLITE_PERM", "refused"),
    ("SQLITE_AUTH", "refused"),
    ("SQLITE_CANTOPEN", "refused"),
    ("SQLITE_CORRUPT", "damaged"),
    ("SQLITE_NOTADB", "damaged"),
)
"""Causes by the beginning of SQLite's extended result code; the first that matches counts."""

_POSTGRESQL: Final[tuple[tuple[str, Cause], ...]] = (
    ("53100", "disk_full"),
    ("58030", "disk_error"),
    ("53", "busy"),  # memory, connections
    ("55P03", "busy"),  # lock_timeout
    ("40", "busy"),  # deadlocks, serialization
    ("08", "connection"),
    ("57P", "connection"),  # it is shutting down, starting up, or has crashed
    ("25006", "refused"),  # read only
    ("28", "refused"),
    ("3D", "refused"),
    ("42501", "refused"),
    ("XX", "damaged"),
)
"""Causes by the beginning of an SQLSTATE; the first that matches counts."""

_CONNECTING: Final[tuple[tuple[str, Cause], ...]] = (
    ("too many clients", "busy"),
    ("connection slots", "busy"),
    ("is starting up", "connection"),
    ("is shutting down", "connection"),
    ("FATAL", "refused"),
)
"""Causes by the text of a failure to connect, which carries no SQLSTATE; else the server is not reached."""

_NAMES: Final = re.compile(r"\"[^\"]*\"|'[^']*'|\([0-9A-Fa-f:.]*[:.][0-9A-Fa-f:.]*\)|\b\d+(\.\d+){3}\b|(?<!\w)/\S+")
"""What may name a host, a path, a user or a value."""


def cause_of(error: Exception) -> Cause:
    """Return why a database failed.

    >>> cause_of(TimeoutError())
    'busy'
    """
    original = _original(error)
    kinds = {kind.__name__ for kind in type(original).__mro__}  # by name: two libraries have their own
    if "TimeoutError" in kinds:  # no free connection
        return "busy"
    if isinstance(original, sqlite3.Error):
        return _first(_SQLITE, getattr(original, "sqlite_errorname", None) or "", "other")
    state = getattr(original, "sqlstate", None)
    if state:
        return _first(_POSTGRESQL, state, "other")
    if kinds & {"OperationalError", "InterfaceError"}:
        return next((cause for text, cause in _CONNECTING if text in str(original)), "connection")
    return "other"


def detail_of(error: Exception) -> str:
    """Return what the database said, without quoted names, addresses, paths and the rows that it names.

    >>> detail_of(Exception('connection to server at "db.internal" (10.0.0.7), port 5432 failed: Connection refused'))
    'connection to server at ..., port 5432 failed: Connection refused'
    """
    original = _original(error)
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    text = " ".join(str(primary or original).split())
    return re.sub(r"\.\.\.( \.\.\.)+", "...", _NAMES.sub("...", text))[:200]


def _original(error: Exception) -> BaseException:
    """Return the driver's error, which SQLAlchemy wraps."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error


def _first(causes: tuple[tuple[str, Cause], ...], code: str, other: Cause) -> Cause:
    return next((cause for beginning, cause in causes if code.startswith(beginning)), other)
