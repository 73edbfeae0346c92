"""Questions about the events of a grown log that are later than all that a run has read."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits.assembly import Marks, questions_of
from recsys.data.splits.holdout import Holdout
from recsys.errors import DataError


def later_questions(log: Interactions, train: Interactions, until: int) -> Holdout:
    """Return one question for every user of a grown log with an event after `until`, asked one unit after it.

    ::

        user a   == == vv t .|  t            | until: nothing at or before it is asked, all of it is visible
        user b     ===  v  t |    t t
        user c               | t             a user who came later: without history

    Args:
        log: the grown log.
        train: the training log, whose numbers the questions have.
        until: the time of the last event that is not asked.

    Raises:
        DataError: no event is later.
    """
    early = log.time <= until
    if early.all():
        raise DataError(f"{log.name}: none of its {len(log)} events is later than {until}; add the events since")
    return questions_of(log, train, Marks(~early, early, np.full(log.n_users, until + 1, np.int64)))
