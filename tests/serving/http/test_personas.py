"""Personas over HTTP: shelves, controls that tell what they changed, and what a token allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from recsys.models import EASE, WithPersonas
from recsys.serving.answers import Answers
from recsys.serving.service import Service
from recsys.worlds.simulation import simulated_log
from tests.serving.client import Client, client_of, ids, token
from tests.serving.persona_answers import answers_of

_LIST = "/v1/users/3/recommendations?n=10"


@pytest.fixture(scope="module")
def opened() -> Callable[[EventStore], Answers]:
    log = simulated_log(n_users=120, n_items=120, events_per_user=36)
    model = WithPersonas(EASE(20.0)).fit(log)
    return lambda store: answers_of(model, log, store)


@pytest.fixture
def client(opened: Callable[[EventStore], Answers]) -> Client:
    store = open_store("memory:")
    return client_of(Service(store, lambda: opened(store)), token(store))


def _ok(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_list_has_shelves_and_items_have_owners_and_reasons(client: Client) -> None:
    found = _ok(client.get(_LIST))
    shelves = {shelf["persona"]: shelf for shelf in found["shelves"]}
    assert sum(shelf["seats"] for shelf in shelves.values()) == len(found["items"]) == 10
    for item in found["items"]:
        assert item["owner"] in shelves
        assert item["owner_name"] == shelves[item["owner"]]["name"]
        assert 0 < item["owner_share"] <= 1
        assert item["reason_kind"] in ("because", "taste", "popular")
        assert bool(item["without"]) == (item["reason_kind"] == "because")
        assert set(item["without"]) <= {fact["item_id"] for fact in item["evidence"]}
        assert isinstance(item["year"], int)
        assert item["genres"]
    order = [shelf["persona"] for shelf in found["shelves"] if shelf["seats"]]
    assert order == list(dict.fromkeys(item["owner"] for item in found["items"]))


def test_without_details_nothing_claims_a_because(client: Client) -> None:
    detailed, quick = _ok(client.get(_LIST)), _ok(client.get(_LIST + "&details=false"))
    assert ids(detailed) == ids(quick)
    assert "because" in {item["reason_kind"] for item in detailed["items"]}
    assert not [item for item in quick["items"] if item["reason_kind"] == "because" or item["without"]]
    assert not [item for item in quick["items"] if "without" in item["reason"]]
    assert _ok(client.get(_LIST)) == detailed
    asked = client.post("/v1/users/3/recommendations", json={"n": 10, "details": False})
    assert _ok(asked) == quick


def test_a_control_tells_what_it_changed(client: Client) -> None:
    before = _ok(client.get(_LIST))
    shelf = before["shelves"][0]
    path = f"/v1/users/3/personas/{shelf['persona']}"
    answer = _ok(client.put(path, json={"weight": 0}))
    after = _ok(client.get(_LIST))
    assert answer["muted"] is True
    changed = answer["changed"]
    assert {one["item_id"] for one in changed["left"]} == set(ids(before)) - set(ids(after))
    assert {one["item_id"] for one in changed["came"]} == set(ids(after)) - set(ids(before))
    assert {one["item_id"] for one in changed["left"] if one["owner"] == shelf["persona"]} == {
        item["item_id"] for item in before["items"] if item["owner"] == shelf["persona"]
    }
    (seats,) = [one for one in changed["seats"] if one["persona"] == shelf["persona"]]
    assert (seats["before"], seats["after"]) == (shelf["seats"], 0)
    (own,) = [one for one in _ok(client.get("/v1/users/3/personas"))["personas"] if one["persona"] == shelf["persona"]]
    assert (own["muted"], own["seats"]) == (True, 0)
    back = _ok(client.put(path, json={"weight": 1}))["changed"]
    assert (back["left"], back["came"]) == (changed["came"], changed["left"]) or _ok(client.get(_LIST)) == before
    assert _ok(client.get(_LIST))["items"] == before["items"]
    refused = client.put(path, json={"weight": 0.5})
    assert refused.status_code == 422
    assert "0 to mute" in refused.json()["error"]["message"]
    assert client.put("/v1/users/3/personas/250", json={"weight": 0}).status_code == 404


def test_not_for_me_tells_what_it_changed_and_is_undone(client: Client) -> None:
    before = _ok(client.get(_LIST))
    first = ids(before)[0]
    event = {"event_id": "a", "user_id": "3", "item_id": first, "time": 1_500_000_000, "kind": "dislike"}
    other = event | {"event_id": "b", "user_id": "4"}
    several = [event | {"event_id": user, "user_id": user} for user in ("5", "6")]
    assert _ok(client.post("/v1/events?changed=true", json={"events": several})) == {"accepted": 2, "repeated": 0}
    told = _ok(client.post("/v1/events?changed=true", json={"events": [event]}))
    assert (told["accepted"], told["repeated"]) == (1, 0)
    assert first in {one["item_id"] for one in told["changed"]["left"]}
    after = _ok(client.get(_LIST))
    assert first not in ids(after)
    assert len(told["changed"]["came"]) == len(set(ids(after)) - set(ids(before)))
    assert client.delete("/v1/users/3/events/a").status_code == 204
    assert ids(_ok(client.get(_LIST))) == ids(before)
    assert _ok(client.post("/v1/events", json={"events": [other]})) == {"accepted": 1, "repeated": 0}


def test_a_token_is_told_what_it_allows(opened: Callable[[EventStore], Answers]) -> None:
    store = open_store("memory:")
    service = Service(store, lambda: opened(store))
    own = client_of(service, token(store, ["read"], "3"))
    assert _ok(own.get("/v1/token")) == {"user_id": "3", "scopes": ["read"]}
    assert _ok(client_of(service, token(store)).get("/v1/token")) == {
        "user_id": None,
        "scopes": ["admin", "read", "write"],
    }
    assert own.put("/v1/users/3/personas/1", json={"weight": 0}).status_code == 403


def test_titles_are_found_with_year_and_genres(client: Client) -> None:
    (first, *_) = _ok(client.get("/v1/items?query=crimson&n=3"))["items"]
    assert first["title"].endswith(f"({first['year']})")
    assert first["genres"]
