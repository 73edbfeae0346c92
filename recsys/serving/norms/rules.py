"""The rules that bind one list, and a list under them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommendations, Recommender
from recsys.policy.binding import BoundPolicy
from recsys.policy.decide import Decision, decide
from recsys.policy.seats import decide_seated
from recsys.serving.norms.ruled import known
from recsys.serving.users.state import excluding
from recsys.types import Doubles, Ints, Items


@final
@dataclass(frozen=True, eq=False)
class ListRules:
    """The rules that bind one list.

    Attributes:
        bound: the policy for lists of this length.
        order: "items", rank of each item among equal scores.
        key: the same for the same rules.
    """

    bound: BoundPolicy
    order: Ints
    key: Hashable

    @cached_property
    def removed(self) -> Items:
        """Numbers of the items that must not be listed, ascending."""
        return np.flatnonzero(self.bound.removed).astype(np.int32)

    @cached_property
    def prefers(self) -> bool:
        """Whether scores are changed at all."""
        return any(bool(added.any()) for _, added in self.bound.preferences)

    def without(self, rules: frozenset[str]) -> ListRules:
        """Return the rules without some."""
        return replace(self, bound=self.bound.without(rules), key=(self.key, rules))

    def keeps(self, listed: Recommendations) -> bool:
        """Return whether a list is what the rules would make of it: it breaks none, and none prefers another."""
        items = np.asarray(known(listed.items), np.int64)
        return not (self.prefers or self.bound.removed[items].any() or self.bound.groups.broken(items))

    def allowed(self, queries: Queries) -> Queries:
        """Return one query whose list must not have what the rules remove, either."""
        return excluding(queries, self.removed) if len(self.removed) else queries

    def within_bounds(self, items: Sequence[int]) -> list[int]:
        """Return the items of a shelf that keep all upper bounds, the first ones first."""
        groups, kept = self.bound.groups, list[int]()
        counts, high = np.zeros(len(groups), np.int64), np.asarray([each.high for each in groups.bounds], np.int64)
        for item in items:
            after = counts + groups.has[groups.signature[item]]
            if (after <= high).all():
                kept.append(item)
                counts = after
        return kept

    def scores(self, model: Recommender, queries: Queries) -> Doubles:
        """Return "items": the scores of one query; -inf for what must not be listed."""
        with torch.inference_mode():
            scores = model.score(queries)[0].double().cpu().numpy().copy()
        excluded = queries.excluded.items
        scores[excluded[excluded >= 0]] = -np.inf
        return scores

    def values(self, scores: Doubles) -> Doubles:
        """Return scores with what preferences add."""
        finite = scores > -np.inf
        if not self.prefers or not finite.any():
            return scores
        return np.asarray(scores + self.bound.bonus * np.ptp(scores[finite]))

    def decide(self, scores: Doubles, n: int) -> tuple[Decision, Recommendations]:
        """Return the best list by scores."""
        decision = decide(self.bound, scores, self.order, n)
        return decision, _recommendations(decision, scores, n, {})

    def decide_seated(
        self, scores: Doubles, worth: Doubles, n: int, kept: Ints, owner: Ints, seats: Mapping[int, int]
    ) -> tuple[Decision, Recommendations]:
        """Return the list that is worth most, with seats, see `recsys.policy.seats.decide_seated`, and its owners."""
        decision = decide_seated(self.bound, worth, self.order, n, kept, owner, seats)
        owners = dict(zip(kept.tolist(), owner.tolist(), strict=True))
        return decision, _recommendations(decision, scores, n, owners)


def _recommendations(decision: Decision, scores: Doubles, n: int, owners: Mapping[int, int]) -> Recommendations:
    length = len(decision.items)
    items, own = np.full((1, n), UNKNOWN, np.int32), np.full((1, n), UNKNOWN, np.int32)
    worth = np.full((1, n), -np.inf, np.float32)
    items[0, :length] = decision.items
    worth[0, :length] = scores[list(decision.items)]
    own[0, :length] = [owners.get(item, UNKNOWN) for item in decision.items]
    return Recommendations(items, worth, own)
