"""Whatever a reader does to a log beyond reading it, it tells in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.paper import paper_split


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings so far."""
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return found


BLANKS = "user,item\n u1,5\nu1, 5\nu1 , 6\nu2\u00a0,\t7\nU1,7\n"


def test_blanks_around_ids_are_removed_before_ids_are_compared_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.csv").write_text(BLANKS, encoding="utf-8")
    log = read_log(tmp_path / "log.csv", Columns(duplicates="keep", re_ratings="keep"))
    assert (log.users.ids.tolist(), log.items.ids.tolist(), len(log)) == (["U1", "u1", "u2"], [5, 6, 7], 5)
    expected = "blanks around 3 user ids (such as ' u1') and 3 item ids (such as ' 5') are removed"
    assert told(caplog) == [f"{tmp_path / 'log.csv'}: {expected}"]
    frame = pd.DataFrame({"user": [5, " 5", "5\u00a0", 6], "item": [1, 2, 3, 1]})
    assert Interactions.from_pandas(frame).users.ids.tolist() == [5, 6]
    assert told(caplog) == ["DataFrame: blanks around 2 user ids (such as ' 5') are removed"]


def test_blank_ids_beside_trimmed_ones_name_their_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(BLANKS + " \t,7\n", encoding="utf-8")
    log = read_log(tmp_path / "log.csv", on_error="skip", rejects=tmp_path / "bad.csv")
    assert len(log) == 4
    assert (tmp_path / "bad.csv").read_text().splitlines()[1].startswith("7,blank user id")


BOOK_CROSSING = (
    '"User-ID";"ISBN";"Book-Rating"\r\n'
    '"276725";"034545104X";"0"\r\n'
    '"276726";" 0155061224";"5"\r\n'
    '"276726";"\\"0446520802";"3"\r\n'
    '"276727";"0155061224 ";"10"\r\n'
    '"276727";"caf\u00e9 3";"8"\r\n'
)


def test_book_crossing_is_read_with_its_ratings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "BX-Book-Ratings.csv"
    path.write_text(BOOK_CROSSING, encoding="latin-1")
    log = read_log(path, Columns(encoding="latin-1", value_range=(0, 10)))
    assert log.users.ids.tolist() == [276725, 276726, 276727]
    assert log.items.ids.tolist() == ['"0446520802', "0155061224", "034545104X", "caf\u00e9 3"]
    assert sorted(log.value.tolist()) == [0, 3, 5, 8, 10]
    assert len(told(caplog)) == 1


@pytest.mark.parametrize("name", ["Book-Rating", "movie_rating", "Star Rating", "review_score", "overall"])
def test_usual_names_of_ratings_are_recognised(name: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"user,item,{name}\n1,1,4\n")
    assert read_log(tmp_path / "log.csv").value.tolist() == [4]


@pytest.mark.parametrize(
    ("name", "values", "suspected"),
    [
        ("my_rating", [500, 500, 500], True),  # by its name
        ("opinion", [0, 1, 2, 3, 4, 5, 5, 4], True),  # by its few small numbers
        ("opinion", ["good", "bad"], False),
        ("price", [12.5, 19, 7, 30, 25, 99, 4, 18], False),
        ("clicked", [0, 1, 0, 1, 0, 1], False),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet", ""])
def test_column_that_looks_like_the_rating_and_is_not_used_is_told(
    name: str, values: list[object], suspected: bool, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame({"user": range(100, 100 + len(values)), "item": 77, name: values})
    where, log = _read(frame, suffix, tmp_path)
    assert set(log.value.tolist()) == {1}
    lines = told(caplog)
    assert len(lines) == suspected
    if suspected:
        assert lines[0].startswith(
            f"{where}: every value is 1, as no column is taken for the rating; if it is '{name}'"
        )
        assert lines[0].endswith(f"declare columns rating={name}")


def test_many_repeats_are_told_with_the_cure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"{user},{item % 3},{item % 2}" for user in range(40) for item in range(300)]
    (tmp_path / "log.csv").write_text("user,item,rating\n" + "\n".join(rows))
    assert len(read_log(tmp_path / "log.csv")) == 120
    (line,) = told(caplog)
    assert "12,000 rows became 120 events: 11,760 exact duplicates and 120 other repeats dropped" in line
    assert line.endswith("to keep them, declare columns duplicates=keep re_ratings=keep")
    (tmp_path / "log.csv").write_text("user,item,rating\n1,1,1\n1,1,1\n" + "".join(f"{n},1,1\n" for n in range(2, 40)))
    assert len(read_log(tmp_path / "log.csv")) == 39
    assert told(caplog) == []


def test_filters_that_leave_out_much_are_told(caplog: pytest.LogCaptureFixture) -> None:
    users = [1] * 6 + [2] * 6 + list(range(3, 10))
    log = Interactions.from_columns(users, [0, 1, 2, 3, 4, 5] * 2 + [0] * 7, values=[5] * 12 + [1] * 7, name="mine")
    minimum_events(log, users=2)
    assert told(caplog) == ["mine: 12 of 19 events are left with at least 2 per user and 1 per item"]
    minimum_events(log)
    assert told(caplog) == []
    paper_split(log, threshold=3, negatives=1)
    assert "mine: 12 of 19 events are left with a rating of at least 3" in told(caplog)


@pytest.mark.parametrize(
    ("name", "values", "suspected"),
    [
        ("bought", ["2020-01-31", "2020-02-01"], True),
        ("bought", ["2020-01-31T10:00:00Z", "2020-02-01 11:00"], True),
        ("bought_at", [1580428800, 1580515200], True),
        ("code", [1580428800, 1580515200], False),
        ("days", [3, 4], False),
        ("bought", ["2020-01-31", "soon"], False),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet", ""])
def test_column_that_looks_like_the_time_and_is_not_used_is_told(
    name: str, values: list[object], suspected: bool, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "rating": [7.5, 3.25], name: values})
    where, log = _read(frame, suffix, tmp_path)
    assert log.clock == "none"
    value = str(values[0])
    expected = (
        f"{where}: the log has no times, as no column is taken for the time; if it is '{name}', which holds {value}"
    )
    assert told(caplog) == ([f"{expected}, declare columns time={name}"] if suspected else [])


def test_a_column_of_datetimes_that_is_not_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "bought": pd.to_datetime(["2020-01-31", "2020-02-01"])})
    for suffix in (".parquet", ""):
        _read(frame, suffix, tmp_path)
        (line,) = told(caplog)
        assert "which holds 2020-01-31 00:00:00, declare columns time=bought" in line
    Interactions.from_pandas(frame, time="bought")
    assert told(caplog) == []


def _read(frame: pd.DataFrame, suffix: str, folder: Path) -> tuple[str, Interactions]:
    """Return how messages call a log that is given as a file of some format, or as a DataFrame, and the log."""
    path = folder / f"log{suffix}"
    if suffix == "":
        return "DataFrame", Interactions.from_pandas(frame)
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_json(orient="records", lines=suffix == ".jsonl"))
    return str(path), read_log(path)
