"""Reads a DataFrame as a log, with the checks and rules that hold for files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.interchange

from recsys.checks import choice
from recsys.data.readers.coded import Chunk, typed
from recsys.data.readers.columns import Clock, Columns, Role, clock_of
from recsys.data.readers.remarks import remark_on_rating, remark_on_rows, remark_on_time, remark_on_values
from recsys.data.readers.rows import NumberedRows, Rows
from recsys.data.readers.validation import Validator
from recsys.data.spellings import are_kinds
from recsys.errors import DataError

_WHERE, _COLUMNS = "DataFrame", "columns of a log"
_SAMPLE_ROWS = 100
_OF_FILES = ("names", "separator", "reader")


def read_frame(frame: Any, columns: Columns) -> NumberedRows:  # noqa: ANN401 - any library's DataFrame
    """Return the numbered rows of a DataFrame; see `Interactions.from_pandas`.

    Raises:
        DataError: naming column, row (counted from 0) and cure.
    """
    names, column = _columns(frame)
    for option in _OF_FILES:
        if getattr(columns, option) is not None:
            raise DataError(f"{_WHERE}: columns {option}= is for files; leave it out")
    for name in ("title", "genres"):
        if getattr(columns, name) is None and name in names:
            columns = columns.naming(**{name: name})
    roles = columns.resolve(names, _WHERE)
    if columns.kind is None and "kind" in roles:
        first = column(roles["kind"])[:_SAMPLE_ROWS].to_pylist()
        if not are_kinds(first, dict(columns.kinds or ())):
            del roles["kind"]
    rows = _numbered({role: (names[at], column(at)) for role, at in roles.items()}, columns, _WHERE)
    rest = {name: column(at).slice(0, _SAMPLE_ROWS) for at, name in enumerate(names) if at not in roles.values()}
    if "value" not in roles:
        remark_on_rating(_WHERE, _entries(rest, _is_number), ())
    if clock_of(roles) == "none":
        remark_on_time(_WHERE, _entries(rest, lambda kind: _is_number(kind) or _is_text_or_date(kind)), ())
    return rows


def read_columns(
    users: object, items: object, values: object, times: object, kinds: object, clock: Clock
) -> NumberedRows:
    """Return the numbered rows of a log given as columns; see `Interactions.from_columns`.

    Raises:
        DataError: naming column, row (counted from 0) and cure.
        ConfigError: there is no such clock.
    """
    choice("clock", clock, Clock)
    role_of_times: dict[Clock, Role] = {"seconds": "time", "period": "period", "order": "order", "none": "order"}
    given: dict[Role, tuple[str, object]] = {
        "user": ("users", users),
        "item": ("items", items),
        "value": ("values", values),
        role_of_times[clock]: ("times", times),
        "kind": ("kinds", kinds),
    }
    for role in ("user", "item"):
        if given[role][1] is None:
            raise DataError(f"{_COLUMNS}: {given[role][0]} is None; give one {role} id for each event")
    arrays = {role: (name, _array_of(name, column)) for role, (name, column) in given.items() if column is not None}
    lengths = {name: len(array) for name, array in arrays.values()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{_COLUMNS}: the columns differ in length ({found}); give one entry of each for every event")
    kept = Columns(blank_values="keep", duplicates="keep", re_ratings="keep")
    return _numbered(arrays, kept, _COLUMNS)._replace(clock=clock)


def _numbered(
    arrays: Mapping[Role, tuple[str, pa.Array | pa.ChunkedArray]], columns: Columns, where: str
) -> NumberedRows:
    """Check the column of each role, given with its name, as those of a file are checked, and number its rows."""
    coded = {role: typed(array, role, f"{where}: column {name!r}") for role, (name, array) in arrays.items()}
    count = len(coded["user"].codes)
    if count == 0:
        raise DataError(f"{where}: it has no rows; a log needs at least one event")
    validator = Validator(columns)
    checked = validator.check(Chunk(range(count), coded, where))
    if checked.rejected:
        row, reason, role = checked.rejected[0]
        assert role is not None  # a row of a DataFrame cannot be malformed
        raise DataError(f"{where}, column {arrays[role][0]!r}, row {row}: {reason}")
    rows = Rows("row")
    rows.add(checked)
    numbered, duplicates, re_ratings = rows.numbered(columns, arrays)
    remark_on_values(where, validator.unread_values)
    remark_on_rows(where, validator.trimmed, count, numbered.events, duplicates, re_ratings)
    return numbered


def _array_of(name: str, column: Any) -> pa.Array | pa.ChunkedArray:  # noqa: ANN401 - anything like a column
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column
    if isinstance(column, pd.Series):
        return _arrow(column)
    try:
        if isinstance(column, str | bytes | Mapping) or np.ndim(column) != 1:
            raise TypeError
        return _arrow(pd.Series(column))
    except UnicodeEncodeError:  # half of a surrogate pair, which the strings of pandas cannot hold
        return _arrow(pd.Series(column, dtype=object))
    except (TypeError, ValueError):  # also rows of unequal length, and structured arrays
        raise DataError(
            f"{_COLUMNS}: {name} is no column but {type(column).__name__}; give one entry for each event"
        ) from None


def _entries(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], fits: Callable[[pa.DataType], bool]
) -> list[dict[str, object]]:
    """Return the entries of the columns of fitting types, each with the name of its column."""
    return [{name: value} for name, part in columns.items() if fits(part.type) for value in part.to_pylist()]


def _is_text_or_date(kind: pa.DataType) -> bool:
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts or pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


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
        array = pa.array(series, from_pandas=True)
        # Arrow takes a number beside datetimes for their unit, and a datetime beside dates for its date.
        if pa.types.is_temporal(array.type) and series.dtype == object and len(set(map(_date_type, series))) > 1:
            raise pa.ArrowInvalid("several types")
        return array
    except UnicodeEncodeError:  # the validator names the row
        encoded = series.map(lambda value: str(value).encode(errors="surrogatepass"), na_action="ignore")
        return pa.array(encoded, pa.binary(), from_pandas=True)
    except (pa.ArrowException, OverflowError):  # objects of several types, such as ids 7 and "b"
        return pa.array(series.map(str, na_action="ignore"), from_pandas=True)


def _date_type(value: object) -> type | None:
    """Return the type of an entry of a column of times; None for one that is missing, which fits every type."""
    return None if value is None or value is pd.NaT else type(value)
