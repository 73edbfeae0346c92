"""A column that says what was done is found, understood and checked, in files of every format and in DataFrames."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys.data.feedback import KINDS, kinds_of
from recsys.data.inspection import inspect
from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.data.spellings import SPELLINGS, codes_of
from recsys.errors import DataError

_ROWS: list[dict[str, object]] = [
    {"user": "a", "item": "x", "rating": None, "event_type": "pageview", "time": 1},
    {"user": "a", "item": "x", "rating": None, "event_type": "Purchase", "time": 2},
    {"user": "a", "item": "y", "rating": 4.5, "event_type": "rate", "time": 3},
    {"user": "b", "item": "x", "rating": 2.0, "event_type": None, "time": 4},
    {"user": "b", "item": "y", "rating": None, "event_type": "thumbs_down", "time": 5},
    {"user": "b", "item": "z", "rating": None, "event_type": None, "time": 6},
]
_KINDS = ["view", "buy", "rating", "rating", "dislike", "use"]


def _csv(path: Path) -> None:
    pd.DataFrame(_ROWS).to_csv(path, index=False)


def _tsv(path: Path) -> None:
    pd.DataFrame(_ROWS).to_csv(path, index=False, sep="\t")


def _jsonl(path: Path) -> None:
    rows = [{name: value for name, value in row.items() if value is not None} for row in _ROWS]
    path.write_text("\n".join(map(json.dumps, rows)))


def _json(path: Path) -> None:
    path.write_text(json.dumps(_ROWS))


def _parquet(path: Path) -> None:
    pd.DataFrame(_ROWS).to_parquet(path)


def _feather(path: Path) -> None:
    pd.DataFrame(_ROWS).to_feather(path)


def _kinds(log: Interactions) -> list[str]:
    return [KINDS[code] for code in kinds_of(log)]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("log.csv", _csv),
        ("log.tsv", _tsv),
        ("log.jsonl", _jsonl),
        ("log.json", _json),
        ("log.parquet", _parquet),
        ("log.feather", _feather),
    ],
)
def test_kinds_are_read_from_every_format(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    log = read_log(tmp_path / name)
    assert _kinds(log) == _KINDS
    assert np.isnan(log.value).tolist() == [kind != "rating" for kind in _KINDS]
    assert log.value[[2, 3]].tolist() == [4.5, 2.0]


def test_kinds_are_read_from_dataframes_and_columns() -> None:
    frame = pd.DataFrame(_ROWS)
    log = recsys.from_pandas(frame)
    assert _kinds(log) == _KINDS
    renamed = frame.rename(columns={"event_type": "did"})
    assert "buy" not in _kinds(recsys.from_pandas(renamed, rating="rating", columns=Columns(blank_values="keep")))
    assert (
        _kinds(recsys.from_pandas(renamed, kind="did")) == _kinds(recsys.from_pandas(renamed, feedback="did")) == _KINDS
    )
    given = {name: frame[name].tolist() for name in frame}
    columns = given["user"], given["item"], given["rating"], given["time"]
    assert _kinds(Interactions.from_columns(*columns, kinds=given["event_type"])) == _KINDS
    assert log.fingerprint == Interactions.from_columns(*columns, kinds=given["event_type"]).fingerprint


@pytest.mark.parametrize("header", ["kind", "Event", "event_type", "action", "behavior", "Behaviour-Type", "feedback"])
def test_a_column_of_kinds_is_found_by_its_name_and_its_entries(tmp_path: Path, header: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"user,item,{header}\na,x,view\na,y,buy\n")
    assert _kinds(read_log(path)) == ["view", "buy"]
    path.write_text(f"user,item,{header}\na,x,book\na,y,film\n")
    assert read_log(path).kinds is None
    path.write_text(f"user,item,{header}\na,x,5\na,y,4\n")
    assert read_log(path).kinds is None


def test_a_declared_column_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,kind\na,x,book\n")
    with pytest.raises(DataError, match="line 2: kind 'book' is none of use, rating"):
        read_log(path, Columns(kind="kind"))


def test_an_unknown_kind_names_file_line_value_and_cure_which_works(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,action\na,x,view\na,y,buy\na,z,purchsed\na,w,share\n")
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value).startswith(f"{path}, line 4: kind 'purchsed' is none of use, rating, view")
    assert "did you mean 'purchased'?" in str(error.value)
    assert str(error.value).endswith("declare what it means, as in columns kinds=purchsed:like")
    columns = Columns.from_mapping({"kinds": "purchsed:buy,share:like"})
    assert _kinds(read_log(path, columns)) == ["view", "buy", "buy", "like"]
    assert columns == Columns.from_mapping({"kinds": {"purchsed": "buy", "share": "like"}})
    assert columns == Columns.from_mapping({"kinds": [["purchsed", "buy"], ["share", "like"]]})
    kept = read_log(path, on_error="skip", rejects=tmp_path / "rejected.csv")
    assert _kinds(kept) == ["view", "buy"]


def test_own_words_are_checked() -> None:
    with pytest.raises(
        DataError, match=r"columns kinds=share:lik is unknown; it must be one of use.*did you mean 'like'"
    ):
        Columns.from_mapping({"kinds": "share:lik"})
    with pytest.raises(DataError, match="is no list of words and kinds; give such as kinds=share:like"):
        Columns.from_mapping({"kinds": "share"})


def test_every_spelling_means_one_kind() -> None:
    words = [word for words in SPELLINGS.values() for word in words]
    assert len(words) == len(set(words))
    for kind, spelled in SPELLINGS.items():
        for word in (kind, *spelled):
            assert [KINDS[code] for code in codes_of([word, word.upper(), word.replace(" ", "_")], {})] == [kind] * 3


def test_a_rating_needs_a_value(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating,kind\na,x,5,rating\na,y,,rating\na,z,,like\n")
    with pytest.raises(DataError, match="line 3: a rating without a value; fill it in"):
        read_log(path)
    assert _kinds(read_log(path, Columns(blank_values="keep"))) == ["rating", "use", "like"]


def test_values_of_other_kinds_are_no_ratings_and_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,value,kind\na,x,19.90,buy\na,y,4,use\na,z,3,view\n")
    with caplog.at_level(logging.WARNING, "recsys.data"):
        log = read_log(path)
    assert _kinds(log) == ["buy", "rating", "view"]
    assert log.value.tolist()[1] == 4
    assert np.isnan(log.value[[0, 2]]).all()
    assert "2 values beside kinds other than rating are no ratings and are not read" in caplog.text


def test_uses_and_ratings_alone_are_a_log_without_kinds(tmp_path: Path) -> None:
    path, plain = tmp_path / "log.csv", tmp_path / "plain.csv"
    path.write_text("user,item,rating,kind\na,x,5,rating\na,y,,use\nb,x,3,\n")
    plain.write_text("user,item,rating\na,x,5\na,y,\nb,x,3\n")
    log = read_log(path)
    assert log.kinds is None
    assert log.fingerprint == read_log(plain, Columns(blank_values="keep")).fingerprint


def test_different_kinds_do_not_repeat_each_other(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,kind,time\na,x,view,1\na,x,buy,1\na,x,view,2\na,x,buy,1\na,x,like,3\n")
    log = read_log(path)
    assert list(zip(_kinds(log), log.time.tolist(), strict=True)) == [("buy", 1), ("view", 2), ("like", 3)]
    summary = inspect(read_log(path, Columns(duplicates="keep", re_ratings="keep")))
    assert (summary.exact_duplicates, summary.re_ratings, summary.training_events) == (1, 1, 3)


def test_a_log_of_dislikes_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,kind\na,x,dislike\na,y,skip\n")
    with pytest.raises(DataError, match=r"log\.csv: none of its 2 events is an interaction, all are dislikes or skips"):
        read_log(path)


def test_an_inspection_counts_kinds_and_tells_how_events_are_read(tmp_path: Path) -> None:
    _csv(tmp_path / "log.csv")
    summary = inspect(read_log(tmp_path / "log.csv"))
    assert summary.kinds == {"use": 1, "rating": 2, "view": 1, "dislike": 1, "buy": 1}
    assert summary.reading == (
        "a rating against its user's mean and spread, of few ratings near 3.25 and 1.25; "
        "a use as 0.5, a view as 0.3, a dislike as -1, a buy as 1"
    )
    uses = inspect(Interactions.from_columns([1, 1], [1, 2]))
    assert (uses.kinds, uses.reading) == ({"use": 2}, "all events alike")
    rated = inspect(Interactions.from_columns([1, 1], [1, 2], [3, 5]))
    assert rated.kinds == {"rating": 2}
    assert rated.reading.startswith("a rating against its user's mean and spread")
