"""Minimum-events filters against a set-based one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.splits.filters import minimum_events
from recsys.errors import ConfigError, DataError

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40)


def slow(pairs: list[tuple[int, int]], users: int, items: int, passes: int | None) -> list[tuple[int, int]]:
    done = 0
    while passes is None or done < passes:
        before = len(pairs)
        often = Counter(user for user, _ in pairs)
        pairs = [pair for pair in pairs if often[pair[0]] >= users]
        often = Counter(item for _, item in pairs)
        pairs = [pair for pair in pairs if often[pair[1]] >= items]
        done += 1
        if len(pairs) == before:
            break
    return pairs


@settings(deadline=None)
@given(PAIRS, st.integers(1, 4), st.integers(1, 4), st.none() | st.integers(1, 3))
def test_filter_equals_a_slow_one(pairs: list[tuple[int, int]], users: int, items: int, passes: int | None) -> None:
    log = Interactions.from_columns([user for user, _ in pairs], [item for _, item in pairs])
    expected = slow(pairs, users, items, passes)
    if not expected:
        with pytest.raises(DataError, match="lower the minima"):
            minimum_events(log, users, items, passes)
        return
    left = minimum_events(log, users, items, passes)
    pairs_left = zip(left.users.ids[left.user_num].tolist(), left.items.ids[left.item_num].tolist(), strict=True)
    assert sorted(pairs_left) == sorted(expected)
    assert left.n_users == len({user for user, _ in expected})
    assert left.n_items == len({item for _, item in expected})


def test_more_passes_drop_users_left_short_by_one() -> None:
    # Item z occurs once; without it user 2 has one event; without user 2, item y is short too.
    log = Interactions.from_columns([1, 1, 2, 2, 3, 3], ["x", "x2", "y", "z", "x", "x2"])
    assert minimum_events(log, users=2, items=2, passes=1).users.ids.tolist() == [1, 3]
    chain = Interactions.from_columns([1, 1, 2, 2, 3, 3, 4, 4], ["x", "w", "x", "w", "x", "y", "y", "z"])
    assert minimum_events(chain, users=2, items=2, passes=1).users.ids.tolist() == [1, 2, 3, 4]
    assert minimum_events(chain, users=2, items=2).users.ids.tolist() == [1, 2]


@pytest.mark.parametrize("change", [{"users": 0}, {"items": -1}, {"passes": 0}])
def test_minimum_below_one_is_an_error(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is"):
        minimum_events(Interactions.from_columns([1], [1]), **change)
