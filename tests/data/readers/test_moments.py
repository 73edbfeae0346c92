"""A moment given to a log follows the rules for the log's own times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys.data.interactions import Interactions
from recsys.data.readers.log import read_log
from recsys.data.readers.times import moment
from recsys.errors import DataError

SPAN = (1_600_000_000, 1_600_100_000)


@pytest.mark.parametrize(
    "value",
    [
        *(1_600_010_000 * 10**digits for digits in (0, 3, 6, 9)),
        *("1600010000", " 1600010000000", "1600010000.0", 1_600_009_999.5, np.int64(1_600_010_000), "1600009999999"),
        *("2020-09-13T15:13:20", "2020-09-13 15:13:20 UTC", "2020-09-13T17:13:20+02:00"),
        datetime(2020, 9, 13, 15, 13, 20),
        datetime(2020, 9, 13, 16, 13, 20, tzinfo=timezone(timedelta(hours=1))),
        np.datetime64("2020-09-13T15:13:20"),
        pd.Timestamp("2020-09-13T15:13:20", tz="UTC"),
    ],
    ids=repr,
)
def test_moments_in_every_unit_are_unix_seconds(value: Any) -> None:
    assert moment(value, "seconds", SPAN) == 1_600_010_000


def test_dates_may_be_before_the_log_but_numbers_are_then_in_another_unit() -> None:
    assert moment(date(1970, 1, 2), "seconds", SPAN) == 86_400
    for number in (1_600_010, "20200913", 0, -5):
        with pytest.raises(
            DataError, match=rf"time {number} is 19\d\d-.*before the log begins: it goes from 2020-09-13"
        ):
            moment(number, "seconds", SPAN)
    assert moment(SPAN[0], "seconds", SPAN) == SPAN[0]


@pytest.mark.parametrize("clock", ["order", "period", "none"])
def test_unix_times_are_no_positions(clock: str) -> None:
    assert (moment(5, clock, (0, 300)), moment("301", clock, (0, 300)), moment(2.5, clock, (0, 300))) == (5, 301, 3)
    assert moment(1_600_000_500, clock, SPAN) == 1_600_000_500
    with pytest.raises(DataError, match=rf"time 1600010000 is no {clock} of this log, whose times go from 0 to 300"):
        moment(1_600_010_000, clock, (0, 300))
    with pytest.raises(DataError, match="this log has no wall-clock time"):
        moment("2020-01-01", clock, (0, 300))


@pytest.mark.parametrize("factor", [1, 1000, 10**6])
def test_question_is_the_same_in_every_unit_of_a_log(factor: int, tmp_path: Path) -> None:
    rows = [
        (user, (user + place) % 7, (1_600_000_000 + user * 100 + place) * factor)
        for user in range(9)
        for place in range(5)
    ]
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv(tmp_path / "log.csv", index=False)
    users, items, times = zip(*rows, strict=True)
    model = recsys.train(read_log(tmp_path / "log.csv"), "ease")
    for log in (read_log(tmp_path / "log.csv"), Interactions.from_columns(users, items, times=times)):
        lists = [
            recsys.recommend(model, 3, log=log, n=5, at=at)
            for at in (1_600_000_302, 1_600_000_302_000, datetime(2020, 9, 13, 12, 31, 42, tzinfo=UTC))
        ]
        for other in lists[1:]:
            pd.testing.assert_frame_equal(lists[0], other)
        assert {3, 4} == {3, 4} - {int(item) for item in lists[0]["item_id"]}
        with pytest.raises(DataError, match="before the log begins"):
            recsys.recommend(model, 3, log=log, at=1_600_000)
