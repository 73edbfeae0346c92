"""Several processes behind one socket: started together, told together, and started anew when one dies."""

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
"""What a worker tells: it answers from now on; it has a new bundle, as others should. Else: why it cannot begin."""

_PAUSE: Final = 1.0
"""Seconds until a worker that died is replaced, so that one that cannot live does not keep the machine busy."""

_GLANCE: Final = 0.5
"""Seconds after which signals are looked for, where nothing else happens."""


@final
class Parent:
    """What a worker knows of the process that started it.

    Args:
        connection: to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(self, what: str) -> None:
        """Tell `READY`, `RELOADED`, or why this worker ends."""
        self._connection.send(what)


Work = Callable[[Parent], None]
"""What a worker does until it is told to end (SIGTERM); it can be pickled. On SIGHUP it loads its bundle anew."""


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    outdated: bool = False
    ended: float | None = None


@final
class Workers:
    """Keeps processes at work until SIGTERM or Ctrl-C, and passes SIGHUP on. One that dies is replaced.

    When one of them says that it has a new bundle, the others are told to load it. Counters of all are kept in one
    folder, so that any of them tells Prometheus of all.

    Args:
        work: what each of them does.
        count: how many.
        seconds: until a worker must have ended that was told to; then it is killed.
    """

    def __init__(self, work: Work, count: int, *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._context = multiprocessing.get_context("spawn")  # threads and connections do not survive a fork
        self._count = count
        self._workers: list[_Worker] = []
        self._begun = False
        self._ending: float | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Start the workers, call `ready` when all of them answer, and return when all have ended.

        Raises:
            ConfigError: one of them could not begin; with what it said. The others are ended.
        """
        handlers: dict[signal.Signals, Callable[[int, object], None]] = {
            signal.SIGTERM: lambda *_: self._end(),
            signal.SIGINT: lambda *_: self._end(),
            signal.SIGHUP: lambda *_: self._renew(self._workers),
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            os.environ[SHARED] = folder
            try:
                for _ in range(self._count):
                    self._workers.append(self._start())
                if self._ending is not None:  # told while they were started
                    self._end()
                while self._workers:
                    self._look()
                    if not self._begun and self._workers and all(worker.ready for worker in self._workers):
                        self._begun = True
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
        process = self._context.Process(target=_begin, args=(self._work, there))
        process.start()
        there.close()
        return _Worker(process, here)

    def _look(self) -> None:
        """Wait for what workers tell, and for their end."""
        living = [worker for worker in self._workers if worker.ended is None]
        speaking = wait([worker.connection for worker in living], timeout=_GLANCE)
        for worker in living:
            if worker.connection not in speaking:
                continue
            try:
                self._told(worker, worker.connection.recv())
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

    def _told(self, worker: _Worker, what: str) -> None:
        if what == READY:
            worker.ready = True
            if worker.outdated:
                self._renew([worker])
        elif what == RELOADED:
            self._renew([other for other in self._workers if other is not worker])
        elif not self._begun:
            raise ConfigError(what)

    def _renew(self, workers: list[_Worker]) -> None:
        """Tell workers to load the bundle anew; one that does not listen yet is told when it does."""
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


def _begin(work: Work, connection: Connection) -> None:
    """Be a worker; of what the terminal sends only the parent knows, which passes it on."""
    os.setpgrp()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    work(Parent(connection))


def _end_with_parent() -> None:
    """End as if told to when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
