"""Files of choices: what they hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from recsys.data.pairs import read_pair_log
from recsys.errors import DataError

CHOICES = pd.DataFrame({"user": ["ann", "bob", "ann"], "chosen": ["x", "y", "z"], "rejected": ["y", "x", "x"]})


def _write(folder: Path, frame: pd.DataFrame, suffix: str) -> Path:
    path = folder / f"choices{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("kind", [".npy", ".safetensors"])
def test_all_formats_hold_the_same(tmp_path: Path, suffix: str, kind: str) -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    stored = tmp_path / f"vectors{kind}"
    np.save(stored, vectors) if kind == ".npy" else save_file({"embeddings": vectors}, stored)
    items = tmp_path / "items.csv"
    items.write_text("item,text\nz,last\nx,first\ny,middle\n")
    log = read_pair_log(_write(tmp_path, CHOICES, suffix), stored, items)
    assert log.users.ids.tolist() == ["ann", "bob"]
    assert log.items.ids.tolist() == ["z", "x", "y"]
    assert log.texts == ("last", "first", "middle")
    assert log.items.ids[log.pairs.winner].tolist() == ["x", "y", "z"]
    assert log.items.ids[log.pairs.loser].tolist() == ["y", "x", "x"]
    assert log.users.ids[log.pairs.user].tolist() == ["ann", "bob", "ann"]
    assert log.vectors is not None
    np.testing.assert_array_equal(log.vectors, vectors)


def test_without_a_table_of_items_ids_are_rows_of_the_vectors_or_those_that_occur(tmp_path: Path) -> None:
    numbered = pd.DataFrame({"user": [7, 7], "chosen": [2, 0], "rejected": [0, 1]})
    np.save(tmp_path / "v.npy", np.eye(4))
    log = read_pair_log(_write(tmp_path, numbered, ".jsonl"), tmp_path / "v.npy")
    assert (len(log.items), log.pairs.winner.tolist()) == (4, [2, 0])
    plain = read_pair_log(_write(tmp_path, CHOICES, ".csv"))
    assert (plain.items.ids.tolist(), plain.vectors) == (["x", "y", "z"], None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": "picked"}, "no column 'chosen'"),
        ({1: ("user", "")}, "row 2: user is blank"),
        ({2: ("rejected", "z")}, "row 3: 'z' is preferred to itself"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[object, object], message: str) -> None:
    frame = CHOICES.copy()
    for key, value in change.items():
        if isinstance(value, tuple):
            frame.loc[key, value[0]] = value[1]
        else:
            frame = frame.rename(columns={key: value})
    with pytest.raises(DataError, match=message):
        read_pair_log(_write(tmp_path, frame, ".csv"))


def test_an_item_that_occurs_twice_but_for_blanks_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item\nx\nx \ny\nz\n")
    with pytest.raises(DataError, match="row 2: item 'x ' occurs twice"):
        read_pair_log(_write(tmp_path, CHOICES, ".csv"), items=tmp_path / "items.csv")


def test_rows_that_are_longer_than_the_header_are_refused(tmp_path: Path) -> None:
    """They were read one column to the left: `one` as user of "one,x,y"."""
    (tmp_path / "log.csv").write_text("user,chosen,rejected\nada,one,x,y\nbob,two,y,x\n")
    with pytest.raises(DataError, match="more fields than the first line has names"):
        read_pair_log(tmp_path / "log.csv")


def test_bad_vectors_are_named(tmp_path: Path) -> None:
    path = _write(tmp_path, CHOICES, ".csv")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        read_pair_log(path, tmp_path / "flat.npy")
    np.save(tmp_path / "nan.npy", np.array([[0.0], [np.nan], [1.0]]))
    (tmp_path / "items.csv").write_text("item\nx\ny\nz\n")
    with pytest.raises(DataError, match="row 1 of the vectors"):
        read_pair_log(path, tmp_path / "nan.npy", tmp_path / "items.csv")
    np.save(tmp_path / "two.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"shape \(2, 3\) for 3 items"):
        read_pair_log(path, tmp_path / "two.npy", tmp_path / "items.csv")
    (tmp_path / "short.csv").write_text("item\nx\ny\n")
    with pytest.raises(DataError, match="chosen 'z' is not among the 2 items"):
        read_pair_log(path, tmp_path / "two.npy", tmp_path / "short.csv")
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"broken.npy: cannot be read"):
        read_pair_log(path, tmp_path / "broken.npy")
    with pytest.raises(DataError, match=r"not '\.txt'"):
        read_pair_log(tmp_path / "choices.txt")
