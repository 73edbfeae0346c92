"""A policy and a catalogue that changes: rules see the items as they are described now."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.events.addresses import open_store
from recsys.events.memory import MemoryStore
from tests.serving.client import ids
from tests.serving.norms.normed_run import client_under
from tests.serving.serving_run import train
from tests.serving.titled_run import write_titled

LIST = "/v1/users/3/recommendations"
POLICY = """\
policy: 1
name: cinema
lists: {from: 5, until: 12}
layers:
  - layer: law
    rules: [{id: adult, deny: {genre: Crime}, when: {age_below: 18}}]
  - layer: organisation
    rules:
      - {id: old, deny: {before: 1950}}
      - {id: few, at_most: 20%, of: {genre: Western}}
"""


@pytest.fixture(scope="module", params=["ease", "ease_personas"])
def film_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    return train(folder / "run", write_titled(folder), request.param)


def test_a_rule_sees_what_an_item_has_become(film_run: Path, tmp_path: Path) -> None:
    client = client_under(film_run, MemoryStore(), POLICY, tmp_path)
    child = f"{LIST}?age=12&consent=romance"
    before = ids(client.get(child).json())
    first = before[0]
    client.patch(f"/v1/items/{first}", json={"genres": ["Crime"]}).raise_for_status()
    assert first not in ids(client.get(child).json())
    client.patch(f"/v1/items/{first}", json={"genres": None}).raise_for_status()
    assert ids(client.get(child).json()) == before
    client.patch(f"/v1/items/{first}", json={"year": 1931}).raise_for_status()
    assert first not in ids(client.get(child).json())


def test_a_bound_counts_what_items_have_become(film_run: Path, tmp_path: Path) -> None:
    client = client_under(film_run, MemoryStore(), POLICY, tmp_path)
    grown = f"{LIST}?age=30"
    before = ids(client.get(grown).json())
    for item in before[:5]:
        client.patch(f"/v1/items/{item}", json={"genres": ["Western"]}).raise_for_status()
    assert len(set(before[:5]) & set(ids(client.get(grown).json()))) <= 2


def test_a_rule_over_a_genre_that_no_item_has_any_more_holds_for_none(film_run: Path, tmp_path: Path) -> None:
    client = client_under(film_run, MemoryStore(), POLICY, tmp_path)
    for item in range(30):
        client.patch(f"/v1/items/{item}", json={"genres": ["Drama"]}).raise_for_status()
    told = client.get(f"{LIST}?age=12").json()
    assert "adult" not in [one["rule"]["id"] for one in told["policy"]["acted"]]
    assert ids(client.post(LIST, json={"age": 12, "candidates": [str(item) for item in range(30)]}).json())


def test_every_process_sees_it_and_so_does_a_restart(film_run: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "events.db")
    with open_store(file) as store, open_store(file) as again:
        one, other = (client_under(film_run, each, POLICY, tmp_path) for each in (store, again))
        child = f"{LIST}?age=12&consent=romance"
        first = ids(one.get(child).json())[0]
        assert first in ids(other.get(child).json())
        one.patch(f"/v1/items/{first}", json={"genres": ["Crime"]}).raise_for_status()
        for client in (one, other, client_under(film_run, store, POLICY, tmp_path)):
            assert first not in ids(client.get(child).json())
