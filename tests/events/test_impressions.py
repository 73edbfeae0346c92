"""Impressions and clicks in a store: the same for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.errors import DataError
from recsys.events.impressions.records import Impression, PositionClicks, UserClicks
from recsys.events.store import Event, EventStore
from recsys.types import DAY

A, B = "0123456789abcdef-main-m1", "fedcba9876543210-beside-m2"
SHOWN = Impression("ada", A, "i1", 1, 100)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"position": 0}, "position is 0; count from 1"),
        ({"recommendation_id": "x"}, "recommendation_id is 'x', which no list has"),
        ({"recommendation_id": A + "\n"}, "which no list has"),
        ({"user_id": ""}, "user_id is empty"),
    ],
)
def test_an_impression_is_refused_with_field_value_and_cure(fields: dict[str, object], told: str) -> None:
    with pytest.raises(DataError) as error:
        replace(SHOWN, **fields)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_impressions_and_clicks_count_once(store: EventStore) -> None:
    others = [Impression("ada", A, "i2", 2, 100), Impression("bob", B, "i1", 1, 50), Impression("ada", B, "i1", 1, 90)]
    assert store.put_impressions([SHOWN, *others]) == 4
    assert store.put_impressions([replace(SHOWN, position=3), *others]) == 0
    assert store.put_click("ada", A, "i2", 120)
    assert store.put_click("ada", A, "i2", 150)
    assert not store.put_click("ada", A, "i9", 120)
    assert store.impressions("ada") == (others[2], SHOWN, replace(others[0], clicked=120))
    assert sorted(store.clicks_by_user(), key=lambda one: (one.variant, one.impressions)) == [
        UserClicks("beside", "m2", 1, 1, 0),
        UserClicks("beside", "m2", 1, 1, 0),
        UserClicks("main", "m1", 1, 2, 1),
    ]
    assert store.clicks_by_position() == (
        PositionClicks("beside", "m2", 1, 2, 0),
        PositionClicks("main", "m1", 1, 1, 0),
        PositionClicks("main", "m1", 2, 1, 1),
    )


def test_erasing_a_user_erases_what_was_shown(store: EventStore) -> None:
    store.put_impressions([SHOWN, replace(SHOWN, user_id="bob")])
    first = store.erase_user("ada")
    assert store.impressions("ada") == ()
    assert len(store.impressions("bob")) == 1
    assert store.erase_user("ada") == first


def test_users_of_an_item_count_once_a_day(store: EventStore) -> None:
    kinds = ("use", "like", "dislike", "skip")
    store.append([Event(f"e{k}", "ada", "i1", None, DAY + k, kind) for k, kind in enumerate(kinds)])  # type: ignore[arg-type]
    store.append([Event("e", user, "i1", 4.0, 2 * DAY - 1) for user in ("bob", "eve")])
    store.append([Event("late", "bob", "i1", None, 2 * DAY), Event("no", "bob", "i2", None, 2 * DAY, "dislike")])
    assert sorted(store.daily_users()) == [("i1", 1, 3), ("i1", 2, 1)]
    store.erase_user("eve")
    store.undo_event("bob", "late")
    assert store.daily_users() == (("i1", 1, 2),)
