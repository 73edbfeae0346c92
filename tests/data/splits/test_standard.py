"""Splits against plain loops over users, and the properties of each."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Clock, Interactions
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.names import SPLIT_NAMES, SplitName
from recsys.data.splits.prequential import prequential_windows
from recsys.data.splits.standard import held_out_users_split, offered, split
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError

EVENT = st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 20))
EVENTS = st.lists(EVENT, min_size=12, max_size=60)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def log_of(events: list[tuple[int, int, int]], clock: Clock = "seconds") -> Interactions:
    users, items, times = zip(*events, strict=True)
    return Interactions.from_columns([f"u{user}" for user in users], items, times=times, clock=clock)


def random_log(n: int = 600, users: int = 30, items: int = 40, clock: Clock = "seconds", seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * items, size=n, replace=False)
    return Interactions.from_columns(pairs // items, pairs % items, times=rng.integers(0, 500, n), clock=clock)


def try_split(log: Interactions, name: SplitName, **options: Any) -> Split | None:
    """The split, or None where the log is too small for it."""
    try:
        return split(log, name, **options)
    except DataError:
        return None


def external(split: Split, numbers: np.ndarray[Any, Any]) -> list[int | None]:
    """External item ids; None for unknown items."""
    return [None if number == UNKNOWN else split.train.items.id_of(int(number)) for number in numbers]  # type: ignore[misc]


def check_part(split: Split, part: Holdout, expected: dict[Any, tuple[list[int], list[int], int]]) -> None:
    """Compare with {user: (history items, relevant items, now)}; items training lacks are unknown."""
    known = set(split.train.items.ids.tolist())
    assert part.user_ids.tolist() == sorted(expected)
    for row, user in enumerate(part.user_ids):
        history, relevant, now = expected[user]
        assert external(split, part.queries.history.row(row)) == [item if item in known else None for item in history]
        assert external(split, part.relevant.row(row)) == [item if item in known else None for item in relevant]
        assert part.queries.now[row] == now
        assert part.queries.users[row] == split.train.users.numbers([user])[0]


def new_items(items: list[int], history: list[int]) -> list[int]:
    return [item for item in dict.fromkeys(items) if item not in history]


def by_user(log: Interactions) -> dict[Any, list[tuple[int, int]]]:
    """{user id: [(item id, time), ...]} in log order."""
    rows: dict[Any, list[tuple[int, int]]] = {}
    for user, item, time in zip(log.user_num, log.item_num, log.time, strict=True):
        rows.setdefault(log.users.id_of(int(user)), []).append((int(log.items.ids[item]), int(time)))
    return rows


@QUICK
@given(EVENTS)
def test_global_time_cuts_all_users_at_one_time(events: list[tuple[int, int, int]]) -> None:
    log = log_of(events)
    made = try_split(log, "global_time", fractions=(0.5, 0.25, 0.25))
    if made is None:
        return
    cut1, cut2 = int(made.valid.queries.now[0]), int(made.test.queries.now[0])
    assert sorted(made.train.time.tolist()) == sorted(time for *_, time in events if time < cut1)
    assert not made.leaks_time
    valid, test = {}, {}
    for user, rows in by_user(log).items():
        early = [item for item, time in rows if time < cut1]
        middle = [item for item, time in rows if cut1 <= time < cut2]
        late = [item for item, time in rows if time >= cut2]
        if middle:
            valid[user] = (early, new_items(middle, early), cut1)
        if late:
            test[user] = (early + middle, new_items(late, early + middle), cut2)
    check_part(made, made.valid, valid)
    check_part(made, made.test, test)


@QUICK
@given(EVENTS, st.sampled_from([1, 2, 3]), st.sampled_from(["seconds", "order", "period"]))
def test_last_n_holds_out_the_end_of_each_history(events: list[tuple[int, int, int]], n: int, clock: Clock) -> None:
    log = log_of(events, clock)
    made = try_split(log, "last_one") if n == 1 else try_split(log, "last_n", n=n)
    rows = by_user(log)
    long = {user: row for user, row in rows.items() if len(row) >= 2 * n + 1}
    assert (made is None) == (not long)
    if made is None:
        return
    valid, test = {}, {}
    for user, row in long.items():
        items = [item for item, _ in row]
        valid[user] = (items[: -2 * n], new_items(items[-2 * n : -n], items[: -2 * n]), row[-2 * n][1])
        test[user] = (items[:-n], new_items(items[-n:], items[:-n]), row[-n][1])
    check_part(made, made.valid, valid)
    check_part(made, made.test, test)
    assert len(made.train) == len(log) - 2 * n * len(long)
    assert made.leaks_time


@QUICK
@given(EVENTS, st.integers(0, 3))
def test_random_follows_the_permutation(events: list[tuple[int, int, int]], seed: int) -> None:
    log = log_of(events)
    made = try_split(log, "random", seed=seed)
    if made is None:
        return
    size = len(log)
    order = np.random.default_rng(seed).permutation(size).tolist()
    train, held = set(order[: round(0.8 * size)]), set(order[round(0.8 * size) : round(0.9 * size)])
    valid, test, masked = {}, {}, {}
    for number in range(log.n_users):
        mine = range(*log.history_slice(number).indices(size))
        item = log.items.ids[log.item_num].tolist()
        past = [item[row] for row in mine if row in train]
        checked = [item[row] for row in mine if row in held]
        held_out = [item[row] for row in mine if row not in train and row not in held]
        now = max((int(log.time[row]) + 1 for row in mine if row in train), default=0)
        user = log.users.id_of(number)
        if checked:
            valid[user] = (past, new_items(checked, past), now)
        if held_out:
            test[user] = (past, new_items(held_out, past + checked), now)
            masked[user] = sorted(past + checked)
    check_part(made, made.valid, valid)
    check_part(made, made.test, test)
    known = set(made.train.items.ids.tolist())
    for row, user in enumerate(made.test.user_ids):
        excluded = [item for item in external(made, made.test.queries.excluded.row(row)) if item is not None]
        assert sorted(excluded) == [item for item in masked[user] if item in known]


@pytest.mark.parametrize("history", ["random", "first"])
def test_held_out_users_are_not_in_training(history: Any) -> None:
    log = random_log()
    made = split(log, "held_out_users", seed=3, history=history)
    rows = by_user(log)
    groups = [set(made.train.users.ids.tolist()), set(made.valid.user_ids), set(made.test.user_ids)]
    assert [len(group) for group in groups] == [24, 3, 3]
    assert set.union(*groups) == set(rows)
    assert bool((made.test.queries.users == UNKNOWN).all())
    for part in (made.valid, made.test):
        for row, user in enumerate(part.user_ids):
            past = external(made, part.queries.history.row(row))
            held_out = external(made, part.relevant.row(row))
            items = [item for item, _ in rows[user]]
            assert sorted(past + held_out) == sorted(items)  # type: ignore[type-var]
            assert len(held_out) == round(0.2 * len(items))
            if history == "first":
                assert past + held_out == items
                assert part.queries.now[row] == rows[user][len(past)][1]
        assert history == "first" or bool((part.queries.ages > 0).all())


def test_held_out_user_has_a_visible_and_a_hidden_event() -> None:
    log = Interactions.from_columns(np.repeat(range(30), [1] * 10 + [2] * 20), list(range(10)) + [0, 1] * 20)
    made = held_out_users_split(log, (0.5, 0.25, 0.25), visible=0.99)
    assert set(made.test.queries.history.lengths.tolist()) == {1}
    assert set(made.test.relevant.lengths.tolist()) == {1}
    assert set(range(10)) <= set(made.train.users.ids.tolist())


def test_prequential_windows_are_consecutive_to_the_end_of_the_log() -> None:
    log = random_log()
    windows = list(prequential_windows(log, 5, start=0.4))
    assert len(windows) == 5
    cuts = [int(window.test.queries.now[0]) for window in windows]
    assert cuts == sorted(set(cuts))
    for window, following in pairwise(windows):
        assert following.valid.queries.now[0] == window.test.queries.now[0]
        assert window.train.time.max() < window.valid.queries.now[0] <= following.train.time.max()
    for window, cut, stop in zip(windows, cuts, [*cuts[1:], 10**6], strict=True):
        expected = {user for user, row in by_user(log).items() if any(cut <= time < stop for _, time in row)}
        assert set(window.test.user_ids) == expected
        assert bool((window.test.queries.times < cut).all())
        assert window.name == "prequential"
    assert "window 2 of 5" in windows[1].notes


def test_minima_count_training_events_only() -> None:
    # Item 9 and user "late" have many events, but only after the cut; item 2 has one before it.
    users = ["a"] * 4 + ["b"] * 4 + ["a", "b", "late", "late", "late"]
    items = [1, 3, 4, 2, 1, 3, 4, 5, 9, 9, 9, 2, 1]
    log = Interactions.from_columns(users, items, times=range(13))
    made = split(log, fractions=(8 / 13, 1 / 13, 4 / 13), min_user_events=2, min_item_events=2)
    assert made.train.items.ids.tolist() == [1, 3, 4]
    assert made.train.users.ids.tolist() == ["a", "b"]
    late = made.test.user_ids.tolist().index("late")
    assert made.test.queries.users[late] == UNKNOWN
    assert external(made, made.test.relevant.row(late)) == [None, None, 1]
    assert external(made, made.valid.queries.history.row(0)) == [1, 3, 4, None]
    assert any("2 events removed" in note for note in made.notes)


def test_notes() -> None:
    users, items = ["a", "a", "a", "b", "a", "a", "c"], [1, 2, 3, 1, 1, 7, 2]
    made = split(Interactions.from_columns(users, items, times=range(7)), fractions=(4 / 7, 1 / 7, 2 / 7))
    assert made.notes == (
        "cut 1 at 4, cut 2 at 5 (seconds)",
        "train: 4 events, 2 users, 3 items",
        "valid: 1 held-out events, of them 1 repeated items dropped and 0 cold items kept",
        "valid: 1 queries, 0 of cold users, 0 without history, 1 without relevant items",
        "test: 2 held-out events, of them 0 repeated items dropped and 1 cold items kept",
        "test: 2 queries, 1 of cold users, 1 without history, 0 without relevant items",
    )


@pytest.mark.parametrize("clock", get_args(Clock))
@pytest.mark.parametrize("name", SPLIT_NAMES)
def test_every_split_is_deterministic_or_an_error_of_the_clock(name: SplitName, clock: Clock) -> None:
    log = random_log(items=400 if name == "cold_items" else 40, clock=clock)
    if name not in offered(clock):
        with pytest.raises(
            DataError, match=f"no {name} split; it offers .*random, held_out_users, held_out_items, paper"
        ):
            split(log, name)
        return
    one, two, other = split(log, name, seed=1), split(log, name, seed=1), split(log, name, seed=2)
    assert one.name == name
    assert one.train.fingerprint == two.train.fingerprint
    assert one.test.relevant.items.tolist() == two.test.relevant.items.tolist()
    drawn = one.seed is not None
    assert drawn == (name in ("random", "held_out_users", "held_out_items", "paper"))
    assert (one.train.fingerprint != other.train.fingerprint) == drawn
    assert one.leaks_time == (name not in ("global_time", "cold_items"))
    for part in (one.valid, one.test):
        events = part.queries.history
        assert len(set(zip(events.rows.tolist(), events.items.tolist(), strict=True))) == len(events.items)


@pytest.mark.parametrize("clock", ["order", "none"])
def test_prequential_windows_need_a_clock(clock: Clock) -> None:
    with pytest.raises(DataError, match=r"no prequential windows; it offers .*random"):
        prequential_windows(random_log(clock=clock))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "last-one"}, "unknown split 'last-one'; did you mean 'last_one'"),
        ({"name": "last_one", "n": 2}, "no option 'n' .it belongs to last_n"),
        ({"name": "random", "threshold": 4.0}, "no option 'threshold'"),
        ({"name": "random", "fractions": (0.8, 0.1)}, "three positive shares"),
        ({"name": "global_time", "fractions": (0.8, 0.2, 0.0)}, "three positive shares"),
        ({"name": "last_n", "n": 0}, "at least 1"),
        ({"name": "held_out_users", "history": "lastt"}, "'random' or 'first'"),
        ({"name": "paper", "min_user_events": 5}, "its own filter"),
        ({"name": "random", "min_user_events": 0}, "min_user_events is 0"),
    ],
)
def test_wrong_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split(random_log(), **options)


def test_wrong_windows_are_errors_before_the_first_split() -> None:
    with pytest.raises(ConfigError, match="windows is 0"):
        prequential_windows(random_log(), 0)
    with pytest.raises(ConfigError, match="start is 1"):
        prequential_windows(random_log(), start=1)
    with pytest.raises(ConfigError, match="visible is 1"):
        held_out_users_split(random_log(), visible=1)
    with pytest.raises(DataError, match="no first events"):
        split(random_log(clock="none"), "held_out_users", history="first")


def test_too_small_logs_are_errors() -> None:
    with pytest.raises(DataError, match="different times are too few for 3 parts"):
        split(Interactions.from_columns([1, 1, 1, 2], [1, 2, 3, 4], times=[0, 0, 1, 1]))
    with pytest.raises(DataError, match="last_one split leaves no event for valid"):
        split(Interactions.from_columns([1, 1, 2], [1, 2, 3], times=[0, 1, 2]), "last_one")
    with pytest.raises(DataError, match="without events"):
        split(random_log().select(np.zeros(600, np.bool_)))


def test_coarse_periods_move_the_cut_to_the_next_period() -> None:
    # Nine of ten events are in period 1, where both quantiles lie.
    log = Interactions.from_columns([1] * 20, range(20), times=[0] + [1] * 17 + [2, 3], clock="period")
    made = split(log)
    assert made.valid.queries.now.tolist() == [1]
    assert made.test.queries.now.tolist() == [2]


def test_published_leave_one_out_of_ml_1m(real_log_path: Callable[[str], Path]) -> None:
    frame = pd.read_csv(real_log_path("ml-1m-ordered/ratings.csv.gz"))
    log = Interactions.from_columns(
        frame["userId"].to_numpy(), frame["movieId"].to_numpy(), None, frame["order"].to_numpy(), clock="order"
    )
    made = split(log, "last_one")
    # The rows of a user stand together in the file, oldest first.
    item = frame["movieId"].to_numpy()
    to_end = frame.groupby("userId").cumcount(ascending=False).to_numpy()
    assert made.test.user_ids.tolist() == sorted(frame["userId"].unique())
    assert made.train.items.ids[made.test.relevant.items].tolist() == item[to_end == 0].tolist()
    assert made.train.items.ids[made.valid.relevant.items].tolist() == item[to_end == 1].tolist()
    assert made.train.items.ids[made.test.queries.history.items].tolist() == item[to_end > 0].tolist()
    assert made.train.items.ids[made.train.item_num].tolist() == item[to_end > 1].tolist()
