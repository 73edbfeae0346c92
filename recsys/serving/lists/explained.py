"""Explained lists of recommendations: the user's cached list where it is still the same, else a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries
from recsys.events.store import Correction
from recsys.explanations import Explanation, UserFacts, explain_read, text
from recsys.models.base import Recommendations, Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.linear.bounded_top_n import BoundedTopN
from recsys.serving.lists.corrections import PersonaCorrections
from recsys.serving.users.history import UserHistory
from recsys.serving.users.state import CachedList, UserCache, UserState

_DIGITS = 7
"""Binary digits of the time since a user's newest event: a difference of one part in 64 to 128 does not show."""


@final
class ExplainedLists:
    """Recommends items to users and explains them.

    Args:
        model: a fitted model.
        ids: "items", external ids as text.
        corrections: of its personas.
        cache: measures the state of a user again after it has grown by a list.
        recommend: finds the best items of the scoring model; that model itself when None.
    """

    def __init__(
        self,
        model: Recommender,
        ids: list[str],
        corrections: PersonaCorrections,
        cache: UserCache,
        recommend: Recommend | None = None,
    ) -> None:
        self._model = model
        self._ids = ids
        self._corrections = corrections
        self._cache = cache
        scoring = model.scoring_model
        self._recommend = recommend or scoring.recommend
        linear = recommend is None and isinstance(scoring, LinearRows)
        self._top_n = BoundedTopN(scoring) if linear else None

    def recommend(
        self, history: UserHistory, queries: Queries, state: UserState, n: int, *, exact_time: bool
    ) -> tuple[Explanation, ...]:
        """Return the n best items for a user at the moment of the queries; `exact_time`: as of the very second."""
        now = int(queries.now[0])
        moment = now if exact_time else rounded_moment(now, queries.times)
        corrections = self._corrections.of_model(history.corrections)
        cached = state.cached_list
        if queries.exclude is not state.queries.exclude:  # the request excludes more items
            return self._explained(queries, moment, state, n, corrections)
        if cached is not None and (cached.moment, cached.n, cached.corrections) == (moment, n, corrections):
            later = now - cached.now
            return tuple([_aged(one, later) for one in cached.items]) if later else cached.items
        items = self._explained(queries, moment, state, n, corrections)
        state.cached_list = CachedList(moment, now, n, corrections, items)
        if self._cache.get(history) is state:
            self._cache.put(history, state)
        return items

    def similar(self, number: int, n: int) -> Recommendations:
        """Return the best items of a fold-in model for a history of one item."""
        return self._recommend(self._model.read(Queries.from_history([[number]])).queries, n)

    def _explained(
        self, queries: Queries, moment: int, state: UserState, n: int, corrections: dict[int, Correction]
    ) -> tuple[Explanation, ...]:
        """Return a new list: read as of `moment`, with ages as of the queries."""
        facts, cached = state.facts, state.cached_weights
        weighed = self._corrections.weigh(queries.at(np.asarray([moment], np.int64)), corrections)
        muted = len(weighed.times) < len(queries.times)  # all personas are: the state is of another history
        if muted:
            facts, cached = UserFacts.of(self._model, weighed), None
        read = self._model.read(weighed) if cached is None else cached.read(weighed)
        contributions = None
        if self._top_n is None:
            best = self._recommend(read.queries, n)
        else:
            bounded = self._top_n.best(read.queries, n, state.bounded)
            best, contributions, state.bounded = bounded.recommendations, bounded.contributions, bounded.bounded
        read = replace(read, queries=read.queries.at(queries.now))
        (items,) = explain_read(read, facts, best, self._ids, contributions=contributions)
        if corrections:
            items = self._corrections.explain(items, state.facts.personas[0], corrections)
        return tuple([replace(one, reason=text.MUTED) for one in items] if muted else items)


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
