"""Reads Parquet and Arrow files: the names of their columns and batches of their rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.readers.sources import Source
from recsys.errors import DataError

TableFormat = Literal["Parquet", "Arrow"]

_BATCH_ROWS = 1 << 20
_ARROW_STREAM = b"\xff\xff\xff\xff"
_MAGIC: dict[bytes, TableFormat] = {b"PAR1": "Parquet", b"ARROW1": "Arrow", _ARROW_STREAM: "Arrow"}
_SUFFIXES: dict[str, TableFormat] = {
    ".parquet": "Parquet",
    ".feather": "Arrow",
    ".arrow": "Arrow",
    ".arrows": "Arrow",
    ".ipc": "Arrow",
}


def format_of(source: Source) -> TableFormat | None:
    """Return the format of a file by its first bytes, else by its name; None if it is no table."""
    with source.open() as stream:
        head = stream.read(8)
    named = next((form for suffix, form in _SUFFIXES.items() if source.base.endswith(suffix)), None)
    return next((form for magic, form in _MAGIC.items() if head.startswith(magic)), named)


def schema_of(source: Source, form: TableFormat) -> pa.Schema:
    """Return the schema of a table.

    Raises:
        DataError: the file is no such table.
    """
    with _opened(source, form) as table:
        return table.schema_arrow if form == "Parquet" else table.schema


def batches(
    source: Source, form: TableFormat, names: Sequence[str], size: int = _BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some columns of a table, at most `size` at a time.

    Raises:
        DataError: the file is damaged.
    """
    with _opened(source, form) as table:
        if form == "Parquet":
            yield from table.iter_batches(batch_size=size, columns=list(names))
            return
        files = isinstance(table, pa.RecordBatchFileReader)
        for batch in (table.get_batch(at) for at in range(table.num_record_batches)) if files else table:
            yield from pa.Table.from_batches([batch.select(list(names))]).to_batches(max_chunksize=size)


@contextmanager
def _opened(source: Source, form: TableFormat) -> Iterator[Any]:
    """Open a table as a `ParquetFile`, or as a reader of Arrow's files or streams."""
    with source.open() as stream:
        file = _seekable(stream)
        try:
            if form == "Parquet":
                yield pq.ParquetFile(file)
                return
            is_stream = file.read(len(_ARROW_STREAM)) == _ARROW_STREAM
            file.seek(0)
            yield (pa.ipc.open_stream if is_stream else pa.ipc.open_file)(file)
        except (pa.ArrowException, OSError) as error:
            fault = " ".join(str(error).split())
            raise DataError(f"{source.label} is not a readable {form} file ({fault}); write it again") from error


def _seekable(stream: IO[bytes]) -> IO[bytes] | pa.BufferReader:
    # A table is read from its end: what is compressed or in an archive is read as a whole.
    plain = isinstance(getattr(stream, "raw", None), io.BufferedReader)
    return stream if plain else pa.BufferReader(stream.read())
