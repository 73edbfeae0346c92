"""How split people are over pairs of items: counted, found in a list, kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.pairs import Splits
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError


def _log(rows: list[tuple[int, str, float]]) -> Interactions:
    users, items, values = zip(*rows, strict=True)
    return Interactions.from_columns(users, items, values, range(len(rows)), clock="order")


def test_each_person_has_one_voice_about_a_pair() -> None:
    rows = [(user, item, value) for user in range(6) for item, value in (("a", 5.0), ("b", 1.0))]
    rows += [(6, "a", 1.0), (6, "b", 5.0)]
    rows += [(7, "a", 3.0), (7, "b", 3.0)]  # no preference
    rows += [(8, "a", 5.0), (8, "b", 1.0), (8, "c", 2.0), (8, "a", 5.0)]  # the same one, twice
    rows += [(9, "a", 5.0), (9, "b", 3.0), (9, "a", 1.0)]  # both ways
    splits = Splits.of(_log(rows), raters=2)
    assert splits.key.tolist() == [0 * 3 + 1]
    assert (splits.first.tolist(), splits.raters.tolist()) == ([7], [8])


def test_counts_are_those_of_every_pair_of_ratings() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (user, f"i{item}", float(rng.integers(1, 6))) for user in range(40) for item in rng.permutation(9)[:6].tolist()
    ]
    log = _log(rows)
    wins: Counter[tuple[str, str]] = Counter()
    for user in range(40):
        own = {item: value for one, item, value in rows if one == user}
        wins.update((a, b) for a in own for b in own if own[a] > own[b])
    splits = Splits.of(log, raters=3)
    names = log.items.ids.tolist()
    found = {
        (names[key // 9], names[key % 9]): (first, raters)
        for key, first, raters in zip(splits.key.tolist(), splits.first.tolist(), splits.raters.tolist(), strict=True)
    }
    every = {(a, b): (wins[a, b], wins[a, b] + wins[b, a]) for a in names for b in names if a < b}
    assert found == {pair: counts for pair, counts in every.items() if counts[1] >= 3}
    assert len(found) > 20


def test_of_a_list_the_most_even_pair_is_told_and_items_of_another_log_are_left_out() -> None:
    rows = []
    for user in range(10):
        rows += [(user, "a", 5.0 if user < 5 else 1.0), (user, "b", 3.0), (user, "c", 2.0 if user else 4.0)]
    splits = Splits.of(_log(rows), Vocabulary(["b", "a", "zz"]), raters=5)  # numbers of another catalogue
    told = splits.nearest(np.asarray([1, 2, 0], np.int32))
    assert told[1] is None
    assert [(one.other, one.preferred, one.raters) for one in (told[0], told[2]) if one] == [(0, 5, 10), (1, 5, 10)]
    assert Splits.of(_log(rows), raters=11).nearest(np.asarray([0, 1], np.int32)) == [None, None]
    every = Splits.of(_log(rows), raters=5)
    nearest = every.nearest(np.asarray([2, 0, 1], np.int32))
    assert [one and (one.other, one.preferred, one.raters) for one in nearest] == [(0, 5, 10), (2, 5, 10), (0, 5, 10)]


def test_what_is_kept_reads_back_and_damage_and_other_items_are_named(tmp_path: Path) -> None:
    log = _log([(user, item, value) for user in range(4) for item, value in (("a", 5.0), ("b", float(user)))])
    splits, path = Splits.of(log, raters=2), tmp_path / "splits.npz"
    splits.save(path, log.items)
    again = Splits.load(path, log.items)
    for name in ("key", "first", "raters"):
        assert getattr(again, name).tolist() == getattr(splits, name).tolist()
    assert [one.name for one in tmp_path.iterdir()] == ["splits.npz"]
    with pytest.raises(DataError, match=r"splits.npz is of other items.*disagree --run .* --keep"):
        Splits.load(path, Vocabulary(["a", "c"]))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"splits.npz holds no splits .*--keep"):
        Splits.load(path, log.items)
