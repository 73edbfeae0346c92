"""The memory of the visit that is going on."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.decay import ShortTerm
from recsys.errors import ConfigError


def test_only_the_visit_that_is_going_on_counts() -> None:
    times = [[0, 100, 105, 106], [], [5], [0, 9, 18]]
    rule = ShortTerm(half_life=1.0, pause=10)
    queries = Queries.from_history([[1, 2, 3, 4], [], [5], [6, 7, 8]], times=times, now=[110, 110, 110, 20])
    assert rule.weights(queries).tolist() == [0.0, 0.25, 0.5, 1.0, 0.0, 0.25, 0.5, 1.0]
    assert rule.recent(queries).tolist() == [False, False, True, True, False, False, True, True]


def test_nothing_is_left_after_the_pause() -> None:
    queries = Queries.from_history([[1, 2]], times=[[0, 5]], now=[14])
    assert ShortTerm(pause=10).weights(queries).any()
    assert not ShortTerm(pause=10).weights(queries.at(np.asarray([15]))).any()


@pytest.mark.parametrize("settings", [{"half_life": 0.0}, {"pause": -1.0}])
def test_invalid_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        ShortTerm(**settings)
