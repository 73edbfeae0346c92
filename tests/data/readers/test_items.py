"""Titles and genres come from any file of items."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.data.catalogue.datasets import load
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.errors import DataError
from recsys.experiments.run_log import DataSettings

TITLES, GENRES = ("Ten", "20"), (("Drama", "War"), ())


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text("user,item\n1,10\n1,20\n2,10\n")
    return tmp_path / "log.csv"


ITEMS = {
    "items.csv": b"\xef\xbb\xbfid,Name,genre\n 10 ,Ten,Drama|War\n99,Other,Comedy\n20,,\n",
    "books.tsv.gz": gzip.compress(b"isbn\tBook-Title\tcategories\n10\tTen\tDrama, War\n99\tOther\t\n"),
    "items.jsonl": b'{"item_id": 10, "title": "Ten", "genres": ["Drama", "War"]}\n{"item_id": 99, "title": "Other"}\n',
    "items.json": json.dumps([{"id": "10", "title": "Ten", "genres": "Drama|War"}, {"id": 99, "title": "x"}]).encode(),
    "movies.dat": b"10::Ten::Drama|War\n99::Other::Comedy\n",
    "movies.csv": b'movieId,title,genres\n10,Ten,Drama|War\n99,"Other, The",(no genres listed)\n',
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_of_every_format(name: str, log_file: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ITEMS[name])
    metadata = load(log_file, items=tmp_path / name).metadata
    assert (metadata.titles, metadata.genres) == (TITLES, GENRES)
    assert DataSettings(str(log_file), items=str(tmp_path / name)).load().metadata == metadata


def test_items_of_parquet_with_lists(log_file: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [10.0, 99.0], "title": ["Ten", "Other"], "genres": [["Drama", "War"], None]})
    frame.to_parquet(tmp_path / "items.parquet")
    metadata = load(log_file, items=tmp_path / "items.parquet").metadata
    assert (metadata.titles, metadata.genres) == (TITLES, GENRES)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("id,name\n77,Other\n", "describes no item of the log, whose ids are such as 10, 20; its own are 77"),
        ("id,price\n10,3\n", "no column for the title or the genres among 'id', 'price'; name one"),
        ("key,title\n10,Ten\n", "no column for the item among 'key', 'title'; name one 'item' or 'id'"),
        ("id,title\n10,Ten\n,Nobody\n", "line 3: blank item id"),
    ],
)
def test_unusable_items(content: str, fault: str, log_file: Path, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(content)
    with pytest.raises(DataError, match=rf"items\.csv.*{fault}"):
        load(log_file, items=tmp_path / "items.csv")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_titles_and_genres_of_the_log_itself(suffix: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user": 1, "item": 10, "name": "Ten", "kinds": "Drama|War"},
        {"user": 2, "item": 20, "name": "", "kinds": ""},
    ]
    frame, path = pd.DataFrame(rows), tmp_path / f"log{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        path.write_text(frame.to_json(orient="records", lines=True))
    else:
        frame.to_parquet(path)
    metadata = read_log(path, Columns.from_mapping({"title": "name", "genres": "kinds"})).metadata
    assert (metadata.titles, metadata.genres) == (TITLES, GENRES)
