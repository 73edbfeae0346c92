"""The authors' protocol: one random positive against sampled unobserved items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.splits.paper import paper_split, reserved_items, sample_untouched
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError


def rated_log(n: int = 900, users: int = 40, items: int = 60, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * items, size=n, replace=False)
    values = rng.integers(1, 6, n).astype(np.float32)
    values[::50] = np.nan
    return Interactions.from_columns(pairs // items, pairs % items, values)


def items_of(log: Interactions, user: object) -> set[int]:
    return set(log.items.ids[log.item_num[log.history_slice(int(log.users.numbers([user])[0]))]].tolist())


@pytest.mark.parametrize(("threshold", "expected"), [(None, 900), (4.0, None)])
def test_one_positive_per_part_and_the_rest_in_training(threshold: float | None, expected: int | None) -> None:
    log = rated_log()
    positives = log if threshold is None else log.select(log.value >= threshold)
    assert expected is None or len(positives) == expected
    made = paper_split(log, threshold=threshold, negatives=20)
    assert (made.name, made.leaks_time, made.seed) == ("paper", True, 0)
    assert set(made.train.value.tolist()) == {1.0}
    assert len(made.train) + len(made.valid) + len(made.test) == len(positives)
    valid = dict(zip(made.valid.user_ids, made.valid.relevant.items, strict=True))
    for row, user in enumerate(made.test.user_ids):
        trained = items_of(made.train, user)
        held = {int(made.test.relevant.row(row)[0]), int(valid[user])}
        assert trained | set(made.train.items.ids[list(held)].tolist()) == items_of(positives, user)
        assert made.train.items.ids[made.test.queries.history.row(row)].tolist() == sorted(
            trained, key=items_in_order(positives, user).index
        )


def items_in_order(log: Interactions, user: object) -> list[int]:
    ordered: list[int] = log.items.ids[log.item_num[log.history_slice(int(log.users.numbers([user])[0]))]].tolist()
    return ordered


def check_candidates(part: Holdout, train: Interactions, log: Interactions, negatives: int) -> None:
    assert part.candidates is not None
    for row, user in enumerate(part.user_ids):
        candidates = part.candidates.row(row)
        (relevant,) = part.relevant.row(row)
        assert relevant in candidates
        others = set(candidates.tolist()) - {int(relevant)}
        assert len(candidates) == 1 + negatives == 1 + len(others)
        assert not set(train.items.ids[list(others)].tolist()) & items_of(log, user)


def test_candidates_are_the_positive_and_items_the_user_never_had() -> None:
    log = rated_log()
    made = paper_split(log, negatives=15)
    check_candidates(made.valid, made.train, log, 15)
    check_candidates(made.test, made.train, log, 15)
    assert made.valid.candidates is not None
    assert made.test.candidates is not None
    assert made.valid.candidates.items.tolist() != made.test.candidates.items.tolist()


def test_users_with_two_events_have_a_test_query_only() -> None:
    users = [1, 1, 2, 2, 2, 3, 3, 3, 3]
    items = ["a", "b", "a", "b", "c", "a", "b", "c", "a"]
    made = paper_split(Interactions.from_columns(users, items))
    assert made.test.user_ids.tolist() == [1, 2, 3]
    assert made.valid.user_ids.tolist() == [2, 3]
    # The repeated item of user 3 counts once.
    assert len(made.train) == 8 - 3 - 2
    assert "threshold none: 8 of 9 events, 3 of 3 users and 3 of 3 items remain" in made.notes


def test_blank_ratings_count_only_without_threshold() -> None:
    log = rated_log()
    blanks = log.items.ids[log.item_num[np.isnan(log.value)]].tolist()
    assert blanks
    assert "900 of 900 events" in paper_split(log).notes[0]
    assert f"threshold 1: {900 - len(blanks)} of 900 events" in paper_split(log, threshold=1).notes[0]
    with pytest.raises(DataError, match="no rating is at least 6"):
        paper_split(log, threshold=6)
    with pytest.raises(ConfigError, match="negatives is 0"):
        paper_split(log, negatives=0)


def test_reserved_items_are_the_held_out_items_of_each_user() -> None:
    made = paper_split(rated_log())
    reserved = reserved_items(made)
    assert len(reserved) == made.train.n_users
    for part in (made.valid, made.test):
        for user, item in zip(part.queries.users, part.relevant.items, strict=True):
            assert user != UNKNOWN
            assert item in reserved.row(int(user))
    assert len(reserved.items) == len(made.valid) + len(made.test)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 19)), max_size=6), st.integers(1, 22), st.integers(0, 5))
def test_samples_are_distinct_and_not_in_the_row(touched: list[set[int]], n: int, seed: int) -> None:
    rows = Ragged.of([sorted(row) for row in touched])
    sampled = sample_untouched(rows, 20, n, np.random.default_rng(seed))
    assert len(sampled) == len(touched)
    for number, row in enumerate(touched):
        row_sample = sampled.row(number).tolist()
        assert len(row_sample) == len(set(row_sample)) == min(n, 20 - len(row))
        assert set(row_sample) <= set(range(20)) - row


@pytest.mark.parametrize("n", [2, 6])
def test_samples_are_uniform(n: int) -> None:
    # n = 2 of 9 goes by rejection, n = 6 of 9 by shuffling: each free item comes with probability n / 9.
    rows = Ragged.of([[3]] * 9000)
    counts = np.bincount(sample_untouched(rows, 10, n, np.random.default_rng(0)).items, minlength=10)
    assert counts[3] == 0
    assert np.abs(np.delete(counts, 3) - 1000 * n).max() < 5 * np.sqrt(1000 * n)
