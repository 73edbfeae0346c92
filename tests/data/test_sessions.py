"""Tests of `recsys.data.sessions`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.sessions import ASKS, PAUSE, default_ask, next_visits, occasions, sessions
from recsys.errors import ConfigError, DataError
from recsys.explanations.external_ids import queries_by_id
from recsys.models import EASE
from recsys.types import DAY, HOUR


def by_a_loop(log: Interactions, pause: int) -> list[int]:
    """Sessions of a log, one event at a time."""
    numbers: list[int] = []
    last: dict[int, tuple[int, int]] = {}
    for user, time in zip(log.user_num.tolist(), log.time.tolist(), strict=True):
        former, number = last.get(user, (time, 0))
        number += time - former >= pause
        numbers.append(number)
        last[user] = time, number
    return numbers


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_sessions_are_those_of_a_loop_over_the_events(events: list[tuple[int, int]], pause: int) -> None:
    users, times = zip(*events, strict=True)
    log = Interactions.from_columns(users, range(len(events)), times=times)
    assert sessions(log, pause).tolist() == by_a_loop(log, pause)


def test_users_without_events_and_empty_logs_have_no_sessions() -> None:
    log = Interactions.from_columns([1, 2, 2], [1, 1, 2], times=[0, 5, 5 + PAUSE])
    assert sessions(log.select(log.user_num == 1)).tolist() == [0, 1]
    assert sessions(log.select(np.zeros(3, np.bool_))).tolist() == []


def test_each_date_is_a_session_and_each_period_whatever_the_pause() -> None:
    dates = Interactions.from_columns([1] * 4, range(4), times=[0, 0, DAY, 3 * DAY])
    assert sessions(dates).tolist() == [0, 0, 1, 2]
    assert sessions(dates, DAY).tolist() == [0, 0, 1, 2]
    periods = Interactions.from_columns([1] * 4, range(4), times=[3, 3, 4, 9], clock="period")
    assert sessions(periods, 30 * DAY).tolist() == [0, 0, 1, 2]


def test_an_occasion_is_a_moment_a_session_or_a_day() -> None:
    log = Interactions.from_columns([1] * 4, range(4), times=[0, 0, 20 * HOUR, 25 * HOUR])
    shared = {ask: np.diff(occasions(log, ask)) == 0 for ask in ASKS}
    assert shared["event"].tolist() == [True, False, False]
    assert shared["session"].tolist() == [True, False, True]
    assert shared["day"].tolist() == [True, True, False]


def test_sessions_are_the_default_wherever_there_are_times() -> None:
    assert default_ask(Interactions.from_columns([1], [1], times=[0])) == "session"
    assert default_ask(Interactions.from_columns([1], [1], times=[0], clock="period")) == "session"
    assert default_ask(Interactions.from_columns([1], [1], times=[0], clock="order")) == "event"


def test_logs_without_times_and_impossible_pauses_are_refused_with_the_cure() -> None:
    timeless = Interactions.from_columns([1, 1], [1, 2], name="shop")
    with pytest.raises(DataError, match=r"shop has clock 'none'.*--columns time=NAME"):
        sessions(timeless)
    ordered = Interactions.from_columns([1, 1], [1, 2], times=[0, 1], clock="order")
    with pytest.raises(DataError, match="ask 'event'"):
        sessions(ordered)
    with pytest.raises(DataError, match="knows no days"):
        occasions(ordered, "day")
    log = Interactions.from_columns([1], [1], times=[0])
    with pytest.raises(ConfigError, match="pause is 0"):
        sessions(log, 0)
    with pytest.raises(ConfigError, match="did you mean 'session'"):
        occasions(log, "sessions")  # type: ignore[arg-type]


def test_nobody_is_asked_in_a_visit_that_may_be_over() -> None:
    log = Interactions.from_columns([1, 1, 2], [1, 2, 1], times=[0, 5 * DAY, DAY])
    numbers = log.users.numbers([2, 1])
    assert next_visits(log, numbers).tolist() == [DAY + PAUSE, 5 * DAY + PAUSE]
    assert len(np.unique(sessions(log.select(log.user_num == numbers[1])))) == 2
    queries, _ = queries_by_id(EASE().fit(log), [2, 1], log=log)
    assert queries.now.tolist() == [DAY + PAUSE, 5 * DAY + PAUSE]
    assert queries.history.lengths.tolist() == [1, 2]
    asked, _ = queries_by_id(EASE().fit(log), [1], log=log, at=DAY)
    assert (asked.now.tolist(), asked.history.lengths.tolist()) == ([DAY], [1])
    ordered = Interactions.from_columns([1, 1], [1, 2], times=[0, 7], clock="order")
    assert next_visits(ordered, np.zeros(1, np.int32)).tolist() == [8]
