"""Detects the layout of a file: its format, separator, header, and which column holds what."""

from __future__ import annotations

import csv
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, final

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.readers.columns import Columns, Role
from recsys.data.readers.sources import Source
from recsys.errors import DataError

_GROUPLENS_NAMES = ("user_id", "item_id", "rating", "timestamp")  # u.data and ratings.dat have no header
_GROUPLENS_FILE = re.compile(r"u\.data|u[1-5ab]\.(base|test)|ratings\.dat")
_SAMPLE_LINES = 100


@final
@dataclass(frozen=True)
class Layout:
    """How to read one file.

    Attributes:
        source: the file.
        kind: the format.
        names: names of all columns.
        roles: position in `names` of the column of each role.
        separator: between the fields of a text file.
        header: whether the first line of a text file holds the names.
        encoding: of a text file.
        types: Arrow types of the columns of JSON lines whose type is clear from the first lines.
    """

    source: Source
    kind: Literal["text", "json", "parquet"]
    names: tuple[str, ...]
    roles: dict[Role, int]
    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"
    types: tuple[tuple[str, pa.DataType], ...] = ()

    @property
    def unit(self) -> str:
        """What errors count: "line", or "row" in a file without lines."""
        return "row" if self.kind == "parquet" else "line"


def detect(source: Source, columns: Columns) -> Layout:
    """Return how to read a file.

    Raises:
        DataError: the file is empty, not of its format, or has no columns for users and items; or it needs a reader.
    """
    if columns.reader is not None:
        raise DataError(f"{source.label}: columns.reader has no effect here; leave it out, or load the log with it")
    if source.base.endswith(".parquet"):
        return _detect_parquet(source, columns)
    first = _first_lines(source)
    if first[0].startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{source.label}, line 1: undecodable text (UTF-16); save the file as UTF-8")
    if source.base.endswith((".jsonl", ".ndjson", ".json")):
        return _detect_json(source, columns, first)
    line = first[0].decode(columns.encoding, errors="backslashreplace").lstrip("\ufeff").rstrip("\r\n")
    separator = columns.separator or _separator(source.base, line)
    if columns.names is not None:
        names, header = columns.names, False
    elif _GROUPLENS_FILE.fullmatch(source.base):
        names, header = _GROUPLENS_NAMES, False
    else:
        names, header = tuple(name.strip() for name in split_fields(line, separator)), True
    roles = columns.resolve(names, f"{source.label}, line 1")
    return Layout(source, "text", names, roles, separator, header, columns.encoding)


def split_fields(line: str, separator: str) -> list[str]:
    """Split one line; quotation marks protect separators of one character.

    Raises:
        csv.Error: a quotation mark is not closed.

    >>> split_fields('1,"a, b"', ","), split_fields("1::x", "::")
    (['1', 'a, b'], ['1', 'x'])
    """
    if len(separator) > 1:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator, strict=True), [])


def _first_lines(source: Source) -> list[bytes]:
    with source.open() as stream:
        lines = [line for line in (stream.readline() for _ in range(_SAMPLE_LINES)) if line]
    if not b"".join(lines).strip():
        raise DataError(f"{source.label}, line 1: the file is empty; fetch or export it again")
    return lines


def _separator(base: str, line: str) -> str:
    if "::" in line and (base.endswith(".dat") or "," not in line):
        return "::"
    if base.endswith((".tsv", ".tab", ".inter")):
        return "\t"
    counts = {separator: line.count(separator) for separator in ",\t;|"}
    return max(counts, key=lambda separator: counts[separator])


def _detect_parquet(source: Source, columns: Columns) -> Layout:
    try:
        with source.open() as stream:
            file = pq.ParquetFile(stream if source.member is None else pa.BufferReader(stream.read()))
            names, rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    except pa.ArrowInvalid as error:
        raise DataError(f"{source.label} is not a readable Parquet file ({error}); write it again") from error
    if rows == 0:
        raise DataError(f"{source.label}, row 1: the file is empty; export it again")
    return Layout(source, "parquet", names, columns.resolve(names, source.label))


def _detect_json(source: Source, columns: Columns, first: list[bytes]) -> Layout:
    # Malformed lines are left to the parser, which counts them.
    entries: list[Any] = []
    for line in first:
        with suppress(ValueError):
            entries.append(json.loads(line))
    sample = [entry for entry in entries if isinstance(entry, dict)]
    names = tuple(dict.fromkeys(name for entry in sample for name in entry))
    if not names:
        raise DataError(
            f"{source.label}, line 1: {first[0][:80]!r} is not a JSON object; write one object per line (JSON lines)"
        )
    roles = columns.resolve(names, f"{source.label}, line 1")
    types = tuple(
        (names[at], _json_type(role, [entry.get(names[at]) for entry in sample])) for role, at in roles.items()
    )
    return Layout(source, "json", names, roles, types=types)


def _json_type(role: Role, values: list[Any]) -> pa.DataType:
    # A declared type keeps Arrow from taking ids that look like dates for times.
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and role != "value":
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()
