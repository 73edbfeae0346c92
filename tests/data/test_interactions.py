"""The log: order, slices, selection, matrices, fingerprints."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.vocabulary import Vocabulary

EVENT = st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(0, 12))
EVENTS = st.lists(EVENT, min_size=1, max_size=40)


def log_of(events: list[tuple[int, int, int]]) -> Interactions:
    """A log whose values are the input positions."""
    users, items, times = zip(*events, strict=True)
    return Interactions.from_columns(users, items, range(len(events)), times)


@settings(deadline=None)
@given(EVENTS)
def test_log_is_sorted_by_user_time_and_input_order(events: list[tuple[int, int, int]]) -> None:
    log = log_of(events)
    expected = sorted(range(len(events)), key=lambda row: (events[row][0], events[row][2], row))
    assert log.value.tolist() == expected
    assert log.users.ids[log.user_num].tolist() == [events[row][0] for row in expected]
    assert log.items.ids[log.item_num].tolist() == [events[row][1] for row in expected]
    assert log.time.tolist() == [events[row][2] for row in expected]


@settings(deadline=None)
@given(EVENTS, st.integers(-1, 13) | st.none())
def test_history_positionsequals_filter(events: list[tuple[int, int, int]], before: int | None) -> None:
    log = log_of(events)
    for user in range(log.n_users):
        positions = np.arange(len(log))[log.history_slice(user, before)]
        expected = (log.user_num == user) & (True if before is None else log.time < before)
        assert positions.tolist() == np.flatnonzero(expected).tolist()


@settings(deadline=None)
@given(EVENTS, st.data())
def test_select_and_compact_keep_the_events(events: list[tuple[int, int, int]], data: st.DataObject) -> None:
    log = log_of(events)
    keep = np.asarray(data.draw(st.lists(st.booleans(), min_size=len(log), max_size=len(log))), dtype=np.bool_)
    chosen = log.select(keep)
    assert chosen.users == log.users
    small = chosen.compact()
    assert small.users.ids[small.user_num].tolist() == log.users.ids[log.user_num[keep]].tolist()
    assert small.items.ids[small.item_num].tolist() == log.items.ids[log.item_num[keep]].tolist()
    assert set(small.item_num.tolist()) == set(range(small.n_items))
    assert set(small.user_num.tolist()) == set(range(small.n_users))
    assert small.metadata.titles == tuple(str(identifier) for identifier in small.items.ids)


@settings(deadline=None)
@given(EVENTS)
def test_matrix_has_a_one_for_every_pair(events: list[tuple[int, int, int]]) -> None:
    log = log_of(events)
    dense = np.zeros((log.n_users, log.n_items))
    dense[log.user_num, log.item_num] = 1
    assert np.array_equal(log.matrix().toarray(), dense)


def test_fingerprint_depends_on_values_but_not_on_input_order_between_users() -> None:
    one = Interactions.from_columns([1, 2, 1], [5, 6, 7], [1, 2, 3], [1, 1, 2])
    same = Interactions.from_columns([2, 1, 1], [6, 5, 7], [2, 1, 3], [1, 1, 2])
    others = [
        Interactions.from_columns([1, 2, 1], [5, 6, 7], [1, 2, 4], [1, 1, 2]),
        Interactions.from_columns([1, 2, 1], [5, 6, 7], [1, 2, 3], [1, 1, 3]),
        Interactions.from_columns([1, 2, 1], [5, 6, 8], [1, 2, 3], [1, 1, 2]),
        Interactions.from_columns([1, 3, 1], [5, 6, 7], [1, 2, 3], [1, 1, 2]),
    ]
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_columns_are_read_only_and_of_one_length() -> None:
    log = Interactions.from_columns([1], [2])
    with pytest.raises(ValueError, match="read-only"):
        log.item_num[0] = 3
    with pytest.raises(ValueError, match="differ in length"):
        Interactions(log.user_num, log.item_num, log.value, np.zeros(2, np.int64), log.users, log.items, log.metadata)
    with pytest.raises(ValueError, match="0 metadata rows for 1 items"):
        Interactions(log.user_num, log.item_num, log.value, log.time, log.users, log.items, ItemMetadata((), ()))


def test_default_clock() -> None:
    assert Interactions.from_columns([1], [2]).clock == "none"
    assert not Interactions.from_columns([1], [2], times=[3], clock="order").has_time
    assert Interactions.from_columns([1], [2], times=[3]).has_time
    assert Interactions.from_columns([1], [2], times=[3], clock="period").has_time


def test_users_without_events_have_an_empty_history() -> None:
    log = Interactions.from_columns(["a", "b", "c"], [1, 1, 1], times=[1, 2, 3]).select(np.asarray([True, False, True]))
    assert log.indptr.tolist() == [0, 1, 1, 2]
    assert log.history_slice(1) == slice(1, 1)


def test_metadata_follows_its_items() -> None:
    metadata = ItemMetadata(("A", "B", "C"), (("x",), (), ("x", "y")), (("t",), (), ()))
    taken = metadata.take([2, 0])
    assert (taken.titles, taken.genres, taken.tags) == (("C", "A"), (("x", "y"), ("x",)), ((), ("t",)))
    names, matrix = metadata.genre_matrix
    assert names == ("x", "y")
    assert matrix.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert not ItemMetadata.untitled(Vocabulary([1])).has_genres
    with pytest.raises(ValueError, match="unknown items"):
        metadata.take([-1])
    with pytest.raises(ValueError, match="one entry per item"):
        ItemMetadata(("A",), ())


@pytest.mark.parametrize("kinds", [None, ["use", "use"]])
def test_a_log_is_gone_with_its_last_use(kinds: list[str] | None) -> None:
    """Work on one part of a log after the other would hold many, until Python looks for cycles."""
    log = Interactions.from_columns([1, 2], [3, 4], times=[5, 6], kinds=kinds)
    assert log.uses is log
    assert log.every is log
    gone = weakref.ref(log.metadata)
    gc.disable()
    try:
        del log
        assert gone() is None
    finally:
        gc.enable()
