"""Decay around a model: the read-out decays, the items do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import spearmanr

from recsys.bundles import bundle
from recsys.bundles.manifest import canonical
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.decay.temporal import TemporalDecay
from recsys.errors import BundleError, CapabilityError, ConfigError
from recsys.evaluation.prequential.replay import QuestionSettings, events_before, replay
from recsys.explanations import describe_personas, explain
from recsys.models import BPR, EASE, IALS, MF, Decayed, ItemKNN, PersonaEASE, Popularity
from recsys.models.base import Recommender
from recsys.models.calibration_set import CalibrationSet, calibration_events, newest_part
from recsys.training.trainable import Optimization
from recsys.worlds.drift import DriftWorld, timescale_world

EACH: dict[str, Any] = {"rule": TemporalDecay(), "calibration": 0.3}


BRIEF_MF = MF(4, users="history", optimization=Optimization(epochs=3, batch_size=32))


def name_of(model: Recommender) -> str:
    return type(model).__name__


def rule_of(model: Decayed) -> TemporalDecay:
    assert isinstance(model.forgetting, TemporalDecay)
    return model.forgetting


@pytest.fixture(scope="module")
def mixed_log() -> Interactions:
    """Users who use anything: the events of a history disagree about what comes next."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(20, size=400), rng.integers(40, size=400)
    return Interactions.from_columns(users, items, times=np.sort(rng.integers(10**7, size=400)))


def next_items(model: Decayed, queries: Queries) -> npt.NDArray[np.int32]:
    """An item for each query that the model expects, but not first of all: half-lives differ on it."""
    return model.scoring_model.recommend(queries, 2).items[:, 1]


@pytest.fixture(scope="module")
def world() -> DriftWorld:
    return timescale_world(seed=1, n_users=300, events_per_user=120)


@pytest.fixture(scope="module")
def own_pace(world: DriftWorld) -> Decayed:
    """Fitted on the first 80% of the time; half of that is for learning paces."""
    start = int(np.quantile(world.log.time, 0.8))
    return Decayed(EASE(50.0), calibration=0.5).fit(events_before(world.log, start))


def test_a_global_half_life_scores_with_its_weights(block_log: Interactions) -> None:
    plain = EASE(10.0).fit(block_log)
    model = Decayed(EASE(10.0), GlobalHalfLife(2.0, floor=0.1)).fit(block_log)
    queries = Queries.from_history([[0, 1, 2], [5]], users=[0, UNKNOWN])
    by_hand = np.asarray([0.1 + 0.9 * 0.5, 0.1 + 0.9 * 2**-0.5, 1.0, 1.0], np.float32)
    torch.testing.assert_close(model.score(queries), plain.score(queries.with_weights(by_hand)))
    halves = queries.with_weights(np.full(4, 0.5, np.float32))
    both = (0.5 * by_hand).astype(np.float32)
    torch.testing.assert_close(model.score(halves), plain.score(queries.with_weights(both)))
    asked = np.asarray([[3, 4], [3, 4]], np.int32)
    torch.testing.assert_close(
        model.contributions(queries, asked), plain.contributions(queries.with_weights(by_hand), asked)
    )


@pytest.mark.parametrize(
    "inner", [EASE(10.0), ItemKNN(), IALS(4, 1.0), PersonaEASE(2, factors=4), BRIEF_MF], ids=name_of
)
@pytest.mark.parametrize("settings", [{"rule": GlobalHalfLife(3.0)}, EACH], ids=["global", "per_user"])
def test_the_items_are_those_of_the_model_alone(
    inner: Recommender, settings: dict[str, Any], block_log: Interactions
) -> None:
    alone = inner.unfitted().fit(block_log).arrays()
    model = Decayed(inner, **settings).fit(block_log)
    for name, value in model.scoring_model.arrays().items():
        np.testing.assert_array_equal(value, alone[name])
    assert inner._fitted_on is None


def test_users_learn_their_timescales(world: DriftWorld, own_pace: Decayed) -> None:
    pace = rule_of(own_pace).pace(np.arange(world.log.n_users))
    assert spearmanr(pace, world.timescale).statistic > 0.5


def test_decay_predicts_drifting_users_better(world: DriftWorld, own_pace: Decayed) -> None:
    start = int(np.quantile(world.log.time, 0.8))
    plain = replay(own_pace.scoring_model, world.log, start, question_settings=QuestionSettings(limit=3000)).summary[
        "ndcg@10"
    ]
    frozen = replay(own_pace, world.log, start, question_settings=QuestionSettings(limit=3000)).summary["ndcg@10"]
    online = replay(
        own_pace.scoring_model, world.log, start, own_pace.forgetting, question_settings=QuestionSettings(limit=3000)
    ).summary["ndcg@10"]
    rule_of(own_pace).reset()  # the fixture is shared
    assert frozen > 1.05 * plain
    assert online > 1.05 * plain


@pytest.mark.parametrize("inner", [BPR(), MF(users="embedding"), Popularity()], ids=name_of)
def test_models_that_cannot_fold_in_are_refused(inner: Recommender) -> None:
    with pytest.raises(CapabilityError, match=f"{type(inner).__name__} cannot fold in a history, which decay"):
        Decayed(inner, GlobalHalfLife(3.0))


def test_settings_without_effect_are_refused(block_log: Interactions) -> None:
    with pytest.raises(CapabilityError, match="cannot wrap Decayed"):
        Decayed(Decayed(EASE()))
    with pytest.raises(ConfigError, match="without decay"):
        Decayed(EASE(), GlobalHalfLife(float("inf")))
    with pytest.raises(ConfigError, match="half_life is 0"):
        Decayed(EASE(), GlobalHalfLife(0.0))
    with pytest.raises(ConfigError, match="calibration is 1"):
        Decayed(EASE(), calibration=1.0)
    with pytest.raises(ConfigError, match="must rise"):
        Decayed(EASE(), TemporalDecay(events=(2.0, 1.0)))
    ordered = replace(block_log, clock="order")
    with pytest.raises(ConfigError, match="no time passes; use clock 'events'"):
        Decayed(EASE(), GlobalHalfLife(2.0, clock="time")).fit(ordered)


def test_a_log_without_seconds_has_no_half_lives_in_days(block_log: Interactions) -> None:
    for clock in ("order", "period", "none"):
        model = Decayed(EASE(10.0), **EACH).fit(replace(block_log, clock=clock))
        assert rule_of(model).half_lives.time == (TemporalDecay().periods if clock == "period" else ())
        users = range(block_log.n_users)
        assert any(rule_of(model).posterior(user).events for user in users) == (clock != "none")
    assert len(rule_of(Decayed(EASE(10.0), **EACH).fit(block_log)).half_lives.time) == len(TemporalDecay().days)


def test_observe_changes_the_observed_user_alone(mixed_log: Interactions) -> None:
    model = Decayed(EASE(10.0), **EACH).fit(mixed_log)
    queries = Queries.from_interactions(mixed_log)
    items = next_items(model, queries)
    before, items_before = model.score(queries), model.scoring_model.arrays()["weights"].copy()
    for item in range(40):  # whatever the user takes next, some of it tells half-lives apart
        model.observe(queries.take(np.asarray([3])), np.asarray([item], np.int32))
    changed = (model.score(queries) != before).any(1)
    assert np.flatnonzero(changed.numpy()).tolist() == [3]
    np.testing.assert_array_equal(model.scoring_model.arrays()["weights"], items_before)
    learned = rule_of(model).state()
    strangers = replace(queries, users=np.full(len(queries), UNKNOWN, np.int32))
    model.observe(strangers, items)
    model.observe(queries, np.full(len(queries), UNKNOWN, np.int32))
    for name, value in rule_of(model).state().items():
        np.testing.assert_array_equal(value, learned[name])
    everybody = Decayed(EASE(10.0), GlobalHalfLife(3.0)).fit(mixed_log)
    before = everybody.score(queries)
    everybody.observe(queries, items)
    assert torch.equal(everybody.score(queries), before)


def test_a_loaded_bundle_goes_on_learning(mixed_log: Interactions, tmp_path: Path) -> None:
    model = Decayed(PersonaEASE(2, factors=4), **EACH).fit(mixed_log)
    queries = Queries.from_interactions(mixed_log)
    items = next_items(model, queries)
    model.observe(queries, items)
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    assert isinstance(loaded, Decayed)
    for each in (model, loaded):
        each.observe(queries.take(np.arange(5)), items[:5])
        for row in range(5, 9):
            each.observe(queries.take(np.asarray([row])), items[[row]])
    assert torch.equal(loaded.score(queries), model.score(queries))
    in_one = bundle.load(tmp_path / "model")
    assert isinstance(in_one, Decayed)
    in_one.observe(queries.take(np.arange(9)), items[:9])
    torch.testing.assert_close(in_one.score(queries), model.score(queries))


@pytest.mark.parametrize(
    "inner",
    [
        {"class_path": "os.system", "init_args": {"command": "true"}},
        {"class_path": "recsys.bundles.bundle.load", "init_args": {"path": "x"}},
        {"class_path": ["recsys.models.EASE"], "init_args": {}},
        {"class_path": "recsys.models.EASE"},
        {"class_path": "recsys.models.EASE", "init_args": []},
        {"init_args": {}},
    ],
)
def test_a_bundle_with_another_class_is_refused(inner: dict[str, Any], block_log: Interactions, tmp_path: Path) -> None:
    path = bundle.save(Decayed(EASE(10.0), GlobalHalfLife(2.0)).fit(block_log), tmp_path / "model")
    manifest = bundle.read_manifest(path)
    content = manifest.content() | {"parameters": {**manifest.parameters, "model": inner}}
    (path / bundle.MANIFEST).write_bytes(canonical(content))
    with pytest.raises(BundleError, match=r"is not a model of this library|class_path is missing|expected a mapping"):
        bundle.load(path)


def test_personas_of_the_wrapped_model_are_available(block_log: Interactions) -> None:
    queries = Queries.from_interactions(block_log)
    model = Decayed(PersonaEASE(2, factors=4), GlobalHalfLife(2.0)).fit(block_log)
    assert model.has_personas
    assert len(describe_personas(model, queries)[0]) == 2
    assert explain(model, queries, n=2)[0][0].personas
    bare = Decayed(EASE(10.0), GlobalHalfLife(2.0)).fit(block_log)
    assert not bare.has_personas
    told = explain(bare, queries, n=2)[0][0]
    assert told.personas == ()
    assert told.evidence_kind == "contribution"
    with pytest.raises(CapabilityError, match="EASE, which Decayed wraps, has no personas"):
        bare.item_vectors()
    with pytest.raises(CapabilityError, match="no personas"):
        describe_personas(bare, queries)


def test_calibration_events() -> None:
    log = Interactions.from_columns(
        ["a"] * 6 + ["b"] * 4, [1, 2, 3, 2, 1, 4, 1, 2, 3, 5], times=[1, 2, 3, 7, 7, 8, 1, 2, 7, 9]
    )
    late = newest_part(log, 0.5)
    assert np.flatnonzero(late).tolist() == [3, 4, 5, 8, 9]
    judge = EASE(1.0).fit(log.select(~late))
    # 3 and 4 are repeats, and the judge knows neither item 4 nor item 5.
    assert calibration_events(judge, log, late, 9).tolist() == [8]
    knowing = EASE(1.0).fit(log)
    assert calibration_events(knowing, log, late, 9).tolist() == [5, 8, 9]
    assert calibration_events(knowing, log, late, 2).tolist() == [5, 9]
    (queries,) = CalibrationSet.of_events(knowing, log, np.asarray([4, 8])).batches()
    assert queries.history.items.tolist() == [0, 1, 2, 0, 1]
    assert queries.now.tolist() == [7, 7]
    ordered = replace(log, clock="order")
    assert np.flatnonzero(newest_part(ordered, 0.5)).tolist() == [3, 4, 5, 8, 9]
    assert not newest_part(log, 0.0).any()
    assert not newest_part(ordered, 0.0).any()


@pytest.mark.parametrize("rule", [GlobalHalfLife, None])
def test_only_a_rule_of_forgetting_is_accepted(rule: Any) -> None:
    with pytest.raises(ConfigError, match=r"rule is .* must be a rule of forgetting"):
        Decayed(EASE(), rule)
