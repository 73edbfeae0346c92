"""A log in parts is the log: the same events, vocabularies, cuts and questions as when it is read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.partitions.log import MANIFEST, PartitionedLog
from recsys.data.partitions.splitting import EachPart, PartitionedSplit, time_cuts
from recsys.data.partitions.writing import part_numbers, write_partitions
from recsys.data.splits import assembly
from recsys.data.splits.names import Ask
from recsys.data.splits.standard import split
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError


def _file(folder: Path, *, ids: str = "mixed", kinds: bool = False, times: int = 500) -> Path:
    """Write a log with repeated events, and with users of whom some have a number for an id, or all."""
    rng, n = np.random.default_rng(3), 4000
    users = rng.integers(80, size=n)
    frame = pd.DataFrame(
        {
            "user": [str(user) if ids == "integers" or user % 2 else f"u{user}" for user in users],
            "item": rng.integers(30, size=n),
            "timestamp": 1_500_000_000 + 3600 * rng.integers(times, size=n),
        }
    )
    if kinds:
        frame["kind"] = rng.choice(["view", "buy", "dislike", "skip"], n)
    else:
        frame["rating"] = rng.integers(1, 6, size=n)
    path = folder / f"{ids}-{kinds}.csv"
    frame.to_csv(path, index=False)
    return path


def _each(parts: int) -> EachPart:
    return lambda function: map(function, range(parts))


def _equal(one: Interactions, other: Interactions) -> bool:
    same = one.users == other.users and one.items == other.items and one.metadata == other.metadata
    return same and one.clock == other.clock and one.fingerprint == other.fingerprint


@pytest.mark.parametrize("kinds", [False, True])
@pytest.mark.parametrize("ids", ["integers", "mixed"])
def test_all_parts_together_are_the_log(tmp_path: Path, ids: str, kinds: bool) -> None:
    file = _file(tmp_path, ids=ids, kinds=kinds)
    parts = write_partitions(str(file), tmp_path / "parts", 5)
    whole = datasets.load(str(file))
    assert whole.superseded is not None
    assert _equal(parts.whole(), whole)
    assert _equal(datasets.load(str(tmp_path / "parts")), whole)
    assert (parts.events, parts.users) == (len(whole.every), whole.n_users)


def test_a_log_in_memory_has_the_same_parts_as_its_file(tmp_path: Path) -> None:
    """A simulated log has no file: it is made in memory."""
    parts = write_partitions("simulated-drift", tmp_path / "parts", 3)
    assert _equal(parts.whole(), datasets.load("simulated-drift"))


def test_a_user_is_in_one_part_by_a_hash_of_the_id_as_text(tmp_path: Path) -> None:
    log = write_partitions(str(_file(tmp_path, ids="integers")), tmp_path / "parts", 4)
    for number in range(4):
        part = log.part(number)
        assert set(part_numbers(part.users.ids, 4)) == {number}
        assert part.items == log.items
    np.testing.assert_array_equal(part_numbers(np.array([7, 12]), 64), part_numbers(np.array(["7", "12"]), 64))


def test_more_parts_than_users_leave_empty_parts(tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("user,item,timestamp\n1,5,1500000000\n2,6,1500003600\n", encoding="utf-8")
    log = write_partitions(str(file), tmp_path / "parts", 16)
    sizes = [len(log.part(number)) for number in range(16)]
    assert sum(sizes) == 2
    assert sizes.count(0) >= 14
    assert _equal(log.whole(), datasets.load(str(file)))


def test_only_what_is_earlier_is_read_without_ratings(tmp_path: Path) -> None:
    log = write_partitions(str(_file(tmp_path)), tmp_path / "parts", 2)
    cut = int(np.median(log.times(0)))
    early = log.part(0, cut, values=False)
    assert 0 < len(early) == int((log.times(0) < cut).sum())
    assert set(early.value) == {1.0}


@pytest.mark.parametrize("times", [12, 500, 100_000])
@pytest.mark.parametrize("second", [0.81, 0.9])
def test_the_cuts_are_those_of_the_whole_log(tmp_path: Path, times: int, second: float) -> None:
    """Of twelve times the eighth and the ninth tenth are different, 80 and 81% the same one: the cut moves on."""
    file = _file(tmp_path, times=times)
    log = write_partitions(str(file), tmp_path / "parts", 3)
    wanted = assembly.time_cuts(datasets.load(str(file)).every, [0.8, second])
    assert time_cuts(log, [0.8, second], _each(3)) == wanted


@pytest.mark.parametrize("ask", [None, "session"])
def test_the_split_of_all_parts_is_that_of_the_whole_log(tmp_path: Path, ask: Ask | None) -> None:
    file = _file(tmp_path, kinds=True)
    log = write_partitions(str(file), tmp_path / "parts", 3)
    whole = split(datasets.load(str(file)), "global_time", ask=ask)
    cut, facts = PartitionedSplit.of(log, _each(3), ask=ask)
    assert Vocabulary(facts.users) == whole.train.users
    assert log.items.take(cut.items) == whole.train.items
    uses = np.bincount(whole.train.uses.item_num, minlength=whole.train.n_items)
    np.testing.assert_array_equal(facts.uses[cut.items], uses)
    parts = [cut.split(number) for number in range(3)]
    for name in ("valid", "test"):
        questions = [getattr(part, name) for part in parts]
        expected = getattr(whole, name)
        place = {user: row for row, user in enumerate(expected.user_ids)}
        assert sum(map(len, questions)) == len(expected)
        for one in questions:
            rows = np.array([place[user] for user in one.user_ids], np.int64)
            again = expected.take(rows)
            np.testing.assert_array_equal(one.relevant.items, again.relevant.items)
            np.testing.assert_array_equal(one.queries.history.items, again.queries.history.items)
            np.testing.assert_array_equal(one.queries.now, again.queries.now)
    together = sum(part.train.matrix().sum(0) for part in parts)
    np.testing.assert_array_equal(np.asarray(together), np.asarray(whole.train.matrix().sum(0)))
    np.testing.assert_array_equal(cut.train(1).item_num, parts[1].train.item_num)


def test_a_bad_row_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("user,item,rating,timestamp\n1,5,4,1500000000\n2,6,four,1500003600\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.csv, line 3: .*'four'"):
        write_partitions(str(file), tmp_path / "parts", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_folder_without_a_log_and_one_of_a_later_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"holds no partitioned log \(partitions\.json is missing\).*recsys data partition"
    ):
        PartitionedLog.open(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format": 9}', encoding="utf-8")
    with pytest.raises(DataError, match="format 9 is unknown"):
        PartitionedLog.open(tmp_path)
    with pytest.raises(DataError, match="is there already"):
        write_partitions("simulated-drift", tmp_path)
    with pytest.raises(ConfigError, match="parts is 0"):
        write_partitions("simulated-drift", tmp_path / "new", 0)


def test_times_that_cannot_be_compared_are_no_split(tmp_path: Path) -> None:
    file = tmp_path / "timeless.csv"
    file.write_text("user,item\n1,5\n2,6\n", encoding="utf-8")
    log = write_partitions(str(file), tmp_path / "parts", 2)
    with pytest.raises(DataError, match="no times that can be compared"):
        PartitionedSplit.of(log, _each(2))
