"""What the closed loops share: a population that chooses, and random numbers that do not depend on what it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import seed_of_draws, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.types import Doubles, Ints, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of the people at a moment, which no system sees.

    Attributes:
        weights: "users personas": w_uk, how often each persona acts, the largest first; rows sum to 1.
        owner: "users items", int32: the persona that likes each item best, if more than its average item; else
            `UNKNOWN`.
        taste: "users attributes": the mean taste, a distribution.
        side: "users": the camp of each user, -1 or 1, which never changes; None in a world without camps.
        item_side: "items": the camp of each item; None likewise.
        position: "users": where the users stand; None likewise.
    """

    weights: Doubles
    owner: Items
    taste: Doubles
    side: Doubles | None = None
    item_side: Doubles | None = None
    position: Doubles | None = None


class Population(ABC):
    """The people of one seed. What they choose may move them, so that every run needs a population of its own.

    All random numbers of a round depend on the seed and the round alone (common random numbers): two systems meet the
    same people in the same moods with the same noise, and their difference is paired.
    """

    @property
    @abstractmethod
    def attributes(self) -> Doubles:
        """ "items attributes": what items are, which a system by content may read."""

    @abstractmethod
    def truth(self) -> Truth:
        """Return what is true now."""

    @abstractmethod
    def expected(self) -> Doubles:
        """Return the utility of each item for the mean of the user's personas, "users items"."""

    @abstractmethod
    def moment(self, round_: int) -> Doubles:
        """Return the utility of each item for the persona that acts in a round, "users items"."""

    @abstractmethod
    def best(self) -> Doubles:
        """Return the utility of each item for the persona that likes it best, "users items"."""

    @abstractmethod
    def pick(self, round_: int, slate: Items) -> Ints:
        """Return which place of its list each user takes, "users".

        Args:
            round_: the round.
            slate: "users n", the lists in order; `UNKNOWN` at places without item, which nobody takes.
        """

    @abstractmethod
    def search(self, round_: int, free: Mask) -> Items:
        """Return what users come across by themselves, "users search", in order; `UNKNOWN` where nothing is left.

        Args:
            round_: the round.
            free: "users items": what each has not had yet.
        """

    @abstractmethod
    def move(self, round_: int, chosen: Items) -> None:
        """Let what was chosen, "users" (`UNKNOWN` for nothing), change the tastes."""


class LoopWorld(ABC):
    """Settings of a closed loop. A frozen dataclass."""

    users: int
    items: int
    slate: int
    organic: int
    search: int

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the world in reports."""

    @abstractmethod
    def population(self, seed: int) -> Population:
        """Return the people of a seed, before they chose anything."""


def check_world(world: LoopWorld) -> None:
    """Raise a ConfigError where a size of a world is out of range."""
    for name in ("users", "items", "slate", "search"):
        whole(name, getattr(world, name), least=2)
    whole("organic", world.organic)
    for name in ("slate", "search"):
        if getattr(world, name) > world.items:
            most = f"at most {world.items}, the number of items of {world.name}"
            raise ConfigError(f"{name} is {getattr(world, name)}; it must be {most}")


def check_range(world: LoopWorld, **limits: tuple[float, float]) -> None:
    """Raise a ConfigError for the first setting of a world outside its limits (inclusive)."""
    for name, (least, most) in limits.items():
        value = getattr(world, name)
        if not least <= value <= most:
            raise ConfigError(f"{name} is {value}; in the world {world.name} it must be from {least:g} to {most:g}")


def random_of(seed: int, *stream: int) -> np.random.Generator:
    """Return the generator of one stream of a seed, such as (round, purpose)."""
    seed_of_draws(seed)
    return np.random.default_rng([seed, *stream])


def first_of(order: Doubles, free: Mask, n: int) -> Items:
    """Return the n free items of each user with the least values, in that order, "users n"; `UNKNOWN` beyond the free.

    Args:
        order: "users items".
        free: "users items".
        n: how many.
    """
    values = np.where(free, order, np.inf)
    n = min(n, values.shape[1])
    some = np.argpartition(values, n - 1, axis=1)[:, :n]
    found = np.take_along_axis(values, some, 1)
    rank = np.argsort(found, axis=1, kind="stable")
    items = np.take_along_axis(some, rank, 1)
    return np.where(np.isfinite(np.take_along_axis(found, rank, 1)), items, UNKNOWN).astype(np.int32)


def best_place(value: Doubles, slate: Items) -> Ints:
    """Return the place of the item of the largest value in each list, "users"; the first of equals.

    Args:
        value: "users items".
        slate: "users n".
    """
    listed = np.take_along_axis(value, np.maximum(slate, 0), 1)
    return np.asarray(np.where(slate == UNKNOWN, -np.inf, listed).argmax(1), np.int64)
