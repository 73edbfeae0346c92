"""The memory of the visit that is going on."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.decay import ShortTerm
from recsys.decay.short_term import with_visit
from recsys.errors import ConfigError
from recsys.types import DAY
from tests.decay.random_queries import temporal


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


def test_a_visit_has_a_share_that_grows_with_it_by_hand() -> None:
    queries = Queries.from_history([[1, 2, 3], [4]], times=[[0, 5 * DAY, 5 * DAY + 1], [5]], now=[5 * DAY + 9, 5 * DAY])
    weights = np.asarray([0.25, 0.5, 1.0, 1.0], np.float32)
    share = 0.6 * 2 / 12
    mixed = (1 - share) * weights[:3] / 1.75 + share * np.asarray([0, 0.5, 0.5])
    np.testing.assert_allclose(with_visit(queries, weights, 0.6), [*(mixed / mixed.max()), 1.0], rtol=1e-6)
    assert with_visit(queries, weights, 0.0).tolist() == weights.tolist()


def test_nothing_of_the_share_is_left_at_the_next_visit() -> None:
    queries = Queries.from_history([[1, 2, 3]], times=[[0, 5 * DAY, 5 * DAY + 1]], now=[5 * DAY + 9])
    plain, visiting = temporal(1), temporal(1, visit_share=0.5)
    tomorrow = queries.at(np.asarray([6 * DAY + 9]))
    assert (
        visiting.for_log(1, "seconds").weights(tomorrow).tolist()
        == plain.for_log(1, "seconds").weights(tomorrow).tolist()
    )
    now = [rule.for_log(1, "seconds").weights(queries) for rule in (plain, visiting)]
    assert now[1][0] < now[0][0]
    # Periods and positions know no pause.
    assert (
        visiting.for_log(1, "period").weights(queries).tolist() == plain.for_log(1, "period").weights(queries).tolist()
    )


@pytest.mark.parametrize("settings", [{"half_life": 0.0}, {"pause": -1.0}])
def test_invalid_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        ShortTerm(**settings)
