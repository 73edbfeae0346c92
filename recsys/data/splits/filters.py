"""Minimum-events filters. Outside the `paper` split they are fitted on training events only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError


def minimum_events(train: Interactions, users: int = 1, items: int = 1, passes: int | None = None) -> Interactions:
    """Keep users and items with enough events; the vocabularies hold only what is left.

    One pass drops users with fewer than `users` events, then items with fewer than `items` of the events that remain.
    Dropping items can leave a user short again, which the next pass sees.

    Args:
        train: the log to filter. Events that are to be predicted must not be in it: a user's last events would decide
            which users and items exist.
        users: least events of a user.
        items: least events of an item.
        passes: number of passes; None: until nothing changes, when both minima hold at once.

    Raises:
        ConfigError: a minimum or the number of passes is below 1.
        DataError: nothing is left.

    >>> log = Interactions.from_columns([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"])
    >>> minimum_events(log, users=2, items=2)
    Interactions(log: 4 events, 2 users, 2 items, clock none)
    """
    for name, least in (("users", users), ("items", items), ("passes", 1 if passes is None else passes)):
        if least < 1:
            raise ConfigError(f"minimum_events: {name} is {least}; it must be at least 1")
    keep = np.ones(len(train), dtype=np.bool_)
    done, changed = 0, True
    while changed and (passes is None or done < passes):
        before = int(keep.sum())
        keep &= _often(train.user_num, keep, train.n_users, users)
        keep &= _often(train.item_num, keep, train.n_items, items)
        done, changed = done + 1, int(keep.sum()) < before
    if not keep.any():
        raise DataError(
            f"{train.name}: of {len(train)} events none is left with at least {users} per user and {items} per item; "
            "lower the minima"
        )
    return train.select(keep).compact()


def _often(column: npt.NDArray[np.int32], keep: npt.NDArray[np.bool_], size: int, least: int) -> npt.NDArray[np.bool_]:
    """ "events", bool: the number of the event occurs at least `least` times among the kept events."""
    enough: npt.NDArray[np.bool_] = (np.bincount(column[keep], minlength=size) >= least)[column]
    return enough
