"""ASGI middleware around all routes: admission, limits of the body, headers of answers, errors as JSON."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from hashlib import blake2b
from typing import Any, Final, final
from urllib.parse import unquote_to_bytes

from recsys.events.store import StoreError
from recsys.events.tokens import Token
from recsys.serving.access import FULL_ACCESS, Denied, Limits
from recsys.serving.http.compression import SMALLEST, accepts_gzip, compressed
from recsys.serving.http.errors import content_of, denial, new_request_id
from recsys.serving.http.page import page_files
from recsys.serving.service import Service

TOKEN: Final = "recsys.token"  # noqa: S105 (a name)
"""Key of the request's token in an ASGI scope."""

CLIENT: Final = "recsys.client"
"""Key of what the request is counted for, see `RateLimiter`."""

OPEN_PATHS: Final = ("/healthz", "/readyz", "/openapi.json")
"""Paths that need no token. Nor do the files of the page, which hold no data of users."""

EXPOSED: Final = (
    *("Age", "ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"),
    *("Warning", "X-Recommendation-Id", "X-Request-Id"),
)
"""Headers of answers that scripts of other origins may read."""

SHARED: Final = ("/v1/items", "/v1/genres", "/v1/popular", "/v1/trending", "/v1/latest", "/openapi.json")
"""The beginnings of paths whose answers are the same for everybody, so that clients may keep them and ask whether they
still hold."""

METRICS: Final = "/metrics"
"""The path that is answered while the store is not."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SINGLE: Final = (b"authorization", b"content-type", b"host", b"origin")
"""Headers that no request may repeat: which of two counts would be anybody's guess."""

_LIST: Final = re.compile("/v1/(users/(.+/)?)?recommendations")
"""Paths of lists, which are given while the store does not answer, too."""

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
        """Answer one request. HEAD is answered as GET, without the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method = scope["method"]
        answer = _Answer(send, new_request_id(), self._service.limits, bodiless=method == "HEAD")
        try:
            async with asyncio.timeout(self._service.limits.seconds):
                headers = _headers(scope)
                answer.gzip = accepts_gzip(headers[b"accept-encoding"]) if b"accept-encoding" in headers else False
                _check_target(scope)
                scope[TOKEN] = await self._admit(scope, headers, answer)
                body = await self._body(headers, receive)
                if body is None:
                    return
                if method in ("GET", "HEAD"):
                    answer.known = _known(scope, headers)
                    answer.shared = scope["path"].startswith(SHARED)
                if method == "HEAD":
                    scope = {**scope, "method": "GET"}
                await self._app(scope, _once(body, receive), answer.send)
        except Exception as error:
            denied = denial(error, answer.request_id)
            self._service.metrics.count_error(denied.code)
            if isinstance(error, StoreError):
                self._service.metrics.count_store_failure(error.cause)
            if not answer.begun:  # else the server cuts it off
                await answer.refuse(denied)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            self._service.metrics.observe_answer(method, route, answer.status or 0, seconds)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], answer: _Answer) -> Token:
        """Return the token of a request; without one, only the open paths are served."""
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not self._service.authenticated:
            _check_source(scope["method"], headers)
            self._count(scope, address, answer)
            return FULL_ACCESS
        scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        secret = secret.strip()
        token = self._service.tokens.cached(secret) if secret else None
        self._count(scope, address if token is None else token.token_hash, answer)
        if token is not None and scheme.lower() == "bearer":
            return token
        if scope["path"] in OPEN_PATHS or scope["path"] in page_files():
            return FULL_ACCESS
        if not secret or scheme.lower() != "bearer":
            raise Denied(401, "token_missing", "send a token: the header `Authorization: Bearer TOKEN`")
        if scope["path"] == METRICS:
            return await self._service.tokens.token_without_store(secret)
        tokens = self._service.tokens
        may_be_stale = scope["method"] in ("GET", "HEAD", "POST") and _LIST.fullmatch(scope["path"]) is not None
        return await asyncio.to_thread(tokens.token_as_last_seen if may_be_stale else tokens.token, secret)

    def _count(self, scope: Scope, client: str, answer: _Answer) -> None:
        """Count a request of a client, who is told how many more there may be."""
        scope[CLIENT] = client
        answer.left = 0.0  # where the next line refuses it
        answer.left = self._service.rate_limiter.acquire(client)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """Return the body of a request; None if the client has disconnected."""
        most = self._service.limits.body_bytes
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


@final
class _Answer:
    """Sends an answer with the common headers, unless it sets its own, compressed where that is accepted.

    Args:
        send: of the server.
        request_id: of the request, sent with the answer.
        limits: of requests, of which the answer tells the rate.
        bodiless: the headers of the answer alone are sent.

    Attributes:
        gzip: whether the client accepts it.
        known: tags of the answers that the client has; None: of a method that has none.
        shared: whether the answer is the same for everybody.
        left: requests that the client may send at once; None as long as it is not known who that is.
        status: of the answer, as soon as it is known.
        begun: whether anything is sent.
    """

    def __init__(self, send: Send, request_id: str, limits: Limits, *, bodiless: bool) -> None:
        self.request_id = request_id
        self.left: float | None = None
        self._limits = limits
        self.gzip = False
        self.known: bytes | None = None
        self.shared = False
        self.status: int | None = None
        self.begun = False
        self._send = send
        self._bodiless = bodiless
        self._start: Message = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._start = message
            return
        body = message.get("body", b"")
        if not self.begun:
            body = await self._begin(body, complete=not message.get("more_body", False))
        await self._send({**message, "body": b"" if self._bodiless else body})

    async def refuse(self, denied: Denied) -> None:
        content = content_of(denied, self.request_id)
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

    def _tag(self, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        """Return the tag of an answer, which one that is the same for everybody gets here; None: it has none."""
        tag = next((value for name, value in headers if name == b"etag"), None)
        if tag is None and self.shared:
            tag = b'"' + blake2b(body, digest_size=12).hexdigest().encode() + b'"'
            headers += [(b"etag", tag), (b"cache-control", b"private, no-cache")]
        return tag

    def _is_known(self, tag: bytes) -> bool:
        """Return whether the client has an answer with this tag, compressed or not."""
        known, bare = self.known or b"", tag.removeprefix(b"W/")
        return known.strip() == b"*" or any(one.strip().removeprefix(b"W/") == bare for one in known.split(b","))

    async def _begin(self, body: bytes, *, complete: bool) -> bytes:
        """Send the headers, and return the body as it is to be sent."""
        headers = list(self._start.get("headers", ()))
        tag = self._tag(headers, body) if self.known is not None and complete and self.status == 200 else None
        compressible = complete and len(body) >= SMALLEST
        if compressible:
            headers.append((b"vary", b"accept-encoding"))
            if self.gzip:
                headers = [(name, _weak(value) if name == b"etag" else value) for name, value in headers]
        if tag is not None and self._is_known(tag):
            self.status, body = 304, b""
            self._start = {**self._start, "status": 304}
            headers = [one for one in headers if one[0] not in (b"content-length", b"content-type")]
        elif compressible and self.gzip:
            body = await compressed(body)
            headers = [header for header in headers if header[0] != b"content-length"]
            headers += [(b"content-length", str(len(body)).encode()), (b"content-encoding", b"gzip")]
        names = {name for name, _ in headers}
        headers += [header for header in _HEADERS if header[0] not in names]
        headers.append((b"x-request-id", self.request_id.encode()))
        if self.left is not None:
            burst, rate = self._limits.burst, self._limits.rate
            headers += [
                (b"ratelimit-limit", b"%d" % burst),
                (b"ratelimit-remaining", b"%d" % self.left),
                (b"ratelimit-reset", b"%d" % -((self.left - burst) // rate)),
            ]
        self.begun = True
        await self._send({**self._start, "headers": headers})
        return body


def _known(scope: Scope, headers: Mapping[bytes, bytes]) -> bytes:
    """Return the tags of the answers that a client has; they may come in several lines."""
    if b"if-none-match" not in headers:
        return b""
    return b",".join(value for name, value in scope["headers"] if name == b"if-none-match")


def _weak(tag: bytes) -> bytes:
    return tag if tag.startswith(b"W/") else b"W/" + tag


def _headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers of a request by name; raise if one is missing or repeated that must be there once."""
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]):
        names = [name for name, _ in scope["headers"]]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise Denied(400, "invalid_request", f"the header `{name.decode().title()}` comes twice; send it once")
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise Denied(400, "invalid_request", "the header `Host` is missing; send it, as HTTP/1.1 requires")
    return headers


def _check_source(method: str, headers: Mapping[bytes, bytes]) -> None:
    """Raise unless a request without a token can come from this machine, and not from a web page of somebody else.

    A page can make a browser of this machine send requests: under a host name of its own that points here (DNS
    rebinding), or, without reading the answer, from another origin.
    """
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if (host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host) not in _LOOPBACK:
        raise Denied(403, "wrong_host", "without tokens only localhost is served; ask http://127.0.0.1")
    origin = headers.get(b"origin")
    foreign = origin is not None and origin.decode("latin-1").lower() != f"http://{host}"
    changing = method not in ("GET", "HEAD")
    if foreign or (changing and headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")):
        raise Denied(403, "wrong_origin", "without tokens no page of another origin is served; use a token")


def _check_target(scope: Scope) -> None:
    """Raise unless a path and its query are UTF-8, and the path has no control characters.

    Servers decode other bytes too, so that two ids look the same; and patterns of routes end at the end of a line.
    """
    path = unquote_to_bytes(scope.get("raw_path") or b"")
    query = scope.get("query_string", b"")
    for part, content in (("path", path), ("query", unquote_to_bytes(query) if b"%" in query else query)):
        try:
            content.decode()
        except UnicodeDecodeError:
            raise Denied(400, "invalid_request", f"the {part} is not UTF-8; percent-encode ids as UTF-8") from None
    if _CONTROL.search(path):
        raise Denied(422, "invalid_value", "the path holds a control character; remove it")


def _once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays a body."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Message:
        return next(messages, None) or await receive()

    return again
