"""Queries: ragged rows, visible events, counted events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout

ROWS = st.lists(st.lists(st.integers(-1, 6), max_size=6), max_size=6)
EVENT = st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9))


@settings(deadline=None)
@given(ROWS, st.data())
def test_ragged_rows_behave_like_lists(rows: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.of(rows)
    assert [ragged.row(number).tolist() for number in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert ragged.rows.tolist() == [number for number, row in enumerate(rows) for _ in row]
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    taken = ragged.take(np.asarray(chosen, dtype=np.int64))
    assert [taken.row(number).tolist() for number in range(len(taken))] == [rows[row] for row in chosen]


@settings(deadline=None)
@given(ROWS)
def test_the_ragged_matrix_sums_repeats_and_drops_the_unknown(rows: list[list[int]]) -> None:
    expected = np.zeros((len(rows), 7))
    for number, row in enumerate(rows):
        for item in row:
            expected[number, item] += item >= 0
    if rows:
        assert np.array_equal(Ragged.of(rows).matrix(7).toarray(), expected)


@settings(deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=30), st.data())
def test_visible_events_are_strictly_earlier(events: list[tuple[int, int, int]], data: st.DataObject) -> None:
    users, items, times = zip(*events, strict=True)
    log = Interactions.from_columns(users, items, times=times)
    chosen = np.asarray(data.draw(st.lists(st.integers(0, log.n_users - 1), max_size=6)), dtype=np.int32)
    now = np.asarray([data.draw(st.integers(-1, 11)) for _ in chosen], dtype=np.int64)
    queries = Queries.from_interactions(log, chosen, now)
    for number, (user, moment) in enumerate(zip(chosen, now, strict=True)):
        visible = log.history_slice(int(user), int(moment))
        assert queries.history.row(number).tolist() == log.item_num[visible].tolist()
    assert bool((queries.ages > 0).all())


def test_equal_questions_and_no_others_have_one_digest() -> None:
    queries = Queries.from_history([[3, 1], [2]])
    assert queries.digest() == Queries.from_history([[3, 1], [2]]).digest()
    others = (
        Queries.from_history([[3], [1, 2]]),
        Queries.from_history([[1, 3], [2]]),
        Queries.from_history([[3, 1], [2]], now=[9, 9]),
        queries.with_weights(np.ones(3, np.float32)),
        replace(queries, values=np.full(3, 2.0, np.float32)),
        replace(queries, exclude=Ragged.of([[], []])),
    )
    assert len({other.digest() for other in (queries, *others)}) == 1 + len(others)


def test_default_now_is_one_unit_after_the_last_event() -> None:
    log = Interactions.from_columns(["a", "a", "b", "c"], [1, 2, 1, 3], times=[4, 9, 2, 7])
    log = log.select(log.user_num != 1)
    queries = Queries.from_interactions(log)
    assert queries.now.tolist() == [10, 0, 8]
    assert queries.history.lengths.tolist() == [2, 0, 1]
    assert queries.ages.tolist() == [6, 1, 1]


def test_history_by_hand_gets_positions_for_times() -> None:
    queries = Queries.from_history([[3, 1], [], [2]])
    assert queries.users.tolist() == [-1, -1, -1]
    assert queries.times.tolist() == [0, 1, 0]
    assert queries.now.tolist() == [2, 0, 1]
    timed = Queries.from_history([[3, 1], []], times=[[5, 8], []], users=[0, 4])
    assert timed.now.tolist() == [9, 0]
    assert timed.users.tolist() == [0, 4]


@settings(deadline=None)
@given(ROWS, st.data())
def test_counted_event_of_repeated_items_is_the_heaviest_then_latest(
    rows: list[list[int]], data: st.DataObject
) -> None:
    size = sum(map(len, rows))
    weights = np.asarray(
        data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=size, max_size=size)), np.float32
    )
    queries = Queries.from_history(rows).with_weights(weights)
    best: dict[tuple[int, int], int] = {}
    for event, (row, item) in enumerate(zip(queries.history.rows, queries.history.items, strict=True)):
        rival = best.get((row, item))
        if item >= 0 and (rival is None or weights[event] >= weights[rival]):
            best[row, item] = event
    assert np.flatnonzero(queries.counted).tolist() == sorted(best.values())
    if rows:
        expected = np.zeros((len(rows), 7), np.float32)
        for (row, item), event in best.items():
            expected[row, item] = weights[event]
        assert np.array_equal(queries.matrix(7).toarray(), expected)


def test_batches_are_consecutive_and_complete() -> None:
    rows = [[1, 2], [], [3], [4, 5, 6], [0]]
    queries = Queries.from_history(rows).with_weights(np.linspace(0, 1, 7, dtype=np.float32))
    parts = list(queries.batches(2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert [row for part in parts for row in (part.history.row(n).tolist() for n in range(len(part)))] == rows
    joined = np.concatenate([part.weights for part in parts if part.weights is not None])
    assert np.allclose(joined, np.linspace(0, 1, 7))


def test_excluded_items_default_to_the_history() -> None:
    queries = Queries.from_history([[1], [2]])
    assert queries.excluded is queries.history
    other = Queries(
        queries.users, queries.history, queries.values, queries.times, queries.now, None, Ragged.of([[], [5]])
    )
    assert other.take(np.asarray([1])).excluded.row(0).tolist() == [5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"now": np.zeros(2, np.int64)}, "one row per query"),
        ({"values": np.ones(3, np.float32)}, "aligned"),
        ({"weights": np.ones(1, np.float32)}, "weights must be aligned"),
        ({"exclude": Ragged.of([[], []])}, "exclude must have"),
    ],
)
def test_misaligned_parts_are_refused(change: dict[str, object], message: str) -> None:
    good = Queries.from_history([[1, 2]])
    parts = {name: getattr(good, name) for name in ("users", "history", "values", "times", "now", "weights", "exclude")}
    with pytest.raises(ValueError, match=message):
        Queries(**{**parts, **change})


def test_a_holdout_takes_rows_of_all_its_parts() -> None:
    queries = Queries.from_history([[1], [2], [3]])
    names = np.asarray(["a", "b", "c"], dtype=object)
    holdout = Holdout(queries, Ragged.of([[4], [], [5, 6]]), names, Ragged.of([[4, 0], [1], [5]]))
    taken = holdout.take(np.asarray([2, 0]))
    assert taken.user_ids.tolist() == ["c", "a"]
    assert taken.relevant.row(0).tolist() == [5, 6]
    assert taken.candidates is not None
    assert taken.candidates.row(1).tolist() == [4, 0]
    with pytest.raises(ValueError, match="one row per query"):
        Holdout(queries, Ragged.of([[4]]), names)


def test_taking_all_queries_in_order_returns_the_same_object() -> None:
    queries = Queries.from_history([[1], [2, 3]])
    assert queries.take(np.arange(2)) is queries
    assert queries.take(np.asarray([1, 0])).history.items.tolist() == [2, 3, 1]
    assert queries.take(np.asarray([0])).history.items.tolist() == [1]
    assert queries.with_weights(None) is queries


def test_cached_properties_survive_other_weights_and_times() -> None:
    for items in ([3, 1, 3, 2], [3, 1, 4, 2]):
        queries = Queries.from_history([items, []], times=[[1, 2, 2, 9], []])
        weights = np.array([0.9, 0.5, 0.1, 1.0], np.float32)
        fresh = Queries.from_history([items, []], times=[[1, 2, 2, 9], []]).with_weights(weights)
        assert queries.later.tolist() == [3, 1, 1, 0]
        assert queries.counted.tolist() == [items[0] != items[2], True, True, True]
        for other in (queries.with_weights(weights), queries.at(np.array([20, 30])).with_weights(weights)):
            assert other.counted.tolist() == fresh.counted.tolist() == [True, True, items[0] != items[2], True]
            assert other.later.tolist() == fresh.later.tolist()
        assert queries.at(np.array([20, 30])).now.tolist() == [20, 30]


@settings(deadline=None)
@given(ROWS, st.data())
def test_sums_and_selections_of_ragged_rows(rows: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.of(rows)
    values = np.arange(len(ragged.items)) / 7
    parts = [values[ragged.indptr[row] : ragged.indptr[row + 1]] for row in range(len(rows))]
    assert ragged.sum(values).tolist() == [sum(part.tolist()) for part in parts]
    mask = np.asarray([data.draw(st.booleans()) for _ in values], np.bool_)
    selected = ragged.select(mask)
    expected = [
        [item for item, keep in zip(row, mask[start:], strict=False) if keep]
        for row, start in zip(rows, ragged.indptr, strict=False)
    ]
    assert [selected.row(row).tolist() for row in range(len(selected))] == expected
