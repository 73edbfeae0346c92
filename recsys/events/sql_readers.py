"""Connections for single statements that read, such as those before every answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, final

MOST: Final = 4
"""Connections outside the pool: for answers, for metrics, for a bundle that is being loaded, and one to spare."""

_PATIENCE = 30
"""Seconds that a statement waits for a connection."""

Cursor = Any  # of a database driver, one to a connection


@final
class Readers:
    """At most `MOST` connections for statements that write nothing; each serves one thread at a time.

    The pool would roll back each connection that is returned to it, and ping one of PostgreSQL before lending it:
    several times the work of the statement itself. Outside a transaction nothing is left to roll back, and a dead
    connection is replaced.

    Args:
        connect: opens a connection outside any transaction, and returns its cursor.
        is_dead: whether an error means that the connection of a cursor is lost.
    """

    def __init__(self, connect: Callable[[], Cursor], is_dead: Callable[[BaseException, Cursor], bool]) -> None:
        self._connect = connect
        self._is_dead = is_dead
        self._turns = threading.Semaphore(MOST)
        self._idle: list[Cursor] = []
        self._closed = False

    def ask(self, statement: str, parameters: Sequence[object]) -> Sequence[Any]:
        """Return all rows of a statement; SQLite would hold an old state of the file for unread ones.

        Raises:
            TimeoutError: all connections are busy for too long.
            Exception: the driver's, if the database fails.
        """
        if not self._turns.acquire(timeout=_PATIENCE):
            raise TimeoutError(f"{MOST} statements have been waiting for {_PATIENCE} seconds")
        try:
            return self._answer(statement, parameters)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close idle connections now, and those in use after it."""
        self._closed = True
        self._end_idle()

    def _answer(self, statement: str, parameters: Sequence[object]) -> Sequence[Any]:
        while True:
            idle = self._idle_one()
            cursor = idle or self._connect()
            try:
                cursor.execute(statement, parameters)
                rows: Sequence[Any] = cursor.fetchall()
            except BaseException as error:
                dead = self._is_dead(error, cursor)
                cursor.connection.close()
                if dead and idle is not None:
                    continue
                raise
            self._idle.append(cursor)
            if self._closed:
                self._end_idle()
            return rows

    def _idle_one(self) -> Cursor | None:
        with suppress(IndexError):  # checking first whether there is one would need a lock
            return self._idle.pop()
        return None

    def _end_idle(self) -> None:
        while (cursor := self._idle_one()) is not None:
            cursor.connection.close()
