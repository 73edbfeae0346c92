"""What personas have to say in a decayed model: clocks of their own, and a prior over who is active."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundles import bundle
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting
from recsys.decay.fixed import GlobalHalfLife, half_life_weights
from recsys.decay.half_lives import HalfLives
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.prequential.replay import QuestionSettings, events_before, replay
from recsys.experiments.configuration import check_experiment
from recsys.models import AMPCF, EASE, MF, Decayed, PersonaEASE
from recsys.models.ampcf.settings import HistoryPooling
from recsys.models.base import Recommender
from recsys.models.decayed.persona_activity import PersonaPrior, PersonaWeighting, by_personas, memberships, own_ages
from recsys.training.trainable import Optimization
from tests.decay.random_queries import N_USERS, random_queries, temporal

SHARP = np.asarray([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
"""Items 0 and 1 are of one persona, 2 and 3 of the other."""
MIXED = np.asarray([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]], np.float32)
OFF = PersonaPrior()
BOTH: dict[str, Any] = {"per_persona": True, "persona_prior": PersonaPrior(1.0, 0.5)}


def test_only_events_of_the_same_persona_increase_the_age() -> None:
    queries = Queries.from_history([[0, 2, 3, 1, UNKNOWN, 2], []], times=[[1, 2, 3, 3, 4, 5], []])
    assert own_ages(memberships(SHARP, queries), queries).tolist() == [1, 2, 1, 0, 0, 0]
    mixed = own_ages(memberships(MIXED, queries), queries)
    by_hand = 0.6 * 0.3 + 0.4 * 0.7  # the event of item 1 has one later event, of item 2; its twin in time is none
    assert mixed[3] == pytest.approx(by_hand)
    assert (mixed <= [5, 4, 2, 2, 1, 0]).all()


def test_an_inactive_persona_does_not_decay() -> None:
    queries = Queries.from_history([[0, 1, 2, 2, 3, 2]])
    rule = by_personas(GlobalHalfLife(1.0, floor=0.1), PersonaWeighting(SHARP, OFF, own_clock=True))
    weights = rule.weights(queries)
    np.testing.assert_allclose(weights, half_life_weights(np.asarray([1.0, 0, 3, 2, 1, 0]), 1.0, 0.1))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_prior_replaces_decayed_shares(strength: float) -> None:
    queries = Queries.from_history([[0, 1, 2, 3]])
    plain = GlobalHalfLife(1.0).weights(queries)
    fast = np.asarray([plain[:2].sum(), plain[2:].sum()]) / plain.sum()
    pi = 0.5 * 0.5 + 0.5 * fast
    weights = by_personas(GlobalHalfLife(1.0), PersonaWeighting(SHARP, PersonaPrior(strength, 0.5), False)).weights(
        queries
    )
    np.testing.assert_allclose(weights, plain * np.repeat((pi / fast) ** strength, 2), rtol=1e-6)
    if strength == 1:
        assert weights[:2].sum() / weights.sum() == pytest.approx(pi[0])


def test_no_weight_exceeds_1() -> None:
    queries = Queries.from_history([[0] + [2, 3] * 20])
    weights = by_personas(GlobalHalfLife(30.0), PersonaWeighting(SHARP, PersonaPrior(9.0, 1.0), True)).weights(queries)
    assert weights.max() == 1.0


@given(random_queries(), st.booleans(), st.sampled_from([OFF, PersonaPrior(1.0, 0.3), PersonaPrior(2.0, 1.0)]))
def test_weights_within_one_routing_never_grow_with_age(queries: Queries, own: bool, prior: PersonaPrior) -> None:
    kind = np.arange(len(queries.history.items)) % len(MIXED)
    reading = PersonaWeighting(MIXED[np.append(kind, 0)], prior, own)  # items are numbered as the events
    for rule in (GlobalHalfLife(2.0), temporal(N_USERS, HalfLives(events=(1.0, 4.0), time=(3.0,)))):
        weights = by_personas(rule, reading).weights(queries)
        assert weights.dtype == np.float32
        assert ((weights >= 0) & (weights <= 1)).all()
        group = queries.history.rows * len(MIXED) + kind
        for same in (np.flatnonzero(group == number) for number in np.unique(group)):
            assert (np.diff(weights[same]) >= -1e-6).all()  # histories are oldest first
            tied = np.diff(queries.times[same]) == 0
            assert (np.diff(weights[same])[tied] < 1e-6).all()


def test_a_prior_that_is_off_leaves_the_rule_unchanged(block_log: Interactions) -> None:
    model = Decayed(PersonaEASE(2, factors=4), GlobalHalfLife(2.0)).fit(block_log)
    assert model.forgetting is model.rule
    queries = Queries.from_interactions(block_log)
    inactive = by_personas(GlobalHalfLife(2.0), PersonaWeighting(model.scoring_model.routing(), OFF, False))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(inactive.weights(queries), model.forgetting.weights(queries))
    rule = temporal(block_log.n_users, HalfLives(time=()))
    one = PersonaWeighting(np.ones((block_log.n_items, 1), np.float32), OFF, own_clock=True)
    np.testing.assert_allclose(by_personas(rule, one).weights(queries), rule.weights(queries), rtol=1e-5)
    hypotheses = by_personas(rule, one).hypotheses(queries)  # type: ignore[attr-defined]
    np.testing.assert_allclose(hypotheses, rule.hypotheses(queries), rtol=1e-5)


def _both_blocks(model: Decayed, block_log: Interactions) -> Queries:
    """Somebody who was in the first block, and has been in the second of late."""
    ids = [*[f"0-{number}" for number in range(4)], *[f"1-{number}" for number in range(5)]]
    return Queries.from_history([model.fitted_on.items.numbers(ids)])


@pytest.mark.parametrize("settings", [{"rule": GlobalHalfLife(1.0)}, {"calibration": 0.3}])
def test_contributions_add_up_to_the_score(settings: dict[str, Any], block_log: Interactions) -> None:
    model = Decayed(PersonaEASE(2, factors=4), **settings, **BOTH).fit(block_log)
    queries = _both_blocks(model, block_log)
    every = np.arange(model.n_items, dtype=np.int32)[None]
    torch.testing.assert_close(model.contributions(queries, every).sum(0), model.score(queries)[0])


def test_the_prior_raises_an_inactive_persona_of_either_model(block_log: Interactions) -> None:
    brief = Optimization(epochs=3, batch_size=32)
    latent = AMPCF(4, 2, history=HistoryPooling(routing_temperature=50.0), optimization=brief)
    for inner in (PersonaEASE(2, factors=4, routing_sharpness=20.0), latent):
        faded = Decayed(inner, GlobalHalfLife(1.0)).fit(block_log)
        awake = Decayed(inner, GlobalHalfLife(1.0), persona_prior=PersonaPrior(1.0, 1.0)).fit(block_log)
        queries = _both_blocks(faded, block_log)
        routing = faded.scoring_model.routing()[queries.history.items]  # type: ignore[attr-defined]
        oldest = routing[0].argmax()

        heard = {}
        for model in (faded, awake):
            weights = model.read(queries).queries.weights
            assert weights is not None
            heard[model] = float((weights * routing[:, oldest]).sum() / weights.sum())
        assert heard[faded] < heard[awake]
        assert heard[awake] == pytest.approx(float(routing[:, oldest].mean()), abs=0.05)


def test_settings_of_personas_need_a_model_with_personas(block_log: Interactions) -> None:
    with pytest.raises(CapabilityError, match="EASE routes no items to personas, which per_persona needs"):
        Decayed(EASE(), per_persona=True)
    with pytest.raises(CapabilityError, match="MF routes no items to personas, which persona_prior needs"):
        Decayed(MF(users="history"), persona_prior=PersonaPrior(1.0))
    with pytest.raises(ConfigError, match="GlobalHalfLife does not"):
        Decayed(PersonaEASE(2), GlobalHalfLife(3.0, clock="time"), per_persona=True)
    with pytest.raises(ConfigError, match="strength is -1"):
        PersonaPrior(-1.0)
    with pytest.raises(ConfigError, match="slow is 2"):
        PersonaPrior(1.0, 2.0)
    with pytest.raises(ConfigError, match="slow belongs to"):
        PersonaPrior(slow=0.2)


def test_settings_survive_a_bundle_and_an_experiment_file(block_log: Interactions, tmp_path: Path) -> None:
    model = Decayed(PersonaEASE(2, factors=4), calibration=0.3, **BOTH).fit(block_log)
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    assert isinstance(loaded, Decayed)
    assert loaded.persona_prior == BOTH["persona_prior"]
    queries = Queries.from_interactions(block_log)
    assert torch.equal(loaded.score(queries), model.score(queries))
    items = model.scoring_model.recommend(queries, 2).items[:, 1]
    for each in (model, loaded):
        each.observe(queries, items)
    assert torch.equal(loaded.score(queries), model.score(queries))
    content = {"model": {"class_path": "recsys.models.Decayed", "init_args": model.parameters_of_constructor()}}
    built = check_experiment(content, [("persona_prior.slow", "0.25")]).build()
    assert isinstance(built, Decayed)
    assert built.persona_prior == PersonaPrior(1.0, 0.25)


def test_a_replay_weighs_like_the_model() -> None:
    source = np.random.default_rng(0)
    times = np.sort(source.integers(10**7, size=400))
    log = Interactions.from_columns(source.integers(20, size=400), source.integers(40, size=400), times=times)
    start = int(np.quantile(log.time, 0.7))
    model = Decayed(PersonaEASE(2, factors=4), GlobalHalfLife(2.0), **BOTH).fit(events_before(log, start))
    question_settings = QuestionSettings(limit=60)

    def ranks(model: Recommender, forgetting: Forgetting | None = None) -> list[int]:
        return (
            replay(model, log, start, forgetting, question_settings=question_settings, depth=40).table["rank"].tolist()
        )

    whole = ranks(model)
    assert whole == ranks(model.scoring_model, model.forgetting)
    assert whole != ranks(model.scoring_model, model.rule)
