"""States of users that grow by an event at a time and stay of one size, however long the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.types import Doubles, Floats, Items

RECENT: Final = 256
"""Newest items of a state. What a half-life of 20 events leaves of older ones is below 2^-12."""


@final
@dataclass(frozen=True, eq=False)
class SequenceStates:
    """The states of users: all that `SequentialAMPCF` needs to know of their histories.

    Attributes:
        recent: "users RECENT", the newest distinct items, oldest first, `UNKNOWN` before them. The fading memories and
            the expert are read from these.
        lasting: "users dim", float32, sum of the vectors of all items.
        events: "users", float64, how many items that are.
    """

    recent: Items
    lasting: Floats
    events: Doubles

    @classmethod
    def of(cls, queries: Queries, vectors: Floats) -> SequenceStates:
        """Return the states after histories without weights; `vectors` are those of the items, "items dim"."""
        history = queries.history.select(queries.counted)
        lasting = history.matrix(len(vectors)) @ vectors
        place = np.arange(len(history.items)) - np.repeat(history.indptr[1:], history.lengths)
        newest = place >= -RECENT
        recent = np.full((len(queries), RECENT), UNKNOWN, np.int32)
        recent[history.rows[newest], place[newest]] = history.items[newest]
        return cls(recent, np.asarray(lasting, np.float32), history.lengths.astype(np.float64))

    def after(self, items: Items, vectors: Floats) -> SequenceStates:
        """Return the states after one more event of each user, "users"; unknown items change nothing.

        An item that is among the newest already moves to the end, as a history counts an item once; one that came
        earlier counts again in the lasting memory.
        """
        known = items != UNKNOWN
        repeated = (self.recent == items[:, None]) & known[:, None]
        # The place that is given up: that of the same item, else the oldest.
        freed = np.where(repeated.any(1), repeated.argmax(1), 0)
        place = np.arange(RECENT)
        moved = np.where(place[None, :-1] >= freed[:, None], self.recent[:, 1:], self.recent[:, :-1])
        recent = np.where(known[:, None], np.concatenate([moved, items[:, None]], 1), self.recent).astype(np.int32)
        new = known & ~repeated.any(1)
        return SequenceStates(recent, self.lasting + new[:, None] * vectors[items], self.events + new)

    def queries(self) -> Queries:
        """Return the queries of unknown users whose histories are the newest items."""
        known = self.recent != UNKNOWN
        history = Ragged.from_lengths(known.sum(1), self.recent[known])
        times = np.arange(len(history.items))
        users, now = np.full(len(history), UNKNOWN, np.int32), np.full(len(history), len(times))
        return Queries(users, history, np.ones(len(times), np.float32), times, now)

    @property
    def bytes_per_user(self) -> int:
        """Size of a state."""
        return int(self.recent[0].nbytes + self.lasting[0].nbytes + self.events[0].nbytes) if len(self.events) else 0
