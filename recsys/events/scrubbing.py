"""Removes what erasures leave in SQLite's file, in the background.

SQLite overwrites deleted rows (`secure_delete`), but neither the copies that page splits leave behind nor the
write-ahead log. So the file is rewritten (VACUUM) and the log truncated, which takes as long as the file is large, and
writers wait. Erasures that come close together share one rewriting. Until it is done each is marked in its own row
(`recsys_erasures.traces`), so that the next opening goes on where a process has died.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import final

from recsys.events import sql_statements as sql
from recsys.events.sql_database import Database
from recsys.events.store import StoreError

LOGGER = logging.getLogger("recsys.serving")

_PAUSE = 1.0
"""Seconds before a rewriting, in which further erasures join it."""

_REST = 4
"""A rewriting is followed by a pause of as many times its length, in which writers need not wait."""

_RETRY = 60.0
"""Seconds until a rewriting that failed is tried again."""


@final
class Scrubber:
    """Rewrites the file of an SQLite store without erased data, in a thread of its own and one at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._rewriting = threading.Lock()
        self._closing = threading.Event()
        self._wanted = False
        self._thread: threading.Thread | None = None

    def pending(self) -> int:
        """Return how many erasures may have copies of their rows left in the file."""
        ((count, _),) = self._database.read("be read", sql.UNSCRUBBED)
        return int(count)

    def wake(self) -> None:
        """Rewrite the file soon."""
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="scrubbing", daemon=True)
                self._thread.start()

    def scrub(self) -> None:
        """Rewrite the file now, if an erasure has left copies in it.

        Raises:
            StoreError: it cannot be rewritten, or another process reads it.
        """
        database = self._database
        with self._rewriting:
            ((count, last),) = database.read("be read", sql.UNSCRUBBED)
            if not count:
                return
            try:
                with database.connection("be rewritten") as cursor:
                    database.run(cursor, "VACUUM")
                    if database.run(cursor, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                        raise StoreError("another process reads it", "busy")
                with database.transaction("be rewritten", writing=True) as cursor:
                    database.run(cursor, sql.SCRUBBED, (last,))
            except StoreError as error:
                raise StoreError(
                    f"users are erased from {database.label}, but traces are left in its file "
                    f"({' '.join(str(error).split())}); it is tried again while the store is open, and when it is "
                    "opened: see that no other process reads it all the time, and that the disk has room for a copy",
                    error.cause,
                    error.detail,
                ) from None

    def close(self) -> None:
        """End the thread, after the rewriting that is going on."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        pause = _PAUSE
        while not self._closing.wait(pause):
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                self._wanted = False
            began = time.monotonic()
            try:
                self.scrub()
                pause = max(_PAUSE, _REST * (time.monotonic() - began))
            except StoreError as error:
                LOGGER.warning("%s", error)
                pause = _RETRY
                with self._lock:
                    self._wanted = True
