"""How far a person's answers count in the service, what to ask again, and "I meant that"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.events.addresses import open_store
from recsys.worlds.responses import GENUINE, answer_world
from tests.serving.client import Client, client_of, event, service_of, token
from tests.serving.serving_run import START, train

WORLD = answer_world(0.0, users=150, items=40, pairs=25, seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that weighs the answers of a world of known truth."""
    folder = tmp_path_factory.mktemp("reliable")
    rows = zip(WORLD.user.tolist(), WORLD.item.tolist(), WORLD.value.tolist(), strict=True)
    lines = [f"u{user},i{item},{value:g},{START + 90_000 * place}" for place, (user, item, value) in enumerate(rows)]
    (folder / "log.csv").write_text("user,item,rating,timestamp\n" + "\n".join(lines) + "\n", encoding="utf-8")
    settings = {"mixture__rounds": 3, "mixture__classes": 2}
    return train(folder / "run", folder / "log.csv", "ease_reliable", **settings)


@pytest.fixture
def client(run: Path) -> Client:
    service = service_of(run, open_store("memory:"))
    return client_of(service, token(service.store))


def _told(client: Client, user: str = "u0", n: int = 100) -> dict[str, Any]:
    answer = client.get(f"/v1/users/{user}/reliability?n={n}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _scores(client: Client) -> list[tuple[str, float]]:
    answer = client.get("/v1/users/u0/recommendations?details=false")
    return [(one["item_id"], one["score"]) for one in answer.json()["items"]]


def test_every_event_says_how_far_it_counts_and_why(client: Client) -> None:
    told = _told(client)
    assert told["identified"]
    assert told["reason"] == "constructed answers were not asked about"
    assert told["genuine"]["low"] < told["genuine"]["share"] < told["genuine"]["high"]
    events = told["events"]
    assert [one["time"] for one in events] == sorted((one["time"] for one in events), reverse=True)
    for one in events:
        assert one["probabilities"]["constructed"] is None
        assert one["weight"] == pytest.approx(max(one["probabilities"]["genuine"], 0.02), abs=1e-3)
        assert f"{one['expected']:.1f}" in one["why"] or one["why"].startswith("cannot be told")
        assert 1 <= one["expected"] <= 5
        assert not one["meant"]
    assert _told(client, n=2)["events"] == events[:2]


def test_preferences_of_the_world_count_for_more(client: Client) -> None:
    weights: dict[bool, list[float]] = {True: [], False: []}
    for user in range(12):
        kinds = dict(zip(WORLD.item[WORLD.user == user].tolist(), WORLD.kind[WORLD.user == user].tolist(), strict=True))
        for one in _told(client, f"u{user}")["events"]:
            weights[kinds[int(one["item_id"][1:])] == GENUINE].append(one["weight"])
    assert np.mean(weights[True]) > np.mean(weights[False]) + 0.08


def test_what_the_person_meant_counts_fully_until_it_is_taken_back(client: Client) -> None:
    before, listed = _told(client), _scores(client)
    doubted = min(before["events"], key=lambda one: one["weight"])
    assert doubted["weight"] < 0.7
    said = client.put("/v1/users/u0/reliability", json={"item_id": doubted["item_id"], "meant": True})
    assert (said.status_code, said.json()) == (200, {"item_id": doubted["item_id"], "meant": True})
    after = {one["item_id"]: one for one in _told(client)["events"]}[doubted["item_id"]]
    assert (after["weight"], after["meant"], after["why"]) == (1.0, True, "you said that you meant it")
    assert after["probabilities"] == doubted["probabilities"]  # what the model thinks stays to be seen
    assert _scores(client) != listed
    assert client.get("/v1/users/u0/data").json()["settings"] == {f"meant:{doubted['item_id']}": "true"}
    again = client.get("/v1/users/u0/ask-again?n=20").json()["questions"]
    assert doubted["item_id"] not in [one["item_id"] for one in again]
    for _ in range(2):  # also where nothing is to be taken back
        client.put("/v1/users/u0/reliability", json={"item_id": doubted["item_id"], "meant": False})
    assert _told(client) == before
    assert _scores(client) == listed


def test_erasing_a_person_erases_what_was_meant(client: Client) -> None:
    client.put("/v1/users/u0/reliability", json={"item_id": _told(client)["events"][0]["item_id"], "meant": True})
    client.delete("/v1/users/u0/data")
    assert client.get("/v1/users/u0/data").json()["settings"] == {}
    assert _told(client)["events"] == []


def test_a_second_answer_that_differs_speaks_against_the_first(client: Client) -> None:
    sure = max(_told(client, "u1")["events"], key=lambda one: one["weight"])
    other = 1.0 if sure["value"] >= 3 else 5.0
    again = event("again", user="u1", item=sure["item_id"], value=other, time=sure["time"] + 10, condition="phone")
    assert client.post("/v1/events", json={"events": [again]}).status_code == 200
    both = [one for one in _told(client, "u1")["events"] if one["item_id"] == sure["item_id"]]
    assert [one["value"] for one in both] == [other, sure["value"]]
    assert both[0]["weight"] == both[1]["weight"] < sure["weight"]
    assert client.get("/v1/users/u1/data").json()["events"][0]["condition"] == "phone"


def test_what_to_ask_again_is_what_tells_most(client: Client) -> None:
    best = []
    for user in range(5):
        told = client.get(f"/v1/users/u{user}/ask-again?n=5").json()
        worth = [(one["bits"] * one["changed"], one["bits"]) for one in told["questions"]]
        assert len(worth) == 5
        assert worth == sorted(worth, reverse=True)
        assert all(0 < one["bits"] <= 1 for one in told["questions"])
        best.append(worth[0][0])
    assert max(best) > 0
    assert client.get("/v1/users/nobody/ask-again").json()["questions"] == []
    nobody = _told(client, "nobody")
    assert (nobody["answers"], nobody["genuine"], nobody["events"]) == (0, None, [])


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"item_id": "i999", "meant": True}, 404, "no event with this item"),
        ({"item_id": "i1"}, 422, "meant"),
        ({"item_id": "i1", "meant": "yes"}, 422, "meant"),
        ({"item_id": "", "meant": True}, 422, "item_id is empty"),
    ],
)
def test_bad_requests_say_what_to_do(client: Client, body: dict[str, Any], status: int, told: str) -> None:
    answer = client.put("/v1/users/u0/reliability", json=body)
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]
    assert client.get("/v1/users/u0/reliability?n=0").status_code == 422
    assert client.get("/v1/users/u0/ask-again?n=21").status_code == 422
