"""The peer of `python -m benchmarks.sequential` keeps the contract of models, and the report says what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.sequential.command import Runs, bars_of, curve_of, results
from benchmarks.sequential.contenders import (
    LINEAR,
    MATCHED,
    OWN,
    PEER,
    PERSONAS,
    PERSONAS_16,
    PLANS,
    PUBLISHED,
    TRIAL,
    TWIN_16,
    Plan,
)
from benchmarks.sequential.sasrec import SASRec, Transformer
from benchmarks.tools.differences import Difference
from benchmarks.tools.fitting import parameters_of
from benchmarks.tools.search import with_settings
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.splits.standard import split
from recsys.decay import GlobalHalfLife
from recsys.models import Decayed, LinearNextItem
from recsys.testing import RECOMMENDER_CHECKS, Subject
from recsys.training.trainable import Optimization
from recsys.types import DAY, Ints

_NEEDS_CONTRIBUTIONS_OR_WEIGHTS = ("_uses_or_refuses_event_weights", "_contributions_add_up")
_CHECKS = [
    check
    for check in RECOMMENDER_CHECKS
    if check.__name__ not in (*_NEEDS_CONTRIBUTIONS_OR_WEIGHTS, "_unknown_and_repeated_events_contribute_nothing")
]


@pytest.fixture(scope="module")
def subject() -> Subject:
    optimization = Optimization(30, 8, 0.01)
    arguments = {"embedding_size": 8, "length": 12, "blocks": 1, "dropout": 0.0, "optimization": optimization}
    return Subject(SASRec, arguments, additive=False, forgets=True)


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_the_peer_keeps_the_contract(check: object, subject: Subject) -> None:
    assert callable(check)
    check(subject)


def test_the_peer_reads_the_event_before_the_last() -> None:
    """Two tastes alternate; the next item is of that of the last event but one, which the last cannot tell."""
    tastes, length, users = 6, 8, 200
    source = np.random.default_rng(0)
    pairs = source.integers(0, tastes, (users, 2))
    items = np.arange(length) * tastes + pairs[:, np.arange(length) % 2]
    log = Interactions.from_columns(
        np.repeat(np.arange(users), length), items.ravel(), times=np.tile(np.arange(length), users)
    )
    model = SASRec(32, length, dropout=0.0, optimization=Optimization(20, 16, 5e-3)).fit(log)
    wanted = [(one, other) for one in range(tastes) for other in range(tastes)]
    rows = [model.fitted_on.items.numbers(np.arange(4) * tastes + [one, other, one, other]) for one, other in wanted]
    best = model.score(Queries.from_history(rows)).argmax(1).tolist()
    found = [int(model.fitted_on.items.id_of(number)) for number in best]
    assert np.mean([item == 4 * tastes + one for item, (one, _) in zip(found, wanted, strict=True)]) > 0.9


def _walks(source: np.random.Generator, users: int, length: int, items: int) -> Ints:
    """Return "users length", walks along one hidden cycle through all items: each item has one successor."""
    cycle = source.permutation(items)
    return np.asarray(cycle[(source.integers(0, items, users)[:, None] + np.arange(length)) % items], np.int64)


def test_the_peer_learns_which_item_follows_which() -> None:
    """Each item has one successor, which a sound peer names nearly always, of histories longer than it reads."""
    users, length, items = 300, 20, 60
    walks = _walks(np.random.default_rng(0), users, length, items)
    shown = walks[:, :-1]
    log = Interactions.from_columns(
        np.repeat(np.arange(users), length - 1), shown.ravel(), times=np.tile(np.arange(length - 1), users)
    )
    model = SASRec(32, 8, blocks=1, dropout=0.0, negatives=32, optimization=Optimization(20, 16, 5e-3)).fit(log)
    histories = [model.fitted_on.items.numbers(row) for row in shown]
    scores = model.score(Queries.from_history(histories))
    best = scores.scatter(1, torch.from_numpy(np.stack(histories).astype(np.int64)), -torch.inf).argmax(1)
    following = model.fitted_on.items.numbers(walks[:, -1])
    assert np.mean(best.numpy() == following) > 0.98


def test_every_position_that_the_peer_reads_is_trained() -> None:
    users, length = 20, 12
    items = np.tile(np.arange(length), users)
    log = Interactions.from_columns(np.repeat(np.arange(users), length), items, times=items)
    before, after = (SASRec(8, 6, optimization=Optimization(epochs, 8)).fit(log).arrays() for epochs in (0, 1))
    assert np.all(np.any(before["position"] != after["position"], 1))


def test_a_state_of_the_peer_depends_on_no_later_event_and_on_no_padding() -> None:
    torch.manual_seed(0)
    network = Transformer(20, 16, 8, 2, 2, 0.5).eval()
    one = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10]])
    other = one.clone()
    other[0, 5:] = torch.tensor([1, 0, 2])
    states = network(one), network(other), network(one[:, :5])
    torch.testing.assert_close(states[0][:, :5], states[1][:, :5])
    torch.testing.assert_close(states[0][:, :5], states[2])
    assert not torch.allclose(states[0][:, 5:], states[1][:, 5:])


def test_every_contender_has_settings_for_every_table() -> None:
    for plan in PLANS:
        for name in plan.models:
            assert plan.contender(name, quick=True).arguments is not None
    beauty = next(plan for plan in PLANS if plan.log == "amazon-beauty")
    expert = beauty.contender(OWN).arguments["expert"]["init_args"]
    assert expert["half_lives"] == (3.0,)
    # The linear model in the table is the expert of the others.
    assert {**expert, "feedback": "events"} == {**beauty.contender(LINEAR).arguments}
    assert PLANS[0].contender(PERSONAS, quick=True).arguments["optimization"]["epochs"] == 2


def test_questions_with_a_half_life_are_read_as_by_a_decayed_model(subject: Subject) -> None:
    log = subject.log
    cut = split(log, "last_one")
    plan = Plan("simulated", "last_one", (LINEAR, PEER), days=0.5)
    assert plan.asked_of(PEER, cut) is cut
    asked = plan.asked_of(LINEAR, cut)
    assert asked.name != cut.name  # a finished run with other questions is another run
    model = LinearNextItem((1.0,), 5.0)
    decayed = Decayed(model, GlobalHalfLife(0.5 * DAY, "time")).fit(cut.train)
    scores = model.fit(cut.train).score(asked.test.queries)
    torch.testing.assert_close(scores, decayed.score(cut.test.queries))
    assert not torch.allclose(scores, model.score(cut.test.queries))


@pytest.mark.parametrize(("own", "twin"), MATCHED)
def test_a_twin_has_at_least_as_many_parameters_and_hardly_more(subject: Subject, own: str, twin: str) -> None:
    sides = [TRIAL.contender(name) for name in (own, twin)]
    if sides[0].arguments["expert"]:
        sides = [with_settings(side, {"expert.init_args.half_lives": [1.0]}) for side in sides]
    counts = [parameters_of(side, subject.log) for side in sides]
    assert counts[0] <= counts[1] < 1.02 * counts[0]


def test_both_sides_of_a_pair_have_the_same_budget() -> None:
    for plan in PLANS:
        for own, twin in MATCHED:
            if own in plan.models:
                sides = [plan.contender(name).arguments for name in (own, twin)]
                for group in ("objective", "optimization", "expert", "half_lives"):
                    assert sides[0][group] == sides[1][group]


def _pair(where: str, own: str, other: str, relative: float, p: float) -> Difference:
    sign = 1.0 if relative > 0 else -1.0
    return Difference(where, own, other, "ndcg@10", relative, relative, relative, relative, sign, p, p, 100)


def test_bars_count_the_logs() -> None:
    pairs = [_pair(where, PERSONAS_16, TWIN_16, 0.04, 0.001) for where in ("one", "another")]
    pairs.append(_pair("third", OWN, LINEAR, -0.1, 0.001))
    verdicts = [row[-1] for row in bars_of({"ml-1m-ordered": 0.19}, pairs)]
    assert verdicts == ["met", "not measured", "**missed**", "met", "met"]
    pairs[0] = _pair("one", PERSONAS_16, TWIN_16, 0.02, 0.001)
    assert bars_of({}, pairs)[-1][-1] == "**missed**"


def test_below_the_linear_model_by_the_mean_is_missed_where_nothing_is_established() -> None:
    tie = Difference("beauty", OWN, LINEAR, "ndcg@10", -0.01, -0.01, -0.02, 0.01, -1.0, 0.4, 0.4, 100)
    assert tie.outcome == "tie"
    assert bars_of({}, [tie])[-1][1:] == ["on no log", "beauty -1.0% (tie)", "-", "**missed**"]


def test_published_numbers_are_marked_and_groups_stand_apart() -> None:
    rows = {"user_id": ["a", "b"], "ndcg@10": [0.5, 0.25], "hr@10": [1.0, 1.0], "mrr@10": [0.5, 0.2]}
    users = pd.DataFrame(rows | {"user_kind": ["warm", "cold"], "activity_quartile": ["Q1", "undefined"]})
    record = {"seconds": 3.0, "epochs": 2, "examples_per_second": 1234.5, "parameters": 10, "capped": True}
    text = results("ml-1m-ordered", {OWN: Runs([record], [users])})
    (own,) = [line for line in text.splitlines() if line.startswith(f"| {OWN} ⏱")]
    cells = [cell.strip(" |") for cell in own.split(" | ")[1:]]
    assert cells == ["1", ".3750", "1.0000", ".3500", ".5000", ".2500", ".5000", "3", "2", "1,234", "10"]
    assert curve_of(Runs([record | {"curve": [0.01, 0.25]}], [users])).endswith("(1,000 users): .0100, .2500.")
    assert text.count("*published:*") == len(PUBLISHED["ml-1m-ordered"])
