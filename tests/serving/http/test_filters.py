"""Filters over HTTP: GET and POST alike, and refusals that tell what there is."""

from __future__ import annotations

from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.models import EASE, WithPersonas
from recsys.serving.service import Service
from recsys.worlds.simulation import simulated_log
from tests.serving.client import Client, client_of, token
from tests.serving.persona_answers import answers_of

_PATH = "/v1/users/3/recommendations"


@pytest.fixture(scope="module")
def client() -> Client:
    log = simulated_log(n_users=120, n_items=120, events_per_user=36)
    model, store = WithPersonas(EASE(20.0)).fit(log), open_store("memory:")
    return client_of(Service(store, lambda: answers_of(model, log, store)), token(store))


def _ok(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_get_and_post_filter_alike(client: Client) -> None:
    plain = _ok(client.get(_PATH))
    first = plain["items"][0]
    genre, year, persona = first["genres"][0], first["year"], first["owner"]
    given = {"genre": [genre], "from_year": year, "to_year": year, "persona": persona, "n": 5}
    query = f"?genre={genre}&from_year={year}&to_year={year}&persona={persona}&n=5"
    found = _ok(client.get(_PATH + query))
    assert found == _ok(client.post(_PATH, json=given))
    assert found["items"][0]["item_id"] == first["item_id"]
    for item in found["items"]:
        assert genre in item["genres"]
        assert (item["year"], item["owner"]) == (year, persona)
    body = {"history": [{"item_id": "1"}, {"item_id": "2"}], "genre": [genre]}
    assert all(genre in item["genres"] for item in _ok(client.post("/v1/recommendations", json=body))["items"])


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("genre=Polka", 404, "there are "),
        ("persona=255", 404, "of this user; there are "),
        ("persona=256", 422, "persona"),
        ("from_year=-1", 422, "from_year"),
        ("to_year=10000", 422, "to_year"),
        ("from_year=last", 422, "from_year"),
        ("genres=Drama", 422, "did you mean 'genre'?"),
        ("to_year=1990&to_year=1991", 422, "given 2 times"),
    ],
)
def test_what_is_refused_names_the_cure(client: Client, query: str, status: int, told: str) -> None:
    answer = client.get(f"{_PATH}?{query}")
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_longer_lists_begin_with_the_shorter_ones(client: Client) -> None:
    genre = _ok(client.get(_PATH))["items"][0]["genres"][0]
    four, eight = (_ok(client.get(f"{_PATH}?genre={genre}&n={n}"))["items"] for n in (4, 8))
    assert (len(four), len(eight)) == (4, 8)
    assert [item["item_id"] for item in eight[:4]] == [item["item_id"] for item in four]
