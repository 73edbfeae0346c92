"""Lists of recommendations: the user's cached list where it is still the same, else a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.explanations import Explanation
from recsys.serving.lists.base import Listed, ListMaker
from recsys.serving.users.history import UserHistory
from recsys.serving.users.state import CachedList, UserCache, UserState

_DIGITS = 7
"""Binary digits of the time since a user's newest event: a difference of one part in 64 to 128 does not show."""


@final
class CachedLists:
    """Recommends items to users and explains them.

    Args:
        maker: of new lists.
        cache: measures the state of a user again after it has grown by a list.
    """

    def __init__(self, maker: ListMaker, cache: UserCache) -> None:
        self._maker = maker
        self._cache = cache

    def recommend(
        self, history: UserHistory, queries: Queries, state: UserState, n: int, *, exact_time: bool, details: bool
    ) -> Listed:
        """Return the n best items for a user at the moment of the queries.

        Args:
            history: of the user.
            queries: the user as one query.
            state: of the user.
            n: length of the list.
            exact_time: whether the history is read as of the very second.
            details: see `Answers.recommend`.
        """
        now = int(queries.now[0])
        moment = now if exact_time else rounded_moment(now, queries.times)
        corrections = self._maker.acting(history.corrections)
        cached = state.cached_list
        if queries.exclude is not state.queries.exclude:  # the request excludes more items
            return self._maker.make(queries, moment, state, n, corrections, details=details)
        if cached is not None and cached.answers(moment, n, corrections, details=details):
            later = now - cached.now
            items = tuple([_aged(one, later) for one in cached.items]) if later else cached.items
            return Listed(items, cached.shelves)
        listed = self._maker.make(queries, moment, state, n, corrections, details=details)
        state.cached_list = CachedList(moment, now, n, corrections, listed.items, listed.shelves, details)
        if self._cache.get(history) is state:
            self._cache.put(history, state)
        return listed


def rounded_moment(now: int, times: npt.NDArray[np.int64]) -> int:
    """Return the moment as of which a history is read at `now`, which stays the same for some time.

    Two things depend on it: the belief in each half-life, by the logarithm of the time since the newest event, and
    which events are younger than a half-life.
    """
    newest = int(times[-1]) if len(times) else 0
    coarse = max((now - newest).bit_length() - _DIGITS, 0)
    return newest + ((now - newest) >> coarse << coarse)


def _aged(explanation: Explanation, seconds: int) -> Explanation:
    """Return an explanation as of some seconds later."""
    evidence = [
        event if event.age is None else replace(event, age=event.age + seconds) for event in explanation.evidence
    ]
    return replace(explanation, evidence=tuple(evidence))
