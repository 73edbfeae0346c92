from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Clock, Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.popularity import Popularity, RecentPopularity

DAY = 86_400


def scores(model: Popularity | RecentPopularity, log: Interactions) -> dict[object, float]:
    row = model.fit(log).score(Queries.from_history([[]]))[0].tolist()
    return dict(zip(log.items.ids.tolist(), row, strict=True))


def test_popularity_counts_distinct_users() -> None:
    log = Interactions.from_columns([1, 1, 2, 3, 3], ["a", "a", "b", "b", "c"], times=[1, 2, 3, 4, 5])
    assert scores(Popularity(), log) == {"a": 1, "b": 2, "c": 1}


def test_half_life_in_days() -> None:
    log = Interactions.from_columns([1, 2, 3], ["old", "new", "old"], times=[0, 20 * DAY, 10 * DAY])
    result = scores(RecentPopularity(fraction=None, half_life=10), log)
    assert result == pytest.approx({"new": 1.0, "old": 0.25 + 0.5})


def test_half_life_in_periods() -> None:
    log = Interactions.from_columns([1, 2], ["old", "new"], times=[3, 5], clock="period")
    assert scores(RecentPopularity(fraction=None, half_life=1), log) == pytest.approx({"new": 1.0, "old": 0.25})


def test_a_user_counts_once_with_the_latest_event() -> None:
    log = Interactions.from_columns([1, 1, 2], ["a", "a", "b"], times=[0, 10 * DAY, 10 * DAY])
    assert scores(RecentPopularity(fraction=None, half_life=10), log) == {"a": 1, "b": 1}


def test_the_window_holds_the_newest_fraction_and_its_ties() -> None:
    log = Interactions.from_columns([1, 2, 3, 4, 5], ["a", "b", "c", "d", "e"], times=[1, 2, 3, 3, 4])
    assert scores(RecentPopularity(fraction=0.4), log) == {"a": 0, "b": 0, "c": 1, "d": 1, "e": 1}
    assert scores(RecentPopularity(fraction=0.2), log) == {"a": 0, "b": 0, "c": 0, "d": 0, "e": 1}


def test_without_comparable_times_the_window_is_the_end_of_each_history() -> None:
    log = Interactions.from_columns([1, 1, 1, 1, 2], list("abcda"), times=[0, 1, 2, 3, 0], clock="order")
    assert scores(RecentPopularity(fraction=0.5), log) == {"a": 1, "b": 0, "c": 1, "d": 1}
    result = scores(RecentPopularity(fraction=None, half_life=1), log)
    assert result == pytest.approx({"a": 1 / 8 + 1, "b": 1 / 4, "c": 1 / 2, "d": 1})


def test_without_times_it_equals_popularity() -> None:
    log = Interactions.from_columns([1, 1, 2, 2, 3], ["a", "b", "b", "b", "c"])
    assert scores(RecentPopularity(fraction=0.2), log) == scores(Popularity(), log)
    assert scores(RecentPopularity(fraction=None, half_life=1), log) == scores(Popularity(), log)


@pytest.mark.parametrize("clock", ["seconds", "period", "order", "none"])
def test_a_window_over_all_events_equals_popularity(clock: Clock) -> None:
    source = np.random.default_rng(0)
    users, items = source.integers(0, 9, 60), source.integers(0, 7, 60)
    log = Interactions.from_columns(users, items, times=np.arange(60), clock=clock)
    assert scores(RecentPopularity(fraction=1.0), log) == scores(Popularity(), log)


@pytest.mark.parametrize(
    ("fraction", "half_life"), [(None, None), (0.1, 3.0), (0.0, None), (1.5, None), (None, 0.0), (None, -1.0)]
)
def test_arguments_are_checked(fraction: float | None, half_life: float | None) -> None:
    with pytest.raises(ConfigError, match=r"fraction|half_life"):
        RecentPopularity(fraction, half_life)
