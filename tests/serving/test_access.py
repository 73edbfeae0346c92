"""Nobody in: tokens on every route, limits, hostile ids, and errors that tell nothing of the inside."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any, cast

import pytest

from recsys.errors import ConfigError
from recsys.serving.access import Budget, Denied, Gate, Limits, new_token, require
from recsys.serving.answers import Answers
from recsys.serving.events import EventStore, Scope, StoreError
from recsys.serving.service import Service
from recsys.serving.stores import open_store
from tests.serving.client import ALL, Client, bearer, client_of, event, service_of, token

_QUESTION: dict[str, Any] = {"history": [{"item_id": "i3"}]}
ROUTES: list[tuple[str, str, str, Any, Scope]] = [
    ("POST", "/v1/events", "/v1/events", {"events": [event("e1")]}, "write"),
    ("GET", "/v1/users/{user_id}/recommendations", "/v1/users/u0/recommendations", None, "read"),
    ("POST", "/v1/recommendations", "/v1/recommendations", _QUESTION, "read"),
    ("GET", "/v1/users/{user_id}/personas", "/v1/users/u0/personas", None, "read"),
    ("PUT", "/v1/users/{user_id}/personas/{persona}", "/v1/users/u0/personas/1", {"weight": 0}, "write"),
    ("GET", "/v1/items/{item_id}/similar", "/v1/items/i3/similar", None, "read"),
    ("GET", "/v1/users/{user_id}/data", "/v1/users/u0/data", None, "read"),
    ("DELETE", "/v1/users/{user_id}/data", "/v1/users/u0/data", None, "write"),
    ("POST", "/v1/admin/reload", "/v1/admin/reload", None, "admin"),
    ("GET", "/metrics", "/metrics", None, "admin"),
]
EVERY = pytest.mark.parametrize(("method", "path", "body", "scope"), [(m, p, b, s) for m, _, p, b, s in ROUTES])


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    return service_of(run, open_store("memory:"), Limits(body_bytes=20_000, batch=5, n=20, history=6, exclude=3))


@pytest.fixture
def store(service: Service) -> EventStore:
    return service.store


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


def _ask(service: Service, method: str, path: str, body: Any, secret: str | None) -> tuple[int, str]:
    response = client_of(service, secret).request(method, path, **({} if body is None else {"json": body}))
    return response.status_code, "" if response.status_code == 200 else response.json()["error"]["code"]


def test_these_are_all_routes(client: Client) -> None:
    schema = client.get("/openapi.json").json()
    found = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    assert found - {(method, path) for method, path, *_ in ROUTES} == {("GET", "/healthz"), ("GET", "/readyz")}


@EVERY
def test_a_token_with_the_scope_and_no_other_is_let_in(
    service: Service, method: str, path: str, body: Any, scope: Scope
) -> None:
    assert _ask(service, method, path, body, token(service.store, [scope]))[0] == 200
    others = [other for other in ALL if other != scope]
    assert _ask(service, method, path, body, token(service.store, others)) == (403, "scope_missing")


@EVERY
def test_no_token_is_let_in_that_is_missing_wrong_expired_or_revoked(
    service: Service, method: str, path: str, body: Any, scope: Scope
) -> None:
    assert _ask(service, method, path, body, None) == (401, "token_missing")
    assert _ask(service, method, path, body, "recsys_wrong") == (401, "token_invalid")
    assert _ask(service, method, path, body, token(service.store, expires_in=-1)) == (401, "token_invalid")
    revoked, made = new_token("revoked", ALL, None, None)
    service.store.put_token(made)
    service.store.revoke_token(made.token_hash, int(time.time()))
    assert _ask(service, method, path, body, revoked) == (401, "token_invalid")
    # Neither the hash that the store keeps nor another scheme is a token.
    assert _ask(service, method, path, body, made.token_hash) == (401, "token_invalid")
    basic = client_of(service).request(method, path, headers={"Authorization": "Basic " + token(service.store)})
    assert basic.status_code == 401
    assert basic.headers["www-authenticate"] == "Bearer"


@EVERY
def test_a_token_of_one_user_sees_no_other(service: Service, method: str, path: str, body: Any, scope: Scope) -> None:
    before = service.store.last_sequence()
    of_u1 = token(service.store, ALL, "u1")
    answer = _ask(service, method, path, body, of_u1)
    if "u0" in path or body == {"events": [event("e1")]} or scope == "admin":
        assert answer == (403, "other_user")
        assert service.store.last_sequence() == before
    else:
        assert answer[0] == 200
    if "u0" in path and method != "DELETE":
        assert _ask(service, method, path.replace("u0", "u1"), body, of_u1)[0] == 200


def test_a_token_of_one_user_sends_no_event_of_another_among_its_own(service: Service) -> None:
    count = service.store.count()
    mixed = {"events": [event("m1", user="u1"), event("m2", user="u2")]}
    assert _ask(service, "POST", "/v1/events", mixed, token(service.store, ["write"], "u1")) == (403, "other_user")
    assert service.store.count() == count


def test_who_erases_themselves_loses_their_token_at_once(service: Service) -> None:
    own = token(service.store, ["read", "write"], "u7")
    assert _ask(service, "DELETE", "/v1/users/u7/data", None, own) == (200, "")
    assert _ask(service, "GET", "/v1/users/u7/data", None, own) == (401, "token_invalid")


def test_a_revoked_token_is_believed_no_longer_than_a_moment() -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, None)
    store.put_token(made)
    now = 1_000_000.0
    gate = Gate(store, Limits(token_seconds=2.0), lambda: now)
    assert gate.token(secret) == gate.remembered(secret) == made
    store.revoke_token(made.token_hash, int(now))
    now += 1.9
    assert gate.remembered(secret) == made
    now += 0.2
    assert gate.remembered(secret) is None
    with pytest.raises(Denied, match="revoked"):
        gate.token(secret)


def test_a_token_expires_while_it_is_remembered() -> None:
    store = open_store("memory:")
    secret, made = new_token("t", ["read"], None, 1_000_001)
    store.put_token(made)
    now = 1_000_000.0
    gate = Gate(store, Limits(token_seconds=100.0), lambda: now)
    assert gate.token(secret) == made
    now += 1
    assert gate.remembered(secret) is None


def test_secrets_are_long_random_and_kept_as_hashes() -> None:
    secret, made = new_token("t", ["read"], None, None)
    assert secret != new_token("t", ["read"], None, None)[0]
    assert len(secret) > 45
    assert made.token_hash == hashlib.sha256(secret.encode()).hexdigest()


def test_a_token_of_one_user_administers_nothing() -> None:
    _, made = new_token("t", ALL, "u1", None)
    with pytest.raises(Denied) as denied:
        require(made, "admin")
    assert denied.value.code == "other_user"


def test_a_budget_is_spent_and_comes_back() -> None:
    now = 0.0
    budget = Budget(Limits(rate=2.0, burst=3), lambda: now)
    for _ in range(3):
        budget.spend("a")
    with pytest.raises(Denied) as denied:
        budget.spend("a")
    assert (denied.value.status, denied.value.code) == (429, "too_many_requests")
    budget.spend("b")
    now += 0.5
    budget.spend("a")
    with pytest.raises(Denied):
        budget.spend("a")


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
    assert set(error) == {"code", "message"}
    assert "Traceback" not in error["message"]
    return response.status_code, error["code"]


INVALID = (422, "invalid_request")
VALUE = (422, "invalid_value")


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
        (b"{", INVALID),
        (b"", INVALID),
        (b"\xff\xfe", INVALID),
        (b'{"events": [{"event_id": "e", "user_id": "\\ud800", "item_id": "i", "time": 1}]}', INVALID),
        (b'{"events": [{"event_id": "e", "user_id": "u", "item_id": "i", "time": 1, "value": NaN}]}', VALUE),
        (b"[" * 15_000, (400, "invalid_request")),
        (b'{"events": ' + b"1" * 6_000 + b"}", None),
        (b'{"events": "' + b"x" * 20_000 + b'"}', (413, "body_too_large")),
    ],
)
def test_hostile_bodies(client: Client, content: bytes, expected: tuple[int, str] | None) -> None:
    code = _code(client.post("/v1/events", content=content, headers={"Content-Type": "application/json"}))
    assert code == expected if expected is not None else code[0] in (400, 422)


def test_a_body_that_does_not_tell_its_size_is_counted(client: Client) -> None:
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


HOSTILE = [
    "'; DROP TABLE recsys_events; --",
    '" OR 1=1 --',
    "../../../etc/passwd",
    "u0/personas/1",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "%27",
    "ünï\u202ecode",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_ids_are_only_ever_ids(run: Path, tmp_path: Path, kind: str, hostile: str) -> None:
    from urllib.parse import quote

    with open_store("memory:" if kind == "memory" else str(tmp_path / "events.db")) as store:
        client = client_of(service_of(run, store), token(store))
        sent = [event("other"), event(hostile, user=hostile, item=hostile), event("2", user=hostile, item="i3")]
        assert client.post("/v1/events", json={"events": sent}).status_code == 200
        path = f"/v1/users/{quote(hostile, safe='')}"
        data = client.get(f"{path}/data").json()
        assert data["user_id"] == hostile
        assert sorted(one["item_id"] for one in data["events"]) == sorted([hostile, "i3"])
        assert client.get(f"{path}/recommendations?n=100&exclude={quote(hostile, safe='')}").json()["known_events"] == 1
        assert client.get(f"/v1/items/{quote(hostile, safe='')}/similar").status_code == 404
        assert client.put(f"{path}/personas/0", json={"name": hostile[:80]}).status_code == 200
        own = token(store, ALL, "u0")
        assert client_of(client.service, own).get(f"{path}/data").status_code == 403
        assert client.delete(f"{path}/data").status_code == 200
        assert store.users() == ["u0"]


def test_every_answer_has_the_headers_of_safety(client: Client) -> None:
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


class _Broken:
    """Answers nothing."""

    model = "broken"
    applied = 0

    def __init__(self, error: Exception) -> None:
        self._error = error

    def check(self) -> None:
        """Nothing is wrong yet."""

    def recommend(self, *_: object) -> None:
        raise self._error

    catch_up = recommend


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("secret of /etc/recsys at line 3"), (500, "internal")),
        (StoreError("postgresql://db.internal/shop: gone"), (503, "store_unavailable")),
        (TimeoutError("/etc/recsys"), (503, "timeout")),
    ],
)
def test_no_error_tells_of_the_inside(
    error: Exception, expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store("memory:")
    service = Service(store, lambda: cast(Answers, _Broken(error)))
    response = client_of(service, token(store)).get("/v1/users/u0/recommendations")
    assert _code(response) == expected
    assert client_of(service).get("/readyz").status_code == expected[0]
    for text in (response.text, caplog.text):
        assert not any(word in text for word in ("secret", "/etc", "internal/shop", "Traceback", str(Path.cwd())))


def test_a_slow_body_is_not_waited_for(run: Path) -> None:
    import asyncio

    service = service_of(run, open_store("memory:"), Limits(seconds=0.05))
    secret = token(service.store)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(60)
        yield b"}"

    headers = {"Content-Type": "application/json", **bearer(secret)}
    assert _code(client_of(service).post("/v1/events", content=slow(), headers=headers)) == (503, "timeout")
