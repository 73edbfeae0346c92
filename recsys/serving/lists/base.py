"""What makes a list for one user, and the list with its shelves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from recsys.data.queries import Queries
from recsys.events.store import Correction
from recsys.explanations import Explanation
from recsys.serving.records import Shelf
from recsys.serving.users.state import UserState


@final
@dataclass(frozen=True)
class Listed:
    """A list with its explanations.

    Attributes:
        items: best first.
        shelves: see `RecommendationList`.
    """

    items: tuple[Explanation, ...]
    shelves: tuple[Shelf, ...]


class ListMaker(ABC):
    """Makes explained lists of a fitted model."""

    @abstractmethod
    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        """Return those of a user's corrections that may change a list: of this model, and not without effect."""

    @abstractmethod
    def make(
        self, queries: Queries, moment: int, state: UserState, n: int, corrections: dict[int, Correction]
    ) -> Listed:
        """Return a new list for one user.

        Args:
            queries: the user at the moment of the request, from which ages count.
            moment: the moment as of which the history is read, Unix seconds.
            state: of the user; it may keep what saves work the next time.
            n: length of the list.
            corrections: of personas, see `acting`.
        """
