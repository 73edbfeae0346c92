"""Every rule of forgetting is trained, saved, loaded and served."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import recsys.decay
from recsys.bundles import bundle
from recsys.bundles.classes import classes_of
from recsys.bundles.legacy import section
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay import (
    DetectorReset,
    ForgettingRule,
    GlobalHalfLife,
    GradientHalfLife,
    NoDecay,
    OnlineRule,
    PopulationDecay,
    ShortTerm,
    SlidingWindow,
    TemporalDecay,
)
from recsys.decay.base import learning
from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.events.store import Event
from recsys.experiments.configuration import check_experiment
from recsys.explanations.half_life import user_half_lives
from recsys.models import EASE, Decayed, PersonaEASE, PersonaPrior
from recsys.serving.run_answers import RunAnswers
from recsys.types import DAY

RULES: dict[str, ForgettingRule] = {
    "no decay": NoDecay(),
    "half-life in events": GlobalHalfLife(3.0, floor=0.1),
    "half-life in time": GlobalHalfLife(30.0 * DAY, "time"),
    "window of events": SlidingWindow(events=5),
    "window of time": SlidingWindow(seconds=60.0 * DAY),
    "short term": ShortTerm(),
    "koren": GradientHalfLife.koren(epochs=5),
    "gradient": GradientHalfLife("time", floor="user", epochs=5),
    "population": PopulationDecay(TemporalDecay(caution=0.0)),
    "per user": TemporalDecay(caution=0.0),
    "per user where earned": TemporalDecay(caution=0.0, own="earned"),
    "per user without changepoints": TemporalDecay(changepoints=False, caution=0.0),
}
if importlib.util.find_spec("river") is not None:
    RULES |= {
        "reset of everybody": DetectorReset("page_hinkley", threshold=1.0),
        "reset of users": DetectorReset("page_hinkley", "user", threshold=0.1, minimum=2),
    }
SHARED = ("short term", "half-life in events", "half-life in time", "window of events", "window of time")

each_rule = pytest.mark.parametrize("name", RULES)


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Users whose taste moves from one half of the items to the other."""
    draw = np.random.default_rng(0)
    users, times = np.repeat(np.arange(30), 20), draw.integers(0, 400 * DAY, 600)
    items = draw.integers(0, 20, 600) + 20 * (times > 200 * DAY)
    ids = [f"u{user}" for user in users], [f"i{item}" for item in items]
    return Interactions.from_columns(*ids, times=times, name="moving")


@pytest.fixture(scope="module")
def models(log: Interactions) -> dict[str, Decayed]:
    return {name: Decayed(EASE(20.0), rule, calibration=0.4).fit(log) for name, rule in RULES.items()}


def test_every_public_rule_is_covered() -> None:
    assert {type(rule) for rule in RULES.values()} | {recsys.decay.DetectorReset} == {
        *classes_of(ForgettingRule).values()
    }


@each_rule
def test_weights_are_those_of_the_fitted_rule(name: str, models: dict[str, Decayed], log: Interactions) -> None:
    model, queries = models[name], Queries.from_interactions(log)
    read = model.read(queries)
    assert read.queries.weights is not None
    assert read.queries.weights.tobytes() == model.rule.weights(queries).tobytes()
    torch.testing.assert_close(model.score(queries), read.model.score(read.queries))
    assert (read.queries.weights == 1).all() == (name == "no decay")
    assert (read.recent is None) == (name == "no decay")
    if read.recent is not None:
        assert read.recent.any()


@each_rule
def test_a_loaded_bundle_equals_the_saved_model(
    name: str, models: dict[str, Decayed], log: Interactions, tmp_path: Path
) -> None:
    model, queries = models[name], Queries.from_interactions(log)
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    assert isinstance(loaded, Decayed)
    assert loaded.parameters_of_constructor() == model.parameters_of_constructor()
    assert torch.equal(loaded.score(queries), model.score(queries))
    strangers = Queries.from_history([[1, 2, 25]])
    assert torch.equal(loaded.score(strangers), model.score(strangers))
    for key, value in model.arrays().items():
        np.testing.assert_array_equal(loaded.arrays()[key], value)


@each_rule
def test_an_experiment_file_builds_the_rule(name: str, models: dict[str, Decayed]) -> None:
    model = models[name]
    content = {"class_path": "recsys.models.Decayed", "init_args": model.parameters_of_constructor()}
    built = check_experiment({"model": content}).build()
    assert built.parameters_of_constructor() == model.parameters_of_constructor()


@each_rule
def test_every_rule_is_served(name: str, log: Interactions) -> None:
    model = Decayed(EASE(20.0), RULES[name], calibration=0.4).fit(log)
    before = model.arrays()
    start = int(log.time.max()) + 1
    with open_store("memory:") as store:
        answers = RunAnswers(model, "0" * 16, log, store, clock=lambda: float(start + 30 * DAY))
        users = ["u0", "u1", "somebody new"]
        pairs = [(user, item) for item in range(20) for user in users]
        events = [Event(f"e{k}", u, f"i{item}", 1.0, start + DAY * k // 4) for k, (u, item) in enumerate(pairs)]
        store.append(events)
        for user in users:
            assert len(answers.recommend(user, 5, None, ()).items) == 5
    after = model.arrays()
    changed = any(not np.array_equal(before[key], after[key], equal_nan=True) for key in before)
    assert changed == (learning(model.rule) is not None)
    assert isinstance(model.rule, OnlineRule) or not changed


@each_rule
def test_the_half_life_of_every_rule(name: str, models: dict[str, Decayed], log: Interactions) -> None:
    half_lives = user_half_lives(models[name], Queries.from_interactions(log))
    if name == "no decay":
        assert half_lives is None
        return
    assert half_lives is not None
    assert len(half_lives) == log.n_users
    for user, one in enumerate(half_lives):
        if one.learned_from is not None:
            assert one.kind == ("own" if one.learned_from else "shared"), user
        elif name.startswith("window"):
            assert one.kind == "window"
        else:
            assert one.kind in (("shared",) if name in SHARED else ("own", "measured"))
    for one in half_lives:
        assert (one.learned_from is not None) == isinstance(RULES[name], (TemporalDecay, PopulationDecay))
        for clock in one.clocks:
            low, median, high = (float("inf") if at is None else at for at in (clock.low, clock.median, clock.high))
            assert 0 < low <= median <= high
            assert one.learned_from is not None or low == high


@each_rule
def test_a_prior_over_personas_acts_with_every_rule(name: str, log: Interactions) -> None:
    inner = PersonaEASE(2, factors=4)
    plain = Decayed(inner, RULES[name], calibration=0.4).fit(log)
    model = Decayed(inner, RULES[name], calibration=0.4, persona_prior=PersonaPrior(1.0)).fit(log)
    queries = Queries.from_interactions(log)
    weights, without = model.read(queries).queries.weights, plain.read(queries).queries.weights
    assert weights is not None
    assert without is not None
    assert (weights != without).any() == (name not in ("no decay", "short term"))  # nobody is here for a visit


def test_rules_refuse_logs_without_their_clock(log: Interactions) -> None:
    ordered = Interactions.from_columns(log.user_num, log.item_num, times=log.time, clock="order")
    for rule in (SlidingWindow(seconds=1.0), GradientHalfLife("time")):
        with pytest.raises(ConfigError, match="no time passes"):
            Decayed(EASE(), rule).fit(ordered)
    with pytest.raises(ConfigError, match="no history events to learn"):
        Decayed(EASE(), GradientHalfLife(), calibration=0.0).fit(log)


FORMER = {
    "events": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
    "periods": [],
    "learning_rate": 10.0,
    "shrinkage": 100.0,
    "caution": 6.0,
    "floors": [0.0],
    "paired": False,
    "visits": {"share": 0.0, "last": 1.0, "absence_days": 0.0},
}


def test_arguments_of_earlier_versions_give_the_same_rules() -> None:
    def upgraded(**arguments: object) -> object:
        return section({"class_path": "recsys.models.Decayed", "init_args": arguments})["init_args"]

    own = {"calibration": 0.2, "calibration_events": 9, "days": [1.0], "changes": False}
    shared = {"half_life": 3.0, "clock": "time", "floor": 0.1}
    assert upgraded(half_life=None, clock="events", floor=0.0, per_user={**own, "lessons": 9}) == {
        "calibration": 0.2,
        "calibration_events": 9,
        "rule": {
            "class_path": "recsys.decay.TemporalDecay",
            "init_args": FORMER | {"days": [1.0], "changepoints": False},
        },
    }
    assert upgraded(**shared, per_persona=True) == {
        "per_persona": True,
        "rule": {"class_path": "recsys.decay.GlobalHalfLife", "init_args": shared},
    }
    assert upgraded(model="x") == {"model": "x"}
