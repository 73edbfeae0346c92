"""Users of several personas, one of which acts at a time: `moods`; and, where choices move tastes, `shaping`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from recsys.checks import positive
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
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

_WORLD, _ACT, _NOISE, _SEARCH = range(4)
"""Streams of random numbers."""


@final
@dataclass(frozen=True)
class Moods(LoopWorld):
    """Each user is several personas; in every round one is drawn, and chooses by its own taste, unseen by the system.

        u_uki = scale cos(theta_uk, alpha_i) + q_i         utility of item i for persona k of user u
        choice  argmax over the list of u_uki + noise g_i,  g Gumbel,  k ~ w
        theta_uk <- (1 - eta) theta_uk + eta alpha_i        of the persona that acted, when it took item i

    Personas are variations of archetypes that all users share, so that there is something to learn from others; an
    item is a variation of one archetype; q_i is what all like. Without a system a user chooses in the same way from
    `search` items met at random. With eta above 0 tastes are shaped by what is chosen (Jiang et al., *Degenerate
    feedback loops in recommender systems*, AIES 2019, in ours own form).

    Args:
        shares: w, how often each persona acts, falling; sums to 1.
        eta: how far a choice moves the persona that made it.
        archetypes, attributes: numbers of both.
        scale, quality, noise: scale of utilities, standard deviation of q, scale of the Gumbel noise.
        users, items, slate, organic, search: sizes; length of a list; rounds before the system; items met alone.

    Raises:
        ConfigError: a setting is out of range.
    """

    shares: tuple[float, ...] = (0.60, 0.28, 0.12)
    eta: float = 0.0
    archetypes: int = 8
    attributes: int = 20
    scale: float = 4.0
    quality: float = 0.3
    noise: float = 0.9
    users: int = 300
    items: int = 400
    slate: int = 10
    organic: int = 12
    search: int = 20

    def __post_init__(self) -> None:
        check_world(self)
        for name in ("scale", "noise"):
            positive(name, getattr(self, name))
        positive("quality", self.quality, zero=True)
        check_range(self, eta=(0, 1), archetypes=(len(self.shares), self.items), attributes=(2, 1000))
        falling = all(a >= b for a, b in pairwise((*self.shares, 0.0)))
        if not self.shares or not falling or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ConfigError(f"shares are {self.shares}; they must be positive, falling and sum to 1")

    @property
    def name(self) -> str:
        return "shaping" if self.eta > 0 else "moods"

    def population(self, seed: int) -> Population:
        return _People(self, seed)


def shaping(eta: float = 0.03) -> Moods:
    """Return the world `shaping`: `Moods` in which every choice moves the taste of the persona that made it.

    Raises:
        ConfigError: eta is not in [0, 1].
    """
    return Moods(eta=eta)


def _unit(vectors: Doubles) -> Doubles:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _varied(centres: Doubles, alike: float, rng: np.random.Generator) -> Doubles:
    """Draw Dirichlet vectors around others."""
    drawn = rng.standard_gamma(alike * centres + 1e-3)
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))


@final
class _People(Population):
    def __init__(self, world: Moods, seed: int) -> None:
        self._world, self._seed = world, seed
        rng = random_of(seed, _WORLD)
        centres = rng.dirichlet(np.full(world.attributes, 0.1), world.archetypes)
        which = np.argsort(rng.random((world.users, world.archetypes)), axis=1)[:, : len(world.shares)]
        self._tastes = _varied(centres[which], 20.0, rng)
        self._items = _varied(centres[rng.permutation(world.items) % world.archetypes], 8.0, rng)
        self._quality = rng.normal(0, world.quality, world.items)
        self._directions = _unit(self._items)
        self._utility = self._utilities(self._tastes)
        self._users = np.arange(world.users)

    @property
    def attributes(self) -> Doubles:
        return self._items

    def truth(self) -> Truth:
        weights = np.tile(np.asarray(self._world.shares), (self._world.users, 1))
        best = self._utility.argmax(1)
        liked = (self._utility > self._utility.mean(2, keepdims=True)).max(1)
        own = np.take_along_axis(self._utility, best[:, None], 1)[:, 0]
        average = np.take_along_axis(self._utility.mean(2), best, 1)
        owner = np.where(liked & (own > average), best, UNKNOWN).astype(np.int32)
        return Truth(weights, owner, np.einsum("k,uka->ua", np.asarray(self._world.shares), self._tastes))

    def expected(self) -> Doubles:
        return np.asarray(np.einsum("k,uki->ui", np.asarray(self._world.shares), self._utility))

    def moment(self, round_: int) -> Doubles:
        return np.asarray(self._utility[self._users, self._acting(round_)])

    def best(self) -> Doubles:
        return np.asarray(self._utility.max(1))

    def pick(self, round_: int, slate: Items) -> Ints:
        shape = self._world.users, self._world.items
        noise = random_of(self._seed, _NOISE, round_).gumbel(size=shape)
        return best_place(self.moment(round_) + self._world.noise * noise, slate)

    def search(self, round_: int, free: Mask) -> Items:
        return first_of(random_of(self._seed, _SEARCH, round_).random(free.shape), free, self._world.search)

    def move(self, round_: int, chosen: Items) -> None:
        eta = self._world.eta
        users = np.flatnonzero(chosen != UNKNOWN)
        if eta == 0 or len(users) == 0:
            return
        acting = self._acting(round_)[users]
        self._tastes[users, acting] = (1 - eta) * self._tastes[users, acting] + eta * self._items[chosen[users]]
        self._utility[users, acting] = self._utilities(self._tastes[users, acting])

    def _utilities(self, tastes: Doubles) -> Doubles:
        return np.asarray(self._world.scale * (_unit(tastes) @ self._directions.T) + self._quality)

    def _acting(self, round_: int) -> Ints:
        drawn = random_of(self._seed, _ACT, round_).random(self._world.users)
        below = np.cumsum(self._world.shares)[:-1]
        return np.asarray((drawn[:, None] >= below).sum(1), np.int64)
