from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.models import EASE, WithPersonas
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.health import FoundHealth, HealthSummary
from recsys.slates import Seats
from recsys.worlds.simulation import World


def test_found_personas_are_healthy_and_placebos_are_not(
    dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    of_event = personas.of_events(dictionary, queries)
    found = FoundHealth.of(dictionary, queries, of_event, 6)
    order = np.lexsort((np.random.default_rng(0).random(len(of_event)), queries.history.rows))
    shuffled = FoundHealth.of(dictionary, queries, of_event[order], 6)
    alike = (np.arange(len(of_event)) % 4).astype(np.int32)
    identical = FoundHealth.of(dictionary, queries, alike, 6)
    assert np.nanmean(found.cosine) <= 0.2
    assert np.nanmean(found.separation) > 0.2
    np.testing.assert_allclose(np.nanmean(found.effective), np.nanmean(shuffled.effective))
    for placebo in (shuffled, identical):
        assert np.nanmean(placebo.cosine) > 0.3
        assert np.nanmean(placebo.separation) < 0.1


def test_one_persona_has_no_pair_and_no_history_no_figure(dictionary: TasteDictionary) -> None:
    queries = Queries.from_history([[3], []])
    found = find_personas(dictionary, queries)
    health = FoundHealth.of(dictionary, queries, found.of_events(dictionary, queries), 6)
    np.testing.assert_array_equal(health.effective, [1.0, np.nan])
    assert np.isnan(health.cosine).all()
    assert np.isnan(health.separation).all()


@pytest.fixture(scope="module")
def fitted(world: World) -> WithPersonas:
    return WithPersonas(EASE(50.0), slate=Seats()).fit(world.log)


def test_the_summary_is_that_of_users_with_a_history(fitted: WithPersonas, queries: Queries) -> None:
    some = queries.take(np.arange(60))
    summary = HealthSummary.of(fitted, some)
    assert summary.effective >= 1.5
    assert summary.cosine <= 0.2
    assert summary.separation > 0.2
    assert summary.lift >= 2.0
    assert summary.ownership >= 0.5
    nobody = Queries.from_history([*np.split(some.history.items, some.history.indptr[1:-1]), [], []])
    assert HealthSummary.of(fitted, nobody) == summary
    assert HealthSummary.of(fitted, Queries.from_history([[]])).to_dict() == dict.fromkeys(vars(summary))


def test_a_model_whose_personas_are_placebos_fails(
    fitted: WithPersonas, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = queries.take(np.arange(60))
    real = HealthSummary.of(fitted, some)
    shuffled = np.random.default_rng(0).permutation(len(fitted.dictionary.taste))
    taste = fitted.dictionary.taste[shuffled]
    monkeypatch.setattr(fitted, "_found", replace(fitted._found, dictionary=replace(fitted.dictionary, taste=taste)))
    placebo = HealthSummary.of(fitted, some)
    assert placebo.cosine > real.cosine + 0.1
    assert placebo.separation < 0.6 * real.separation
