"""Half-lives of rules other than the two with a half-life of their own; for those see `test_activity`."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.decay.base import Forgetting, WeightsOnly
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.decay.gradient import GradientHalfLife
from recsys.decay.temporal import TemporalDecay
from recsys.explanations.half_life import user_half_lives
from recsys.explanations.records import HalfLife, HalfLifeInterval
from recsys.models import Decayed
from recsys.types import DAY
from tests.explanations.explanation_models import TastesFromHistory, movie_log

_QUERIES = Queries.from_history([[0, 1, 2, 3], [4], []], users=[0, 1, 2])


def _half_lives(rule: Forgetting) -> list[HalfLife] | None:
    model = Decayed(TastesFromHistory(), GlobalHalfLife(1.0)).fit(movie_log())
    with mock.patch.object(Decayed, "rule", new_callable=mock.PropertyMock, return_value=rule):
        return user_half_lives(model, _QUERIES)


@pytest.mark.parametrize(
    ("rule", "unit", "value"),
    [(SlidingWindow(events=3), "events", 3.0), (SlidingWindow(seconds=2 * DAY), "days", 2.0)],
)
def test_a_window_is_called_one(rule: SlidingWindow, unit: str, value: float) -> None:
    half_lives = _half_lives(rule)
    assert half_lives is not None
    assert len(half_lives) == 3
    assert half_lives[0].to_dict() == {
        "kind": "window",
        unit: {"median": value, "low": value, "high": value, "probability": 1.0},
        "never": 0.0,
        "learned_from": None,
    }


def test_a_half_life_learned_by_gradient_is_the_users_own() -> None:
    rule = GradientHalfLife()
    with (
        mock.patch.object(rule, "half_lives", return_value=np.array([2.0, 3.0, 4.0])),
        mock.patch.object(rule, "floors", return_value=np.array([0.1, 0.2, 0.3])),
    ):
        first, *_ = _half_lives(rule) or []
    assert first == HalfLife("own", (HalfLifeInterval("events", 2.0, 2.0, 2.0, 1.0),), 0.1, None)


def test_other_rules_are_measured_by_their_weights() -> None:
    half_lives = _half_lives(WeightsOnly(GlobalHalfLife(1.0))) or []
    assert {half_life.kind for half_life in half_lives} == {"measured"}
    # The newest weighs 1, the next one 1/2.
    assert [half_life.clocks[0].median for half_life in half_lives] == [2.0, None, None]


def test_no_decay_has_no_half_life() -> None:
    assert _half_lives(NoDecay()) is None


def test_what_is_shown_is_what_the_history_is_weighed_by() -> None:
    rule = TemporalDecay(changepoints=False).for_log(2, "seconds")
    count = len(rule.half_lives)
    asked = Queries.from_history([[0, 1, 2, 3]] * 3, users=[0, 1, -1], times=[[0, 1, 2, 3]] * 3, now=[9, 9, 9])
    rule.observe(asked.take(np.asarray([1])), np.linspace(0, 1, count, dtype=np.float32)[None])
    floors = rule.belief(asked.users) @ rule.half_lives.grid[:, 2]
    with mock.patch.object(Decayed, "rule", new_callable=mock.PropertyMock, return_value=rule):
        model = Decayed(TastesFromHistory(), GlobalHalfLife(1.0)).fit(movie_log())
        new, own, stranger = user_half_lives(model, asked) or []
    assert [one.never for one in (new, own, stranger)] == pytest.approx(floors.tolist(), rel=1e-5)
    assert own.never > new.never, "the belief moved to slow hypotheses with high floors"
    assert [one.kind for one in (new, own, stranger)] == ["shared", "own", "shared"]
    assert [one.learned_from for one in (new, own, stranger)] == [0, 1, 0]
