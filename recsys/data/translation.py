"""The numbers of a log's users and items in other vocabularies, usually those that a model was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.types import Items


@final
@dataclass(frozen=True, eq=False)
class Translation:
    """From the numbers of a log to those of other vocabularies, by external id.

    Both arrays end in `UNKNOWN`, so that the number `UNKNOWN` (-1) of the log stays unknown.

    Attributes:
        users: "users+1", int32, the number of each user of the log; `UNKNOWN` where the other vocabulary lacks the id.
        items: "items+1", int32, the same of each item.
    """

    users: Items
    items: Items

    @classmethod
    def of(cls, log: Interactions, users: Vocabulary, items: Vocabulary) -> Self:
        """Look up every user and item of a log."""
        end = np.int32(UNKNOWN)
        return cls(np.append(users.numbers(log.users.ids), end), np.append(items.numbers(log.items.ids), end))

    def with_users(self, queries: Queries) -> Queries:
        """Return queries whose history is translated already, with translated users."""
        return replace(queries, users=self.users[queries.users])
