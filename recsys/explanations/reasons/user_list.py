"""Lists of users together with how they were made, so that they can be made again without some of the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.explanations.found import names_of_found
from recsys.models.base import Recommendations, Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import TasteName
from recsys.slates import Greedy, Pool, Slate
from recsys.types import Items, Mask

_BEYOND = 100
"""Best-scored items beside those that a slate chooses from: what may come into the list where events are missing."""


@final
@dataclass(frozen=True, eq=False)
class UserList:
    """A list and how it was made; or several, of which `row` gives each: what is said of "the" list is of one.

    Attributes:
        model: the model that scores, as `Recommender.read` gives it.
        queries: one query for each list, as read; with weight 0 for events that must not count.
        listed: the lists.
        found: the users' personas; None for a model without.
        slate: what made the lists; None for the best scores.
        muted, boosted: "queries K", controls of personas; None for none.
        evidence: the queries with the evidence of muted personas; None where it is `queries`.
        found_names: "K", the names of the personas of one user, where the caller has them.
        wide: the best-scored items, more than are listed, where the caller has them.
    """

    model: Recommender
    queries: Queries
    listed: Recommendations
    found: FoundPersonas | None = None
    slate: Slate | None = None
    muted: Mask | None = None
    boosted: Mask | None = None
    evidence: Queries | None = None
    found_names: Sequence[TasteName | None] | None = None
    wide: Recommendations | None = None

    @classmethod
    def of(cls, model: Recommender, queries: Queries, n: int, listed: Recommendations | None = None) -> Self:
        """Return the list that `model.recommend(queries, n)` makes for one query.

        Args:
            model: a fitted model that folds in.
            queries: one query, as it is asked.
            n: length of the list.
            listed: the result of `recommend`, where there is one already.
        """
        as_fold_in(model, "to say without which events an item would leave the list")
        found = model.found(queries) if isinstance(model, WithPersonas) else None
        slate = model.chosen_slate if isinstance(model, WithPersonas) else None
        read = model.read(queries)
        return cls(read.model, read.queries, listed or model.recommend(queries, n), found, slate)

    def __len__(self) -> int:
        return len(self.queries)

    def row(self, row: int) -> UserList:
        """Return one of the lists."""
        if len(self) == 1:
            return self
        one = np.asarray([row])
        muted, boosted = (None if control is None else control[one] for control in (self.muted, self.boosted))
        return UserList(
            self.model,
            self.queries.take(one),
            self.listed.take(one),
            None if self.found is None else self.found.take(one),
            self.slate,
            muted,
            boosted,
            None if self.evidence is None else self.evidence.take(one),
            self.names_of_each[row],
            Recommendations(self.pool.items[one], self.pool.scores[one]),
        )

    @property
    def items(self) -> Items:
        """ "n", the items of the list; `UNKNOWN` where it is shorter."""
        return np.asarray(self.listed.items[0])

    @property
    def names(self) -> Sequence[TasteName | None]:
        """ "K", the name of each persona; none without personas."""
        return self.names_of_each[0]

    @cached_property
    def names_of_each(self) -> Sequence[Sequence[TasteName | None]]:
        """ "queries K", the name of each persona of each user; none without personas."""
        if self.found_names is not None:
            return [self.found_names]
        if self.found is None:
            return [()] * len(self)
        assert isinstance(self.model, WithPersonas)
        return names_of_found(self.model, self.queries, self.found)

    @cached_property
    def of_event(self) -> Items:
        """ "events", the persona of each event; 0 for every event of a user without personas."""
        if self.found is None:
            return np.zeros(len(self.queries.history.items), np.int32)
        assert isinstance(self.model, WithPersonas)
        return self.found.personas.of_events(self.model.dictionary, self.queries)

    @property
    def owners(self) -> Items:
        """ "n", the place of the persona that owns each item, below K; `UNKNOWN` for nobody; 0 without personas."""
        return np.asarray(self.owners_of_each[0])

    @cached_property
    def owners_of_each(self) -> Items:
        """ "queries n", the owners of the items of each list."""
        if self.found is None:
            return np.zeros(self.listed.items.shape, np.int32)
        if self.listed.owners is not None:
            return self.listed.owners
        assert isinstance(self.model, WithPersonas)
        evidence = self.evidence or self.queries
        owners = self.model.owners(evidence, self.found, muted=self.muted, boosted=self.boosted)
        return owners.seating(np.arange(len(self)), self.listed.items).owner

    @cached_property
    def pool(self) -> Pool:
        """The candidates, best-scored first; more of them than the slate chooses from."""
        size = max(self.listed.items.shape[1], 0 if self.slate is None else self.slate.pool) + _BEYOND
        best = self.wide or self.model.recommend(self.queries, min(size, self.model.n_items), slate=Greedy())
        return Pool(best.items, best.scores)

    def again(self, keep: Mask) -> Recommendations:
        """Make the list again with only some of the events, by the model itself.

        The others have weight 0, and all else is held: every event keeps its persona, its weight, and the preference
        that its rating is read as. What was seen is not listed, whether it is kept or not.

        Args:
            keep: "lists events".

        Returns:
            One list for each row.
        """
        several, n = np.zeros(len(keep), np.int64), len(self.items)
        queries = _weighted(self.queries.take(several), keep)
        if self.found is None:
            return self.model.recommend(queries, n, slate=self.slate, batch_size=max(1, len(keep)))
        assert isinstance(self.model, WithPersonas)
        evidence = queries if self.evidence is None else _weighted(self.evidence.take(several), keep)
        model = self.model.holding(self.found)
        muted, boosted = (None if one is None else one[several] for one in (self.muted, self.boosted))
        owners = model.owners(evidence, self.found.take(several), muted=muted, boosted=boosted)
        return model.recommend(queries, n, slate=self.slate, owners=owners)


def _weighted(queries: Queries, keep: Mask) -> Queries:
    """Return queries, one for each row of `keep`, with weight 0 for the events that are not kept."""
    weights = np.ones(keep.size, np.float32) if queries.weights is None else queries.weights
    return queries.with_weights(np.where(keep.ravel(), weights, 0.0).astype(np.float32))
