"""A log of blocks: every user belongs to one block and uses only its items, so that the right answer is known."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions


def block_log(blocks: int = 2, users: int = 12, items: int = 8, *, seed: int = 0) -> Interactions:
    """Return a log whose right answer is known: the users of a block use only its items, each missing two of them.

    User ids are "b-u", item ids "b-i", so that the block is the first character. Every item of a block is as popular as
    every other, up to chance; times run through the whole log.
    """
    source = np.random.default_rng(seed)
    rows = [
        (f"{block}-{user:02d}", f"{block}-{item}")
        for block in range(blocks)
        for user in range(users)
        for item in source.permutation(items)[: items - 2]
    ]
    rows = [rows[position] for position in source.permutation(len(rows))]
    user_ids, item_ids = zip(*rows, strict=True)
    return Interactions.from_columns(user_ids, item_ids, times=np.arange(len(rows)) * 3600, name="blocks")
