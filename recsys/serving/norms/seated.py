"""A list of a user's personas under rules: what a slate would list, with as few changes as the rules need."""

from __future__ import annotations

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommendations
from recsys.policy.decide import Decision
from recsys.policy.seats import candidates
from recsys.serving.norms.rules import ListRules
from recsys.slates import Owners, Pool, Slate
from recsys.types import Doubles, Mask

_ONE = np.zeros(1, np.int64)


def seated_list(
    rules: ListRules, slate: Slate, owners: Owners, muted: Mask, scores: Doubles, n: int
) -> tuple[Decision, Recommendations]:
    """Let rules choose a list: as many as possible of those that the slate lists, in its order, then the best scores.

    The slate chooses among the candidates of the rules, and every persona keeps its seats as far as rules leave room.

    Args:
        rules: that bind the list.
        slate: seats the personas.
        owners: of items.
        muted: "1 K", personas whose items must not be listed.
        scores: "items"; -inf for items that must not be listed.
        n: length of the list.
    """
    values, bound, each, pool = rules.values(scores), rules.bound, n, max(n, slate.pool)
    listable = bound.available(values > -np.inf)
    while True:
        kept = candidates(bound, values, rules.order, each, pool)
        seating = owners.seating(_ONE, kept[None].astype(np.int32))
        owner = np.asarray(seating.owner[0], np.int64)
        free = (owner == UNKNOWN) | ~muted[0, np.maximum(owner, 0)]
        signature = bound.groups.signature[kept]
        found = np.bincount(signature[free], minlength=len(listable))
        # Where muted personas own the best of a signature, others may be further down.
        if ((found >= n) | (np.bincount(signature, minlength=len(listable)) == listable)).all():
            break
        each, pool = 4 * each, 4 * pool
    chosen = slate.choose(Pool(kept[None].astype(np.int32), values[kept][None].astype(np.float32), seating), n)[0]
    chosen = chosen[chosen != UNKNOWN]
    seats = dict(zip(*(part.tolist() for part in np.unique(owner[chosen], return_counts=True)), strict=True))
    finite = values[kept]
    span = float(np.ptp(finite)) if len(finite) and np.ptp(finite) > 0 else 1.0
    worth = values.copy()
    worth[kept[chosen]] = finite.max(initial=0.0) + span * (2 - np.arange(len(chosen)) / n)
    return rules.decide_seated(scores, worth, n, kept[free], owner[free], seats)
