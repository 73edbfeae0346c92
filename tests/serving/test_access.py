"""Access: tokens on every route, limits, hostile ids, and errors that reveal no internals."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from recsys.events.addresses import open_store
from recsys.events.checks import check_id
from recsys.events.impressions.records import Impression
from recsys.events.store import Event, EventStore
from recsys.events.tokens import Scope
from recsys.serving.access import CODES, Code, Denied, Limits, RateLimiter, TokenCache, new_token, require
from recsys.serving.http.app import create_app
from recsys.serving.http.schemas import EventIn
from recsys.serving.service import Service
from tests.events.store_addresses import users_of
from tests.serving.client import ALL, Client, bearer, client_of, event, service_of, token
from tests.serving.serving_run import ROOT

_QUESTION: dict[str, Any] = {"history": [{"item_id": "i3"}]}
_EVENTS: dict[str, Any] = {"events": [event("e1")]}


@dataclass(frozen=True)
class Rule:
    """Who may use a route. `path` and `body` ask it about user u0, if it is about one; `accepted` is the answer."""

    method: str
    template: str
    path: str
    scope: Scope
    body: Any = None
    of_user: bool = False
    accepted: tuple[int, str] = (200, "")
    also: tuple[Scope, ...] = ()
    of_service: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What a token needs."""
        return self.scope, *self.also

    def ask(self, service: Service, secret: str | None, user: str = "u0") -> tuple[int, str]:
        """Ask about a user; return the status and the code of the error."""
        about = json.loads(json.dumps(self.body).replace('"u0"', f'"{user}"'))
        options = {} if about is None else {"json": about}
        response = client_of(service, secret).request(self.method, self.path.replace("u0", user), **options)
        return (200, "") if response.is_success else (response.status_code, response.json()["error"]["code"])


_USER = "/v1/users/{user_id:path}"
_UNBOUND = 409, "not_supported"
"""The answer of a service without a policy, or whose model weighs no answers."""
_MEANT = {"item_id": "i1", "meant": True}

_ITEM = "/v1/items/{item_id:path}"
_SHOWN = {"user_id": "u0", "recommendation_id": "0123456789abcdef-main-x"}
_PLACED = {"item_id": "i3", "position": 1}

RULES = (
    Rule("POST", "/v1/events", "/v1/events", "write", _EVENTS, of_user=True),
    Rule("DELETE", f"{_USER}/events/{{event_id:path}}", "/v1/users/u0/events/taken back", "write", of_user=True),
    Rule("GET", f"{_USER}/recommendations", "/v1/users/u0/recommendations", "read", of_user=True),
    Rule("POST", f"{_USER}/recommendations", "/v1/users/u0/recommendations", "read", {"n": 3}, of_user=True),
    Rule("POST", "/v1/recommendations", "/v1/recommendations", "read", _QUESTION),
    Rule("POST", "/v1/interview", "/v1/interview", "read", {"screen": 2}),
    Rule("POST", f"{_USER}/interview", "/v1/users/u0/interview", "write", {"n": 2}, of_user=True, also=("read",)),
    Rule("GET", f"{_USER}/personas", "/v1/users/u0/personas", "read", of_user=True),
    Rule("PUT", f"{_USER}/personas/{{persona}}", "/v1/users/u0/personas/1", "write", {"weight": 0}, of_user=True),
    Rule("POST", "/v1/users/recommendations", "/v1/users/recommendations", "read", {"user_ids": ["u0"]}, of_user=True),
    Rule("GET", "/v1/items", "/v1/items?query=i3", "read"),
    Rule("PUT", "/v1/items", "/v1/items", "write", {"items": [{"item_id": "i3"}]}, of_service=True),
    Rule("GET", _ITEM, "/v1/items/i3", "read"),
    Rule("PUT", _ITEM, "/v1/items/i3", "write", {"title": "x"}, of_service=True),
    Rule("PATCH", _ITEM, "/v1/items/i3", "write", {"available": True}, of_service=True),
    Rule("DELETE", _ITEM, "/v1/items/i7", "write", of_service=True),
    Rule("GET", "/v1/popular", "/v1/popular", "read"),
    Rule("GET", "/v1/trending", "/v1/trending", "read"),
    Rule("GET", "/v1/latest", "/v1/latest", "read"),
    Rule("POST", "/v1/impressions", "/v1/impressions", "write", _SHOWN | {"items": [_PLACED]}, of_user=True),
    Rule("POST", "/v1/clicks", "/v1/clicks", "write", _SHOWN | {"item_id": "i3"}, of_user=True),
    Rule("GET", "/v1/genres", "/v1/genres", "read"),
    Rule("GET", "/v1/items/{item_id:path}/similar", "/v1/items/i3/similar", "read"),
    Rule("GET", "/v1/users", "/v1/users", "read"),
    Rule("GET", "/v1/token", "/v1/token", "read"),
    Rule("GET", f"{_USER}/data", "/v1/users/u0/data", "read", of_user=True),
    Rule("DELETE", f"{_USER}/data", "/v1/users/u0/data", "write", of_user=True),
    Rule("GET", "/v1/policy", "/v1/policy", "read"),
    Rule("GET", f"{_USER}/policy", "/v1/users/u0/policy", "read", of_user=True, accepted=_UNBOUND),
    Rule("PUT", f"{_USER}/policy", "/v1/users/u0/policy", "write", {"rules": []}, of_user=True, accepted=_UNBOUND),
    Rule("DELETE", f"{_USER}/policy", "/v1/users/u0/policy", "write", of_user=True, accepted=_UNBOUND),
    Rule("PUT", f"{_USER}/circumstances", "/v1/users/u0/circumstances", "admin", {"age": 9}, accepted=_UNBOUND),
    Rule("GET", "/v1/audit/{audit_id}", "/v1/audit/0", "admin", accepted=_UNBOUND),
    Rule("GET", f"{_USER}/summary", "/v1/users/u0/summary", "read", of_user=True),
    Rule("PUT", f"{_USER}/summary", "/v1/users/u0/summary", "write", {"text": ""}, of_user=True),
    Rule("DELETE", f"{_USER}/summary", "/v1/users/u0/summary", "write", of_user=True),
    Rule("GET", f"{_USER}/reliability", "/v1/users/u0/reliability", "read", of_user=True, accepted=_UNBOUND),
    Rule("PUT", f"{_USER}/reliability", "/v1/users/u0/reliability", "write", _MEANT, of_user=True, accepted=_UNBOUND),
    Rule("GET", f"{_USER}/ask-again", "/v1/users/u0/ask-again", "read", of_user=True, accepted=_UNBOUND),
    Rule("POST", "/v1/admin/reload", "/v1/admin/reload", "admin"),
    Rule("GET", "/metrics", "/metrics", "admin"),
)
ANYBODY = {("GET", path) for path in ("/", "/healthz", "/openapi.json", "/page/{name}", "/readyz")}
"""Routes that need no token. They tell nothing of anybody."""

EVERY = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.method} {rule.template}")


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    store = open_store("memory:")
    store.append([Event("taken back", "u0", "i1", None, 5)])
    store.put_impressions([Impression(user, str(_SHOWN["recommendation_id"]), "i3", 1, 5) for user in ("u0", "u1")])
    return service_of(run, store, Limits(body_bytes=20_000, batch=5, n=20, history=6, exclude=3))


@pytest.fixture
def store(service: Service) -> EventStore:
    return service.store


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


def _routes(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Every route of an application, however deep; one that is mounted, or no HTTP, has no methods, and fails here."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


def test_every_route_has_a_rule(service: Service) -> None:
    found = list(_routes(create_app(service).routes))
    assert len(found) == len(set(found))
    assert set(found) == {(rule.method, rule.template) for rule in RULES} | ANYBODY


@EVERY
def test_a_token_with_the_scope_alone_is_accepted(service: Service, rule: Rule) -> None:
    assert rule.ask(service, token(service.store, rule.scopes)) == rule.accepted
    for one in ALL:
        if (one,) != rule.scopes:
            assert rule.ask(service, token(service.store, [one])) == (403, "scope_missing")
    for one in rule.scopes:
        assert rule.ask(service, token(service.store, [o for o in ALL if o != one])) == (403, "scope_missing")


@EVERY
def test_missing_wrong_expired_and_revoked_tokens_are_refused(service: Service, rule: Rule) -> None:
    assert rule.ask(service, None) == (401, "token_missing")
    assert rule.ask(service, "recsys_wrong") == (401, "token_invalid")
    assert rule.ask(service, token(service.store, expires_in=0)) == (401, "token_invalid")
    revoked, made = new_token("revoked", ALL, None, None)
    service.store.put_token(made)
    service.store.revoke_token(made.token_hash, int(time.time()))
    assert rule.ask(service, revoked) == (401, "token_invalid")
    assert rule.ask(service, made.token_hash) == (401, "token_invalid")  # what the store keeps is no token


@EVERY
def test_a_token_counts_in_its_header_only(service: Service, rule: Rule) -> None:
    secret = token(service.store)
    for headers in ({"Authorization": f"Basic {secret}"}, {"Authorization": secret}, {"Cookie": f"token={secret}"}):
        path = f"{rule.path}{'&' if '?' in rule.path else '?'}access_token={secret}&token={secret}"
        refused = client_of(service).request(rule.method, path, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@EVERY
def test_a_token_of_one_user_sees_no_other(service: Service, rule: Rule) -> None:
    before = service.store.last_sequence()
    of_u1 = token(service.store, ALL, "u1")
    assert rule.ask(service, of_u1) == (
        (403, "other_user") if rule.of_user or rule.of_service or rule.scope == "admin" else rule.accepted
    )
    assert service.store.last_sequence() == before
    if rule.of_user and rule.method != "DELETE":  # a user who is erased has no token any more
        assert rule.ask(service, token(service.store, rule.scopes, "u1"), "u1") == rule.accepted


def test_lists_of_users_contain_only_the_user_of_the_token(service: Service) -> None:
    told = client_of(service, token(service.store, ["read"], "u1")).get("/v1/users").json()
    assert [user["user_id"] for user in told["users"]] == ["u1"]


@pytest.mark.parametrize(
    "other", ["u1", "U0", "u0 ", "u", "u00", "u0/", "/u0", "u0%00", "%FF", "ｕ0", "%75%30%00", "u0%0A"]
)
def test_an_id_that_resembles_the_own_one_is_refused(service: Service, other: str) -> None:
    """Whatever path leads there: no spelling of it opens another user's data, or one's own under another name."""
    client = client_of(service, token(service.store, ALL, "u0"))
    for path in (f"/v1/users/{quote(other, safe='%')}/data", f"/v1/users/{quote(other, safe='%/')}/data"):
        answer = client.get(path)
        assert answer.status_code in (400, 403, 404, 422), (path, answer.text)


def test_a_batch_with_an_event_of_another_user_is_refused(service: Service) -> None:
    count = service.store.count()
    mixed = {"events": [event("m1", user="u1"), event("m2", user="u2")]}
    client = client_of(service, token(service.store, ["write"], "u1"))
    assert _code(client.post("/v1/events", json=mixed)) == (403, "other_user")
    assert service.store.count() == count


def test_erasure_revokes_the_token_at_once(service: Service) -> None:
    client = client_of(service, token(service.store, ["read", "write"], "u7"))
    assert client.delete("/v1/users/u7/data").status_code == 200
    assert _code(client.get("/v1/users/u7/data")) == (401, "token_invalid")


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


def _code(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["code"] in CODES[response.status_code]
    assert "Traceback" not in error["message"]
    return response.status_code, error["code"]


INVALID = (422, "invalid_request")
VALUE = (422, "invalid_value")
NO_JSON = (400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/users/u0/recommendations?n=21", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?n=0", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?n=many", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?at=yesterday", None, VALUE),
        ("GET", "/v1/users/u0/recommendations?at=99999999999999", None, VALUE),
        ("GET", "/v1/users/u0/recommendations?exclude=1&exclude=2&exclude=3&exclude=4", None, VALUE),
        ("GET", "/v1/items/i3/similar?n=21", None, INVALID),
        ("GET", f"/v1/users/{'u' * 257}/recommendations", None, VALUE),
        ("GET", "/v1/users/u%00/personas", None, VALUE),
        ("GET", "/v1/users/%20u0/data", None, VALUE),
        ("DELETE", "/v1/users//data", None, VALUE),
        ("GET", f"/v1/items/{'i' * 257}/similar", None, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "i1"}] * 7}, VALUE),
        ("POST", "/v1/recommendations", {"history": [], "n": 21}, VALUE),
        ("POST", "/v1/recommendations", {"history": [], "exclude": ["a", "b", "c", "d"]}, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "a"}, {"item_id": "b", "time": 1}]}, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": 1}]}, INVALID),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "i1", "when": 1}]}, INVALID),
        ("POST", "/v1/events", {"events": []}, INVALID),
        ("POST", "/v1/events", {"events": [event(f"e{k}") for k in range(6)]}, VALUE),
        ("POST", "/v1/events", {"events": [event("e", time=10**13)]}, VALUE),
        ("POST", "/v1/events", {"events": [event("e", time=True)]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", time="1")]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", kind="stole")]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", value=1e300)]}, VALUE),
        ("POST", "/v1/events", [event("e")], INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"weight": -1}, INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"weight": 11}, INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"name": "x" * 81}, VALUE),
        ("PUT", "/v1/users/u0/personas/1000", {}, INVALID),
        ("PUT", "/v1/users/u0/personas/one", {}, INVALID),
        ("GET", "/v1/nothing", None, (404, "not_found")),
        ("GET", "/docs", None, (404, "not_found")),
        ("PATCH", "/v1/events", None, (405, "method_not_allowed")),
    ],
)
def test_bad_input_is_refused_with_a_stable_code(
    client: Client, store: EventStore, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    before = store.last_sequence()
    assert _code(client.request(method, path, **({} if body is None else {"json": body}))) == expected
    assert store.last_sequence() == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", NO_JSON),
        (b"", NO_JSON),
        (b"hello", NO_JSON),
        (b"\xff\xfe", NO_JSON),
        (b'{"events": [{"event_id": "e", "user_id": "\\ud800", "item_id": "i", "time": 1}]}', VALUE),
        (b'{"events": [{"event_id": "e", "user_id": "u", "item_id": "i", "time": 1, "value": NaN}]}', VALUE),
        (b"[" * 15_000, (400, "invalid_request")),
        (b'{"events": ' + b"1" * 6_000 + b"}", None),
        (b'{"events": "' + b"x" * 20_000 + b'"}', (413, "body_too_large")),
    ],
)
def test_hostile_bodies(client: Client, content: bytes, expected: tuple[int, str] | None) -> None:
    code = _code(client.post("/v1/events", content=content, headers={"Content-Type": "application/json"}))
    assert code == expected if expected is not None else code[0] in (400, 422)


def test_a_body_without_a_length_is_counted(client: Client) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 1000

    refused = client.post("/v1/events", content=endless(), headers={"Content-Type": "application/json"})
    assert _code(refused) == (413, "body_too_large")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_only_json_is_read(client: Client, kind: str) -> None:
    refused = client.post("/v1/events", content=b'{"events": []}', headers={"Content-Type": kind})
    assert _code(refused) == (415, "wrong_content_type")


HOSTILE = (
    "'; DROP TABLE recsys_events; --",
    '" OR 1=1 --',
    "x' UNION SELECT token_hash FROM recsys_tokens --",
    "%(user_id)s :user_id ? $1 %s {0} {text}",
    "...",
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "/",
    "u0/personas/1",
    "u0/data?x=1#y",
    "%27",
    "%00",
    "%2e%2e%2f",
    "&lt;script&gt;",
    "<script>alert(1)</script>",
    "{{7*7}} ${7*7}",
    "$(id) `id` | id",
    "ünï\u202ecode\u200b",
    "e\u0301",
    "\u00e9",  # the same to the eye, and another id
    "\ufffd",
    "\ufeffx",
    "👩‍👩‍👧" * 32,
    "x" * 256,
    "\U0010ffff" * 256,
    "null",
    "0",
    "-1e999",
)
"""Ids that are allowed, and must be no more than ids."""

REFUSED = (
    "a\x00b", "a\r\nSet-Cookie: a=b", "a\nb", "\t", "\x1b[31m", "\x7f", "\x85", "a\u2028b", " a", "a ",
    "\u3000a", "x" * 257,
)  # fmt: skip
"""Ids that are refused wherever one stands."""


def _id_of(text: str) -> str:
    return quote(text, safe="")


def test_ids_are_only_ever_ids(run: Path, address: str) -> None:
    with open_store(address) as store:
        client = client_of(service_of(run, store), token(store))
        of_u0 = client_of(client.service, token(store, ALL, "u0"))
        assert client.post("/v1/events", json={"events": [event("other")]}).status_code == 200
        sent = [
            one
            for hostile in HOSTILE
            for one in (event(hostile, user=hostile, item=hostile), event(f"2{hostile[:255]}", user=hostile, item="i3"))
        ]
        assert client.post("/v1/events", json={"events": sent}).json() == {"accepted": len(sent), "repeated": 0}
        assert client.post("/v1/events", json={"events": sent}).json() == {"accepted": 0, "repeated": len(sent)}
        for hostile in HOSTILE:
            path = f"/v1/users/{_id_of(hostile)}"
            data = client.get(f"{path}/data").json()
            assert data["user_id"] == hostile
            assert sorted(one["item_id"] for one in data["events"]) == sorted([hostile, "i3"]), hostile
            found = client.get(f"{path}/recommendations", params={"n": 100, "exclude": hostile}).json()
            assert found["known_events"] == 1, hostile
            assert client.get(f"/v1/items/{_id_of(hostile)}/similar").status_code == 404
            assert client.get("/v1/items", params={"query": hostile[:200]}).status_code == 200
            named = client.put(f"{path}/personas/0", json={"name": hostile[:80]})
            seen = not any(invisible in hostile for invisible in ("\u202e", "\ufeff", "\U000e0000", "\U0010ffff"))
            assert (named.status_code, named.json().get("name")) == ((200, hostile[:80]) if seen else (422, None))
            history = {"history": [{"item_id": hostile}], "exclude": [hostile]}
            assert client.post("/v1/recommendations", json=history).json()["unknown_items"] == [hostile]
            assert of_u0.get(f"{path}/data").status_code == 403, hostile
        assert set(users_of(store)) == {"u0", *HOSTILE}
        for left, hostile in enumerate(HOSTILE, start=1):
            assert client.delete(f"/v1/users/{_id_of(hostile)}/data").status_code == 200
            assert len(users_of(store)) == 1 + len(HOSTILE) - left, hostile
        assert users_of(store) == ["u0"]


def test_ids_with_controls_or_without_end_are_refused_wherever_one_stands(run: Path, address: str) -> None:
    with open_store(address) as store:
        client = client_of(service_of(run, store), token(store))
        before = store.last_sequence()
        for refused in REFUSED:
            path, persona = f"/v1/users/{_id_of(refused)}", {"weight": 0.5}
            asked = [client.get(f"{path}/{what}") for what in ("recommendations", "personas", "data")]
            asked += [client.put(f"{path}/personas/0", json=persona), client.delete(f"{path}/data")]
            asked += [client.get(f"/v1/items/{_id_of(refused)}/similar")]
            asked += [client.put("/v1/users/u0/personas/0", json={"name": refused})]
            asked += [client.post("/v1/recommendations", json={"history": [{"item_id": refused}]})]
            for field in ("event_id", "user_id", "item_id"):
                asked += [client.post("/v1/events", json={"events": [event("e") | {field: refused}]})]
            for answer in asked:
                assert _code(answer) == VALUE, (refused, answer.url)
        for step in (".", ".."):  # which clients take out of a path
            for field in ("event_id", "user_id", "item_id"):
                assert _code(client.post("/v1/events", json={"events": [event("e") | {field: step}]})) == VALUE
        assert store.last_sequence() == before


def test_a_whole_number_may_be_written_with_a_point(client: Client) -> None:
    assert client.post("/v1/events", json={"events": [event("point", time=1_500_000_000.0)]}).status_code == 200
    question = {"history": [{"item_id": "i3", "time": 5.0}], "n": 3.0, "at": 10.0}
    assert client.post("/v1/recommendations", json=question).json()["now"] == 10
    for wrong in (5.5, 1e300, True, [5]):
        assert _code(client.post("/v1/recommendations", json=question | {"at": wrong})) == VALUE


@pytest.mark.parametrize(
    ("at", "now"),
    [
        ("-5", -5), ("1500000000", 1_500_000_000), ("99999999999", None), ("9999-12-31", None),
        ("2017-07-14T02:40:00Z", 1_500_000_000), ("2017-07-14T04:40:00+02:00", 1_500_000_000),
        ("1_0", None), ("+5", None), (" 5", None), ("٣", None), ("5.0", None), ("1e3", None), ("2017-13-01", None),
        ("100000000000", None), ("", None), ("2017-07-14T02:40:00Z" + "0" * 40, None),
    ],
)  # fmt: skip
def test_moments(client: Client, at: str, now: int | None) -> None:
    answer = client.get("/v1/users/u0/recommendations", params={"at": at})
    assert answer.json().get("now") == now
    assert answer.status_code == (200 if now is not None else 422)


def test_a_path_that_is_not_utf_8_is_refused(client: Client) -> None:
    for bad in ("%FF", "%C0%AF", "%ED%A0%80", "u0%FE"):
        assert _code(client.get(f"/v1/users/{bad}/data")) == (400, "invalid_request")


def test_the_schema_describes_the_allowed_ids() -> None:
    told = EventIn.model_json_schema()["properties"]["user_id"]
    pattern = re.compile(told["pattern"])

    @settings(max_examples=500, deadline=None)
    @given(
        st.text(
            st.sampled_from("ab \x00\x1f\x20\x7f\x85\x9f\xa0\xad\u1680\u200a\u200b\u2028\u202f\u3000\ufeff"), max_size=4
        )
    )
    def agree(text: str) -> None:
        try:
            check_id("user_id", text)
        except DataError:
            assert pattern.search(text) is None
        else:
            assert pattern.search(text) is not None

    agree()
    assert (told["minLength"], told["maxLength"], told["not"]) == (1, 256, {"enum": [".", ".."]})
    spaces = [character for character in map(chr, range(0x10000)) if character.isspace()]
    assert not any(pattern.search(space) for space in spaces)


def test_405_names_the_allowed_methods(client: Client) -> None:
    for path, methods in (
        ("/v1/users/u0/data", "DELETE, GET, HEAD"),
        ("/v1/events", "POST"),
        ("/healthz", "GET, HEAD"),
    ):
        for method in ("TRACE", "OPTIONS", "PATCH", "MADEUP"):
            refused = client.request(method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, methods)
    assert client_of(client.service).request("TRACE", "/v1/events").status_code == 401


def test_error_codes_agree_in_page_and_schema(client: Client) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split("## Errors", 1)[1]
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", page, re.MULTILINE)
    told = {(int(status), code) for statuses, codes in rows for status in statuses.split(", ")
            for code in re.findall(r"`([a-z_]+)`", codes)}  # fmt: skip
    meant = {(status, code) for status, codes in CODES.items() for code in codes}
    assert {code for _, code in told} == {code for _, code in meant} == set(get_args(Code))
    assert meant <= told
    schema = client.get("/openapi.json").json()
    assert set(schema["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"]) == set(get_args(Code))
    for method in (method for path in schema["paths"].values() for method in path.values()):
        for status, answer in method["responses"].items():
            if status not in ("200", "204"):
                assert answer["description"] == ", ".join(CODES[int(status)])


def test_every_answer_has_the_security_headers(client: Client) -> None:
    for response in (client.get("/healthz"), client.get("/v1/nothing"), client_of(client.service).get("/metrics")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["referrer-policy"] == "no-referrer"


def test_without_tokens_only_this_machine_is_served_under_its_own_name(run: Path) -> None:
    service = service_of(run, open_store("memory:"), authenticated=False)
    for host in ("http://localhost", "http://127.0.0.1:8000", "http://[::1]:8000"):
        assert client_of(service, host=host).get("/v1/users/u0/personas").status_code == 200
    assert _code(client_of(service, host="http://evil.example").get("/v1/users/u0/personas")) == (403, "wrong_host")


def test_the_schema_says_whether_a_token_is_needed(run: Path, client: Client) -> None:
    def needed(asked: Client) -> set[bool]:
        paths = asked.get("/openapi.json").json()["paths"]
        return {
            "security" in told for path, methods in paths.items() if path.startswith("/v1") for told in methods.values()
        }

    assert needed(client) == {True}
    assert needed(client_of(service_of(run, open_store("memory:"), authenticated=False))) == {False}


def test_a_slow_body_times_out(run: Path) -> None:
    import asyncio

    service = service_of(run, open_store("memory:"), Limits(seconds=0.05))
    secret = token(service.store)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(60)
        yield b"}"

    headers = {"Content-Type": "application/json", **bearer(secret)}
    assert _code(client_of(service).post("/v1/events", content=slow(), headers=headers)) == (503, "timeout")
