"""A policy in the service: what it does to lists, to whom, from which history, and what is recorded of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.data.items import ItemMetadata
from recsys.errors import ConfigError
from recsys.events.memory import MemoryStore
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.ledger import Ledger, verify
from recsys.policy.reading import parse_policy
from recsys.serving.access import Denied
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.norms.norms import Norms
from tests.serving.client import Client, client_of, ids, ok, token
from tests.serving.norms.normed_run import EMPTY, POLICY, client_under, service_under
from tests.serving.serving_run import train
from tests.serving.titled_run import GENRES, SEATS, write_titled

LIST = "/v1/users/3/recommendations"
ADULT = {"age": 30, "consent": "romance"}
LONG_AGO = {"at": 1_600_000_000}
"""A moment after the log, so that two answers are of the same second."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    log = write_titled(folder)
    return {
        "plain": train(folder / "plain", log, "ease"),
        "seated": train(folder / "seated", log, "ease_personas", model__slate=SEATS),
    }


@pytest.fixture(params=["plain", "seated"])
def film_run(request: pytest.FixtureRequest, runs: dict[str, Path]) -> Path:
    return runs[request.param]


@pytest.fixture
def client(film_run: Path, tmp_path: Path) -> Iterator[Client]:
    ledger = Ledger(tmp_path / "ledger")
    yield client_under(film_run, MemoryStore(), POLICY, tmp_path, ledger)
    ledger.close()


def genre(item_id: str) -> str:
    return GENRES[int(item_id) // 30]


def year(item_id: str) -> int:
    return 1960 + 7 * (int(item_id) // 10) + int(item_id) % 10


def check_rules(found: dict[str, Any], *, child: bool, n: int = 10) -> None:
    """Count by hand what the policy of the run says."""
    listed = ids(found)
    assert len(listed) == len(set(listed)) == n
    assert sum(year(item) < 1990 for item in listed if item != "0") >= 2
    assert max(sum(genre(item) == each for item in listed) for each in GENRES) <= 0.6 * n
    if child:
        assert not any("Crime" in genre(item) for item in listed)


def test_every_list_keeps_the_rules(client: Client) -> None:
    for user in (0, 3, 5, 59):
        path = f"/v1/users/{user}/recommendations"
        for n in (5, 10, 12):
            check_rules(ok(client.get(path, params={"n": n, "details": "ready"})), child=True, n=n)
            check_rules(ok(client.get(path, params={"n": n, "details": "false", **ADULT})), child=False, n=n)
        posted = ok(client.post(path, json={"n": 10, "from_year": 1970, "exclude": ["64"]}))
        check_rules(posted, child=True)
        assert "64" not in ids(posted)
    check_rules(
        ok(client.post("/v1/recommendations", json={"history": [{"item_id": "1"}, {"item_id": "44"}]})), child=True
    )
    check_rules(ok(client.get(LIST, params={"profiling": "none"})), child=True)
    assert not any("Crime" in genre(one["item_id"]) for one in ok(client.get("/v1/items/1/similar"))["items"])


def test_lists_of_one_persona_and_seats_keep_the_rules(runs: dict[str, Path], tmp_path: Path) -> None:
    client = client_under(runs["seated"], MemoryStore(), POLICY, tmp_path)
    found = ok(client.get(LIST, params=ADULT | {"details": "false"}))
    owners = [item["owner"] for item in found["items"]]
    assert {shelf["persona"]: shelf["seats"] for shelf in found["shelves"] if shelf["seats"]} == {
        owner: owners.count(owner) for owner in set(owners)
    }
    assert all(item["owner_name"] for item in found["items"] if item["owner"] is not None)
    assert len({owner for owner in owners if owner is not None}) > 1
    for persona in {owner for owner in owners if owner is not None}:
        own = ok(client.get(LIST, params=ADULT | {"persona": persona, "details": "false"}))
        assert max(sum(genre(item) == each for item in ids(own)) for each in GENRES) <= 6
    seats = {one["persona"]: one["seats"] for one in ok(client.get("/v1/users/3/personas"))["personas"]}
    default = ok(client.get(LIST, params={"details": "ready"}))
    assert {shelf["persona"]: shelf["seats"] for shelf in default["shelves"] if shelf["persona"] is not None} == seats


def test_an_empty_policy_changes_nothing(film_run: Path, tmp_path: Path) -> None:
    bare, empty = (client_under(film_run, MemoryStore(), text, tmp_path) for text in (None, EMPTY))
    for user in (0, 3, 7):
        path = f"/v1/users/{user}/recommendations"
        one, other = (ok(client.get(path, params=LONG_AGO)) for client in (bare, empty))
        assert one["policy"] is None
        assert other.pop("policy")["acted"] == []
        del one["policy"]
        assert one == other


def test_decisions_name_the_rules_without_which_a_change_is_gone(
    client: Client, film_run: Path, tmp_path: Path
) -> None:
    plain = ids(ok(client_under(film_run, MemoryStore(), EMPTY, tmp_path).get(LIST, params={"details": "false"})))
    found = ok(client.get(LIST, params={"details": "false", "decisions": "true", "consent": "romance"}))
    told = {one["item_id"]: one for one in found["policy"]["decisions"]}
    assert set(told) == set(plain) ^ set(ids(found))
    for item, one in told.items():
        assert one["change"] == ("lifted" if item in ids(found) else "removed")
        assert {rule["id"] for rule in one["rules"]} <= {"adult", "old", "one-genre"}
        assert one["rules"]
    assert any(rule["why"] == "Minors are protected." for one in told.values() for rule in one["rules"])
    assert ok(client.get(LIST, params={"details": "false"}))["policy"]["decisions"] is None


def test_what_is_taken_out_of_a_history_changes_no_list(film_run: Path, tmp_path: Path) -> None:
    """Lists with and without the sensitive events are the same, but that what was used is not listed again."""
    client = client_under(film_run, MemoryStore(), POLICY, tmp_path)
    history = [{"item_id": str(item)} for item in (1, 45, 7, 31, 72, 50, 14)]
    calm = [one for one in history if "Romance" not in genre(one["item_id"])]
    hidden = [one["item_id"] for one in history if one not in calm]
    asked = {"age": 30, "n": 12, "details": False}
    with_them = ok(client.post("/v1/recommendations", json={"history": history, **asked}))
    without = ok(client.post("/v1/recommendations", json={"history": calm, "exclude": hidden, **asked}))
    assert [(one["item_id"], one["score"]) for one in with_them["items"]] == [
        (one["item_id"], one["score"]) for one in without["items"]
    ]
    agreed = ok(client.post("/v1/recommendations", json={"history": history, "consent": ["romance"], **asked}))
    assert [one["score"] for one in agreed["items"]] != [one["score"] for one in with_them["items"]]


def test_a_person_may_narrow_and_never_widen(client: Client) -> None:
    own = "/v1/users/3/policy"
    gone = ids(ok(client.get(LIST, params=ADULT | {"details": "false"})))[0]
    stored = ok(client.put(own, json={"rules": [{"id": "mine", "deny": {"item": gone}}], "consents": ["romance"]}))
    assert [rule["id"] for rule in stored["layer"]] == ["mine"]
    again = ok(client.get(LIST, params={"age": 30, "decisions": "true", "details": "false"}))
    assert gone not in ids(again)
    (decided,) = [one for one in again["policy"]["decisions"] if one["item_id"] == gone]
    assert [(rule["id"], rule["layer"]) for rule in decided["rules"]] == [("mine", "individual")]
    for rule, fault in (
        ({"id": "more", "at_most": "90%", "of": "each genre"}, "allows more than there is"),
        ({"id": "none", "deny": {"before": 1990}}, "no list of"),
        ({"id": "typo", "deny": {"genre": "Wastern"}}, "did you mean 'Western'"),
        ({"id": "adult", "deny": {"genre": "Western"}}, "that of a rule above"),
        ({"id": "x", "deny": {"item": gone}, "why": "a\u202eb"}, "why"),
    ):
        refused = client.put(own, json={"rules": [rule]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_value"), rule
        assert fault in refused.json()["error"]["message"]
    assert ok(client.get(own))["rules"] == [{"id": "mine", "deny": {"item": gone}}]
    assert client.delete(own).status_code == 204
    assert ok(client.get(own)) == {"layer": [], "rules": None, "consents": [], "age": None, "region": None}


def test_circumstances_are_stored_by_the_service_alone(film_run: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    service = service_under(film_run, store, POLICY, tmp_path)
    service.authenticated = True
    admin, person = (client_of(service, token(store, user=user)) for user in (None, "3"))
    path = "/v1/users/3/circumstances"
    assert person.put(path, json={"age": 40}).status_code == 403
    assert person.get(LIST, params={"age": 40}).json()["error"]["code"] == "scope_missing"
    check_rules(ok(person.get(LIST)), child=True)
    assert ok(admin.put(path, json={"age": 40}))["age"] == 40
    assert any("Crime" in genre(item) for item in ids(ok(person.get(LIST))))
    assert json.loads(ok(person.get("/v1/users/3/data"))["settings"]["circumstances"]) == {"age": 40}
    ok(person.delete("/v1/users/3/data"))
    check_rules(ok(admin.get(LIST)), child=True)


def test_a_line_of_the_ledger_is_replayed_until_its_user_is_erased(client: Client, tmp_path: Path) -> None:
    found = ok(client.get(LIST, params=ADULT | {"details": "false", "exclude": ["64"], "n": 7}))
    audit = found["policy"]["audit"]
    told = ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))
    assert told["line"]["items"] == ids(found)
    assert (told["intact"], told["is_users"], told["replayed"]) == (True, True, True)
    assert "3" not in json.dumps({**told["line"], "items": [], "acts": [], "time": 0, "moment": 0}).split('"')
    assert ok(client.get(f"/v1/audit/{audit}", params={"user_id": "5"}))["is_users"] is False
    assert client.get("/v1/audit/0-999").status_code == 404
    ok(client.delete("/v1/users/3/data"))
    assert ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))["is_users"] is False
    assert verify(tmp_path / "ledger").broken == ()


def test_what_a_person_wrote_cannot_be_tried_without_their_key(client: Client, tmp_path: Path) -> None:
    rules = [{"id": "mine", "deny": {"item": "1"}}]
    ok(client.put("/v1/users/3/policy", json={"rules": rules}))
    audit = ok(client.get(LIST, params=ADULT | {"details": "false"}))["policy"]["audit"]
    told = ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))
    assert told["replayed"] is True
    assert told["line"]["own"] not in (None, hashlib.sha256(json.dumps(rules).encode()).hexdigest())
    ok(client.put("/v1/users/3/policy", json={"rules": []}))
    assert "own rules" in ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))["note"]


def test_a_list_of_a_text_keeps_the_rules_and_is_recorded_and_replayed(client: Client) -> None:
    ok(client.put("/v1/users/3/summary", json={"text": "Mostly crime."}))
    check_rules(ok(client.get(LIST)), child=True)
    found = ok(client.get(LIST, params=ADULT | {"decisions": "true"}))
    check_rules(found, child=False)
    assert found["source"] == "text"
    assert found["policy"]["acted"]
    audit = found["policy"]["audit"]
    told = ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))
    assert (told["line"]["items"], told["replayed"]) == (ids(found), True)
    assert told["line"]["text"] not in (None, hashlib.sha256(b"Mostly crime.").hexdigest())
    ok(client.put("/v1/users/3/summary", json={"text": "Mostly comedies."}))
    assert "own text" in ok(client.get(f"/v1/audit/{audit}", params={"user_id": "3"}))["note"]


def test_without_room_for_its_decision_no_list_is_given_and_the_chain_holds(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    ok(client.get(LIST))
    with monkeypatch.context() as full:
        full.setattr("recsys.policy.ledger.os.write", lambda file, line: write(file, line[:20]))
        refused = client.get(LIST)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
    assert str(tmp_path) not in refused.text
    ok(client.get(LIST))
    found = verify(tmp_path / "ledger")
    assert (found.lines, found.broken) == (2, ())


def test_a_policy_is_taken_back_by_a_person_whose_id_looks_like_a_route(client: Client) -> None:
    event = {"user_id": "3", "item_id": "1", "event_id": "policy", "time": 1_600_000_000}
    ok(client.post("/v1/events", json={"events": [event]}))
    rules = {"rules": [{"id": "mine", "deny": {"item": "1"}}]}
    ok(client.put("/v1/users/3%2Fevents/policy", json=rules))
    ok(client.put("/v1/users/3/policy", json=rules))
    assert client.delete("/v1/users/3%2Fevents/policy").status_code == 204
    assert ok(client.get("/v1/users/3%2Fevents/policy"))["rules"] is None
    assert ok(client.get("/v1/users/3/policy"))["rules"] == rules["rules"]
    assert client.delete("/v1/users/3/events/policy").status_code == 204  # an event, and not the rules
    assert ok(client.get("/v1/users/3/policy"))["rules"] == rules["rules"]
    assert ok(client.get("/v1/users/3/data"))["events"] == []


def test_what_the_service_knows_does_not_write_over_what_a_person_agreed_to(client: Client) -> None:
    ok(client.put("/v1/users/3/policy", json={"rules": [], "consents": ["romance"]}))
    found = ok(client.put("/v1/users/3/circumstances", json={"age": 40, "region": "eu"}))
    assert (found["consents"], found["age"], found["region"]) == (["romance"], 40, "eu")
    ok(client.put("/v1/users/3/circumstances", json={}))
    assert ok(client.get("/v1/users/3/policy"))["consents"] == ["romance"]


def test_what_a_rule_lifted_says_so_and_at_what_price(client: Client) -> None:
    asked = {"details": "false", "consent": "romance", "age": 30}
    for user in ("3", "5", "7", "9"):
        path = f"/v1/users/{user}/recommendations"
        quick, tried = (ok(client.get(path, params=asked | {"decisions": each})) for each in ("false", "true"))
        lifted = {item["item_id"] for act in quick["policy"]["acted"] for item in act["lifted"]}
        told = {item["item_id"]: item["reason"] for item in quick["items"] if item["reason_kind"] == "rule"}
        if not told:
            continue  # the slate's list kept the rules
        assert set(told) == lifted
        assert all(reason.startswith("A rule of the ") for reason in told.values())
        decided = {one["item_id"]: one for one in tried["policy"]["decisions"] if one["change"] == "lifted"}
        for item in tried["items"]:
            if item["item_id"] in decided:
                one = decided[item["item_id"]]
                assert item["reason"].startswith("Because of a rule of the ")
                assert all(rule["rule"] in item["reason"] for rule in one["rules"])
                assert f"{one['price']:.2g} more" in item["reason"]
            else:
                assert item["reason_kind"] != "rule"
        return
    raise AssertionError("no list was chosen by rules")


def test_what_decides_is_told_in_words(client: Client) -> None:
    told = ok(client.get("/v1/policy"))
    assert [layer["layer"] for layer in told["layers"]] == ["law", "organisation", "role"]
    assert told["layers"][0]["rules"][0]["when"] == "younger than 18"
    assert told["parameters"][0].startswith("the law's rules")
    assert any("agree to romance" in one["says"] for one in told["options"])


def test_without_a_policy_there_is_nothing_to_change(film_run: Path, tmp_path: Path) -> None:
    client = client_under(film_run, MemoryStore(), None, tmp_path)
    assert ok(client.get("/v1/policy"))["name"] is None
    for answer in (client.get("/v1/users/3/policy"), client.get("/v1/audit/0-0")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_supported")
    history, nobody = ids(ok(client.get(LIST))), ids(ok(client.get(LIST, params={"profiling": "none"})))
    assert history != nobody
    assert nobody == ids(ok(client.post("/v1/recommendations", json={"history": []})))


def test_conflicts_refuse_the_start_and_a_reload(film_run: Path, tmp_path: Path) -> None:
    against = POLICY.replace("at_least: 2, of: {before: 1990}", "at_least: 2, of: {genre: Crime}")
    with pytest.raises(ConfigError, match="adult and old"):
        service_under(film_run, MemoryStore(), against, tmp_path)
    service = service_under(film_run, MemoryStore(), POLICY, tmp_path)
    client, version = client_of(service), ok(client_of(service).get("/v1/policy"))["version"]
    (tmp_path / "policy.yaml").write_text(against, encoding="utf-8")
    with pytest.raises(Denied, match="the old one stays"):
        service.reload()
    assert ok(client.get("/v1/policy"))["version"] == version
    (tmp_path / "policy.yaml").write_text(POLICY.replace("60%", "70%"), encoding="utf-8")
    service.reload()
    assert ok(client.get("/v1/policy"))["version"] != version


def test_a_persons_own_rule_follows_its_windows(tmp_path: Path) -> None:
    ids = tuple(f"i{item}" for item in range(6))
    columns = {"shown": ["2026-01-01/2026-06-01"] * 3 + [None] * 3}
    catalogue = PolicyCatalogue(ids, ItemMetadata(ids, ((),) * 6, ((),) * 6), columns)
    policy = parse_policy(b"policy: 1\nname: x\nlayers: []")
    store = MemoryStore()
    norms = Norms(policy, catalogue, np.arange(6), store)
    store.put_setting("u", "policy", json.dumps([{"id": "mine", "deny": {"window": "shown"}}]))
    asker = norms.asker("u", Circumstances())
    days = {
        day: int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) for day in ("2026-05-31", "2026-06-02")
    }
    removed = [norms.rules(asker, now, 3).removed.tolist() for now in days.values()]
    assert removed == [[0, 1, 2, 3, 4, 5], [3, 4, 5]]  # what is not known counts against an item
