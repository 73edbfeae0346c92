"""Every format and compression gives the same log."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from recsys.data.readers import json_arrays, sources
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.errors import DataError

ROWS = [
    (2, 20, 3.0, 1_000_000_500),
    (1, 10, 4.5, 1_000_000_000),
    (2, 10, 1.0, 1_000_000_100),
    (1, 30, 5.0, 1_000_000_200),
]
EXPECTED = [
    (1, 10, 4.5, 1_000_000_000),
    (1, 30, 5.0, 1_000_000_200),
    (2, 10, 1.0, 1_000_000_100),
    (2, 20, 3.0, 1_000_000_500),
]
FRAME = pd.DataFrame(ROWS, columns=["userId", "movieId", "rating", "timestamp"])


def lines(separator: str, *, header: bool) -> str:
    head = [separator.join(FRAME.columns)] if header else []
    return "\n".join([*head, *(separator.join(map(str, row)) for row in ROWS)]) + "\n"


def write_csv(folder: Path) -> Path:
    (folder / "log.csv").write_text(lines(",", header=True))
    return folder / "log.csv"


def write_windows_csv_with_byte_order_mark(folder: Path) -> Path:
    text = lines(",", header=True).replace("userId", '"userId"').replace("\n", "\r\n")
    (folder / "log.csv").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    return folder / "log.csv"


def write_semicolons_without_last_newline(folder: Path) -> Path:
    (folder / "log.csv").write_text(lines(";", header=True).rstrip("\n"))
    return folder / "log.csv"


def write_gzip(folder: Path) -> Path:
    (folder / "log.tsv.gz").write_bytes(gzip.compress(lines("\t", header=True).encode()))
    return folder / "log.tsv.gz"


def write_u_data(folder: Path) -> Path:
    (folder / "u.data").write_text(lines("\t", header=False))
    return folder


def write_ratings_dat(folder: Path) -> Path:
    (folder / "ratings.dat").write_text(lines("::", header=False))
    return folder


def write_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "ml.zip", "w") as archive:
        archive.writestr("ml/README.txt", "read me")
        archive.writestr("ml/ratings.csv", lines(",", header=True))
        archive.writestr("ml/movies.csv", "movieId,title,genres\n10,Ten,Drama\n")
    return folder / "ml.zip"


def write_parquet(folder: Path) -> Path:
    FRAME.to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def write_parquet_with_timestamps_and_categories(folder: Path) -> Path:
    frame = FRAME.assign(
        timestamp=pd.to_datetime(FRAME.timestamp, unit="s", utc=True), userId=FRAME.userId.astype("category")
    )
    frame.to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def write_json_lines(folder: Path) -> Path:
    (folder / "log.jsonl").write_text(
        "".join(json.dumps({**row, "text": "x,y"}) + "\n" for row in FRAME.to_dict("records"))
    )
    return folder / "log.jsonl"


def write_json_lines_with_blank_line(folder: Path) -> Path:
    write_json_lines(folder)
    (folder / "log.jsonl").write_text("\n" + (folder / "log.jsonl").read_text())
    return folder / "log.jsonl"


def write_gzip_without_its_suffix(folder: Path) -> Path:
    (folder / "log.csv").write_bytes(gzip.compress(lines(",", header=True).encode()))
    return folder / "log.csv"


def write_plain_text_with_the_suffix_of_gzip(folder: Path) -> Path:
    (folder / "log.csv.gz").write_text(lines(",", header=True))
    return folder / "log.csv.gz"


def write_bzip2(folder: Path) -> Path:
    (folder / "log.csv.bz2").write_bytes(bz2.compress(lines(",", header=True).encode()))
    return folder / "log.csv.bz2"


def write_xz(folder: Path) -> Path:
    (folder / "log.csv.xz").write_bytes(lzma.compress(lines(",", header=True).encode()))
    return folder / "log.csv.xz"


def write_zstd(folder: Path) -> Path:
    packed = pa.Codec("zstd").compress(lines("\t", header=True).encode(), asbytes=True)
    (folder / "log.tsv.zst").write_bytes(packed)
    return folder / "log.tsv.zst"


def write_zip_without_its_suffix(folder: Path) -> Path:
    return write_zip(folder).rename(folder / "download")


def write_carriage_returns(folder: Path) -> Path:
    (folder / "log.csv").write_bytes(lines(",", header=True).replace("\n", "\r").encode())
    return folder / "log.csv"


def write_feather(folder: Path) -> Path:
    FRAME.to_feather(folder / "log.feather")
    return folder / "log.feather"


def write_arrow_stream(folder: Path) -> Path:
    table = pa.Table.from_pandas(FRAME)
    with pa.ipc.new_stream(str(folder / "log.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return folder / "log.arrow"


def write_parquet_without_its_suffix_in_gzip(folder: Path) -> Path:
    packed = gzip.compress(write_parquet(folder).read_bytes())
    (folder / "log").write_bytes(packed)
    return folder / "log"


def write_parts(folder: Path) -> Path:
    (folder / "_SUCCESS").write_text("")
    for number, start in enumerate((0, 3)):
        FRAME[start : start + 3].to_parquet(folder / f"part-{number}.parquet")
    return folder


def write_parts_divided_by_a_column(folder: Path) -> Path:
    for year in (2001, 2002):
        (folder / f"year={year}").mkdir()
        FRAME[(year - 2001) * 2 :][:2].to_parquet(folder / f"year={year}" / "part-0.parquet")
    return folder


def write_zip_of_parts(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "log.zip", "w") as archive:
        for number, start in enumerate((0, 3)):
            archive.writestr(f"part-{number}.feather", feather_of(FRAME[start : start + 3], folder))
    return folder / "log.zip"


def feather_of(frame: pd.DataFrame, folder: Path) -> bytes:
    frame.reset_index(drop=True).to_feather(folder / "part")
    content = (folder / "part").read_bytes()
    (folder / "part").unlink()
    return content


def write_json_array(folder: Path) -> Path:
    (folder / "log.json").write_text(json.dumps(FRAME.to_dict("records")))
    return folder / "log.json"


def write_json_array_on_many_lines(folder: Path) -> Path:
    (folder / "log.json").write_bytes(b"\xef\xbb\xbf\n" + json.dumps(FRAME.to_dict("records"), indent=1).encode())
    return folder / "log.json"


def write_microseconds(folder: Path) -> Path:
    FRAME.assign(timestamp=FRAME.timestamp * 10**6 + 999_999).to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def write_nanoseconds(folder: Path) -> Path:
    FRAME.assign(timestamp=FRAME.timestamp * 10**9 + 999_999_999).to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def write_universal_time(folder: Path) -> Path:
    written = pd.to_datetime(FRAME.timestamp, unit="s").dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    FRAME.assign(timestamp=written).to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


WRITERS = [value for name, value in sorted(globals().items()) if name.startswith("write_")]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_log(write: Callable[[Path], Path], tmp_path: Path) -> None:
    log = read_log(write(tmp_path))
    rows = zip(log.users.ids[log.user_num], log.items.ids[log.item_num], log.value, log.time, strict=True)
    assert list(rows) == EXPECTED
    assert log.clock == "seconds"
    assert log.users.is_integer
    assert log.items.is_integer


@pytest.mark.parametrize("block", [1, 7, 64])
def test_json_array_survives_any_division_into_blocks(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_log(write_json_array(tmp_path)).fingerprint
    monkeypatch.setattr(json_arrays, "_BLOCK_BYTES", block)
    assert read_log(tmp_path / "log.json").fingerprint == expected


@pytest.mark.parametrize("content", ['[{"user": 1, "item": 2}, 7]', '[{"user": 1, "item": 2}, {"user": 1}]'])
def test_bad_entry_of_a_json_array_is_counted(content: str, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(content)
    with pytest.raises(DataError, match=r"log\.json, entry 2: (malformed row: 7 is not a JSON object|blank item id)"):
        read_log(tmp_path / "log.json")
    log = read_log(tmp_path / "log.json", on_error="skip", rejects=tmp_path / "bad.csv")
    assert len(log) == 1
    assert (tmp_path / "bad.csv").read_text().splitlines()[1].startswith("2,")


@pytest.mark.parametrize("content", ['[{"user": 1, "item": 2}, {"us', '[{"user": 1, "item": 2} oops', "[" * 5000])
def test_json_array_that_does_not_end_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(content)
    with pytest.raises(DataError, match=r"log\.json, entry \d: no valid JSON array"):
        read_log(tmp_path / "log.json")


def test_bad_row_of_a_part_is_named_with_its_file(tmp_path: Path) -> None:
    write_parts(tmp_path)
    FRAME.assign(userId=pd.Series([None, 1, 2, 3], dtype="Int64")).to_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(DataError, match=r"part-1\.parquet, row 1: blank user id"):
        read_log(tmp_path)
    FRAME.drop(columns="rating").to_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(DataError, match=r"part-1\.parquet: no column 'rating', which .*part-0\.parquet has"):
        read_log(tmp_path)


def test_repeat_in_a_part_is_named_with_its_file(tmp_path: Path) -> None:
    write_parts(tmp_path)
    FRAME[:1].to_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(DataError, match=r"part-1\.parquet, row 1: this row repeats an earlier event exactly"):
        read_log(tmp_path, Columns(duplicates="error"))


def test_carriage_returns_in_any_division_into_blocks(tmp_path: Path) -> None:
    path = write_carriage_returns(tmp_path)
    blocks = list(sources.line_blocks(sources.Source(path), 10))
    assert b"".join(block for _, block in blocks) == lines(",", header=True).encode()
    assert [number for number, _ in blocks] == list(range(1, len(blocks) + 1))
