r"""What many people use, what more of them use than before, and what is new.

    popular    P_i = sum_d U_id 2^(-(T - d) / h)
    trending   Z_i = (S_i - E_i) / sqrt(E_i + 1),   S_i = sum_d U_id 2^(-(T - d) / s),
               E_i = P_i (1 - 2^(-1 / h)) / (1 - 2^(-1 / s))

U_id is how many users did something with item i on day d, other than dislike or skip it; T is the newest day with an
event; h and s are half-lives of 30 and of 2 days. An item that as many people use every day has S_i = E_i after some
half-lives h, and Z_i is by how many standard deviations S_i exceeds what such an item would have, were it a count of
Poisson; 1 is added so that a single use of a rare item is no trend. The order by P does not change as time goes by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES, NEGATIVE_KINDS
from recsys.events.store import EventStore
from recsys.types import DAY

Ranking = Literal["popular", "trending", "latest"]
"""The order of a list that is the same for everybody."""

HALF_LIFE, SHORT_HALF_LIFE = 30.0, 2.0
"""Days."""

_SECONDS: Final = 60.0
"""For how long a ranking is kept, at least; it is kept so many times longer than making it took, too."""

_TIMES: Final = 20

DailyUsers = Iterable[tuple[str, int, int]]
"""Item, day since 1970, users."""


@final
@dataclass(frozen=True)
class Rankings:
    """The two rankings by use, best first, as pairs of score and item id.

    Attributes:
        as_of: the newest day, Unix seconds of its end.
        popular, trending: see this module; trending items are those with a positive score.
    """

    as_of: int
    popular: tuple[tuple[float, str], ...] = ()
    trending: tuple[tuple[float, str], ...] = ()


def rankings(daily: DailyUsers) -> Rankings:
    """Return the rankings of items by the users of each day.

    >>> found = rankings([("old", 0, 9), ("steady", 0, 3), ("steady", 20, 3), ("new", 20, 5)])
    >>> [item for _, item in found.popular], [item for _, item in found.trending]
    (['old', 'new', 'steady'], ['new', 'steady'])
    """
    rows = sorted(daily)  # so that the sums are the same to the last bit, in whatever order the rows come
    if not rows:
        return Rankings(0)
    ids, numbers = np.unique([item for item, _, _ in rows], return_inverse=True)
    age = np.asarray([day for _, day, _ in rows], np.float64)
    newest = int(age.max())
    age, users = newest - age, np.asarray([count for _, _, count in rows], np.float64)
    ages = np.exp2(-age / HALF_LIFE), np.exp2(-age / SHORT_HALF_LIFE)
    popular, short = (np.bincount(numbers, users * weight).astype(np.float64) for weight in ages)
    expected = popular * (1 - 2 ** (-1 / HALF_LIFE)) / (1 - 2 ** (-1 / SHORT_HALF_LIFE))
    trend = (short - expected) / np.sqrt(expected + 1)
    names = ids.tolist()
    ranked = _ranked(trend, names)
    return Rankings((newest + 1) * DAY, _ranked(popular, names), tuple(one for one in ranked if one[0] > 0))


@final
class Popularity:
    """The rankings of a service: of the log of the model until the first event of the store, then of the store.

    They are made again when they are asked for, a minute after the last time at the earliest. Safe to use from several
    threads.

    Args:
        store: the events.
        log: of the model; None: the store holds it.
        clock: seconds.
    """

    def __init__(
        self, store: EventStore, log: Interactions | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._of_log: list[tuple[str, int, int]] | None = None
        self._made: Rankings | None = None
        self._until = 0.0
        self._sequence = -1

    def rankings(self) -> Rankings:
        """Return the rankings, those of a moment ago where they are young enough."""
        with self._lock:
            started = self._clock()
            if self._made is not None and started < self._until:
                return self._made
            last = self._store.last_sequence()
            if self._made is None or last != self._sequence:
                self._made, self._sequence = self._make(), last
            now = self._clock()
            self._until = now + max(_SECONDS, _TIMES * (now - started))
            return self._made

    def _make(self) -> Rankings:
        stored = self._store.daily_users()
        first = min((day for _, day, _ in stored), default=None)
        if self._of_log is None:
            self._of_log = [] if self._log is None else _daily_users(self._log)
        return rankings([*(row for row in self._of_log if first is None or row[1] < first), *stored])


def _daily_users(log: Interactions) -> list[tuple[str, int, int]]:
    """Return how many users each item of a log has each day."""
    counts = np.ones(len(log.time), np.bool_)
    if log.kinds is not None:
        counts = ~np.isin(log.kinds, [CODES[kind] for kind in NEGATIVE_KINDS])
    events = np.stack([log.item_num[counts], log.time[counts] // DAY, log.user_num[counts]]).astype(np.int64)
    found, users = np.unique(np.unique(events, axis=1)[:2], axis=1, return_counts=True)
    names = [str(item) for item in log.items.ids.tolist()]
    return [(names[item], day, count) for item, day, count in zip(*found.tolist(), users.tolist(), strict=True)]


def _ranked(scores: npt.NDArray[np.floating], names: list[str]) -> tuple[tuple[float, str], ...]:
    """Return scores and names, best first; equal ones by name."""
    order = np.lexsort((np.arange(len(names)), -scores))
    return tuple((float(scores[place]), names[place]) for place in order.tolist())
