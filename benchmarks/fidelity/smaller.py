"""Are the sets of the reasons the smallest? All sets of one and two events are tried for a sample of items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Final, final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.explanations.deeds import may_be_reasons
from recsys.explanations.reasons.counterfactual import smallest_sets
from recsys.explanations.reasons.user_list import UserList
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Ints

EXHAUSTIVE: Final = 2
"""All sets of up to so many events are tried."""

_EVENTS: Final = 120
"""Items with more eligible events are left out and counted: their pairs are too many."""

_TOGETHER: Final = 256
"""Lists that are made again at a time."""


@final
@dataclass(frozen=True)
class Smaller:
    """What trying all small sets came to.

    Attributes:
        items: how many items were tried.
        left_out: items with too many events to try.
        with_set: items for which the search of the reasons finds a set, of any size.
        smaller: of those, how many have a set of fewer events, of at most `EXHAUSTIVE`.
        missed: items without a set that have one of at most `EXHAUSTIVE`.
    """

    items: int
    left_out: int
    with_set: int
    smaller: int
    missed: int

    @property
    def without_set(self) -> int:
        """For how many items the search finds none."""
        return self.items - self.with_set

    @property
    def cells(self) -> list[str]:
        """The counts as cells of a table."""
        return [
            f"{self.items}",
            f"{self.left_out}",
            f"{self.smaller} of {self.with_set}",
            f"{self.missed} of {self.without_set}",
        ]


HEADER = ["items", "left out", "have a smaller set", "have one, not found"]


def compare(model: Recommender, queries: Queries, items: int, length: int, seed: int = 0) -> Smaller:
    """Try all small sets for items of some users' lists, one item a user.

    Args:
        model: a fitted model that folds in.
        queries: the users.
        items: the most of them.
        length: of the lists.
        seed: of the draw of users and places.
    """
    rng = np.random.default_rng(seed)
    having = rng.permutation(np.flatnonzero(queries.history.sum(queries.counted) > 0))
    tried = left_out = with_set = smaller = missed = 0
    for row in having.tolist():
        if tried == items:
            break
        user_list = UserList.of(model, queries.take(np.asarray([row])), length)
        place = int(rng.integers(length))
        events = eligible_events(user_list, place)
        if not len(events):
            continue
        if len(events) > _EVENTS:
            left_out += 1
            continue
        (found,) = smallest_sets(user_list, [place], may_be_reasons(user_list.queries))
        tried += 1
        with_set += found is not None
        most = EXHAUSTIVE if found is None else min(EXHAUSTIVE, len(found) - 1)
        if exists(user_list, place, events, most):
            missed += found is None
            smaller += found is not None
    return Smaller(tried, left_out, with_set, smaller, missed)


def eligible_events(user_list: UserList, place: int) -> Ints:
    """Return the events that may be reasons of an item: of its owner, not rated low, and adding to its score."""
    item = user_list.items[None, [place]]
    with torch.inference_mode():
        added = as_fold_in(user_list.model, "a reason").contributions(user_list.queries, item).cpu().numpy()
    own = user_list.of_event == user_list.owners[place]
    allowed = own & may_be_reasons(user_list.queries) & user_list.queries.counted
    return np.flatnonzero(allowed & (added[:, 0] > 0))


def exists(user_list: UserList, place: int, events: Ints, most: int) -> bool:
    """Return whether the item leaves the list, made again by the model, without some set of at most `most` events."""
    past, item = user_list.queries.history.items, user_list.items[place]
    for size in range(1, most + 1):
        for sets in _batches(combinations(past[events].tolist(), size)):
            keep = (past[None, :, None] != np.asarray(sets)[:, None, :]).all(2)
            if (user_list.again(keep).items != item).all(1).any():
                return True
    return False


def _batches(sets: Iterator[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    while batch := list(islice(sets, _TOGETHER)):
        yield batch
