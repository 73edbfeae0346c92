"""Events that occur twice: exact duplicates, and items that a user rated again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.readers.columns import Columns
from recsys.errors import DataError


@final
@dataclass(frozen=True, eq=False)
class Repeats:
    """Which events repeat another one.

    Attributes:
        pairs: positions of the events whose user and item occur together more than once, increasing.
        duplicate: "pairs", whether the event equals an earlier one in user, item, value and time (blank equals blank).
        earlier: "pairs", whether another rating of the same item by the same user follows; equal for exact duplicates.
        later: "pairs", whether another rating of the same item by the same user goes before; equal for duplicates.
    """

    pairs: npt.NDArray[np.int64]
    duplicate: npt.NDArray[np.bool_]
    earlier: npt.NDArray[np.bool_]
    later: npt.NDArray[np.bool_]


def find_repeats(
    user_num: npt.NDArray[np.int32],
    item_num: npt.NDArray[np.int32],
    value: npt.NDArray[np.float32],
    time: npt.NDArray[np.int64],
) -> Repeats:
    """Find repeated events; all arguments are "events". Equal times count in input order.

    >>> one = np.zeros(3, np.int32)
    >>> found = find_repeats(one, one, np.float32([4, 4, 5]), np.array([7, 7, 9]))
    >>> found.duplicate.tolist(), found.earlier.tolist(), found.later.tolist()
    ([False, True, False], [True, True, False], [False, False, True])
    """
    key = user_num.astype(np.int64) * (int(item_num.max(initial=0)) + 1) + item_num
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
    kept = frame[~duplicate].reset_index(drop=True)  # row g is the distinct event g
    order = kept.sort_values(["key", "time"], kind="stable").index.to_numpy()
    same = np.diff(kept["key"].to_numpy()[order]) == 0
    earlier, later = np.zeros(len(kept), np.bool_), np.zeros(len(kept), np.bool_)
    earlier[order[:-1][same]] = True
    later[order[1:][same]] = True
    return Repeats(pairs, duplicate, earlier[distinct], later[distinct])


def unwanted(repeats: Repeats, columns: Columns, where: Callable[[int], str]) -> tuple[npt.NDArray[np.int64], int, int]:
    """Return the positions of events that the declared policies drop, and how many are duplicates and re-ratings.

    Args:
        repeats: what `find_repeats` found.
        columns: declares the policies.
        where: names file and line of the event at a position.

    Raises:
        DataError: there is a repeat whose policy is "error".
    """
    if columns.duplicates == "error" and repeats.duplicate.any():
        position = int(repeats.pairs[repeats.duplicate][0])
        raise DataError(
            f"{where(position)} repeats an earlier event exactly (user, item, rating and time); "
            "delete it, or declare columns.duplicates: drop"
        )
    if columns.re_ratings == "error" and repeats.later.any():
        position = int(repeats.pairs[repeats.later][0])
        raise DataError(
            f"{where(position)} rates an item that the user has rated before; "
            "delete one of them, or declare columns.re_ratings: last"
        )
    drop = repeats.duplicate & (columns.duplicates == "drop")
    duplicates = int(drop.sum())
    if columns.re_ratings in ("last", "first"):
        drop |= repeats.earlier if columns.re_ratings == "last" else repeats.later
    return repeats.pairs[drop], duplicates, int(drop.sum()) - duplicates
