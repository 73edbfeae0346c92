"""A private PostgreSQL server in a temporary folder, which can be killed and restarted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Literal, Self, final

from benchmarks.serving.processes.served_process import free_port
from recsys.errors import ConfigError

Death = Literal["kill", "immediate"]
"""SIGKILL for every process of the server, or `pg_ctl stop -m immediate`; both leave recovery to the next start."""

_PATIENCE = 60.0


@final
class PostgresqlServer:
    """A server of a fresh cluster on a port of the loopback address, as a context.

    PostgreSQL refuses to run as root; root runs it as the user `postgres`.

    Raises:
        ConfigError: PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        self._programs = postgresql_programs()
        self._as = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        self._folder = Path(tempfile.mkdtemp(prefix="recsys-postgresql-"))
        self._data = self._folder / "data"
        self._port = free_port()

    @property
    def address(self) -> str:
        """The address of its database, as `--events` takes it."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start the server, and return when it takes connections; it recovers from a crash first."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._run("pg_ctl", "-l", str(self._folder / "log"), "-w", "-s", "-o", self._options(), "start")
                return
            except subprocess.CalledProcessError:
                # The shared memory of killed processes is held until the last of them has ended.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def die(self, death: Death) -> None:
        """End the server without a shutdown."""
        if death == "immediate":
            self._run("pg_ctl", "-m", "immediate", "-s", "stop")
            return
        postmaster = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split()
        for process in (postmaster, *map(int, children)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue  # a backend whose client had left

    def __enter__(self) -> Self:
        try:
            if self._as:
                shutil.chown(self._folder, "postgres")
            self._run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8")
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.die("immediate")
        except subprocess.CalledProcessError:
            pass  # it has ended already
        finally:
            shutil.rmtree(self._folder)

    def _options(self) -> str:
        return f"-p {self._port} -h 127.0.0.1 -k {self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        # No pipe for the output: the server would hold it open.
        command = [*self._as, str(self._programs / program), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_installed() -> bool:
    """Whether the programs of a server are installed."""
    try:
        postgresql_programs()
    except ConfigError:
        return False
    return True


def postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps those of the server off the PATH.

    Raises:
        ConfigError: PostgreSQL is not installed.
    """
    initdb = shutil.which("initdb")
    if initdb is not None:
        return Path(initdb).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise ConfigError("no initdb is found; install the PostgreSQL server, or put its programs on the PATH")
    return versions[-1].parent
