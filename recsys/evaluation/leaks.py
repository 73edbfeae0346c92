"""Refuses questions whose answers a model may have seen, or whose numbers mean other users and items."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.models.base import Recommender

_TABLE = 32_000_000
"""Pairs of users and items looked up at a time."""

SHOWN = 12
"""Digits of a fingerprint that messages show."""


def check_unseen(model: Recommender, holdout: Holdout, train: Interactions) -> None:
    """Raise unless the model was fitted on the training log, and the questions ask for nothing in it.

    A model without a fingerprint of its log, as bundles of other tools may hold, is recognised by its users and items.

    Raises:
        DataError: the model was fitted on another log, the questions belong to another one, or relevant items are
            events of the training log. The message names both fingerprints and the cure.
    """
    fitted, own = model.fitted_on, train.fingerprint
    name = type(model).__name__
    same = fitted.users == train.users and fitted.items == train.items and fitted.fingerprint in ("", own)
    if not same:
        raise DataError(
            f"{name} was fitted on {fitted.dataset!r} (fingerprint {fitted.fingerprint[:SHOWN] or 'unknown'}: "
            f"{len(fitted.users)} users, {len(fitted.items)} items), not on the training log {train.name!r} "
            f"({own[:SHOWN]}: {train.n_users} users, {train.n_items} items), so it may have learned from the answers; "
            "fit it on that part, as in train(split, ...), or evaluate it with the split that it was fitted on"
        )
    if holdout.fingerprint not in (None, own):
        raise DataError(
            f"the questions are those of another training log (fingerprint {holdout.fingerprint[:SHOWN]}) than "
            f"{train.name!r} ({own[:SHOWN]}); evaluate with the training log of their own split"
        )
    if seen := _seen(holdout, train):
        raise DataError(
            f"{seen} of {len(holdout.relevant.items)} relevant items are events of the same users in the training log "
            f"{train.name!r} ({own[:SHOWN]}), so the model has learned from the answers; hold out events that it was "
            "not fitted on or, if the task is to use items again, say so with Holdout(..., repeats=True)"
        )


def _seen(holdout: Holdout, train: Interactions) -> int:
    """Return how many relevant items their user, whom the number or else the id names, has in the training log."""
    if holdout.repeats:
        return 0
    users = holdout.queries.users
    if holdout.fingerprint is None:  # made by hand, so that a user without a number may be one of training
        users = np.where(users == UNKNOWN, train.users.numbers(holdout.user_ids), users)
    known = np.flatnonzero(users != UNKNOWN)
    log, seen = Ragged(train.indptr, train.item_num), 0
    for start in range(0, len(known), size := max(1, _TABLE // max(1, train.n_items))):
        rows = known[start : start + size]
        asked, learned = holdout.relevant.take(rows), log.take(users[rows])
        table = np.zeros(len(rows) * train.n_items, np.bool_)
        table[learned.rows * train.n_items + learned.items] = True
        seen += int(table[(asked.rows * train.n_items + asked.items)[asked.items != UNKNOWN]].sum())
    return seen
