"""`recsys serve`: a run as an HTTP service, and the signals that it obeys."""

from __future__ import annotations

import argparse
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

from recsys.checks import positive
from recsys.errors import ConfigError, RecsysError
from recsys.events.addresses import located, open_store
from recsys.events.store import EventStore
from recsys.serving.access import Denied, Limits
from recsys.serving.answers import Answers
from recsys.serving.garbage import Garbage
from recsys.serving.service import Service

if TYPE_CHECKING:
    from recsys.serving.workers import Parent

_KEEP_ALIVE, _SHUTDOWN = 5, 30
"""Seconds that an idle connection stays, and that answers under way are waited for when the service ends."""

_CONNECTIONS = 512
"""Connections at once; more are told to come again."""


class OpenAnswers(Protocol):
    """Opens the answers of a run, such as `recsys.serving.run_answers.open_answers`."""

    def __call__(
        self,
        run: Path,
        store: EventStore,
        address: str,
        *,
        source: str | None = None,
        history: int = 2_000,
        exact: bool = False,
    ) -> Answers:
        """Return the answers of a run, up to date with the store at an address."""


def add_serve(commands: Any, open_answers: OpenAnswers) -> None:  # noqa: ANN401 (argparse's subcommands have no public type)
    """Add `serve` to the commands of a parser.

    Args:
        commands: where to add it.
        open_answers: what answers; the layers below know no model.
    """
    summary = "answer over HTTP: events in, explained recommendations out"
    parser = commands.add_parser("serve", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    limits = Limits()
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0: any that is free (default: %(default)s)")
    parser.add_argument(
        "--events",
        metavar="STORE",
        help="the event store: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE (default: RUN.events.db, "
        "beside the run)",
    )
    parser.add_argument("--data", help="read the run's log from here")
    parser.add_argument("--exact", action="store_true", help="score every item, also where the run has an index")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that answer, each with the model in memory; they share the store (default: %(default)s)",
    )
    parser.add_argument("--no-auth", action="store_true", help="serve without tokens; on a loopback address only")
    parser.add_argument(
        "--rate",
        type=float,
        default=limits.rate,
        help="requests per second of one token, or of one address without (default: %(default)g)",
    )
    parser.set_defaults(call=lambda options: _serve(options, open_answers))


def default_store(run: Path) -> Path:
    """Return where a run's events are kept: beside it, for a run that is trained again is deleted first.

    >>> default_store(Path("/srv/runs/shop")).as_posix()
    '/srv/runs/shop.events.db'
    """
    place = run.absolute()
    return place.with_name(f"{place.name}.events.db")


def _serve(options: argparse.Namespace, open_answers: OpenAnswers) -> None:
    try:
        import recsys.serving.http.app  # noqa: PLC0415 (imports optional libraries)
        import recsys.serving.http.connection  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving needs {error.name}, which is not installed; pip install 'recsys[serving]'"
        ) from None
    if options.no_auth and not _is_loopback(options.host):
        raise ConfigError(
            f"--no-auth serves loopback addresses only, not {options.host}; leave it out and make a token with "
            "`recsys tokens create`"
        )
    if options.port not in range(65_536):
        raise ConfigError(f"--port is {options.port}; give a number from 0 to 65535")
    positive("--workers", options.workers)
    limits = Limits(rate=options.rate, burst=max(1, int(2 * options.rate)))
    address = options.events or str(default_store(options.run))
    if options.workers > 1 and (address == "memory:" or not hasattr(signal, "SIGHUP")):
        raise ConfigError(
            f"--workers is {options.workers}, and they must share a store and signals; give --events a file or a "
            "database, on Linux or macOS, or leave --workers out"
        )
    work = _Work(options.run, address, options.data, options.exact, limits, not options.no_auth, open_answers)
    if options.workers == 1:
        with open_store(address) as store:
            service = work.service(store)
            with _listen(options.host, options.port) as listener:
                _tell(listener, store, address, authenticated=service.authenticated)
                work.answer(service, listener)
        return
    from recsys.serving.workers import Workers  # noqa: PLC0415 (imports an optional library)

    with open_store(address) as store, _listen(options.host, options.port) as listener:
        workers = Workers(partial(_be_worker, work, listener), options.workers, seconds=_SHUTDOWN + 5)
        workers.run(lambda: _tell(listener, store, address, authenticated=not options.no_auth))


@final
@dataclass(frozen=True)
class _Work:
    """What a process does that answers: it can be sent to another one."""

    run: Path
    address: str
    data: str | None
    exact: bool
    limits: Limits
    authenticated: bool
    open_answers: OpenAnswers

    def service(self, store: EventStore, announce: Callable[[], None] = lambda: None) -> Service:
        """Return the service of the run, up to date with an open store."""
        import recsys.serving.http.app  # noqa: F401, PLC0415 (imports optional libraries)

        garbage = Garbage()
        garbage.prepare()

        def load() -> Answers:
            return self.open_answers(
                self.run, store, self.address, source=self.data, history=self.limits.history, exact=self.exact
            )

        return Service(
            store, load, self.limits, authenticated=self.authenticated, announce=announce, afterwards=garbage.look
        )

    def answer(self, service: Service, listener: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
        """Answer what comes through a socket, until a signal says that this is enough."""
        import uvicorn  # noqa: PLC0415 (an optional library)

        from recsys.serving.http.app import create_app  # noqa: PLC0415 (imports optional libraries)
        from recsys.serving.http.connection import HEAD_BYTES, BoundedHead  # noqa: PLC0415

        _reload_on_hangup(service.reload)
        ready()
        config = uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,  # paths hold the ids of people
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_SHUTDOWN,
            h11_max_incomplete_event_size=HEAD_BYTES,
            http=BoundedHead,
        )
        with suppress(KeyboardInterrupt):  # it is how the service is meant to end
            uvicorn.Server(config).run(sockets=[listener])


def _be_worker(work: _Work, listener: socket.socket, parent: Parent) -> None:
    """Answer as one of several processes."""
    from recsys.serving.workers import READY, RELOADED  # noqa: PLC0415 (imports an optional library)

    try:
        with open_store(work.address, create=False) as store:
            service = work.service(store, lambda: parent.tell(RELOADED))
            work.answer(service, listener, lambda: parent.tell(READY))
    except RecsysError as error:
        parent.tell(str(error))


def _tell(listener: socket.socket, store: EventStore, address: str, *, authenticated: bool) -> None:
    sys.stdout.write(f"serving on http://{_shown(listener)} (stop with Ctrl-C)\n")
    if authenticated and not store.tokens():
        told = located(address)
        sys.stdout.write(f"there is no token yet: recsys tokens create --events {told} --label NAME\n")
    sys.stdout.flush()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # asyncio does this for sockets that it makes. Else the body of an answer waits for the receipt of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; give another --port") from None


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reload_on_hangup(reload: Callable[[], str]) -> None:
    """Load the bundle anew on SIGHUP, beside the answers; the log says what came of it."""

    def quietly() -> None:
        try:
            reload()
        except Denied:
            return  # told in the log, and counted

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=quietly, daemon=True).start())
