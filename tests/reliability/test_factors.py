"""The factorisation: it finds a taste of low rank, and leaving a rating out is what a fit without it gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.reliability.factors import Factors
from recsys.types import Doubles, Ints


def _ratings(rank: int = 2, seed: int = 0) -> tuple[Ints, Ints, Doubles, Doubles]:
    """Users, items, ratings and the truth of all pairs, "users items"."""
    rng = np.random.default_rng(seed)
    truth = 3 + rng.normal(size=(80, rank)) @ rng.normal(size=(rank, 60)) * 0.6 + 0.4 * rng.normal(size=60)
    seen = rng.random(truth.shape) < 0.4
    user, item = np.nonzero(seen)
    return user, item, truth[seen] + 0.2 * rng.normal(size=len(user)), truth


def test_taste_of_low_rank_is_found_and_superfluous_dimensions_vanish() -> None:
    user, item, value, truth = _ratings()
    columns = user, item, value, np.ones(len(user))
    factors = Factors.of(*columns, truth.shape, 5)
    others = np.ones(truth.shape, np.bool_)
    others[user, item] = False
    mean, variance = factors.predicted(*np.nonzero(others))
    error = mean - truth[others]
    assert np.sqrt((error**2).mean()) < 0.26 < truth.std() / 3
    # The stated uncertainty is that of the errors.
    assert 0.3 < (error**2).mean() / variance.mean() < 2.0
    strengths = np.sort(factors.users.prior[1:] * factors.items.prior[1:])
    assert strengths[-3] < 0.02 * strengths[-2]
    assert 0.02 < factors.noise < 0.08


def test_a_scaled_prior_is_that_of_the_vectors() -> None:
    user, item, value, truth = _ratings()
    factors = Factors.of(user, item, value, np.ones(len(user)), truth.shape, 3)
    for one, other in ((factors.users, factors.scaled(2.0).users), (factors.items, factors.scaled(2.0).items)):
        np.testing.assert_array_equal(other.prior, one.prior * [1, 2, 2, 2])
    rest = value - factors.predicted(user, item)[0]
    variance = factors.predicted(user, item)[1] + factors.noise
    likelihood = float((-0.5 * (rest**2 / variance + np.log(2 * np.pi * variance))).mean())
    assert factors.foretells(user, item, value, np.ones(len(user))) == pytest.approx(likelihood)


def test_leaving_a_rating_out_is_a_fit_without_it() -> None:
    user, item, value, truth = _ratings()
    weight = np.random.default_rng(1).random(len(user))
    factors = Factors.start(user, item, value, weight, truth.shape, 3).fitted(user, item, value, weight)
    # The items' uncertainty, of which each rating has its own, is the one part that has no closed form.
    factors = replace(factors, items=replace(factors.items, covariance=0 * factors.items.covariance))
    everybody = factors.of_users(user, item, value, weight, len(truth))
    mean, variance = everybody.without(user, item, value, weight)
    for left in range(0, len(user), 97):
        rest = np.arange(len(user)) != left
        others = factors.of_users(user[rest], item[rest], value[rest], weight[rest], len(truth))
        alone = others.predicted(user[left : left + 1], item[left : left + 1])
        np.testing.assert_allclose((mean[left], variance[left]), (alone[0][0], alone[1][0]), rtol=1e-6)


def test_a_weight_of_zero_is_no_rating() -> None:
    user, item, value, truth = _ratings()
    weight = (np.arange(len(user)) % 3 > 0).astype(np.float64)
    kept = weight > 0
    start = Factors.start(user[kept], item[kept], value[kept], weight[kept], truth.shape, 2)
    with_zeros = start.fitted(user, item, value, weight)
    without = start.fitted(user[kept], item[kept], value[kept], weight[kept])
    np.testing.assert_array_equal(with_zeros.items.mean, without.items.mean)
