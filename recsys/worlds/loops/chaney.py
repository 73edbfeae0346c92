"""The world of Chaney, Stewart and Engelhardt: one taste per user, which nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.types import Doubles, Ints, Items, Mask
from recsys.worlds.loops.base import (
    LoopWorld,
    Population,
    Truth,
    best_place,
    check_range,
    check_world,
    first_of,
    random_of,
)

_WORLD, _SEARCH = range(2)
_CONCENTRATION, _SPARSENESS, _EVEN, _SPREAD = 10.0, 0.1, 100.0, 1e-5


@final
@dataclass(frozen=True)
class Chaney(LoopWorld):
    """Users choose by the part of an item's utility that they know, and by its place in the list.

        theta_u ~ Dir(10 Dir(1)),  alpha_i ~ Dir(.1 Dir(100)),  u_ui = theta_u . alpha_i
        choice    argmax over the list of eta_ui u_ui rank^-.8,  eta ~ Beta of mean `known`

    Source: Chaney, Stewart, Engelhardt, *How algorithmic confounding in recommendation systems increases homogeneity
    and decreases utility*, RecSys 2018, in the settings of the replication by T-RECS (Lucherini et al., 2021). Without
    a system users read the catalogue in random order, and choose in the same way.

    Args:
        attributes: number of attributes.
        known: mean of the share of the utility that users know.
        attention: power of the rank, at most 0.
        users, items, slate, organic, search: sizes; length of a list; rounds before the system; items met alone.

    Raises:
        ConfigError: a setting is out of range.
    """

    attributes: int = 20
    known: float = 0.98
    attention: float = -0.8
    users: int = 300
    items: int = 400
    slate: int = 10
    organic: int = 12
    search: int = 400

    def __post_init__(self) -> None:
        check_world(self)
        check_range(self, attributes=(2, 1000), known=(0.01, 0.99), attention=(-10, 0))

    @property
    def name(self) -> str:
        return "chaney"

    def population(self, seed: int) -> Population:
        return _People(self, seed)


@final
class _People(Population):
    def __init__(self, world: Chaney, seed: int) -> None:
        self._world, self._seed = world, seed
        rng = random_of(seed, _WORLD)
        self._tastes = rng.dirichlet(_CONCENTRATION * rng.dirichlet(np.ones(world.attributes)), world.users)
        self._items = rng.dirichlet(_SPARSENESS * rng.dirichlet(np.full(world.attributes, _EVEN)), world.items)
        self._utility: Doubles = self._tastes @ self._items.T
        mean = world.known
        strength = mean * (1 - mean) / _SPREAD**2 - 1
        known = rng.beta(mean * strength, (1 - mean) * strength, self._utility.shape)
        self._known: Doubles = known * self._utility

    @property
    def attributes(self) -> Doubles:
        return self._items

    def truth(self) -> Truth:
        users = self._world.users
        return Truth(np.ones((users, 1)), np.zeros(self._utility.shape, np.int32), self._tastes)

    def expected(self) -> Doubles:
        return self._utility

    def moment(self, round_: int) -> Doubles:
        return self._utility

    def best(self) -> Doubles:
        return self.expected()

    def pick(self, round_: int, slate: Items) -> Ints:
        rank = np.arange(1, slate.shape[1] + 1, dtype=np.float64) ** self._world.attention
        value = np.take_along_axis(self._known, np.maximum(slate, 0), 1) * rank
        places = np.where(slate >= 0, np.arange(slate.shape[1]), -1).astype(np.int32)
        return best_place(value, places)

    def search(self, round_: int, free: Mask) -> Items:
        return first_of(random_of(self._seed, _SEARCH, round_).random(free.shape), free, self._world.search)

    def move(self, round_: int, chosen: Items) -> None:
        return
