"""Questions to a model: for these users, with this visible history, at this moment, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN


@final
@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of item numbers of different lengths, in compressed form: row q is `items[indptr[q]:indptr[q+1]]`."""

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, rows: Sequence[npt.ArrayLike]) -> Ragged:
        """Build from one array per row.

        >>> Ragged.of([[3, 1], [], [2]]).indptr.tolist()
        [0, 2, 2, 3]
        """
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        lengths = [len(array) for array in arrays]
        items = np.concatenate(arrays) if arrays else np.zeros(0, np.int32)
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items.astype(np.int32))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """ "rows", int64."""
        return self.indptr[1:] - self.indptr[:-1]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """ "entries", int64: the row of each entry."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def row(self, number: int) -> npt.NDArray[np.int32]:
        """Return one row."""
        return self.items[self.indptr[number] : self.indptr[number + 1]]

    def positions(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the positions of the entries of the given rows, concatenated in that order."""
        lengths = self.lengths[rows]
        total = int(lengths.sum())
        starts = np.repeat(self.indptr[:-1][rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return starts + np.arange(total, dtype=np.int64)

    def take(self, rows: npt.NDArray[np.integer]) -> Ragged:
        """Return the given rows, in that order."""
        indptr = np.concatenate([[0], np.cumsum(self.lengths[rows])]).astype(np.int64)
        return Ragged(indptr, self.items[self.positions(rows)])

    def matrix(self, n_items: int, weights: npt.NDArray[np.float32] | None = None) -> sp.csr_matrix:
        """Return "rows items" sparse float32; entries of unknown items are dropped, repeated ones summed."""
        data = np.ones(len(self.items), np.float32) if weights is None else weights.astype(np.float32)
        known = self.items != UNKNOWN
        matrix = sp.csr_matrix(
            (data[known], (self.rows[known], self.items[known])), shape=(len(self), n_items), dtype=np.float32
        )
        matrix.sum_duplicates()
        return matrix


def membership(top: npt.NDArray[np.int32], rows: Ragged) -> npt.NDArray[np.bool_]:
    """Return "queries n": whether each item of a list occurs in the row of its query. `UNKNOWN` never does.

    A pair (query, item) becomes one integer, so that all lists are answered by one binary search.
    """
    if len(top) != len(rows):
        raise ValueError(f"{len(top)} lists for {len(rows)} rows of items")
    known = rows.items != UNKNOWN
    width = int(max(top.max(initial=0), rows.items.max(initial=0))) + 1
    keys = np.sort(rows.rows[known] * width + rows.items[known])
    if len(keys) == 0:
        return np.zeros(top.shape, np.bool_)
    asked = np.arange(len(top), dtype=np.int64)[:, None] * width + top
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.asarray((keys[place] == asked) & (top != UNKNOWN))


@final
@dataclass(frozen=True, eq=False)
class Queries:
    """A batch of users, each with the history that is visible at a moment `now`.

    A model never looks a user's past up by itself: it is handed exactly what may be seen. That makes a leak impossible,
    an unseen user ordinary, and replaying a stream the same call as serving it.

    Attributes:
        users: "queries", int32; `UNKNOWN` (-1) for a user whom the model has not met.
        history: "queries" rows of item numbers, oldest first; `UNKNOWN` items are ignored by models.
        values: "events", float32, aligned with `history.items`.
        times: "events", int64, aligned with `history.items`.
        now: "queries", int64, the moment of the question, in the unit of the log's clock.
        weights: "events", float32 in [0, 1], how much each event still counts; None means 1. Only fold-in models
            accept weights: the others refuse instead of ignoring them.
        exclude: rows of items that must not be recommended; None means the history's own items.
    """

    users: npt.NDArray[np.int32]
    history: Ragged
    values: npt.NDArray[np.float32]
    times: npt.NDArray[np.int64]
    now: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None = None
    exclude: Ragged | None = None

    def __post_init__(self) -> None:
        events = len(self.history.items)
        if not len(self.users) == len(self.history) == len(self.now):
            raise ValueError("users, history and now must have one row per query")
        if len(self.values) != events or len(self.times) != events:
            raise ValueError("values and times must be aligned with the history's items")
        if self.weights is not None and len(self.weights) != events:
            raise ValueError("weights must be aligned with the history's items")
        if self.exclude is not None and len(self.exclude) != len(self.users):
            raise ValueError("exclude must have one row per query")

    @classmethod
    def from_history(
        cls,
        items: Sequence[npt.ArrayLike],
        *,
        users: npt.ArrayLike | None = None,
        times: Sequence[npt.ArrayLike] | None = None,
        now: npt.ArrayLike | None = None,
    ) -> Queries:
        """Build from one row of item numbers per query; users are unknown unless given.

        Without `times` the position in the row is the time; without `now` it is one unit after the last event.
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
        )

    @classmethod
    def from_interactions(
        cls,
        log: Interactions,
        users: npt.NDArray[np.int32] | None = None,
        now: npt.NDArray[np.int64] | None = None,
    ) -> Queries:
        """Ask for users of a log with their history in it.

        Args:
            log: the visible log.
            users: "queries", user numbers; every user when None.
            now: "queries"; only events strictly before it are visible. None: everything is visible and `now` is one
                unit after the user's last event.
        """
        chosen = np.arange(log.n_users, dtype=np.int32) if users is None else np.asarray(users, dtype=np.int32)
        start, stop = log.indptr[chosen], log.indptr[chosen + 1]
        if now is None:
            has_events = stop > start
            now = np.zeros(len(chosen), np.int64)
            now[has_events] = log.time[stop[has_events] - 1] + 1
        else:
            now = np.asarray(now, dtype=np.int64)
        lengths = stop - start
        row = np.repeat(np.arange(len(chosen)), lengths)
        position = np.arange(len(row)) + np.repeat(start - np.cumsum(lengths) + lengths, lengths)
        visible = log.time[position] < now[row]
        counts = np.bincount(row[visible], minlength=len(chosen))
        position = position[visible]
        return cls(
            chosen,
            Ragged(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), log.item_num[position]),
            log.value[position],
            log.time[position],
            now,
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def ages(self) -> npt.NDArray[np.int64]:
        """ "events", int64: `now` minus the event's time, aligned with `history.items`."""
        return np.repeat(self.now, self.history.lengths) - self.times

    @property
    def excluded(self) -> Ragged:
        """The items that must not be recommended."""
        return self.history if self.exclude is None else self.exclude

    def take(self, rows: npt.NDArray[np.integer]) -> Queries:
        """Return the given queries, in that order."""
        if len(rows) == len(self) and bool((rows == np.arange(len(rows))).all()):
            return self  # a question asked alone is not copied at every step of the answer
        positions = self.history.positions(rows)
        return Queries(
            self.users[rows],
            self.history.take(rows),
            self.values[positions],
            self.times[positions],
            self.now[rows],
            None if self.weights is None else self.weights[positions],
            None if self.exclude is None else self.exclude.take(rows),
        )

    def batches(self, size: int) -> Iterator[Queries]:
        """Yield consecutive slices of at most `size` queries."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def with_weights(self, weights: npt.NDArray[np.float32] | None) -> Queries:
        """Return the same questions with other event weights."""
        if weights is self.weights:
            return self
        other = self._with(weights=weights)
        if "counted" in other.__dict__ and len(self._repeated):  # weights decide which event of an item counts
            del other.__dict__["counted"]
        return other

    def at(self, now: npt.NDArray[np.int64]) -> Queries:
        """Return the same questions, asked at other moments: "queries"."""
        return self._with(now=now)

    def _with(self, **changed: npt.NDArray[Any] | None) -> Queries:
        """Return the same questions with other fields, and with what was found out about the histories.

        A question is copied several times for an answer, and `dataclasses.replace` takes twice as long.
        """
        other = object.__new__(Queries)
        other.__dict__.update(self.__dict__, **changed)
        other.__post_init__()
        return other

    @cached_property
    def _repeated(self) -> npt.NDArray[np.int64]:
        """Positions of the events whose item is in the history more than once; not of those of unknown items."""
        items = self.history.items
        pair = items if len(self) == 1 else self.history.rows * (int(items.max(initial=0)) + 2) + items
        order = np.sort(pair)
        several = order[1:][order[1:] == order[:-1]]
        if len(several) == 0:
            return np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(several, pair), len(several) - 1)
        return np.flatnonzero((several[place] == pair) & (items != UNKNOWN))

    @cached_property
    def later(self) -> npt.NDArray[np.int64]:
        """ "events", int64: how many events of the same history are strictly later; equal times have as many.

        Raises:
            ValueError: a history is not sorted by time, oldest first.
        """
        if len(self) == 1:  # as it comes while serving, with a third of the work
            times = self.times
            _refuse_unsorted(times[1:] < times[:-1])
            return np.asarray(len(times) - np.searchsorted(times, times, side="right"))
        return np.repeat(self.history.indptr[1:], self.history.lengths) - self._ends_of_ties

    @property
    def _ends_of_ties(self) -> npt.NDArray[np.int64]:
        """ "events", the position just after the last event of the same query and time."""
        times, indptr = self.times, self.history.indptr
        count = len(times)
        same_row = np.ones(count, bool)
        same_row[indptr[:-1][self.history.lengths > 0]] = False  # whether the event before is of the same query
        steps = np.diff(times)
        _refuse_unsorted((steps < 0) & same_row[1:])
        starts = ~same_row
        starts[1:] |= steps != 0
        group = np.cumsum(starts) - 1
        return np.append(np.flatnonzero(starts)[1:], count)[group] if count else np.zeros(0, np.int64)

    @cached_property
    def counted(self) -> npt.NDArray[np.bool_]:
        """ "events", bool: the events that enter a user's state.

        Unknown items do not; of several events with one item only the one with the largest weight does (the latest of
        equals), as in the binary training matrix.
        """
        items = self.history.items
        counted: npt.NDArray[np.bool_] = np.asarray(items != UNKNOWN)
        events = self._repeated
        if len(events) == 0:  # by far the most frequent case
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
        data = np.ones(int(counted.sum()), np.float32) if self.weights is None else self.weights[counted]
        index = (self.history.rows[counted], self.history.items[counted])
        matrix = sp.csr_matrix((data.astype(np.float32), index), shape=(len(self), n_items))
        matrix.sort_indices()
        return matrix


def _refuse_unsorted(falls: npt.NDArray[np.bool_]) -> None:
    if bool(falls.any()):
        raise ValueError("a history is not sorted by time; the events of a query must come oldest first")
