"""One list for all: known winners, optima found by other means."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError
from recsys.evaluation.disagreement.social_choice import (
    Electorate,
    borda,
    egalitarian,
    maximal_lottery,
    nash_welfare,
)
from recsys.types import Doubles


def _tail(utility: Doubles) -> float:
    return float(np.sort(utility)[:4].mean())


def _electorate(utility: Doubles) -> Electorate:
    users, items = utility.shape
    return Electorate(np.arange(items), np.arange(users), utility, np.ones_like(utility))


def test_borda_and_the_condorcet_winner_differ() -> None:
    """3 of 5 prefer a to b to c, 2 prefer b to c to a: a beats everything, b has the larger mean."""
    preferring = np.array([[0, 3, 3], [2, 0, 5], [2, 0, 0.0]])
    assert borda(preferring).weights.tolist() == [0, 1, 0]
    np.testing.assert_allclose(maximal_lottery(preferring).weights, [1, 0, 0], atol=1e-9)


def test_maximal_lottery_of_a_cycle_is_unbeaten() -> None:
    rng = np.random.default_rng(0)
    wins = rng.integers(1, 10, (5, 5)).astype(float)
    lottery = maximal_lottery(wins)
    margin = (wins - wins.T) / (wins + wins.T)
    assert (lottery.weights @ margin).min() >= -1e-9
    stone = np.array([[0, 9, 1], [1, 0, 9], [9, 1, 0.0]])
    np.testing.assert_allclose(maximal_lottery(stone).weights, 1 / 3, atol=1e-9)


def test_two_camps() -> None:
    """51 of 100 want a, 49 b, all find c tolerable: the mean picks a; who looks at the worst-off picks c."""
    utility = np.zeros((100, 3))
    utility[:51, 0] = utility[51:, 1] = 1.0
    utility[:, 2] = 0.6
    np.testing.assert_allclose(egalitarian(_electorate(utility)).weights, [0, 0, 1], atol=1e-6)
    only = _electorate(utility[:, :2])
    np.testing.assert_allclose(nash_welfare(only).weights, [0.51, 0.49], atol=0.01)
    np.testing.assert_allclose(egalitarian(only).weights, [0.5, 0.5], atol=1e-6)


def test_optima_are_no_worse_than_random_lotteries_and_lists_are_lists() -> None:
    rng = np.random.default_rng(1)
    electorate = _electorate(rng.random((40, 8)))
    nash, fair = nash_welfare(electorate, 3), egalitarian(electorate, 3)
    for _ in range(300):
        weights = np.zeros(8)
        for _ in range(4):  # a mean of lists keeps every item at 1/n or below
            weights[rng.permutation(8)[:3]] += 1 / 12
        other = electorate.utility @ weights
        assert np.log(nash.utilities(electorate)).sum() >= np.log(other).sum() - 1e-2
        assert _tail(fair.utilities(electorate)) >= _tail(other) - 1e-9
    for lottery in (nash, fair, borda(electorate.preferring(), 3), maximal_lottery(electorate.preferring(), 3)):
        assert lottery.weights.sum() == pytest.approx(1)
        assert lottery.weights.max() <= 1 / 3 + 1e-9


def test_electorate_of_a_log() -> None:
    log = Interactions.from_columns([0, 0, 0, 1, 1, 2], [5, 6, 7, 5, 6, 5], [1.0, 3, 3, 4, 2, 5])
    electorate = Electorate.of(log, items=2, least=2)
    assert log.items.ids[electorate.items].tolist() == [5, 6]
    assert log.users.ids[electorate.users].tolist() == [0, 1]
    np.testing.assert_allclose(electorate.utility, [[0.25, 0.75], [0.75, 0.25]])
    np.testing.assert_allclose(electorate.preferring(), [[1, 1], [1, 1]])
    with pytest.raises(DataError, match="nobody rated 9"):
        Electorate.of(log, items=2, least=9)
    with pytest.raises(ConfigError, match="cannot be longer"):
        borda(np.zeros((2, 2)), 3)
    with pytest.raises(ConfigError, match="worst is 0"):
        egalitarian(electorate, worst=0)
