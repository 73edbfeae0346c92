"""Access control: bearer tokens, their scopes, the limits of a request, and rate limits."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, final

from recsys.checks import positive
from recsys.events.checks import check_visible
from recsys.events.store import EventStore, StoreError
from recsys.events.tokens import SCOPES, Scope, Token
from recsys.serving.users.pause import StorePause

_PREFIX = "recsys_"
"""Lets scanners find a secret that leaked into a log or a repository."""

Code = Literal[
    "invalid_request",
    "token_missing",
    "token_invalid",
    "scope_missing",
    "other_user",
    "wrong_host",
    "wrong_origin",
    "not_found",
    "method_not_allowed",
    "event_conflict",
    "not_supported",
    "bundle_refused",
    "reload_running",
    "body_too_large",
    "wrong_content_type",
    "invalid_value",
    "unreadable_text",
    "unreadable_cursor",
    "item_conflict",
    "too_many_requests",
    "too_many_connections",
    "head_too_large",
    "internal",
    "store_unavailable",
    "ledger_unavailable",
    "timeout",
    "warming",
]
"""Stable names of errors for programs."""

CODES: Final[Mapping[int, tuple[Code, ...]]] = {
    400: ("invalid_request",),
    401: ("token_missing", "token_invalid"),
    403: ("scope_missing", "other_user", "wrong_host", "wrong_origin"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    409: ("event_conflict", "item_conflict", "not_supported", "bundle_refused", "reload_running"),
    413: ("body_too_large",),
    415: ("wrong_content_type",),
    422: ("invalid_request", "invalid_value", "unreadable_text", "unreadable_cursor"),
    429: ("too_many_requests", "too_many_connections"),
    431: ("head_too_large",),
    500: ("internal",),
    503: ("store_unavailable", "ledger_unavailable", "timeout", "warming"),
}
"""The codes of each status."""

_CACHED = 4096
"""The most tokens, and the most clients with a rate limit, in memory; the least recently used is dropped."""

_STORE_SECONDS: Final = 1.0
"""For how long requests that need no store wait for it."""

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Limits:
    """The limits of a request.

    Attributes:
        body_bytes: size of a body.
        batch: events in one request.
        n: length of a list.
        history: events of a history in a body, and the newest events of a stored history that are read.
        exclude: excluded items.
        rate: requests per second of a token, or of an address without one.
        burst: requests at once.
        connections: open connections of one address to one process; proxies have none.
        seconds: until the body must have arrived and the answer must be ready.
        token_seconds: for how long a token is cached, so that a revoked one still works.
        stale_seconds: how long ago the store may have been read last for a list while it does not answer; 0: no list.

    Raises:
        ConfigError: a limit is not positive.
    """

    body_bytes: int = 1_000_000
    batch: int = 500
    n: int = 100
    history: int = 2_000
    exclude: int = 1_000
    rate: float = 1_000.0
    burst: int = 2_000
    connections: int = 128
    seconds: float = 30.0
    token_seconds: float = 2.0
    stale_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            positive(name, value, zero=name in ("token_seconds", "stale_seconds"))


@final
class Denied(Exception):  # noqa: N818 (an answer, not a defect)
    """A refused request: a status, a stable code, a message with the cure, and headers."""

    def __init__(self, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code: Code = code
        self.message = message
        self.headers = headers or {}


def secret_hash(secret: str) -> str:
    """Return the SHA-256 of a secret, for the store; 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(label: str, scopes: Collection[Scope], user_id: str | None, expires: int | None) -> tuple[str, Token]:
    """Return a secret, which is shown once, and the token to store.

    Raises:
        DataError: naming field, value and cure.
    """
    check_visible("label", label)
    secret = _PREFIX + secrets.token_urlsafe(32)  # 256 random bits
    return secret, Token(secret_hash(secret), label, frozenset(scopes), int(time.time()), user_id, expires)


FULL_ACCESS: Final = Token("0" * 64, "no authentication", frozenset(SCOPES), 0)
"""The token of requests to a service without authentication."""


def require(token: Token, scope: Scope, user_id: str | None = None) -> None:
    """Raise `Denied` (403) unless a valid token allows a request, which is about a user or (None) no particular one."""
    if scope not in token.scopes:
        raise Denied(403, "scope_missing", f"this token lacks the scope {scope!r}; use one that has it")
    if token.user_id is not None and scope == "admin":
        raise Denied(403, "other_user", "this token is for one user; administration needs one without a user")
    if token.user_id is not None and user_id is not None and token.user_id != user_id:
        raise Denied(403, "other_user", "this token is for another user; use that user's own, or one for all users")


@final
class TokenCache:
    """The tokens of a store, cached for `Limits.token_seconds`; `clock` gives Unix seconds.

    Tokens for administration are known from the start, so that a store that is down can be watched.
    """

    def __init__(self, store: EventStore, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, Token]] = OrderedDict()
        self._pause = StorePause()
        self._admins = {token.token_hash: token for token in store.tokens() if "admin" in token.scopes}

    def cached(self, secret: str) -> Token | None:
        """Return the valid token of a secret if it is cached, without reading the store."""
        key, now = secret_hash(secret), self._clock()
        with self._lock:
            seen, token = self._entries.get(key, (0.0, None))
        fresh = token is not None and 0 <= now - seen < self._limits.token_seconds
        return token if fresh and token is not None and token.is_valid(int(now)) else None

    def token(self, secret: str) -> Token:
        """Return the valid token of a secret.

        Raises:
            Denied: 401.
            StoreError: the store cannot be read.
        """
        key, now = secret_hash(secret), self._clock()
        token = self._store.token(key)
        self._admins.pop(key, None)
        if token is not None and "admin" in token.scopes:
            self._admins[key] = token
        if token is None or not token.is_valid(int(now)):
            with self._lock:
                self._entries.pop(key, None)
            raise Denied(
                401, "token_invalid", "this token is unknown, expired or revoked, or its user was erased; get a new one"
            )
        with self._lock:
            self._entries[key] = (now, token)
            self._entries.move_to_end(key)
            if len(self._entries) > _CACHED:
                self._entries.popitem(last=False)
        return token

    async def token_without_store(self, secret: str) -> Token:
        """Return the valid token of a secret; while the store fails or hangs, one for administration as last seen.

        Raises:
            Denied: 401.
            StoreError, TimeoutError: the store cannot be read, and the token is not known.
        """
        try:
            return await within_seconds(lambda: self.token(secret))
        except (StoreError, TimeoutError):
            token = self._admins.get(secret_hash(secret))
            if token is None or not token.is_valid(int(self._clock())):
                raise
            return token

    def token_as_last_seen(self, secret: str) -> Token:
        """Return the valid token of a secret; while the store fails, as it was `Limits.stale_seconds` ago at most.

        Raises:
            Denied: 401.
            StoreError: the store cannot be read, and the token is not known.
        """
        now = self._clock()
        with self._lock:
            seen, token = self._entries.get(secret_hash(secret), (0.0, None))
        if token is None or not 0 <= now - seen < self._limits.stale_seconds or not token.is_valid(int(now)):
            return self.token(secret)
        if self._pause.is_over:
            with suppress(StoreError), self._pause.watching():
                return self.token(secret)
        return token

    def clear(self) -> None:
        """Empty the cache, as after an erasure, which removes tokens."""
        with self._lock:
            self._entries.clear()


async def within_seconds(call: Callable[[], T]) -> T:
    """Return the result of a call to the store, made in a thread; raise TimeoutError if it takes too long."""
    return await asyncio.wait_for(asyncio.to_thread(call), _STORE_SECONDS)


@final
class RateLimiter:
    """A token bucket per client: `burst` requests at once, `rate` per second in the long run."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def acquire(self, client: str, requests: int = 1) -> float:
        """Count requests of a client, and return how many more it may send at once. Many together may overdraw it.

        Raises:
            Denied: 429, its bucket is empty.
        """
        now = self._clock()
        left, seen = self._left.get(client, (float(self._limits.burst), now))
        left = min(float(self._limits.burst), left + (now - seen) * self._limits.rate)
        after = left - requests if left >= 1.0 else left
        self._left[client] = (after, now)
        self._left.move_to_end(client)
        if len(self._left) > _CACHED:
            self._left.popitem(last=False)
        if left < 1.0:
            raise Denied(
                429, "too_many_requests", f"more than {self._limits.rate:g} requests per second; wait, then try again"
            )
        return max(after, 0.0)
