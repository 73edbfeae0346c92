"""`Reliable` around models, and models that learn from weighted events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models import EASE, IALS, ItemKNN, PersonaEASE, Recommender, Reliable
from recsys.models.capabilities import WeightedFit
from recsys.models.reliable import _of_events
from recsys.reliability import Reliability, ResponseMixture, Responses
from recsys.worlds.blocks import block_log
from recsys.worlds.responses import GENUINE, answer_world

WEIGHTED = [EASE(10.0), PersonaEASE(personas=2, factors=4), IALS(4, 1.0)]


def _scores(model: Recommender, queries: Queries) -> np.ndarray:
    return model.score(queries).numpy()


@pytest.mark.parametrize("model", WEIGHTED, ids=lambda model: type(model).__name__)
def test_weights_of_one_change_nothing_and_of_zero_remove_events(model: Recommender) -> None:
    log = block_log()
    queries = Queries.from_interactions(log)
    assert isinstance(model, WeightedFit)
    plain = _scores(model.unfitted().fit(log), queries)
    ones = model.weighing(np.ones(len(log), np.float32)).fit(log)
    np.testing.assert_array_equal(_scores(ones, queries), plain)
    if type(model).__name__ == "EASE":
        kept = np.arange(len(log)) % 5 > 0
        zeros = model.weighing(kept.astype(np.float32)).fit(log)
        without = model.unfitted().fit(log.select(kept))
        np.testing.assert_allclose(_scores(zeros, queries), _scores(without, queries), atol=1e-5)
        assert not np.allclose(_scores(zeros, queries), plain)


def test_answers_that_are_preferences_count_more() -> None:
    world = answer_world(0.5, users=120, items=60, pairs=25)
    times = np.arange(len(world.user))
    log = Interactions.from_columns(world.user, world.item, world.value, times, clock="order")
    model = Reliable(EASE(10.0), ResponseMixture(rounds=4)).fit(log)
    queries = Queries.from_interactions(log)
    weights = model.read(queries).queries.weights
    assert weights is not None
    kind = world.kind[queries.times]
    assert weights[kind == GENUINE].mean() > weights[kind != GENUINE].mean() + 0.1
    assert weights.min() >= np.float32(0.02)
    # The weights are those that a person sees.
    found, place = model.reliability(queries)
    np.testing.assert_allclose(weights[place], found.weights)


def test_answers_that_the_person_confirmed_count_fully_and_unrated_events_are_learned_from_fully() -> None:
    world = answer_world(0.5, users=80, items=40, pairs=20)
    times = np.arange(len(world.user))
    log = Interactions.from_columns(world.user, world.item, world.value, times, clock="order")
    model = Reliable(EASE(10.0), ResponseMixture(rounds=2, classes=2)).fit(log)
    queries = Queries.from_interactions(log)
    weights = model.weights(queries)
    assert weights.min() < 0.7
    meant = np.arange(len(weights)) % 2 == 0
    confirmed = replace(queries, meant=meant)
    expected = np.where(meant, np.float32(1), weights)
    np.testing.assert_array_equal(model.weights(confirmed), expected)
    part = np.array([3, 1])
    positions = confirmed.history.positions(part)
    np.testing.assert_allclose(model.weights(confirmed.take(part)), expected[positions], atol=1e-6)
    kept = meant | (np.arange(len(weights)) % 3 == 0)
    assert confirmed.keep(kept).meant is not None
    assert confirmed.digest() != queries.digest()
    with pytest.raises(ValueError, match="meant must be aligned"):
        replace(queries, meant=meant[1:])


def test_an_event_without_a_rating_is_learned_from_fully_beside_a_doubted_one() -> None:
    log = Interactions.from_columns(
        [1, 1, 2], ["a", "a", "b"], [4, np.nan, 2], [1, 2, 3], kinds=["rating", "like", "rating"]
    )
    responses = Responses.of(log)
    found = Reliability(np.full((2, 3), 0.25), np.zeros((2, 3)), np.ones(2), True, "")
    assert _of_events(log, responses, found).tolist() == [0.25, 1.0, 0.25]


def test_without_ratings_events_count_by_agreement() -> None:
    log = block_log()
    model = Reliable(EASE(10.0), mixture=None).fit(log)
    stray = Queries.from_history([[0, 1, 2, log.n_items - 1]])
    weights = model.read(stray).queries.weights
    assert weights is not None
    assert int(weights.argmin()) == 3
    with pytest.raises(CapabilityError, match="tells no answers apart"):
        model.reliability(stray)


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(CapabilityError, match="doubted twice"):
        Reliable(Reliable(EASE(1.0)))
    with pytest.raises(CapabilityError, match="ItemKNN cannot count training events by weights"):
        Reliable(ItemKNN(), train=True)
    with pytest.raises(ConfigError, match="needs a mixture"):
        Reliable(EASE(1.0), mixture=None, train=True)
