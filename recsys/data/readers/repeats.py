"""Finds repeated events: exact duplicates, and items that a user rated again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd

from recsys.data.kinds import KINDS
from recsys.data.readers.columns import Duplicates, ReRatings
from recsys.types import Floats, Ints, Items, Kinds, Mask


@final
@dataclass(frozen=True, eq=False)
class Repeats:
    """The events that repeat another one.

    Attributes:
        pairs: positions of the events whose user, item and kind occur together more than once, increasing.
        duplicate: "pairs", whether the event equals an earlier one in user, item, kind, value and time (blank equals
            blank).
        earlier: "pairs", whether another rating of the same item by the same user follows, or another event of its
            kind; equal for exact duplicates.
        later: "pairs", whether one goes before; equal for duplicates.
    """

    pairs: Ints
    duplicate: Mask
    earlier: Mask
    later: Mask

    def dropped(self, duplicates: Duplicates, re_ratings: ReRatings) -> Mask:
        """ "pairs": whether the policies leave the event out."""
        drop = self.duplicate & (duplicates == "drop")
        if re_ratings in ("last", "first"):
            drop = drop | (self.earlier if re_ratings == "last" else self.later)
        return drop

    def resolved(self, duplicates: Duplicates, re_ratings: ReRatings) -> tuple[Mask, Mask]:
        """Return "pairs" twice: which events are dropped for good, and which a later one supersedes.

        Before a moment between the two, the earlier one still counts.
        """
        dropped = self.dropped(duplicates, re_ratings)
        superseded = dropped & self.earlier & (re_ratings == "last") & ~(self.duplicate & (duplicates == "drop"))
        return dropped & ~superseded, superseded


def find_repeats(user_num: Items, item_num: Items, value: Floats, time: Ints, kinds: Kinds | None = None) -> Repeats:
    """Find repeated events; all arguments are "events". Equal times count in input order.

    Events of different kinds do not repeat each other: who viewed an item and then bought it did two things.

    >>> one = np.zeros(3, np.int32)
    >>> repeats = find_repeats(one, one, np.float32([4, 4, 5]), np.array([7, 7, 9]))
    >>> repeats.duplicate.tolist(), repeats.earlier.tolist(), repeats.later.tolist()
    ([False, True, False], [True, True, False], [False, False, True])
    """
    key = user_num.astype(np.int64) * (int(item_num.max(initial=0)) + 1) + item_num
    if kinds is not None:
        key = key * len(KINDS) + kinds
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    follows = ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(key), np.bool_)
    repeated[1:] = follows
    repeated[:-1] |= follows
    pairs = np.sort(order[repeated])
    del order, ordered, repeated, follows
    frame = pd.DataFrame({"key": key[pairs], "value": value[pairs], "time": time[pairs]})
    duplicate = frame.duplicated(keep="first").to_numpy()
    distinct = frame.groupby(["key", "value", "time"], dropna=False, sort=False).ngroup().to_numpy()
    unique = frame[~duplicate].reset_index(drop=True)  # row g is the distinct event g
    order = unique.sort_values(["key", "time"], kind="stable").index.to_numpy()
    same = np.diff(unique["key"].to_numpy()[order]) == 0
    earlier, later = np.zeros(len(unique), np.bool_), np.zeros(len(unique), np.bool_)
    earlier[order[:-1][same]] = True
    later[order[1:][same]] = True
    return Repeats(pairs, duplicate, earlier[distinct], later[distinct])
