"""Filters users and items by their number of events; outside the `paper` split on training events only."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.readers.remarks import remark_on_filter
from recsys.errors import ConfigError, DataError
from recsys.types import Items, Mask


def minimum_events(train: Interactions, users: int = 1, items: int = 1, passes: int | None = None) -> Interactions:
    """Keep users and items with enough events, and compact the vocabularies.

    One pass drops users with fewer than `users` events, then items with fewer than `items` of the remaining events. The
    next pass drops users whom this leaves with too few.

    Args:
        train: the log to filter, without the events to predict, which would otherwise decide which users and items
            exist.
        users: minimum events of a user.
        items: minimum events of an item.
        passes: number of passes; None: until nothing changes, when both minima hold at once.

    Raises:
        ConfigError: a minimum or the number of passes is below 1.
        DataError: nothing is left.

    >>> log = Interactions.from_columns([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"])
    >>> minimum_events(log, users=2, items=2)
    Interactions(log: 4 events, 2 users, 2 items, clock none)
    """
    for name, value in (("users", users), ("items", items), ("passes", 1 if passes is None else passes)):
        if value < 1:
            raise ConfigError(f"minimum_events: {name} is {value}; it must be at least 1")
    keep = np.ones(len(train), dtype=np.bool_)
    done, changed = 0, True
    while changed and (passes is None or done < passes):
        before = int(keep.sum())
        keep &= _frequent(train.user_num, keep, train.n_users, users)
        keep &= _frequent(train.item_num, keep, train.n_items, items)
        done, changed = done + 1, int(keep.sum()) < before
    limits = f"at least {users} per user and {items} per item"
    if not keep.any():
        raise DataError(f"{train.name}: of {len(train)} events none is left with {limits}; lower the minima")
    remark_on_filter(train.name, len(train), int(keep.sum()), limits)
    return train.select(keep).compact()


def _frequent(column: Items, keep: Mask, size: int, minimum: int) -> Mask:
    """ "events", bool: whether the user or item of each event occurs at least `minimum` times among those to keep."""
    return np.asarray((np.bincount(column[keep], minlength=size) >= minimum)[column])
