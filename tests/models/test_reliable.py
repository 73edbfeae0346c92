"""`Reliable` around models, and models that learn from weighted events."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models import EASE, IALS, ItemKNN, PersonaEASE, Recommender, Reliable
from recsys.models.capabilities import WeightedFit
from recsys.reliability import ResponseMixture
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
