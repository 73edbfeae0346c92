"""Pairs of preferences from ratings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.pairs import Pairs, pairs_of
from recsys.errors import ConfigError, DataError

NONE = np.zeros(0, np.int32)


def _log(users: int = 6, events: int = 12, seed: int = 0, blanks: bool = False) -> Interactions:
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(20)[:events] for _ in range(users)])
    values = rng.integers(1, 6, users * events).astype(float)
    if blanks:
        values[::5] = np.nan
    times = np.tile(np.arange(events), users) * 3600 * 7
    return Interactions.from_columns(np.repeat(np.arange(users), events), items, values, times)


def _plain(log: Interactions, window: float, unit: str) -> set[tuple[int, int, int, float]]:
    """Every preference, found event by event."""
    found = set()
    for user in range(log.n_users):
        events = range(*log.history_slice(user).indices(len(log)))
        for one, other in itertools.combinations(events, 2):
            distance = other - one if unit == "events" else (log.time[other] - log.time[one]) / 86_400
            first, second = log.value[one], log.value[other]
            if distance <= window and first != second and np.isfinite([first, second]).all():
                winner, loser = (one, other) if first > second else (other, one)
                found.add((user, int(log.item_num[winner]), int(log.item_num[loser]), float(abs(first - second))))
    return found


@pytest.mark.parametrize(("window", "unit"), [(1, "events"), (4, "events"), (50, "events"), (1, "days"), (0.5, "days")])
@pytest.mark.parametrize("blanks", [False, True])
def test_pairs_are_those_found_one_by_one(window: float, unit: str, blanks: bool) -> None:
    log = _log(blanks=blanks)
    pairs = pairs_of(log, window, unit)  # type: ignore[arg-type]
    columns = pairs.user.tolist(), pairs.winner.tolist(), pairs.loser.tolist(), pairs.gap.tolist()
    assert sorted(zip(*columns, strict=True)) == sorted(_plain(log, window, unit))
    assert pairs.unrated == (15 if blanks else 0)
    assert (np.diff(pairs.user) >= 0).all()


def test_cap_leaves_so_many_of_each_user_and_all_of_the_others() -> None:
    pairs = pairs_of(_log(), 50)
    counts, capped = np.bincount(pairs.user), np.bincount(pairs_of(_log(), 50, cap=40).user)
    assert counts.max() > 40 > counts.min() - 20
    np.testing.assert_array_equal(capped, np.minimum(counts, 40))
    empty = Pairs(NONE, NONE, NONE, np.zeros(0, np.float32))
    assert len(empty.capped(3)) == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="window is 0"):
        pairs_of(_log(), 0)
    with pytest.raises(ConfigError, match="did you mean 'days'"):
        pairs_of(_log(), 1, "day")  # type: ignore[arg-type]
    uses = Interactions.from_columns([0, 0, 1], [1, 2, 1])
    with pytest.raises(DataError, match="preference needs ratings; this log has one value"):
        pairs_of(uses)
    ordered = Interactions.from_columns([0, 0], [1, 2], [1.0, 2.0], [0, 1], clock="order")
    with pytest.raises(DataError, match="has no days"):
        pairs_of(ordered, 1, "days")
