"""Parses a log chunk by chunk into coded text columns.

Arrow parses each block of whole lines at once. Only a block that it rejects, or in which rows and lines differ in
number, is parsed line by line, to find the malformed lines.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from recsys.data.readers.coded import Chunk, Coded, combined, typed
from recsys.data.readers.columns import Role
from recsys.data.readers.layout import Layout, split_fields
from recsys.data.readers.rejects import Reject
from recsys.data.readers.sources import line_blocks

_BATCH_ROWS = 1 << 20
_CODED = pa.dictionary(pa.int32(), pa.binary())


def chunks(layout: Layout) -> Iterator[Chunk]:
    """Yield the log chunk by chunk; memory does not grow with the file.

    Raises:
        DataError: the file cannot be read at all. Malformed lines do not raise: their chunk lists them.
    """
    if layout.kind == "parquet":
        yield from _parquet_chunks(layout)
        return
    parse = _text_fast if layout.kind == "text" else _json_fast
    for start, block in line_blocks(layout.source):
        first, body = start, block.removeprefix(b"\xef\xbb\xbf") if start == 1 else block
        if start == 1 and layout.kind == "text" and layout.header:
            first, body = 2, body.partition(b"\n")[2]
        if not body.strip():
            continue
        columns = parse(body, layout)
        if columns is not None:
            yield Chunk(range(first, first + _line_count(body)), columns, start=first, raw=body)
        else:
            yield _line_by_line(body, first, layout)


def _line_count(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n"))


def _text_fast(body: bytes, layout: Layout) -> dict[Role, Coded] | None:
    expected, delimiter = _line_count(body), layout.separator
    if not _is_utf8(layout):
        try:
            body = body.decode(layout.encoding).encode()
        except UnicodeDecodeError:
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
                delimiter=delimiter, quote_char='"' if len(layout.separator) == 1 else False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(used, _CODED), include_columns=used, null_values=[], check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
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
    except pa.ArrowInvalid:
        return None
    return _typed(table, layout) if table.num_rows == _line_count(body) else None


def _typed(table: pa.Table | pa.RecordBatch, layout: Layout) -> dict[Role, Coded]:
    names = {role: layout.names[at] for role, at in layout.roles.items()}
    where = layout.source.label
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
    columns = {
        role: Coded.of(pa.array([fields[at] for fields in rows], pa.binary())) for role, at in layout.roles.items()
    }
    return Chunk(np.asarray(lines, dtype=np.int64), columns, malformed, first, body)


def _text_fields(raw: bytes, layout: Layout) -> list[bytes | None]:
    # Bytes that are not UTF-8 pass through unchanged; the check of their column reports them.
    try:
        text = raw.decode("utf-8", errors="surrogateescape") if _is_utf8(layout) else raw.decode(layout.encoding)
    except UnicodeDecodeError:
        fault = f"undecodable text {_short(raw)}; it is not {layout.encoding}: correct columns.encoding"
        raise ValueError(fault) from None
    try:
        fields = split_fields(text, layout.separator)
    except csv.Error:
        raise ValueError(
            f"malformed row: a quotation mark is not closed in {_short(raw)}; close it, and keep each row on one line"
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
    except ValueError as error:
        raise ValueError(f"malformed row: {_short(raw)} is not JSON ({error}); correct the row") from None
    if not isinstance(entry, dict):
        raise ValueError(f"malformed row: {_short(raw)} is not a JSON object; write one object per line")
    used = layout.roles.values()
    return [_json_text(entry.get(name), name) if at in used else None for at, name in enumerate(layout.names)]


def _json_text(value: object, name: str) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, (dict, list)):
        raise ValueError(f"malformed row: {name!r} is {value!r}; a text or a number is expected")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def _parquet_chunks(layout: Layout) -> Iterator[Chunk]:
    names = list(dict.fromkeys(layout.names[position] for position in layout.roles.values()))
    row = 1
    with layout.source.open() as stream:
        file = pq.ParquetFile(stream if layout.source.member is None else pa.BufferReader(stream.read()))
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            yield Chunk(range(row, row + batch.num_rows), _typed(batch, layout), start=row)
            row += batch.num_rows


def _short(raw: bytes) -> str:
    text = raw.decode("utf-8", errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:77] + "...")
