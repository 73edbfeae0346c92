"""Detects the layout of a file: its format, separator, header, and which column holds what."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, final

import pyarrow as pa

from recsys.data.readers.columns import ALIASES, Columns, Role, recognised
from recsys.data.readers.json_arrays import array_entries
from recsys.data.readers.sources import Source
from recsys.data.readers.tables import TableFormat, batches, format_of, schema_of
from recsys.data.spellings import are_kinds
from recsys.errors import DataError

_GROUPLENS_NAMES = ("user_id", "item_id", "rating", "timestamp")  # u.data and ratings.dat have no header
_GROUPLENS_FILE = re.compile(r"u\.data|u[1-5ab]\.(base|test)|ratings\.dat")
_SAMPLE_ROWS = 100
_SEPARATORS = ",\t;|"
_OF_A_LOG: tuple[Role, ...] = ("user", "item")


@final
@dataclass(frozen=True)
class Layout:
    """How to read one file.

    Attributes:
        source: the file.
        kind: the format: a text of fields, JSON lines, one JSON array, or a table of Parquet or Arrow.
        names: names of all columns.
        roles: position in `names` of the column of each role.
        separator: between the fields of a text file.
        header: whether the first line of a text file holds the names; of a JSON array, whether its entries have them.
        encoding: of a text file.
        types: Arrow types of the columns of JSON lines whose type is clear from the first lines.
        form: the format of a table.
        quotes: whether quotation marks protect separators in a text file.
    """

    source: Source
    kind: Literal["text", "json", "array", "table"]
    names: tuple[str, ...]
    roles: dict[Role, int]
    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"
    types: tuple[tuple[str, pa.DataType], ...] = ()
    form: TableFormat = "Parquet"
    quotes: bool = True

    @property
    def unit(self) -> str:
        """What errors count: "line"; "row" or "entry" in a file without lines."""
        return {"table": "row", "array": "entry"}.get(self.kind, "line")


def detect(
    source: Source,
    columns: Columns,
    required: Sequence[Role] = _OF_A_LOG,
    common: Mapping[Role, tuple[str, ...]] = ALIASES,
) -> Layout:
    """Return how to read a file.

    Args:
        source: the file.
        columns: which column holds what, as far as it is declared.
        required: roles for which the file must have a column.
        common: names by which columns are recognised.

    Raises:
        DataError: the file is empty, not of its format, or has no column for a required role; or it needs a reader.
    """
    layout = _detected(source, columns, required, common)
    if columns.kind is None and "kind" in layout.roles and common is ALIASES and not _is_export(layout):
        name = layout.names[layout.roles["kind"]]
        if not are_kinds((row.get(name) for row in sample(layout)), dict(columns.kinds or ())):
            return replace(layout, roles={role: at for role, at in layout.roles.items() if role != "kind"})
    if _is_export(layout) and "condition" in layout.names:
        roles: dict[Role, int] = {"condition": layout.names.index("condition")}
        return replace(layout, roles=roles | layout.roles)
    return layout


def _is_export(layout: Layout) -> bool:
    """Return whether a file has the columns of an event store's export."""
    return {"event_id", "kind"} <= set(layout.names)


def _detected(
    source: Source, columns: Columns, required: Sequence[Role], common: Mapping[Role, tuple[str, ...]]
) -> Layout:
    """Return how to read a file, by the names of its columns."""
    if columns.reader is not None:
        raise DataError(f"{source.label}: columns reader= has no effect here; leave it out, or load the log with it")
    if (form := format_of(source.parts[0] if source.parts else source)) is not None:
        return _detect_table(source, form, columns, required, common)
    first = _first_lines(source)
    where = f"{source.label}, line 1"
    if first[0].startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{where}: undecodable text (UTF-16); save the file as UTF-8")
    if any(b"\0" in line for line in first):
        raise DataError(f"{where}: binary data where text is expected; give a CSV, TSV, JSON, Parquet or Arrow file")
    if source.base.endswith((".jsonl", ".ndjson", ".json")) or _begin(first).startswith((b"{", b"[")):
        return _detect_json(source, columns, first, required, common)
    line = first[0].decode(columns.encoding, errors="backslashreplace").rstrip("\r\n")
    separator = columns.separator or _separator(source.base, line)
    try:
        fields = tuple(name.strip() for name in split_fields(line, separator, columns.quotes == "protect"))
    except csv.Error as error:
        raise DataError(f"{where}: malformed row {line[:80]!r} ({error}); correct it") from error
    if columns.names is not None:
        names, header = columns.names, False
    elif _GROUPLENS_FILE.fullmatch(source.base):
        names, header = _GROUPLENS_NAMES, False
    else:
        names, header = fields, True
    roles = columns.resolve(names, where, required, common)
    if columns.names is not None and set(_OF_A_LOG) <= set(recognised(fields)):
        raise DataError(f"{where} is a header, {line[:80]!r}; leave out columns names={','.join(names)}")
    return Layout(source, "text", names, roles, separator, header, columns.encoding, quotes=columns.quotes == "protect")


def is_bare_list(source: Source) -> bool:
    """Return whether a file holds ids alone, one to a line or in a JSON array, under no name."""
    if format_of(source) is not None:
        return False
    lines = _first_lines(source)
    if _begin(lines).startswith(b"["):
        return not isinstance(next(array_entries(source), {}), dict)
    line = lines[0].decode("utf-8", errors="backslashreplace").strip()
    return not line.startswith("{") and not set(line) & set(_SEPARATORS) and not recognised([line.strip('"')])


def sample(layout: Layout) -> list[Mapping[str, object]]:
    """Return the first rows of a file by the names of its columns."""
    if layout.kind == "table":
        part = layout.source.parts[0] if layout.source.parts else layout.source
        plain = [
            field.name
            for field in schema_of(part, layout.form)
            if pa.types.is_integer(field.type)
            or pa.types.is_floating(field.type)
            or pa.types.is_string(field.type)
            or pa.types.is_large_string(field.type)
            or pa.types.is_timestamp(field.type)
            or pa.types.is_date(field.type)
        ]
        return next((batch.to_pylist() for batch in batches(part, layout.form, plain, _SAMPLE_ROWS)), [])
    if layout.kind == "array":
        return [entry for entry in islice(array_entries(layout.source), _SAMPLE_ROWS) if isinstance(entry, dict)]
    rows: list[Mapping[str, object]] = []
    for raw in _first_lines(layout.source)[layout.kind == "text" and layout.header :]:
        line = raw.decode(layout.encoding, errors="backslashreplace").rstrip("\r\n")
        with suppress(ValueError, csv.Error):
            row = json.loads(line) if layout.kind == "json" else dict(_named(layout, line))
            rows += [row] if isinstance(row, dict) else []
    return rows


def _named(layout: Layout, line: str) -> zip[tuple[str, str]]:
    return zip(layout.names, split_fields(line, layout.separator, layout.quotes), strict=True)


def split_fields(line: str, separator: str, quotes: bool = True) -> list[str]:
    """Split one line; with `quotes`, quotation marks protect separators of one character.

    Raises:
        csv.Error: a quotation mark is not closed.

    >>> split_fields('1,"a, b"', ","), split_fields("1::x", "::")
    (['1', 'a, b'], ['1', 'x'])
    """
    if len(separator) > 1 or not quotes:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error:
        if '\\"' not in line:
            raise
    # A quotation mark within quotation marks, as MySQL exports it.
    return next(csv.reader([line], delimiter=separator, strict=True, escapechar="\\", doublequote=False), [])


def _first_lines(source: Source) -> list[bytes]:
    with source.open_text() as stream:
        lines = [line for line in (stream.readline() for _ in range(_SAMPLE_ROWS + 1)) if line]
    if not b"".join(lines).strip():
        raise DataError(f"{source.label}, line 1: the file is empty; fetch or export it again")
    return lines


def _begin(lines: list[bytes]) -> bytes:
    """Return the first line that is not blank, from its first character on."""
    return next((line.lstrip() for line in lines if line.strip()), b"")


def _separator(base: str, line: str) -> str:
    if "::" in line and (base.endswith(".dat") or "," not in line):
        return "::"
    if base.endswith((".tsv", ".tab", ".inter")):
        return "\t"
    counts = {separator: line.count(separator) for separator in _SEPARATORS}
    return max(counts, key=lambda separator: counts[separator])


def _detect_table(
    source: Source,
    form: TableFormat,
    columns: Columns,
    required: Sequence[Role],
    common: Mapping[Role, tuple[str, ...]],
) -> Layout:
    names, *others = (tuple(schema_of(part, form).names) for part in source.parts or [source])
    layout = Layout(source, "table", names, columns.resolve(names, source.label, required, common), form=form)
    used = {names[at] for at in layout.roles.values()}
    for part, other in zip(source.parts[1:], others, strict=True):
        if missing := sorted(used - set(other)):
            raise DataError(
                f"{part.label}: no column {missing[0]!r}, which {source.parts[0].label} has; write it again"
            )
    return layout


def _detect_json(
    source: Source,
    columns: Columns,
    first: list[bytes],
    required: Sequence[Role],
    common: Mapping[Role, tuple[str, ...]],
) -> Layout:
    is_array = _begin(first).startswith(b"[") and not source.base.endswith((".jsonl", ".ndjson"))
    entries: list[object] = []
    if is_array:
        entries += islice(array_entries(source), _SAMPLE_ROWS)
    for line in () if is_array else first:
        with suppress(ValueError, RecursionError):  # malformed lines are left to the parser, which counts them
            entries.append(json.loads(line))
    if is_array and columns.names is not None:
        return Layout(
            source, "array", columns.names, columns.resolve(columns.names, source.label, required), header=False
        )
    rows = [entry for entry in entries if isinstance(entry, dict)]
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise DataError(
            f"{source.label}, line 1: {first[0][:80]!r} is not a JSON object; write one object per line (JSON lines), "
            "or an array of objects"
        )
    roles = columns.resolve(names, source.label if is_array else f"{source.label}, line 1", required, common)
    types = tuple((names[at], _json_type(role, [row.get(names[at]) for row in rows])) for role, at in roles.items())
    return Layout(source, "array" if is_array else "json", names, roles, types=types)


def _json_type(role: Role, values: list[Any]) -> pa.DataType:
    # A declared type keeps Arrow from taking ids that look like dates for times.
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and role != "value":
        return pa.int64()
    if kinds == {bool}:
        return pa.bool_()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()
