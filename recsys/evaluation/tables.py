"""Tables on disk: one Parquet file with JSON metadata beside the rows, written in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import DataError
from recsys.files import replacing


def write_table(rows: pd.DataFrame, target: Path, key: bytes, facts: Mapping[str, Any]) -> Path:
    """Write a table, without its index, and JSON values under a key of the file's metadata; return the file's path."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), key: json.dumps(facts).encode()})
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as partial:
        pq.write_table(table, partial)
    return target


def read_table(path: str | Path, key: bytes, what: str, cure: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read what `write_table` wrote: the rows, and the facts; {} in a file without them.

    Raises:
        DataError: the file is missing or unreadable; the message names the table (`what`) and the cure.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot read {what} ({error}); {cure}") from error
    stored = (table.schema.metadata or {}).get(key)
    return table.to_pandas(), json.loads(stored) if stored else {}
