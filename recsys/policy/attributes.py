"""Facts about items from a table: what rules may ask for beside titles, genres and tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from recsys.errors import DataError


def read_attributes(path: str | Path, ids: Sequence[str]) -> dict[str, list[str | None]]:
    """Read a CSV or Parquet file whose first column has external item ids.

    Args:
        path: the file; .parquet, or CSV with a header.
        ids: external ids of the items, in the order of the result.

    Returns:
        The other columns by name, as texts in the order of `ids`; None where the file says nothing of an item.

    Raises:
        DataError: the file cannot be read, has no second column, or tells of an item twice.
    """
    try:
        table = pd.read_parquet(path) if Path(path).suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table of items: {error}") from None
    if len(table.columns) < 2:
        raise DataError(f"{path} has columns {', '.join(map(str, table.columns))}; give item ids and at least one fact")
    own = table.iloc[:, 0].astype(str)
    if own.duplicated().any():
        row = int(own.duplicated().to_numpy().argmax())
        raise DataError(f"{path}, line {row + 2}: item {own.iloc[row]!r} was there already; one row for each item")
    facts = table.iloc[:, 1:].set_index(own).reindex(list(ids))
    return {
        str(name): [None if pd.isna(value) or not str(value) else str(value) for value in facts[name]] for name in facts
    }
