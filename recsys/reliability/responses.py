"""`Responses`: what people answered, under which conditions, one row an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np
import numpy.typing as npt

from recsys.data.feedback import is_rated
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.sessions import PAUSE
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.types import Doubles, Ints, Items, Mask

_PAUSES: Final = {"seconds": PAUSE, "period": 1}
"""Without an event after which a sitting ends, as of `recsys.data.sessions`."""
_MOST_CONDITIONS: Final = 8
"""Named conditions that are told apart; rarer ones count as the most frequent one."""
_MOST_LEVELS: Final = 21
"""A scale of more values than this is continuous."""


@final
@dataclass(frozen=True, eq=False)
class Responses:
    """Answers of users about items; one pair of user and item may have several.

    Attributes:
        user: "responses", int32.
        item: "responses", int32.
        value: "responses", float64, such as stars.
        time: "responses", int64.
        condition: "responses conditions", float64: what else may have moved the answer, such as a predicted rating that
            was shown.
        names: one name for each condition.
        n_users: users are below it.
        n_items: items are below it.
        unrated: events of the log that have no rating, and so no response.
    """

    user: Items
    item: Items
    value: Doubles
    time: Ints
    condition: Doubles
    names: tuple[str, ...]
    n_users: int
    n_items: int
    unrated: int = 0

    def __post_init__(self) -> None:
        if len({len(self.user), len(self.item), len(self.value), len(self.time), len(self.condition)}) != 1:
            raise ValueError("the columns of responses differ in length")
        if self.condition.shape != (len(self.user), len(self.names)):
            raise ValueError(f"{self.condition.shape[1]} conditions with {len(self.names)} names")

    @classmethod
    def of(cls, log: Interactions, conditions: Mapping[str, npt.ArrayLike] | None = None) -> Responses:
        """Return the ratings of a log. Ratings that a later one replaced count, too: they were answers.

        Where the log has an order, two conditions come from it: how far into the sitting the answer was given (the
        logarithm of its place, from 0), and, where it has times, the logarithm of the pause before it, in seconds.
        Where it says under which conditions events came about, each of them but the most frequent is 1 for its answers.

        Args:
            log: with ratings.
            conditions: further ones by name, one number for each event of `log.every`.

        Raises:
            DataError: the log has one value only, or a condition is missing, infinite or of another length.
        """
        log = log.every
        rated = is_rated(log.value, log.kinds)
        values = log.value[rated]
        if len(values) == 0 or values.min() == values.max():
            found = "no ratings" if len(values) == 0 else f"the value {values[0]:g} alone"
            raise DataError(
                f"{log.name}: it has {found}, so no answer can be doubted by its value; weigh "
                "events by agreement instead: Reliable(model, mixture=None)"
            )
        columns = _of_sitting(log.user_num, log.time, log.clock) | _of_circumstances(log)
        for name, column in (conditions or {}).items():
            numbers = np.asarray(column, np.float64)
            if numbers.shape != (len(log),):
                raise DataError(
                    f"condition {name!r} has {numbers.size} numbers for {len(log)} events; give one for each"
                )
            broken = np.flatnonzero(~np.isfinite(numbers))
            if len(broken) == len(log):
                raise DataError(f"condition {name!r} has no number at all; leave it out")
            if len(broken):
                raise DataError(
                    f"condition {name!r}, event {broken[0]}: {numbers[broken[0]]} is no finite number "
                    f"({len(broken)} of {len(log)} events); give it for all events, or leave it out"
                )
            columns[name] = numbers
        condition = _stacked(columns, np.flatnonzero(rated))
        used = log.user_num[rated], log.item_num[rated], values.astype(np.float64), log.time[rated]
        return cls(*used, condition, tuple(columns), log.n_users, log.n_items, int((~rated).sum()))

    @classmethod
    def of_queries(cls, queries: Queries, n_items: int, clock: str = "none") -> tuple[Responses, Ints]:
        """Return the ratings in histories of known items, with rows of the queries as users.

        The conditions are those that the order of the histories gives, as that of a log with the clock does.

        Returns:
            The responses, and the position of each in `queries.history.items`.
        """
        every = queries.history.rows
        place = np.flatnonzero(is_rated(queries.values, queries.kinds) & (queries.history.items != UNKNOWN))
        columns = _of_sitting(every, queries.times, clock)
        used = every[place].astype(np.int32), queries.history.items[place]
        values, times = queries.values[place].astype(np.float64), queries.times[place]
        found = cls(*used, values, times, _stacked(columns, place), tuple(columns), len(queries), n_items)
        return found, place

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: Mask | Ints) -> Responses:
        """Return some of the responses, by mask or position."""
        return Responses(
            self.user[chosen],
            self.item[chosen],
            self.value[chosen],
            self.time[chosen],
            self.condition[chosen],
            self.names,
            self.n_users,
            self.n_items,
            self.unrated,
        )

    def under(self, condition: Doubles, names: tuple[str, ...]) -> Responses:
        """Return the same responses under other conditions."""
        return Responses(
            self.user, self.item, self.value, self.time, condition, names, self.n_users, self.n_items, self.unrated
        )

    @cached_property
    def pair(self) -> Ints:
        """ "responses", int64: the pair of user and item of each, numbered in the order of user and item."""
        keys = self.user.astype(np.int64) * self.n_items + self.item
        return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)

    @cached_property
    def first(self) -> Ints:
        """ "pairs", int64: the position of the first response of each pair."""
        return np.unique(self.pair, return_index=True)[1].astype(np.int64)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of user and item."""
        return len(self.first)

    @cached_property
    def counts(self) -> Ints:
        """ "pairs", int64: how many responses each pair has."""
        return np.bincount(self.pair, minlength=self.n_pairs).astype(np.int64)

    @cached_property
    def levels(self) -> Doubles | None:
        """The values of the scale, ascending; None where there are so many that it is continuous."""
        distinct = np.unique(self.value)
        return distinct if len(distinct) <= _MOST_LEVELS else None


def _of_sitting(user: Items | Ints, time: Ints, clock: str) -> dict[str, Doubles]:
    """Return the conditions that come from the order of events, which are sorted by user, then time."""
    if clock not in _PAUSES or len(user) == 0:
        return {}
    begins = np.r_[True, (np.diff(user) != 0) | (np.diff(time) >= _PAUSES[clock])]
    place = np.arange(len(user)) - np.maximum.accumulate(np.where(begins, np.arange(len(user)), 0))
    columns = {"place in the sitting": np.log1p(place)}
    if clock == "seconds":
        columns["pause"] = np.log1p(np.where(begins, 0, np.diff(time, prepend=time[0])))
    return columns


def _of_circumstances(log: Interactions) -> dict[str, Doubles]:
    """Return an indicator for each of the most frequent conditions of a log but the first; "" is one, too."""
    if log.conditions is None:
        return {}
    counts = np.bincount(log.conditions + 1, minlength=len(log.condition_names) + 1)
    frequent = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    names = ("nothing said", *log.condition_names)
    return {
        f"condition {names[number]}": (log.conditions + 1 == number).astype(np.float64)
        for number in frequent[1:_MOST_CONDITIONS]
    }


def _stacked(columns: Mapping[str, Doubles], place: Ints) -> Doubles:
    """Return some rows of the columns, "places columns"."""
    return np.stack([column[place] for column in columns.values()], 1) if columns else np.zeros((len(place), 0))
