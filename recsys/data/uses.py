"""Which events count as a use of the item, by their kinds."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.data.kinds import CODES, KINDS, NEGATIVE_KINDS
from recsys.types import Floats, Ints, Kinds, Mask

_INTERACTION: Final[Mask] = np.array([kind not in NEGATIVE_KINDS for kind in KINDS])


def interactions(kinds: Kinds, pairs: Ints) -> Mask:
    """ "events": which count as a use: no dislike, no skip, and nothing that a later dislike of the item takes back.

    Args:
        kinds: "events".
        pairs: "events", an integer for each pair of user and item; the events of a pair come oldest first.

    >>> interactions(np.array([CODES["view"], CODES["dislike"], CODES["buy"]], np.int8), np.array([1, 1, 2])).tolist()
    [False, False, True]
    """
    used = _INTERACTION[kinds]
    dislikes = np.flatnonzero(kinds == CODES["dislike"])
    if len(dislikes):
        keys, back = np.unique(pairs[dislikes][::-1], return_index=True)
        last = dislikes[len(dislikes) - 1 - back]
        place = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
        used &= (keys[place] != pairs) | (np.arange(len(pairs)) > last[place])
    return used


def kinds_of_values(values: Floats) -> Kinds:
    """ "events": what events are of which only the value is known: ratings, or uses where there is none.

    >>> kinds_of_values(np.float32([4, np.nan])).tolist()
    [1, 0]
    """
    return np.where(np.isfinite(values), CODES["rating"], CODES["use"]).astype(np.int8)


def described(kinds: Kinds) -> dict[str, int]:
    """Return the number of events of each kind that occurs.

    >>> described(np.array([6, 0, 6], np.int8))
    {'use': 1, 'buy': 2}
    """
    counts = np.bincount(kinds, minlength=len(KINDS)).tolist()
    return {kind: count for kind, count in zip(KINDS, counts, strict=True) if count}
