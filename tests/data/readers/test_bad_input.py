"""Every fault of a file is an error with file, line, value and cure; or its bad rows are skipped and listed."""

from __future__ import annotations

import csv
import errno
import gzip
import logging
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalogue import datasets
from recsys.data.readers import sources
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log, read_log_with_report
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError, RecsysError
from recsys.experiments.history_files import read_history

HEADER = "userId,movieId,rating,timestamp\n"
GOOD = "1,10,4.0,1000000000\n"
RANGE = Columns(value_range=(0.5, 5))

BAD_ROWS = {
    "too few fields": (b"1,10,4.0", "malformed row: '1,10,4.0' has 3 fields where 4 are expected"),
    "too many fields": (b"1,10,4.0,5,6", "has 5 fields where 4 are expected"),
    "open quotation": (b'1,"10,4.0,5', "a quotation mark is not closed"),
    "unparsable time": (b"1,11,4.0,yesterday", "time 'yesterday' cannot be read; write Unix seconds"),
    "blank time": (b"1,11,4.0,", "time '' cannot be read"),
    "infinite time": (b"1,11,4.0,inf", "time 'inf' cannot be read"),
    "far time": (b"1,11,4.0,10000000000000000000", "cannot be read"),
    "nanoseconds": (b"1,11,4.0,1000000000000000000", "is in nanoseconds where the file has seconds"),
    "mixed units": (b"1,11,4.0,1000000000000", "time '1000000000000' is in milliseconds where the file has seconds"),
    "mixed notation": (b"1,11,4.0,2001-09-09", "is in ISO-8601 where the file has seconds"),
    "rating too high": (b"1,11,5.5,1000000000", "rating '5.5' is outside the declared range 0.5 to 5"),
    "rating too low": (b"1,11,-1,1000000000", "rating '-1' is outside the declared range 0.5 to 5"),
    "rating no number": (b"1,11,good,1000000000", "rating 'good' is not a number; correct it"),
    "rating with a comma": (b'1,11,"4,5",1000000000', "rating '4,5' is not a number; declare columns decimal=,"),
    "return within a row": (b"1,11\r,4.0,1000000000", "malformed row: new-line character seen in unquoted field"),
    "rating nan": (b"1,11,NaN,1000000000", "rating 'NaN' is not a finite number"),
    "rating infinite": (b"1,11,-inf,1000000000", "rating '-inf' is not a finite number"),
    "rating overflows": (b"1,11,1e300,1000000000", "rating '1e300' is not a finite number"),
    "rating blank": (b"1,11, ,1000000000", "blank rating ''; fill it in, or declare columns blank_values=keep"),
    "blank user": (b",11,4.0,1000000000", "blank user id ''"),
    "blank item": (b"1,  ,4.0,1000000000", "blank item id ''"),
    "undecodable": (b"1,caf\xe9,4.0,1000000000", r"undecodable text 'caf\\xe9' as item id; save the file as UTF-8"),
}  # fmt: skip
ROWS = pytest.mark.parametrize(("row", "fault"), BAD_ROWS.values(), ids=BAD_ROWS.keys())


def test_ids_are_equal_without_the_blanks_around_them(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item\n a,x\na, x\nb,x \n", encoding="utf-8")
    log = read_log(path)
    assert (log.users.ids.tolist(), log.items.ids.tolist(), len(log)) == (["a", "b"], ["x"], 2)


@ROWS
def test_bad_row_names_file_line_value_and_cure(row: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes((HEADER + GOOD * 3).encode() + row + b"\n" + GOOD.encode())
    with pytest.raises(DataError) as caught:
        read_log(path, RANGE)
    assert str(caught.value).startswith(f"{path}, line 5: ")
    assert fault in str(caught.value)


@ROWS
def test_bad_row_is_found_in_a_later_block(
    row: bytes, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = sources.line_blocks
    monkeypatch.setattr("recsys.data.readers.parsing.line_blocks", lambda source: blocks(source, 64))
    path = tmp_path / "log.csv"
    path.write_bytes((HEADER + GOOD * 20).encode() + b"\r\n" + row + b"\r\n" + (GOOD * 9).encode())
    with pytest.raises(DataError) as caught:
        read_log(path, RANGE)
    assert f"{path}, line 23: " in str(caught.value)
    assert fault in str(caught.value)


@ROWS
def test_bad_row_is_skipped_and_listed(
    row: bytes, fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    with gzip.open(data / "log.csv.gz", "wb") as stream:
        stream.write((HEADER + GOOD).encode() + row + b"\n2,20,1.0,1000000009\n")
    log, report = read_log_with_report(data / "log.csv.gz", RANGE, on_error="skip")
    assert log.users.ids[log.user_num].tolist() == [1, 2]
    assert log.items.ids.tolist() == [10, 20]
    assert log.time.tolist() == [1_000_000_000, 1_000_000_009]
    assert (report.rows, report.rejected) == (3, 1)
    assert report.rejects == tmp_path / "log.csv.rejected.csv"
    assert "1 bad rows left out" in caplog.text
    with report.rejects.open(newline="", encoding="utf-8") as stream_of_rejects:
        header, *rejected = csv.reader(stream_of_rejects)
    assert header == ["line", "reason", "text"]
    assert [(line, text) for line, _, text in rejected] == [("3", row.decode("utf-8", errors="backslashreplace"))]
    assert fault in rejected[0][1]
    assert [path.name for path in data.iterdir()] == ["log.csv.gz"]


def test_clean_file_leaves_no_rejects(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    report = read_log_with_report(tmp_path / "log.csv", on_error="skip", rejects=tmp_path / "bad.csv")[1]
    assert report.rejects is None
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_only_bad_rows_is_an_error_that_names_the_rejects(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "log.csv").write_text(HEADER + "1,2,3\n1,2\n")
    with pytest.raises(DataError, match=r"none of its 2 rows is usable, see .*bad\.csv"):
        read_log(tmp_path / "log.csv", on_error="skip", rejects=tmp_path / "bad.csv")
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 3
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("text", ["", "\n\n", HEADER, HEADER + "\n"])
def test_empty_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(DataError, match=r"log\.csv, line [12]: the file is empty"):
        read_log(tmp_path / "log.csv")


def test_time_unit_is_that_of_most_times_of_the_first_block(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\n1,1,1000000000000\n1,2,1000000000\n1,3,1000000000\n")
    with pytest.raises(DataError, match="line 2: time '1000000000000' is in milliseconds where the file has seconds"):
        read_log(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("unit", "written", "fault"),
    [("seconds", "1000000000000", "asks for Unix seconds"), ("iso", "1000000000", "asks for ISO-8601")],
)
def test_other_unit_than_the_declared_is_an_error(unit: str, written: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"user,item,time\n1,1,{written}\n")
    with pytest.raises(DataError, match=fault):
        read_log(tmp_path / "log.csv", Columns.from_mapping({"time_unit": unit}))


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (
            Columns(item="movie_idd"),
            "line 1: no column 'movie_idd', as columns item=movie_idd says; did you mean 'movieId'",
        ),
        (
            Columns(names=("a", "b", "c", "d")),
            "line 1: no column for the user among 'a', 'b', 'c', 'd'; say which it is",
        ),
    ],
)
def test_missing_column(columns: Columns, fault: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    with pytest.raises(DataError, match=fault):
        read_log(tmp_path / "log.csv", columns)


def test_order_must_be_whole(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,order\n1,1,0\n1,2,1.5\n")
    with pytest.raises(DataError, match=r"line 3: order '1\.5' is not a whole number"):
        read_log(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"user": 1, "item": 2', "malformed row: .* is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"user": 1, "item": {"id": 2}, "rating": 3}', "'item' is .*; a text or a number is expected"),
        ('{"user": 1, "item": 2}', "blank rating"),
        ('{"user": null, "item": 2, "rating": 3}', "blank user id"),
        ('{"user": 1, "item": 2, "rating": "high"}', "rating 'high' is not a number"),
    ],
)
def test_json_lines(line: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": 1, "item": 2, "rating": 3}\n' * 2 + line + "\n")
    with pytest.raises(DataError, match=rf"log\.jsonl, line 3: .*{fault}"):
        read_log(path)


def test_parquet_counts_rows_and_rejects_as_json(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": ["a", None, "c"], "item": [1, 2, 3], "rating": [1.0, 2.0, 9.0]})
    frame.to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=r"log\.parquet, row 2: blank user id"):
        read_log(tmp_path / "log.parquet")
    log, report = read_log_with_report(tmp_path / "log.parquet", RANGE, on_error="skip", rejects=tmp_path / "bad.csv")
    assert (len(log), report.rejected) == (1, 2)
    assert '""item"": ""3"", ""value"": ""9""' in (tmp_path / "bad.csv").read_text()


def test_members_of_archives_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        archive.writestr("ml/ratings.csv", HEADER + "1,2,x,5\n")
    with pytest.raises(DataError, match=r"ml\.zip: ml/ratings\.csv, line 2: rating 'x'"):
        read_log(tmp_path / "ml.zip")


@pytest.mark.parametrize("name", ["log.zip", "log.csv.gz", "log.parquet", "log.csv"])
def test_damaged_or_foreign_files(name: str, tmp_path: Path) -> None:
    content = (
        gzip.compress((HEADER + GOOD).encode())[:-9] if name.endswith(".gz") else "user,item\n1,2\n".encode("utf-16")
    )
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*(damaged|not a readable|undecodable)"):
        read_log(tmp_path / name)


def test_missing_or_ambiguous_log(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"no file is a log \(nothing\)"):
        read_log(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEADER + GOOD)
    with pytest.raises(DataError, match=r"several files can be the log \(a\.csv, b\.csv\)"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("mapping", "fault"),
    [
        ({"itm": "x"}, "columns itm=x: unknown key 'itm'; did you mean 'item'"),
        ({"re_ratings": "lst"}, "must be one of last, first, keep, error; did you mean 'last'"),
        ({"value_range": [5, 1]}, "is empty"),
        ({"value_range": "high"}, "give two numbers"),
    ],
)  # fmt: skip
def test_wrong_declarations(mapping: dict[str, object], fault: str) -> None:
    with pytest.raises(DataError) as caught:
        Columns.from_mapping(mapping)
    assert fault in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin9000", "utf8x", "", "utf-16", "utf-32", "rot13", "base64", "zip"])
def test_encodings_that_no_text_file_has(encoding: str) -> None:
    with pytest.raises(DataError, match=rf"columns encoding={encoding} (is unknown|does not extend ASCII)"):
        Columns(encoding=encoding)


@pytest.mark.parametrize("separator", ["", '"', "\n", "a\r"])
def test_separators_that_separate_nothing(separator: str) -> None:
    with pytest.raises(DataError, match="cannot separate fields"):
        Columns(separator=separator)


def test_header_of_a_file_that_is_read_with_names(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    names = Columns.from_mapping({"names": "user, item,rating,timestamp"})
    with pytest.raises(DataError, match=r"line 1 is a header, .*; leave out columns names=user,item,rating,timestamp"):
        read_log(tmp_path / "log.csv", names)
    (tmp_path / "log.csv").write_text(GOOD)
    assert read_log(tmp_path / "log.csv", names).value.tolist() == [4]


def test_columns_of_lists_and_binary_files_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"user": [1], "item": [[1, 2]]}).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(
        DataError, match=r"log\.parquet: column 'item' has type list.*cannot be used as item; write it as"
    ):
        read_log(tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_bytes(b"user,item\n\0\0,1\n")
    with pytest.raises(DataError, match=r"log\.csv, line 1: binary data where text is expected"):
        read_log(tmp_path / "log.csv")


@pytest.mark.parametrize("load", [read_log, datasets.load], ids=["read", "load"])
def test_paths_that_no_file_has(load: Callable[[Path], object], tmp_path: Path) -> None:
    for path, fault in (
        (tmp_path / ("n" * 300), "cannot be read .File name too long"),
        (tmp_path / "a\0b", "needs the path of a file or directory"),
        (Path("/dev/full"), "device, not a file|neither a file nor a data set"),
        (tmp_path / "log.csv" / "inside.csv", "cannot be read .Not a directory|neither a file nor a data set"),
    ):
        (tmp_path / "log.csv").write_text(HEADER + GOOD)
        with pytest.raises(RecsysError, match=fault):
            load(path)


def test_file_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("recsys.data.readers.sources._CarriageReturns.readinto", failing)
    (tmp_path / "log.csv").write_bytes((HEADER + GOOD).replace("\n", "\r").encode())
    with pytest.raises(DataError, match=r"log\.csv cannot be read \(Input/output error\); check its path and rights"):
        read_log(tmp_path / "log.csv")


TABLE = pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [1.0, 2.0], "time": ["2020-01-01", "2020-01-02"]})
FILES: dict[str, Callable[[Path], object]] = {
    "log.csv": lambda path: TABLE.to_csv(path, index=False),
    "log.csv.gz": lambda path: TABLE.to_csv(path, index=False),
    "log.csv.bz2": lambda path: TABLE.to_csv(path, index=False),
    "log.csv.xz": lambda path: TABLE.to_csv(path, index=False),
    "log.json": lambda path: TABLE.to_json(path, orient="records"),
    "log.jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "log.parquet": TABLE.to_parquet,
    "log.feather": TABLE.to_feather,
}
EDIT = st.tuples(
    st.floats(0, 1), st.integers(0, 9), st.binary(max_size=4) | st.sampled_from([b"\r", b'"', b"\\", b"["])
)
DECLARED = st.sampled_from(
    [
        *({}, {"decimal": ","}, {"names": "user,item,rating,time"}, {"encoding": "cp1252"}, {"separator": "::"}),
        *({"time_unit": "nanoseconds"}, {"blank_values": "keep"}, {"kind": "rating"}, {"order": "rating"}),
        *({"genres": "rating", "title": "time"}, {"duplicates": "error"}),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(EDIT, min_size=1, max_size=4),
    declared=DECLARED,
    use=st.integers(0, 3),
)
def test_no_damage_to_a_file_is_more_than_an_error(
    name: str, edits: list[tuple[float, int, bytes]], declared: dict[str, str], use: int, tmp_path: Path
) -> None:
    path, good = tmp_path / name, tmp_path / "good.csv"
    FILES[name](path)
    TABLE.to_csv(good, index=False)
    content = path.read_bytes()
    for place, length, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + length :]
    path.write_bytes(content)
    with suppress(RecsysError):
        if use == 0:
            read_history(path, Vocabulary([1, 2]))
        elif use == 1:
            datasets.load(good, items=path)
        else:
            read_log(path, Columns.from_mapping(declared), on_error="skip", rejects=tmp_path / "bad.csv")
    assert path.read_bytes() == content
