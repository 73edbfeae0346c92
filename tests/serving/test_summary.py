"""The text about a user in the service: read, written, taken back, and binding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from tests.serving.client import Client, client_of, event, service_of, token

_LIST = "/v1/users/u0/recommendations?n=10&details=false"


@pytest.fixture(scope="module")
def client(run: Path) -> Client:
    service = service_of(run, open_store("memory:"))
    return client_of(service, token(service.store))


def _items(client: Client) -> list[dict[str, Any]]:
    answer = client.get(_LIST)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_text_makes_the_list_until_it_is_taken_back(client: Client) -> None:
    before = _items(client)
    told = client.get("/v1/users/u0/summary").json()
    assert (told["written"], told["time"]) == ("history", None)
    title = client.get("/v1/items?query=i&n=1").json()["items"][0]["title"]
    written = client.put("/v1/users/u0/summary", json={"text": f"mostly like {title}"})
    assert written.status_code == 200, written.text
    assert written.json()["written"] == "person"
    assert written.json()["text"] == f"Mostly like {title}."
    after = _items(client)
    assert [one["item_id"] for one in after] != [one["item_id"] for one in before]
    assert "your text" in after[0]["reason"]
    assert "summary" in client.get("/v1/users/u0/data").json()["settings"]
    assert client.delete("/v1/users/u0/summary").status_code == 204
    assert [_but_for_the_clock(one) for one in _items(client)] == [_but_for_the_clock(one) for one in before]


def _but_for_the_clock(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of a list without the age of its evidence, which grows while the test runs."""
    return item | {"evidence": [one | {"age": 0} for one in item["evidence"]]}


def test_a_later_event_counts_beside_the_text(client: Client) -> None:
    client.put("/v1/users/u5/summary", json={"text": ""})
    later = client.get("/v1/users/u5/summary").json()["time"] + 60
    client.post("/v1/events", json={"events": [event("since", user="u5", time=later)]})
    assert client.get("/v1/users/u5/summary").json()["events_since"] == 1


def test_a_list_says_that_it_is_of_a_text_and_a_former_text_is_put_back(client: Client) -> None:
    told = client.put("/v1/users/u9/summary", json={"text": "", "time": 1_500_000_100}).json()
    assert told["time"] == 1_500_000_100
    client.post("/v1/events", json={"events": [event("more", user="u9", time=1_500_000_200)]})
    listed = client.get("/v1/users/u9/recommendations").json()
    assert (listed["source"], listed["known_events"], listed["reasons"]) == ("text", 1, "searched")
    assert [shelf["seats"] for shelf in listed["shelves"]] == [10]
    client.put("/v1/users/u9/summary", json={"text": "mostly like i1"})
    assert client.get("/v1/users/u9/recommendations").json()["items"] != listed["items"]
    assert client.put("/v1/users/u9/summary", json={"text": "", "time": 4e9}).json()["time"] < 4e9
    client.put("/v1/users/u9/summary", json={"text": told["text"], "time": told["time"]})
    assert client.get("/v1/users/u9/recommendations").json()["items"] == listed["items"]
    assert client.get("/v1/users/u9/recommendations?persona=0").status_code == 409
    assert client.get("/v1/users/u9/recommendations?at=2000-01-01").json()["source"] == "history"


def test_a_text_and_filters_that_leave_few_items(client: Client) -> None:
    client.put("/v1/users/u7/summary", json={"text": ""})
    answer = client.get("/v1/users/u7/recommendations?to_year=1900")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) < 10


def test_a_text_is_read_once_and_seen_by_every_process(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("memory:")
    first, second = (client_of(service_of(run, store), token(store)) for _ in range(2))
    read: list[str] = []
    settings = store.settings

    def noted(user_id: str) -> dict[str, str]:
        read.append(user_id)
        return settings(user_id)

    monkeypatch.setattr(store, "settings", noted)
    assert _items(first)[0]["reason"] == _items(first)[0]["reason"]
    assert read == ["u0"]
    second.put("/v1/users/u0/summary", json={"text": ""})
    second.post("/v1/events", json={"events": [event("later", user="u9")]})  # a change after it hides nothing
    read.clear()
    assert all("Popular" in _items(first)[0]["reason"] for _ in range(3))
    assert read == ["u0"]
    second.delete("/v1/users/u0/data")
    assert first.get("/v1/users/u0/summary").json()["written"] == "history"


def test_bad_texts_are_refused_and_change_nothing(client: Client) -> None:
    for text, told in (("Mosty like i1", "did you mean"), ("Mostly like i1 and i1", "said twice"), ("mostly like", "")):
        answer = client.put("/v1/users/u0/summary", json={"text": text})
        assert answer.status_code == 422, answer.text
        assert told in answer.json()["error"]["message"]
        assert answer.json()["error"]["code"] == "unreadable_text"
    assert client.put("/v1/users/u0/summary", json={"text": "x" * 2_001}).status_code == 422
    assert client.get("/v1/users/u0/summary").json()["written"] == "history"


def test_erasing_a_user_erases_the_text(client: Client) -> None:
    client.put("/v1/users/u3/summary", json={"text": ""})
    assert client.get("/v1/users/u3/summary").json()["written"] == "person"
    client.delete("/v1/users/u3/data")
    assert client.get("/v1/users/u3/summary").json()["written"] == "history"


def test_a_text_in_place_of_a_history(client: Client) -> None:
    title = client.get("/v1/items?query=i&n=1").json()["items"][0]["title"]
    answer = client.post("/v1/recommendations", json={"summary": f"Mostly like {title}", "n": 5})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 5
    assert title not in [one["title"] for one in answer.json()["items"]]
    both = client.post("/v1/recommendations", json={"summary": "", "history": [{"item_id": "i1"}]})
    assert both.status_code == 422
    nothing = client.post("/v1/recommendations", json={"summary": ""})
    assert all("Popular" in one["reason"] for one in nothing.json()["items"])
    assert client.post("/v1/recommendations", json={"n": 3}).status_code == 422
