"""Reads items from a file, and writes the catalogue of a store to one."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.items import NO_GENRE
from recsys.data.readers.rows import genres_in
from recsys.data.readers.times import parse_times
from recsys.errors import DataError, nearest
from recsys.events.checks import shown
from recsys.events.items.records import ItemsPut, StoredItem
from recsys.events.store import EventStore
from recsys.files import replacing

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "item_id": ("item_id", "itemid", "item", "movieid", "movie_id", "parent_asin", "asin", "sku", "id"),
    "title": ("title", "name"),
    "year": ("year",),
    "genres": ("genres", "genre", "categories", "category"),
    "available": ("available",),
    "added_at": ("added_at",),
}
"""The columns that are recognised, whatever their capitals; the first of a field that is there counts."""

_YES, _NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
_BATCH: Final = 10_000


def import_items(store: EventStore, path: Path, now: int, columns: Mapping[str, str] | None = None) -> ItemsPut:
    """Put the items of a file into the catalogue of a store: all of them, or none where a line cannot be read.

    Args:
        store: where they go.
        path: .csv or .tsv with a header, .parquet, or .jsonl with an object in each line. Columns that are no field of
            an item become its metadata.
        now: Unix seconds.
        columns: the column of a field, where its name is another than `NAMES`.

    Raises:
        DataError: naming file, line, value and cure; nothing is stored then.
    """
    return store.put_items(read_catalogue(path, columns), now)


def read_catalogue(path: Path, columns: Mapping[str, str] | None = None) -> list[StoredItem]:
    """Return the items of a file; see `import_items`."""
    items: dict[str, tuple[int, StoredItem]] = {}
    fields: dict[str, str] | None = None
    unit = "row" if path.suffix.lower() == ".parquet" else "line"
    for line, row in _rows(path):
        fields = _fields(path, list(row), columns or {}) if fields is None or path.suffix == ".jsonl" else fields
        try:
            item = _item(row, fields)
            if item.item_id in items:
                raise DataError(
                    f"item_id {shown(item.item_id)} is in {unit} {items[item.item_id][0]} too; give it once"
                )
        except DataError as error:
            raise DataError(f"{path}, {unit} {line}: {error}") from None
        items[item.item_id] = line, item
    if not items:
        raise DataError(f"{path} holds no items; give one a line")
    return [item for _, item in items.values()]


def export_items(store: EventStore, path: Path, *, overwrite: bool = False) -> int:
    """Write the items of a store, deleted ones apart, as JSON lines that `import_items` reads; return their number.

    Raises:
        DataError: the file is there, or cannot be written.
    """
    if path.suffix.lower() != ".jsonl":
        raise DataError(f"{path} is no .jsonl; items are written as JSON lines")
    if path.exists() and not overwrite:
        raise DataError(f"{path} is there already; give another name, or replace it with --overwrite")
    items = [item for item in store.items_since(0)[1] if not item.deleted]
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            for item in sorted(items, key=lambda one: one.item_id):
                said = {"item_id": item.item_id, "title": item.title, "year": item.year, "genres": item.genres}
                told = {name: value for name, value in said.items() if value is not None} | dict(item.metadata or {})
                told |= {"available": item.available} if not item.available else {}
                told |= {"added_at": item.added_at} if item.added_at is not None else {}
                stream.write(json.dumps(told, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; give another path") from error
    return len(items)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number of each line, or row, and its values by column."""
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            first = 1
            for batch in pq.ParquetFile(path).iter_batches(_BATCH):
                yield from enumerate(batch.to_pylist(), start=first)
                first += batch.num_rows
        elif kind in (".csv", ".tsv"):
            with path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream, delimiter="\t" if kind == ".tsv" else ",", strict=True)
                for row in reader:
                    if None in row or None in row.values():
                        raise DataError(f"{path}, line {reader.line_num}: not as many fields as the header; correct it")
                    yield reader.line_num, row
        elif kind == ".jsonl":
            with path.open(encoding="utf-8-sig") as stream:
                for line, text in enumerate(stream, start=1):
                    if text.strip():
                        yield line, _object(path, line, text)
        else:
            raise DataError(f"{path} is none of .csv, .tsv, .parquet and .jsonl; give one of these")
    except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read ({reason}); give a {kind} file in UTF-8") from None


def _object(path: Path, line: int, text: str) -> Mapping[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: no JSON ({error}); write one object a line") from None
    if not isinstance(row, dict):
        raise DataError(f'{path}, line {line}: {shown(row)} is no object; write {{"item_id": ...}}')
    return row


def _fields(path: Path, names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each field of an item that a file has."""
    folded = {name.strip().lower(): name for name in reversed(names)}
    fields = {}
    for field, usual in NAMES.items():
        found = [folded[name] for name in usual if name in folded]
        if found:
            fields[field] = found[0]
    for field, name in columns.items():
        if field not in NAMES:
            raise DataError(f"an item has no field {field!r}{nearest(field, NAMES)}; it has {', '.join(NAMES)}")
        if name not in names:
            raise DataError(f"{path} has no column {name!r}{nearest(name, names)}; it has {', '.join(names)}")
        fields[field] = name
    if "item_id" not in fields:
        raise DataError(f"{path}: no column for the item among {', '.join(names)}; say which: --columns item_id=NAME")
    return fields


def _item(row: Mapping[str, Any], fields: Mapping[str, str]) -> StoredItem:
    """Return the item of a row: empty values say nothing."""
    said = {field: row[name] for field, name in fields.items() if name in row and not _empty(row[name])}
    others = {name: value for name, value in row.items() if name not in fields.values() and not _empty(value)}
    if "item_id" not in said:
        raise DataError("the item has no id; give one")
    genres = said.get("genres")
    return StoredItem(
        _text(said["item_id"]),
        _text(said["title"]) if "title" in said else None,
        _year(said.get("year")),
        None if genres is None else _genres(genres),
        others or None,
        _truth(said.get("available")),
        _moment(said.get("added_at")),
    )


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole and isinstance(value, float) else str(value).strip()


def _year(value: object) -> int | None:
    if value is None:
        return None
    try:
        year = float(str(value))
        whole = int(year)
    except (ValueError, OverflowError):
        whole, year = 0, 0.5
    if whole != year:
        raise DataError(f"year is {shown(value)}; write a whole number")
    return whole


def _genres(value: object) -> tuple[str, ...]:
    names = genres_in(value) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"genres is {shown(value)}; write names separated by |, or a list of texts")
    return tuple(name for name in names if name not in NO_GENRE)


def _truth(value: object) -> bool:
    text = "true" if value is None else str(value).strip().lower()
    if text not in _YES + _NO:
        raise DataError(f"available is {shown(value)}; write true or false")
    return text in _YES


def _moment(value: object) -> int | None:
    if value is None:
        return None
    times = parse_times(pa.array([_text(value)]))
    if int(times.unit[0]) < 0:
        raise DataError(f"added_at is {shown(value)}; write Unix seconds, or a date such as 2026-06-30")
    return int(times.seconds[0])
