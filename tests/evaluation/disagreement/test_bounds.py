"""The trade of a pooled policy, and the error of the best pooled rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluation.disagreement import hindsight_bound, unhappy_share, worst_share
from recsys.evaluation.disagreement.bounds import majority, votes

UNIT = st.floats(0, 1)


@given(p=st.floats(0.5, 1), q=st.floats(0.5, 1))
def test_no_policy_leaves_the_line(p: float, q: float) -> None:
    assert unhappy_share(p, q) + (2 * p - 1) * worst_share(q) == pytest.approx(p, abs=1e-12)


@given(p=UNIT, q=UNIT)
def test_no_policy_makes_fewer_unhappy_than_the_minority(p: float, q: float) -> None:
    assert unhappy_share(p, q) >= min(p, 1 - p) - 1e-12
    assert min(unhappy_share(p, 0), unhappy_share(p, 1)) == pytest.approx(min(p, 1 - p))


@given(shares=st.lists(UNIT, min_size=1, max_size=8))
def test_knowing_more_of_the_user_never_raises_the_least_error(shares: list[float]) -> None:
    eta = np.array(shares)
    assert np.minimum(eta, 1 - eta).mean() <= min(eta.mean(), 1 - eta.mean()) + 1e-12


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_bound_is_the_least_error_of_all_pooled_rules(judged: list[tuple[int, bool]]) -> None:
    pair, first = (np.array(column) for column in zip(*judged, strict=True))
    errors = [float((np.array(rule)[pair] != first).mean()) for rule in itertools.product([True, False], repeat=4)]
    assert hindsight_bound(pair, first) == pytest.approx(min(errors))
    assert (~majority(pair, first)).mean() == pytest.approx(hindsight_bound(pair, first))
    weights = np.arange(1, len(pair) + 1, dtype=float)
    weighted = [
        float(((np.array(rule)[pair] != first) * weights).sum() / weights.sum())
        for rule in itertools.product([True, False], repeat=4)
    ]
    assert hindsight_bound(pair, first, weights) == pytest.approx(min(weighted))


def test_an_order_errs_more_exactly_where_majorities_have_a_cycle() -> None:
    """Three items; the pairs (0,1), (0,2), (1,2); every order of them is tried (Kemeny)."""
    pairs = ((0, 1), (0, 2), (1, 2))

    def least(wins: list[list[int]]) -> tuple[float, float]:
        pair = np.repeat([0, 1, 2], [sum(row) for row in wins])
        first = np.concatenate([np.arange(sum(row)) < row[0] for row in wins])
        of_orders = []
        for order in itertools.permutations(range(3)):
            says = np.array([order.index(i) < order.index(j) for i, j in pairs])
            of_orders.append(float((says[pair] != first).mean()))
        return min(of_orders), hindsight_bound(pair, first)

    kemeny, bound = least([[3, 1], [3, 1], [3, 1]])
    assert kemeny == pytest.approx(bound)
    kemeny, bound = least([[3, 1], [1, 3], [3, 1]])  # 0 > 1 > 2 > 0
    assert kemeny > bound + 0.1


def test_votes_and_no_judgements() -> None:
    assert votes(np.array([1, 1, 0]), np.array([True, False, False]), 2).tolist() == [[0, 1], [1, 1]]
    assert np.isnan(hindsight_bound(np.zeros(0, np.int64), np.zeros(0, np.bool_)))
