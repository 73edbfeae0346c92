"""A simulated world whose personas are known, its dictionary, and everybody's personas."""

from __future__ import annotations

import pytest

from recsys.data.queries import Queries
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.worlds.simulation import World, WorldConfig, simulate


@pytest.fixture(scope="package")
def world() -> World:
    return simulate(WorldConfig(n_users=250, n_items=400, events_per_user=50))


@pytest.fixture(scope="package")
def dictionary(world: World) -> TasteDictionary:
    return TasteDictionary.of(world.log)


@pytest.fixture(scope="package")
def queries(world: World) -> Queries:
    return Queries.from_interactions(world.log)


@pytest.fixture(scope="package")
def personas(dictionary: TasteDictionary, queries: Queries) -> Personas:
    return find_personas(dictionary, queries)
