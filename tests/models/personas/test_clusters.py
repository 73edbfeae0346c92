from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models.personas.clusters import Personas, PersonaSettings, find_personas
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.models.personas.ward import ward
from recsys.worlds.blocks import block_log
from recsys.worlds.simulation import World


def test_ward_of_many_users_at_once_is_scipys_of_each() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 20, 3))
    mine = ward(np.ones((6, 20)), points @ points.transpose(0, 2, 1), 4)
    for own, each in zip(mine, points, strict=True):
        theirs = fcluster(linkage(each, "ward"), 4, "maxclust")
        assert len(set(own.tolist())) == 4
        assert len(set(zip(own.tolist(), theirs.tolist(), strict=True))) == 4


def test_users_of_one_block_have_one_persona_and_users_of_two_have_two() -> None:
    log = block_log(blocks=4, users=20)
    dictionary = TasteDictionary.of(log, TasteSettings(dim=4, shrinkage=1.0))
    by_block = [np.flatnonzero([str(item)[0] == str(block) for item in log.items.ids]) for block in range(4)]
    both = [np.concatenate([by_block[0], by_block[1]]), np.concatenate([by_block[2], by_block[3]])]
    queries = Queries.from_history([*by_block, *both])
    found = find_personas(dictionary, queries)
    assert found.counts.tolist() == [1, 1, 1, 1, 2, 2]
    np.testing.assert_allclose(found.shares[4:, :2], 0.5)


def test_a_user_does_not_depend_on_the_batch(dictionary: TasteDictionary, queries: Queries, personas: Personas) -> None:
    for row in (0, 17, 249):
        alone = find_personas(dictionary, queries.take(np.asarray([row])))
        np.testing.assert_array_equal(alone.of_taste[0], personas.of_taste[row])
        np.testing.assert_allclose(alone.mass[0], personas.mass[row])


def test_limits_hold(dictionary: TasteDictionary, queries: Queries, personas: Personas) -> None:
    assert personas.counts.min() >= 1
    assert personas.counts.max() <= 6
    several = personas.counts > 1
    smallest = np.where(personas.mass > 0, personas.mass, np.inf).min(1)[several]
    assert (smallest >= np.maximum(3, 0.08 * personas.mass.sum(1))[several]).all()
    assert (np.diff(personas.mass, axis=1) <= 0).all()
    assert find_personas(dictionary, queries, PersonaSettings(most=2)).counts.max() == 2


def test_every_event_and_every_taste_belongs_to_a_persona(
    dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    of_event = personas.of_events(dictionary, queries)
    assert (of_event >= 0).all()
    mass = np.zeros_like(personas.mass)
    np.add.at(mass, (queries.history.rows, of_event), 1.0)
    np.testing.assert_allclose(mass, personas.mass)
    assert (personas.of_taste < personas.counts[:, None]).all()


def test_personas_are_those_that_the_world_has(world: World, personas: Personas) -> None:
    present = (world.mixtures > 0).sum(1)
    assert (np.abs(personas.counts - present) <= 1).mean() >= 0.6


def test_event_weights_count(dictionary: TasteDictionary, queries: Queries, personas: Personas) -> None:
    of_event = personas.of_events(dictionary, queries)
    largest = (of_event == 0).astype(np.float32)
    alone = find_personas(dictionary, queries.with_weights(largest))
    assert alone.counts.mean() < personas.counts.mean()
    np.testing.assert_allclose(alone.mass.sum(1), personas.mass[:, 0])


def test_histories_without_known_items_have_no_persona(dictionary: TasteDictionary) -> None:
    found = find_personas(dictionary, Queries.from_history([[], [UNKNOWN], [3]]))
    assert found.counts.tolist() == [0, 0, 1]
    assert (found.of_taste[:2] == UNKNOWN).all()
    assert found.shares[:2].sum() == 0
    assert len(find_personas(dictionary, Queries.from_history([]))) == 0


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="most is 0"):
        PersonaSettings(most=0)
    with pytest.raises(ConfigError, match="similarity is 1"):
        PersonaSettings(similarity=1.5)
