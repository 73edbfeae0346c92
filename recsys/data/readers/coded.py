"""Text columns stored once per distinct value, so that all checks run once per distinct value."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.readers.columns import Role
from recsys.data.readers.rejects import Reject
from recsys.errors import DataError
from recsys.types import Ints, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """A text column: `texts[codes]`.

    Attributes:
        codes: "rows", int32; -1 if the row has no such field.
        texts: Arrow array of distinct texts, binary (not yet decoded) or string.
    """

    codes: Items
    texts: pa.Array

    @classmethod
    def of(cls, array: pa.Array) -> Coded:
        """Code an Arrow array of texts."""
        coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        return cls(codes, coded.dictionary)

    @classmethod
    def of_one(cls, text: str, rows: int) -> Coded:
        """Code a column with the same text in every row."""
        return cls(np.zeros(rows, np.int32), pa.array([text]))

    def decoded(self) -> list[str]:
        """Return the text of every row; "" where there is none."""
        texts: list[str] = self.texts.take(pa.array(self.codes, mask=self.codes < 0)).fill_null("").to_pylist()
        return texts

    def merged(self) -> Coded:
        """Return the same column with each text once, where several are equal."""
        distinct = Coded.of(self.texts)
        return Coded(np.append(distinct.codes, np.int32(-1))[self.codes], distinct.texts)

    def take(self, rows: Mask) -> Coded:
        """Return the column of the rows of a mask."""
        return Coded(self.codes[rows], self.texts)


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive rows of a log.

    Attributes:
        lines: 1-based number of the line (or row) of each parsed row.
        columns: the column of each role, one entry per parsed row.
        where: the file, for errors.
        malformed: the lines that could not be parsed.
        start: number of the first line of `raw`.
        raw: the bytes that were parsed; empty for formats without lines.
    """

    lines: range | Ints
    columns: dict[Role, Coded]
    where: str = "the log"
    malformed: list[Reject] = field(default_factory=list)
    start: int = 1
    raw: bytes = b""

    def with_column(self, role: Role, column: Coded) -> Chunk:
        """Return the same rows with a column more."""
        return replace(self, columns={**self.columns, role: column})

    def texts(self, lines: list[int]) -> list[str]:
        """Return the raw text of some lines; bytes that are not UTF-8 appear as backslash escapes."""
        if self.raw:
            split = self.raw.split(b"\n")
            raw = (split[line - self.start].rstrip(b"\r") for line in lines)
            return [text.decode("utf-8", errors="backslashreplace") for text in raw]
        rows = {int(line): row for row, line in enumerate(self.lines)} if lines else {}
        return [self._row_text(rows[line]) if line in rows else "" for line in lines]

    def _row_text(self, row: int) -> str:
        columns = {role: (column.texts, int(column.codes[row])) for role, column in self.columns.items()}
        return json.dumps(
            {role: texts[code].as_py().decode() if code >= 0 else None for role, (texts, code) in columns.items()}
        )


def combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def typed(column: pa.Array | pa.ChunkedArray, role: Role, where: str) -> Coded:
    """Code a typed column as text: whole numbers without a decimal point, times in ISO-8601, lists joined by "|".

    Raises:
        DataError: the type has no text; the message names the column as `where`.
    """
    array = combined(column)
    try:
        if role == "genres" and (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
            array = pc.binary_join(array, "|")
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        coded = (array.cast(pa.string()) if pa.types.is_null(array.type) else array).dictionary_encode()
        texts = coded.dictionary
        if pa.types.is_duration(texts.type):
            raise pa.ArrowTypeError("a duration is no id, number or moment")
        if pa.types.is_floating(texts.type):
            numbers = texts.to_numpy(zero_copy_only=False)
            if np.all(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)):
                texts = texts.cast(pa.int64())
        elif pa.types.is_timestamp(texts.type):
            zone = None if texts.type.tz is None else "UTC"  # printing other zones needs a database of them
            texts = pc.floor_temporal(texts.cast(pa.timestamp(texts.type.unit, zone)), unit="second")
            texts = texts.cast(pa.timestamp("s", zone))
        return Coded(
            Coded.of(coded).codes,
            texts if pa.types.is_binary(texts.type) else texts.cast(pa.string()).cast(pa.binary()),
        )
    except pa.ArrowException as error:
        raise DataError(
            f"{where} has type {column.type}, which cannot be used as {role}; write it as text or number"
        ) from error
