"""Tokens on every route: which scope it needs, and whose user it may see."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from recsys.events.addresses import open_store
from recsys.events.tokens import Scope
from recsys.serving.access import new_token
from recsys.serving.http.app import create_app
from recsys.serving.service import Service
from tests.serving.access.refusals import SHOWN, code_of
from tests.serving.client import ALL, Client, client_of, event, service_of, token


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


_PLACED = {"item_id": "i3", "position": 1}


_QUESTION: dict[str, Any] = {"history": [{"item_id": "i3"}]}


_EVENTS: dict[str, Any] = {"events": [event("e1")]}


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
    Rule("POST", "/v1/impressions", "/v1/impressions", "write", SHOWN | {"items": [_PLACED]}, of_user=True),
    Rule("POST", "/v1/clicks", "/v1/clicks", "write", SHOWN | {"item_id": "i3"}, of_user=True),
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
    assert code_of(client.post("/v1/events", json=mixed)) == (403, "other_user")
    assert service.store.count() == count


def test_erasure_revokes_the_token_at_once(service: Service) -> None:
    client = client_of(service, token(service.store, ["read", "write"], "u7"))
    assert client.delete("/v1/users/u7/data").status_code == 200
    assert code_of(client.get("/v1/users/u7/data")) == (401, "token_invalid")


def test_without_tokens_only_this_machine_is_served_under_its_own_name(run: Path) -> None:
    service = service_of(run, open_store("memory:"), authenticated=False)
    for host in ("http://localhost", "http://127.0.0.1:8000", "http://[::1]:8000"):
        assert client_of(service, host=host).get("/v1/users/u0/personas").status_code == 200
    assert code_of(client_of(service, host="http://evil.example").get("/v1/users/u0/personas")) == (403, "wrong_host")


def test_the_schema_says_whether_a_token_is_needed(run: Path, client: Client) -> None:
    def needed(asked: Client) -> set[bool]:
        paths = asked.get("/openapi.json").json()["paths"]
        return {
            "security" in told for path, methods in paths.items() if path.startswith("/v1") for told in methods.values()
        }

    assert needed(client) == {True}
    assert needed(client_of(service_of(run, open_store("memory:"), authenticated=False))) == {False}
