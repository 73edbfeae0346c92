"""A run as an HTTP service: the listening socket, the processes that answer, and the signals that they obey.

SIGTERM and Ctrl-C end the service when the answers under way are given; SIGHUP loads the run's bundle anew.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import uvicorn

from recsys.checks import positive
from recsys.errors import ConfigError, RecsysError
from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from recsys.policy.ledger import Ledger
from recsys.serving.access import Denied, Limits
from recsys.serving.answers import Answers
from recsys.serving.beside import SideBySide, Split
from recsys.serving.garbage import Garbage
from recsys.serving.http.app import create_app
from recsys.serving.http.connection import AddressLimit, BoundedConnection
from recsys.serving.logs import log_lines
from recsys.serving.service import Service
from recsys.serving.workers import READY, RELOADED, Notify, Workers

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?|https?://\[[0-9A-Fa-f:]+\](:[0-9]+)?")
_KEEP_ALIVE, _SHUTDOWN = 5, 30
"""Seconds that an idle connection stays, and that answers under way are waited for when the service ends."""

_CONNECTIONS = 512
"""Connections at once; a further one is refused and may try again."""


def default_store(run: Path) -> Path:
    """Return the event store of a run: beside it, for training it again deletes the folder.

    >>> default_store(Path("/srv/runs/shop")).as_posix()
    '/srv/runs/shop.events.db'
    """
    path = run.absolute()
    return path.with_name(f"{path.name}.events.db")


@final
@dataclass(frozen=True)
class Server:
    """What is served and where. A server can be pickled: each worker process gets a copy.

    Attributes:
        run_directory: of a finished run.
        store: address of the event store.
        host: address to listen on.
        port: 0 for any that is free.
        workers: processes that answer, each with a model of its own.
        source: read the run's log from here; None: from where the run read it.
        columns: how to read the log, in addition to what the run recorded.
        exact: score every item, also where the run has an index.
        limits: of every request.
        authenticated: whether requests need a token.
        proxies: addresses and networks of proxies in front, whose `X-Forwarded-For` tells the address of a client.
        allow: dotted paths of classes from elsewhere that the run's bundle may name.
        policy: the file that binds every list; None: nothing does.
        attributes: a table with more facts about items, for the policy.
        ledger: folder in which decisions under the policy are recorded; None: nowhere.
        repeats: whether items of a history may be listed again.
        origins: of web pages whose scripts may ask.
        beside: directory of a run that answers some users in place of the other; None: there is none.
        split: which users.

    Raises:
        ConfigError: a setting is out of range, or the service would be open to other machines without tokens.
    """

    run_directory: Path
    store: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    source: str | None = None
    exact: bool = False
    limits: Limits = field(default_factory=Limits)
    authenticated: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    proxies: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    policy: Path | None = None
    attributes: Path | None = None
    ledger: Path | None = None
    repeats: bool = False
    origins: tuple[str, ...] = ()
    beside: Path | None = None
    split: Split = field(default_factory=lambda: Split(0.0))

    def __post_init__(self) -> None:
        if not (self.authenticated or _is_loopback(self.host)):
            raise ConfigError(
                f"--no-auth serves loopback addresses only, not {self.host}; leave it out and make a token with "
                "`recsys tokens create`"
            )
        if self.policy is None and (self.attributes or self.ledger):
            raise ConfigError("--attributes and --ledger are of a policy; give --policy FILE too")
        for origin in self.origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ConfigError(f"--cors is {origin!r}; give an origin without a path: https://shop.example")
        if self.origins and not self.authenticated:
            raise ConfigError("--cors lets web pages ask, and --no-auth refuses them; leave out one of the two")
        if self.port not in range(65_536):
            raise ConfigError(f"--port is {self.port}; give a number from 0 to 65535")
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ConfigError(f"--proxy is {proxy!r}; give an address or a network: 10.0.0.0/8") from None
        positive("--workers", self.workers)
        if self.workers > 1 and (self.store == "memory:" or not hasattr(signal, "SIGHUP")):
            raise ConfigError(
                f"--workers is {self.workers}, and they must share a store and signals; give --events a file or a "
                "database, on Linux or macOS, or leave --workers out"
            )

    def run(self, ready: Callable[[str, bool], None]) -> None:
        """Serve until a signal; call `ready` once it answers, with the URL and whether the store holds a token.

        Raises:
            RecsysError: the run cannot be served, the store cannot be opened, or the port is taken.
        """
        with log_lines(), open_store(self.store) as store:
            if self.workers == 1:
                service = self._service(store)
                with listen(self.host, self.port) as listener:
                    self._answer(service, listener, lambda: ready(_url(listener), bool(store.tokens())))
                return
            with listen(self.host, self.port) as listener:
                workers = Workers(partial(_work, self, listener), self.workers, seconds=_SHUTDOWN + 5)
                workers.run(lambda: ready(_url(listener), bool(store.tokens())))

    def _service(self, store: EventStore, announce: Callable[[], None] = lambda: None) -> Service:
        """Return the service of the run, up to date with an open store."""
        from recsys.serving.opening import open_answers  # noqa: PLC0415 (the parent of workers needs no torch)

        garbage = Garbage()
        garbage.prepare()

        opened = partial(
            open_answers,
            store=store,
            address=self.store,
            source=self.source,
            columns=self.columns,
            history=self.limits.history,
            exact=self.exact,
            allow=self.allow,
            policy=self.policy,
            attributes=self.attributes,
            ledger=None if self.ledger is None else Ledger(self.ledger),
            repeats=self.repeats,
        )

        def load() -> Answers:
            main = opened(self.run_directory)
            if self.beside is None:
                return main
            return SideBySide(main, opened(self.beside, variant="beside"), self.split)

        return Service(
            store, load, self.limits, authenticated=self.authenticated, announce=announce, after_answer=garbage.collect
        )

    def _answer(self, service: Service, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Answer what comes through a socket, until a signal."""
        _reload_on_hangup(service.reload)
        ready()
        with suppress(KeyboardInterrupt):  # it is how the service is meant to end
            uvicorn.Server(self._config(service)).run(sockets=[listener])

    def _config(self, service: Service) -> uvicorn.Config:
        limit = AddressLimit(self.limits.connections, self.proxies)
        return uvicorn.Config(
            create_app(service, self.origins),
            log_config=None,
            access_log=False,  # paths hold the ids of people
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_SHUTDOWN,
            ws="none",
            proxy_headers=bool(self.proxies),  # else anybody could claim any address
            forwarded_allow_ips=list(self.proxies),
            http=cast("Any", partial(BoundedConnection, limit, service.metrics.count_error)),
        )


def _work(server: Server, listener: socket.socket, notify: Notify) -> None:
    """Answer as one of several processes."""
    try:
        with log_lines(), open_store(server.store, create=False) as store:
            service = server._service(store, lambda: notify(RELOADED))
            server._answer(service, listener, lambda: notify(READY))
    except RecsysError as error:
        notify(str(error))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        of_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        cure = "another --port" if of_port else "another --host, an address of this machine such as 127.0.0.1"
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; give {cure}") from None
    # asyncio sets this on its own sockets only. Without it the body of an answer waits until its head is acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reload_on_hangup(reload: Callable[[], str]) -> None:
    """Load the bundle anew on SIGHUP, in a thread, while the old one answers."""

    def reload_quietly() -> None:
        with suppress(Denied):  # logged and counted by the service
            reload()

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload_quietly, daemon=True).start())
