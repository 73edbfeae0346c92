"""Statistics of logs small enough to count by hand, and their pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.data.catalogue import datasets
from recsys.data.inspection import draw_log, inspect, user_spans
from recsys.data.interactions import Clock, Interactions
from recsys.data.readers.columns import Columns
from recsys.errors import DataError
from recsys.types import DAY

# User 1: an exact duplicate and a re-rating over two days; user 2: one day; user 3: ten seconds around midnight.
LOG = Interactions.from_columns(
    [1, 1, 1, 2, 2, 3, 3],
    ["a", "a", "a", "a", "b", "b", "c"],
    [4, 4, 5, 3, np.nan, 3, 3],
    [0, 0, 2 * DAY, 10, 20, DAY - 5, DAY + 5],
)


def test_statistics_counted_by_hand() -> None:
    summary = inspect(LOG)
    assert (summary.events, summary.users, summary.items, summary.clock) == (7, 3, 3, "seconds")
    assert summary.density == pytest.approx(5 / 9)
    assert (summary.exact_duplicates, summary.re_ratings) == (1, 1)
    assert summary.training_events == 5
    for policies, left in ((Columns(re_ratings="keep"), 6), (Columns(duplicates="keep", re_ratings="keep"), 7)):
        assert inspect(LOG, policies).training_events == left
    assert summary.events_per_user == {"min": 2, "p25": 2, "median": 2, "p75": 2.5, "p90": pytest.approx(2.8), "max": 3}
    assert summary.events_per_item["max"] == 4
    assert (summary.begin, summary.end, summary.span) == ("1970-01-01T00:00:00Z", "1970-01-03T00:00:00Z", 2.0)
    assert summary.span_per_user is not None
    assert summary.span_per_user["median"] == pytest.approx(10 / DAY)
    assert summary.one_day_users == pytest.approx(1 / 3)
    assert summary.values == {"3": 3, "4": 2, "5": 1}
    assert summary.blank_values == 1
    assert (summary.titles, summary.genres, summary.tags) == (False, False, False)


def test_to_dict_is_json() -> None:
    assert json.loads(json.dumps(inspect(LOG).to_dict()))["re_ratings"] == 1


@pytest.mark.parametrize(("clock", "span"), [("period", 4.0), ("order", None), ("none", None)])
def test_only_comparable_times_have_a_span(clock: Clock, span: float | None) -> None:
    summary = inspect(Interactions.from_columns([1, 1, 2], [1, 2, 1], times=[1, 5, 2], clock=clock))
    assert summary.span == span
    assert summary.begin == (None if span is None else 1)
    assert (summary.span_per_user is None) is (span is None)
    assert summary.one_day_users is None


def test_many_values_are_counted_in_ranges() -> None:
    values = np.linspace(0, 1, 1000)
    summary = inspect(Interactions.from_columns(np.arange(1000), np.arange(1000), values))
    assert len(summary.values) == 32
    assert sum(summary.values.values()) == 1000


def test_users_without_events_do_not_count() -> None:
    part = LOG.select(LOG.user_num != 1)
    assert inspect(part).users == 2
    assert user_spans(part).tolist() == [2 * DAY, 10]


def test_log_without_events_is_an_error() -> None:
    with pytest.raises(DataError, match="has no events"):
        inspect(LOG.select(np.zeros(len(LOG), np.bool_)))


@pytest.mark.parametrize("clock", ["seconds", "period", "order", "none"])
def test_picture_is_written_whole(clock: Clock, tmp_path: Path) -> None:
    log = Interactions.from_columns([1, 1, 2], [1, 2, 1], [1, 2, 3], [10**9, 10**9 + DAY, 10**9], clock=clock)
    path = draw_log(log, tmp_path / "pictures" / "log.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.rstrip().endswith(b"IEND\xaeB`\x82")
    assert [entry.name for entry in path.parent.iterdir()] == ["log.png"]


def test_what_can_be_told_of_the_reliability_of_ratings() -> None:
    log = Interactions.from_columns(
        [1, 1, 1, 1, 1, 2, 2, 2, 2, 2],
        ["a", "a", "a", "b", "b", "a", "a", "b", "b", "c"],
        [4, 4, 2, 3, 3, 5, 1, 2, 4, 3],
        [0, 9, 12, 3, 4, 5, 6, 7, 7, 8],
    )
    summary = inspect(log)
    # 1 rated a again alike (then otherwise) and b alike, 2 rated a otherwise; two ratings at one time are no repeat.
    assert summary.rated_again == 3
    assert summary.equal_again == pytest.approx(2 / 3)
    assert "3 second ratings, 67% of them equal" in summary.reliability
    assert "the order of the sitting" in summary.reliability
    assert (summary.conditions, summary.across_conditions) == ({}, 0)
    codes = np.array([0, 1, 0, 0, 0, 1, 1, 0, -1, 0], np.int32)
    said = inspect(replace(log, conditions=codes, condition_names=("desk", "phone")))
    assert said.conditions == {"": 1, "desk": 6, "phone": 3}
    assert said.across_conditions == 2
    assert "conditions" in said.reliability
    assert json.loads(json.dumps(said.to_dict()))["conditions"]["phone"] == 3


def test_of_a_log_without_ratings_or_times_little_is_told() -> None:
    uses = inspect(Interactions.from_columns([1, 1], ["a", "b"]))
    assert (uses.rated_again, uses.equal_again) == (0, None)
    assert uses.reliability.startswith("nothing of ratings")
    untimed = inspect(Interactions.from_columns([1, 1], ["a", "a"], [4, 5]))
    assert (untimed.rated_again, untimed.equal_again) == (0, None)
    assert untimed.reliability.endswith("no condition of an answer is known")


def test_blank_values_alone_can_be_drawn(tmp_path: Path) -> None:
    assert draw_log(Interactions.from_columns([1], [1], [np.nan]), tmp_path / "log.png").stat().st_size > 1000


def test_share_of_one_day_users_of_a_real_log(real_log_path: Callable[[str], Path]) -> None:
    summary = inspect(datasets.load("ml-latest-small", root=real_log_path("ml-latest-small.zip").parent))
    assert summary.one_day_users == pytest.approx(0.55, abs=0.005)
    assert (summary.titles, summary.genres, summary.tags) == (True, True, True)
