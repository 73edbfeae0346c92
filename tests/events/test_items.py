"""The catalogue in a store: the same for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.items.records import ItemsPut, StoredItem
from recsys.events.store import EventStore
from tests.events.store_addresses import event

ALIEN = StoredItem("a", "Alien (1979)", genres=("Horror", "Sci-Fi"), metadata={"brand": "Fox", "dubbed": ["de", "fr"]})
HEAT = StoredItem("h", "Heat", year=1995, available=False, added_at=50)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"item_id": ""}, "item_id is empty; give"),
        ({"title": "x" * 501}, "of 501 characters; shorten it to 500"),
        ({"year": 10_000}, "year is 10000; it must be a whole number from 0 to 9999"),
        ({"year": True}, "year is True"),
        ({"genres": ("x" * 81,)}, "shorten it to 80"),
        ({"genres": tuple(map(str, range(51)))}, "genres has 51 names; give at most 50"),
        ({"metadata": {"title": "x"}}, "metadata has 'title', which is a field of its own"),
        ({"metadata": {"x": float("nan")}}, "give a text, a finite number"),
        ({"metadata": {"x": {"y": 1}}}, "or a list of these"),
        ({"metadata": {"x": "y" * 1_001}}, "shorten it to 1000 characters"),
        ({"metadata": {"x": ["y" * 1_000] * 8}}, "characters as JSON; shorten it to 8000"),
        ({"added_at": -1}, "added_at is -1, before 1970"),
        ({"metadata": {"x": "\0"}}, "U+0000; remove it"),
        ({"metadata": {"x": "\ud800"}}, "surrogate pair"),
        ({"available": 1}, "available is 1; it must be true or false"),
        ({"added_at": 1_600_000_000_000}, "too large for Unix seconds"),
    ],
)
def test_an_item_is_refused_with_field_value_and_cure(fields: dict[str, object], told: str) -> None:
    with pytest.raises(DataError) as error:
        StoredItem(**({"item_id": "a"} | fields))  # type: ignore[arg-type]
    assert told in str(error.value)


def test_items_come_back_as_they_were_put(store: EventStore) -> None:
    assert store.items_since(0) == (0, ())
    assert store.put_items([ALIEN, HEAT], 100) == ItemsPut(2, 0, 0)
    last, items = store.items_since(0)
    alien, heat = items
    assert (last, store.last_sequence()) == (1, 1)
    assert (alien.title, alien.genres, alien.metadata) == (ALIEN.title, ALIEN.genres, ALIEN.metadata)
    assert (alien.added_at, alien.changed_at, alien.available) == (100, 100, True)
    assert (heat.added_at, heat.year, heat.available, heat.genres) == (50, 1995, False, None)


def test_putting_again_changes_nothing(store: EventStore) -> None:
    store.put_items([ALIEN, HEAT], 100)
    before = store.items_since(0)
    assert store.put_items([HEAT, ALIEN], 200) == ItemsPut(0, 0, 2)
    assert (store.items_since(0), store.last_sequence()) == (before, 1)
    assert store.put_items([ALIEN, StoredItem("h", "Heat (1995)")], 300) == ItemsPut(0, 1, 1)
    last, (heat,) = store.items_since(1)
    assert (last, heat.title, heat.year, heat.available, heat.added_at, heat.changed_at) == (
        *(2, "Heat (1995)", None, True),
        *(50, 300),
    )


def test_a_batch_with_one_item_twice_is_refused_whole(store: EventStore) -> None:
    with pytest.raises(DataError, match="item_id 'a' is there twice"):
        store.put_items([HEAT, ALIEN, ALIEN], 1)
    assert store.items_since(0) == (0, ())


def test_a_patch_changes_single_fields_and_single_facts(store: EventStore) -> None:
    store.put_items([ALIEN], 100)
    changed = store.patch_item("a", {"available": False, "metadata": {"brand": None, "price": 3.5}}, 200)
    assert (changed.available, changed.title, changed.changed_at) == (False, ALIEN.title, 200)
    assert changed.metadata == {"dubbed": ["de", "fr"], "price": 3.5}
    assert store.patch_item("a", {"available": False}, 300) == changed
    assert store.items_since(1) == (2, (changed,))
    other = store.patch_item("of the model", {"available": True}, 400)
    assert other == StoredItem("of the model", changed_at=400)
    with pytest.raises(DataError, match="no field 'titel' that may be changed; did you mean 'title'"):
        store.patch_item("a", {"titel": "x"}, 1)
    with pytest.raises(DataError, match="year is -1"):
        store.patch_item("a", {"year": -1}, 1)
    assert store.items_since(3) == (3, ())


def test_a_deleted_item_stays_deleted_until_it_is_put_again(store: EventStore) -> None:
    store.put_items([ALIEN], 100)
    assert store.delete_item("a", 200)
    assert not store.delete_item("a", 300)
    assert store.delete_item("of the model", 300)
    gone = StoredItem("a", available=False, changed_at=200, deleted=True)
    assert store.items_since(1)[1][0] == gone
    assert store.put_items([ALIEN], 400) == ItemsPut(1, 0, 0)
    assert store.items_since(3)[1][0].added_at == 400


def test_a_change_of_the_catalogue_is_no_change_of_a_user_but_takes_a_number(store: EventStore) -> None:
    store.append([event(1)])
    store.put_items([ALIEN], 1)
    store.append([event(2)])
    assert [change.sequence for change in store.replay()] == [1, 3]
    store.erase_user("ada")
    assert store.items_since(0)[0] == 2


def test_another_process_reads_the_change(shared_address: str) -> None:
    with open_store(shared_address) as one, open_store(shared_address) as other:
        one.put_items([ALIEN, HEAT], 5)
        assert other.items_since(0)[0] == other.last_sequence() == 1
        assert [item.item_id for item in other.items_since(0)[1]] == ["a", "h"]
        assert other.items_since(1) == (1, ())


def test_many_items_are_one_change(store: EventStore) -> None:
    many = [StoredItem(f"i{number}", f"Item {number}") for number in range(2_500)]
    assert store.put_items(many, 5) == ItemsPut(2_500, 0, 0)
    assert store.put_items(many, 6) == ItemsPut(0, 0, 2_500)
    assert store.last_sequence() == 1
    assert len(store.items_since(0)[1]) == 2_500
