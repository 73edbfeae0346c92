"""Two camps on a line: what is near attracts, what is far repels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import positive
from recsys.data.vocabulary import UNKNOWN
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

_WORLD, _NOISE, _SEARCH = range(3)
_BINS = 10
"""Bins of the line in which the taste of a user is a distribution."""


@final
@dataclass(frozen=True)
class Camps(LoopWorld):
    """Users stand at x, half of them around each of two centres; items at y in [-1, 1].

        u_ui = exp(-((x_u - y_i) / width)^2) + q_i
        choice argmax over the list of u_ui + noise g_i, g Gumbel
        x <- x + pull (y - x)          if |y - x| < reach
             x - push sign(y - x)      else

    The rule of bounded confidence (Hegselmann and Krause, 2002) with repulsion. Without a system a user chooses in the
    same way from `search` items met at random. A user belongs for ever to the camp of the start.

    Args:
        centre, spread: where the camps begin, at -centre and centre, and the standard deviation within.
        width, quality, noise: of the utility, of q, of the Gumbel noise.
        pull, push, reach: how choices move users.
        users, items, slate, organic, search: sizes; length of a list; rounds before the system; items met alone.

    Raises:
        ConfigError: a setting is out of range.
    """

    centre: float = 0.35
    spread: float = 0.15
    width: float = 0.5
    quality: float = 0.1
    noise: float = 0.1
    pull: float = 0.08
    push: float = 0.02
    reach: float = 0.6
    users: int = 300
    items: int = 400
    slate: int = 10
    organic: int = 12
    search: int = 20

    def __post_init__(self) -> None:
        check_world(self)
        for name in ("width", "noise"):
            positive(name, getattr(self, name))
        check_range(self, centre=(0, 1), spread=(0, 1), quality=(0, 10), pull=(0, 1), push=(0, 1), reach=(0, 2))

    @property
    def name(self) -> str:
        return "camps"

    def population(self, seed: int) -> Population:
        return _People(self, seed)


@final
class _People(Population):
    def __init__(self, world: Camps, seed: int) -> None:
        self._world, self._seed = world, seed
        rng = random_of(seed, _WORLD)
        self._side = np.where(np.arange(world.users) % 2 == 0, 1.0, -1.0)
        self._x = np.clip(self._side * world.centre + rng.normal(0, world.spread, world.users), -1, 1)
        self._y = rng.uniform(-1, 1, world.items)
        self._quality = rng.normal(0, world.quality, world.items)

    @property
    def attributes(self) -> Doubles:
        return np.stack([np.maximum(1 - self._y, 0), np.maximum(1 + self._y, 0)], axis=1) / 2

    def truth(self) -> Truth:
        edges = (np.arange(_BINS) + 0.5) / _BINS * 2 - 1
        weight = np.exp(-(((self._x[:, None] - edges) / self._world.width) ** 2))
        owner = np.zeros((len(self._x), len(self._y)), np.int32)
        taste = weight / weight.sum(1, keepdims=True)
        item_side = np.where(self._y >= 0, 1.0, -1.0)
        return Truth(np.ones((len(self._x), 1)), owner, taste, self._side, item_side, self._x.copy())

    def expected(self) -> Doubles:
        apart = (self._x[:, None] - self._y) / self._world.width
        return np.asarray(np.exp(-(apart**2)) + self._quality)

    def moment(self, round_: int) -> Doubles:
        return self.expected()

    def best(self) -> Doubles:
        return self.expected()

    def pick(self, round_: int, slate: Items) -> Ints:
        noise = random_of(self._seed, _NOISE, round_).gumbel(size=(len(self._x), len(self._y)))
        return best_place(self.expected() + self._world.noise * noise, slate)

    def search(self, round_: int, free: Mask) -> Items:
        return first_of(random_of(self._seed, _SEARCH, round_).random(free.shape), free, self._world.search)

    def move(self, round_: int, chosen: Items) -> None:
        apart = np.where(chosen == UNKNOWN, 0.0, self._y[np.maximum(chosen, 0)] - self._x)
        near = np.abs(apart) < self._world.reach
        self._x = np.clip(self._x + np.where(near, self._world.pull * apart, -self._world.push * np.sign(apart)), -1, 1)
