"""Personas of a growing history: the same in every process, and lasting."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models import EASE, WithPersonas
from recsys.serving.users.personas import GrownPersonas
from recsys.worlds.simulation import simulated_log


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=80, n_items=300, events_per_user=140)


@pytest.fixture(scope="module")
def model(log: Interactions) -> WithPersonas:
    return WithPersonas(EASE(20.0)).fit(log)


def _first(queries: Queries, length: int) -> Queries:
    return queries.keep(np.arange(len(queries.times)) < length)


def test_personas_are_the_same_with_and_without_a_former_state(model: WithPersonas, log: Interactions) -> None:
    for user in range(4):
        whole = Queries.from_interactions(log, np.asarray([user], np.int32))
        former = None
        for length in range(0, len(whole.times), 7):
            queries = _first(whole, length)
            former = GrownPersonas.of(model, queries, former)
            anew = GrownPersonas.of(model, queries)
            assert former.found.numbers.tolist() == anew.found.numbers.tolist()
            for name, array in vars(former.found.personas).items():
                np.testing.assert_array_equal(array, getattr(anew.found.personas, name))


def test_a_changed_past_is_noticed(model: WithPersonas, log: Interactions) -> None:
    whole = Queries.from_interactions(log, np.asarray([5], np.int32))
    former = GrownPersonas.of(model, whole)
    without = whole.keep(np.arange(len(whole.times)) != 2)  # an event of long ago was undone
    after, anew = GrownPersonas.of(model, without, former), GrownPersonas.of(model, without)
    assert after.found.numbers.tolist() == anew.found.numbers.tolist()
    np.testing.assert_array_equal(after.found.personas.mass, anew.found.personas.mass)


def test_an_event_rarely_changes_a_number(model: WithPersonas, log: Interactions) -> None:
    lost = steps = 0
    for user in range(12):
        whole = Queries.from_interactions(log, np.asarray([user], np.int32))
        state = GrownPersonas.of(model, _first(whole, 60))
        for length in range(61, 120):
            after = GrownPersonas.of(model, _first(whole, length), state)
            before = set(state.found.numbers[0].tolist())
            lost += len(before - set(after.found.numbers[0].tolist()))
            steps, state = steps + len(before), after
    assert lost / steps < 0.02
