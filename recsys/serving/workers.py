"""Worker processes behind one socket: started together, reloaded together, and replaced when one dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final, final

from prometheus_client import multiprocess

from recsys.errors import ConfigError
from recsys.serving.metrics import SHARED

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

LOGGER = logging.getLogger("recsys.serving")

READY, RELOADED = "ready", "reloaded"
"""Messages of a worker: it answers; it has a new bundle. Any other message says why it cannot start."""

_PAUSE: Final = 1.0
"""Seconds until a worker that died is replaced, so that one that cannot live does not keep the machine busy."""

_POLL: Final = 0.5
"""The most seconds between two checks for signals."""


Notify = Callable[[str], None]
"""Sends `READY`, `RELOADED`, or why a worker ends, to the process that started it."""

Work = Callable[[Notify], None]
"""The work of a process until SIGTERM; it can be pickled. On SIGHUP it loads its bundle anew."""


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    outdated: bool = False
    ended: float | None = None


@final
class Workers:
    """Keeps processes running until SIGTERM or Ctrl-C, passes SIGHUP on, and replaces a process that dies.

    When one of them has a new bundle, the others are signalled to load it. All keep their counters in one folder, so
    that each of them reports to Prometheus for all.

    A worker that has not ended some seconds after SIGTERM is killed.
    """

    def __init__(self, work: Work, count: int, *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._context = multiprocessing.get_context("spawn")  # threads and connections do not survive a fork
        self._count = count
        self._workers: list[_Worker] = []
        self._started = False
        self._ending: float | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Start the workers, call `ready` when all of them answer, and return when all have ended.

        Raises:
            ConfigError: one of them could not start, with its message. The others are ended.
        """
        handlers: dict[signal.Signals, Callable[[int, object], None]] = {
            signal.SIGTERM: lambda *_: self._end(),
            signal.SIGINT: lambda *_: self._end(),
            signal.SIGHUP: lambda *_: self._reload(self._workers),
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            os.environ[SHARED] = folder
            try:
                for _ in range(self._count):
                    self._workers.append(self._start())
                if self._ending is not None:  # signalled while they were starting
                    self._end()
                while self._workers:
                    self._poll()
                    if not self._started and self._workers and all(worker.ready for worker in self._workers):
                        self._started = True
                        ready()
            finally:
                for worker in self._workers:
                    worker.process.kill()
                    worker.process.join()
                del os.environ[SHARED]
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_start_work, args=(self._work, there))
        process.start()
        there.close()
        return _Worker(process, here)

    def _poll(self) -> None:
        """Handle the messages of workers, and their end."""
        living = [worker for worker in self._workers if worker.ended is None]
        sending = wait([worker.connection for worker in living], timeout=_POLL)
        for worker in living:
            if worker.connection not in sending:
                continue
            try:
                self._handle(worker, worker.connection.recv())
            except (EOFError, OSError):
                worker.process.join()
                worker.ended = time.monotonic()
                multiprocess.mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]
        now = time.monotonic()
        late = self._ending is not None and now > self._ending + self._seconds
        for worker in list(self._workers):
            if worker.ended is None:
                if late:
                    worker.process.kill()
            elif self._ending is not None:
                self._workers.remove(worker)
            elif now > worker.ended + _PAUSE:
                LOGGER.warning("a worker ended (%s) and is replaced", worker.process.exitcode)
                self._workers[self._workers.index(worker)] = self._start()

    def _handle(self, worker: _Worker, message: str) -> None:
        if message == READY:
            worker.ready = True
            if worker.outdated:
                self._reload([worker])
        elif message == RELOADED:
            self._reload([other for other in self._workers if other is not worker])
        elif not self._started:
            raise ConfigError(message)

    def _reload(self, workers: list[_Worker]) -> None:
        """Signal workers to load the bundle anew; a worker that is still starting gets the signal when it is ready."""
        for worker in workers:
            worker.outdated = not worker.ready
            if worker.ready:
                _send(worker, signal.SIGHUP)

    def _end(self) -> None:
        if self._ending is None:
            self._ending = time.monotonic()
        for worker in self._workers:
            _send(worker, signal.SIGTERM)


def _send(worker: _Worker, number: signal.Signals) -> None:
    if worker.process.pid is not None and worker.process.is_alive():
        os.kill(worker.process.pid, number)


def _start_work(work: Work, connection: Connection) -> None:
    """Run as a worker, in a process group of its own: the parent alone gets the signals of the terminal."""
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(connection.send)


def _end_with_parent() -> None:
    """End as on SIGTERM when the parent is gone, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
