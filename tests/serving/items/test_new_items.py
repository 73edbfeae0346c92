"""Items put into the service that training did not know: listed and explained at once, by models that take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.events.memory import MemoryStore
from recsys.events.store import EventStore
from recsys.serving.opening import open_answers
from recsys.serving.service import Service
from tests.serving.client import Client, client_of, event, ids, service_of, token
from tests.serving.norms.normed_run import client_under
from tests.serving.serving_run import train
from tests.serving.titled_run import SEATS, write_titled

COLD = (
    "{class_path: recsys.models.WithColdItems, init_args: {scale: 30.0, model: "
    "{class_path: recsys.models.EASE, init_args: {regularization: 50.0}}}}"
)
CRIME = {"title": "The Latest Heist", "year": 2030, "genres": ["Crime", "Thriller"], "metadata": {"tags": ["heist"]}}
LIST = "/v1/users/3/recommendations"  # of somebody whose first taste is crime


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cold")
    log = write_titled(folder)
    return {
        "plain": train(folder / "plain", log, "ease_cold", scale=30.0, regularization=50.0),
        "personas": train(folder / "personas", log, "ease_personas", model__model=COLD, model__slate=SEATS),
        "not": train(folder / "not", log, "ease"),
    }


@pytest.fixture(params=["plain", "personas"])
def run(request: pytest.FixtureRequest, runs: dict[str, Path]) -> Path:
    return runs[request.param]


def _client(run: Path, store: EventStore) -> Client:
    return client_of(service_of(run, store), token(store))


def _one(answer: dict[str, Any], item: str) -> dict[str, Any]:
    (found,) = [one for one in answer["items"] if one["item_id"] == item]
    return dict(found)


def _score(client: Client, user: int) -> float:
    """Return what a user gets the new item for, of all items that may be listed."""
    answer = client.post(f"/v1/users/{user}/recommendations", json={"candidates": ["900"]}).json()
    return float(_one(answer, "900")["score"])


def test_a_new_item_is_listed_and_explained_at_the_next_answer(run: Path) -> None:
    client = _client(run, MemoryStore())
    before = client.get(LIST).json()
    put = client.put("/v1/items/900", json=CRIME).json()
    assert (put["known"], put["title"], put["year"]) == (True, "The Latest Heist", 2030)
    after = client.get(LIST).json()
    found = _one(after, "900")
    assert (found["title"], found["year"], found["genres"]) == ("The Latest Heist", 2030, ["Crime", "Thriller"])
    assert found["evidence"]
    assert all(int(one["item_id"]) < 90 for one in found["evidence"])
    assert found["reason"]
    if "owner" in before["items"][0] and before["items"][0]["owner"] is not None:
        owners = {one["owner"] for one in before["items"] if "Crime" in one["genres"]}
        assert found["owner"] in owners
    scores = {one["item_id"]: one["score"] for one in before["items"]}
    kept = [one for one in after["items"] if one["item_id"] in scores]
    assert kept
    assert all(one["score"] == scores[one["item_id"]] for one in kept)
    assert _score(client, 3) > _score(client, 1)  # of comedies and westerns


def test_what_is_known_of_a_new_item_decides_who_gets_it(run: Path) -> None:
    client = _client(run, MemoryStore())
    client.put("/v1/items/900", json=CRIME)
    assert "900" in ids(client.get(LIST).json())
    crime = _score(client, 3), _score(client, 1)
    client.patch("/v1/items/900", json={"genres": ["Sci-Fi", "Western"]})
    western = _score(client, 3), _score(client, 1)
    assert crime[0] > western[0]
    assert crime[1] < western[1]
    client.patch("/v1/items/900", json={"genres": ["Crime", "Thriller"], "available": False})
    assert "900" not in ids(client.get(LIST).json())
    client.patch("/v1/items/900", json={"available": True})
    assert "900" in ids(client.get(LIST).json())
    client.delete("/v1/items/900")
    assert "900" not in ids(client.get(LIST).json())
    assert client.get("/v1/items/900").status_code == 404


def test_new_items_are_there_after_a_restart_and_in_other_processes(run: Path, shared_address: str) -> None:
    with open_store(shared_address) as store, open_store(shared_address) as again:
        client, other = _client(run, store), _client(run, again)
        client.get(LIST)
        many = [{"item_id": str(900 + k), **CRIME, "title": f"Heist {k}"} for k in range(300)]
        for first in (200, 0, 100):
            client.put("/v1/items", json={"items": many[first : first + 100]}).raise_for_status()
        lists = [ids(one.get(f"{LIST}?n=40").json()) for one in (client, other, _client(run, store))]
        assert lists[0] == lists[1] == lists[2]
        assert sum(int(item) >= 900 for item in lists[0]) > 3


def test_an_event_with_a_new_item_hides_it_and_teaches_nothing(run: Path) -> None:
    store = MemoryStore()
    client = _client(run, store)
    used = [event("before", user="3", item="900"), event("after", user="3", item="901")]
    client.post("/v1/events", json={"events": used[:1]})
    for item in ("900", "901"):
        client.put(f"/v1/items/{item}", json=CRIME)
    assert "901" in ids(client.get(LIST).json())
    assert "900" not in ids(client.get(LIST).json())
    client.post("/v1/events", json={"events": used[1:]})
    for one in (client, _client(run, store)):
        answer = one.get(LIST).json()
        assert not {"900", "901"} & set(ids(answer))
        assert answer["unknown_items"] == ["900", "901"]
    history = {"history": [{"item_id": "1"}, {"item_id": "2"}, {"item_id": "900"}], "n": 20}
    anonymous = client.post("/v1/recommendations", json=history).json()
    assert "900" not in ids(anonymous)
    assert "901" in ids(anonymous)


def test_a_list_of_before_an_event_with_a_new_item_has_it(run: Path) -> None:
    client = _client(run, MemoryStore())
    client.put("/v1/items/900", json=CRIME)
    used = event("used", user="3", item="900")
    client.post("/v1/events", json={"events": [used]}).raise_for_status()
    earlier = client.get(f"{LIST}?at={used['time']}").json()
    assert "900" in ids(earlier)
    assert earlier["unknown_items"] == []
    later = client.get(f"{LIST}?at={used['time'] + 1}").json()
    assert "900" not in ids(later)
    assert later["unknown_items"] == ["900"]


def test_where_items_are_repeated_a_new_one_leaves_by_a_dislike_alone(run: Path) -> None:
    store = MemoryStore()
    client = client_of(Service(store, lambda: open_answers(run, store, "memory:", repeats=True), authenticated=False))
    client.put("/v1/items/900", json=CRIME)
    for place, kind, listed in ((0, "use", True), (3, "dislike", False), (2, "like", False), (4, "like", True)):
        one = event(f"e{place}", user="3", item="900", kind=kind, time=1_500_000_000 + place)
        client.post("/v1/events", json={"events": [one]}).raise_for_status()
        assert ("900" in ids(client.get(LIST).json())) is listed, kind


def test_new_items_pass_filters_pages_and_controls(runs: dict[str, Path]) -> None:
    client = _client(runs["personas"], MemoryStore())
    client.put("/v1/items/900", json=CRIME)
    assert ids(client.get(f"{LIST}?from_year=2030").json()) == ["900"]
    assert "900" in ids(client.get(f"{LIST}?genre=Crime&n=3").json())
    assert ids(client.post(LIST, json={"candidates": ["900", "1"]}).json())[0] == "900"
    owner = _one(client.get(LIST).json(), "900")["owner"]
    assert "900" in ids(client.get(f"{LIST}?persona={owner}").json())
    client.put(f"/v1/users/3/personas/{owner}", json={"weight": 0}).raise_for_status()
    assert "900" not in ids(client.get(LIST).json())
    assert client.get("/v1/items/900/similar").status_code == 404
    asked = client.post("/v1/interview", json={"answers": [{"item_id": "900", "answer": "like"}]})
    assert asked.status_code == 404
    assert client.post("/v1/users/3/interview", json={"answers": []}).status_code == 200


def test_a_policy_binds_new_items(runs: dict[str, Path], tmp_path: Path) -> None:
    policy = (
        "policy: 1\nname: cinema\nlists: {from: 5, until: 12}\nlayers:\n  - layer: law\n    rules:\n"
        "      - {id: adult, deny: {genre: Crime}, when: {age_below: 18}}\n"
        "      - {id: future, deny: {after: 2040}}\n"
    )
    for name in ("plain", "personas"):
        client = client_under(runs[name], MemoryStore(), policy, tmp_path)
        client.put("/v1/items/900", json=CRIME)
        client.put("/v1/items/901", json=CRIME | {"year": 2050})
        grown = ids(client.get(f"{LIST}?age=30").json())
        assert "900" in grown
        assert "901" not in grown
        assert not {"900", "901"} & set(ids(client.get(f"{LIST}?age=12&n=12").json()))


def test_ids_of_another_kind_and_models_without_features_leave_it_unknown(runs: dict[str, Path]) -> None:
    client = _client(runs["plain"], MemoryStore())
    assert client.put("/v1/items/heist", json=CRIME).json()["known"] is False
    assert client.put("/v1/items/0900", json=CRIME).json()["known"] is False
    other = _client(runs["not"], MemoryStore())
    assert other.put("/v1/items/900", json=CRIME).json()["known"] is False
    assert "900" not in ids(other.get(LIST).json())
