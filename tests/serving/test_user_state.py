"""What is kept of users: the latest, within a bound, and nothing of a history that changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.data.queries import Ragged
from recsys.explanations import UserFacts
from recsys.models import EASE
from recsys.models.linear.bounded_top_n import BoundedScores
from recsys.serving.user_cache import UserCache
from recsys.serving.user_history import PendingEvent, UserHistory
from recsys.serving.user_state import UserState
from tests.explanations.explanation_models import movie_log


def _past(events: int) -> tuple[UserHistory, UserState]:
    history = UserHistory()
    for time in range(events):
        history.add(PendingEvent(time % 6, 1.0, time))
    asked = history.queries(0, events, events)
    return history, UserState(asked, UserFacts.of(EASE().fit(movie_log()), asked))


def test_a_question_that_was_kept_is_the_same_at_another_moment() -> None:
    history, ready = _past(4)
    asked = ready.at(99)
    assert asked.now.tolist() == [99]
    assert (asked.history.items.tolist(), asked.times.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3])
    history.dismissed.add(5)
    assert history.excluded(2).items.tolist() == [0, 1, 5]
    assert len(Ragged.of([[]]).items) == len(UserHistory().excluded(0).items) == 0


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    (first, ready), (second, _), (third, _) = _past(3), _past(3), _past(3)
    kept = UserCache(2 * ready.size)
    kept.put(first, ready)
    kept.put(second, ready)
    assert kept.get(first) is ready
    kept.put(third, ready)
    assert list(kept) == [first, third]
    assert kept.get(second) is None


def test_of_a_past_that_changed_only_what_came_before_is_given() -> None:
    (first, ready), (second, _) = _past(3), _past(3)
    kept = UserCache(2 * ready.size)
    first.version += 1
    assert kept.last(first) is None
    kept.put(first, ready)
    kept.put(second, ready)
    assert kept.last(first) is ready
    first.version += 1
    assert kept.get(first) is None
    assert kept.last(first) is ready
    kept.put(first, ready)
    assert kept.get(first) is ready
    first.version += 1
    kept.drop(first)
    assert kept.last(first) is None
    kept.put(first, ready)  # nothing is left of the change
    assert kept.get(first) is ready


def test_what_has_grown_counts_for_more() -> None:
    (history, ready), (other, _) = _past(3), _past(3)
    bounded = BoundedScores(np.arange(3, dtype=np.int32), np.zeros(3), np.zeros(1000, np.float32), 0.0, 0.0)
    kept = UserCache(2 * ready.size + 100)
    kept.put(history, ready)
    kept.put(other, replace(ready))
    assert list(kept) == [history, other]
    grown = replace(ready, bounded=bounded)
    assert grown.size - ready.size == 3 * 4 + 3 * 8 + 1000 * 4
    kept.put(other, grown)
    assert list(kept) == [other]


def test_memory_is_bounded_whatever_is_put_and_dropped() -> None:
    _, ready = _past(5)
    kept = UserCache(int(3.5 * ready.size))
    histories = [UserHistory() for _ in range(10)]
    for history in histories + histories:
        kept.put(history, ready)
        kept.put(history, ready)
        assert len(list(kept)) <= 3
    for history in histories:
        kept.drop(history)
        kept.drop(history)
    assert list(kept) == []
    for history in histories:
        kept.put(history, ready)
    assert list(kept) == histories[-3:]


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    history, ready = _past(5)
    kept = UserCache(ready.size - 1)
    kept.put(history, ready)
    assert kept.get(history) is None


def test_the_size_counts_what_a_longer_history_takes() -> None:
    (_, short), (_, long) = _past(2), _past(6)
    assert long.size - short.size == 4 * (4 + 4 + 8 + 4 + 4 + 8 + 1 + 4)
