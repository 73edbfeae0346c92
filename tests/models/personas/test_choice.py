from __future__ import annotations

import numpy as np
import pytest

from recsys.models.personas.choice import SHARPNESS, SLATES, chosen_sharpness, chosen_slate, sufficient
from recsys.slates import Seats

PLACE = {slate: place for place, slate in enumerate(SLATES)}


def test_lists_are_as_mixed_as_costs_nothing() -> None:
    assert chosen_slate(lambda _: 0.2) == SLATES[-1]
    assert chosen_slate(lambda slate: 0.2 * (1 - 0.05 * PLACE[slate])) == SLATES[0]
    steep = chosen_slate(lambda slate: 0.2 * (1 - 0.001 * PLACE[slate] ** 2))
    assert 0 < PLACE[steep] < len(SLATES) - 1


def test_a_single_loss_that_neighbours_do_not_share_is_noise() -> None:
    unlucky = SLATES[3]
    assert chosen_slate(lambda slate: 0.2 * (0.99 if slate == unlucky else 1.001)) == SLATES[-1]


def test_noise_seldom_decides() -> None:
    rng = np.random.default_rng(0)
    places = []
    for _ in range(200):
        noise = dict(zip(SLATES, 1 + np.cumsum(rng.normal(0, 0.002, len(SLATES))), strict=True))
        places.append(PLACE[chosen_slate(lambda slate, noise=noise: noise[slate])])  # type: ignore[misc]
    assert np.mean(np.equal(places, len(SLATES) - 1)) > 0.7


def test_slates_beyond_little_distortion_are_not_tried() -> None:
    assert sufficient(lambda slate: 1.0 - 0.25 * PLACE[slate]) == SLATES[:4]
    assert sufficient(lambda slate: 0.4 if PLACE[slate] else 1.0) == SLATES[:2]
    assert sufficient(lambda _: 1.0) == SLATES
    assert sufficient(lambda _: float("nan")) == SLATES


def test_a_metric_of_zero_and_a_single_slate_leave_the_first() -> None:
    assert chosen_slate(lambda _: 0.0) == SLATES[0]
    assert chosen_slate(lambda _: 1.0, [Seats(0.3, 0.0)]) == Seats(0.3, 0.0)


@pytest.mark.parametrize(("best", "expected"), [(0.0, SHARPNESS[0]), (1.0, 1.0), (9.0, SHARPNESS[-1])])
def test_the_sharpness_with_the_best_validation_is_chosen(best: float, expected: float) -> None:
    assert chosen_sharpness(lambda sharpness: -abs(sharpness - best)) == expected
    assert chosen_sharpness(lambda _: 0.5) == SHARPNESS[0]
