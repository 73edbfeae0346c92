"""Lists of recommendations: the user's cached list where it is still the same, else a new one."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from operator import attrgetter
from typing import Generic, TypeVar, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.explanations import Evidence, Explanation
from recsys.explanations.reasons.steps import finished
from recsys.serving.answers import Details
from recsys.serving.lists.base import ListMaker
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.users.history import UserHistory
from recsys.serving.users.state import CachedList, Listed, UserCache, UserState

R = TypeVar("R")

_DIGITS = 7
"""Binary digits of the time since a user's newest event: a difference of one part in 64 to 128 does not show."""

_LEAST = 6
"""Nor does a minute (2^6 seconds): the shortest half-life is a day."""


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
        self,
        history: UserHistory,
        queries: Queries,
        state: UserState,
        n: int,
        *,
        exact_time: bool,
        details: Details,
        persona: int | None = None,
        rules: ListRules | None = None,
    ) -> Listed:
        """Return the n best items for a user at the moment of the queries.

        Args:
            history: of the user.
            queries: the user as one query.
            state: of the user.
            n: length of the list.
            exact_time: whether the history is read as of the very second.
            details: see `Answers.recommend`.
            persona: the one whose items may be listed; None: all.
            rules: that bind the list.
        """
        now = int(queries.now[0])
        moment = now if exact_time else rounded_moment(now, queries.times)
        corrections = self._maker.acting(history.corrections)
        cached = state.cached_list
        if persona is not None:
            queries = self._maker.of_persona(queries, moment, state, history.corrections, persona)
        if queries.exclude is not state.queries.exclude:  # the request excludes more items
            return self._maker.make(queries, moment, state, n, corrections, details=details is True, rules=rules)
        key = None if rules is None else rules.key
        if cached is None or not cached.answers(moment, n, corrections, key):
            listed = self._maker.make(queries, moment, state, n, corrections, details=details is True, rules=rules)
            cached = CachedList(moment, now, n, corrections, listed, rules=key)
            self._keep(history, state, cached)
        elif details is True and cached.listed.rest is not None:
            cached = replace(cached, listed=finished(cached.listed.rest), unsearched=cached.listed)
            self._keep(history, state, cached)
        listed = cached.listed
        if details is False and listed.rest is None:
            listed = cached.unsearched or self._maker.make(
                queries, moment, state, n, corrections, details=False, rules=rules
            )
        later = now - cached.now
        return replace(listed, items=tuple([_aged(one, later) for one in listed.items])) if later else listed

    def choose(
        self,
        history: UserHistory,
        queries: Queries,
        state: UserState,
        n: int,
        rules: ListRules,
        *,
        exact_time: bool,
        persona: int | None = None,
    ) -> Ruled:
        """Return the items that `recommend` would list under some rules, and keep nothing."""
        now = int(queries.now[0])
        moment = now if exact_time else rounded_moment(now, queries.times)
        if persona is not None:
            queries = self._maker.of_persona(queries, moment, state, history.corrections, persona)
        return self._maker.choose(queries, moment, state, n, self._maker.acting(history.corrections), rules)

    def search(self, history: UserHistory, state: UserState, seconds: float) -> bool:
        """Search for reasons of the last list for some time; return whether there is more to do."""
        cached, until = state.cached_list, time.monotonic() + seconds
        if cached is None or cached.listed.rest is None:
            return False
        try:
            while time.monotonic() < until:
                next(cached.listed.rest)
        except StopIteration as end:
            self._keep(history, state, replace(cached, listed=end.value, unsearched=cached.listed))
            return False
        return True

    def _keep(self, history: UserHistory, state: UserState, cached: CachedList) -> None:
        state.cached_list = cached
        if self._cache.get(history) is state:
            self._cache.put(history, state)


def rounded_moment(now: int, times: npt.NDArray[np.int64]) -> int:
    """Return the moment as of which a history is read at `now`, which stays the same for some time.

    Two things depend on it: the belief in each half-life, by the logarithm of the time since the newest event, and
    which events are younger than a half-life.
    """
    newest = int(times[-1]) + 1 if len(times) else 0  # the first moment at which the newest event is visible
    coarse = max((now - newest).bit_length() - _DIGITS, _LEAST)
    return newest + ((now - newest) >> coarse << coarse)


def _aged(explanation: Explanation, seconds: int) -> Explanation:
    """Return an explanation as of some seconds later."""
    evidence = [event if event.age is None else _with_age(event, event.age + seconds) for event in explanation.evidence]
    return _with_evidence(explanation, tuple(evidence))


@final
class _Replacing(Generic[R]):
    """`dataclasses.replace` of one field, in a fourth of the time: a repeated answer consists of it."""

    def __init__(self, kind: type[R], name: str) -> None:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self._kind, self._values, self._place = kind, attrgetter(*names), names.index(name)

    def __call__(self, record: R, value: object) -> R:
        values = list(self._values(record))
        values[self._place] = value
        return self._kind(*values)


_with_age, _with_evidence = _Replacing(Evidence, "age"), _Replacing(Explanation, "evidence")
