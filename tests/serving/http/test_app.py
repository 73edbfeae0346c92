"""Every route, on a small run: what it answers, and what it answers next."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.events.checks import MOST_AHEAD
from recsys.events.store import Event, EventStore
from recsys.serving.opening import open_answers
from recsys.serving.service import Service
from recsys.types import DAY
from tests.serving.client import Client, bearer, client_of, event, ids, service_of, token
from tests.serving.serving_run import EVENTS, train

AT = "2020-01-01"
_LIST = f"/v1/users/u0/recommendations?n=5&at={AT}"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    with open_store("memory:" if request.param == "memory" else str(tmp_path / "events.db")) as opened:
        yield opened


@pytest.fixture
def service(run: Path, store: EventStore) -> Service:
    return service_of(run, store)


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


def _ok(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def _send(client: Client, *events: dict[str, Any]) -> dict[str, Any]:
    return _ok(client.post("/v1/events", json={"events": list(events)}))


def _code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_known_user_gets_items_with_personas_evidence_and_a_sentence(client: Client) -> None:
    answer = _ok(client.get(_LIST))
    assert len(answer["items"]) == 5
    assert answer["known_events"] == EVENTS
    best = answer["items"][0]
    assert sum(share["weight"] for share in best["personas"]) == pytest.approx(1)
    assert best["evidence_kind"] == "contribution"
    assert best["evidence"][0]["title"] in best["reason"]
    assert best["evidence"][0]["rating"] is not None
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_what_was_used_or_is_excluded_is_not_recommended(client: Client) -> None:
    used = {use["item_id"] for use in _ok(client.get("/v1/users/u0/data"))["logged"]}
    assert len(used) == EVENTS
    all_left = ids(_ok(client.get("/v1/users/u0/recommendations?n=100")))
    assert used.isdisjoint(all_left)
    without = ids(_ok(client.get(f"/v1/users/u0/recommendations?n=100&exclude={all_left[0]}&exclude={all_left[3]}")))
    assert without == [item for item in all_left if item not in (all_left[0], all_left[3])]


def test_a_moment_hides_what_came_later(client: Client) -> None:
    early = _ok(client.get("/v1/users/u0/recommendations?at=1400000001"))
    assert (early["known_events"], early["now"]) == (1, 1_400_000_001)
    assert _ok(client.get("/v1/users/u0/recommendations?at=2014-05-13T16:53:21Z")) == early


def test_an_event_changes_the_next_answer(client: Client) -> None:
    before = _ok(client.get(_LIST))
    first = before["items"][0]["item_id"]
    assert _send(client, event("e1", item=first)) == {"accepted": 1, "repeated": 0}
    after = _ok(client.get(_LIST))
    assert first not in ids(after)
    assert after["known_events"] == before["known_events"] + 1


def test_an_event_teaches_the_users_half_life(client: Client) -> None:
    def learned() -> int:
        return int(_ok(client.get("/v1/users/u0/personas"))["half_life"]["learned_from"])

    before = learned()
    new = ids(_ok(client.get("/v1/users/u0/recommendations")))
    # A visit that all half-lives predict alike says nothing; ten items do. It teaches once, when the next one begins.
    _send(client, *(event(f"e{k}", item=item, time=1_500_000_000 + k) for k, item in enumerate(new)))
    assert learned() == before
    _send(client, event("next", item=new[0], time=1_500_000_000 + 2 * DAY))
    assert learned() == before + 1


def test_somebody_new_is_served_at_once_and_alike_with_the_history_in_the_body(client: Client) -> None:
    cold = _ok(client.get(f"/v1/users/new/recommendations?n=5&at={AT}"))
    assert cold["known_events"] == 0
    _send(client, event("e1", user="new", item="i3"), event("e2", user="new", item="i4", time=1_500_000_100))
    warm = _ok(client.get(f"/v1/users/new/recommendations?n=5&at={AT}"))
    assert warm["known_events"] == 2
    assert warm["items"][0]["evidence"]
    history = [{"item_id": "i3", "time": 1_500_000_000}, {"item_id": "i4", "time": 1_500_000_100}]
    asked = {"history": history, "n": 5, "at": warm["now"]}
    # What the events taught of a half-life is known of the user alone, and moves the scores a little.
    nameless = _ok(client.post("/v1/recommendations", json=asked))
    assert nameless | {"items": []} == warm | {"items": [], "recommendation_id": None}
    ours, theirs = ({item["item_id"]: item["score"] for item in answer["items"]} for answer in (nameless, warm))
    both = ours.keys() & theirs.keys()
    assert len(both) >= 3
    assert [ours[item] for item in both] == pytest.approx([theirs[item] for item in both], rel=0.02)


def test_a_history_without_times_counts_by_its_order_and_names_what_is_unknown(client: Client) -> None:
    answer = _ok(client.post("/v1/recommendations", json={"history": [{"item_id": "i3"}, {"item_id": "nothing"}]}))
    assert (answer["known_events"], answer["unknown_items"]) == (1, ["nothing"])
    assert len(answer["items"]) == 10


def test_events_count_once(client: Client, store: EventStore) -> None:
    batch = [event("e1"), event("e2", item="i2")]
    _send(client, *batch)
    before = _ok(client.get(_LIST))
    assert _send(client, *batch) == {"accepted": 0, "repeated": 2}
    assert _ok(client.get(_LIST)) == before
    assert store.count() == 2
    assert _code(client.post("/v1/events", json={"events": [event("e3"), event("e1", item="i9")]})) == (
        409,
        "event_conflict",
    )
    assert store.count() == 2


def test_events_of_the_log_that_come_again_count_once(client: Client) -> None:
    before = _ok(client.get(_LIST))
    use = _ok(client.get("/v1/users/u0/data"))["logged"][4]
    _send(client, event("again", item=use["item_id"], value=use["value"], time=use["time"]))
    assert _ok(client.get(_LIST)) == before


def test_what_is_dismissed_is_not_recommended_and_is_no_evidence(client: Client) -> None:
    before = _ok(client.get(_LIST))
    first = before["items"][0]["item_id"]
    _send(client, event("e1", item=first, kind="dismiss"))
    after = _ok(client.get(_LIST))
    assert first not in ids(after)
    assert len(after["items"]) == len(before["items"])
    assert first not in {fact["item_id"] for item in after["items"] for fact in item["evidence"]}


def test_a_disliked_item_stays_away_until_the_dislike_is_undone(client: Client) -> None:
    path = f"/v1/users/u0/recommendations?at={AT}&n=5"
    before = _ok(client.get(path))
    first = before["items"][0]["item_id"]
    _send(client, event("no", item=first, kind="dislike", value=None, time=1_400_000_500))
    stored = _ok(client.get("/v1/users/u0/data"))["events"]
    assert [(one["kind"], one["value"], one["item_id"]) for one in stored] == [("dislike", None, first)]
    assert first not in ids(_ok(client.get("/v1/users/u0/recommendations?n=100")))
    assert client.delete("/v1/users/u0/events/no").status_code == 204
    assert ids(_ok(client.get(path))) == ids(before)


def test_events_have_kinds_and_values_that_fit(client: Client) -> None:
    kinds = ["use", "view", "click", "like", "dislike", "buy", "skip"]
    _send(client, *(event(f"e{k}", item=f"i{k}", kind=kind, value=None) for k, kind in enumerate(kinds)))
    _send(client, event("rated", item="i8", kind="rating", value=4.5), event("plain", item="i9", value=3))
    _send(
        client, event("old", item="i10", kind="dismiss", value=None), event("paid", item="i11", kind="buy", value=19.9)
    )
    stored = {one["event_id"]: one for one in _ok(client.get("/v1/users/u0/data"))["events"]}
    assert [stored[f"e{k}"]["kind"] for k in range(len(kinds))] == kinds
    told = {name: (stored[name]["kind"], stored[name]["value"]) for name in ("rated", "plain", "old", "paid")}
    assert told == {"rated": ("rating", 4.5), "plain": ("rating", 3), "old": ("dislike", None), "paid": ("buy", 19.9)}


@pytest.mark.parametrize(
    ("kind", "value", "cure"),
    [
        ("rating", None, "give the rating, or kind 'use' if there is none"),
        ("like", 5, "value is 5 beside kind 'like', which has none; leave value out"),
        ("dislike", 0.5, "value is 0.5 beside kind 'dislike', which has none; leave value out"),
        ("skip", 1, "leave value out, or give kind 'rating'"),
        ("dislik", None, "dislike"),
    ],
)
def test_a_kind_and_a_value_that_do_not_fit_are_refused_with_a_cure(
    client: Client, store: EventStore, kind: str, value: float | None, cure: str
) -> None:
    answers = [
        client.post("/v1/events", json={"events": [event("e", kind=kind, value=value)]}),
        client.post("/v1/recommendations", json={"history": [{"item_id": "i3", "kind": kind, "value": value}]}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert cure in answer.json()["error"]["message"]
    assert store.count() == 0


def test_a_history_in_the_body_can_dislike(client: Client) -> None:
    liked = [{"item_id": item, "kind": "like"} for item in ("i3", "i4", "i5")]
    first = _ok(client.post("/v1/recommendations", json={"history": liked}))["items"][0]["item_id"]
    history = [*liked, {"item_id": first, "kind": "dislike"}]
    assert first not in ids(_ok(client.post("/v1/recommendations", json={"history": history})))


def test_personas_have_shares_activity_and_a_half_life_with_its_interval(client: Client) -> None:
    answer = _ok(client.get("/v1/users/u0/personas"))
    assert len(answer["personas"]) == 4
    for share in ("share_now", "share_long_term"):
        assert sum(persona[share] for persona in answer["personas"]) == pytest.approx(1)
    assert {len(persona["activity"]) for persona in answer["personas"]} == {len(answer["times"])}
    by_unit = {clock["unit"]: clock for clock in answer["half_life"]["clocks"]}
    assert set(by_unit) == {"events", "days"}
    assert by_unit["events"]["low"] <= by_unit["events"]["median"]


def _put(client: Client, persona: int, **body: object) -> dict[str, Any]:
    return _ok(client.put(f"/v1/users/u0/personas/{persona}", json=body))


def test_a_muted_persona_has_no_say_a_boosted_one_more_and_a_name_is_the_users_own(client: Client) -> None:
    before = _ok(client.get(_LIST))
    leading = before["items"][0]["personas"][0]["persona"]
    assert _put(client, leading, weight=0, name="Evenings")["muted"]
    muted = _ok(client.get(_LIST))
    assert muted["items"] != before["items"]
    for item in muted["items"]:
        last = item["personas"][-1]
        assert (last["persona"], last["weight"], last["name"]) == (leading, 0.0, "Evenings")
        assert sum(share["weight"] for share in item["personas"]) == pytest.approx(1)
    (told,) = (p for p in _ok(client.get("/v1/users/u0/personas"))["personas"] if p["persona"] == leading)
    assert (told["muted"], told["weight"], told["name"], told["renamed"]) == (True, 0.0, "Evenings", True)

    _put(client, leading, weight=10, name="Evenings")
    boosted = _ok(client.get(_LIST))["items"][0]
    assert boosted["personas"][0]["persona"] == leading
    assert boosted["personas"][0]["weight"] > before["items"][0]["personas"][0]["weight"]
    assert "Evenings" in boosted["reason"]

    _put(client, leading)
    assert _ok(client.get(_LIST)) == before


def test_who_mutes_everything_is_asked_as_somebody_new_but_not_for_what_was_used(client: Client) -> None:
    used = {use["item_id"] for use in _ok(client.get("/v1/users/u0/data"))["logged"]}
    for persona in range(4):
        _put(client, persona, weight=0)
    answer = _ok(client.get(_LIST))
    assert used.isdisjoint(ids(answer))
    assert all(item["evidence"] == [] for item in answer["items"])


def test_a_persona_that_the_model_does_not_have_cannot_be_corrected(client: Client, store: EventStore) -> None:
    assert _code(client.put("/v1/users/u0/personas/4", json={"weight": 0})) == (404, "not_found")
    assert store.last_sequence() == 0


def test_similar_items(client: Client) -> None:
    answer = _ok(client.get("/v1/items/i3/similar?n=4"))
    assert "i3" not in ids(answer)
    assert len(ids(answer)) == 4
    assert sum(int(item[1:]) < 15 for item in ids(answer)) >= 3  # of the taste that i3 belongs to
    assert _code(client.get("/v1/items/nothing/similar")) == (404, "not_found")


def test_everything_of_a_user_can_be_exported_and_erased(client: Client, store: EventStore) -> None:
    _send(client, event("e1", item="i29"), event("e2", user="u1"))
    _put(client, 1, weight=0.5)
    token(store, ["read"], "u0")
    data = _ok(client.get("/v1/users/u0/data"))
    assert [sent["event_id"] for sent in data["events"]] == ["e1"]
    assert (len(data["logged"]), len(data["corrections"]), len(data["tokens"])) == (EVENTS, 1, 1)
    cold = _ok(client.get(f"/v1/users/new/recommendations?n=5&at={AT}"))
    assert _ok(client.delete("/v1/users/u0/data")) == {"erased": True}
    assert _ok(client.get("/v1/users/u0/data")) == {
        "user_id": "u0", "events": [], "logged": [], "corrections": [], "settings": {}, "belief": None,
        "impressions": [], "tokens": [],
    }  # fmt: skip
    nameless = {"recommendation_id": None}
    assert _ok(client.get(_LIST)) | nameless == cold | nameless
    assert _ok(client.get("/v1/users/u0/personas"))["half_life"] is None
    _send(client, event("e1", item="i29"))  # from now on as from somebody new
    assert _ok(client.get(_LIST))["known_events"] == 1
    assert _ok(client.get("/v1/users/u1/data"))["events"]


def test_all_who_erase_at_once_are_told_that_it_is_done(
    run: Path, shared_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.events.scrubbing._PAUSE", 3600.0)
    users = [f"new {number}" for number in range(16)]
    with open_store(shared_address) as store:
        store.append([Event(f"e{k}", user, f"i{k}", None, 1_500_000_000 + k) for user in users for k in range(20)])
        service = service_of(run, store)
        every = client_of(service, token(store))
        every.get("/healthz")  # a process makes its routes once, before several threads ask
        own = [bearer(token(store, ["write"], user)) for user in users]

        def erase(number: int) -> Any:
            return every.delete(f"/v1/users/{users[number]}/data", headers=own[number])

        with ThreadPoolExecutor(len(users)) as at_once:
            answers = list(at_once.map(erase, range(len(users))))
        assert [_ok(answer) for answer in answers] == [{"erased": True}] * len(users)
        assert (store.count(), [one.user_id for one in store.tokens()]) == (0, [None])
        # The token went with its user, which the refusal says; another token may repeat it, and nothing is written.
        again = erase(0)
        assert _code(again) == (401, "token_invalid")
        assert "or its user was erased" in again.json()["error"]["message"]
        last = store.last_sequence()
        assert _ok(every.delete(f"/v1/users/{users[0]}/data")) == {"erased": True}
        assert store.last_sequence() == last
        pending = len(users) if shared_address.startswith("sqlite") else 0
        assert _ok(every.get("/readyz"))["scrubbing"] == pending
        store.scrub()
        assert _ok(every.get("/readyz"))["scrubbing"] == 0


def _all_of(client: Client, user: str) -> list[Any]:
    parts = (f"recommendations?at={AT}", f"personas?at={AT}", "data")
    answers = [_ok(client.get(f"/v1/users/{user}/{part}")) for part in parts]
    return [*answers, ids(_ok(client.get(f"/v1/users/{user}/recommendations")))]


@pytest.mark.parametrize("user", ["new", "u0"])
@pytest.mark.parametrize("kind", ["use", "like", "dismiss"])
def test_an_undone_event_has_never_been(client: Client, run: Path, store: EventStore, user: str, kind: str) -> None:
    """In the list, the personas, what was learned of half-lives, and in other processes, now and after a restart."""
    items = ids(_ok(client.get(f"/v1/users/{user}/recommendations?at={AT}&n=12")))
    kept = [event(f"e{k}", user, item, time=1_500_000_000 + k) for k, item in enumerate(items[:6])]
    kept += [event("no", user, items[6], kind="dismiss")]
    undone = event("undone", user, items[7], kind=kind, time=1_500_000_003)
    with open_store("memory:") as without:
        never = client_of(service_of(run, without), token(without))
        _send(never, *kept)
        expected = _all_of(never, user)
    other = client_of(service_of(run, store), token(store))
    _send(client, *kept[:4], undone, *kept[4:])
    _put(client, 1, weight=0.5)
    assert _all_of(client, user) == _all_of(other, user) != expected
    _put(client, 1)
    path = f"/v1/users/{user}/events/undone"
    first, again = client.delete(path), other.delete(path)
    assert [(first.status_code, first.content), (again.status_code, again.content)] == [(204, b"")] * 2
    expected[2]["corrections"] = _all_of(client, user)[2]["corrections"]  # those that change nothing
    restarted = client_of(service_of(run, store), token(store))
    for asked in (client, other, restarted):
        assert _all_of(asked, user) == expected
    assert _send(client, undone) == {"accepted": 0, "repeated": 1}
    assert _all_of(client, user) == expected


def test_only_what_is_there_can_be_undone_and_only_by_its_user(client: Client, service: Service) -> None:
    _send(client, event("e1", "u1"), event("data", "u1"), event("a/events/b", "x/y"), event("e2", "u1/events"))
    own = client_of(service, token(service.store, ["write"], "u1"))
    assert _code(own.delete("/v1/users/u1/events/e2")) == (404, "not_found")
    assert _code(own.delete("/v1/users/u0/events/e1")) == (403, "other_user")
    assert _code(own.delete("/v1/users/u1%2Fevents/data")) == (403, "other_user")
    assert _code(own.delete("/v1/users/u1/events/..")) in [(404, "not_found"), (405, "method_not_allowed")]
    assert service.store.count() == 4
    assert client.delete("/v1/users/x%2Fy/events/a%2Fevents%2Fb").status_code == 204
    assert own.delete("/v1/users/u1/events/data").status_code == 204  # an event, and not the data
    assert [sent["event_id"] for sent in _ok(client.get("/v1/users/u1/data"))["events"]] == ["e1"]
    assert client.delete("/v1/users/u1%2Fevents/data").status_code == 204  # the data of user "u1/events"
    assert [one.event.event_id for one in service.store.of_users(["u1", "u1/events", "x/y"])["u1"]] == ["e1"]
    assert service.store.count() == 1


def test_an_event_of_the_future_is_refused_beyond_the_difference_of_clocks(client: Client, store: EventStore) -> None:
    now = int(time.time())
    _send(client, event("e1", time=now + MOST_AHEAD - 60))
    for ahead in (MOST_AHEAD + 60, 10**10):
        answer = client.post("/v1/events", json={"events": [event("e2"), event("e3", time=now + ahead)]})
        assert _code(answer) == (422, "invalid_value")
        message = answer.json()["error"]["message"]
        assert message.startswith(f"events[1]: time is {now + ahead}, that is ")
        assert "in the future; correct it" in message
    assert store.count() == 1


def test_a_value_that_was_not_given_is_none(client: Client) -> None:
    _send(client, event("e1", kind="like"), event("e2", value=None), event("e3", value=1.0), event("e4", value=0.0))
    held = {one["event_id"]: one["value"] for one in _ok(client.get("/v1/users/u0/data"))["events"]}
    assert held == {"e1": None, "e2": None, "e3": 1.0, "e4": 0.0}


def test_a_restart_answers_as_before(client: Client, run: Path, store: EventStore) -> None:
    new = ids(_ok(client.get(_LIST)))
    _send(client, *(event(f"e{k}", item=item, time=1_500_000_000 - k) for k, item in enumerate(new)))
    _ok(client.get(_LIST))  # what is learned at once, and what later, makes no difference
    _send(client, event("late", item="i7", time=1_400_000_500), event("n", user="new"), event("d", kind="dismiss"))
    _put(client, 2, weight=3, name="Mine")
    _ok(client.delete("/v1/users/u1/data"))
    _send(client, event("back", user="u1"))
    again = client_of(service_of(run, store), token(store))
    for user in ("u0", "u1", "u2", "new"):
        for path in (f"/v1/users/{user}/recommendations?at={AT}", f"/v1/users/{user}/personas?at={AT}"):
            assert _ok(again.get(path)) == _ok(client.get(path))


def test_workers_that_share_a_store_answer_alike(client: Client, run: Path, store: EventStore) -> None:
    other = client_of(service_of(run, store), token(store))
    first = ids(_ok(other.get(_LIST)))[0]
    _send(client, event("e1", item=first))
    assert first not in ids(_ok(other.get(_LIST)))
    _ok(other.delete("/v1/users/u0/data"))
    assert _ok(client.get(_LIST))["known_events"] == 0


def _reloadable(run: Path, store: EventStore, folder: Path) -> tuple[Client, Path]:
    served = folder / "served"
    shutil.copytree(run, served)
    return client_of(service_of(served, store), token(store)), served


def test_a_new_bundle_takes_over_and_corrections_of_the_old_one_do_not_count(
    run: Path, log: Path, store: EventStore, tmp_path: Path
) -> None:
    client, served = _reloadable(run, store, tmp_path)
    _send(client, event("e1", item="i20"))
    _put(client, 0, weight=0)
    old = _ok(client.get(_LIST))
    shutil.rmtree(served)
    train(served, log, model__init_args__personas=2)
    assert _ok(client.get(_LIST)) == old
    reloaded = _ok(client.post("/v1/admin/reload"))
    new = _ok(client.get(_LIST))
    assert old["model"] != new["model"] == reloaded["model"]
    assert new["known_events"] == EVENTS + 1
    assert {len(item["personas"]) for item in new["items"]} == {2}
    assert all(share["weight"] > 0 for item in new["items"] for share in item["personas"])


@pytest.mark.parametrize("harm", ["alter", "remove", "manifest", "metrics"])
def test_a_bad_bundle_is_refused_and_the_old_one_stays(run: Path, store: EventStore, tmp_path: Path, harm: str) -> None:
    client, served = _reloadable(run, store, tmp_path)
    before = _ok(client.get(_LIST))
    arrays = served / "model" / "arrays.safetensors"
    if harm == "alter":
        content = bytearray(arrays.read_bytes())
        content[-1] ^= 1
        arrays.write_bytes(content)
    elif harm == "remove":
        shutil.rmtree(served)
    elif harm == "manifest":
        (served / "model" / "manifest.json").write_text("{}", encoding="utf-8")
    else:  # no error that anybody has thought of
        (served / "metrics.json").write_text("[]", encoding="utf-8")
    refused = client.post("/v1/admin/reload")
    assert _code(refused) == (409, "bundle_refused")
    assert str(tmp_path) not in refused.text
    assert _ok(client.get(_LIST)) == before
    assert 'recsys_reloads_total{outcome="refused"} 1.0' in client.get("/metrics").text


def test_health_readiness_and_metrics(client: Client, service: Service, store: EventStore) -> None:
    assert _ok(client.get("/healthz"))["status"] == "alive"
    assert _ok(client.get("/readyz")) == {"status": "ready", "model": service.answers.model, "scrubbing": 0}
    _send(client, event("e1"))
    client.get("/v1/users/u0/recommendations?n=0")
    text = client.get("/metrics").text
    assert 'recsys_events_total{outcome="accepted"} 1.0' in text
    assert 'recsys_errors_total{code="invalid_request"} 1.0' in text
    assert "recsys_store_lag 1.0" in text
    assert 'recsys_request_seconds_count{method="POST",route="/v1/events",status="200"} 1.0' in text
    assert "u0" not in text
    client.get(_LIST)
    assert "recsys_store_lag 0.0" in client.get("/metrics").text
    store.close()


def test_the_schema_tells_of_every_route_and_its_errors(client: Client) -> None:
    schema = _ok(client.get("/openapi.json"))
    assert len(schema["paths"]) == 32
    take = schema["paths"]["/v1/events"]["post"]
    assert {"200", "401", "403", "409", "413", "415", "422", "429", "503"} <= set(take["responses"])
    assert json.dumps(take["responses"]["422"]).count("ErrorOut") == 1


def test_a_run_without_personas_serves_and_says_what_it_cannot(log: Path, tmp_path: Path) -> None:
    run = train(tmp_path / "ease", log, "ease")
    with open_store("memory:") as store:
        client = client_of(service_of(run, store), token(store))
        _send(client, event("e1"))
        answer = _ok(client.get(_LIST))
        assert answer["items"][0]["personas"] == []
        assert answer["items"][0]["evidence"]
        assert len(_ok(client.get("/v1/items/i3/similar"))["items"]) == 10
        assert _code(client.get("/v1/users/u0/personas")) == (409, "not_supported")
        assert _code(client.put("/v1/users/u0/personas/0", json={"weight": 0})) == (404, "not_found")


def test_a_run_of_learned_users_serves_those_it_knows(log: Path, tmp_path: Path) -> None:
    run = train(tmp_path / "mf", log, "mf", optimization__epochs=1)
    with open_store("memory:") as store:
        client = client_of(service_of(run, store), token(store))
        assert len(ids(_ok(client.get(_LIST)))) == 5
        assert _code(client.get("/v1/users/new/recommendations")) == (409, "not_supported")
        assert len(ids(_ok(client.get("/v1/items/i3/similar?n=4")))) == 4
        assert _code(client.put("/v1/users/u0/personas/0", json={"weight": 0})) == (409, "not_supported")
        assert _put(client, 0, name="Me")["name"] == "Me"
        assert _ok(client.get(_LIST))["items"][0]["personas"][0]["name"] == "Me"


def test_a_run_that_was_trained_on_the_store_finds_its_log_there(log: Path, tmp_path: Path) -> None:
    from recsys.events.transfer import import_events

    address = f"sqlite:///{tmp_path / 'events.db'}"
    with open_store(address) as store:
        import_events(store, log)
        run = train(tmp_path / "run", address)
        answers = open_answers(run, store, str(tmp_path / "events.db"))
        assert answers.recommend("u0", 5, 1_600_000_000, ()).known_events == EVENTS
        assert answers.logged_events("u0") == ()

        def learned() -> int:
            half_life = answers.personas("u0", None).half_life
            assert half_life is not None
            return half_life.learned_from or 0

        # What the run was trained on teaches nothing again; what comes after it does.
        fresh = open_answers(run, store, "elsewhere.db").personas("u0", None).half_life
        before = learned()
        assert fresh is not None
        assert fresh.learned_from == before
        new = [str(item.item_id) for item in answers.recommend("u0", 10, None, ()).items]
        store.append([Event(f"e{k}", "u0", item, 1.0, 1_500_000_000 + k) for k, item in enumerate(new)])
        store.append([Event("next", "u0", new[0], 1.0, 1_500_000_000 + 2 * DAY)])
        assert learned() > before
