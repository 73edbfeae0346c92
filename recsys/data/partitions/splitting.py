"""The global_time split of a partitioned log: the cuts of the whole log, and each part of it by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar, final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.partitions.log import PartitionedLog, opened
from recsys.data.sessions import PAUSE
from recsys.data.splits.assembly import check_fractions, increasing, learned_of, ranks_of
from recsys.data.splits.holdout import Split
from recsys.data.splits.names import Ask
from recsys.data.splits.standard import split_at
from recsys.errors import DataError
from recsys.types import Ints

Result = TypeVar("Result")
EachPart = Callable[[Callable[[int], Any]], Iterator[Any]]
"""Calls a function, which can be pickled, with the number of every part, and yields the results in that order."""

_BINS: Final = 1 << 16


@final
class Facts(NamedTuple):
    """What the training events of a part add to what is known of the training log.

    Attributes:
        users: "users", external ids.
        active: number of users with a use.
        events: number of events.
        occurring: "items" of the partitioned log, int64, events of each.
        uses: "items", int64, uses of each.
        people: "items", int64, users who used each.
    """

    users: npt.NDArray[Any]
    active: int
    events: int
    occurring: Ints
    uses: Ints
    people: Ints


@final
@dataclass(frozen=True, eq=False)
class PartitionedSplit:
    """A partitioned log, cut at the times at which the whole log would be.

    Attributes:
        directory: of the partitioned log.
        cut1, cut2: where validation and test begin.
        items: numbers of the items of training, ascending.
        ask, pause: see `recsys.data.splits.standard.split`.
    """

    directory: Path
    cut1: int
    cut2: int
    items: Ints
    ask: Ask | None = None
    pause: int = PAUSE

    @classmethod
    def of(
        cls,
        log: PartitionedLog,
        each: EachPart,
        *,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        ask: Ask | None = None,
        pause: int | None = None,
    ) -> tuple[Self, Facts]:
        """Find the cuts and the items of training, in three passes over the parts; of the first two only times.

        Returns:
            The split, and the facts of the whole training log, whose users are sorted.

        Raises:
            DataError: the log has no times, or too few different ones.
        """
        first, second, _ = check_fractions(fractions)
        if log.clock not in ("seconds", "period"):
            raise DataError(
                f"{log.name} has no times that can be compared between users (clock {log.clock!r}), and a partitioned "
                "log is split in time; train on the whole log"
            )
        cut1, cut2 = time_cuts(log, [first, first + second], each)
        facts = reduce(_added, each(partial(_facts, log.directory, cut1)))
        order = np.argsort(facts.users.astype(str) if facts.users.dtype == object else facts.users)
        items = np.flatnonzero(facts.occurring)
        return (
            cls(log.directory, cut1, cut2, items, ask, PAUSE if pause is None else pause),
            facts._replace(users=facts.users[order]),
        )

    def train(self, number: int) -> Interactions:
        """Read the training events of a part, with the items of training of all parts; ratings are not read."""
        return _train(self.directory, self.cut1, number).compact(self.items)

    def split(self, number: int) -> Split:
        """Read and split a part.

        What users made of the relevant items is left out, as it is told by how everybody rates.
        """
        log = opened(self.directory).part(number)
        cut = split_at(log, self.cut1, self.cut2, self.ask, self.pause, items=self.items)
        valid, test = (replace(part, values=None, kinds=None, scale=None) for part in (cut.valid, cut.test))
        return replace(cut, valid=valid, test=test)


def time_cuts(log: PartitionedLog, quantiles: Sequence[float], each: EachPart) -> list[int]:
    """Return what `recsys.data.splits.assembly.time_cuts` returns for the whole log, without sorting all its times.

    A first pass counts events in bins of time, a second one reads the times in those bins that hold a quantile.
    """
    first, last = log.span
    width = (last - first) // _BINS + 1
    until = np.cumsum(sum(each(partial(_histogram, log.directory, first, width))))
    ranks = ranks_of(log.events, quantiles)
    bins = sorted({int(np.searchsorted(until, rank, side="right")) for rank in ranks})
    within = np.sort(np.concatenate(list(each(partial(_within, log.directory, first, width, bins)))))
    counts = np.diff(until, prepend=0)[bins]
    before = until[bins] - counts
    starts = np.cumsum(counts) - counts
    times = []
    for rank in ranks:
        place = int(np.searchsorted(before, rank, side="right")) - 1
        times.append(int(within[starts[place] + rank - before[place]]))

    def later(time: int) -> int | None:
        found = [each_later for each_later in each(partial(_later, log.directory, time)) if each_later is not None]
        return min(found, default=None)

    return increasing(times, first, later, log.name)


def _histogram(directory: Path, first: int, width: int, number: int) -> Ints:
    return np.bincount((opened(directory).times(number) - first) // width, minlength=_BINS)


def _within(directory: Path, first: int, width: int, bins: Sequence[int], number: int) -> Ints:
    times = opened(directory).times(number)
    return times[np.isin((times - first) // width, bins)]


def _later(directory: Path, time: int, number: int) -> int | None:
    times = opened(directory).times(number)
    after = times[times > time]
    return int(after.min()) if len(after) else None


def _train(directory: Path, cut: int, number: int) -> Interactions:
    log = opened(directory)
    return learned_of(log.part(number, cut, values=False), last_counts=log.has_superseded)


def _facts(directory: Path, cut: int, number: int) -> Facts:
    train = _train(directory, cut, number)
    uses = train.uses
    people = np.bincount(train.matrix().indices, minlength=train.n_items)
    occurring, used = (np.bincount(log.item_num, minlength=log.n_items).astype(np.int64) for log in (train, uses))
    active = int((np.diff(uses.indptr) > 0).sum())
    users = train.users.ids[np.flatnonzero(np.bincount(train.user_num, minlength=train.n_users))]
    return Facts(users, active, len(train), occurring, used, people.astype(np.int64))


def _added(one: Facts, other: Facts) -> Facts:
    return Facts(
        np.concatenate([one.users, other.users]),
        one.active + other.active,
        one.events + other.events,
        one.occurring + other.occurring,
        one.uses + other.uses,
        one.people + other.people,
    )
