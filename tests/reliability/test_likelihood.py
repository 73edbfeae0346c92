"""Likelihoods of stars, against sums over the scale and numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from recsys.reliability import Responses
from recsys.reliability.likelihood import Scale, Spreads, log_likelihoods

STARS = np.arange(1.0, 6.0)
SPREADS = Spreads(genuine=0.4, taste=0.3, random=1.1, constructed=0.5, pull=(0.8,))


def _answers(values: list[float], shown: list[float]) -> Responses:
    """Answers of one user about one item."""
    size = len(values)
    nobody = np.zeros(size, np.int32)
    columns = nobody, nobody, np.asarray(values), np.arange(size), np.asarray(shown)[:, None]
    return Responses(*columns, ("shown",), 1, 1)


def _likelihoods(values: list[float], shown: list[float], mean: float = 3.6, variance: float = 0.2) -> np.ndarray:
    answers = _answers(values, shown)
    scale = Scale.of_levels(answers.value, STARS)
    one = log_likelihoods(answers, scale, np.array([mean]), np.array([variance]), np.array([3.2]), SPREADS)[0]
    return np.asarray(one)


@given(st.floats(-2, 8), st.floats(0.01, 4), st.floats(-3, 3))
def test_probabilities_of_all_stars_add_up_to_one(mean: float, variance: float, shown: float) -> None:
    total = sum(np.exp(_likelihoods([star], [shown], mean, variance)) for star in STARS)
    np.testing.assert_allclose(total, 1.0, atol=2e-3)


@pytest.mark.parametrize("values", [[4.0], [4.0, 5.0], [1.0, 1.0, 2.0]])
def test_the_preference_is_integrated_over_what_all_answers_share(values: list[float]) -> None:
    def star(value: float, center: float, deviation: float) -> float:
        low = -np.inf if value == 1 else value - 0.5
        high = np.inf if value == 5 else value + 0.5
        return float(norm.cdf(high, center, deviation) - norm.cdf(low, center, deviation))

    deviation = np.sqrt(0.3**2 + 0.2)

    def joint(theta: float) -> float:
        return float(norm.pdf(theta, 3.6, deviation) * np.prod([star(value, theta, 0.4) for value in values]))

    shown = [0.5] * len(values)
    found = np.exp(_likelihoods(values, shown))
    assert found[0] == pytest.approx(quad(joint, -2, 9, limit=200)[0], rel=0.06)  # far in the tail
    assert found[1] == pytest.approx(np.prod([star(value, 3.2, 1.1) for value in values]))
    assert found[2] == pytest.approx(np.prod([star(value, 3.2 + 0.8 * 0.5, 0.5) for value in values]))


def test_two_answers_that_differ_speak_against_a_preference() -> None:
    same, other = _likelihoods([4.0, 4.0], [0.0, 0.0]), _likelihoods([2.0, 5.0], [0.0, 0.0])
    assert same[0] - same[1] > other[0] - other[1] + 3
