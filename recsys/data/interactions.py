"""`Interactions`, the log of events (user, item, value, time, kind) from which everything else is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.frames import read_columns, read_frame
from recsys.data.items import ItemMetadata
from recsys.data.kinds import KINDS
from recsys.data.readers.columns import Clock, Columns, Label
from recsys.data.uses import interactions
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError
from recsys.types import Floats, Ints, Items, Kinds, Mask

__all__ = ["Clock", "Interactions"]


@final
@dataclass(frozen=True, eq=False)
class Interactions:
    """An immutable log, sorted by user, then time, then input order.

    Because it is sorted, "the history of user u before t" is a slice (`history_slice`), never a filter.

    Attributes:
        user_num: "events", int32, numbers of `users`.
        item_num: "events", int32, numbers of `items`.
        value: "events", float32, the rating or 1; NaN for an event with a blank rating, and beside ratings for an event
            of another kind.
        time: "events", int64, in the unit of `clock`.
        users: vocabulary of users.
        items: vocabulary of items.
        metadata: titles, genres and tags of `items`.
        clock: the meaning of `time`.
        name: short name of the data set, for reports.
        kinds: "events", int8, what was done, codes of `recsys.data.feedback.KINDS`; None: nothing is said, events with
            a rating are ratings and the others uses.
        conditions: "events", int32, the circumstances of each, numbers of `condition_names`, -1: nothing is said; None:
            of no event.
        condition_names: such as devices or versions of a page, sorted.
        superseded: earlier events that a later one of the same user, item and kind replaces (`re_ratings=last`), with
            the same vocabularies; None: there are none. They count for splits alone, which cut before events are
            replaced; a model never learns from them.
    """

    user_num: Items
    item_num: Items
    value: Floats
    time: Ints
    users: Vocabulary
    items: Vocabulary
    metadata: ItemMetadata
    clock: Clock = "seconds"
    name: str = "log"
    kinds: Kinds | None = None
    superseded: Interactions | None = None
    conditions: Items | None = None
    condition_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns: list[npt.NDArray[Any]] = [self.user_num, self.item_num, self.value, self.time]
        columns += [column for column in (self.kinds, self.conditions) if column is not None]
        lengths = {len(column) for column in columns}
        if len(lengths) != 1:
            raise ValueError(f"columns differ in length: {sorted(lengths)}")
        if len(self.metadata) != len(self.items):
            raise ValueError(f"{len(self.metadata)} metadata rows for {len(self.items)} items")
        earlier = self.superseded
        if earlier is not None and (earlier.n_users, earlier.n_items) != (self.n_users, self.n_items):
            raise ValueError("superseded events have other vocabularies than the log")
        for column in columns:
            column.setflags(write=False)

    @classmethod
    def from_columns(
        cls,
        users: npt.ArrayLike,
        items: npt.ArrayLike,
        values: npt.ArrayLike | None = None,
        times: npt.ArrayLike | None = None,
        *,
        kinds: npt.ArrayLike | None = None,
        clock: Clock | None = None,
        name: str = "log",
    ) -> Interactions:
        """Build a log from columns of external ids, by the checks of a file with the same content.

        Args:
            users: "events", integer or string ids. Texts that are all integers are integer ids.
            items: "events", likewise.
            values: "events", ratings, NaN where there is none; 1 everywhere when omitted.
            times: "events"; 0 when omitted. Of the clock "seconds": datetimes of any unit and time zone (UTC if none),
                Unix times in any unit, or ISO-8601 texts; of others whole numbers.
            kinds: "events", what was done, in the words of `recsys.data.spellings`; an event without one is a rating if
                it has a value, else a use.
            clock: defaults to "seconds" with times and "none" without.
            name: short name for reports.

        Raises:
            DataError: the columns differ in length; an id is missing; a value or a time is unusable. The message names
                column, row (counted from 0) and cure.

        >>> log = Interactions.from_columns(["b", "a", "a"], [7, 7, 9], times=[5, 9, 2])
        >>> log.items.ids[log.item_num].tolist(), log.time.tolist()
        ([9, 7, 7], [2, 9, 5])
        """
        clock = clock or ("none" if times is None else "seconds")
        return cls.sorted(*read_columns(users, items, values, times, kinds, clock), name)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,  # noqa: ANN401 - a DataFrame of any library
        *,
        user: Label | None = None,
        item: Label | None = None,
        value: Label | None = None,
        time: Label | None = None,
        rating: Label | None = None,
        timestamp: Label | None = None,
        kind: Label | None = None,
        feedback: Label | None = None,
        columns: Columns | None = None,
        name: str = "log",
    ) -> Interactions:
        """Build a log from a DataFrame, by the rules of a file with the same content.

        Columns with common names are recognised, and `title` and `genres` (lists, or texts separated by "|") describe
        the items. Ids are integers, or texts; categorical, nullable, string, object and Arrow columns are all
        accepted. Times are datetimes of any unit and time zone (UTC if none), or as in files. Exact duplicates are
        dropped, and of ratings of one item by one user the last is kept, unless `columns`
        declares otherwise.

        Args:
            frame: of pandas, or of any library with the Arrow or the dataframe interchange protocol, such as polars.
            user, item, value, time: names of the columns of user ids, item ids, ratings and times; None: recognised.
                Without ratings all values are 1, without times the log has no clock.
            rating, timestamp: other words for `value` and `time`.
            kind, feedback: name of the column that says what was done; None: recognised.
            columns: further declarations, as for files.
            name: short name for reports.

        Raises:
            DataError: a column is missing, an id or a time is missing, or a value is no number; the message names
                column, row (counted from 0) and cure.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"user": ["b", "a"], "sku": [7, 9], "date": ["2020-01-02", "2020-01-01"]})
        >>> log = Interactions.from_pandas(frame, item="sku")
        >>> log.users.ids.tolist(), log.items.ids.tolist(), log.time.tolist()
        (['a', 'b'], [7, 9], [1577836800, 1577923200])
        """
        declared = (columns or Columns()).naming(
            user=user,
            item=item,
            value=value,
            rating=rating,
            time=time,
            timestamp=timestamp,
            kind=kind,
            feedback=feedback,
        )
        return cls.sorted(*read_frame(frame, declared), name)

    @classmethod
    def sorted(
        cls,
        user_num: Items,
        item_num: Items,
        value: Floats,
        time: Ints,
        users: Vocabulary,
        items: Vocabulary,
        metadata: ItemMetadata,
        clock: Clock,
        kinds: Kinds | None,
        superseded: Mask | None,
        conditions: Items | None,
        condition_names: tuple[str, ...],
        name: str,
    ) -> Interactions:
        """Build a log from numbered columns in any order; equal times of a user keep their input order."""
        order = np.lexsort((time, user_num))
        columns = user_num[order], item_num[order], value[order], time[order]
        kinds = None if kinds is None else kinds[order]
        conditions = None if conditions is None else conditions[order]
        log = cls(
            *columns,
            users=users,
            items=items,
            metadata=metadata,
            clock=clock,
            name=name,
            kinds=kinds,
            conditions=conditions,
            condition_names=condition_names,
        )
        return log if superseded is None else log.superseding(superseded[order])

    def __len__(self) -> int:
        return len(self.user_num)

    def __repr__(self) -> str:
        size = f"{len(self)} events, {self.n_users} users, {self.n_items} items"
        return f"Interactions({self.name}: {size}, clock {self.clock})"

    @property
    def n_users(self) -> int:
        """Size of the user vocabulary (users without events included)."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary (items without events included)."""
        return len(self.items)

    @property
    def has_time(self) -> bool:
        """Whether times of different users can be compared, as a global temporal split needs."""
        return self.clock in ("seconds", "period")

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """The first and the last time; None without events."""
        return (int(self.time.min()), int(self.time.max())) if len(self) else None

    @cached_property
    def indptr(self) -> Ints:
        """ "users+1", int64: events of user u are `indptr[u]:indptr[u+1]`."""
        counts = np.bincount(self.user_num, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def positions(self) -> Ints:
        """ "events", int64: the position of each event in its user's history, from 0."""
        return np.arange(len(self), dtype=np.int64) - self.indptr[self.user_num]

    def history_slice(self, user_num: int, before: int | None = None) -> slice:
        """Return the slice of a user's events strictly earlier than `before` (all of them when None)."""
        start, stop = int(self.indptr[user_num]), int(self.indptr[user_num + 1])
        if before is not None:
            stop = start + int(np.searchsorted(self.time[start:stop], before, side="left"))
        return slice(start, stop)

    def select(self, keep: Mask | npt.NDArray[np.integer]) -> Interactions:
        """Return the log of some events (mask or increasing positions), with the same vocabularies.

        Superseded events stay with the event that replaces them.
        """
        chosen = replace(
            self,
            user_num=self.user_num[keep],
            item_num=self.item_num[keep],
            value=self.value[keep],
            time=self.time[keep],
            kinds=None if self.kinds is None else self.kinds[keep],
            conditions=None if self.conditions is None else self.conditions[keep],
            superseded=None,
        )
        if self.superseded is None:
            return chosen
        earlier = self.superseded.select(np.isin(self.superseded.sorts, chosen.sorts))
        return replace(chosen, superseded=earlier if len(earlier) else None)

    @property
    def sorts(self) -> Ints:
        """ "events", int64: one number for each user, item and kind. Of events with the same one the last may count."""
        pairs = self.user_num.astype(np.int64) * self.n_items + self.item_num
        return pairs if self.kinds is None else pairs * len(KINDS) + self.kinds

    @property
    def every(self) -> Interactions:
        """The log with the superseded events in their places; itself where it has none."""
        return self if self.superseded is None else self._every  # one that cached itself would outlive its last use

    @cached_property
    def _every(self) -> Interactions:
        earlier = self.superseded
        assert earlier is not None
        kinds, conditions = (
            None if later is None or former is None else np.concatenate([former, later])
            for former, later in ((earlier.kinds, self.kinds), (earlier.conditions, self.conditions))
        )
        return Interactions.sorted(
            # At equal times the replaced event comes first.
            np.concatenate([earlier.user_num, self.user_num]),
            np.concatenate([earlier.item_num, self.item_num]),
            np.concatenate([earlier.value, self.value]),
            np.concatenate([earlier.time, self.time]),
            *(self.users, self.items, self.metadata, self.clock, kinds, None, conditions, self.condition_names),
            self.name,
        )

    def superseding(self, replaced: Mask) -> Interactions:
        """Return the log of the other events, with those of the mask as superseded."""
        if not replaced.any():
            return self
        return replace(self.select(~replaced), superseded=self.select(replaced))

    @property
    def uses(self) -> Interactions:
        """The log without what is no interaction, see `recsys.data.feedback.interactions`; itself where it has none."""
        return self if self._uses is None else self._uses

    @cached_property
    def _uses(self) -> Interactions | None:
        if self.kinds is None:
            return None
        used = interactions(self.kinds, self.user_num.astype(np.int64) * self.n_items + self.item_num)
        return None if used.all() else self.select(used)

    def compact(self, items: Ints | None = None) -> Interactions:
        """Return the same events with vocabularies of only the users and items that occur.

        A model fitted on the result knows no other user or item.

        Args:
            items: the numbers of the items to keep, ascending, all that occur among them: those of a larger log, of
                which this is a part.
        """
        users, user_rank = _ranked(np.flatnonzero(np.bincount(self.user_num, minlength=self.n_users)), self.n_users)
        occurring = np.flatnonzero(np.bincount(self.item_num, minlength=self.n_items)) if items is None else items
        items, item_rank = _ranked(occurring, self.n_items)
        own_users, own_items, metadata = self.users.take(users), self.items.take(items), self.metadata.take(items)

        def renumbered(log: Interactions, superseded: Interactions | None) -> Interactions:
            return replace(
                log,
                user_num=user_rank[log.user_num],
                item_num=item_rank[log.item_num],
                users=own_users,
                items=own_items,
                metadata=metadata,
                superseded=superseded,
            )

        # A superseded event has the user and the item of the one that replaces it.
        return renumbered(self, None if self.superseded is None else renumbered(self.superseded, None))

    def matrix(self) -> sp.csr_matrix:
        """Return "users items" as a sparse float32 matrix of ones, duplicates merged, without dislikes and skips."""
        used = self.uses
        entries = np.ones(len(used), np.float32), used.item_num.copy(), used.indptr.copy()
        matrix = sp.csr_matrix(entries, shape=(self.n_users, self.n_items))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the columns and vocabularies: two logs with one fingerprint are the same log."""
        digest = hashlib.sha256()
        for column in (self.user_num, self.item_num, self.value, self.time):
            digest.update(np.ascontiguousarray(column).tobytes())
        for vocabulary in (self.users, self.items):
            digest.update("\x1f".join(map(str, vocabulary.ids)).encode())
        if self.kinds is not None:
            digest.update(np.ascontiguousarray(self.kinds).tobytes())
        if self.conditions is not None:
            digest.update(np.ascontiguousarray(self.conditions).tobytes() + "\x1f".join(self.condition_names).encode())
        if self.superseded is not None:
            digest.update(self.superseded.fingerprint.encode())
        return digest.hexdigest()


def check_log(log: object, caller: str) -> None:
    """Raise a ConfigError, with what makes a log of anything else, unless `log` is one."""
    if not isinstance(log, Interactions):
        raise ConfigError(
            f"{caller} needs a log, not {type(log).__name__}; read the log with load or read, make it of a DataFrame "
            "with recsys.from_pandas, or give the part `train` of a split"
        )


def _ranked(numbers: Ints, size: int) -> tuple[Ints, Items]:
    """Return ascending numbers below `size`, and the rank of each number among them; -1 for others."""
    ranks = np.full(size, -1, np.int32)
    ranks[numbers] = np.arange(len(numbers), dtype=np.int32)
    return numbers, ranks
