"""Splits a log into consecutive test windows, each predicted from everything before it."""

from __future__ import annotations

from collections.abc import Iterator

from recsys.data.interactions import Interactions
from recsys.data.splits.assembly import Minima, time_cuts
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import between_cuts, clock_error
from recsys.errors import ConfigError


def prequential_windows(
    log: Interactions,
    windows: int = 10,
    *,
    start: float = 0.5,
    min_user_events: int = 1,
    min_item_events: int = 1,
) -> Iterator[Split]:
    """Return one split per window; the test windows follow each other without gap to the end of the log.

    ::

        split 1   =============|v v|t t|            |        = train, v valid, t test
        split 2   ================ |v v|t t|        |        history of a query: everything before
        split 3   ==================== |v v|t t|    |        its window, training and validation
                             start                 end

    After `start` the events are cut into windows + 1 slices of about equal size. Split i trains before slice i,
    validates on slice i, and tests on slice i + 1. Splits are made lazily, so one is in memory at a time.

    Args:
        log: a log with clock "seconds" or "period".
        windows: number of splits.
        start: share of events before the first validation slice.
        min_user_events: minimum training events of a user, applied to each split.
        min_item_events: minimum training events of an item, applied to each split.

    Raises:
        ConfigError: no window, or a start outside (0, 1).
        DataError: times of different users cannot be compared, or there are fewer different times than slices.

    >>> log = Interactions.from_columns([1] * 8, range(8), times=range(8))
    >>> [int(split.test.queries.now[0]) for split in prequential_windows(log, 3)]
    [5, 6, 7]
    """
    if windows < 1:
        raise ConfigError(f"prequential: windows is {windows}; it must be at least 1")
    if not 0 < start < 1:
        raise ConfigError(f"prequential: start is {start}; it must lie between 0 and 1")
    if not log.has_time:
        raise clock_error(log, "prequential windows")
    width = (1 - start) / (windows + 1)
    cuts = time_cuts(log.every, [start + width * number for number in range(windows + 1)])
    minima = Minima(min_user_events, min_item_events)
    return (
        between_cuts(log, cut1, cut2, stop, "prequential", minima, f"window {number} of {windows}")
        for number, (cut1, cut2, stop) in enumerate(zip(cuts, cuts[1:], [*cuts[2:], None], strict=False), start=1)
    )
