"""Taste distances, calibration and minority recall against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon

from recsys.data.queries import Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.calibration import chance_distance, minority_recall, miscalibration, taste_distance
from recsys.evaluation.tastes import Tastes, normalised
from tests.evaluation.evaluation_models import random_log

PAIRS = hnp.arrays(np.float64, (2, 4), elements=st.sampled_from([0.0, 0.1, 1.0, 3.0])).filter(lambda a: a.any(1).all())


def one_taste_each(assignment: list[int]) -> Tastes:
    """Items with one taste each; item number -> taste."""
    shares = np.eye(max(assignment) + 1)[assignment]
    return Tastes(shares, tuple(map(str, range(shares.shape[1]))), shares, "clusters")


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_distance_equals_scipy(counts: np.ndarray) -> None:
    p, q = normalised(counts)
    ours = float(taste_distance(p, q))
    assert ours == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-7)
    assert 0.0 <= ours <= 1.0 + 1e-12
    assert ours == float(taste_distance(q, p))


def test_distance_is_undefined_without_history_or_list() -> None:
    known, empty = np.array([[0.5, 0.5]]), np.zeros((1, 2))
    for pair in ((known, empty), (empty, known), (empty, empty)):
        assert np.isnan(taste_distance(*pair)).all()
        assert np.isnan(miscalibration(*pair)).all()


def test_miscalibration_equals_the_equation() -> None:
    p, q = [0.7, 0.3, 0.0], [1.0, 0.0, 0.0]
    expected = sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)
    assert float(miscalibration(np.array(p), np.array(q))) == pytest.approx(expected)
    assert float(miscalibration(np.array(p), np.array(p))) == pytest.approx(0.0, abs=1e-12)


def test_chance_distance_equals_its_expectation() -> None:
    """With one item per list and two equal tastes, every drawn list has the same known distance."""
    tastes = one_taste_each([0, 1])
    tasted = tastes.tasted(Ragged.of([[0, 1], [0], []]))
    p = tastes.distributions(tasted)
    top = np.array([[1], [0], [0]], np.int32)
    chance = chance_distance(tastes, tasted, p, top, (1,), (0,), bootstraps=3)
    expected = float(jensenshannon([0.5, 0.5], [1.0, 0.0], base=2))
    np.testing.assert_allclose(chance, [[expected, 0.0, np.nan]], atol=1e-9)


def test_lists_drawn_from_the_users_history_have_no_excess() -> None:
    """Lists made as the bootstrap makes them: the mean excess is zero within its error, while the raw TDD is not."""
    log = random_log(users=300, genres=5)
    tastes = Tastes.of(log)
    rng = np.random.default_rng(5)
    history = Ragged(log.indptr, log.item_num)
    tasted = tastes.tasted(history)
    p = tastes.distributions(tasted)
    rows = [rng.choice(np.unique(history.row(user)), 8) for user in range(len(history))]
    top = np.array(rows, np.int32)
    raw = taste_distance(p, tastes.of_lists(top, (4, 8)))
    excess = raw - chance_distance(tastes, tasted, p, top, (4, 8), (5,))
    error = excess.std(axis=1) / math.sqrt(len(history))
    assert (np.abs(excess.mean(axis=1)) < 4 * error).all()
    assert (raw.mean(axis=1) > 20 * error).all()


def test_padding_shortens_the_drawn_lists_too() -> None:
    """The distance of a two-item draw is smaller than that of a one-item draw; padding must not count as an item."""
    tastes = one_taste_each([0, 1, 2, 3] * 3)
    tasted = tastes.tasted(Ragged.of([np.arange(12)] * 2))
    p = tastes.distributions(tasted)
    top = np.array([[0, UNKNOWN, UNKNOWN, UNKNOWN], [0, 1, 2, 3]], np.int32)
    padded, full = chance_distance(tastes, tasted, p, top, (4,), (0,), 200)[0]
    assert padded == pytest.approx(float(jensenshannon([0.25] * 4, [1, 0, 0, 0], base=2)))
    assert full < padded - 0.1


def test_minority_recall_by_hand() -> None:
    """Tastes hold 80%, 20% and 0% of the history: only items of taste 1 are minority items."""
    tastes = one_taste_each([0, 0, 0, 0, 1, 1, 1, 2, 0])
    p = tastes.of_histories(Ragged.of([[0, 1, 2, 3, 4, 4]] * 3))
    np.testing.assert_allclose(p[0], [0.8, 0.2, 0.0])
    relevant = Ragged.of([[5, 6, 7, UNKNOWN], [8, 5], [8]])
    top = np.array([[8, 5], [5, 8], [8, 5]], np.int32)
    values = minority_recall(tastes, p, top, relevant, (1, 2))
    np.testing.assert_array_equal(values, [[0.0, 1.0, np.nan], [0.5, 1.0, np.nan]])


def test_the_home_taste_of_an_item_with_several_is_the_users_largest() -> None:
    tastes = Tastes(np.array([[0.5, 0.5], [0.0, 0.0]]), ("a", "b"), np.zeros((2, 1)), "genres")
    share = tastes.home_share(np.array([[0.9, 0.1]]), np.array([0, 0, 0]), np.array([0, 1, UNKNOWN]))
    assert share.tolist() == [0.9, 0.0, 0.0]
