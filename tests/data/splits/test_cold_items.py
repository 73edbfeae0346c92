"""Splits that ask about items of which training holds no event."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.splits.standard import split
from recsys.errors import ConfigError, DataError
from recsys.models import EASE


def log(seed: int = 0, clock: Literal["seconds", "none"] = "seconds") -> Interactions:
    """Items of which a further one appears every ten events."""
    rng = np.random.default_rng(seed)
    time = np.arange(600)
    item = [int(rng.integers(0, 1 + one // 10)) for one in time]
    times = None if clock == "none" else time
    return Interactions.from_columns(rng.integers(0, 40, 600), [f"i{one:02d}" for one in item], times=times)


def test_what_is_asked_for_appears_after_the_cut_and_what_is_visible_before_the_question() -> None:
    whole = log()
    found = split(whole, "cold_items")
    used = np.unique(found.train.item_num)
    assert found.train.n_items == whole.n_items
    assert not found.leaks_time
    begins = {str(name): int(whole.time[whole.item_num == number].min()) for number, name in enumerate(whole.items.ids)}
    cut = found.train.time.max() + 1
    earlier: set[int] = set()
    for part in (found.valid, found.test):
        assert len(part)
        asked = set(part.relevant.items.tolist())
        assert not asked & set(used.tolist())
        assert not asked & earlier
        assert part.candidates is not None
        assert asked <= set(part.candidates.row(0).tolist())
        assert all(begins[str(found.train.items.ids[item])] >= cut for item in asked)
        assert (part.queries.times < part.queries.now[part.queries.history.rows]).all()
        earlier |= set(part.candidates.row(0).tolist())


def test_among_all_ranks_everything_and_warm_asks_for_items_of_training() -> None:
    whole = log()
    new, everything, warm = (split(whole, "cold_items", among=among) for among in ("new", "all", "warm"))
    assert everything.test.candidates is None
    np.testing.assert_array_equal(everything.test.relevant.items, new.test.relevant.items)
    assert set(warm.test.relevant.items.tolist()) <= set(np.unique(warm.train.item_num).tolist())
    assert new.train.fingerprint == everything.train.fingerprint == warm.train.fingerprint
    usual = split(whole, "global_time")
    own, other = EASE(10.0).fit(usual.train), EASE(10.0).fit(warm.train.compact())
    assert own.fitted_on.items == other.fitted_on.items


def test_held_out_items_leave_training_whole_and_need_no_clock() -> None:
    whole = log(clock="none")
    found = split(whole, "held_out_items", seed=3)
    assert found.leaks_time
    sizes = [len(np.unique(part.candidates.items)) for part in (found.valid, found.test) if part.candidates is not None]
    assert min(sizes) >= 5
    names = set(found.train.items.ids[np.unique(found.train.item_num)].tolist())
    gone = whole.items.ids[[name not in names for name in whole.items.ids]]
    assert len(gone) == sum(sizes)
    assert len(found.train) == sum(str(whole.items.ids[number]) in names for number in whole.item_num)
    other = split(whole, "held_out_items", seed=4)
    assert other.train.fingerprint != found.train.fingerprint


def test_minima_leave_items_out_that_are_not_new() -> None:
    found = split(log(), "cold_items", min_item_events=5)
    usual = split(log(), "cold_items")
    assert found.train.n_items < usual.train.n_items
    assert found.test.candidates is not None
    assert usual.test.candidates is not None
    assert set(found.train.items.ids[found.test.candidates.row(0)]) == set(
        usual.train.items.ids[usual.test.candidates.row(0)]
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="no event of a warm item"):
        split(log(), "held_out_items", among="warm")
    with pytest.raises(ConfigError, match="among is 'old'"):
        split(log(), "cold_items", among="old")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'among'"):
        split(log(), "global_time", among="all")
    with pytest.raises(DataError, match="clock 'none'"):
        split(log(clock="none"), "cold_items")
    same = Interactions.from_columns(np.repeat(np.arange(10), 6), np.tile([1, 2], 30), times=np.arange(60))
    with pytest.raises(DataError, match="leaves no event for valid"):
        split(same, "cold_items")
