"""Tuning of the arms on a validation stage: the best candidate wins, learning stays honest, beliefs are handed on."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.stream import QuestionSettings, events_before
from recsys.decay.base import Forgetting
from recsys.decay.changepoints import Changepoints
from recsys.decay.detectors import DetectorReset
from recsys.decay.fixed import GlobalHalfLife
from recsys.decay.half_lives import HalfLives
from recsys.decay.own_gain import OwnGain
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import TemporalDecay
from recsys.errors import ConfigError, DataError
from recsys.experiments.drift.arms import PrecomputedBeliefs, Stage, choose, temporal_decay
from recsys.experiments.drift.candidates import OWN, OneRule
from recsys.experiments.drift.names import ARMS
from recsys.models import EASE, ItemKNN
from recsys.models.base import Recommender
from recsys.models.calibration_set import CalibrationSet
from recsys.types import Floats, Ints
from recsys.worlds.drift import DriftConfig, simulate_drift

MODELS: tuple[Recommender, ...] = (EASE(regularization=20), ItemKNN(neighbours=30))
WITHOUT_LIBRARY = tuple(arm for arm in ARMS if not arm.endswith(("adwin", "page_hinkley")))


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulate_drift(DriftConfig(n_users=50, n_items=300, events_per_user=60)).log


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: type(model).__name__)
def validation(request: pytest.FixtureRequest, log: Interactions) -> Stage:
    start, end = (int(moment) for moment in np.quantile(log.time, [0.6, 0.8]))
    model = cast("Recommender", request.param).unfitted().fit(events_before(log, start).compact())
    return Stage(model, events_before(log, end), start)


@pytest.mark.parametrize("arm", WITHOUT_LIBRARY)
def test_the_candidate_with_the_best_score_is_chosen(validation: Stage, arm: str) -> None:
    chosen = choose(arm, validation, candidates=4)
    if arm == "none":
        assert (chosen.rule, chosen.tried) == (None, ())
        return
    words = [word for word, _ in chosen.tried]
    scores = [score for _, score in chosen.tried]
    assert chosen.choice.partition(", own part")[0] == words[int(np.argmax(scores))]
    assert len(words) == len(set(words)) == 4 + (arm in ("global", "window"))
    assert len(set(scores)) > 1, "candidates that all score alike would not be told apart"


def test_a_score_is_the_ndcg_of_a_replay_of_the_whole_stage(validation: Stage) -> None:
    tried = dict(choose("global", validation, candidates=4).tried)
    days = GlobalHalfLife(16 * 86_400.0, "time")
    for word, rule in (("no decay", None), ("16 days", days)):
        assert tried[word] == validation.replay(rule).over_users["ndcg@10"]
    both = HalfLives((8.0,), (256 * 86_400.0,), (0.1,))
    assert tried["8 events and 256 days, floor 0.1"] == validation.replay(OneRule(both)).over_users["ndcg@10"]


def test_the_tuned_rule_has_the_best_score(validation: Stage) -> None:
    for arm in ("global", "window"):
        chosen = choose(arm, validation)
        assert validation.replay(chosen.rule).over_users["ndcg@10"] == max(score for _, score in chosen.tried)


def test_more_candidates_begin_with_those_of_a_smaller_budget(validation: Stage) -> None:
    for arm in ("global", "window", "per_user"):
        few, many = (choose(arm, validation, candidates=number).tried for number in (2, 3))
        assert many[: len(few)] == few


def test_precomputed_beliefs_rank_like_a_replay_that_learns(validation: Stage) -> None:
    log = validation.log
    met = np.bincount(log.user_num[log.time < validation.start], minlength=log.n_users) > 0
    validation = replace(validation, log=log.select(met[log.user_num]))  # rules learn nothing from users without a past
    calibration = validation.calibration_set()
    rule = temporal_decay(validation)
    utilities = rule.evaluate(calibration)
    assert rule.changepoints is not None
    rule.changepoints.forget()
    rule.fit_prior(utilities.half_lives, calibration.users)
    learned = validation.replay(rule)
    after = rule.state()
    rule.reset()
    precomputed = PrecomputedBeliefs(rule, calibration, utilities)
    np.testing.assert_array_equal(validation.replay(precomputed).table["rank"], learned.table["rank"])
    for name in ("evidence", "changes.belief"):
        np.testing.assert_allclose(rule.state()[name], after[name], rtol=1e-4, atol=1e-5)
    assert not np.array_equal(learned.table["rank"], validation.replay(None).table["rank"])


def test_per_user_starts_the_test_stage_with_beliefs_of_the_validation_stage(
    validation: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnGain, "of", lambda *_: OwnGain(0.1, 0.01, used=True))
    rule = choose("per_user", validation, candidates=2).rule
    assert isinstance(rule, TemporalDecay)
    before = rule.state()
    calibration = validation.calibration_set()
    every = np.arange(validation.log.n_users)
    utility = temporal_decay(validation).evaluate(calibration).half_lives
    informative = (utility != utility[:, :1]).any(1)
    assert informative.sum() > 10
    np.testing.assert_array_equal(
        before["seen"][every], np.bincount(calibration.users[informative], minlength=len(every))
    )
    assert not np.allclose(rule.belief(np.unique(calibration.users)), rule.prior)
    validation.replay(rule)
    assert not np.array_equal(rule.state()["evidence"], before["evidence"])
    rule.reset()
    for name, value in rule.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_per_user_learns_no_user_where_users_own_part_earns_nothing(
    validation: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnGain, "of", lambda *_: OwnGain(0.01, 0.1, used=False))
    chosen = choose("per_user", validation, candidates=1)
    assert isinstance(chosen.rule, TemporalDecay)
    assert chosen.choice.endswith(", own part not used")
    assert not chosen.rule.observes
    replayed = validation.replay(chosen.rule)
    alike = temporal_decay(validation, OWN[0], own=False)
    alike.calibrate(validation.calibration_set())
    everybody = PopulationDecay(alike.without_users())
    np.testing.assert_array_equal(replayed.table["rank"], validation.replay(everybody).table["rank"])
    assert replayed.state_bytes == 0


def test_a_learning_rule_is_scored_on_events_it_did_not_learn_from(
    validation: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    learned_until: list[int] = []
    replay, contributions = Stage.replay, CalibrationSet.contributions

    def recorded(stage: Stage, rule: Forgetting | None, **more: object) -> object:
        starts.append(stage.start)
        return replay(stage, rule, **more)

    def learned(calibration: CalibrationSet, most: int) -> object:
        learned_until.append(int(calibration.stream.times[calibration.rows].max()))
        return contributions(calibration, most)

    monkeypatch.setattr(Stage, "replay", recorded)
    monkeypatch.setattr(CalibrationSet, "contributions", learned)
    choose("koren", validation, candidates=2)
    assert learned_until[0] < min(starts)
    assert validation.start < min(starts)
    assert learned_until[-1] >= max(starts), "the chosen rule learns from all calibration events"


@pytest.mark.parametrize("arm", ["per_user", "population"])
def test_what_a_candidate_is_scored_with_is_fitted_on_earlier_events(
    validation: Stage, arm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters of change and the prior; the chosen rule's are fitted again, on all calibration events."""
    calls: list[tuple[str, int]] = []
    fit, fit_prior, replay = Changepoints.fit, TemporalDecay.fit_prior, Stage.replay

    def fitted(changes: Changepoints, users: Ints, visible: Ints, utility: Floats, n_items: int) -> None:
        calls.append(("changes", len(users)))
        fit(changes, users, visible, utility, n_items)

    def prior(rule: TemporalDecay, utility: Floats, users: Ints) -> None:
        calls.append(("prior", len(utility)))
        fit_prior(rule, utility, users)

    def replayed(stage: Stage, rule: Forgetting | None, **more: object) -> object:
        calls.append(("score", stage.start))
        return replay(stage, rule, **more)

    monkeypatch.setattr(Changepoints, "fit", fitted)
    monkeypatch.setattr(TemporalDecay, "fit_prior", prior)
    monkeypatch.setattr(Stage, "replay", replayed)
    choose(arm, validation, candidates=2)
    calibration = validation.calibration_set()
    start = next(value for name, value in calls if name == "score")
    earlier = int((calibration.stream.times[calibration.rows] < start).sum())
    assert 0 < earlier < len(calibration)
    candidate = [("prior", earlier), ("score", start)]
    chosen = [("changes", len(calibration)), ("prior", len(calibration))]
    own = arm == "per_user"  # everybody's rule knows no changes of taste, and is fitted beside the own part at last
    beside = [("prior", len(calibration))] if own else []
    expected = [("changes", earlier), *candidate, *candidate, *chosen, *beside]
    assert calls == [call for call in expected if own or call[0] != "changes"]


def test_a_limit_holds_for_both_halves(validation: Stage) -> None:
    limited = replace(validation, question_settings=QuestionSettings(limit=100))
    totals: list[int] = []
    choose("koren", limited, candidates=1, progress=lambda done, total: totals.append(total))
    assert totals == [1]
    assert len(limited.replay(None).table) == 100


def test_periods_have_half_lives_of_periods(log: Interactions) -> None:
    periods = replace(log, time=(log.time - log.time.min()) // (60 * 86_400), clock="period")
    cut, end = (int(moment) for moment in np.quantile(periods.time, [0.5, 0.9]))
    stage = Stage(EASE(regularization=20).fit(events_before(periods, cut).compact()), events_before(periods, end), cut)
    rule = choose("per_user", stage, candidates=1).rule
    assert isinstance(rule, TemporalDecay)
    assert rule.half_lives.time == (1.0, 2.0, 4.0)
    assert "8 events and 4 periods, floor 0.1" in dict(choose("global", stage, candidates=1).tried)


def test_an_empty_calibration_set_is_refused_with_a_cure(log: Interactions) -> None:
    start = int(np.quantile(log.time, 0.6))
    early = events_before(log, start)
    late_items = np.unique(log.item_num[log.time >= start])[:-1]
    others = early.select(~np.isin(early.item_num, late_items)).compact()
    stage = Stage(
        EASE(regularization=20).fit(others), log.select((log.time < start) | np.isin(log.item_num, late_items)), start
    )
    for arm in ("koren", "per_user"):
        with pytest.raises(DataError, match="longer validation part"):
            choose(arm, stage)


def test_an_unknown_arm_and_no_candidates_are_refused(validation: Stage) -> None:
    with pytest.raises(ConfigError, match="did you mean 'per_user'"):
        choose("peruser", validation)
    with pytest.raises(ConfigError, match="candidates is 0"):
        choose("global", validation, candidates=0)


@pytest.mark.parametrize(("scope", "most"), [("population", 64), ("user", 1024)])
def test_a_population_detector_is_updated_often(validation: Stage, scope: str, most: int) -> None:
    pytest.importorskip("river", reason="the extra `drift` is not installed")
    done: list[int] = []
    rule = DetectorReset("page_hinkley", "population" if scope == "population" else "user")
    validation.replay(rule, progress=lambda now, total: done.append(now))
    assert min(most, done[-1]) <= done[0] < most + 20


@pytest.mark.parametrize("arm", sorted(set(ARMS) - set(WITHOUT_LIBRARY)))
def test_detectors_are_tuned(validation: Stage, arm: str) -> None:
    pytest.importorskip("river", reason="the extra `drift` is not installed")
    limited = replace(validation, question_settings=QuestionSettings(limit=150))
    chosen = choose(arm, limited, candidates=2)
    assert isinstance(chosen.rule, DetectorReset)
    assert chosen.rule.scope == arm.partition("_")[0]
    assert len(chosen.tried) == 2
