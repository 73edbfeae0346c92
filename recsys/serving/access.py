"""Who may do what, and how much of it: bearer tokens, their scopes, and the limits of every request."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

from recsys.checks import positive
from recsys.events.store import SCOPES, EventStore, Scope, Token

_PREFIX = "recsys_"
"""Makes a secret that leaked into a log or a repository findable."""

Code = Literal[
    "invalid_request",
    "token_missing",
    "token_invalid",
    "scope_missing",
    "other_user",
    "wrong_host",
    "not_found",
    "method_not_allowed",
    "event_conflict",
    "not_supported",
    "bundle_refused",
    "reload_running",
    "body_too_large",
    "wrong_content_type",
    "invalid_value",
    "too_many_requests",
    "internal",
    "store_unavailable",
    "timeout",
]
"""What an error is called, for programs; a code keeps its name and its meaning."""

CODES: Final[Mapping[int, tuple[Code, ...]]] = {
    400: ("invalid_request",),
    401: ("token_missing", "token_invalid"),
    403: ("scope_missing", "other_user", "wrong_host"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    409: ("event_conflict", "not_supported", "bundle_refused", "reload_running"),
    413: ("body_too_large",),
    415: ("wrong_content_type",),
    422: ("invalid_request", "invalid_value"),
    429: ("too_many_requests",),
    500: ("internal",),
    503: ("store_unavailable", "timeout"),
}
"""The codes that a status comes with."""

_REMEMBERED = 4096
"""Tokens, and clients with a budget, that are remembered at once; the longest unused is forgotten."""


@final
@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        body_bytes: size of a body.
        batch: events in one request.
        n: length of a list.
        history: events of a history in a body, and of a stored one that are read (the newest).
        exclude: items to leave out.
        rate: requests per second of one token, or of one address where there is none.
        burst: requests that may come at once.
        seconds: until a body must have come, and an answer must be there.
        token_seconds: for how long a token is believed before the store is asked again: a revoked one works so long.

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
    seconds: float = 30.0
    token_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            positive(name, value, zero=name == "token_seconds")


@final
class Denied(Exception):  # noqa: N818 (an answer, not a defect)
    """A request that is not served: a status, a stable code, what to do, and headers that belong to it."""

    def __init__(self, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code: Code = code
        self.message = message
        self.headers = headers or {}


def new_secret() -> str:
    """Return a secret with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """Return the SHA-256 under which a store keeps a secret; 256 random bits need no slower one."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(label: str, scopes: Collection[Scope], user_id: str | None, expires: int | None) -> tuple[str, Token]:
    """Return a secret, which is told once, and the token to keep.

    Raises:
        DataError: naming field, value and cure.
    """
    secret = new_secret()
    return secret, Token(secret_hash(secret), label, frozenset(scopes), int(time.time()), user_id, expires)


def everything() -> Token:
    """Return the token of whoever asks a service without authentication."""
    return Token("0" * 64, "no authentication", frozenset(SCOPES), 0)


def require(token: Token, scope: Scope, user_id: str | None = None) -> None:
    """Let a request pass that a token allows.

    Args:
        token: a valid one.
        scope: what the request needs.
        user_id: whom it is about; None: nobody in particular.

    Raises:
        Denied: 403.
    """
    if scope not in token.scopes:
        raise Denied(403, "scope_missing", f"this token lacks the scope {scope!r}; use one that has it")
    if token.user_id is not None and scope == "admin":
        raise Denied(403, "other_user", "this token is for one user; administration needs one without a user")
    if token.user_id is not None and user_id is not None and token.user_id != user_id:
        raise Denied(403, "other_user", "this token is for another user; use that user's own, or one for all users")


@final
class Gate:
    """Knows the tokens of a store, and remembers them for a moment.

    Args:
        store: keeps the tokens.
        limits: `token_seconds` is used.
        clock: Unix seconds.
    """

    def __init__(self, store: EventStore, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Token]] = OrderedDict()

    def remembered(self, secret: str) -> Token | None:
        """Return the valid token of a secret if it was seen a moment ago, without asking the store."""
        key, now = secret_hash(secret), self._clock()
        with self._lock:
            seen, token = self._known.get(key, (0.0, None))
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
        if token is None or not token.is_valid(int(now)):
            raise Denied(401, "token_invalid", "this token is unknown, expired or revoked; get a new one")
        with self._lock:
            self._known[key] = (now, token)
            self._known.move_to_end(key)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return token

    def forget(self) -> None:
        """Ask the store again from now on, as after an erasure, which removes tokens."""
        with self._lock:
            self._known.clear()


@final
class Budget:
    """A token bucket for each client: `burst` requests at once, `rate` per second in the long run.

    Args:
        limits: `rate` and `burst` are used.
        clock: seconds, never running back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, client: str) -> None:
        """Take one request from a client's budget.

        Raises:
            Denied: 429, nothing is left.
        """
        now = self._clock()
        left, seen = self._left.get(client, (float(self._limits.burst), now))
        left = min(float(self._limits.burst), left + (now - seen) * self._limits.rate)
        self._left[client] = (max(left - 1.0, 0.0) if left >= 1.0 else left, now)
        self._left.move_to_end(client)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        if left < 1.0:
            raise Denied(
                429, "too_many_requests", f"more than {self._limits.rate:g} requests per second; wait, then try again"
            )
