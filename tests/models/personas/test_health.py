from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.health import FoundHealth


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
