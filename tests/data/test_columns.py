"""A log of columns passes the checks of a file with the same content."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.data.interactions import Interactions
from recsys.data.readers.log import read_log
from recsys.errors import ConfigError, DataError, RecsysError

MISSING = [None, np.nan, pd.NA, pd.NaT, "", " "]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
@pytest.mark.parametrize("role", ["users", "items"])
def test_missing_id_is_an_error_with_its_row(role: str, missing: Any) -> None:
    columns: dict[str, Any] = {"users": ["a", "b", "c"], "items": [1, 2, 3]}
    columns[role] = pd.Series([*columns[role][:2], missing], dtype=object)
    word = role.removesuffix("s")
    with pytest.raises(DataError, match=rf"^columns of a log, column '{role}', row 2: blank {word} id"):
        Interactions.from_columns(**columns)


@pytest.mark.parametrize(
    "column", [pd.array([7, None], dtype="Int64"), np.array([7.0, np.nan]), pd.Categorical(["a", None])]
)
def test_missing_id_of_every_type(column: Any) -> None:
    with pytest.raises(DataError, match=r"column 'items', row 1: blank item id"):
        Interactions.from_columns(["a", "b"], column)


@pytest.mark.parametrize(
    "columns",
    [
        {"items": [1, 2, 3]},
        {"items": [1, 2], "values": [1.0]},
        {"items": [1, 2], "times": [1, 2, 3]},
        {"items": []},
    ],
)
def test_columns_of_unequal_length_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"the columns differ in length \(users 2, items \d"):
        Interactions.from_columns(["a", "b"], **columns)


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"users": "ab", "items": [1, 2]}, "users is no column but str"),
        ({"users": [[1, 2], [3, 4]], "items": [1, 2]}, "users is no column but list"),
        ({"users": {"a": 1}, "items": [1]}, "users is no column but dict"),
        ({"users": 5, "items": [1]}, "users is no column but int"),
        ({"users": [], "items": []}, "it has no rows"),
        ({"users": ["a"], "items": [1], "values": ["good"]}, "column 'values', row 0: rating 'good' is not a number"),
        (
            {"users": ["a"], "items": [1], "values": [np.inf]},
            "column 'values', row 0: rating 'inf' is not a finite number",
        ),
        ({"users": ["a"], "items": [1], "times": ["soon"]}, "column 'times', row 0: time 'soon' cannot be read"),
        ({"users": ["a"], "items": [1], "times": [None]}, "column 'times', row 0: time '' cannot be read"),
        (
            {"users": ["a", "b"], "items": [1, 2], "times": [1_000_000_000, 1_000_000_000_000]},
            "row 1: time '1000000000000' is in milliseconds where the file has seconds",
        ),
        ({"users": ["a"], "items": [1], "times": [1.5], "clock": "order"}, "order '1.5' is not a whole number"),
        ({"users": [{"a": 1}], "items": [1]}, "column 'users' has type struct"),
    ],
)
def test_bad_columns_are_errors_of_the_reader(columns: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=rf"^columns of a log.*{fault}"):
        Interactions.from_columns(**columns)


DAY: Any = pd.Series(pd.to_datetime(["2020-01-02", "2020-01-01"]))
SECONDS = [1_577_836_800, 1_577_923_200]


@pytest.mark.parametrize(
    "times",
    [
        *(DAY.astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")),
        *(DAY.to_numpy().astype(f"datetime64[{unit}]") for unit in ("D", "h", "s", "ns")),
        DAY.dt.tz_localize("UTC"),
        DAY.dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"),
        [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)],
        [date(2020, 1, 2), date(2020, 1, 1)],
        ["2020-01-02", "2020-01-01"],
        pa.array([SECONDS[1] * 10**6, SECONDS[0] * 10**6], pa.timestamp("us")),
        *(np.array([SECONDS[1], SECONDS[0]]) * 10**digits for digits in (0, 3, 6, 9)),
        pd.array([SECONDS[1], SECONDS[0]], dtype="Int64"),
        np.array([SECONDS[1], SECONDS[0]], dtype=np.float64),
    ],
    ids=lambda times: f"{type(times).__name__} {getattr(times, 'dtype', '')}",
)
def test_times_of_every_type_and_unit_are_unix_seconds(times: Any) -> None:
    log = Interactions.from_columns([1, 1], [5, 6], times=times)
    assert (log.time.tolist(), log.items.ids[log.item_num].tolist(), log.clock) == (SECONDS, [6, 5], "seconds")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (np.array([2**63 + 5, 7], dtype=np.uint64), ["7", str(2**63 + 5)]),
        (np.array([10**17, 7], dtype=np.uint64), [7, 10**17]),
        (pd.array([2, 1], dtype="Int64"), [1, 2]),
        (pd.Series([2, 1], dtype="Float64"), [1, 2]),
        ([2.0, 1.0], [1, 2]),
        ([" 2", 2], [2]),
        ([2.5, 1.0], ["1", "2.5"]),
        (["b", 7], ["7", "b"]),
        (range(2), [0, 1]),
        (pd.Series(["1", "02"]), ["02", "1"]),
    ],
    ids=repr,
)
def test_ids_of_every_type(ids: Any, expected: list[Any]) -> None:
    log = Interactions.from_columns(["u", "v"], ids)
    assert log.items.ids.tolist() == expected
    assert log.item_num.min() >= 0


def test_columns_and_csv_give_the_same_log(tmp_path: Path) -> None:
    columns = {
        "user": ["u1 ", "u1", "07"],
        "item": [3, 4, 3],
        "rating": [True, False, True],
        "time": ["2020", "2021", "2022"],
    }
    frame = pd.DataFrame(columns)
    frame["time"] += "-01-01 00:00:00 UTC"
    frame.to_csv(tmp_path / "log.csv", index=False)
    log = Interactions.from_columns(frame["user"], frame["item"], frame["rating"], frame["time"])
    assert log.fingerprint == read_log(tmp_path / "log.csv").fingerprint == Interactions.from_pandas(frame).fingerprint
    assert log.value.tolist() == [1, 1, 0]


@pytest.mark.parametrize("clock", ["order", "period", "none"])
def test_times_of_other_clocks_are_whole_numbers_as_they_are(clock: Any) -> None:
    log = Interactions.from_columns([1, 1], [5, 6], times=[10**12, 3], clock=clock)
    assert (log.time.tolist(), log.clock) == ([3, 10**12], clock)


@pytest.mark.parametrize("other", [1600000000, 1600000000.5, timedelta(days=1)], ids=repr)
@pytest.mark.parametrize("first", [pd.Timestamp("2020-01-01"), datetime(2020, 1, 1), date(2020, 1, 1)], ids=repr)
def test_moments_beside_numbers_are_refused_with_their_row(first: Any, other: Any) -> None:
    for times in ([first, other], [other, first]):
        with pytest.raises(DataError, match=r"column 'times?', row \d: time '.*' (is in|cannot be read)"):
            Interactions.from_columns([1, 2], [1, 2], times=times)
        with pytest.raises(DataError, match=r"column 'times?', row \d: time '.*' (is in|cannot be read)"):
            Interactions.from_pandas(pd.DataFrame({"user": [1, 2], "item": [1, 2], "time": times}))


def test_dates_beside_datetimes_keep_the_hours() -> None:
    times: Any = [date(2020, 1, 1), datetime(2020, 1, 2, 5)]
    log = Interactions.from_columns([1, 1], [5, 6], times=times)
    assert log.time.tolist() == [SECONDS[0], SECONDS[1] + 5 * 3600]


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_durations_are_no_times(unit: str) -> None:
    durations: Any = np.array([5, 7], dtype=f"timedelta64[{unit}]")
    message = r"column 'times?' has type duration.*cannot be used as time"
    with pytest.raises(DataError, match=message):
        Interactions.from_columns([1, 2], [1, 2], times=durations)
    with pytest.raises(DataError, match=message):
        Interactions.from_pandas(pd.DataFrame({"user": [1, 2], "item": [1, 2], "time": durations}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"users": None}, "users is None; give one user id for each event"),
        ({"items": None}, "items is None; give one item id for each event"),
        ({"users": [[1], [2, 3]]}, "users is no column but list"),
        ({"users": np.array([(1, 2), (2, 3)], dtype=[("a", int), ("b", int)])}, "users is no column but ndarray"),
        ({"users": ["\ud800", "u1"]}, "column 'users', row 0: undecodable text"),
        ({"items": np.array(["u1", "\ud800"], dtype=object)}, "column 'items', row 1: undecodable text"),
        ({"times": ["2020-01-01", "\ud800"]}, "column 'times', row 1: time"),
        ({"times": [1, 2], "clock": "foo"}, "clock is 'foo'; it must be one of seconds, order"),
        ({"users": ["a\0", "a"]}, r"column 'users', row 0: user id 'a\\x00' holds a NUL character; remove it"),
        ({"items": ["a", "a\0b"]}, r"column 'items', row 1: item id 'a\\x00b' holds a NUL"),
    ],
    ids=repr,
)
def test_misuse_is_an_error_of_the_library(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(RecsysError, match=message):
        Interactions.from_columns(**{"users": [1, 2], "items": [1, 2]} | columns)


def test_an_unknown_clock_is_a_setting() -> None:
    with pytest.raises(ConfigError):
        Interactions.from_columns([1], [1], times=[1], clock="foo")  # type: ignore[arg-type]
