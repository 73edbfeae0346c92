"""Ids, times and repeats follow the declared rules; titles and genres are found."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recsys
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.readers import sources
from recsys.data.readers.columns import Columns, Duplicates, ReRatings, TimeUnit
from recsys.data.readers.log import read_log, read_log_with_report
from recsys.data.readers.times import parse_times
from recsys.errors import ConfigError, DataError, RecsysError


@given(
    rows=st.lists(st.tuples(st.text('ab1 ,"é', min_size=1).filter(str.strip), st.integers(0, 99)), min_size=1),
    block=st.integers(1, 40),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quoted_text_ids_survive_any_division_into_blocks(
    rows: list[tuple[str, int]], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame(rows, columns=["user", "item"]).to_csv(tmp_path / "log.csv", index=False)
    blocks = sources.line_blocks
    with monkeypatch.context() as patch:
        patch.setattr("recsys.data.readers.parsing.line_blocks", lambda source: blocks(source, block))
        log = read_log(tmp_path / "log.csv", Columns(duplicates="keep", re_ratings="keep"))
    read = sorted(zip(log.users.ids[log.user_num].astype(str), log.items.ids[log.item_num].tolist(), strict=True))
    assert read == sorted((user.strip(), item) for user, item in rows)


@pytest.mark.parametrize(
    ("ids", "integer"),
    [
        (["1", "20", "0", "-3"], True),
        (["1", "0054890"], False),
        (["1", "x"], False),
        (["1", "1.0"], False),
        (["1", "99999999999999999999"], False),
        (["1", "-0"], False),
    ],
)
def test_ids_are_integers_only_if_written_as_integers(ids: list[str], integer: bool, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\n" + "".join(f"u,{identifier}\n" for identifier in ids))
    log = read_log(tmp_path / "log.csv")
    assert log.items.is_integer is integer
    assert {str(identifier) for identifier in log.items.ids} == set(ids)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("1000000000", "seconds"),
        ("1000000000.7", "seconds"),
        ("1000000000000", "milliseconds"),
        ("2001-09-09T01:46:40Z", "ISO-8601"),
        ("2001-09-09 01:46:40", "ISO-8601"),
        ("2001-09-09T03:46:40+02:00", "ISO-8601"),
    ],
)
def test_times_in_every_unit(written: str, unit: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"user,item,time\n1,1,{written}\n")
    log, report = read_log_with_report(tmp_path / "log.csv")
    assert log.time.tolist() == [1_000_000_000]
    assert report.time_unit == unit


@given(moment=st.datetimes(datetime(1974, 1, 1), datetime(2100, 1, 1)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_iso_and_milliseconds_agree_with_the_standard_library(moment: datetime, tmp_path: Path) -> None:
    seconds = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())
    (tmp_path / "iso.csv").write_text(f"user,item,time\n1,1,{moment.isoformat()}\n")
    (tmp_path / "ms.csv").write_text(f"user,item,time\n1,1,{seconds * 1000}\n")
    assert read_log(tmp_path / "iso.csv").time.tolist() == [seconds]
    assert read_log(tmp_path / "ms.csv").time.tolist() == [seconds]


@pytest.mark.parametrize(
    "text",
    [
        *("2020-01-31", "2020-01-31 18:20", "2020-01-31T18:20:00Z", "2020-01-31T18:20:00+02:00", "1969-12-31T23:59:59"),
        *(
            "2020-1-5",
            "2020",
            "20200131",
            "2020-02-30",
            "9999-12-31",
            "2020-12-31T23:59:60",
            "964982703",
            "-2020-01-01",
        ),
    ],
)
@pytest.mark.parametrize("unit", ["auto", "iso"])
def test_fast_path_for_plain_iso_times_changes_no_answer(text: str, unit: TimeUnit) -> None:
    plain, mixed = (parse_times(pa.array(texts), unit) for texts in ([text], [text, "2020-01-01T00:00:00.5Z"]))
    assert (plain.seconds[0], plain.unit[0]) == (mixed.seconds[0], mixed.unit[0])


@pytest.mark.parametrize(("name", "clock"), [("order", "order"), ("Period", "period"), ("note", "none")])
def test_clock_follows_the_columns(name: str, clock: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"User_ID,ASIN,stars,{name}\na,x,1,3\na,y,2,2\n")
    log = read_log(tmp_path / "log.csv")
    assert log.clock == clock
    assert log.time.tolist() == ([0, 0] if clock == "none" else [2, 3])


def test_declared_columns_have_precedence(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("who|user|what|mark|timestamp|step\na|u|x|3|77|1\n")
    columns = Columns(user="who", item="what", value="mark", order="step")
    log, report = read_log_with_report(tmp_path / "log.txt", columns)
    assert log.users.ids.tolist() == ["a"]
    assert (log.value.tolist(), log.time.tolist(), log.clock) == ([3.0], [1], "order")
    assert report.columns == {"user": "who", "item": "what", "value": "mark", "order": "step"}


def test_headerless_file_by_its_names_and_declared_encoding(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("é,1,4\n".encode("latin-1"))
    log = read_log(tmp_path / "log.csv", Columns(names=("user", "item", "rating"), encoding="latin-1"))
    assert log.users.ids.tolist() == ["é"]
    assert log.value.tolist() == [4.0]


def test_declared_blank_ratings_are_kept_as_nan(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,rating\n1,1,\n1,2,5\n")
    log = read_log(tmp_path / "log.csv", Columns(blank_values="keep", value_range=(1, 5)))
    np.testing.assert_array_equal(log.value, np.array([np.nan, 5], np.float32))


REPEATS = "user,item,rating,timestamp\n1,1,3,50\n1,1,3,50\n1,1,5,90\n1,1,4,20\n1,2,1,10\n"


@pytest.mark.parametrize(
    ("duplicates", "re_ratings", "events", "dropped"),
    [
        ("drop", "last", [(1, 10), (5, 90)], (1, 2)),
        ("drop", "first", [(1, 10), (4, 20)], (1, 2)),
        ("drop", "keep", [(1, 10), (4, 20), (3, 50), (5, 90)], (1, 0)),
        ("keep", "keep", [(1, 10), (4, 20), (3, 50), (3, 50), (5, 90)], (0, 0)),
        ("keep", "last", [(1, 10), (5, 90)], (0, 3)),
    ],
)
def test_policies_for_repeats(
    duplicates: Duplicates,
    re_ratings: ReRatings,
    events: list[tuple[int, int]],
    dropped: tuple[int, int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "log.csv").write_text(REPEATS)
    with caplog.at_level(logging.INFO, "recsys.data"):
        log, report = read_log_with_report(tmp_path / "log.csv", Columns(duplicates=duplicates, re_ratings=re_ratings))
    assert list(zip(log.value.tolist(), log.time.tolist(), strict=True)) == events
    assert (report.duplicates, report.re_ratings) == dropped
    assert report.rows == 5
    if any(dropped):
        assert f"{dropped[0]} exact duplicates and {dropped[1]} other repeats dropped" in caplog.text


@pytest.mark.parametrize(("duplicates", "re_ratings", "line"), [("error", "last", 3), ("drop", "error", 2)])
def test_repeats_can_be_errors(duplicates: Duplicates, re_ratings: ReRatings, line: int, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(REPEATS)
    with pytest.raises(DataError, match=rf"log\.csv, line {line}: .*declare columns "):
        read_log(tmp_path / "log.csv", Columns(duplicates=duplicates, re_ratings=re_ratings))


def test_metadata_of_every_grouplens_layout(tmp_path: Path) -> None:
    old, million, recent = tmp_path / "old", tmp_path / "million", tmp_path / "recent"
    for folder in (old, million, recent):
        folder.mkdir()
    (old / "u.data").write_text("1\t7\t3\t10\n1\t8\t3\t11\n")
    (old / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n\n")
    (old / "u.item").write_bytes("7|Café (1995)|d||u|0|1|1\n9|Other|d||u|0|0|0\n".encode("latin-1"))
    (million / "ratings.dat").write_text("1::7::3::10\n1::8::3::11\n")
    (million / "movies.dat").write_bytes("7::Café (1995)::Action|Drama\n".encode("latin-1"))
    (million / "tags.dat").write_text("4::7::so: good::5\n5::7::art::5\n6::7::art::5\n")
    (recent / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,7,3,10\n1,8,3,11\n")
    (recent / "movies.csv").write_text(
        'movieId,title,genres\n7,"Café (1995)",Action|Drama\n8,Nil,(no genres listed)\n', "utf-8"
    )
    (recent / "tags.csv").write_text("userId,movieId,tag,timestamp\n4,7,so: good,5\n5,7,art,5\n6,7,art,5\n")
    for folder in (old, million, recent):
        metadata = read_log(folder).metadata
        assert metadata.titles == ("Café (1995)", "Nil" if folder == recent else "8")
        assert metadata.genres == (("Action", "Drama"), ())
        assert metadata.tags == ((() if folder == old else ("art", "so: good")), ())


def test_category_becomes_genre(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,kind\n1,5,a\n2,5,a\n3,5,b\n1,6,\n")
    log = read_log(tmp_path / "log.csv", Columns(category="kind"))
    assert log.metadata.genres == (("category a", "category b"), ())


def read_lines(path: Path, columns: Columns) -> Interactions:
    """A reader of one's own: user and item per line, separated by a comma."""
    users, items = zip(*(line.split(",") for line in path.read_text().splitlines()), strict=True)
    return Interactions.from_columns(users, items, name=columns.encoding)


def read_nothing(path: Path, columns: Columns) -> None:
    del path, columns


def test_title_and_genres_are_read_from_declared_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('user,item,title,kinds\n1,5,Five,"War|Drama"\n2,5,Five,\n1,6,,\n')
    assert read_log(tmp_path / "log.csv").metadata.titles == ("5", "6")
    metadata = read_log(tmp_path / "log.csv", Columns(title="title", genres="kinds")).metadata
    assert (metadata.titles, metadata.genres) == (("Five", "6"), (("War", "Drama"), ()))


def test_log_is_read_by_an_outside_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.lines"
    path.write_text("a,x\nb,x\n")
    log = read_log(path, Columns(encoding="latin-1"), reader=f"{__name__}.read_lines")
    assert (log.users.ids.tolist(), log.name) == (["a", "b"], "log.lines")
    installed = EntryPoint("lines", f"{__name__}:read_lines", "recsys.readers")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([installed]).select(group=group))
    assert read_log(path, Columns(reader="lines"), name="mine").name == "mine"
    assert datasets.load(path, columns=Columns(reader="lines")).fingerprint == log.fingerprint


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"reader": "nowhere"}, "reader 'nowhere' cannot be found: .*entry points of 'recsys.readers'"),
        ({"reader": "recsys.errors.missing"}, "recsys.errors has no 'missing'"),
        ({"reader": f"{__name__}.read_nothing"}, "returned NoneType; it must return Interactions"),
        ({"reader": f"{__name__}.read_lines", "on_error": "skip"}, "cannot leave out bad rows"),
    ],
)
def test_wrong_readers(options: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match=fault):
        read_log(tmp_path / "log.lines", **options)


def test_saved_columns_name_installed_readers_only() -> None:
    with pytest.raises(DataError, match=r"columns reader=subprocess\.call is no name of an entry point"):
        Columns.from_mapping({"reader": "subprocess.call"})


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ml-latest-small.zip", (100_836, 610, 9_724)),
        ("ml-100k", (100_000, 943, 1_682)),
        ("movietweetings", (141_695, 21_081, 12_611)),
    ],
)
def test_real_logs_have_their_published_size(
    name: str, size: tuple[int, int, int], real_log_path: Callable[[str], Path]
) -> None:
    log = read_log(real_log_path(name))
    assert (len(log), log.n_users, log.n_items) == size
    assert log.metadata.has_genres
    assert log.items.is_integer is (name != "movietweetings")


def test_ratings_and_timestamps_are_other_words_for_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,mark,bought\nu,a,4,100000000\n")
    log = recsys.read(tmp_path / "log.csv", rating="mark", timestamp="bought")
    assert (log.value.tolist(), log.time.tolist()) == ([4], [100_000_000])
    frame = pd.DataFrame({"user": ["u"], "item": ["a"], "mark": [4], "bought": [100_000_000]})
    assert recsys.from_pandas(frame, rating="mark", timestamp="bought").fingerprint == log.fingerprint
    with pytest.raises(DataError, match="value=a and rating=b say the same"):
        recsys.read(tmp_path / "log.csv", value="a", rating="b")


def test_functions_are_called_as_the_user_calls_them() -> None:
    for name in ("read", "explain", "compare", "from_pandas", "train"):
        with pytest.raises(ConfigError, match=f"^{name} "):
            getattr(recsys, name)(nothing=1)
