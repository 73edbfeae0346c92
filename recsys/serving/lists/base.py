"""What makes lists for a user and tells of the user's personas, and its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from recsys.data.queries import Queries
from recsys.events.store import Correction
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.records import Persona, UnmatchedCorrection
from recsys.serving.users.state import Listed, UserState

SEARCHED: Final = 20
"""Items of a list for which events are searched without which they would leave it; of the others it is told what speaks
for them most."""


@final
@dataclass(frozen=True)
class ToldPersonas:
    """The personas of a user, see `recsys.serving.records.Personas`."""

    times: tuple[int, ...]
    personas: tuple[Persona, ...]
    unmatched: tuple[UnmatchedCorrection, ...]


class ListMaker(ABC):
    """Makes explained lists of a fitted model, under the corrections of the user's personas."""

    @property
    @abstractmethod
    def stored_under(self) -> str:
        """The model that corrections are stored with; those with another one are of other personas."""

    @abstractmethod
    def check(self, persona: int, correction: Correction) -> None:
        """Raise unless the model has this persona and can honour the correction; see `Answers.check_correction`."""

    @abstractmethod
    def check_user(self, persona: int, state: UserState, corrections: Mapping[int, Correction]) -> None:
        """Raise unless a user, with these corrections, has the persona; see `Answers.check_correction`."""

    @abstractmethod
    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        """Return those of a user's corrections that may change a list: of this model, and not without effect."""

    @abstractmethod
    def of_persona(
        self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction], persona: int
    ) -> Queries:
        """Return one user's query without the items that a persona does not own.

        Args:
            queries: the user.
            moment: the moment as of which the history is read, Unix seconds.
            state: of the user.
            corrections: of personas, those of other models included.
            persona: public number.

        Raises:
            UnknownError: the user has no such persona, or muted it.
            CapabilityError: personas of this model own no items.
        """

    @abstractmethod
    def heard(self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction]) -> Queries:
        """Return one user's query without what the corrections mute: its events do not count, its items are excluded.

        Args: see `of_persona`.
        """

    @abstractmethod
    def make(
        self,
        queries: Queries,
        moment: int,
        state: UserState,
        n: int,
        corrections: dict[int, Correction],
        *,
        details: bool,
        rules: ListRules | None = None,
    ) -> Listed:
        """Return a new list for one user.

        Args:
            queries: the user at the moment of the request, from which ages count.
            moment: the moment as of which the history is read, Unix seconds.
            state: of the user; it may keep what saves work the next time.
            n: length of the list.
            corrections: of personas, see `acting`.
            details: whether events are searched without which items would leave the list; else `Listed.rest` does it.
            rules: that bind the list; a list that quotas or preferences chose is told without searched reasons.
        """

    @abstractmethod
    def choose(
        self,
        queries: Queries,
        moment: int,
        state: UserState,
        n: int,
        corrections: dict[int, Correction],
        rules: ListRules,
    ) -> Ruled:
        """Return the items that `make` would list under some rules."""

    @abstractmethod
    def personas(self, queries: Queries, state: UserState, corrections: Mapping[int, Correction]) -> ToldPersonas:
        """Return the personas of one user at the moment of the queries.

        Args:
            queries: the user.
            state: of the user.
            corrections: of personas, those of other models included.
        """
