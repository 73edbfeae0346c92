"""The sitting: found where answers lean on those before them, and gone when their order is."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.reliability.sitting import sitting_effect


def _log(lean: float, seed: int = 0) -> Interactions:
    """Ratings whose noise follows the noise before it by `lean`."""
    rng = np.random.default_rng(seed)
    users, length, items = 120, 60, 200
    user = np.repeat(np.arange(users), length)
    item = np.concatenate([rng.permutation(items)[:length] for _ in range(users)])
    noise = rng.normal(size=(users, length))
    for step in range(1, length):
        noise[:, step] += lean * noise[:, step - 1]
    value = 3 + 0.5 * rng.normal(size=items)[item] + 0.3 * rng.normal(size=users)[user] + noise.ravel()
    return Interactions.from_columns(user, item, value, np.tile(np.arange(length), users), clock="order")


def test_answers_that_lean_are_predicted_better_and_shuffled_ones_are_not() -> None:
    leaning, shuffled, none = (
        sitting_effect(_log(0.5)),
        sitting_effect(_log(0.5), shuffled=True),
        sitting_effect(_log(0.0)),
    )
    assert leaning.gain > 0.04
    assert leaning.lags[1] > 0.3 > 0.1 > abs(leaning.lags[10])
    assert abs(shuffled.gain) < 0.005
    assert abs(none.gain) < 0.005
    without, with_it = leaning.rmse
    assert with_it < without


def test_nothing_later_is_used() -> None:
    log = _log(0.5)
    # The last answer of every user is another one: what is said of those before stays.
    value = log.value.copy()
    last = log.indptr[1:] - 1
    half = np.random.default_rng(0).random(log.n_users) < 0.5
    changed = last[half]
    value[changed] += 3
    other = Interactions.from_columns(log.user_num, log.item_num, value, log.time, clock="order")
    one, two = sitting_effect(log), sitting_effect(other)
    kept = np.ones(len(log), np.bool_)
    kept[changed] = False
    mine = kept & half[log.user_num]
    np.testing.assert_allclose(one.residual[mine], two.residual[mine])
