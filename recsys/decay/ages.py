"""Ages of the events of a history, on the clocks that forgetting can run on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from recsys.checks import choice, positive
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Mask

AgeClock = Literal["time", "events"]
"""What age is counted in: the unit of the log's times, or the user's own events that happened since."""


def check_clock(clock: AgeClock | None, log_clock: str) -> None:
    """Refuse to count ages in time on a log whose times are positions.

    Raises:
        ConfigError: `clock` is "time", and no time passes on the clock of the log.
    """
    if clock == "time" and log_clock not in ("seconds", "period"):
        raise ConfigError(
            f"clock is 'time', and the log has clock {log_clock!r}, on which no time passes; use clock 'events'"
        )


def ages(queries: Queries, clock: AgeClock, event_age: Doubles | None = None) -> Doubles:
    """Return the age of every event of the histories on a clock, "events" >= 0; equal times have equal ages.

    Args:
        queries: the histories.
        clock: what ages are counted in.
        event_age: "events", takes the place of `event_ages`.

    Raises:
        ConfigError: an unknown clock.
        ValueError: on the clock "events", a history that is not sorted by time.
    """
    choice("clock", clock, AgeClock)
    if clock == "time":
        return time_ages(queries)
    return event_ages(queries) if event_age is None else event_age


def time_ages(queries: Queries) -> Doubles:
    """Return now - time, "events", in the unit of the log's times: seconds, periods, or positions in a log of orders.

    An event that is not earlier than `now`, as splits that leak time have them, has age 0.
    """
    return np.maximum(queries.ages, 0).astype(np.float64)


def event_ages(queries: Queries) -> Doubles:
    """Return how many events of the same history are strictly later, "events".

    The newest event has age 0, and so has every event of its time: equal times have the age of the youngest of them,
    so that their order, which a log does not know, changes nothing. Unknown items are events like any other.

    Raises:
        ValueError: a history is not sorted by time, oldest first.

    >>> event_ages(Queries.from_history([[7, 8, 9, 7], []], times=[[1, 2, 2, 5], []])).tolist()
    [3.0, 1.0, 1.0, 0.0]
    """
    return queries.later.astype(np.float64)


def newest(queries: Queries) -> Mask:
    """Return which events have no later one in their history, "events"; several where they have the same time."""
    return np.asarray(event_ages(queries) == 0)


FEATURES = ("log_events", "log_median_gap", "share_of_last_day", "log_spread")


def history_features(queries: Queries, day: float = DAY) -> Doubles:
    """Return simple statistics of when a history happened, "queries features", also for users never met.

    Names are `FEATURES`: log(1 + number of events); log(1 + median gap between consecutive events), 0 of equal times
    included; share of the events within one day of the newest; log(1 + standard deviation of the times). All four are
    0 for an empty history, none changes when all times are shifted.

    Args:
        queries: the questions.
        day: a day in the unit of the log's times; 1 where the unit is a period.

    Raises:
        ConfigError: `day` is not positive.
    """
    positive("day", day)
    history, rows = queries.history, queries.history.rows
    count = history.lengths.astype(np.float64)
    some = np.maximum(count, 1.0)
    age = queries.times[np.maximum(history.indptr[1:] - 1, 0)][rows] - queries.times if len(rows) else np.zeros(0)
    mean = history.sum(age) / some
    variance = history.sum((age - mean[rows]) ** 2) / some
    recent = history.sum(age <= day) / some
    return np.stack([np.log1p(count), np.log1p(_median_gap(queries)), recent, np.log1p(np.sqrt(variance))], axis=1)


def _median_gap(queries: Queries) -> Doubles:
    """Return the median time between consecutive events, "queries"; 0 with fewer than two events."""
    rows = queries.history.rows
    inner = np.flatnonzero(rows[1:] == rows[:-1])
    row, gap = rows[inner], np.diff(queries.times)[inner].astype(np.float64)
    gap = gap[np.lexsort((gap, row))]
    count = np.bincount(row, minlength=len(queries))
    start = np.cumsum(count) - count
    has = count > 0
    median = np.zeros(len(queries))
    median[has] = (gap[(start + (count - 1) // 2)[has]] + gap[(start + count // 2)[has]]) / 2
    return median
