"""The list of one user together with how it was made, so that it can be made again without some of the events."""

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
from recsys.models.personas.ownership import PersonaOwners
from recsys.slates import Greedy, Pool, Slate
from recsys.types import Items, Mask

_BEYOND = 100
"""Best-scored items beside those that a slate chooses from: what may come into the list where events are missing."""


@final
@dataclass(frozen=True, eq=False)
class UserList:
    """A list and how it was made.

    Attributes:
        model: the model that scores, as `Recommender.read` gives it.
        queries: one query, as read; with weight 0 for events that must not count.
        listed: the list, one row.
        found: the user's personas; None for a model without.
        slate: what made the list; None for the best scores.
        muted, boosted: "1 K", controls of personas; None for none.
        evidence: the query with the evidence of muted personas; None where it is `queries`.
        found_names: "K", the names of the personas, where the caller has them.
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

    @property
    def items(self) -> Items:
        """ "n", the items of the list; `UNKNOWN` where it is shorter."""
        return np.asarray(self.listed.items[0])

    @cached_property
    def names(self) -> Sequence[TasteName | None]:
        """ "K", the name of each persona; none without personas."""
        if self.found is None or self.found_names is not None:
            return self.found_names or ()
        assert isinstance(self.model, WithPersonas)
        return names_of_found(self.model, self.queries, self.found)[0]

    @cached_property
    def of_event(self) -> Items:
        """ "events", the persona of each event; 0 for every event of a user without personas."""
        if self.found is None:
            return np.zeros(len(self.queries.history.items), np.int32)
        assert isinstance(self.model, WithPersonas)
        return self.found.personas.of_events(self.model.dictionary, self.queries)

    @cached_property
    def owners(self) -> Items:
        """ "n", the place of the persona that owns each item, below K; `UNKNOWN` for nobody; 0 without personas."""
        if self.found is None:
            return np.zeros(len(self.items), np.int32)
        if self.listed.owners is not None:
            return np.asarray(self.listed.owners[0])
        assert isinstance(self.model, WithPersonas)
        owners = self._owners(self.model, self.evidence or self.queries, 1)
        return np.asarray(owners.seating(np.zeros(1, np.int64), self.listed.items).owner[0])

    @cached_property
    def pool(self) -> Pool:
        """The candidates, best-scored first; more of them than the slate chooses from."""
        size = max(len(self.items), 0 if self.slate is None else self.slate.pool) + _BEYOND
        best = self.model.recommend(self.queries, min(size, self.model.n_items), slate=Greedy())
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
        owners = self._owners(self.model.holding(self.found), evidence, len(keep))
        return self.model.holding(self.found).recommend(queries, n, slate=self.slate, owners=owners)

    def _owners(self, model: Recommender, queries: Queries, count: int) -> PersonaOwners:
        """Return the owners of `count` queries of the user."""
        assert isinstance(model, WithPersonas)
        assert self.found is not None
        found = self.found if model is self.model and count == 1 else model.found(queries)
        muted, boosted = (None if one is None else np.repeat(one, count, axis=0) for one in (self.muted, self.boosted))
        return model.owners(queries, found, muted=muted, boosted=boosted)


def _weighted(queries: Queries, keep: Mask) -> Queries:
    """Return queries, one for each row of `keep`, with weight 0 for the events that are not kept."""
    weights = np.ones(keep.size, np.float32) if queries.weights is None else queries.weights
    return queries.with_weights(np.where(keep.ravel(), weights, 0.0).astype(np.float32))
