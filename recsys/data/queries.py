"""Queries to a model: users with their visible history at a moment, and the ragged arrays that hold histories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.data.uses import interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.types import Doubles, Floats, Ints, Items, Kinds, Mask

_SPARSE = 64
"""Places of a table of users and items for each event up to which marking the events there beats sorting them."""


@final
@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of item numbers of different lengths in compressed sparse form: row q is `items[indptr[q]:indptr[q+1]]`."""

    indptr: Ints
    items: Items

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, rows: Sequence[npt.ArrayLike]) -> Ragged:
        """Build from one array per row.

        >>> Ragged.of([[3, 1], [], [2]]).indptr.tolist()
        [0, 2, 2, 3]
        """
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        return cls.from_lengths([len(array) for array in arrays], np.concatenate([*arrays, np.zeros(0, np.int32)]))

    @classmethod
    def from_lengths(cls, lengths: npt.ArrayLike, items: Items) -> Ragged:
        """Build from the length of each row and the items of all rows, one row after the other."""
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items)

    @property
    def lengths(self) -> Ints:
        """ "rows", int64."""
        return self.indptr[1:] - self.indptr[:-1]

    @property
    def rows(self) -> Ints:
        """ "entries", int64: the row of each entry."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def row(self, number: int) -> Items:
        """Return one row."""
        return self.items[self.indptr[number] : self.indptr[number + 1]]

    def positions(self, rows: npt.NDArray[np.integer]) -> Ints:
        """Return the positions of the entries of the given rows, concatenated in that order."""
        lengths = self.lengths[rows]
        total = int(lengths.sum())
        starts = np.repeat(self.indptr[:-1][rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return starts + np.arange(total, dtype=np.int64)

    def take(self, rows: npt.NDArray[np.integer]) -> Ragged:
        """Return the given rows, in that order."""
        return Ragged.from_lengths(self.lengths[rows], self.items[self.positions(rows)])

    def select(self, mask: Mask) -> Ragged:
        """Return the rows without the entries whose mask is False.

        >>> Ragged.of([[3, 1], [], [2]]).select(np.array([True, False, True])).indptr.tolist()
        [0, 1, 1, 2]
        """
        return Ragged(np.concatenate([[0], np.cumsum(mask)])[self.indptr], self.items[mask])

    def sum(self, values: npt.NDArray[Any]) -> Doubles:
        """Return the sum over each row of one value per entry, "rows", added in order in double precision."""
        return np.bincount(self.rows, values, len(self)).astype(np.float64, copy=False)

    def matrix(self, n_items: int, weights: Floats | None = None) -> sp.csr_matrix:
        """Return "rows items" sparse float32; entries of unknown items are dropped, repeated ones summed."""
        data = np.ones(len(self.items), np.float32) if weights is None else weights.astype(np.float32)
        known = self.items != UNKNOWN
        entries = data[known], (self.rows[known], self.items[known])
        matrix = sp.csr_matrix(entries, shape=(len(self), n_items), dtype=np.float32)
        matrix.sum_duplicates()
        return matrix


def membership(top: Items, rows: Ragged) -> Mask:
    """Return "queries n": whether each item of a list occurs in the row of its query. `UNKNOWN` never does.

    Encodes each (query, item) pair as one integer, so that one binary search covers all lists.
    """
    if len(top) != len(rows):
        raise ValueError(f"{len(top)} lists for {len(rows)} rows of items")
    known = rows.items != UNKNOWN
    width = int(max(top.max(initial=0), rows.items.max(initial=0))) + 1
    keys = np.sort(rows.rows[known] * width + rows.items[known])
    if len(keys) == 0:
        return np.zeros(top.shape, np.bool_)
    pairs = np.arange(len(top), dtype=np.int64)[:, None] * width + top
    position = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
    return np.asarray((keys[position] == pairs) & (top != UNKNOWN))


@final
@dataclass(frozen=True, eq=False)
class Queries:
    """A batch of users, each with the history that is visible at a moment `now`.

    A model never looks up a user's history; it only sees what the query contains. So future events cannot leak, unknown
    users need no special case, and replaying a stream is the same call as serving it.

    Attributes:
        users: "queries", int32; `UNKNOWN` (-1) for users outside the training log.
        history: "queries" rows of item numbers, oldest first; `UNKNOWN` items are ignored by models.
        values: "events", float32, aligned with `history.items`.
        times: "events", int64, aligned with `history.items`.
        now: "queries", int64, the time of the query, in the unit of the log's clock.
        weights: "events", float32 in [0, 1]; None means 1. Only fold-in models accept weights; the others raise.
        exclude: rows of items that must not be recommended; None means the items of the history.
        kinds: "events", int8, what was done, codes of `recsys.data.feedback.KINDS`; None: nothing is said, events with
            a rating are ratings and the others uses.
        meant: "events", bool: answers that the person has confirmed, which no model doubts; None: of none.
    """

    users: Items
    history: Ragged
    values: Floats
    times: Ints
    now: Ints
    weights: Floats | None = None
    exclude: Ragged | None = None
    kinds: Kinds | None = None
    meant: Mask | None = None

    def __post_init__(self) -> None:
        events = len(self.history.items)
        if not len(self.users) == len(self.history) == len(self.now):
            raise ValueError("users, history and now must have one row per query")
        if len(self.values) != events or len(self.times) != events:
            raise ValueError("values and times must be aligned with the history's items")
        if self.weights is not None and len(self.weights) != events:
            raise ValueError("weights must be aligned with the history's items")
        if self.kinds is not None and len(self.kinds) != events:
            raise ValueError("kinds must be aligned with the history's items")
        if self.meant is not None and len(self.meant) != events:
            raise ValueError("meant must be aligned with the history's items")
        if self.exclude is not None and len(self.exclude) != len(self.users):
            raise ValueError("exclude must have one row per query")

    def digest(self) -> bytes:
        """Return a digest of everything that is asked: equal for equal queries, and for no others."""
        exclude = (None, None) if self.exclude is None else (self.exclude.indptr, self.exclude.items)
        columns = (self.users, self.history.indptr, self.history.items, self.values, self.times, self.now)
        hashed = blake2b(digest_size=16)
        for column in (*columns, self.weights, self.kinds, *exclude, *([] if self.meant is None else [self.meant])):
            hashed.update(b"-" if column is None else len(column).to_bytes(8) + np.ascontiguousarray(column).tobytes())
        return hashed.digest()

    @classmethod
    def from_history(
        cls,
        items: Sequence[npt.ArrayLike],
        *,
        users: npt.ArrayLike | None = None,
        times: Sequence[npt.ArrayLike] | None = None,
        now: npt.ArrayLike | None = None,
    ) -> Queries:
        """Build from one row of item numbers per query.

        Args:
            items: one row per query, oldest first.
            users: "queries", user numbers; unknown when None.
            times: one row per query; the positions in the row when None.
            now: "queries"; one unit after the last event when None.
        """
        history = Ragged.of(items)
        position = np.arange(len(history.items), dtype=np.int64) - np.repeat(history.indptr[:-1], history.lengths)
        if times is None:
            time, last = position, history.lengths
        else:
            rows = [np.asarray(row, dtype=np.int64) for row in times]
            time = np.concatenate([*rows, np.zeros(0, np.int64)])
            last = np.asarray([row.max(initial=-1) + 1 for row in rows], dtype=np.int64)
        return cls(
            np.full(len(history), UNKNOWN, np.int32) if users is None else np.asarray(users, dtype=np.int32),
            history,
            np.ones(len(history.items), np.float32),
            time,
            last if now is None else np.asarray(now, dtype=np.int64),
            kinds=np.full(len(history.items), CODES["use"], np.int8),  # no bad ratings for a model that reads them
        )

    @classmethod
    def from_interactions(cls, log: Interactions, users: Items | None = None, now: Ints | None = None) -> Queries:
        """Build from users of a log, with their history in it.

        Args:
            log: the visible log.
            users: "queries", user numbers; every user when None.
            now: "queries"; only events strictly earlier are visible. None: all events are visible and `now` is one
                unit after the user's last event.
        """
        chosen = np.arange(log.n_users, dtype=np.int32) if users is None else np.asarray(users, dtype=np.int32)
        if now is None:
            start, stop = log.indptr[chosen], log.indptr[chosen + 1]
            has_events = stop > start
            now = np.zeros(len(chosen), np.int64)
            now[has_events] = log.time[stop[has_events] - 1] + 1
        else:
            now = np.asarray(now, dtype=np.int64)
        histories = Ragged(log.indptr, log.item_num)
        positions, history = histories.positions(chosen), histories.take(chosen)
        visible = log.time[positions] < np.repeat(now, history.lengths)
        positions = positions[visible]
        kinds = None if log.kinds is None else log.kinds[positions]
        return cls(chosen, history.select(visible), log.value[positions], log.time[positions], now, kinds=kinds)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def ages(self) -> Ints:
        """ "events", int64: `now` minus the time of the event."""
        return np.repeat(self.now, self.history.lengths) - self.times

    @property
    def excluded(self) -> Ragged:
        """The items that must not be recommended."""
        return self.history if self.exclude is None else self.exclude

    def take(self, rows: npt.NDArray[np.integer]) -> Queries:
        """Return the given queries, in that order."""
        if len(rows) == len(self) and bool((rows == np.arange(len(rows))).all()):
            return self  # a query that is answered alone is not copied at every step
        positions = self.history.positions(rows)
        return Queries(
            self.users[rows],
            self.history.take(rows),
            self.values[positions],
            self.times[positions],
            self.now[rows],
            None if self.weights is None else self.weights[positions],
            None if self.exclude is None else self.exclude.take(rows),
            None if self.kinds is None else self.kinds[positions],
            None if self.meant is None else self.meant[positions],
        )

    def keep(self, visible: Mask) -> Queries:
        """Return the queries with only some "events" of their histories visible; excluded items stay excluded."""
        return Queries(
            self.users,
            self.history.select(visible),
            self.values[visible],
            self.times[visible],
            self.now,
            None if self.weights is None else self.weights[visible],
            self.excluded,
            None if self.kinds is None else self.kinds[visible],
            None if self.meant is None else self.meant[visible],
        )

    def batches(self, size: int) -> Iterator[Queries]:
        """Yield consecutive slices of at most `size` queries."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def with_weights(self, weights: Floats | None) -> Queries:
        """Return the same queries with other event weights."""
        if weights is self.weights:
            return self
        other = self._with(weights=weights)
        if len(self._duplicates):  # the weights decide which of them is counted
            other.__dict__.pop("counted", None)
        return other

    def at(self, now: Ints) -> Queries:
        """Return the same queries at other times, "queries"."""
        return self._with(now=now)

    def _with(self, **fields: npt.NDArray[Any] | None) -> Queries:
        """Return a copy with other fields and the same cached properties of the histories."""
        other = object.__new__(Queries)
        other.__dict__.update(self.__dict__, **fields)
        other.__post_init__()
        return other

    @cached_property
    def _duplicates(self) -> Ints:
        """Positions of the events whose (known) item is in the history more than once."""
        items = self.history.items
        width = int(items.max(initial=0)) + 2
        pairs = self.history.rows * width + items
        if len(self) * width <= _SPARSE * len(items):  # most have none, which takes a thirtieth of the time of a sort
            seen = np.zeros(len(self) * width, np.bool_)
            seen[pairs] = True
            if np.count_nonzero(seen) == len(items):
                return np.zeros(0, np.int64)
        order = np.sort(pairs)
        repeated = order[1:][order[1:] == order[:-1]]
        if len(repeated) == 0:
            return np.zeros(0, np.int64)
        position = np.minimum(np.searchsorted(repeated, pairs), len(repeated) - 1)
        return np.flatnonzero((repeated[position] == pairs) & (items != UNKNOWN))

    @cached_property
    def later(self) -> Ints:
        """ "events", int64: number of strictly later events in the same history; equal for equal times.

        Raises:
            ValueError: a history is not sorted by time, oldest first.
        """
        times, indptr, count = self.times, self.history.indptr, len(self.times)
        if count == 0:
            return np.zeros(0, np.int64)
        first = np.zeros(count, np.bool_)  # of a history; then also of a group of events with equal times
        first[indptr[:-1][self.history.lengths > 0]] = True
        steps = np.diff(times)
        if bool(((steps < 0) & ~first[1:]).any()):
            raise ValueError("a history is not sorted by time; the events of a query must come oldest first")
        first[1:] |= steps != 0
        group_ends = np.append(np.flatnonzero(first)[1:], count)
        ends = np.repeat(indptr[1:], self.history.lengths)
        return np.asarray(ends - group_ends[np.cumsum(first) - 1])

    @cached_property
    def counted(self) -> Mask:
        """ "events", bool: the events that enter a user's state.

        Excludes unknown items, and what is no interaction (`feedback.interactions`); of several events with one item
        only the one with the largest weight counts (the latest of equals), as in the binary training matrix.
        """
        items = self.history.items
        counted: Mask = np.asarray(items != UNKNOWN)
        events = self._duplicates
        if self.kinds is not None:
            counted &= interactions(self.kinds, self.history.rows * (int(items.max(initial=0)) + 2) + items)
            events = events[counted[events]]
        if len(events) == 0:
            return counted
        row, item = self.history.rows[events], items[events]
        weight = np.zeros(len(events)) if self.weights is None else self.weights[events]
        order = np.lexsort((events, weight, item, row))
        superseded = (row[order][:-1] == row[order][1:]) & (item[order][:-1] == item[order][1:])
        counted[events[order[:-1][superseded]]] = False
        return counted

    def matrix(self, n_items: int) -> sp.csr_matrix:
        """Return "queries items": the weights of the counted events as a sparse float32 matrix."""
        counted = self.counted
        return self.history.select(counted).matrix(n_items, None if self.weights is None else self.weights[counted])
