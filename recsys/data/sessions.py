"""Sessions: the visits of a user, divided by pauses; and the occasions on which a question is asked.

::

    user 1   o oo   o . . . . . . . . o o  . . . . . . .  o          o  event, .  an hour without any
    session  0 00   0                 1 1                 2          a pause of 12 hours or more begins a new session
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits.names import ASKS, Ask
from recsys.errors import ConfigError, DataError, nearest
from recsys.types import DAY, HOUR, Ints, Items, Mask

__all__ = ["ASKS", "PAUSE", "Ask", "came_back", "default_ask", "next_visits", "occasions", "sessions", "users_per_span"]

PAUSE: Final = 12 * HOUR
"""Seconds without an event after which the next one begins a new session."""


def next_visits(log: Interactions, users: Items) -> Ints:
    """Return, "users", the first moment at which each user's next visit can begin, after all events; 0 without events.

    A pause after the last event; one unit after it where times are not seconds.
    """
    stop = log.indptr[users + 1]
    has_events = stop > log.indptr[users]
    moments = np.zeros(len(users), np.int64)
    moments[has_events] = log.time[stop[has_events] - 1] + (PAUSE if log.clock == "seconds" else 1)
    return moments


def sessions(log: Interactions, pause: int = PAUSE) -> Ints:
    """Return the session of every event.

    The first event of a user begins session 0; an event that comes `pause` seconds or more after the user's former one
    begins the next session. So on a log whose times are dates each day is a session, with any pause up to a day; on a
    clock of periods each period is one, whatever the pause.

    Args:
        log: with times.
        pause: in seconds, at least 1.

    Returns:
        "events", int64: the number of the session in its user's history, from 0.

    Raises:
        DataError: the log has no times of which a pause could be measured.
        ConfigError: the pause is below a second.

    >>> log = Interactions.from_columns([1, 1, 1, 2], [5, 6, 7, 5], times=[0, 9 * HOUR, 21 * HOUR, 7])
    >>> sessions(log).tolist(), sessions(log, 2 * HOUR).tolist()
    ([0, 0, 1, 0], [0, 1, 2, 0])
    """
    if pause < 1:
        raise ConfigError(f"pause is {pause}; it must be at least 1 second")
    if not log.has_time:
        raise DataError(
            f"{log.name} has clock {log.clock!r}: without times there are no pauses, and so no sessions; name the "
            "column of times (--columns time=NAME), or ask before each event (ask 'event')"
        )
    gap = pause if log.clock == "seconds" else 1
    begins = np.zeros(len(log), np.bool_)
    begins[1:] = (log.user_num[1:] == log.user_num[:-1]) & (np.diff(log.time) >= gap)
    return _since_first(np.cumsum(begins), log)


def occasions(log: Interactions, ask: Ask, pause: int = PAUSE) -> Ints:
    """Return the occasion of every event: "events", ascending for each user; events of one are asked for together.

    Events of one user at one time always share an occasion, because nothing tells which of them was first.

    Raises:
        DataError: the log has no times, and something else than `ask="event"` is asked for; or it has no days.
        ConfigError: `ask` is none of `ASKS`, or the pause is below a second.
    """
    if ask not in ASKS:
        raise ConfigError(f"ask is {ask!r}{nearest(ask, ASKS)}; it must be one of {', '.join(ASKS)}")
    if ask == "event":
        return log.time
    if ask == "session":
        return sessions(log, pause)
    if log.clock != "seconds":
        raise DataError(f"{log.name} has clock {log.clock!r}, which knows no days; ask 'session' or 'event'")
    return log.time // DAY


def default_ask(log: Interactions) -> Ask:
    """Return when the question is asked unless a caller says otherwise: by sessions wherever the log has times."""
    return "session" if log.has_time else "event"


SPANS: Final = {"less than a day": DAY, "less than a week": 7 * DAY, "less than a month": 30 * DAY}
"""Upper ends, in seconds, of the groups of `users_per_span`; the last group is "longer"."""


def came_back(log: Interactions) -> Mask:
    """Return "users": whether a user has an event a day or more after the first one; on a clock of periods, a period.

    The others were there for one visit, and nothing about them can show how a taste lasts or moves.
    """
    back = np.zeros(log.n_users, np.bool_)
    active = np.flatnonzero(np.diff(log.indptr))
    back[active] = spans(log) >= (DAY if log.clock == "seconds" else 1)
    return back


def spans(log: Interactions) -> Ints:
    """Return "users with events", int64: last minus first time of each user."""
    active = np.flatnonzero(np.diff(log.indptr))
    return np.asarray(log.time[log.indptr[active + 1] - 1] - log.time[log.indptr[active]])


def users_per_span(log: Interactions) -> dict[str, int]:
    """Return how many users have one event, and of the others how many stay how long, from first to last event.

    On another clock than seconds there is one group of others, "more".

    >>> users_per_span(Interactions.from_columns([1, 2, 2, 3, 3], [0] * 5, times=[0, 0, 5, 0, 40 * DAY]))
    {'one event': 1, 'less than a day': 1, 'less than a week': 0, 'less than a month': 0, 'longer': 1}
    """
    counts = np.diff(log.indptr)
    stay = spans(log)[counts[counts > 0] > 1]
    single = {"one event": int((counts == 1).sum())}
    if log.clock != "seconds":
        return single | {"more": len(stay)}
    group = np.searchsorted(np.asarray([*SPANS.values()]), stay, side="right")
    return single | dict(zip([*SPANS, "longer"], np.bincount(group, minlength=len(SPANS) + 1).tolist(), strict=True))


def _since_first(number: Ints, log: Interactions) -> Ints:
    """Return numbers that ascend over the log, counted from the first event of each user."""
    first = log.indptr[:-1]
    base = np.zeros(log.n_users, np.int64)
    active = np.diff(log.indptr) > 0
    base[active] = number[first[active]]
    return np.asarray(number - base[log.user_num], dtype=np.int64)
