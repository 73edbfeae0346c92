"""The state of one user between answers: everything that stays the same until the history changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import UserFacts
from recsys.explanations.records import Explanation
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.linear.bounded_top_n import BoundedScores

_PERSONA_BYTES = 4_000
"""Of a described persona, approximately: its items and genres."""

_EXPLANATION_BYTES = 1_500
"""Of a recommended item with its evidence, approximately."""


@final
@dataclass(frozen=True, eq=False)
class CachedList:
    """The last list that was recommended to a user; with the same moment, n and corrections a new one is the same.

    Attributes:
        moment: the moment as of which the history was read, Unix seconds.
        now: the moment of the request, Unix seconds, from which the ages of the evidence count.
        n: the requested length.
        corrections: of personas, at that time.
        items: the list.
    """

    moment: int
    now: int
    n: int
    corrections: dict[int, Correction]
    items: tuple[Explanation, ...]


@final
@dataclass(eq=False)
class UserState:
    """What answers need of a user's history, valid at any moment until the history changes.

    Attributes:
        queries: the user as one query, as of any moment.
        facts: of the user, for explanations.
        cached_weights: the time-independent part of the decay weights; None for models that have none.
        bounded: scores of the history as of the last answer; None before that, and for models that are not linear.
        cached_list: the last list that excluded nothing but the history and the dismissed items.
    """

    queries: Queries
    facts: UserFacts
    cached_weights: CachedWeights | None = None
    bounded: BoundedScores | None = None
    cached_list: CachedList | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes, approximately."""
        bounded = 0 if self.bounded is None else self.bounded.nbytes
        items = 0 if self.cached_list is None else len(self.cached_list.items)
        return self._constant_size + bounded + _EXPLANATION_BYTES * items

    @cached_property
    def known_events(self) -> int:
        """How many events of the history have an item that the model knows."""
        return int((self.queries.history.items != UNKNOWN).sum())

    @cached_property
    def _constant_size(self) -> int:
        """Bytes of the parts that answers do not change."""
        queries, history = self.queries, self.facts.history
        arrays: tuple[npt.NDArray[Any], ...] = (queries.history.items, queries.values, queries.times)
        arrays += (queries.excluded.items, history.items, history.events, history.mask, history.weights)
        parts = (self.cached_weights, self.facts.sums)
        size = sum(array.nbytes for array in arrays) + sum(part.nbytes for part in parts if part is not None)
        return size + _PERSONA_BYTES * (1 + len(self.facts.personas[0]))
