"""`Crowd`: what other people know, rated and liked, from which an interview learns what answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np
import scipy.sparse as sp

from recsys.checks import number
from recsys.data.feedback import is_rated
from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.errors import DataError
from recsys.types import Doubles, Mask

_LIKED = 0.8
"""Of the highest rating: 4 of 5 stars, 8 of 10."""


@final
@dataclass(frozen=True, eq=False)
class Crowd:
    """What the users of a log who have events would have answered, "people items" each.

    Attributes:
        known: 1 where the user did anything with the item.
        liked: 1 where the last thing that the user said of the item is a rating of at least `liked_at`, or a like;
            where the log has no ratings, likes or dislikes at all, every use counts as one.
        ratings: the ratings; the stored entries are the rated ones, whatever their value.
        liked_at: the lowest rating that counts as liked; None: the log has no ratings.
        scale: the lowest and the highest rating; None likewise.
    """

    known: sp.csr_matrix
    liked: sp.csr_matrix
    ratings: sp.csr_matrix
    liked_at: float | None
    scale: tuple[float, float] | None

    @classmethod
    def of(cls, log: Interactions, liked_at: float | None = None) -> Self:
        """Read a log; of several events of one user with one item the last one counts.

        Args:
            log: the log of the other people.
            liked_at: the lowest rating that counts as liked; None: .8 of the highest.

        Raises:
            DataError: the log has no events.
        """
        if len(log) == 0:
            raise DataError(f"{log.name} has no events, from which an interview could learn; give a log that has some")
        if liked_at is not None:
            number("liked_at", liked_at)
        rated = is_rated(log.value, log.kinds)
        scale: tuple[float, float] | None = None
        if rated.any() and log.value[rated].min() < log.value[rated].max():
            scale = float(log.value[rated].min()), float(log.value[rated].max())
        else:
            rated = np.zeros(len(log), np.bool_)
        liked = np.zeros(len(log), np.bool_)
        if scale is not None:
            liked_at = _LIKED * scale[1] if liked_at is None else liked_at
            liked = rated & (log.value >= liked_at)
        told = scale is not None
        if log.kinds is not None:
            liked |= (log.kinds == CODES["like"]) | (log.kinds == CODES["buy"])
            told |= bool(np.isin(log.kinds, [CODES["like"], CODES["dislike"], CODES["skip"]]).any())
        if not told:
            liked[:] = True
        # Sorted by user and time: of each pair the last event is the last in this order.
        person = np.unique(log.user_num, return_inverse=True)[1].astype(np.int64)
        people = int(person.max()) + 1
        pair = person * log.n_items + log.item_num
        last = np.sort(len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1])

        def matrix(keep: Mask, values: Doubles) -> sp.csr_matrix:
            rows = last[keep[last]]
            entries = values[rows], (person[rows], log.item_num[rows])
            return sp.csr_matrix(entries, shape=(people, log.n_items))

        ones = np.ones(len(log))
        everything = np.ones(len(log), np.bool_)
        return cls(
            matrix(everything, ones),
            matrix(liked, ones),
            matrix(rated, log.value.astype(np.float64)),
            liked_at if scale is not None else None,
            scale,
        )

    @property
    def n_users(self) -> int:
        """Number of people."""
        return int(self.known.shape[0])

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return int(self.known.shape[1])

    @cached_property
    def known_shares(self) -> Doubles:
        """ "items", the share of the people who know each."""
        return np.asarray(self.known.sum(0)).ravel() / self.n_users

    @cached_property
    def liked_shares(self) -> Doubles:
        """ "items", the share of the people who like each."""
        return np.asarray(self.liked.sum(0)).ravel() / self.n_users

    def likes(self, rating: float) -> bool:
        """Return whether a rating counts as liked."""
        return self.liked_at is None or rating >= self.liked_at
