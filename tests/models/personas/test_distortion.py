from __future__ import annotations

import numpy as np
import pytest

from recsys.models.personas.content import systematic_distortion


def test_lists_drawn_from_histories_distort_nobody() -> None:
    rng = np.random.default_rng(0)
    histories = rng.dirichlet(np.ones(6), 500)
    values = []
    for _ in range(200):
        drawn = np.stack([rng.multinomial(10, each) / 10 for each in histories])
        values.append(systematic_distortion(histories, drawn))
    assert abs(np.mean(values)) < 2 * np.std(values) / len(values) ** 0.5
    pulled = 0.9 * drawn + 0.1 * np.eye(6)[0]
    expected = ((pulled - histories).mean(0) ** 2).sum()
    assert systematic_distortion(histories, pulled) == pytest.approx(expected, rel=0.03)


def test_rows_that_tell_nothing_do_not_count() -> None:
    histories = np.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    lists = np.asarray([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    assert systematic_distortion(histories, lists) == 2.0
    assert np.isnan(systematic_distortion(histories[1:], lists[1:]))
