"""Everybody's lists as a SQLite file that an application reads."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.files import json_values, replacing

_TYPES: Final = {"int64": "INTEGER", "int32": "INTEGER", "float": "REAL", "double": "REAL", "bool": "INTEGER"}


def write_database(path: Path, lists: Path, items: pa.Table) -> None:
    """Write the tables `lists`, found by `user_id`, and `items`, found by `item_id`; nested columns are JSON.

    Args:
        path: the file, which appears whole or not at all.
        lists: the Parquet file of everybody's lists.
        items: a row for each item.
    """
    with replacing(path) as partial:
        database = sqlite3.connect(partial)
        try:
            file = pq.ParquetFile(lists)
            _create(database, "lists", file.schema_arrow, ("user_id", "rank"))
            for batch in file.iter_batches():
                _insert(database, "lists", batch)
            _create(database, "items", items.schema, ("item_id",))
            for batch in items.to_batches():
                _insert(database, "items", batch)
            database.commit()
        finally:
            database.close()


def _create(database: sqlite3.Connection, table: str, schema: pa.Schema, key: tuple[str, ...]) -> None:
    columns = ", ".join(f'"{field.name}" {_TYPES.get(str(field.type), "TEXT")}' for field in schema)
    names = ", ".join(f'"{name}"' for name in key)
    database.execute(f'CREATE TABLE "{table}" ({columns}, PRIMARY KEY ({names})) WITHOUT ROWID')


def _insert(database: sqlite3.Connection, table: str, batch: pa.RecordBatch) -> None:
    columns = [
        [_text(value) for value in column.to_pylist()] if pa.types.is_nested(column.type) else column.to_pylist()
        for column in batch.columns
    ]
    places = ", ".join("?" * len(columns))
    database.executemany(f'INSERT INTO "{table}" VALUES ({places})', zip(*columns, strict=True))  # noqa: S608


def _text(value: Any) -> str:  # noqa: ANN401 - any nested value
    return json.dumps(json_values(value), ensure_ascii=False)
