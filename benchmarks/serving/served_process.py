"""`recsys serve` as a process of its own, which can be killed and started again under the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, final

from recsys.data.catalogue import locations
from recsys.errors import ConfigError
from recsys.experiments.configuration import read_experiment
from recsys.experiments.runs import DataSettings, train_run

_RECSYS = (sys.executable, "-c", "from recsys.cli.main import main; raise SystemExit(main())")


@final
class ServedProcess:
    """A service on a port of this machine, as a context; whatever is left of it is killed at the end.

    Args:
        run: directory of a finished run.
        store: address of the event store.
        options: further options of `recsys serve`.

    Attributes:
        port: where it listens, the same after a restart.
        errors: what all its processes wrote to standard error, once the context is left.
    """

    def __init__(self, run: Path, store: str, options: Sequence[str] = ("--no-auth",)) -> None:
        self.port = free_port()
        self.errors = ""
        self._command = [*_RECSYS, "serve", "--run", str(run), "--events", store, "--port", str(self.port), *options]
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end of the context)
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address to ask."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it listens.

        Raises:
            ConfigError: it ended instead; with what it said.
        """
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=self._told,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("serving on "):
            self.kill()
            raise ConfigError(f"the service did not start: {line.strip()} {self._read()}")

    def kill(self) -> None:
        """End it as a crash does: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def kill_worker(self) -> None:
        """Kill one of the processes that answer, where the service was started with several of them (Linux only)."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8").split()
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(int(workers[0]), signal.SIGKILL)

    def stop(self) -> int:
        """End it as an operator does: SIGTERM; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.errors = self._read()
        self._told.close()

    def _end(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait()

    def _read(self) -> str:
        self._told.seek(0)
        return self._told.read().decode(errors="replace")


def small_run(folder: Path) -> Path:
    """Train EASE on the simulated log, which takes seconds, and return the directory of the run."""
    experiment = read_experiment(locations.shipped("configs") / "ease.yaml")
    train_run(experiment, DataSettings("simulated"), folder, cutoffs=[10])
    return folder


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
