"""Rankings that are the same for everybody, and what was shown and clicked of lists."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.events.store import Event, EventStore
from recsys.serving.items.popularity import Popularity, rankings
from recsys.types import DAY
from recsys.worlds.simulation import simulated_log
from tests.serving.client import Client, client_of, ids, ok, token

LOG = simulated_log(n_users=40, n_items=30, events_per_user=10)
NOW = int(LOG.time.max()) + 5 * DAY


def test_scores_are_those_of_the_equations() -> None:
    daily = [("a", 10, 4), ("a", 4, 2), ("b", 9, 3), ("c", -50, 8)]
    found = rankings(daily)
    popular = {item: score for score, item in found.popular}
    assert found.as_of == 11 * DAY
    assert popular == pytest.approx({"a": 4 + 2 * 2 ** (-6 / 30), "b": 3 * 2 ** (-1 / 30), "c": 8 * 2 ** (-60 / 30)})
    expected = popular["a"] * (1 - 2 ** (-1 / 30)) / (1 - 2 ** (-1 / 2))
    assert found.trending[0][0] == pytest.approx((4 + 2 * 2**-3 - expected) / (expected + 1) ** 0.5)
    assert [item for _, item in found.trending] == ["a", "b"]
    assert rankings([]).popular == ()


def test_an_item_that_is_used_every_day_is_no_trend() -> None:
    daily = [("steady", day, 50) for day in range(400)] + [("more", day, 10 if day < 398 else 20) for day in range(400)]
    trend = {item: score for score, item in rankings(daily).trending}
    assert trend["more"] > 2
    assert abs(trend.get("steady", 0.0)) < 0.01


def test_the_log_counts_until_the_first_event_of_the_store(events: EventStore) -> None:
    plain = Popularity(events, LOG).rankings()
    days = np.unique(np.stack([LOG.item_num, LOG.time // DAY, LOG.user_num]), axis=1)
    age = days[1].max() - days[1]
    wanted = np.bincount(days[0], 2.0 ** (-age / 30), len(LOG.items))
    assert {item: score for score, item in plain.popular} == pytest.approx(
        {str(LOG.items.id_of(number)): wanted[number] for number in range(len(LOG.items)) if wanted[number] > 0}
    )
    users, items = LOG.users.ids[LOG.user_num], LOG.items.ids[LOG.item_num]
    rows = list(zip(users.tolist(), items.tolist(), LOG.time.tolist(), strict=True))
    imported = [Event(f"e{n}", str(user), str(item), None, time) for n, (user, item, time) in enumerate(rows)]
    events.append(imported)  # the log again
    assert Popularity(events, LOG).rankings() == plain


def test_rankings_are_kept_for_a_minute(events: EventStore) -> None:
    now = [0.0]
    ranked = Popularity(events, None, lambda: now[0])
    assert ranked.rankings().popular == ()
    events.append([Event("e", "u", "i", None, NOW)])
    now[0] = 59.0
    assert ranked.rankings().popular == ()
    now[0] = 61.0
    assert ranked.rankings().popular == ((1.0, "i"),)


def test_rankings_over_http(client: Client, events: EventStore) -> None:
    events.append([Event(f"e{n}", f"u{n}", "brand new", None, NOW) for n in range(50)])
    events.append([Event("x", "u", "in no catalogue", None, NOW)])
    ok(client.put("/v1/items/brand%20new", json={"title": "Brand New (2026)", "genres": ["Fresh"], "added_at": NOW}))
    ok(client.put("/v1/items/1", json={"added_at": NOW - 5}))
    ok(client.put("/v1/items/2", json={"added_at": NOW - 9, "available": False}))
    popular = ok(client.get("/v1/popular?n=100"))
    assert popular["items"][0]["item_id"] == "brand new"
    assert "in no catalogue" not in ids(popular)
    assert "2" not in ids(popular)
    scores = [one["score"] for one in popular["items"]]
    assert scores == sorted(scores, reverse=True)
    assert ids(ok(client.get("/v1/trending")))[0] == "brand new"
    assert ids(ok(client.get("/v1/latest"))) == ["brand new", "1"]
    assert ids(ok(client.get("/v1/popular?genre=fresh&from_year=2026"))) == ["brand new"]
    first = ok(client.get("/v1/popular?n=7&fields=metadata&cursor=*"))
    assert first["items"][0] == {"item_id": "brand new", "metadata": {}}
    seen, cursor = ids(first), first["next_cursor"]
    while cursor is not None:
        page = ok(client.get(f"/v1/popular?n=7&cursor={cursor}"))
        seen, cursor = seen + ids(page), page["next_cursor"]
    assert seen == ids(popular)
    wrong = client.get(f"/v1/trending?cursor={first['next_cursor']}")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "unreadable_cursor")


def test_what_was_shown_and_clicked_is_recorded_once(client: Client, events: EventStore) -> None:
    listed = ok(client.get("/v1/users/3/recommendations?n=3"))
    name = listed["recommendation_id"]
    assert name.endswith("-main-model")
    assert ok(client.get("/v1/users/4/recommendations?n=3"))["recommendation_id"] != name
    assert ok(client.post("/v1/recommendations", json={"history": []}))["recommendation_id"] is None
    shown = [{"item_id": item, "position": place} for place, item in enumerate(ids(listed), start=1)]
    said = {"user_id": "3", "recommendation_id": name}
    click = {**said, "item_id": ids(listed)[1]}
    assert client.post("/v1/clicks", json=click).status_code == 404
    assert ok(client.post("/v1/impressions", json={**said, "items": shown})) == {"recorded": 3, "repeated": 0}
    assert ok(client.post("/v1/impressions", json={**said, "items": shown})) == {"recorded": 0, "repeated": 3}
    assert ok(client.post("/v1/clicks", json=click)) == {"recorded": True}
    (counted,) = events.clicks_by_user()
    assert (counted.model, counted.variant, counted.impressions, counted.clicks) == ("model", "main", 3, 1)
    assert [one["position"] for one in ok(client.get("/v1/users/3/data"))["impressions"]] == [1, 2, 3]
    other = client_of(client.service, token(events, ["write"], "4"))
    assert other.post("/v1/impressions", json={**said, "items": shown}).status_code == 403
    assert other.post("/v1/clicks", json=click).status_code == 403
    for wrong in ({"recommendation_id": "x"}, {"items": [{"item_id": "1", "position": 0}]}, {"time": 10**10}):
        assert client.post("/v1/impressions", json={**said, "items": shown} | wrong).status_code == 422
