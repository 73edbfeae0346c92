"""A client of a service under test, and tokens for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from recsys.events.store import EventStore
from recsys.events.tokens import Scope
from recsys.serving.access import Limits, new_token
from recsys.serving.http.app import create_app
from recsys.serving.opening import open_answers
from recsys.serving.service import Service

ALL: tuple[Scope, ...] = ("read", "write", "admin")


def token(
    store: EventStore, scopes: Sequence[Scope] = ALL, user: str | None = None, *, expires_in: int | None = None
) -> str:
    """Keep a new token, and return its secret."""
    expires = None if expires_in is None else int(time.time()) + expires_in
    secret, made = new_token("test", scopes, user, expires)
    store.put_token(made)
    return secret


def bearer(secret: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {secret}"}


def service_of(run: Path, store: EventStore, limits: Limits | None = None, *, authenticated: bool = True) -> Service:
    """Return the service of a run."""
    return Service(store, lambda: open_answers(run, store, "memory:"), limits, authenticated=authenticated)


class Client:
    """Asks a service in this process. An error that the service does not turn into an answer is raised."""

    def __init__(self, service: Service, headers: dict[str, str], host: str = "http://localhost") -> None:
        self.service = service
        self._app = create_app(service)
        self._headers = headers
        self._host = host

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask one question."""
        return asyncio.run(self._ask(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url=self._host, headers=self._headers) as client:
            return await client.request(method, path, **options)


def client_of(service: Service, secret: str | None = None, host: str = "http://localhost") -> Client:
    """Return a client that shows a token."""
    return Client(service, {} if secret is None else bearer(secret), host)


def ok(response: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of an answer; None of one without a body."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def event(event_id: str, user: str = "u0", item: str = "i1", **other: Any) -> dict[str, Any]:
    """Return an event as it is sent."""
    return {"event_id": event_id, "user_id": user, "item_id": item, "time": 1_500_000_000, **other}


def ids(answer: dict[str, Any]) -> list[str]:
    """Return the recommended items."""
    return [item["item_id"] for item in answer["items"]]
