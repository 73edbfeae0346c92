"""The catalogue of a service: what the model knows under what the store says, at the next answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.events.store import EventStore
from recsys.models import WithPersonas
from recsys.serving.service import Service
from recsys.worlds.simulation import simulated_log
from tests.serving.client import Client, client_of, ids, ok, token
from tests.serving.persona_answers import answers_of

LOG = simulated_log(n_users=80, n_items=60, events_per_user=20)
LIST = "/v1/users/3/recommendations"


def _every_list(client: Client, item: str) -> dict[str, list[str]]:
    """Return the items of every list that could have an item, by route."""
    other = next(one for one in ids(ok(client.get(LIST + "?n=60"))) if one != item)
    history = [{"item_id": other}]
    said = {"answers": [{"item_id": other, "answer": "like"}], "n": 60, "screen": 4}
    asked = {
        "user": client.get(LIST + "?n=60&details=ready"),
        "post": client.post(LIST, json={"n": 60}),
        "at": client.get(LIST + "?n=60&at=2027-01-01&details=false"),
        "persona-free": client.post("/v1/recommendations", json={"history": history, "n": 60, "details": False}),
        "nobody": client.post("/v1/recommendations", json={"history": [], "n": 60, "details": False}),
        "text": client.post("/v1/recommendations", json={"summary": "", "n": 60}),
        "interview": client.post("/v1/interview", json=said),
        "user's interview": client.post("/v1/users/new/interview", json=said | {"answers": []}),
        "similar": client.get(f"/v1/items/{other}/similar?n=60"),
        "many": client.post("/v1/users/recommendations", json={"user_ids": ["3"], "n": 60}),
        "candidates": client.post(LIST, json={"candidates": [item, other], "details": False}),
    }
    answers = {name: ok(answer) for name, answer in asked.items()}
    many = answers.pop("many")["lists"][0]["recommendations"]
    return {name: ids(answer) for name, answer in (answers | {"many": many}).items()}


def test_availability_acts_on_every_list_at_the_next_answer(client: Client, events: EventStore) -> None:
    item = ids(ok(client.get(LIST)))[0]
    assert [name for name, listed in _every_list(client, item).items() if item not in listed] == []
    changed = ok(client.request("PATCH", f"/v1/items/{item}", json={"available": False}))
    assert (changed["available"], changed["known"]) == (False, True)
    assert [name for name, listed in _every_list(client, item).items() if item in listed] == []
    assert not ok(client.get(f"/v1/items/{item}"))["available"]
    events.patch_item(item, {"available": True}, 5)  # by another process
    assert item in ids(ok(client.get(LIST)))


def test_availability_reaches_cached_lists_and_changes_nothing_else(client: Client) -> None:
    before = ok(client.get(LIST + "?n=5"))
    gone = ids(before)[4]
    ok(client.request("PATCH", f"/v1/items/{gone}", json={"available": False}))
    without = ok(client.get(LIST + "?n=5"))
    excluded = ok(client.get(f"{LIST}?n=5&exclude={gone}"))
    assert ids(without) == ids(excluded) != ids(before)
    ok(client.request("PATCH", f"/v1/items/{gone}", json={"available": True}))
    again = ok(client.get(LIST + "?n=5"))
    assert [one["score"] for one in again["items"]] == [one["score"] for one in before["items"]]


def test_the_model_of_a_catalogue_is_that_of_the_store(client: Client, model: WithPersonas, events: EventStore) -> None:
    first = ok(client.get(LIST))["items"][0]
    item = first["item_id"]
    new = {"title": "Ümlaut, The (1931)", "genres": ["Silent"], "metadata": {"brand": "Ufa", "price": 2}}
    ok(client.put(f"/v1/items/{item}", json=new))
    told = ok(client.get(LIST))["items"][0]
    assert (told["item_id"], told["title"], told["year"], told["genres"]) == (item, new["title"], 1931, ["Silent"])
    assert {**told, "title": 0, "year": 0, "genres": 0} == {**first, "title": 0, "year": 0, "genres": 0}
    assert ids(ok(client.get(f"{LIST}?genre=silent&from_year=1931&to_year=1931"))) == [item]
    assert ids(ok(client.get("/v1/items?query=umlaut the"))) == [item]
    assert "Silent" in ok(client.get("/v1/genres"))["genres"]
    assert client.get(f"{LIST}?genre=Talkie").status_code == 404
    other = answers_of(model, LOG, events)  # a process that starts now
    assert other.recommend("3", 10, None, ()).items[0].title == new["title"]
    ok(client.request("PATCH", f"/v1/items/{item}", json={"title": None, "genres": None}))
    assert ok(client.get(LIST))["items"][0]["title"] == first["title"]


def test_items_that_the_model_does_not_know_are_kept_and_found_but_not_recommended(client: Client) -> None:
    put = {"items": [{"item_id": "new/1", "title": "Brand New (2026)", "genres": ["Fresh"]}, {"item_id": "new 2"}]}
    assert ok(client.put("/v1/items", json=put)) == {"added": 2, "changed": 0, "same": 0}
    assert ok(client.put("/v1/items", json=put)) == {"added": 0, "changed": 0, "same": 2}
    item = ok(client.get("/v1/items/new%2F1"))
    assert (item["title"], item["year"], item["known"], item["available"]) == ("Brand New (2026)", 2026, False, True)
    assert ok(client.get("/v1/items/new%202"))["title"] == "new 2"
    assert ids(ok(client.get("/v1/items?query=brand&genre=fresh"))) == ["new/1"]
    assert "new/1" not in ids(ok(client.get(LIST + "?n=60&genre=Fresh")))
    answer = ok(client.post(LIST, json={"candidates": ["new/1", "1"]}))
    assert answer["unknown_candidates"] == ["new/1"]
    assert client.get("/v1/items/new%2F1/similar").status_code == 404
    ok(client.delete("/v1/items/new%2F1"), 204)
    assert client.get("/v1/items/new%2F1").status_code == 404
    assert client.delete("/v1/items/new%2F1").status_code == 404
    assert client.request("PATCH", "/v1/items/new%2F1", json={"available": True}).status_code == 404
    assert ids(ok(client.get("/v1/items?query=brand"))) == []


def test_an_item_whose_id_looks_like_another_path_is_looked_up(client: Client) -> None:
    for name in ("a%2Fsimilar", "a%2Fb", "similar"):
        ok(client.put(f"/v1/items/{name}", json={"title": name}))
        assert ok(client.get(f"/v1/items/{name}"))["title"] == name


def test_a_deleted_item_of_the_model_is_on_no_list_and_not_found(client: Client) -> None:
    item = ids(ok(client.get(LIST)))[0]
    ok(client.delete(f"/v1/items/{item}"), 204)
    assert [name for name, listed in _every_list(client, item).items() if item in listed] == []
    assert client.get(f"/v1/items/{item}").status_code == 404
    every = ids(ok(client.get("/v1/items?n=100")))
    assert item not in every
    assert len(every) == len(LOG.items) - 1
    ok(client.put(f"/v1/items/{item}", json={}))
    assert item in ids(ok(client.get(LIST)))


def test_pages_of_the_catalogue_have_every_item_once(client: Client) -> None:
    ok(client.put("/v1/items", json={"items": [{"item_id": f"x{n}", "available": False} for n in range(5)]}))
    for query, count in (("", 65), ("available=false&", 5), ("available=true&", 60)):
        seen: list[str] = []
        cursor: str | None = "*"
        while cursor is not None:
            page = ok(client.get(f"/v1/items?{query}n=13&cursor={cursor}"))
            seen += ids(page)
            cursor = page["next_cursor"]
        assert (len(seen), seen) == (count, sorted(set(seen)))
    ok(client.put("/v1/items", json={"items": [{"item_id": f"y{n}", "title": f"Same {n}"} for n in range(7)]}))
    first = ok(client.get("/v1/items?query=same&n=4&cursor=*"))
    second = ok(client.get(f"/v1/items?query=same&n=4&cursor={first['next_cursor']}"))
    assert sorted(ids(first) + ids(second)) == [f"y{n}" for n in range(7)]
    assert second["next_cursor"] is None
    assert client.get(f"/v1/items?query=other&cursor={first['next_cursor']}").status_code == 422
    assert client.get(f"/v1/items?cursor={first['next_cursor']}").status_code == 422


def test_pages_of_recommendations_have_no_item_twice(client: Client) -> None:
    listable = len(ids(ok(client.get(LIST + "?n=100"))))
    assert ok(client.get(LIST))["next_cursor"] is None
    seen: list[str] = []
    cursor: str | None = "*"
    while cursor is not None:
        page = ok(client.get(f"{LIST}?n=9&details=false&cursor={cursor}"))
        assert page["unknown_excluded"] == []
        seen += ids(page)
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == listable
    for bad in ("x", "AAAA", "eNqLjgUAARUAuQ", "x" * 9000):
        assert client.get(f"{LIST}?cursor={bad}").status_code == 422


def test_given_candidates_are_ranked_as_they_stand_in_the_list(client: Client) -> None:
    answer = ok(client.get(LIST + "?n=60&details=false"))
    score = {one["item_id"]: one["score"] for one in answer["items"]}
    candidates = sorted(score)[:7]
    ranked = ok(client.post(LIST, json={"candidates": [*candidates, "nothing"], "n": 20, "details": False}))
    assert sorted(ids(ranked)) == candidates
    assert {one["item_id"]: one["score"] for one in ranked["items"]} == {item: score[item] for item in candidates}
    assert ranked["unknown_candidates"] == ["nothing"]
    of_text = ok(client.post("/v1/recommendations", json={"summary": "", "candidates": candidates}))
    assert set(ids(of_text)) <= set(candidates)
    assert client.post(LIST, json={"candidates": ["x"] * 1001}).status_code == 422


def test_fields_choose_what_is_told_of_items(client: Client) -> None:
    full = ok(client.get(LIST + "?n=3"))
    item = ids(full)[0]
    ok(client.request("PATCH", f"/v1/items/{item}", json={"metadata": {"brand": "Fox"}}))
    picked = ok(client.get(LIST + "?n=3&fields=score&fields=metadata&fields=available"))
    first = {"item_id": item, "score": full["items"][0]["score"], "metadata": {"brand": "Fox"}, "available": True}
    assert picked["items"][0] == first
    assert picked["items"][1]["metadata"] == {}
    assert picked["shelves"] == full["shelves"]
    assert (
        ok(client.post(LIST, json={"n": 3, "fields": ["score", "metadata", "available"]}))["items"] == picked["items"]
    )
    found = ok(client.get(f"/v1/items/{item}/similar?n=2&fields=year&fields=genres"))["items"]
    assert all(set(one) == {"item_id", "year", "genres"} for one in found)
    wrong = client.get(LIST + "?fields=scores")
    assert wrong.status_code == 422
    assert "did you mean 'score'" in wrong.json()["error"]["message"]


def test_several_users_get_their_own_lists(client: Client, events: EventStore) -> None:
    users = ["3", "4", "somebody new"]
    answer = ok(client.post("/v1/users/recommendations", json={"user_ids": users, "n": 4}))
    assert [one["user_id"] for one in answer["lists"]] == users
    for one in answer["lists"]:
        alone = ok(client.get(f"/v1/users/{one['user_id']}/recommendations?n=4&details=false"))
        assert ids(one["recommendations"]) == ids(alone)
    short = ok(client.post("/v1/users/recommendations", json={"user_ids": ["3"], "fields": ["title"]}))
    assert set(short["lists"][0]["recommendations"]["items"][0]) == {"item_id", "title"}
    refused: list[list[str]] = [["3", "3"], [], ["x"] * 101, [" 3"]]
    for wrong in refused:
        assert client.post("/v1/users/recommendations", json={"user_ids": wrong}).status_code == 422
    own = client_of(client.service, token(events, ["read"], "3"))
    assert own.post("/v1/users/recommendations", json={"user_ids": ["3"]}).status_code == 200
    assert own.post("/v1/users/recommendations", json={"user_ids": ["3", "4"]}).status_code == 403


@pytest.mark.parametrize(("scopes", "user"), [(["read"], None), (["write"], "3")])
def test_the_catalogue_is_changed_by_the_service_alone(
    client: Client, events: EventStore, scopes: Any, user: Any
) -> None:
    other = client_of(client.service, token(events, scopes, user))
    for method, path, body in (
        ("PUT", "/v1/items/1", {}),
        ("PUT", "/v1/items", {"items": [{"item_id": "1"}]}),
        ("PATCH", "/v1/items/1", {}),
        ("DELETE", "/v1/items/1", None),
    ):
        assert other.request(method, path, json=body).status_code == 403
    assert events.items_since(0) == (0, ())


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"items": [{"item_id": "a"}, {"item_id": "a"}]}, "is there twice"),
        ({"items": [{"item_id": "a"}, {"item_id": " b"}]}, "items[1]: item_id is ' b'"),
        ({"items": [{"item_id": "a", "titel": "x"}]}, "did you mean 'title'"),
        ({"items": [{"item_id": "a", "metadata": {"title": "x"}}]}, "a field of its own"),
        ({"items": [{"item_id": "a", "genres": ["\u0007"]}]}, "control character"),
    ],
)
def test_a_batch_with_a_wrong_item_stores_nothing(client: Client, events: EventStore, body: Any, told: str) -> None:
    refused = client.put("/v1/items", json=body)
    assert refused.status_code == (409 if "twice" in told else 422)
    assert told in refused.json()["error"]["message"]
    assert events.items_since(0) == (0, ())


def test_items_of_a_history_come_again_where_that_is_the_setting(model: WithPersonas, events: EventStore) -> None:
    repeating = answers_of(model, LOG, events, repeats=True)
    plain = answers_of(model, LOG, events)
    user = int(LOG.users.numbers([3])[0])
    history = {str(item) for item in LOG.items.ids[LOG.item_num[LOG.history_slice(user)]]}
    listed = {str(one.item_id) for one in repeating.recommend("3", 60, None, ()).items}
    assert history <= listed
    assert history.isdisjoint(str(one.item_id) for one in plain.recommend("3", 60, None, ()).items)
    client = client_of(Service(events, lambda: repeating), token(events))
    item = sorted(history)[0]
    said = {"event_id": "d", "user_id": "3", "item_id": item, "kind": "dislike", "time": 1_700_000_000}
    ok(client.post("/v1/events", json={"events": [said]}))
    assert item not in ids(ok(client.get(LIST + "?n=60")))
    said |= {"event_id": "l", "kind": "like", "time": 1_700_000_001}
    ok(client.post("/v1/events", json={"events": [said]}))
    assert item in ids(ok(client.get(LIST + "?n=60")))


def test_a_change_of_stock_does_not_rebuild_what_it_leaves_as_it_is(model: WithPersonas, events: EventStore) -> None:
    answers = answers_of(model, LOG, events)
    answers.find_items("a", 1)
    search = answers._catalogue._view.search
    events.patch_item("1", {"available": False, "metadata": {"price": 1}}, 1)
    assert answers.item("1").metadata == {"price": 1}
    answers.find_items("a", 1)
    assert answers._catalogue._view.search is search
    assert np.array_equal(answers._catalogue.stock.unavailable, [answers._catalogue.numbers["1"]])
    events.patch_item("1", {"title": "Renamed"}, 1)
    assert answers.find_items("renamed", 1).items[0].item_id == "1"


def test_what_goes_with_an_item_is_asked_and_not_changed(client: Client) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        refused = client.request(method, "/v1/items/1/similar?n=3")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert "PATCH" in client.request("OPTIONS", "/v1/items/a%2Fsimilar").headers["allow"]
