"""Settings of a server, and whose address a request is taken to be from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.serving.access import Limits
from recsys.serving.server import Server, listen
from tests.serving.client import service_of


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"proxies": ("proxy.internal",)}, "--proxy is 'proxy.internal'; give an address"),
        ({"port": 70_000}, "--port"),
        ({"workers": 0}, "--workers"),
        ({"authenticated": False, "host": "0.0.0.0"}, "--no-auth serves loopback"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Server(Path("run"), "memory:", **options)


@pytest.mark.parametrize(
    ("proxies", "limited"),
    [((), True), (("127.0.0.1", "::1"), False), (("127.0.0.0/8",), False), (("10.0.0.9",), True)],
)
def test_only_a_named_proxy_tells_whose_request_it_is(run: Path, proxies: tuple[str, ...], limited: bool) -> None:
    """Requests without a token have the limit of their address, which nobody can choose."""
    limits = Limits(rate=0.001, burst=2)
    service = service_of(run, open_store("memory:"), limits)
    config = Server(run, "memory:", limits=limits, proxies=proxies)._config(service)
    config.load()
    statuses: list[int] = []

    async def ask(client: str) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/healthz",
            "raw_path": b"/healthz", "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(b"host", b"localhost"), (b"x-forwarded-for", client.encode())],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        app: Any = config.loaded_app
        await app(scope, receive, send)

    async def ask_all() -> None:
        for number in range(4):
            await ask(f"192.0.2.{number}")

    asyncio.run(ask_all())
    assert statuses == [200, 200, *([429, 429] if limited else [200, 200])]


@pytest.mark.parametrize("host", ["nosuch.invalid", "192.0.2.1"])
def test_a_host_of_no_address_of_this_machine_asks_for_another_host(host: str) -> None:
    with pytest.raises(ConfigError, match="give another --host"):
        listen(host, 0)


def test_a_port_that_is_taken_asks_for_another_port() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="give another --port"):
        listen("127.0.0.1", taken.getsockname()[1])
