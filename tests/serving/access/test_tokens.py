"""Tokens in memory, and limits of requests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.events.store import EventStore, StoreError
from recsys.events.tokens import Token
from recsys.serving.access import Denied, Limits, RateLimiter, TokenCache, new_token, require
from recsys.serving.users.pause import SECONDS
from tests.serving.access.refusals import code_of
from tests.serving.client import ALL, bearer, client_of, service_of, token


def test_a_revoked_token_works_for_token_seconds_at_most() -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, None)
    store.put_token(made)
    now = 1_000_000.0
    tokens = TokenCache(store, Limits(token_seconds=2.0), lambda: now)
    assert tokens.token(secret) == tokens.cached(secret) == made
    store.revoke_token(made.token_hash, int(now))
    now += 1.9
    assert tokens.cached(secret) == made
    now += 0.2
    assert tokens.cached(secret) is None
    with pytest.raises(Denied, match="revoked"):
        tokens.token(secret)


@dataclass
class _Reads:
    """Reads of tokens, which fail while the store is away."""

    store: EventStore
    away: bool = False
    count: int = 0

    def __call__(self, token_hash: str) -> Token | None:
        self.count += 1
        if self.away:
            raise StoreError("the store is away")
        return type(self.store).token(self.store, token_hash)


def test_a_token_that_was_seen_to_be_revoked_is_none_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, None)
    store.put_token(made)
    reads = _Reads(store)
    monkeypatch.setattr(store, "token", reads)
    tokens = TokenCache(store, Limits(), lambda: 1_000_000.0)
    assert tokens.token_as_last_seen(secret) == made
    store.revoke_token(made.token_hash, 1_000_000)
    with pytest.raises(Denied, match="revoked"):
        tokens.token_as_last_seen(secret)
    reads.away = True
    with pytest.raises(StoreError):
        tokens.token_as_last_seen(secret)


def test_a_store_that_failed_is_not_asked_for_each_token_as_it_was_last_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, None)
    store.put_token(made)
    reads, moment = _Reads(store), 0.0
    monkeypatch.setattr(store, "token", reads)
    monkeypatch.setattr("time.monotonic", lambda: moment)
    tokens = TokenCache(store, Limits(token_seconds=0.0), lambda: 1_000_000.0)
    assert tokens.token_as_last_seen(secret) == made
    reads.away = True
    for _ in range(10):
        assert tokens.token_as_last_seen(secret) == made
    assert reads.count == 2  # an attempt may wait for seconds
    with pytest.raises(StoreError):
        tokens.token(secret)
    moment += SECONDS
    assert tokens.token_as_last_seen(secret) == made
    assert reads.count == 4


def test_a_cached_token_expires() -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, 1_000_001)
    store.put_token(made)
    now = 1_000_000.0
    tokens = TokenCache(store, Limits(token_seconds=100.0), lambda: now)
    assert tokens.token(secret) == made
    now += 1
    assert tokens.cached(secret) is None


def test_secrets_are_long_random_and_stored_as_hashes() -> None:
    secret, made = new_token("t", ["read"], None, None)
    assert secret != new_token("t", ["read"], None, None)[0]
    assert len(secret) > 45
    assert made.token_hash == hashlib.sha256(secret.encode()).hexdigest()


def test_a_token_of_one_user_administers_nothing() -> None:
    _, made = new_token("t", ALL, "u1", None)
    with pytest.raises(Denied) as denied:
        require(made, "admin")
    assert denied.value.code == "other_user"


def test_rate_limit_refills() -> None:
    now = 0.0
    limiter = RateLimiter(Limits(rate=2.0, burst=3), lambda: now)
    for _ in range(3):
        limiter.acquire("a")
    with pytest.raises(Denied) as denied:
        limiter.acquire("a")
    assert (denied.value.status, denied.value.code) == (429, "too_many_requests")
    limiter.acquire("b")
    now += 0.5
    limiter.acquire("a")
    with pytest.raises(Denied):
        limiter.acquire("a")


def test_too_many_requests_are_refused_with_and_without_a_token(run: Path) -> None:
    service = service_of(run, open_store("memory:"), Limits(rate=0.001, burst=3))
    client = client_of(service, token(service.store))
    # The first one is of an address: whose token it is shows only afterwards.
    assert [client.get("/healthz").status_code for _ in range(2)] == [200, 200]
    assert client_of(service, "recsys_wrong").get("/metrics").status_code == 401
    refused = client_of(service, "recsys_other").get("/metrics")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize("name", ["body_bytes", "batch", "n", "history", "exclude", "rate", "burst", "seconds"])
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: 0})


def test_a_slow_body_times_out(run: Path) -> None:
    import asyncio

    service = service_of(run, open_store("memory:"), Limits(seconds=0.05))
    secret = token(service.store)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(60)
        yield b"}"

    headers = {"Content-Type": "application/json", **bearer(secret)}
    assert code_of(client_of(service).post("/v1/events", content=slow(), headers=headers)) == (503, "timeout")
