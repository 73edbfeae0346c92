"""What is kept of users: the latest, within a bound, and nothing of a past that changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.data.queries import Ragged
from recsys.explanations import UserFacts
from recsys.models import EASE
from recsys.models.linear.bounded_top_n import ByItem, Folded
from recsys.serving.user_state import Kept, Past, Pending, Ready
from tests.explanations.explanation_models import movie_log


def _past(events: int) -> tuple[Past, Ready]:
    past = Past()
    for time in range(events):
        past.add(Pending(time % 6, 1.0, time, False, False))
    asked = past.question(0, events, events)
    return past, Ready(asked, UserFacts.of(EASE().fit(movie_log()), asked))


def test_a_question_that_was_kept_is_the_same_at_another_moment() -> None:
    past, ready = _past(4)
    asked = ready.at(99)
    assert asked.now.tolist() == [99]
    assert (asked.history.items.tolist(), asked.times.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3])
    past.dismissed.add(5)
    assert past.left_out(2).items.tolist() == [0, 1, 5]
    assert len(Ragged.of([[]]).items) == len(Past().left_out(0).items) == 0


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    (first, ready), (second, _), (third, _) = _past(3), _past(3), _past(3)
    kept = Kept(2 * ready.size)
    kept.put(first, ready)
    kept.put(second, ready)
    assert kept.get(first) is ready
    kept.put(third, ready)
    assert list(kept) == [first, third]
    assert kept.get(second) is None


def test_of_a_past_that_changed_only_what_came_before_is_given() -> None:
    (first, ready), (second, _) = _past(3), _past(3)
    kept = Kept(2 * ready.size)
    kept.changed(first)
    assert kept.former(first) is None
    kept.put(first, ready)
    kept.put(second, ready)
    assert kept.former(first) is ready
    kept.changed(first)
    assert kept.get(first) is None
    assert kept.former(first) is ready
    kept.put(first, ready)
    assert kept.get(first) is ready
    kept.changed(first)
    kept.drop(first)
    assert kept.former(first) is None
    kept.put(first, ready)  # nothing is left of the change
    assert kept.get(first) is ready


def test_what_has_grown_counts_for_more() -> None:
    (past, ready), (other, _) = _past(3), _past(3)
    history = ByItem.of(np.arange(3, dtype=np.int32))
    folded = Folded(history, np.zeros(3), np.zeros(1000, np.float32), 0.0, 0.0)
    kept = Kept(2 * ready.size + 100)
    kept.put(past, ready)
    kept.put(other, replace(ready))
    assert list(kept) == [past, other]
    grown = replace(ready, folded=folded)
    assert grown.size - ready.size == history.nbytes + 3 * 8 + 1000 * 4
    assert history.nbytes == 3 * (4 + 8 + 4)
    kept.put(other, grown)
    assert list(kept) == [other]


def test_memory_is_bounded_whatever_is_put_and_dropped() -> None:
    _, ready = _past(5)
    kept = Kept(int(3.5 * ready.size))
    pasts = [Past() for _ in range(10)]
    for past in pasts + pasts:
        kept.put(past, ready)
        kept.put(past, ready)
        assert len(list(kept)) <= 3
    for past in pasts:
        kept.drop(past)
        kept.drop(past)
    assert list(kept) == []
    for past in pasts:
        kept.put(past, ready)
    assert list(kept) == pasts[-3:]


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    past, ready = _past(5)
    kept = Kept(ready.size - 1)
    kept.put(past, ready)
    assert kept.get(past) is None


def test_the_size_counts_what_a_longer_history_takes() -> None:
    (_, short), (_, long) = _past(2), _past(6)
    assert long.size - short.size == 4 * (4 + 4 + 8 + 4 + 4 + 8 + 1 + 4)
