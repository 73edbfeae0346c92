"""The loop: people choose from lists, the system learns from what they chose, and makes the next lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, final

import numpy as np

from recsys.checks import whole
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.types import Doubles, Ints, Items, Mask
from recsys.worlds.loops import LoopWorld, Population, Truth


@final
@dataclass(eq=False)
class Seen:
    """What a system may know in a round: what was chosen and what was shown, never why.

    Attributes:
        chosen: "rounds users", int32, so far; `UNKNOWN` for nothing.
        slates: "users n" of each round, empty lists in rounds before the system.
        places: "users" of each round: which place was taken.
        organic: number of rounds before the system.
        free: "users items": what each user has not had yet.
        attributes: "items attributes": what the items are.
        seed: of the run, for systems that draw.
    """

    free: Mask
    attributes: Doubles
    organic: int
    seed: int
    chosen: list[Items] = field(default_factory=list)
    slates: list[Items] = field(default_factory=list)
    places: list[Ints] = field(default_factory=list)

    @property
    def round(self) -> int:
        """Number of rounds so far."""
        return len(self.chosen)

    def log(self, rounds: int | None = None) -> Interactions:
        """Return the log of the first rounds, all of them when None; times are rounds, clock "order"."""
        user, time, item = self._events(rounds)
        n_users, n_items = self.free.shape
        return Interactions(
            user.astype(np.int32),
            item,
            np.ones(len(user), np.float32),
            time,
            Vocabulary(np.arange(n_users)),
            Vocabulary(np.arange(n_items)),
            ItemMetadata(tuple(map(str, range(n_items))), ((),) * n_items),
            "order",
            "loop",
        )

    def queries(self, rounds: int | None = None) -> Queries:
        """Return one query for each user, with everything that it chose in the first rounds."""
        user, _, item = self._events(rounds)
        rows = np.split(item, np.flatnonzero(np.diff(user)) + 1) if len(item) else []
        found: list[Items] = [np.zeros(0, np.int32)] * len(self.free)
        for row, items in zip(np.unique(user).tolist(), rows, strict=True):
            found[row] = items
        return Queries.from_history(found, users=np.arange(len(self.free)))

    def _events(self, rounds: int | None) -> tuple[Ints, Ints, Items]:
        """Return user, round and item of the events, by user, then round."""
        table = np.stack(self.chosen[:rounds], axis=1) if self.chosen[:rounds] else np.zeros((len(self.free), 0), int)
        user, time = np.nonzero(table != UNKNOWN)
        return user, time, table[user, time].astype(np.int32)


Serve: TypeAlias = Callable[[Seen], Items | None]
"""Makes the lists of a round, "users n", best first, `UNKNOWN` at empty places; None: there is no system."""


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """What happened in one run.

    Attributes:
        world, arm, seed: of which.
        chosen: "rounds users", the organic rounds first.
        expected, moment: "rounds users": utility of what was chosen to the mean persona and to the one that acted; NaN
            where nothing was chosen.
        seats: "served users personas": each persona's share of the list; NaN without lists.
        across: "served users": share of the list from the other camp; NaN without camps or lists.
        attributes: "items attributes": what the items are.
        start, end: the truth before the first and after the last round.
        organic: number of rounds before the system.
        short: number of lists that were shorter than asked for, because nothing was left.
    """

    world: str
    arm: str
    seed: int
    chosen: Items
    expected: Doubles
    moment: Doubles
    seats: Doubles
    across: Doubles
    attributes: Doubles
    start: Truth
    end: Truth
    organic: int
    short: int


def run_loop(
    world: LoopWorld, begin: Callable[[Population], Serve], rounds: int = 30, seed: int = 0, *, arm: str = "arm"
) -> Trace:
    """Run one system in one world and return what happened.

    First `world.organic` rounds without a system, the same for all systems of a seed; then `rounds` with it. An item is
    chosen once by a user. All random numbers of the world depend on seed and round alone.

    Args:
        world: the people.
        begin: returns the system, given the people; only oracles look at them.
        rounds: with the system.
        seed: of the world.
        arm: name of the system.

    Raises:
        ConfigError: `rounds` is no positive whole number.
        CapabilityError: the system cannot serve somebody who is in no log.
    """
    whole("rounds", rounds)
    population = world.population(seed)
    serve = begin(population)
    start = population.truth()
    seen = Seen(np.ones(start.owner.shape, np.bool_), population.attributes, world.organic, seed)
    users = np.arange(len(start.owner))
    expected: list[Doubles] = []
    moment: list[Doubles] = []
    seats: list[Doubles] = []
    across: list[Doubles] = []
    short = 0
    for round_ in range(world.organic + rounds):
        slate = None if round_ < world.organic else serve(seen)
        served = slate is not None
        if slate is None:
            slate = population.search(round_, seen.free)
        place = population.pick(round_, slate)
        chosen = slate[users, place]
        got = chosen != UNKNOWN
        for kept, utility in ((expected, population.expected()), (moment, population.moment(round_))):
            kept.append(np.where(got, utility[users, np.maximum(chosen, 0)], np.nan))
        if round_ >= world.organic:
            truth = population.truth()
            seats.append(_seats(truth, slate) if served else np.full(truth.weights.shape, np.nan))
            across.append(_across(truth, slate) if served else np.full(len(users), np.nan))
            short += int((slate == UNKNOWN).any(1).sum()) if served else 0
        seen.free[users[got], chosen[got]] = False
        seen.chosen.append(chosen.astype(np.int32))
        seen.slates.append(slate if served else np.zeros((len(users), 0), np.int32))
        seen.places.append(place)
        population.move(round_, chosen)
    return Trace(
        world.name,
        arm,
        seed,
        np.stack(seen.chosen),
        np.stack(expected),
        np.stack(moment),
        np.stack(seats),
        np.stack(across),
        population.attributes,
        start,
        population.truth(),
        world.organic,
        short,
    )


def _seats(truth: Truth, slate: Items) -> Doubles:
    """Return each persona's share of the lists, "users personas"; NaN for an empty list."""
    present = slate != UNKNOWN
    owner = np.where(present, np.take_along_axis(truth.owner, np.maximum(slate, 0), 1), UNKNOWN)
    counts = (owner[:, :, None] == np.arange(truth.weights.shape[1])).sum(1)
    total = present.sum(1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.nan)


def _across(truth: Truth, slate: Items) -> Doubles:
    """Return the share of each list that is of the other camp, "users"; NaN without camps."""
    if truth.side is None or truth.item_side is None:
        return np.full(len(slate), np.nan)
    present = slate != UNKNOWN
    other = (truth.item_side[np.maximum(slate, 0)] != truth.side[:, None]) & present
    total = present.sum(1)
    return np.where(total > 0, other.sum(1) / np.maximum(total, 1), np.nan)
