"""The contract: a client made of the OpenAPI document alone drives every route, and each answer is as described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recsys.events.memory import MemoryStore
from recsys.policy.ledger import Ledger
from recsys.serving.opening import open_answers
from recsys.serving.service import Service
from tests.serving.client import Client, client_of, token
from tests.serving.http.schema_client import SchemaClient
from tests.serving.norms.normed_run import POLICY
from tests.serving.serving_run import train
from tests.serving.titled_run import SEATS, write_titled

USER = {"user_id": "3"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("films")
    run = train(folder / "run", write_titled(folder), "ease_personas", model__slate=SEATS)
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    store, ledger = MemoryStore(), Ledger(folder / "ledger")
    yield Service(store, lambda: open_answers(run, store, "memory:", policy=policy, ledger=ledger))
    ledger.close()


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


@pytest.fixture
def made(client: Client) -> SchemaClient:
    return SchemaClient(client.get("/openapi.json").json(), client.request)


def _by_route(client: SchemaClient) -> dict[tuple[str, str], str]:
    return {(one.method, one.path.replace("{user_id}", "U")): name for name, one in client.operations.items()}


def test_a_generated_client_drives_every_route(made: SchemaClient) -> None:
    names = _by_route(made)

    def call(route: str, parameters: dict[str, Any] | None = None, body: object = None) -> Any:
        method, _, path = route.partition(" ")
        return made.call(names[method, path], parameters, body)

    adult = {"age": 30, "consent": ["romance"]}
    assert call("GET /healthz")["status"] == "alive"
    assert call("GET /readyz")["status"] == "ready"
    assert call("GET /v1/token")["user_id"] is None
    assert call("GET /v1/users", {"n": 2})["users"]
    said = {"event_id": "e1", **USER, "item_id": "40", "kind": "like", "time": 1_700_000_000}
    assert call("POST /v1/events", {"changed": True}, {"events": [said]})["accepted"] == 1
    listed = call("GET /v1/users/U/recommendations", {**USER, **adult, "n": 5, "cursor": "*", "details": "ready"})
    following = call(
        "GET /v1/users/U/recommendations",
        {**USER, **adult, "n": 5, "cursor": listed["next_cursor"], "fields": ["title"]},
    )
    first = [one["item_id"] for one in listed["items"]]
    assert set(first).isdisjoint(one["item_id"] for one in following["items"])
    assert call("GET /v1/audit/{audit_id}", {"audit_id": listed["policy"]["audit"], **USER})["intact"]
    assert call("POST /v1/users/U/recommendations", USER, {"candidates": first, "n": 3, **adult})["items"]
    assert len(call("POST /v1/users/recommendations", None, {"user_ids": ["3", "4"], "n": 5})["lists"]) == 2
    assert call("POST /v1/recommendations", None, {"history": [{"item_id": "40"}], "n": 5})["items"]
    assert call("POST /v1/interview", None, {"answers": [{"item_id": "40", "answer": "like"}], "n": 5})["questions"]
    call("POST /v1/users/U/interview", {"user_id": "new"}, {"answers": [], "n": 5})
    persona = call("GET /v1/users/U/personas", USER)["personas"][0]["persona"]
    call("PUT /v1/users/U/personas/{persona}", {**USER, "persona": persona}, {"weight": 2.0})
    text = call("GET /v1/users/U/summary", USER)["text"]
    assert call("PUT /v1/users/U/summary", USER, {"text": text})["written"] == "person"
    call("DELETE /v1/users/U/summary", USER)
    assert call("GET /v1/policy")["name"] == "cinema"
    rule = {"id": "no-crime", "deny": {"genre": "Crime"}}
    assert call("PUT /v1/users/U/policy", USER, {"rules": [rule], "consents": ["romance"]})["rules"] == [rule]
    assert call("GET /v1/users/U/policy", USER)["consents"] == ["romance"]
    assert call("PUT /v1/users/U/circumstances", USER, {"age": 30})["age"] == 30
    call("DELETE /v1/users/U/policy", USER)
    item = {"item_id": "new/1"}
    assert (
        call("PUT /v1/items/{item_id}", item, {"title": "Brand New (2026)", "metadata": {"price": 3}})["known"] is False
    )
    assert call("PATCH /v1/items/{item_id}", item, {"available": False})["available"] is False
    assert call("GET /v1/items/{item_id}", item)["metadata"] == {"price": 3}
    assert call("PUT /v1/items", None, {"items": [{**item, "title": "Other"}]})["changed"] == 1
    assert call("GET /v1/items", {"query": "other", "available": True, "cursor": "*"})["items"]
    call("DELETE /v1/items/{item_id}", item)
    assert call("GET /v1/genres")["genres"]
    assert call("GET /v1/items/{item_id}/similar", {"item_id": "40", "n": 3, "from_year": 1950})["items"]
    for ranking in ("popular", "trending", "latest"):
        call(f"GET /v1/{ranking}", {"n": 3})
    name = {**USER, "recommendation_id": listed["recommendation_id"]}
    shown = [{"item_id": one, "position": place} for place, one in enumerate(first, start=1)]
    assert call("POST /v1/impressions", None, {**name, "items": shown})["recorded"] == len(first)
    assert call("POST /v1/clicks", None, {**name, "item_id": first[0]})["recorded"]
    assert len(call("GET /v1/users/U/data", USER)["impressions"]) == len(first)
    call("DELETE /v1/users/U/events/{event_id}", {**USER, "event_id": "e1"})
    assert call("DELETE /v1/users/U/data", USER)["erased"]
    assert call("POST /v1/admin/reload")["status"] == "reloaded"
    assert "recsys_request_seconds" in call("GET /metrics")
    left = {path for (_, path), name in names.items() if name not in made.called}
    assert left == {"/v1/users/U/reliability", "/v1/users/U/ask-again"}


def test_the_client_refuses_what_the_document_does_not_allow(made: SchemaClient) -> None:
    names = _by_route(made)
    with pytest.raises(AssertionError, match="n: "):
        made.call(names["GET", "/v1/users/U/recommendations"], {**USER, "n": 0})
    with pytest.raises(AssertionError, match="body: "):
        made.call(names["POST", "/v1/events"], None, {"events": []})
    with pytest.raises(AssertionError, match="is missing"):
        made.call(names["GET", "/v1/users/U/recommendations"])
    with pytest.raises(AssertionError, match="404"):
        made.call(names["GET", "/v1/items/{item_id}"], {"item_id": "nothing"})
    assert not made.called
