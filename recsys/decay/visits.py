"""What visits do to the weights of a history: the one that is going on, the last one before it, a long absence.

::

    events      o o oo o     o  o o        o o o o o o      . . . .       o o o  now
    visit            earlier visits        the last one     absence       the one that is going on
    weights     as the rule says           at most a cap    to all alike  a share of their own, while it lasts

A visit that goes on changes nothing of what the rule says: the past is weighed as of the moment at which it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import PAUSE
from recsys.types import DAY, Doubles, Floats, Ints, Mask

_TINY = 1e-12

HALF_WAY: Final = 6.0
"""Events of a visit that is going on that have half of its share, after a short history."""

LONG: Final = 4.0
"""After N past events half of the share is that of sqrt(N / LONG) events, if these are more than `HALF_WAY`."""


def visits_since(queries: Queries, pause: float = PAUSE) -> Ints:
    """Return the visits since each event, "events": 0 of the one that is going on, 1 of the last one that is over.

    A visit goes on until nothing happens for a pause (`recsys.data.sessions`).

    Args:
        queries: the histories.
        pause: that ends a visit, in the unit of the log's times.
    """
    times, history = queries.times, queries.history
    if len(times) == 0:
        return np.zeros(0, np.int64)
    # The gap to the next event; of the newest event, to now.
    gap = np.append(np.diff(times), 0)
    nonempty = history.lengths > 0
    gap[history.indptr[1:][nonempty] - 1] = (queries.now - times[np.maximum(history.indptr[1:] - 1, 0)])[nonempty]
    pauses = np.append(0, np.cumsum(gap >= pause))
    return np.asarray(pauses[np.repeat(history.indptr[1:], history.lengths)] - pauses[:-1])


def going_on(queries: Queries, pause: float = PAUSE) -> Mask:
    """Return which events belong to the visit that is going on at the moment of the query, "events"."""
    return np.asarray(visits_since(queries, pause) == 0)


def past_events(queries: Queries) -> int:
    """Return how many events of a single history are older than the visit that is going on."""
    times = queries.times
    if len(times) == 0 or queries.now[0] - times[-1] >= PAUSE:
        return len(times)
    pauses = np.flatnonzero(np.diff(times) >= PAUSE)
    return int(pauses[-1]) + 1 if len(pauses) else 0


def before_visit(queries: Queries, visit: Mask) -> Queries:
    """Return the queries as of the moment when the visit began, where one is going on; the others as they are.

    Args:
        queries: the histories.
        visit: "events", those of the visit that is going on.
    """
    if not visit.any():
        return queries
    indptr, number = queries.history.indptr, np.bincount(queries.history.rows, visit, len(queries)).astype(np.int64)
    began = queries.times[np.minimum(indptr[1:] - number, len(queries.times) - 1)]
    return queries.keep(~visit).at(np.where(number > 0, began, queries.now))


@final
@dataclass(frozen=True)
class VisitWeights:
    """How weights depend on visits, in logs whose times are seconds.

    Args:
        share: what part of the weights the visit that is going on has, if it is long, in [0, 1]; 0: its events are
            events like any other.
        last: the most that the last visit that is over has, if it is long, until the next one confirms it, in [0, 1];
            1: no bound.
        absence_days: after so many days without an event half of the weight is that of all events alike; 0: never.

    Raises:
        ConfigError: a value is out of range.
    """

    share: float = 0.8
    last: float = 0.15
    absence_days: float = 90.0

    def __post_init__(self) -> None:
        share("share", self.share)
        share("last", self.last)
        positive("absence_days", self.absence_days, zero=True)

    @property
    def acts(self) -> bool:
        """Whether any weight depends on visits."""
        return self.share > 0 or self.last < 1 or self.absence_days > 0

    def of_past(self, past: Queries, weights: Floats) -> Doubles:
        """Return the weights of a past at the beginning of a visit, "events", float64; those of a history sum to 1.

            the last visit's part p of the weights becomes at most
                max(last, n / N, the part of its newest event)      n of N events; nothing changes if n = N
            w'_j = a w_j / sum w + (1 - a) / N,      a = 1 / (1 + (time since the newest event / absence_days)^2)

        One visit that is unlike all before it, as a guest's, changes the next list a little. A taste that lasts is
        confirmed by the next visit: then the earlier one is no longer the last. It never counts less than if all
        events counted alike.

        After a long absence nothing tells which of the former tastes is back, and all of the past counts.

        Args:
            past: without a visit that is going on, see `before_visit`.
            weights: "events", those of the rule.
        """
        history = past.history
        rows, lengths = history.rows, history.lengths
        of = weights.astype(np.float64)
        of /= np.maximum(history.sum(of), _TINY)[rows]
        if len(of) == 0:
            return of
        if self.last < 1.0:
            last = visits_since(past) == 1
            number, part, newest = history.sum(last), history.sum(of * last), np.zeros(len(past))
            np.maximum.at(newest, rows, of * last)
            most = np.maximum(np.maximum(self.last, number / np.maximum(lengths, 1)), newest)
            held = (part > most) & (number < lengths)
            if held.any():
                factor = np.where(held, most / np.maximum(part, _TINY), 1.0)
                others = np.where(held, (1.0 - most) / np.maximum(1.0 - part, _TINY), 1.0)
                of *= np.where(last, factor[rows], others[rows])
        if self.absence_days:
            newest_time = past.times[np.maximum(history.indptr[1:] - 1, 0)]
            away = np.where(lengths > 0, np.maximum(past.now - newest_time, 0), 0) / (self.absence_days * DAY)
            stays = 1.0 / (1.0 + away * away)
            of = of * stays[rows] + ((1.0 - stays) / np.maximum(lengths, 1))[rows]
        return of

    def with_visit(self, history: Ragged, visit: Mask, past: Doubles) -> Floats:
        """Return the weights of histories, "events", scaled to max 1.

            w_j = (1 - s) w'_j      of the past,    s / n      of the visit,
            s = share n^2 / (n^2 + max(36, N / 4))

        n is the number of events of the visit, N of the past; without a past s = 1. So one event moves a list hardly,
        and ten of a new taste move it visibly, less after a long history, of whose events each one has little weight;
        at the next visit nothing of the share is left.

        Args:
            history: past and visit.
            visit: "events", those of the visit that is going on.
            past: "events of the past", weights that sum to 1.
        """
        rows, number = history.rows, history.sum(visit)
        share = np.where(number == history.lengths, 1.0, self._share_of_visit(number, history.lengths - number))
        mixed = np.empty(len(visit))
        mixed[~visit] = past
        mixed *= (1.0 - share)[rows]
        mixed[visit] = (share / np.maximum(number, 1.0))[rows[visit]]
        largest = np.full(len(history), _TINY)
        np.maximum.at(largest, rows, mixed)
        return np.asarray(mixed / largest[rows], np.float32)

    def with_one_visit(self, past: Doubles, number: int) -> Floats:
        """Return what `with_visit` does for a single history, whose newest `number` events are of the visit.

        It takes a tenth of the time: a list is made anew after every event of a visit.
        """
        count = len(past)
        if number == 0:
            return np.asarray(past / max(float(past.max(initial=_TINY)), _TINY), np.float32)
        share = float(self._share_of_visit(number, count)) if count else 1.0
        mixed = np.empty(count + number)
        np.multiply(past, 1.0 - share, out=mixed[:count])
        mixed[count:] = share / number
        return np.asarray(mixed / max(float(mixed.max()), _TINY), np.float32)

    def _share_of_visit(self, number: npt.ArrayLike, past: npt.ArrayLike) -> Doubles:
        """Return what part of the weights so many events have that follow so many others."""
        square = np.square(np.asarray(number, np.float64))
        return np.asarray(self.share * square / (square + np.maximum(HALF_WAY**2, np.asarray(past) / LONG)))
