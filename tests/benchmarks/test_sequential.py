"""The peer of `python -m benchmarks.sequential` keeps the contract of models, and the report says what was measured."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.sequential.command import Runs, results
from benchmarks.sequential.contenders import CONTENDERS, LOGS, OWN, PERSONAS, PUBLISHED, TWIN, contender
from benchmarks.sequential.sasrec import SASRec
from benchmarks.tools.fitting import parameters_of
from benchmarks.tools.search import with_settings
from recsys.testing import RECOMMENDER_CHECKS, Subject
from recsys.training.trainable import Optimization

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


def test_every_contender_has_settings_for_every_log() -> None:
    for log in LOGS:
        for name in CONTENDERS:
            assert contender(name, log, quick=True).arguments is not None
    large = contender(OWN, "amazon-beauty", quick=False).arguments
    assert large["expert"]["init_args"]["half_lives"] == (3.0,)
    assert contender(PERSONAS, LOGS[0], quick=True).arguments["optimization"]["epochs"] == 2


def test_the_twin_has_at_least_as_many_parameters_and_hardly_more(subject: Subject) -> None:
    own, twin = (
        parameters_of(
            with_settings(contender(name, LOGS[0], quick=False), {"expert.init_args.half_lives": [1.0]}), subject.log
        )
        for name in (PERSONAS, TWIN)
    )
    assert own <= twin < 1.02 * own


def test_published_numbers_are_marked_and_groups_stand_apart() -> None:
    rows = {"user_id": ["a", "b"], "ndcg@10": [0.5, 0.25], "hr@10": [1.0, 1.0], "mrr@10": [0.5, 0.2]}
    users = pd.DataFrame(rows | {"user_kind": ["warm", "cold"], "activity_quartile": ["Q1", "undefined"]})
    record = {"seconds": 3.0, "epochs": 2, "examples_per_second": 1234.5, "parameters": 10, "capped": True}
    text = results("ml-1m-ordered", {OWN: Runs([record], [users])})
    (own,) = [line for line in text.splitlines() if line.startswith(f"| {OWN} ⏱")]
    cells = [cell.strip(" |") for cell in own.split(" | ")[1:]]
    assert cells == [".3750", "1.0000", ".3500", ".5000", ".2500", ".5000", "3", "2", "1,234", "10"]
    assert text.count("*published:*") == len(PUBLISHED["ml-1m-ordered"])
