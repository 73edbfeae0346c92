"""What a guest, one event, a new taste and a year do to lists: against lists made one by one, and in limits."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.stream import QuestionSettings, Stream, events_before
from recsys.decay.base import Forgetting
from recsys.decay.fixed import GlobalHalfLife, SlidingWindow
from recsys.experiments.drift.arms import temporal_decay
from recsys.experiments.drift.stage import Stage
from recsys.experiments.drift.visits import Visits, measure_visits
from recsys.models import EASE
from recsys.types import DAY
from recsys.worlds.drift import DriftConfig, simulate_drift


@pytest.fixture(scope="module")
def stage() -> Stage:
    log = simulate_drift(DriftConfig(n_users=120, n_items=300, events_per_user=80)).log
    start = int(np.quantile(log.time, 0.7))
    return Stage(EASE(regularization=20.0).fit(events_before(log, start)), log, start)


def measured(stage: Stage, rule: Forgetting | None) -> Visits:
    visits = measure_visits(stage, rule)
    assert visits is not None
    return visits


def test_without_decay_the_long_term_list_never_leaves_and_a_guest_has_the_share_of_ten_events(stage: Stage) -> None:
    visits = measured(stage, None)
    assert visits.year_kept == 10
    # One guest of ten events at once, in one day, or in ten: the same, as long as nothing decays.
    assert visits.guest_kept is not None  # five guests of each user, the new taste is one of them
    assert visits.guest_kept == pytest.approx(10 - visits.taste_changed, abs=0.3)
    assert visits.sitting_changed == pytest.approx(visits.taste_changed)
    assert 2 < visits.guest_kept < visits.event_kept < 10
    assert visits.users > 20
    assert visits.events >= 20


def test_a_window_of_ten_events_is_all_guest(stage: Stage) -> None:
    visits, undecayed = measured(stage, SlidingWindow(10)), measured(stage, None)
    assert visits.guest_kept is not None
    assert undecayed.guest_kept is not None
    assert visits.guest_kept < undecayed.guest_kept / 2
    assert visits.guest_cost_low is not None
    assert visits.guest_cost_high is not None
    assert visits.guest_cost is not None
    assert undecayed.guest_cost is not None
    assert visits.guest_cost != undecayed.guest_cost
    assert visits.guest_cost_low <= visits.guest_cost <= visits.guest_cost_high
    assert visits.event_kept < undecayed.event_kept


def test_with_a_floor_in_wall_time_a_year_brings_the_long_term_list_back(stage: Stage) -> None:
    assert measured(stage, GlobalHalfLife(3 * DAY, "time", 0.2)).year_kept == pytest.approx(10, abs=0.1)
    assert measured(stage, GlobalHalfLife(3.0, "events", 0.0)).year_kept < 7  # type: ignore[operator]


def test_lists_after_one_event_are_those_of_a_log_with_that_event(stage: Stage) -> None:
    rule = GlobalHalfLife(4.0)
    stream = Stream.of(stage.log, stage.start, QuestionSettings())
    _, first = np.unique(stream.users, return_index=True)
    kept = []
    for row in first[stream.n_visible[first] >= 20]:
        user, now = stream.users[[row]], stream.now[[row]]
        log, event = stage.log, stream.event[row]
        until = {"before": log.select(np.arange(len(log)) < event), "after": log.select(np.arange(len(log)) <= event)}
        lists = []
        for part in until.values():
            queries = Queries.from_interactions(part, user, now + 1)
            # What the event was about is in neither list.
            top = stage.model.recommend(queries.with_weights(rule.weights(queries)), 11).items[0]
            lists.append([item for item in top.tolist() if item != log.item_num[event]][:10])
        kept.append(len(set(lists[0]) & set(lists[1])))
    visits = measured(stage, rule)
    # The same users, but for those of whom no other could be the guest.
    assert visits.users == len(kept)
    assert visits.event_kept == pytest.approx(np.mean(kept))


def test_a_rule_that_learns_is_left_as_it_was(stage: Stage) -> None:
    rule = temporal_decay(stage)
    rule.calibrate(stage.calibration_set())
    before = {name: value.copy() for name, value in rule.state().items()}
    measured(stage, rule)
    for name, value in rule.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_users_of_short_histories_are_not_measured() -> None:
    times = np.tile(np.arange(6) * DAY, 3)
    log = Interactions.from_columns(np.repeat([1, 2, 3], 6), np.arange(18) % 7, times=times)
    stage = Stage(EASE().fit(events_before(log, 4 * DAY)), log, 4 * DAY)
    assert measure_visits(stage, None) is None
