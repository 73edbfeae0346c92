"""Rules with fixed settings for all users."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock, ages
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.errors import ConfigError
from tests.decay.random_queries import random_queries

CLOCKS: st.SearchStrategy[AgeClock] = st.sampled_from(("time", "events"))
HALF_LIVES = st.floats(1e-3, 1e6)
FLOORS = st.floats(0.0, 1.0)


@settings(deadline=None)
@given(random_queries(), CLOCKS, HALF_LIVES, FLOORS)
def test_weights_of_a_half_life_follow_the_formula_and_its_floor(
    queries: Queries, clock: AgeClock, half_life: float, floor: float
) -> None:
    weights = GlobalHalfLife(half_life, clock, floor).weights(queries)
    expected = [floor + (1 - floor) * 2.0 ** (-age / half_life) for age in ages(queries, clock)]
    assert weights == pytest.approx(expected, abs=1e-6)
    assert bool(np.all(weights >= np.float32(floor)))


@settings(deadline=None)
@given(random_queries(), CLOCKS, HALF_LIVES, FLOORS)
def test_a_floor_of_1_and_an_infinite_half_life_are_no_decay(
    queries: Queries, clock: AgeClock, half_life: float, floor: float
) -> None:
    full = NoDecay().weights(queries)
    assert np.array_equal(GlobalHalfLife(half_life, clock, floor=1.0).weights(queries), full)
    assert np.array_equal(GlobalHalfLife(math.inf, clock, floor).weights(queries), full)
    assert GlobalHalfLife(1e9, clock, floor).weights(queries) == pytest.approx(full)


@settings(deadline=None)
@given(random_queries(), st.integers(1, 9), st.floats(0.5, 20))
def test_a_window_holds_exactly_the_newest_events(queries: Queries, events: int, seconds: float) -> None:
    newest, recent = SlidingWindow(events=events), SlidingWindow(seconds=seconds)
    for row in range(len(queries)):
        question = queries.take(np.asarray([row]))
        times = question.times
        # the newest, and those of the same time as the last of these
        oldest = times[-min(events, len(times))] if len(times) else 0
        assert newest.weights(question).tolist() == (times >= oldest).tolist()
        assert recent.weights(question).tolist() == (question.now[0] - times <= seconds).tolist()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GlobalHalfLife(0), "half_life is 0; it must be positive"),
        (lambda: GlobalHalfLife(math.nan), "half_life is nan; it must be positive"),
        (lambda: GlobalHalfLife(1, "tme"), r"clock is 'tme'.*did you mean 'time'"),  # type: ignore[arg-type]
        (lambda: GlobalHalfLife(1, floor=1.5), "floor is 1.5; it must be from 0 to 1"),
        (SlidingWindow, "exactly one"),
        (lambda: SlidingWindow(3, 4.0), "events is 3 and seconds is 4.0; .*exactly one"),
        (lambda: SlidingWindow(0), "events is 0; it must be positive"),
        (lambda: SlidingWindow(seconds=-1), "seconds is -1; it must be positive"),
    ],
)
def test_invalid_values_are_refused_with_a_cure(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()
