"""What a slate chooses from: a pool of scored candidates, who owns them, and how much each owner is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.types import Doubles, Floats, Ints, Items, Mask

_AT_ONCE: Final = 64
"""Users for whom a slate chooses at a time."""

_POWERS: Final = 500
"""Labels whose powers of 4 are all finite."""


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

    def take(self, rows: slice, size: int | None = None) -> Content:
        """Return the content of some queries, of their first `size` candidates; of all if None."""
        return Content(self.parts[rows, :size], self.shares[rows])

    @property
    def home(self) -> Items:
        """ "queries pool", int32: the label of each candidate of which the history holds most; `UNKNOWN` for none."""
        labels = self.parts.shape[2]
        if not labels:
            return np.full(self.parts.shape[:2], UNKNOWN, np.int32)
        if labels > _POWERS:
            held = np.where(self.parts > 0, self.shares[:, None], -1.0)
            return np.where(held.max(2) >= 0, held.argmax(2), UNKNOWN).astype(np.int32)
        # Each label is worth more than four thirds of all with smaller shares, so the exponent of a sum of powers of 4
        # tells the largest; a quarter of the time of an argmax over the last axis.
        order = np.argsort(-self.shares, axis=1, kind="stable")
        place = np.argsort(order, axis=1)
        sums = ((self.parts > 0).astype(np.float64) @ np.ldexp(1.0, 2 * (labels - 1 - place))[:, :, None])[:, :, 0]
        first = labels - 1 - (np.frexp(sums)[1] - 1) // 2
        home = np.take_along_axis(order, np.minimum(first, labels - 1), 1)
        return np.where(sums > 0, home, UNKNOWN).astype(np.int32)


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
        popularity: how popular the candidates and the history are: head, middle, tail; None where it is not known.
    """

    owner: Items
    shares: Doubles
    boosted: Mask | None = None
    muted: Mask | None = None
    content: Content | None = None
    trust: Doubles | None = None
    popularity: Content | None = None

    def take(self, rows: slice, size: int | None = None) -> Seating:
        """Return the seating of some queries, of their first `size` candidates; of all if None."""
        boosted, muted = (None if part is None else part[rows] for part in (self.boosted, self.muted))
        trust = None if self.trust is None else self.trust[rows]
        content, popularity = (
            None if part is None else part.take(rows, size) for part in (self.content, self.popularity)
        )
        return Seating(self.owner[rows, :size], self.shares[rows], boosted, muted, content, trust, popularity)


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

    def take(self, rows: slice, size: int | None = None) -> Pool:
        """Return the first `size` candidates of some queries; all of them if None."""
        seating = None if self.seating is None else self.seating.take(rows, size)
        return Pool(self.items[rows, :size], self.scores[rows, :size], seating)

    def listed(self, chosen: Ints) -> Items:
        """Return the items of a list, "queries n", given the result of `Slate.choose`."""
        return np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(self.items, np.maximum(chosen, 0), 1))

    @property
    def present(self) -> Mask:
        """ "queries pool": whether there is a candidate."""
        return np.asarray(self.items != UNKNOWN)

    @property
    def allowed(self) -> Mask:
        """ "queries pool": whether there is a candidate whose owner is not muted."""
        seating = self.seating
        if seating is None or seating.muted is None or not seating.muted.shape[1]:
            return self.present
        of_muted = np.take_along_axis(seating.muted, np.maximum(seating.owner, 0), 1) & (seating.owner != UNKNOWN)
        return np.asarray(self.present & ~of_muted)

    @property
    def owned(self) -> Seating:
        """Who owns the candidates.

        Raises:
            ConfigError: nobody was asked.
        """
        if self.seating is None:
            raise ConfigError("this slate needs owners: give recommend(..., owners=PersonaOwners(...)), or use Greedy")
        return self.seating

    @property
    def about(self) -> Content:
        """What the candidates are about.

        Raises:
            ConfigError: nobody knows.
        """
        if self.owned.content is None:
            raise ConfigError("this slate needs the labels of items, such as genres; wrap the model in Slated")
        return self.owned.content

    @property
    def popular(self) -> Content:
        """How popular the candidates are.

        Raises:
            ConfigError: nobody knows.
        """
        if self.owned.popularity is None:
            raise ConfigError("this slate needs the popularity of items; wrap the model in Slated or WithPersonas")
        return self.owned.popularity


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


class SizedSlate(Slate):
    """A slate whose number of candidates is a setting.

    It chooses for few users at a time, so that what it computes of their candidates stays in the cache.
    """

    size: int

    @property
    @final
    def pool(self) -> int:
        return self.size

    @final
    def choose(self, pool: Pool, n: int) -> Ints:
        chosen = np.full((len(pool.items), n), UNKNOWN, np.int64)
        for start in range(0, len(chosen), _AT_ONCE):
            few = slice(start, start + _AT_ONCE)
            chosen[few] = self._choose(pool.take(few), n)
        return chosen

    @abstractmethod
    def _choose(self, pool: Pool, n: int) -> Ints:
        """See `choose`."""
