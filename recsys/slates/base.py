"""What a slate chooses from: a pool of scored candidates, who owns them, and how much each owner is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from recsys.errors import ConfigError
from recsys.types import Doubles, Floats, Ints, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class Content:
    """What the candidates of a batch of queries are about, in labels such as genres.

    Attributes:
        parts: "queries pool labels": the part of each candidate that is about a label; rows sum to 1, or to 0.
        shares: "queries labels": the same of the query's history.
    """

    parts: Doubles
    shares: Doubles


@final
@dataclass(frozen=True, eq=False)
class Seating:
    """Who owns the candidates of a batch of queries.

    Attributes:
        owner: "queries pool", int32: the owner (a persona, a group) of each candidate; `UNKNOWN` for nobody.
        shares: "queries owners": the part of the list that each owner is due; rows sum to 1, or to 0 without owners.
        boosted: "queries owners": due twice the seats that they would have; None for none.
        muted: "queries owners": their candidates must not be listed; None for none.
        content: what the candidates are about; None where nothing is known of them.
        trust: "queries", in [0, 1]: how far the shares are to be believed; None: fully.
    """

    owner: Items
    shares: Doubles
    boosted: Mask | None = None
    muted: Mask | None = None
    content: Content | None = None
    trust: Doubles | None = None


class Owners(ABC):
    """Knows who owns which item for some queries."""

    @abstractmethod
    def seating(self, rows: Ints, items: Items) -> Seating:
        """Return who owns some candidates.

        Args:
            rows: "rows", positions in the queries that `recommend` was given.
            items: "rows pool", item numbers; `UNKNOWN` where there is no candidate.
        """


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates of a batch of queries.

    Attributes:
        items: "queries pool", best score first; `UNKNOWN` where there are fewer.
        scores: "queries pool", float32; -inf where there is no item.
        seating: who owns them; None where the slate does not ask.
    """

    items: Items
    scores: Floats
    seating: Seating | None = None

    @property
    def owned(self) -> Seating:
        """Who owns the candidates.

        Raises:
            ConfigError: nobody was asked.
        """
        if self.seating is None:
            raise ConfigError("this slate needs owners: give recommend(..., owners=PersonaOwners(...)), or use Greedy")
        return self.seating


class Slate(ABC):
    """Makes a list of a pool of candidates. A frozen dataclass of settings."""

    @property
    @abstractmethod
    def pool(self) -> int:
        """Number of best-scored candidates from which to choose, at least the length of the list."""

    @abstractmethod
    def choose(self, pool: Pool, n: int) -> Ints:
        """Return the list, "queries n": positions in the pool, best first; `UNKNOWN` where there are fewer.

        Candidates without item and those of muted owners are never chosen, others at most once.
        """

    @abstractmethod
    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        """Return what each candidate is worth for the seat of each listed one, "queries n pool", in units of score.

        The others keep their seats. A listed candidate falls out, but for what its fall changes for the others, where
        candidates that are not listed are worth more than it for its seat; -inf where there is no item. It tells which
        changes of scores may matter; the list itself is made by `choose`.

        Args:
            pool: the candidates.
            chosen: the result of `choose`.
        """
