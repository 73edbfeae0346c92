"""Parsing a log chunk by chunk into coded text columns.

Each block of whole lines is handed to Arrow at once. Only a block that Arrow refuses, or in which the number of rows is
not the number of lines, is taken apart line by line, to find out which lines are malformed. Fields stay text here,
stored once per distinct value of the chunk, so that whatever is checked afterwards is checked once per distinct value.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from recsys.data.readers.columns import Role
from recsys.data.readers.layout import Layout, split_fields
from recsys.data.readers.sources import line_blocks
from recsys.errors import DataError

_BATCH_ROWS = 1 << 20
_CODED = pa.dictionary(pa.int32(), pa.binary())


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """A text column: `texts[codes]`.

    Attributes:
        codes: "rows", int32; -1 where the row has no such field.
        texts: Arrow array of distinct texts, binary (not yet known to be decodable) or string.
    """

    codes: npt.NDArray[np.int32]
    texts: pa.Array

    @classmethod
    def of(cls, array: pa.Array) -> Coded:
        """Code an Arrow array of texts."""
        coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        return cls(codes, coded.dictionary)

    def take(self, rows: npt.NDArray[np.bool_]) -> Coded:
        """Return the column of the kept rows."""
        return Coded(self.codes[rows], self.texts)


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive rows of a log.

    Attributes:
        lines: 1-based number of the line (or row) of each parsed row.
        columns: the column of each role, one entry per parsed row.
        malformed: number and fault of each line that could not be parsed.
        start: number of the first line of `raw`.
        raw: the bytes that were parsed; empty for formats without lines.
    """

    lines: range | npt.NDArray[np.int64]
    columns: dict[Role, Coded]
    malformed: list[tuple[int, str]] = field(default_factory=list)
    start: int = 1
    raw: bytes = b""

    def texts(self, lines: list[int]) -> list[str]:
        """Return the raw text of some lines; bytes that are not UTF-8 appear as backslash escapes."""
        if self.raw:
            split = self.raw.split(b"\n")
            wanted = (split[line - self.start].rstrip(b"\r") for line in lines)
            return [text.decode("utf-8", errors="backslashreplace") for text in wanted]
        return [self._row_text(int(np.searchsorted(np.asarray(self.lines), line))) for line in lines]

    def _row_text(self, row: int) -> str:
        codes = {role: int(column.codes[row]) for role, column in self.columns.items()}
        fields = {role: None if code < 0 else self.columns[role].texts[code].as_py() for role, code in codes.items()}
        return json.dumps({role: None if entry is None else entry.decode() for role, entry in fields.items()})


def chunks(layout: Layout) -> Iterator[Chunk]:
    """Yield the log chunk by chunk; memory does not grow with the file.

    Raises:
        DataError: the file cannot be read at all. Malformed lines do not raise: they are listed in their chunk.
    """
    if layout.kind == "parquet":
        yield from _parquet_chunks(layout)
        return
    parse = _text_fast if layout.kind == "text" else _json_fast
    for start, block in line_blocks(layout.source):
        body = block[3:] if start == 1 and block.startswith(b"\xef\xbb\xbf") else block
        first = start
        if start == 1 and layout.kind == "text" and layout.header:
            body = body[body.find(b"\n") + 1 :] if b"\n" in body else b""
            first = 2
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
    expected = _line_count(body)
    delimiter: str = layout.separator
    if not _is_utf8(layout):
        try:
            body = body.decode(layout.encoding).encode()
        except UnicodeDecodeError:
            return None
    if len(delimiter) > 1:
        # Arrow wants one character: a control character that no text file has.
        body, delimiter = body.replace(delimiter.encode(), b"\x1f"), "\x1f"
    names = [str(position) for position in range(len(layout.names))]
    wanted = list(dict.fromkeys(names[position] for position in layout.roles.values()))
    try:
        table = pacsv.read_csv(
            io.BytesIO(body),
            read_options=pacsv.ReadOptions(column_names=names, block_size=len(body) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char='"' if len(layout.separator) == 1 else False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(wanted, _CODED),
                include_columns=wanted,
                null_values=[],
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != expected:
        return None
    return {role: Coded.of(_single(table.column(names[at]))) for role, at in layout.roles.items()}


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
    if table.num_rows != _line_count(body):
        return None
    return {role: _typed(_single(table.column(layout.names[at])), role, layout) for role, at in layout.roles.items()}


def _is_utf8(layout: Layout) -> bool:
    return layout.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _line_by_line(body: bytes, first: int, layout: Layout) -> Chunk:
    split = _text_fields if layout.kind == "text" else _json_fields
    lines: list[int] = []
    rows: list[list[bytes | None]] = []
    malformed: list[tuple[int, str]] = []
    for number, raw in enumerate(body.split(b"\n"), start=first):
        text = raw.rstrip(b"\r")
        if not text.strip():
            continue
        try:
            fields = split(text, layout)
        except ValueError as error:
            malformed.append((number, str(error)))
            continue
        lines.append(number)
        rows.append(fields)
    columns = {
        role: Coded.of(pa.array([fields[at] for fields in rows], pa.binary())) for role, at in layout.roles.items()
    }
    return Chunk(np.asarray(lines, dtype=np.int64), columns, malformed, first, body)


def _text_fields(raw: bytes, layout: Layout) -> list[bytes | None]:
    # Bytes that are not UTF-8 pass through unchanged; they are reported together with the column that holds them.
    try:
        text = raw.decode("utf-8", errors="surrogateescape") if _is_utf8(layout) else raw.decode(layout.encoding)
    except UnicodeDecodeError:
        raise ValueError(
            f"undecodable text {_short(raw)}; it is not {layout.encoding}: correct columns.encoding"
        ) from None
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
    return [
        _json_text(entry.get(name), name) if at in layout.roles.values() else None
        for at, name in enumerate(layout.names)
    ]


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
            columns = {role: _typed(batch.column(layout.names[at]), role, layout) for role, at in layout.roles.items()}
            yield Chunk(range(row, row + batch.num_rows), columns, start=row)
            row += batch.num_rows


def _typed(array: pa.Array, role: Role, layout: Layout) -> Coded:
    """Code a typed column as text: whole numbers without a decimal point, times in ISO-8601."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    coded = array.dictionary_encode()
    texts = coded.dictionary
    try:
        if pa.types.is_floating(texts.type):
            whole = texts.to_numpy(zero_copy_only=False)
            if np.all(np.isfinite(whole) & (whole == np.floor(whole)) & (np.abs(whole) < 2**53)):
                texts = texts.cast(pa.int64())
        texts = texts.cast(pa.string()).cast(pa.binary())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{layout.source.label}: column {layout.names[layout.roles[role]]!r} has type {array.type}, which cannot "
            f"be used as {role}; write it as text or number"
        ) from error
    return Coded(Coded.of(coded).codes, texts)


def _short(raw: bytes) -> str:
    text = raw.decode("utf-8", errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:77] + "...")
