"""Events from which a rule of forgetting can learn before the first question: what they are, and how they are judged.

::

    user a   ====== ==  ===| ?  ? ? ?        =  the judging model was fitted on it
    user b      ===   =====|   ?    x        ?  a lesson, asked with what is strictly earlier
                          cut                x  none: of an item that the user had used, or the judge does not know
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.models.base import Recommender
from recsys.types import Ints

_ENTRIES = 300_000
"""History events of a batch, at most (unless one history alone has more): about 50 MB for 13 half-lives."""


def newest_part(log: Interactions, share: float) -> npt.NDArray[np.bool_]:
    """Return "events": whether an event belongs to the newest share of the log.

    By time where times of users can be compared; otherwise the last ceil(share n) of each user's n events, but never
    the first one.
    """
    if log.has_time:
        cut = np.quantile(log.time, 1 - share, method="higher") if len(log) else 0
        return np.asarray(log.time >= cut) & (share > 0)
    length = np.diff(log.indptr)
    kept = np.minimum(np.ceil(share * length), np.maximum(length - 1, 0)).astype(np.int64)
    return np.asarray(np.arange(len(log)) >= (log.indptr[1:] - kept)[log.user_num])


def calibration_events(judge: Recommender, log: Interactions, late: npt.NDArray[np.bool_], most: int) -> Ints:
    """Return the positions, ascending, of the late events that a model can judge: at most `most` of them.

    Left out are events of items that the user had used before or the judge was not trained on, and those before which
    nothing is visible. Where there are too many, everybody's newest stay: all last ones, then the last but one ...

    Args:
        judge: fitted on a log with the vocabularies of `log`.
        log: the whole log.
        late: "events", which may be lessons.
        most: how many.
    """
    first_use = np.zeros(len(log), np.bool_)
    first_use[np.unique(log.user_num.astype(np.int64) * log.n_items + log.item_num, return_index=True)[1]] = True
    visible = _moments(log) > log.indptr[log.user_num]
    events = np.flatnonzero(late & first_use & visible & (judge.fitted_on.item_counts[log.item_num] > 0))
    per_user = np.cumsum(np.bincount(log.user_num[events], minlength=log.n_users))
    newness = per_user[log.user_num[events]] - np.arange(len(events))
    return np.sort(events[np.argsort(newness, kind="stable")[:most]])


def query_batches(log: Interactions, events: Ints) -> Iterator[tuple[slice, Queries]]:
    """Yield consecutive slices of events, each with the queries of what their users had done strictly before them."""
    moments = _moments(log)
    until = np.cumsum((moments - log.indptr[log.user_num])[events])
    begin = 0
    while begin < len(events):
        seen = until[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(until, seen + _ENTRIES, side="right")))
        rows = events[begin:end]
        yield slice(begin, end), _just_before(log, rows, moments[rows])
        begin = end


def _moments(log: Interactions) -> Ints:
    """ "events": position of the first event of the same user at the same time; all before it is strictly earlier."""
    new = np.ones(len(log), np.bool_)
    new[1:] = (log.user_num[1:] != log.user_num[:-1]) | (log.time[1:] != log.time[:-1])
    return np.asarray(np.maximum.accumulate(np.where(new, np.arange(len(log)), 0)), dtype=np.int64)


def _just_before(log: Interactions, events: Ints, moments: Ints) -> Queries:
    """Return what each event's user had done strictly before it."""
    users = log.user_num[events]
    begin = log.indptr[users]
    indptr = np.concatenate([[0], np.cumsum(moments - begin)]).astype(np.int64)
    position = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], np.diff(indptr))
    history = Ragged(indptr, log.item_num[position])
    return Queries(users, history, log.value[position], log.time[position], log.time[events])
