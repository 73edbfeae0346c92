"""Connections on which an SQL event store is asked what is new, before every answer: with as little work as can be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, final

MOST: Final = 4
"""Connections beside the pool: for answers, for metrics, for a bundle that is being loaded, and one to spare."""

_PATIENCE = 30
"""Seconds that a statement waits for its turn."""

Cursor = Any  # of a database driver, on a connection of its own


@final
class Readers:
    """At most `MOST` connections for bare statements that write nothing; each serves one thread at a time.

    They are beside the pool, which rolls back what is returned to it and asks a connection of PostgreSQL whether it
    lives before it lends it: several times the work of the statement itself. Outside a transaction nothing is left to
    roll back, and a connection that turns out to be dead is replaced.

    Args:
        connect: opens a connection that is in no transaction, and returns a cursor of it.
        is_dead: whether an error says that the connection of a cursor is gone, so that a new one may do better.
    """

    def __init__(self, connect: Callable[[], Cursor], is_dead: Callable[[BaseException, Cursor], bool]) -> None:
        self._connect = connect
        self._is_dead = is_dead
        self._turns = threading.Semaphore(MOST)
        self._idle: list[Cursor] = []
        self._closed = False

    def ask(self, statement: str, parameters: Sequence[object]) -> Sequence[Any]:
        """Return the rows of a statement; all are read, so that SQLite holds no old state of the file for it.

        Raises:
            TimeoutError: all connections have been busy for too long.
            Exception: whatever the driver raises if the database does not answer.
        """
        if not self._turns.acquire(timeout=_PATIENCE):
            raise TimeoutError(f"{MOST} statements have been waiting for {_PATIENCE} seconds")
        try:
            return self._answer(statement, parameters)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close what is open, and from now on each connection after use."""
        self._closed = True
        self._end_idle()

    def _answer(self, statement: str, parameters: Sequence[object]) -> Sequence[Any]:
        while True:
            kept = self._idle_one()
            cursor = kept or self._connect()
            try:
                cursor.execute(statement, parameters)
                rows: Sequence[Any] = cursor.fetchall()
            except BaseException as error:
                dead = self._is_dead(error, cursor)
                cursor.connection.close()
                if dead and kept is not None:
                    continue
                raise
            self._idle.append(cursor)
            if self._closed:
                self._end_idle()
            return rows

    def _idle_one(self) -> Cursor | None:
        with suppress(IndexError):  # asking first whether there is one would need a lock
            return self._idle.pop()
        return None

    def _end_idle(self) -> None:
        while (cursor := self._idle_one()) is not None:
            cursor.connection.close()
