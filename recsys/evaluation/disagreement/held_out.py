"""The last part of each user's ratings as pairs, for models whose users are learned.

ratings of u   1 2 3 4 5 6 | 7 | 8 9 10     60% training, 10% validation, 30% test; leaks time between users
a test pair has both items in the last part, so that no model has seen either
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from recsys.data.interactions import Interactions
from recsys.data.pairs import Pairs, pairs_of
from recsys.errors import DataError
from recsys.models.base import Recommender, Validate
from recsys.types import Doubles, Mask

_TRAIN, _VALID = 0.6, 0.7
_USERS = 512


@final
@dataclass(frozen=True, eq=False)
class HeldOut:
    """Training log and pairs of later ratings.

    Attributes:
        train: the first 60% of each user's events, with all vocabularies.
        valid: pairs of the next 10%.
        test: pairs of the last 30%.
    """

    train: Interactions
    valid: Pairs
    test: Pairs

    @classmethod
    def of(cls, log: Interactions, window: float = 20, cap: int | None = None, seed: int = 0) -> HeldOut:
        """Cut every user's events by their order; see `recsys.data.pairs.pairs_of` for the pairs.

        Raises:
            DataError: no two ratings differ, or no pair is left in a part.
        """
        place = (log.positions + 0.5) / np.diff(log.indptr)[log.user_num]
        parts = [place < _TRAIN, (place >= _TRAIN) & (place < _VALID), place >= _VALID]
        train = log.select(parts[0])
        known = np.zeros((2, max(log.n_users, log.n_items)), np.bool_)
        known[0, train.user_num] = True
        known[1, train.item_num] = True
        valid, test = (_known(pairs_of(log.select(part), window, cap=cap, seed=seed), known) for part in parts[1:])
        if len(valid) == 0 or len(test) == 0:
            raise DataError(f"{log.name}: no user has two different late ratings of known items; use a larger log")
        return cls(train, valid, test)

    def validator(self) -> Validate:
        """Return the accuracy on the validation pairs, for early stopping."""
        return lambda model: float((margins(model, self.train, self.valid) > 0).mean())


def _known(pairs: Pairs, known: Mask) -> Pairs:
    return pairs.take(known[0, pairs.user] & known[1, pairs.winner] & known[1, pairs.loser])


@torch.inference_mode()
def margins(model: Recommender, visible: Interactions, pairs: Pairs) -> Doubles:
    """Return "pairs": s(winner) - s(loser), by the visible log alone.

    Args:
        model: fitted on the vocabularies of `visible`.
        visible: the histories.
        pairs: sorted by user.
    """
    found = np.zeros(len(pairs))
    users, start = np.unique(pairs.user, return_index=True)
    stops = np.append(start[1:], len(pairs))
    for begin in range(0, len(users), _USERS):
        block = users[begin : begin + _USERS]
        inside = slice(int(start[begin]), int(stops[min(begin + _USERS, len(users)) - 1]))
        scores = model.score(model.fitted_on.queries(visible, block)).numpy()
        row = np.searchsorted(block, pairs.user[inside])
        winner, loser = scores[row, pairs.winner[inside]], scores[row, pairs.loser[inside]]
        found[inside] = winner.astype(np.float64) - loser
    return found
