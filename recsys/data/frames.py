"""Reads a DataFrame as a log, with the checks and rules that hold for files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.interchange

from recsys.data.readers.coded import Chunk, typed
from recsys.data.readers.columns import Columns
from recsys.data.readers.rows import NumberedRows, Rows
from recsys.data.readers.validation import Validator
from recsys.errors import DataError

_WHERE = "DataFrame"
_OF_FILES = ("names", "separator", "reader")


def read_frame(frame: Any, columns: Columns) -> NumberedRows:  # noqa: ANN401 - any library's DataFrame
    """Return the numbered rows of a DataFrame; see `Interactions.from_pandas`.

    Raises:
        DataError: naming column, row (counted from 0) and cure.
    """
    names, column = _columns(frame)
    for option in _OF_FILES:
        if getattr(columns, option) is not None:
            raise DataError(f"{_WHERE}: columns.{option} is for files; leave it out")
    for name in ("title", "genres"):
        if getattr(columns, name) is None and name in names:
            columns = columns.naming(**{name: name})
    roles = columns.resolve(names, _WHERE)
    coded = {role: typed(column(at), role, f"{_WHERE}: column {names[at]!r}") for role, at in roles.items()}
    count = len(coded["user"].codes)
    if count == 0:
        raise DataError(f"{_WHERE}: it has no rows; a log needs at least one event")
    checked = Validator(columns).check(Chunk(range(count), coded))
    if checked.rejected:
        row, reason, role = checked.rejected[0]
        assert role is not None  # a row of a DataFrame cannot be malformed
        raise DataError(f"{_WHERE}, column {names[roles[role]]!r}, row {row}: {reason}")
    rows = Rows(_WHERE, "row")
    rows.add(checked)
    return rows.numbered(columns, roles)[0]


def _columns(frame: Any) -> tuple[list[str], Callable[[int], pa.Array | pa.ChunkedArray]]:  # noqa: ANN401
    """Return the names of the columns, and a function that returns the column at a position as Arrow data."""
    if isinstance(frame, pd.DataFrame):
        return [str(name) for name in frame.columns], lambda at: _arrow(frame.iloc[:, at])
    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pd.Series):
        table = pa.table(frame)
    elif hasattr(frame, "__dataframe__"):
        table = pa.interchange.from_dataframe(frame)
    elif hasattr(frame, "to_pandas") and isinstance(converted := frame.to_pandas(), pd.DataFrame):
        return _columns(converted)
    else:
        raise DataError(
            f"a DataFrame is expected, not {type(frame).__name__}; give one of pandas, or of a library that implements "
            "the Arrow or the dataframe interchange protocol"
        )
    return table.column_names, table.column


def _arrow(series: pd.Series[Any]) -> pa.Array | pa.ChunkedArray:
    if isinstance(series.dtype, pd.SparseDtype):
        series = pd.Series(np.asarray(series))
    try:
        return pa.array(series, from_pandas=True)
    except UnicodeEncodeError:  # the validator names the row
        encoded = series.map(lambda value: str(value).encode(errors="surrogatepass"), na_action="ignore")
        return pa.array(encoded, pa.binary(), from_pandas=True)
    except (pa.ArrowException, OverflowError):  # objects of several types, such as ids 7 and "b"
        return pa.array(series.map(str, na_action="ignore"), from_pandas=True)
