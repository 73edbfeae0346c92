"""Properties of every rule of forgetting, on random queries."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.queries import Queries
from recsys.decay.ages import ages
from recsys.decay.base import Forgetting, OnlineForgetting
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.decay.gradient import FloorKind, GradientHalfLife
from recsys.decay.half_lives import HalfLives
from recsys.decay.temporal import TemporalDecay
from tests.decay.random_queries import N_USERS, random_queries, shifted, temporal, with_ties_shuffled


@cache
def _learned(clock: str, floor: FloorKind, features: bool) -> GradientHalfLife:
    """A rule fitted on noise, so that every user has another half-life."""
    rule = GradientHalfLife("time" if clock == "time" else "events", features, floor, epochs=20).for_log(4, "period")
    draw = np.random.default_rng(0)
    rows = [np.sort(draw.integers(0, 20, draw.integers(0, 9))) for _ in range(60)]
    queries = Queries.from_history([np.zeros(len(row), int) for row in rows], users=np.arange(60) % 4, times=rows)
    return rule.fit([(queries, draw.normal(size=(len(queries.times), 5)))])


def _resets(scope: str) -> Forgetting:
    """A detector that has raised alarms, on a stream whose errors rise again and again."""
    pytest.importorskip("river", reason="the extra `drift` is not installed")
    from recsys.decay.detectors import DetectorReset

    rule = DetectorReset("page_hinkley", "user" if scope == "user" else "population", threshold=1.0, minimum=2)
    for moment in range(8):
        queries = Queries.from_history([[]] * N_USERS, users=np.arange(N_USERS), now=[moment] * N_USERS)
        rule.observe(queries, np.full((N_USERS, 1), 0.1 if moment in {3, 6, 7} else 0.9, np.float32))
    assert len(rule.alarms)
    return rule


def _mixture() -> TemporalDecay:
    """A mixture that has learned noise, so that every user has another belief."""
    rule = temporal(N_USERS, HalfLives(events=(1.0, 3.0), time=(2.0, 9.0)), learning_rate=3.0)
    draw = np.random.default_rng(0)
    users = draw.integers(0, N_USERS, 40)
    utility = draw.random((40, len(rule.half_lives)), dtype=np.float32)
    rule.observe(Queries.from_history([[1]] * 40, users=users), utility)
    return rule


RULES: dict[str, Callable[[], Forgetting]] = {
    "none": NoDecay,
    "half-life in events": lambda: GlobalHalfLife(3.0),
    "half-life in time": lambda: GlobalHalfLife(2.5, "time", floor=0.3),
    "window of events": lambda: SlidingWindow(events=3),
    "window of time": lambda: SlidingWindow(seconds=4.0),
    "koren": lambda: _learned("events", "none", False),
    "koren in time": lambda: _learned("time", "none", False),
    "gradient": lambda: _learned("events", "user", True),
    "gradient in time": lambda: _learned("time", "shared", True),
    "mixture of half-lives": _mixture,
    "reset of everybody": lambda: _resets("population"),
    "reset of users": lambda: _resets("user"),
}
MOVABLE = [name for name in RULES if not name.startswith("reset")]
"""A reset happens at a moment of the log: a shift of the queries alone moves them past it."""

each_rule = pytest.mark.parametrize("name", RULES)


@each_rule
@settings(deadline=None, max_examples=40)
@given(queries=random_queries())
def test_weights_are_in_0_1_and_never_grow_with_age(name: str, queries: Queries) -> None:
    weights = RULES[name]().weights(queries)
    assert weights.dtype == np.float32
    assert weights.shape == queries.times.shape
    assert bool(np.all((weights >= 0) & (weights <= 1)))
    same_row = queries.history.rows[1:] == queries.history.rows[:-1]
    for clock in ("time", "events"):
        assert bool(np.all(np.diff(ages(queries, "time" if clock == "time" else "events"))[same_row] <= 0))
    assert bool(np.all(np.diff(weights)[same_row] >= 0))


@each_rule
@settings(deadline=None, max_examples=40)
@given(queries=random_queries(), seed=st.integers(0, 99))
def test_the_order_of_equal_times_changes_nothing(name: str, queries: Queries, seed: int) -> None:
    rule = RULES[name]()
    other, order = with_ties_shuffled(queries, seed)
    assert np.array_equal(rule.weights(other), rule.weights(queries)[order])
    same = (np.diff(queries.times) == 0) & (np.diff(queries.history.rows) == 0)
    assert not np.any(np.diff(rule.weights(queries))[same])


@pytest.mark.parametrize("name", MOVABLE)
@settings(deadline=None, max_examples=40)
@given(queries=random_queries(), by=st.integers(-1_000_000, 1_000_000))
def test_a_shift_of_all_times_changes_nothing(name: str, queries: Queries, by: int) -> None:
    rule = RULES[name]()
    assert np.array_equal(rule.weights(shifted(queries, by)), rule.weights(queries))


@each_rule
@settings(deadline=None, max_examples=20)
@given(queries=random_queries())
def test_queries_do_not_depend_on_each_other(name: str, queries: Queries) -> None:
    rule = RULES[name]()
    alone = [rule.weights(queries.take(np.asarray([row]))) for row in range(len(queries))]
    assert np.array_equal(np.concatenate([np.zeros(0, np.float32), *alone]), rule.weights(queries))


@each_rule
def test_empty_histories_have_no_weights(name: str) -> None:
    rule = RULES[name]()
    assert rule.weights(Queries.from_history([])).shape == (0,)
    assert rule.weights(Queries.from_history([[], []], users=[0, -1])).shape == (0,)
    if isinstance(rule, OnlineForgetting):
        assert rule.hypotheses(Queries.from_history([[], []])).shape[1] == 0
