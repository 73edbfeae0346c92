"""ASGI middleware around all routes: admission, limits of the body, headers of answers, errors as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import unquote_to_bytes

from recsys.errors import CapabilityError, DataError
from recsys.events.store import ConflictError, StoreError, Token
from recsys.serving.access import FULL_ACCESS, Code, Denied
from recsys.serving.answers import UnknownError
from recsys.serving.http.page import page_files
from recsys.serving.service import Service

LOGGER = logging.getLogger("recsys.serving")

TOKEN: Final = "recsys.token"  # noqa: S105 (a name)
"""Key of the request's token in an ASGI scope."""

OPEN_PATHS: Final = ("/healthz", "/readyz", "/openapi.json")
"""Paths that need no token. Nor do the files of the page, which hold no data of users."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ERRORS: Final[tuple[tuple[type[Exception], int, Code, str | None], ...]] = (
    (TimeoutError, 503, "timeout", "it took too long; send the same again, events count once"),
    (ConflictError, 409, "event_conflict", None),
    (UnknownError, 404, "not_found", None),
    (StoreError, 503, "store_unavailable", "the event store does not answer; send the same again, events count once"),
    (DataError, 422, "invalid_value", None),
    (CapabilityError, 409, "not_supported", None),
)
"""Status and code of errors, and a message where not their own. The first that matches counts."""

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


@final
class Guard:
    """Admits requests with a token and a budget, limits size and time of the body, and answers errors as JSON."""

    def __init__(self, app: App, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send)
        try:
            async with asyncio.timeout(self._service.limits.seconds):
                _check_path(scope)
                scope[TOKEN] = await self._admit(scope)
                body = await self._body(scope, receive)
                if body is None:
                    return
                await self._app(scope, _once(body, receive), answer.send)
        except Exception as error:
            denied = denial(error)
            self._service.metrics.count_error(denied.code)
            if answer.status is None:  # else the answer has begun, and the server cuts it off
                await answer.refuse(denied)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            self._service.metrics.observe_answer(scope["method"], route, answer.status or 0, seconds)

    async def _admit(self, scope: Scope) -> Token:
        """Return the token of a request; without one, only the open paths are served."""
        headers = dict(scope["headers"])
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not self._service.authenticated:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            # Else a web page could use a browser of this machine, by a host name that points here (DNS rebinding).
            if (host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host) not in _LOOPBACK:
                raise Denied(403, "wrong_host", "without tokens only localhost is served; ask http://127.0.0.1")
            self._service.rate_limiter.acquire(address)
            return FULL_ACCESS
        scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        secret = secret.strip()
        token = self._service.tokens.cached(secret) if secret else None
        self._service.rate_limiter.acquire(address if token is None else token.token_hash)
        if token is not None and scheme.lower() == "bearer":
            return token
        if scope["path"] in OPEN_PATHS or scope["path"] in page_files():
            return FULL_ACCESS
        if not secret or scheme.lower() != "bearer":
            raise Denied(401, "token_missing", "send a token: the header `Authorization: Bearer TOKEN`")
        return await asyncio.to_thread(self._service.tokens.token, secret)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body of a request; None if the client has disconnected."""
        most = self._service.limits.body_bytes
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        too_large = Denied(413, "body_too_large", f"the body is larger than {most} bytes; send less at once")
        if not length.isdigit() or int(length[:20]) > most:
            raise too_large
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise too_large
            more = message.get("more_body", False)
        kind = headers.get(b"content-type", b"").decode("latin-1").lower().replace(" ", "")
        if size and kind not in ("application/json", "application/json;charset=utf-8"):
            raise Denied(415, "wrong_content_type", "send the body as JSON, with `Content-Type: application/json`")
        return b"".join(parts)


def denial(error: Exception) -> Denied:
    """Return the answer to an error, without paths, secrets or internals."""
    if isinstance(error, Denied):
        return error
    for kind, status, code, message in _ERRORS:
        if isinstance(error, kind):
            if kind is StoreError:
                LOGGER.error("the event store failed")
            return Denied(status, code, message or str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    LOGGER.error("defect: %s%s", type(error).__name__, place)
    return Denied(500, "internal", "this is a defect of the service; tell its operator the time of the request")


@final
class _Answer:
    """Sends an answer with the common headers, unless it sets its own, and records its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", ()))
            names = {name for name, _ in own}
            message = {**message, "headers": own + [header for header in _HEADERS if header[0] not in names]}
        await self._send(message)

    async def refuse(self, denied: Denied) -> None:
        content = json.dumps({"error": {"code": denied.code, "message": denied.message}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in denied.headers.items()]
        if denied.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if denied.status in (429, 503):
            headers.append((b"retry-after", b"1"))
        if denied.status == 413:
            headers.append((b"connection", b"close"))  # the rest of the body is not read
        await self.send({"type": "http.response.start", "status": denied.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})


def _check_path(scope: Scope) -> None:
    """Raise unless a path is UTF-8 without control characters.

    Servers decode other bytes too, so that two ids look the same; and patterns of routes end at the end of a line.
    """
    path = unquote_to_bytes(scope.get("raw_path") or b"")
    try:
        path.decode()
    except UnicodeDecodeError:
        raise Denied(400, "invalid_request", "the path is not UTF-8; percent-encode ids as UTF-8") from None
    if _CONTROL.search(path):
        raise Denied(422, "invalid_value", "the path holds a control character; remove it")


def _once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays a body."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Message:
        return next(messages, None) or await receive()

    return again
