"""Tables in files of three formats, written in parts that are joined."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys.errors import ConfigError, DataError
from recsys.files import json_values, replacing, write_text

SUFFIXES: Final = (".parquet", ".csv", ".jsonl")


def check_out(path: Path) -> None:
    """Raise unless a file of lists can have this path.

    Raises:
        ConfigError: its ending is none of a format that can be written, or it is a directory.
        DataError: its folder is not there.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path}: its ending says what is written; give {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; give the name of a file in it")
    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is no directory; make it, or choose another place for {path.name}")


def write_table(path: Path, table: pa.Table) -> None:
    """Write a part of a Parquet or CSV file, which appears whole or not at all."""
    with replacing(path) as partial:
        if path.suffix == ".parquet":
            pq.write_table(table, partial)
        else:
            pacsv.write_csv(_flat(table), partial, pacsv.WriteOptions(include_header=False))


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write a part of a file with a line of JSON for each record, which appears whole or not at all."""
    lines = (json.dumps(json_values(record), ensure_ascii=False) for record in records)
    write_text(path, "".join(f"{line}\n" for line in lines))


def join_parts(parts: Sequence[Path], names: Sequence[str], out: Path) -> None:
    """Join parts in a file, which appears whole or not at all.

    Args:
        parts: at least one.
        names: of the columns.
        out: the file.
    """
    with replacing(out) as partial:
        if parts[0].suffix == ".parquet":
            _join_parquet(parts, partial)
            return
        with partial.open("wb") as joined:
            if parts[0].suffix == ".csv":
                joined.write((",".join(f'"{name}"' for name in names) + "\n").encode())
            for part in parts:
                with part.open("rb") as read:
                    shutil.copyfileobj(read, joined)


def _join_parquet(parts: Sequence[Path], out: Path) -> None:
    with pq.ParquetWriter(out, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


def _flat(table: pa.Table) -> pa.Table:
    """Return a table without nested columns, which CSV has not: they become JSON."""
    columns = {
        name: pa.array([json.dumps(json_values(value), ensure_ascii=False) for value in column.to_pylist()])
        if pa.types.is_nested(column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(columns)
