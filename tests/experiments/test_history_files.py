"""A history file is read by the rules for logs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from recsys.experiments.history_files import read_history

ITEMS = Vocabulary([10, 20, 30])
MARK = b"\xef\xbb\xbf"

HISTORIES = {
    "lines.txt": b"10\n20\nzz\n",
    "marked.txt": MARK + b"10\r\n 20\t\r\n\r\nzz\r\n",
    "quoted.txt": b'"10"\n"20"\n"zz"\n',
    "returns.txt": b"10\r20\rzz\r",
    "table.csv": b"itemId\n10\n20\nzz\n",
    "marked.csv": MARK + b"movie_id;title\n10;a\n20 ;b\nzz;c\n",
    "packed.csv.gz": gzip.compress(b"item\n10\n20\nzz\n"),
    "ids.json": b'[10, 20.0, "zz"]',
    "marked.json": MARK + b'\n["10", "20", "zz"]',
    "objects.json": b'[{"item": 10}, {"item": "20"}, {"item": "zz"}]',
    "objects.jsonl": b'{"item": 10}\n{"item": "20"}\n{"item": "zz"}\n',
}


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("ids", [ITEMS, Vocabulary(["10", "20", "30"]), Vocabulary(["10.0", "20.0", "30.0"])], ids=repr)
def test_histories_of_every_format(name: str, ids: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(HISTORIES[name])
    history = read_history(tmp_path / name, ids)
    assert (history.items.tolist(), history.times, history.unknown_items) == ([0, 1, -1], None, ("zz",))


def test_history_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"asin": [10, 20, 99], "date": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])})
    frame.to_parquet(tmp_path / "history.parquet")
    history = read_history(tmp_path / "history.parquet", ITEMS)
    assert (history.items.tolist(), history.unknown_items, history.clock) == ([0, 1, -1], ("99",), "seconds")


@pytest.mark.parametrize("times", [[1_600_000_000, 1_600_000_050], ["2020-09-13 12:26:40 UTC", "2020-09-13T12:27:30Z"]])
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_times_are_those_of_a_log(times: list[object], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"history.{suffix}"
    frame = pd.DataFrame({"item": [10, 20], "time": times})
    path.write_text(frame.to_csv(index=False) if suffix == "csv" else json.dumps(frame.to_dict("records")))
    history = read_history(path, ITEMS)
    assert history.times is not None
    assert (history.times.tolist(), history.clock) == ([1_600_000_000, 1_600_000_050], "seconds")


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("empty.txt", b"", "line 1: the file is empty"),
        ("header.csv", b"item\n", "only a header; give the ids of the items"),
        ("others.csv", b"key,when\n1,2\n", "line 1: no column for the item among 'key', 'when'"),
        ("unknown.txt", b"x\ny\n", "none of its 2 items is known to the model, the first is 'x'"),
        ("short.csv", b"item,time\n10,5\n20\n", "line 3: malformed row: '20' has 1 fields where 2 are expected"),
        ("blank.json", b'[{"item": 10}, {"item": null}]', "entry 2: blank item id"),
        ("some.json", b'[{"item": 10, "time": 5}, {"item": 20}]', "entry 2: time '' cannot be read"),
        (
            "mixed.csv",
            b"item,time\n10,1600000000\n20,1600000000000\n",
            "line 3: time '1600000000000' is in milliseconds",
        ),
        ("latin.txt", b"10\ncaf\xe9\n", "line 2: undecodable text"),
    ],
)
def test_bad_histories_name_file_line_value_and_cure(name: str, content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{fault}"):
        read_history(tmp_path / name, ITEMS)


def test_folder_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file is a log"):
        read_history(tmp_path, ITEMS)
    with pytest.raises(DataError, match="does not exist"):
        read_history(tmp_path / "none", ITEMS)
