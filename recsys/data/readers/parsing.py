"""Parses a log chunk by chunk into coded text columns.

Arrow parses each block of whole lines at once. Only a block that it rejects, or in which rows and lines differ in
number, is parsed line by line, to find the malformed lines.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson

from recsys.data.readers.coded import Chunk, Coded, combined, typed
from recsys.data.readers.columns import Role
from recsys.data.readers.json_arrays import array_entries
from recsys.data.readers.layout import Layout, split_fields
from recsys.data.readers.rejects import Reject
from recsys.data.readers.sources import line_blocks
from recsys.data.readers.tables import batches

_BATCH_ENTRIES = 1 << 16
_CODED = pa.dictionary(pa.int32(), pa.binary())


def chunks(layout: Layout) -> Iterator[Chunk]:
    """Yield the log chunk by chunk; memory does not grow with the file.

    Raises:
        DataError: the file cannot be read at all. Malformed lines do not raise: their chunk lists them.
    """
    if layout.kind == "table":
        yield from _table_chunks(layout)
        return
    if layout.kind == "array":
        yield from _array_chunks(layout)
        return
    parse = _text_fast if layout.kind == "text" else _json_fast
    for start, block in line_blocks(layout.source):
        first, body = start, block
        if start == 1 and layout.kind == "text" and layout.header:
            first, body = 2, body.partition(b"\n")[2]
        if not body.strip():
            continue
        columns = parse(body, layout)
        if columns is not None:
            lines = range(first, first + _line_count(body))
            yield Chunk(lines, columns, layout.source.label, start=first, raw=body)
        else:
            yield _line_by_line(body, first, layout)


def _line_count(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n"))


def _text_fast(body: bytes, layout: Layout) -> dict[Role, Coded] | None:
    expected, delimiter = _line_count(body), layout.separator
    if b'\\"' in body:
        return None
    if not _is_utf8(layout):
        try:
            body = body.decode(layout.encoding).encode()
        except UnicodeError:
            return None
    if len(delimiter) > 1:
        # Arrow wants one character: a control character that no text file has.
        body, delimiter = body.replace(delimiter.encode(), b"\x1f"), "\x1f"
    names = [str(position) for position in range(len(layout.names))]
    used = list(dict.fromkeys(names[position] for position in layout.roles.values()))
    try:
        table = pacsv.read_csv(
            io.BytesIO(body),
            read_options=pacsv.ReadOptions(column_names=names, block_size=len(body) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char='"' if len(layout.separator) == 1 and layout.quotes else False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(used, _CODED), include_columns=used, null_values=[], check_utf8=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != expected:
        return None
    return {role: Coded.of(combined(table.column(names[at]))) for role, at in layout.roles.items()}


def _json_fast(body: bytes, layout: Layout) -> dict[Role, Coded] | None:
    try:
        table = pajson.read_json(
            io.BytesIO(body),
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=pajson.ParseOptions(
                explicit_schema=pa.schema(layout.types), unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return _typed(table, layout, layout.source.label) if table.num_rows == _line_count(body) else None


def _typed(table: pa.Table | pa.RecordBatch, layout: Layout, where: str) -> dict[Role, Coded]:
    names = {role: layout.names[at] for role, at in layout.roles.items()}
    return {role: typed(table.column(name), role, f"{where}: column {name!r}") for role, name in names.items()}


def _is_utf8(layout: Layout) -> bool:
    return layout.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _line_by_line(body: bytes, first: int, layout: Layout) -> Chunk:
    split = _text_fields if layout.kind == "text" else _json_fields
    lines: list[int] = []
    rows: list[list[bytes | None]] = []
    malformed: list[Reject] = []
    for number, text in enumerate(body.split(b"\n"), start=first):
        if not text.strip():
            continue
        try:
            rows.append(split(text.rstrip(b"\r"), layout))
            lines.append(number)
        except ValueError as error:
            malformed.append(Reject(number, str(error)))
    numbers = np.asarray(lines, dtype=np.int64)
    return Chunk(numbers, _coded(rows, layout), layout.source.label, malformed, first, body)


def _text_fields(raw: bytes, layout: Layout) -> list[bytes | None]:
    # Bytes that are not UTF-8 pass through unchanged; the check of their column reports them.
    try:
        text = raw.decode("utf-8", errors="surrogateescape") if _is_utf8(layout) else raw.decode(layout.encoding)
    except UnicodeError:
        fault = f"undecodable text {_short(raw)}; it is not {layout.encoding}; correct columns encoding="
        raise ValueError(fault) from None
    try:
        fields = split_fields(text, layout.separator, layout.quotes)
    except csv.Error as error:
        fault = "a quotation mark is not closed" if "unexpected end" in str(error) else str(error)
        raise ValueError(
            f"malformed row: {fault} in {_short(raw)}; correct it, and keep each row on one line"
        ) from None
    if len(fields) != len(layout.names):
        raise ValueError(
            f"malformed row: {_short(raw)} has {len(fields)} fields where {len(layout.names)} are expected "
            f"({', '.join(layout.names)}); correct the row"
        )
    return [entry.encode("utf-8", errors="surrogateescape") for entry in fields]


def _json_fields(raw: bytes, layout: Layout) -> list[bytes | None]:
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"malformed row: {_short(raw)} is not JSON ({error}); correct the row") from None
    if not isinstance(entry, dict):
        raise ValueError(f"malformed row: {_short(raw)} is not a JSON object; write one object per line")
    return _entry_fields(entry, layout)


def _entry_fields(entry: dict[str, object], layout: Layout) -> list[bytes | None]:
    fields: list[bytes | None] = [None] * len(layout.names)
    for role, at in layout.roles.items():
        fields[at] = _json_text(entry.get(layout.names[at]), layout.names[at], role)
    return fields


def _json_text(value: object, name: str, role: Role) -> bytes | None:
    if value is None:
        return None
    if role == "genres" and isinstance(value, list):
        value = "|".join(map(str, value))
    if isinstance(value, (dict, list)):
        raise ValueError(f"malformed row: {name!r} is {str(value)[:80]}; a text or a number is expected")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="backslashreplace")


def _array_chunks(layout: Layout) -> Iterator[Chunk]:
    entries = enumerate(array_entries(layout.source), start=1)
    while batch := list(islice(entries, _BATCH_ENTRIES)):
        numbers: list[int] = []
        rows: list[list[bytes | None]] = []
        malformed: list[Reject] = []
        for number, entry in batch:
            try:
                if not layout.header:
                    entry = _by_name(entry, layout)  # noqa: PLW2901
                if not isinstance(entry, dict):
                    raise ValueError(f"malformed row: {str(entry)[:80]} is not a JSON object; correct it")
                rows.append(_entry_fields(entry, layout))
                numbers.append(number)
            except ValueError as error:
                malformed.append(Reject(number, str(error)))
        lines = np.asarray(numbers, dtype=np.int64)
        yield Chunk(lines, _coded(rows, layout), layout.source.label, malformed)


def _by_name(entry: object, layout: Layout) -> object:
    fields = entry if isinstance(entry, list) else [entry]
    return dict(zip(layout.names, fields, strict=True)) if len(fields) == len(layout.names) else entry


def _coded(rows: list[list[bytes | None]], layout: Layout) -> dict[Role, Coded]:
    return {role: Coded.of(pa.array([fields[at] for fields in rows], pa.binary())) for role, at in layout.roles.items()}


def _table_chunks(layout: Layout) -> Iterator[Chunk]:
    names = list(dict.fromkeys(layout.names[position] for position in layout.roles.values()))
    for part in layout.source.parts or (layout.source,):
        row = 1
        for batch in batches(part, layout.form, names):
            columns = _typed(batch, layout, part.label)
            yield Chunk(range(row, row + batch.num_rows), columns, part.label, start=row)
            row += batch.num_rows


def _short(raw: bytes) -> str:
    text = raw.decode("utf-8", errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:77] + "...")
