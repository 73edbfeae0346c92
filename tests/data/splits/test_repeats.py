"""What is used again after a cut decides nothing before it: by hand, for every split in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.prequential import prequential_windows
from recsys.data.splits.standard import split

# One user: item, rating, time. 1 is rated again after the test's cut, 2 within validation, 3 within training.
EVENTS = [
    *((1, 5, 10), (3, 1, 11), (2, 4, 12), (3, 2, 13), (4, 3, 14), (5, 3, 15)),
    *((6, 3, 30), (2, 1, 31)),
    *((7, 3, 40), (1, 1, 41), (7, 5, 42)),
]


def _frame() -> pd.DataFrame:
    frame = pd.DataFrame(EVENTS, columns=["item", "rating", "time"]).assign(user=1)
    # Others, so that nothing is cold and the cuts fall before 30 and 40.
    other = [(user, item, 3, 1 + item) for user in (2, 3) for item in range(1, 9)]
    other += [(2, 9, 3, 20), (3, 9, 3, 20)]
    return pd.concat([frame, pd.DataFrame(other, columns=["user", "item", "rating", "time"])])


@pytest.fixture(scope="module")
def log() -> Interactions:
    return Interactions.from_pandas(_frame(), columns=Columns(time_unit="seconds"))


def _of(log: Interactions, user: int = 1) -> list[tuple[int, float, int]]:
    """The events of a user: item, rating, time."""
    own = log.user_num == log.users.numbers(np.array([user]))[0]
    return [
        (int(item), float(value), int(time))
        for item, value, time in zip(log.items.ids[log.item_num[own]], log.value[own], log.time[own], strict=True)
    ]


def _asked(cut: Split, part: Holdout, user: int = 1) -> tuple[list[tuple[int, float, int]], list[tuple[int, float]]]:
    """The visible history of a user's question, and the relevant items with their ratings."""
    row = part.user_ids.tolist().index(user)
    ids, queries = cut.train.items.ids, part.queries
    begin, end = queries.history.indptr[row : row + 2]
    past = ids[queries.history.items[begin:end]], queries.values[begin:end], queries.times[begin:end]
    assert part.values is not None
    answers = slice(*part.relevant.indptr[row : row + 2])
    told = zip(ids[part.relevant.items[answers]].tolist(), part.values[answers].tolist(), strict=True)
    return [(int(i), float(v), int(t)) for i, v, t in zip(*past, strict=True)], list(told)


PAST = [(1, 5.0, 10), (2, 4.0, 12), (3, 2.0, 13), (4, 3.0, 14), (5, 3.0, 15)]
LATER = [(1, 5.0, 10), (3, 2.0, 13), (4, 3.0, 14), (5, 3.0, 15), (6, 3.0, 30), (2, 1.0, 31)]


def test_the_log_has_the_last_of_each_and_keeps_what_it_superseded_apart(log: Interactions) -> None:
    kept = [(3, 2.0, 13), (4, 3.0, 14), (5, 3.0, 15), (6, 3.0, 30), (2, 1.0, 31), (1, 1.0, 41), (7, 5.0, 42)]
    assert _of(log) == kept
    assert log.superseded is not None
    assert _of(log.superseded) == [(1, 5.0, 10), (3, 1.0, 11), (2, 4.0, 12), (7, 3.0, 40)]
    assert _of(log.every) == [(item, float(rating), time) for item, rating, time in EVENTS]
    assert log.matrix().nnz == len(log)  # models see the log alone
    for policy in ("first", "keep"):
        assert Interactions.from_pandas(_frame(), columns=Columns(re_ratings=policy)).superseded is None


def test_global_time_and_windows_cut_before_the_last_rating_replaces_the_earlier(log: Interactions) -> None:
    (window,) = prequential_windows(log, 1, start=22 / 29)
    for cut in (split(log, "global_time", fractions=(0.76, 0.12, 0.12)), window):
        assert cut.test.queries.now[0] == 40
        assert _of(cut.train) == PAST
        history, relevant = _asked(cut, cut.valid)
        assert history == PAST
        assert [item for item, _ in relevant] == [-1 if 6 not in cut.train.items.ids else 6]
        history, relevant = _asked(cut, cut.test)
        assert history == LATER
        assert relevant == [(7, 5.0)]  # 1 was seen, and of the two ratings of 7 the last is told


def test_a_later_rating_changes_nothing_before_the_cut(log: Interactions) -> None:
    frame = _frame()
    cut = split(log, "global_time", fractions=(0.76, 0.12, 0.12))
    without = frame[~((frame.user == 1) & frame.time.isin([41]))]
    # In place of the repeat somebody else has an event at the same time, so that the cuts stay.
    extra = pd.DataFrame({"user": [2], "item": [9], "rating": [3], "time": [41]})
    same = split(Interactions.from_pandas(pd.concat([without, extra])), "global_time", fractions=(0.76, 0.12, 0.12))
    assert _of(same.train) == _of(cut.train)
    assert _asked(same, same.test)[0] == _asked(cut, cut.test)[0]


def test_the_last_events_are_first_uses(log: Interactions) -> None:
    cut = split(log, "last_one")
    assert _asked(cut, cut.test) == (LATER, [(7, 3.0)])  # what was said then
    assert _asked(cut, cut.valid) == (PAST, [(6, 3.0)])
    assert _of(cut.train) == PAST


def test_the_first_part_of_a_held_out_user_has_what_was_said_until_then(log: Interactions) -> None:
    found = 0
    for seed in range(12):
        cut = split(log, "held_out_users", history="first", seed=seed, fractions=(0.34, 0.33, 0.33))
        for part in (cut.valid, cut.test):
            if 1 in part.user_ids.tolist():
                found += 1
                history, relevant = _asked(cut, part)
                assert history == LATER  # six of seven items
                assert relevant == [(7, 3.0)]
        if 1 in cut.train.users.ids.tolist():
            assert _of(cut.train) == _of(log)
    assert found > 3


def test_splits_without_time_have_each_pair_once(log: Interactions) -> None:
    for cut in (split(log, "random"), split(log, "held_out_users", fractions=(0.34, 0.33, 0.33))):
        assert len(set(zip(cut.train.user_num.tolist(), cut.train.item_num.tolist(), strict=True))) == len(cut.train)
    parts = split(log, "random", seed=1)
    relevant = len(parts.valid.relevant.items) + len(parts.test.relevant.items)
    assert len(parts.train) + relevant == len(log)


def test_training_can_be_split_again_and_a_filter_keeps_what_was_superseded(log: Interactions) -> None:
    cut = split(log, "global_time", fractions=(0.76, 0.12, 0.12))
    assert cut.train.superseded is not None
    assert _of(cut.train.superseded) == [(3, 1.0, 11)]
    assert _of(split(cut.train, "last_one").train) == PAST[:3]
    few = log.select(log.item_num == log.items.numbers(np.array([2]))[0]).compact()
    assert few.superseded is not None
    assert _of(few.every) == [(2, 4.0, 12), (2, 1.0, 31)]
    assert few.fingerprint != few.every.fingerprint


def test_files_are_read_alike(log: Interactions, tmp_path: Path) -> None:
    _frame().to_csv(tmp_path / "log.csv", index=False)
    assert read_log(tmp_path / "log.csv").fingerprint == log.fingerprint
