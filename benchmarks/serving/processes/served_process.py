"""`recsys serve` as a process that can be killed and restarted under the same address, and a client of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

from benchmarks.tools.search import shipped_experiment
from recsys.errors import ConfigError, RecsysError
from recsys.experiments.runs import DataSettings, train_run

UNLIMITED = ("--rate", "1000000")
OPEN = ("--no-auth", *UNLIMITED)
"""Options of a service that asks for no token and limits no rate."""

RECSYS = (sys.executable, "-c", "from recsys.cli.main import main; raise SystemExit(main())")


@final
class ServedProcess:
    """A service on a port of this machine, as a context that kills whatever is left of it at the end.

    Args:
        run: directory of a finished run.
        store: address of the event store.
        options: further options of `recsys serve`.
        source: a checkout of the project whose code serves; None: that of the working directory, or installed.

    Attributes:
        port: where it listens, the same after a restart.
        errors: standard error of all its processes, once the context is left.
    """

    def __init__(
        self, run: Path, store: str, options: Sequence[str] = ("--no-auth",), source: Path | None = None
    ) -> None:
        self.port = free_port()
        self._source = source
        self.errors = ""
        self._command = [*RECSYS, "serve", "--run", str(run), "--events", store, "--port", str(self.port), *options]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end of the context)
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address of the service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Number of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the service, and return when it listens.

        Raises:
            ConfigError: it ended instead; with its output.
        """
        variables = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._stderr, text=True, env=variables, cwd=self._source
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("serving on "):
            self.kill()
            raise ConfigError(f"the service did not start: {line.strip()} {self._read()}")

    def kill(self) -> None:
        """End the service as a crash does: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def kill_worker(self) -> None:
        """Kill one of the worker processes of a service that was started with several of them (Linux only)."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8").split()
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(int(workers[0]), signal.SIGKILL)

    def stop(self) -> int:
        """End the service as an operator does, by SIGTERM; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.errors = self._read()
        self._stderr.close()

    def _end(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait()

    def _read(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")


@final
class Client:
    """One connection to a service on the loopback address, as a context."""

    def __init__(self, port: int, timeout: float = 600) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def send(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Send a request, of JSON where it has a body; return status and content of the answer."""
        self._connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()

    def get(self, path: str) -> Any:  # noqa: ANN401 - any value of JSON
        """Return the JSON that a path answers.

        Raises:
            RecsysError: the status is not 200.
        """
        return json.loads(self._content("GET", path))

    def text(self, path: str) -> str:
        """Return the text that a path answers; raises as `get`."""
        return self._content("GET", path).decode()

    def post_events(self, events: Sequence[dict[str, object]]) -> None:
        """Send events; raises as `get`."""
        self._content("POST", "/v1/events", json.dumps({"events": events}))

    def _content(self, method: str, path: str, body: str | None = None) -> bytes:
        status, content = self.send(method, path, body)
        if status != 200:
            raise RecsysError(f"{method} {path} was answered {status}: {content.decode(errors='replace')}")
        return content


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, from Linux' /proc."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, from Linux' /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def small_run(folder: Path) -> Path:
    """Train EASE on the simulated log, which takes seconds, and return the directory of the run."""
    train_run(shipped_experiment("ease"), DataSettings("simulated"), folder, cutoffs=[10])
    return folder


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
