"""User states and their cache."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from recsys.data.feedback import CODES
from recsys.data.queries import Ragged
from recsys.explanations import UserFacts
from recsys.models import EASE
from recsys.models.linear.bounded_top_n import BoundedScores
from recsys.serving.users.history import PendingEvent, UserHistory
from recsys.serving.users.state import UserCache, UserState
from tests.explanations.explanation_models import movie_log


def _state(events: int) -> tuple[UserHistory, UserState]:
    history = UserHistory()
    for time in range(events):
        history.timeline.add(PendingEvent(time % 6, 1.0, time))
    queries = history.timeline.queries(history.number, 0, events, events)
    return history, UserState(queries, UserFacts.of(EASE().fit(movie_log()), queries))


def test_a_state_gives_the_query_at_another_moment() -> None:
    history, state = _state(4)
    queries = state.queries.at(np.asarray([99]))
    assert queries.now.tolist() == [99]
    assert (queries.history.items.tolist(), queries.times.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3])
    history.timeline.add(PendingEvent(5, math.nan, 2, CODES["dislike"]))
    assert history.excluded(4).items.tolist() == [0, 1, 2, 5]
    assert len(Ragged.of([[]]).items) == len(UserHistory().excluded(0).items) == 0


def test_the_least_recently_used_state_is_dropped_first() -> None:
    (first, state), (second, _), (third, _) = _state(3), _state(3), _state(3)
    cache = UserCache(2 * state.size)
    cache.put(first, state)
    cache.put(second, state)
    assert cache.get(first) is state
    cache.put(third, state)
    assert list(cache._entries) == [first, third]
    assert cache.get(second) is None


def test_a_changed_history_has_only_its_last_state() -> None:
    (first, state), (second, _) = _state(3), _state(3)
    cache = UserCache(2 * state.size)
    first.version += 1
    assert cache.last(first) is None
    cache.put(first, state)
    cache.put(second, state)
    assert cache.last(first) is state
    first.version += 1
    assert cache.get(first) is None
    assert cache.last(first) is state
    cache.put(first, state)
    assert cache.get(first) is state
    first.version += 1
    cache.drop(first)
    assert cache.last(first) is None
    cache.put(first, state)  # nothing is left of the change
    assert cache.get(first) is state


def test_a_state_that_has_grown_is_measured_again() -> None:
    (history, state), (other, _) = _state(3), _state(3)
    bounded = BoundedScores(np.arange(3, dtype=np.int32), np.zeros(3), np.zeros(1000, np.float32), 0.0, 0.0)
    cache = UserCache(2 * state.size + 100)
    cache.put(history, state)
    cache.put(other, replace(state))
    assert list(cache._entries) == [history, other]
    grown = replace(state, bounded=bounded)
    assert grown.size - state.size == 3 * 4 + 3 * 8 + 1000 * 4
    cache.put(other, grown)
    assert list(cache._entries) == [other]


def test_memory_is_bounded_whatever_is_put_and_dropped() -> None:
    _, state = _state(5)
    cache = UserCache(int(3.5 * state.size))
    histories = [UserHistory() for _ in range(10)]
    for history in histories + histories:
        cache.put(history, state)
        cache.put(history, state)
        assert len(list(cache._entries)) <= 3
    for history in histories:
        cache.drop(history)
        cache.drop(history)
    assert list(cache._entries) == []
    for history in histories:
        cache.put(history, state)
    assert list(cache._entries) == histories[-3:]


def test_a_state_larger_than_the_cache_is_not_cache() -> None:
    history, state = _state(5)
    cache = UserCache(state.size - 1)
    cache.put(history, state)
    assert cache.get(history) is None


def test_the_size_counts_every_event() -> None:
    (_, short), (_, long) = _state(2), _state(6)
    assert long.size - short.size == 4 * (4 + 4 + 8 + 4 + 4 + 8 + 1 + 4)
