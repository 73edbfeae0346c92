"""Do the reasons hold? The share of items with a "because", and whether each leaves the list without its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.queries import Queries
from recsys.explanations.reasons import explain_lists
from recsys.explanations.reasons.user_list import UserList
from recsys.explanations.records import Explanation
from recsys.models.base import Recommender

LENGTH: Final = 10
"""Of the lists that are explained."""


@final
@dataclass(frozen=True)
class Reasons:
    """What the reasons of some users' lists came to.

    Attributes:
        users, items: how many were explained.
        kinds: items by kind of reason.
        sizes: of the sets of the "because" sentences.
        certainty: their share of the positive evidence.
        dropped: how many of these items leave the list, made again by the model, without the set.
        owner_share: the owner's share of the positive evidence for each item that has an owner.
    """

    users: int
    items: int
    kinds: dict[str, int]
    sizes: tuple[int, ...]
    certainty: tuple[float, ...]
    dropped: int
    owner_share: tuple[float, ...]

    @property
    def cells(self) -> list[str]:
        """Share of items by kind, sets, and how many drop their item, as cells of a table."""
        because = len(self.sizes)
        none = "-"
        return [
            f"{self.users}",
            f"{because / max(1, self.items):.0%}",
            f"{self.kinds.get('taste', 0) / max(1, self.items):.0%}",
            f"{self.kinds.get('popular', 0) / max(1, self.items):.0%}",
            f"{np.median(self.sizes):g}" if because else none,
            f"{np.mean(self.certainty):.2f}" if because else none,
            f"{self.dropped} of {because}",
            f"{np.median(self.owner_share):.2f}" if self.owner_share else none,
        ]


HEADER = ["users", "because", "taste", "popular", "median set", "its evidence", "item leaves", "owner's evidence"]


def measure(model: Recommender, queries: Queries, users: int, seed: int = 0) -> Reasons:
    """Explain the lists of some users, and make each list again without the events of each reason.

    Args:
        model: a fitted model that folds in.
        queries: the users.
        users: the most of them.
        seed: of the draw.
    """
    having = np.flatnonzero(queries.history.sum(queries.counted) > 0)
    drawn = np.sort(np.random.default_rng(seed).choice(having, min(users, len(having)), replace=False))
    numbers = np.arange(model.n_items).tolist()  # numbers in place of external ids
    explained: list[Explanation] = []
    sizes: list[int] = []
    certainty: list[float] = []
    dropped = 0
    for row in drawn.tolist():
        user_list = UserList.of(model, queries.take(np.asarray([row])), LENGTH)
        items = explain_lists(user_list, numbers)[0]
        explained += items
        because = [one for one in items if one.reason_kind == "because"]
        if not because:
            continue
        history = user_list.queries.history.items
        keep = np.stack([~np.isin(history, np.asarray(one.without)) for one in because])
        again = user_list.again(keep).items
        dropped += sum(one.item_id not in listed.tolist() for one, listed in zip(because, again, strict=True))
        sizes += [len(one.without) for one in because]
        certainty += [one.certainty for one in because if one.certainty is not None]
    kinds = [one.reason_kind or "" for one in explained]
    return Reasons(
        len(drawn),
        len(explained),
        {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        tuple(sizes),
        tuple(certainty),
        dropped,
        tuple(one.owner_share for one in explained if one.owner_share is not None),
    )
