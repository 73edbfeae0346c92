"""What candidates are worth for a seat: what does not change, and what the seats that are taken change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.slates.base import Content
from recsys.types import Doubles, Ints


@final
@dataclass(frozen=True, eq=False)
class Calibration:
    """What candidates are about, and how much it counts that the list is about the same as the history.

    Attributes:
        parts: "queries pool labels"; of one query where all have the same candidates.
        shares: "queries labels".
        squares: "queries pool", or of one query: |a_i|^2.
        pull: "queries 1".
    """

    parts: Doubles
    shares: Doubles
    squares: Doubles
    pull: Doubles

    @classmethod
    def of(cls, mixtures: Sequence[tuple[Content, float]], trust: Doubles) -> Calibration:
        """Return that of one mixture or several, each with its weight, as one.

        Args:
            mixtures: what candidates are about; a history about nothing counts nothing.
            trust: "queries 1".
        """
        if len(mixtures) == 1:
            content, weight = mixtures[0]
            pull = trust * weight * content.shares.any(1, keepdims=True)
            own = content.parts[:1] if _are_shared(content.parts) else content.parts
            return cls(own, content.shares, (own**2).sum(2), pull)
        known = [np.sqrt(weight) * content.shares.any(1, keepdims=True) for content, weight in mixtures]
        parts = [content.parts * root[:, :, None] for (content, _), root in zip(mixtures, known, strict=True)]
        shares = [content.shares * root for (content, _), root in zip(mixtures, known, strict=True)]
        joined = np.concatenate(parts, axis=2)
        return cls(joined, np.concatenate(shares, axis=1), (joined**2).sum(2), trust)

    def listed(self, place: Ints) -> Doubles:
        """Return what candidates are about, given their places in the pool, "queries" or "queries n"."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0, place])
        return np.asarray(self.parts[np.arange(len(place)).reshape(-1, *[1] * (place.ndim - 1)), place])

    def brought(self, held: Doubles, rank: Ints) -> Doubles:
        """Return how much nearer each candidate brings lists, "queries lists pool".

        Args:
            held: "queries lists labels", h.
            rank: "queries lists" or broadcastable to it, r: the candidate's.
        """
        lacking = self.shares[:, None] * rank[:, :, None] - held
        if len(self.parts) == 1:
            queries, lists, labels = lacking.shape
            towards = (lacking.reshape(queries * lists, labels) @ self.parts[0].T).reshape(queries, lists, -1)
        else:
            towards = lacking @ self.parts.transpose(0, 2, 1)
        nearer = 2 * towards - self.squares[:, None]
        return np.asarray(self.pull[:, :, None] * nearer)


def _are_shared(parts: Doubles) -> bool:
    """Return whether all queries have the same candidates, as one array that is repeated: of one list made again."""
    return len(parts) > 1 and parts.strides[0] == 0


@final
@dataclass(frozen=True, eq=False)
class TasteSeats:
    """Seats of labels, of which a candidate takes the part of each that it is about.

    Attributes:
        parts: "queries pool labels".
        worth: "queries labels", of the first seat.
        divisor: how much a seat lowers the claim to the next one.
    """

    parts: Doubles
    worth: Doubles
    divisor: float

    @classmethod
    def of(cls, content: Content, weight: Doubles, divisor: float) -> TasteSeats:
        """Return the seats of what candidates are about; the label with the largest share is worth `weight`."""
        largest = content.shares.max(1, initial=0.0, keepdims=True)
        return cls(content.parts, weight * content.shares / np.where(largest > 0, largest, 1.0), divisor)

    def claims(self, seated: Doubles) -> Doubles:
        """Return what each candidate is worth in seats, "queries lists pool".

        Args:
            seated: "queries lists labels", seats that are taken.
        """
        quotient = self.worth[:, None] / (self.divisor * seated + 1)
        return np.asarray(quotient @ self.parts.transpose(0, 2, 1))


@final
@dataclass(frozen=True, eq=False)
class SeatValues:
    """What the candidates of some queries are worth.

    Attributes:
        scores: "queries pool", what does not change.
        worth: "queries owners", of their first seats.
        tastes: the seats of labels; None where only owners have seats.
        content: what labels count; None without.
    """

    scores: Doubles
    worth: Doubles
    tastes: TasteSeats | None
    content: Calibration | None
