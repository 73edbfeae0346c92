"""Two models side by side: a stable split of users, the model of each in its answers, and both up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.events.memory import MemoryStore
from recsys.models import EASE, WithPersonas
from recsys.serving.beside import SideBySide, Split
from recsys.serving.run_answers import RunAnswers
from recsys.serving.server import Server
from recsys.serving.service import Service
from recsys.worlds.simulation import simulated_log
from tests.serving.client import Client, client_of, ids, ok, token

LOG = simulated_log(n_users=40, n_items=30, events_per_user=10)
SPLIT = Split(0.5, "trial")


@pytest.fixture(scope="module")
def client() -> Client:
    store, now = open_store("memory:"), float(LOG.time.max()) + 9
    models = WithPersonas(EASE(20.0)).fit(LOG), WithPersonas(EASE(2_000.0)).fit(LOG)
    both = [
        RunAnswers(model, name, LOG, store, clock=lambda: now, variant=variant)  # type: ignore[arg-type]
        for model, name, variant in zip(models, ("one", "two"), ("main", "beside"), strict=True)
    ]
    main, beside = both
    return client_of(Service(store, lambda: SideBySide(main, beside, SPLIT)), token(store))


def test_the_split_is_stable_and_has_its_share() -> None:
    users = [f"user {number}" for number in range(4_000)]
    small, large = Split(0.1), Split(0.3)
    first = {user for user in users if small.has(user)}
    assert 320 < len(first) < 480  # 400 expected, 4 standard deviations
    assert first <= {user for user in users if large.has(user)}
    assert first != {user for user in users if Split(0.1, "other").has(user)}
    assert (sum(map(Split(0.0).has, users)), sum(map(Split(1.0).has, users))) == (0, 4_000)
    with pytest.raises(ConfigError, match=r"--share is 1\.5"):
        Split(1.5)


def test_each_user_has_one_model_on_every_route(client: Client) -> None:
    users = [str(user) for user in range(1, 13)] + ["somebody new", "nobody"]
    seen = set()
    for user in users:
        variant, model = ("beside", "two") if SPLIT.has(user) else ("main", "one")
        seen.add(model)
        listed = ok(client.get(f"/v1/users/{user}/recommendations?n=4"))
        assert listed["model"] == model
        assert listed["recommendation_id"].endswith(f"-{variant}-{model}")
        assert ok(client.post(f"/v1/users/{user}/recommendations", json={"n": 4}))["model"] == model
        assert ok(client.get(f"/v1/users/{user}/personas"))["model"] == model
        several = ok(client.post("/v1/users/recommendations", json={"user_ids": [user], "n": 4}))
        assert several["lists"][0]["recommendations"]["model"] == model
    assert seen == {"one", "two"}
    assert ok(client.post("/v1/recommendations", json={"history": [{"item_id": "1"}]}))["model"] == "one"


def test_events_and_the_catalogue_reach_both(client: Client) -> None:
    users = {SPLIT.has(str(user)): str(user) for user in range(1, 13)}
    for user in users.values():
        first = ids(ok(client.get(f"/v1/users/{user}/recommendations?n=10")))[0]
        ok(client.request("PATCH", f"/v1/items/{first}", json={"available": False}))
        assert first not in ids(ok(client.get(f"/v1/users/{user}/recommendations?n=30")))
        ok(client.request("PATCH", f"/v1/items/{first}", json={"available": True}))
        event = {"event_id": "e", "user_id": user, "item_id": first, "kind": "buy", "time": 1_700_000_000}
        ok(client.post("/v1/events", json={"events": [event]}))
        assert first not in ids(ok(client.get(f"/v1/users/{user}/recommendations?n=30")))


def test_a_correction_is_of_the_model_of_its_user(client: Client) -> None:
    found = ok(client.get("/v1/users/1/personas")) if not SPLIT.has("1") else ok(client.get("/v1/users/2/personas"))
    user = "2" if SPLIT.has("1") else "1"
    persona = found["personas"][0]["persona"]
    corrected = ok(client.put(f"/v1/users/{user}/personas/{persona}", json={"weight": 2.0}))
    assert corrected["model"] == client.service.answers.of(user).corrections_of


def test_a_server_opens_both_runs(run: Path) -> None:
    store = MemoryStore()
    server = Server(run, "memory:", beside=run, split=Split(0.5))
    answers = server._service(store).answers
    assert isinstance(answers, SideBySide)
    names = {answers.recommend(f"u{user}", 3, None, ()).recommendation_id or "" for user in range(12)}
    assert {name.split("-")[1] for name in names} == {"main", "beside"}
