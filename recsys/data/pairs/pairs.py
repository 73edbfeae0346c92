"""`Pairs`: a user prefers one item to another, because the user rated it higher at about the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from recsys.checks import choice, positive, seed_of_draws, whole
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.types import DAY, Floats, Ints, Items, Mask

PairWindow = Literal["events", "days"]
"""What the distance of two ratings is counted in."""


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """Preferences (user, winner, loser).

    Attributes:
        user: "pairs", int32.
        winner: "pairs", int32, the item that the user prefers.
        loser: "pairs", int32.
        gap: "pairs", float32, by how much more the winner was rated; 1 where only the choice is known.
        unrated: events that could not be compared, because they have no rating.
    """

    user: Items
    winner: Items
    loser: Items
    gap: Floats
    unrated: int = 0

    def __post_init__(self) -> None:
        if len({len(self.user), len(self.winner), len(self.loser), len(self.gap)}) != 1:
            raise ValueError("the columns of pairs differ in length")

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: Mask | Ints) -> Pairs:
        """Return some of the pairs, by mask or position."""
        return Pairs(self.user[chosen], self.winner[chosen], self.loser[chosen], self.gap[chosen], self.unrated)

    def capped(self, most: int, seed: int = 0) -> Pairs:
        """Return at most `most` pairs of each user, drawn without replacement: otherwise dense users make most pairs.

        Raises:
            ConfigError: `most` is no whole number above 0.
        """
        whole("cap", most)
        seed_of_draws(seed)
        order = np.lexsort((np.random.default_rng(seed).random(len(self)), self.user))
        user = self.user[order]
        first = np.r_[True, user[1:] != user[:-1]]
        start = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0))
        return self.take(np.sort(order[np.arange(len(user)) - start < most])) if len(user) else self


def rated(log: Interactions) -> Mask:
    """Return which events of a log have a rating, "events".

    Raises:
        DataError: no two ratings differ.
    """
    has = np.isfinite(log.value)
    values = log.value[has]
    if len(values) == 0 or values.min() == values.max():
        found = "no event has a rating" if len(values) == 0 else f"every event has the value {values[0]:g}"
        raise DataError(
            f"{log.name}: preference needs ratings; this log has one value ({found}); use a log of ratings, or a file "
            "of pairs (recsys.data.pairs.read_pair_log)"
        )
    return has


def pairs_of(
    log: Interactions, window: float = 20, unit: PairWindow = "events", cap: int | None = None, seed: int = 0
) -> Pairs:
    """Return the preferences that a log of ratings holds.

        (u, i, j)   where r_ui > r_uj, and u rated i and j at most `window` of u's own events (or days) apart

    Ratings that are far apart are made with different yardsticks, and by a different person in a way.

    Args:
        log: a log with ratings; an event without one is not compared, and counted.
        window: largest distance.
        unit: "events" of the user, or "days" by the clock.
        cap: at most so many pairs of each user, drawn by `seed`; None: all.
        seed: of that draw.

    Raises:
        ConfigError: the window is not positive, or a setting is unknown.
        DataError: no two ratings differ; or days are asked of a log without dates.
    """
    choice("unit", unit, PairWindow)
    positive("window", window)
    if unit == "days" and log.clock != "seconds":
        raise DataError(f"{log.name}: its clock is {log.clock!r}, which has no days; use unit='events'")
    has = rated(log)
    index = np.flatnonzero(has)
    user, item, value = log.user_num[index], log.item_num[index], log.value[index]
    place = log.positions[index] if unit == "events" else log.time[index] / DAY
    firsts, seconds = [], []
    near = np.arange(len(index))
    offset = 0
    # Events are sorted by user and place, so that once a distance is too large, larger offsets are too.
    while len(near):
        offset += 1
        near = near[near < len(index) - offset]
        other = near + offset
        inside = (user[near] == user[other]) & (place[other] - place[near] <= window)
        near, other = near[inside], other[inside]
        differ = (value[near] != value[other]) & (item[near] != item[other])
        firsts.append(near[differ])
        seconds.append(other[differ])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    up = value[first] > value[second]
    winner, loser = np.where(up, first, second), np.where(up, second, first)
    order = np.argsort(user[first], kind="stable")
    winner, loser = winner[order], loser[order]
    gap = (value[winner] - value[loser]).astype(np.float32)
    pairs = Pairs(user[winner], item[winner], item[loser], gap, int((~has).sum()))
    return pairs if cap is None else pairs.capped(cap, seed)
