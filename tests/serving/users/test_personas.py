"""Personas of a growing history: those of the history alone, whatever was asked before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.events.addresses import open_store
from recsys.models import EASE, WithPersonas
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import checkpoints
from recsys.serving.users.personas import GrownPersonas
from recsys.worlds.simulation import simulated_log
from tests.serving.persona_answers import answers_of


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=80, n_items=300, events_per_user=140)


@pytest.fixture(scope="module")
def model(log: Interactions) -> WithPersonas:
    return WithPersonas(EASE(20.0)).fit(log)


def _first(queries: Queries, length: int) -> Queries:
    return queries.keep(np.arange(len(queries.times)) < length)


def _assert_same(one: FoundPersonas, other: FoundPersonas) -> None:
    """Compare to the last bit."""
    np.testing.assert_array_equal(one.numbers, other.numbers)
    np.testing.assert_array_equal(one.mass, other.mass)
    for name, array in vars(one.personas).items():
        np.testing.assert_array_equal(array, getattr(other.personas, name))


@settings(max_examples=30, deadline=None)
@given(user=st.integers(0, 79), lengths=st.lists(st.integers(0, 140), min_size=1, max_size=8), undone=st.integers(0, 9))
def test_any_way_to_a_history_gives_the_personas_of_the_history(
    model: WithPersonas, log: Interactions, user: int, lengths: list[int], undone: int
) -> None:
    """Asked at some prefixes, in any order, after one of the first events was undone: nothing of it changes a bit."""
    whole = Queries.from_interactions(log, np.asarray([user], np.int32))
    former = GrownPersonas.of(model, whole)
    without = whole.keep(np.arange(len(whole.times)) != undone)
    for length in [*lengths, len(without.times)]:
        queries = _first(without, length)
        former = GrownPersonas.of(model, queries, former)
        _assert_same(former.found, model.found(queries))


def test_an_event_changes_numbers_at_checkpoints_only(model: WithPersonas, log: Interactions) -> None:
    lost = found = 0
    for user in range(12):
        whole = Queries.from_interactions(log, np.asarray([user], np.int32))
        state = GrownPersonas.of(model, _first(whole, 60))
        for length in range(61, 120):
            after = GrownPersonas.of(model, _first(whole, length), state)
            before = set(state.found.numbers[0].tolist())
            if length not in checkpoints(length):
                assert before == set(after.found.numbers[0].tolist())
                assert after.checkpoint is state.checkpoint
            lost += len(before - set(after.found.numbers[0].tolist()))
            found, state = found + len(before), after
    assert lost / found < 0.02


def test_the_service_gives_real_users_the_personas_that_everybody_else_does(
    real_log_path: Callable[[str], Path],
) -> None:
    """In a batch, one by one, and as a service that has no events but those of the log."""
    log = datasets.load("ml-latest-small", root=real_log_path("ml-latest-small.zip").parent)
    model = WithPersonas(EASE(500.0)).fit(log)
    users = np.flatnonzero(np.diff(log.indptr) < 1000)[::12].astype(np.int32)
    together = model.found(Queries.from_interactions(log, users))
    answers = answers_of(model, log, open_store("memory:"))
    for row, user in enumerate(log.users.ids[users].tolist()):
        alone = Queries.from_interactions(log, users[row : row + 1])
        _assert_same(GrownPersonas.of(model, alone).found, together.take(np.asarray([row])))
        served, told = answers.personas(str(user), None).personas, recsys.personas(model, user, log=log)
        assert {one.persona: one.name for one in served} == dict(zip(told["persona"], told["name"], strict=True))
        owners = {item.item_id: item.owner_name for item in answers.recommend(str(user), 10, None, ()).items}
        listed = recsys.recommend(model, user, log=log, n=10)
        assert owners == {str(item): name for item, name in zip(listed["item_id"], listed["owner_name"], strict=True)}
