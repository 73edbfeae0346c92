"""The slate with a place for each large owner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.slates import Floor, Greedy, Pool, Seating, Seats, Slate


def _pool(owner: list[int], shares: list[float]) -> Pool:
    count = len(owner)
    items = np.arange(count, dtype=np.int32)[None]
    scores = np.linspace(1, 0, count, dtype=np.float32)[None]
    return Pool(items, scores, Seating(np.asarray([owner], np.int32), np.asarray([shares])))


def test_an_owner_that_is_due_a_place_has_it_from_the_lowest_score() -> None:
    pool = _pool([0, 0, 0, 0, 1, 2], [0.85, 0.1, 0.05])
    assert Floor().choose(pool, 3).tolist() == [[0, 1, 4]]
    assert Floor(least=0.05).choose(pool, 3).tolist() == [[0, 4, 5]]
    assert Floor(least=0.05).choose(pool, 2).tolist() == [[0, 4]]  # the larger shares come first
    assert Floor(least=0.9).choose(pool, 3).tolist() == Greedy().choose(pool, 3).tolist()


def test_an_owner_without_candidates_takes_no_place_from_a_smaller_one() -> None:
    pool = _pool([0, 0, 0, 2], [0.6, 0.25, 0.15])  # nothing in the pool is of the second
    assert Floor().choose(pool, 2).tolist() == [[0, 3]]


def test_a_boost_takes_no_floor_from_the_others_and_a_floor_no_seat_of_a_boosted_owner() -> None:
    pool, slate = _pool([0] * 6 + [1] * 6 + [2] * 6, [0.5, 0.3, 0.2]), Seats(0.05, 0.0, floor=0.2)

    def seats(boosted: list[bool]) -> list[int]:
        seating = replace(pool.owned, boosted=np.asarray([boosted]))
        chosen = slate.choose(replace(pool, seating=seating), 6)
        return [int(count) for count in np.bincount(chosen[0] // 6, minlength=3)]

    assert seats([False, False, False]) == [4, 1, 1]
    assert seats([False, True, False]) == [3, 2, 1]
    assert seats([True, False, False]) == [5, 1, 0]


@pytest.mark.parametrize("slate", [Floor(0.1), Seats(0.0, 0.0, floor=0.1)], ids=str)
def test_the_only_place_of_an_owner_is_contested_by_its_own_items_alone(slate: Slate) -> None:
    pool = _pool([0, 0, 0, 0, 1, 1], [0.8, 0.2])
    chosen = slate.choose(pool, 3)
    assert chosen.tolist() == [[0, 1, 4]]
    worth = slate.standing(pool, chosen)[0]
    assert np.isneginf(worth[2, [0, 1, 2, 3]]).all()
    assert np.isfinite(worth[2, [4, 5]]).all()
    assert np.isfinite(worth[0]).all()


def test_shares_are_checked() -> None:
    with pytest.raises(ConfigError, match="least"):
        Floor(least=2.0)
