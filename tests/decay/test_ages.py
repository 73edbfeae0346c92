"""Ages on both clocks, against plain Python, and the statistics of a history."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from recsys.data.queries import Queries
from recsys.decay.ages import FEATURES, ages, event_ages, history_features, newest, time_ages
from recsys.errors import ConfigError
from tests.decay.random_queries import random_queries, shifted


@settings(deadline=None)
@given(random_queries())
def test_the_age_in_events_counts_what_is_strictly_later(queries: Queries) -> None:
    indptr, times = queries.history.indptr, queries.times
    expected = [
        sum(later > time for later in times[start:stop])
        for start, stop in pairwise(indptr)
        for time in times[start:stop]
    ]
    assert event_ages(queries).tolist() == expected
    assert newest(queries).tolist() == [age == 0 for age in expected]
    assert time_ages(queries).tolist() == queries.ages.tolist()


def test_an_event_of_the_future_has_age_0() -> None:
    queries = Queries.from_history([[1, 2]], times=[[3, 9]], now=[5])
    assert ages(queries, "time").tolist() == [2.0, 0.0]


def test_unsorted_histories_and_unknown_clocks_are_refused() -> None:
    with pytest.raises(ValueError, match="oldest first"):
        event_ages(Queries.from_history([[1], [1, 2]], times=[[9], [3, 2]]))
    with pytest.raises(ConfigError, match=r"clock is 'event'.*did you mean 'events'"):
        ages(Queries.from_history([]), "event")  # type: ignore[arg-type]


@settings(deadline=None)
@given(random_queries())
def test_features_against_plain_numpy(queries: Queries) -> None:
    found = history_features(queries, day=2.0)
    assert found.shape == (len(queries), len(FEATURES))
    for row in range(len(queries)):
        times = queries.times[queries.history.indptr[row] : queries.history.indptr[row + 1]]
        gap = np.median(np.diff(times)) if len(times) > 1 else 0.0
        recent = np.mean(times >= times[-1] - 2) if len(times) else 0.0
        spread = times.std() if len(times) else 0.0
        assert found[row] == pytest.approx([np.log1p(len(times)), np.log1p(gap), recent, np.log1p(spread)])
    assert np.array_equal(history_features(shifted(queries, 10**9), day=2.0), found)


def test_a_day_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="day is 0; it must be positive"):
        history_features(Queries.from_history([]), day=0)


@settings(deadline=None)
@given(random_queries())
def test_ages_do_not_depend_on_other_queries(queries: Queries) -> None:
    alone = [event_ages(queries.take(np.asarray([row]))) for row in range(len(queries))]
    assert np.concatenate([np.zeros(0), *alone]).tolist() == event_ages(queries).tolist()


def test_a_single_unsorted_history_is_refused() -> None:
    with pytest.raises(ValueError, match="oldest first"):
        event_ages(Queries.from_history([[1, 2]], times=[[3, 2]]))
