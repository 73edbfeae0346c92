"""A DataFrame gives the log that a file with its content gives, whatever the types of its columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.errors import DataError

Convert = Callable[["pd.Series[Any]"], "pd.Series[Any]"]

TEXT_TYPES: list[Convert] = [
    lambda column: column.astype(object),
    lambda column: column.astype("string"),
    lambda column: column.astype("category"),
    lambda column: column.astype(pd.ArrowDtype(pa.string())),
    lambda column: column.astype(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.large_string()))),
]
INTEGER_TYPES: list[Convert] = [
    *(lambda column, kind=kind: column.astype(kind) for kind in ("int64", "uint16", "Int64", "category", object)),
    lambda column: column.astype(pd.ArrowDtype(pa.int64())),
    lambda column: column.astype(str),
]
VALUE_TYPES: list[Convert] = [
    *(lambda column, kind=kind: column.astype(kind) for kind in ("float64", "float32", "Float64", object)),
    lambda column: column.astype(pd.ArrowDtype(pa.float32())),
    lambda column: column.map(lambda number: Decimal(str(number))),
]
TIME_TYPES: list[Convert] = [
    lambda column: column,
    lambda column: column.astype("Int64"),
    lambda column: column * 1000 + 999,
    *(
        lambda column, unit=unit: pd.to_datetime(column, unit="s").astype(f"datetime64[{unit}]")
        for unit in ("s", "ms", "us", "ns")
    ),
    lambda column: pd.to_datetime(column, unit="s", utc=True),
    lambda column: pd.to_datetime(column, unit="s", utc=True).dt.tz_convert("Asia/Kolkata"),
    lambda column: pd.to_datetime(column, unit="s", utc=True).dt.tz_convert("America/New_York").astype(object),
    lambda column: pd.to_datetime(column, unit="s").astype(pd.ArrowDtype(pa.timestamp("ms"))),
    lambda column: pd.to_datetime(column, unit="s").dt.strftime("%Y-%m-%dT%H:%M:%S"),
]

EVENT = st.tuples(
    st.integers(0, 5), st.integers(0, 5), st.integers(1, 10).map(lambda half: half / 2), st.integers(10**8, 2 * 10**9)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(EVENT, min_size=1, max_size=20),
    texts=st.booleans(),
    types=st.tuples(
        st.sampled_from(INTEGER_TYPES),
        st.sampled_from(TEXT_TYPES),
        st.sampled_from(VALUE_TYPES),
        st.sampled_from(TIME_TYPES),
    ),
)
def test_frame_and_csv_give_the_same_log(
    events: list[tuple[int, int, float, int]],
    texts: bool,
    types: tuple[Convert, Convert, Convert, Convert],
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame(events, columns=["userId", "movieId", "rating", "timestamp"])
    frame["title"] = frame["movieId"].map(lambda number: f"Title, {number}")
    frame["genres"] = frame["movieId"].map(lambda number: "Drama|War" if number % 2 else "Comedy")
    if texts:
        frame["movieId"] = frame["movieId"].map(lambda number: f" 0{number} é")
    integers, strings, values, times = types
    frame["userId"] = integers(frame["userId"])
    frame["movieId"] = strings(frame["movieId"]) if texts else integers(frame["movieId"])
    frame["rating"], frame["timestamp"] = values(frame["rating"]), times(frame["timestamp"])
    frame.to_csv(tmp_path / "log.csv", index=False)
    expected = read_log(tmp_path / "log.csv", Columns(title="title", genres="genres"))
    log = Interactions.from_pandas(frame, name="log.csv")
    assert log.fingerprint == expected.fingerprint
    assert (log.clock, log.name, log.metadata) == (expected.clock, expected.name, expected.metadata)
    assert log.users.is_integer
    assert log.items.is_integer is not texts


FRAME = pd.DataFrame(
    {"user": ["b", "a", "a"], "item": [7, 7, 9], "rating": [3.0, 4.0, 5.0], "timestamp": [50, 90, 20]},
    index=["x", "y", "z"],
)


def events_of(log: Interactions) -> list[tuple[Any, ...]]:
    return list(
        zip(
            log.users.ids[log.user_num].tolist(),
            log.items.ids[log.item_num].tolist(),
            log.value.tolist(),
            log.time.tolist(),
            strict=True,
        )
    )


EVENTS = [("a", 9, 5.0, 20), ("a", 7, 4.0, 90), ("b", 7, 3.0, 50)]


def test_declared_columns() -> None:
    frame = FRAME.set_axis(["who", "what", "mark", "when"], axis=1)
    log = Interactions.from_pandas(frame, user="who", item="what", value="mark", time="when", name="mine")
    assert events_of(log) == EVENTS
    assert (log.name, log.clock) == ("mine", "seconds")
    declared = Columns(user="who", item="what", value="mark", order="when", value_range=(3, 5))
    assert Interactions.from_pandas(frame, columns=declared).clock == "order"
    assert events_of(Interactions.from_pandas(frame, user="who", columns=declared)) == EVENTS


def test_user_and_item_suffice() -> None:
    log = Interactions.from_pandas(FRAME[["user", "item"]])
    assert (log.clock, log.value.tolist(), log.metadata.titles) == ("none", [1.0] * 3, ("7", "9"))


def test_frame_is_not_changed() -> None:
    before = FRAME.copy()
    Interactions.from_pandas(FRAME)
    pd.testing.assert_frame_equal(FRAME, before)


def test_repeats_follow_the_policies_of_files() -> None:
    frame = pd.concat([FRAME, FRAME.iloc[:1], FRAME.iloc[:1].assign(timestamp=60)])
    assert len(Interactions.from_pandas(frame)) == 3
    assert len(Interactions.from_pandas(frame, columns=Columns(re_ratings="keep"))) == 4
    assert len(Interactions.from_pandas(frame, columns=Columns(duplicates="keep", re_ratings="keep"))) == 5
    with pytest.raises(DataError, match=r"DataFrame, row 3: this row repeats an earlier event exactly"):
        Interactions.from_pandas(frame, columns=Columns(duplicates="error"))


def test_whole_floats_are_integer_ids() -> None:
    assert Interactions.from_pandas(FRAME.assign(item=[7.0, 7.0, 9.0])).items.ids.tolist() == [7, 9]


def test_ids_of_several_types_are_texts() -> None:
    assert Interactions.from_pandas(FRAME.assign(item=[7, "b", 9])).items.ids.tolist() == ["7", "9", "b"]


def test_times_before_1970_and_dates() -> None:
    frame = FRAME.assign(timestamp=[date(1969, 12, 31), date(1970, 1, 2), date(1960, 1, 1)])
    seconds = [int((datetime(1960, 1, 1) - datetime(1970, 1, 1)).total_seconds()), 86_400, -86_400]
    assert Interactions.from_pandas(frame).time.tolist() == seconds
    fraction = FRAME.assign(timestamp=pd.to_datetime(["1970-01-01T00:00:00.9"] * 3))
    assert Interactions.from_pandas(fraction).time.tolist() == [0, 0, 0]


def test_genres_as_lists_and_missing_descriptions() -> None:
    described: dict[str, Any] = {"title": ["Seven", None, "Nine"], "genres": [["War", "Drama"], ["War", "Drama"], None]}
    metadata = Interactions.from_pandas(FRAME.assign(**described)).metadata
    assert (metadata.titles, metadata.genres) == (("Seven", "Nine"), (("War", "Drama"), ()))


def test_of_several_titles_the_most_frequent_is_taken() -> None:
    frame = pd.DataFrame({"user": [1, 2, 3], "item": [5, 5, 5], "title": ["B", "A", "A"]})
    assert Interactions.from_pandas(frame).metadata.titles == ("A",)


@pytest.mark.parametrize(
    ("column", "values", "fault"),
    [
        ("user", ["b", None, "a"], "column 'user', row 1: blank user id ''; fill it in or delete the row"),
        ("user", ["b", np.nan, "a"], "column 'user', row 1: blank user id ''"),
        ("user", ["b", " ", "a"], "column 'user', row 1: blank user id ''"),
        ("item", [7.0, np.nan, 9.0], "column 'item', row 1: blank item id ''"),
        ("item", pd.array([7, 9, None], dtype="Int64"), "column 'item', row 2: blank item id ''"),
        ("item", pd.Categorical(["a", None, "b"]), "column 'item', row 1: blank item id ''"),
        ("rating", [3.0, np.nan, 5.0], "column 'rating', row 1: blank rating ''; fill it in, or declare"),
        ("rating", [3.0, np.inf, 5.0], "column 'rating', row 1: rating 'inf' is not a finite number"),
        ("rating", ["3", "good", "5"], "column 'rating', row 1: rating 'good' is not a number; correct it"),
        ("timestamp", [50, pd.NA, 90], "column 'timestamp', row 1: time '' cannot be read; write Unix seconds"),
        ("timestamp", [pd.NaT, *pd.to_datetime(["2020", "2021"])], "column 'timestamp', row 0: time '' cannot be"),
        ("timestamp", [50, 10**12, 90], "row 1: time '1000000000000' is in milliseconds where the file has seconds"),
        (
            "timestamp",
            pd.period_range("2020", periods=3),
            "column 'timestamp' has type .*, which cannot be used as time",
        ),
        ("item", [{"a": 1}, {"a": 2}, {"a": 3}], "column 'item' has type struct.*, which cannot be used as item"),
    ],
)
def test_bad_value_is_an_error_with_column_row_and_cure(column: str, values: Any, fault: str) -> None:
    with pytest.raises(DataError, match=f"^DataFrame.*{fault}"):
        Interactions.from_pandas(FRAME.assign(**{column: values}))


def test_blank_ratings_can_be_kept() -> None:
    frame = FRAME.assign(rating=pd.array([3.0, None, 5.0], dtype="Float64"))
    log = Interactions.from_pandas(frame, columns=Columns(blank_values="keep"))
    np.testing.assert_array_equal(log.value, np.array([5, np.nan, 3], np.float32))


@pytest.mark.parametrize(
    ("frame", "columns", "fault"),
    [
        (
            FRAME.drop(columns="user"),
            Columns(),
            "no column for the user among 'item', 'rating', 'timestamp'; say which",
        ),
        (FRAME, Columns(item="itm"), "no column 'itm', as columns item=itm says; did you mean 'item'"),
        (FRAME.iloc[:0], Columns(), "it has no rows"),
        (FRAME, Columns(separator=";"), "columns separator= is for files"),
        ([1, 2], Columns(), "a DataFrame is expected, not list"),
    ],
)
def test_unusable_frames(frame: Any, columns: Columns, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        Interactions.from_pandas(frame, columns=columns)


def test_labels_are_integers_columns_sparse_and_ids_trimmed() -> None:
    frame = pd.DataFrame({0: [" a", "a", "b"], 1: pd.arrays.SparseArray([7, 8, 7])})
    log = Interactions.from_pandas(frame, user=0, item=1)
    assert (log.users.ids.tolist(), log.user_num.tolist()) == (["a", "b"], [0, 0, 1])
    assert log.items.ids[log.item_num].tolist() == [7, 8, 7]


def test_ambiguous_columns_series_and_surrogates_are_refused() -> None:
    surrogate = FRAME.assign(item=pd.Series(["a", None, "\ud800"], FRAME.index, dtype=object))
    twice = pd.concat([FRAME, FRAME["item"]], axis=1)
    for frame, names, fault in (
        (twice, dict[str, Any](), "2 columns have the name 'item'; rename all but one"),
        (FRAME, {"item": "user"}, "column 'user' is taken for user and item; say which is the item"),
        (FRAME["item"], {}, "a DataFrame is expected, not Series"),
        (
            surrogate,
            {},
            "column 'item', row 1: blank",
        ),
        (surrogate.fillna("b"), {}, "column 'item', row 2: undecodable text.*or correct the id"),
        (FRAME.assign(item=None), {}, "column 'item', row 0: blank item id ''"),
        (FRAME.rename(columns={"user": "buyer"}), {}, "say which it is with columns user=NAME$"),
    ):
        with pytest.raises(DataError, match=fault):
            Interactions.from_pandas(frame, **names)


@dataclass
class _Interchange:
    """A DataFrame that offers nothing but the interchange protocol."""

    frame: pa.Table

    def __dataframe__(self, *arguments: Any, **options: Any) -> Any:
        return self.frame.__dataframe__(*arguments, **options)


@dataclass
class _Convertible:
    """A DataFrame that can only be converted to pandas."""

    frame: pd.DataFrame

    def to_pandas(self) -> pd.DataFrame:
        return self.frame


@pytest.mark.parametrize("wrap", [pa.table, lambda frame: _Interchange(pa.table(frame)), _Convertible])
def test_frames_of_other_libraries(wrap: Callable[[pd.DataFrame], Any]) -> None:
    assert events_of(Interactions.from_pandas(wrap(FRAME))) == EVENTS


def test_polars() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    assert events_of(Interactions.from_pandas(polars.from_pandas(FRAME))) == EVENTS
