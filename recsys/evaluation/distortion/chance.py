"""What lists of the same length would be by chance, drawn from the users' own histories."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.calibration import taste_distance
from recsys.evaluation.distortion.axes import Axis
from recsys.evaluation.tastes import normalised
from recsys.types import Doubles, Mask

DRAWS: Final = 20
"""Lists drawn from each history for its mean distance by chance."""

_BLOCK: Final = 8192


@final
@dataclass(frozen=True, eq=False)
class Chance:
    """Chance lists of some users along one axis: items drawn with replacement from the own history.

    delta* = Q* - P has mean 0 and Cov(delta*) = C_u / n, where C_u is the covariance of the classes of the history's
    items and n the number of items of the list in a class: so squared distances need no draws. The distance of
    Jensen and Shannon does; draws are the same for all lists of one length, and kept.

    Attributes:
        axis: the users' histories; its lists do not matter.
        seed: of the draws.
        draws: lists drawn of each user.
    """

    axis: Axis
    seed: int = 0
    draws: int = DRAWS
    _distances: dict[int, Doubles] = field(default_factory=dict, repr=False)

    def squared(self, lists: Axis) -> Doubles:
        """Return E |delta*|^2 = tr C_u / n, "queries"; NaN without a list or a history."""
        return np.asarray(self._variance / _size(lists))

    def second_moment(self, lists: Axis, users: Mask) -> Doubles:
        """Return the mean of E delta* delta*' over some users, "classes classes".

        Args:
            lists: whose lengths count.
            users: "queries"; of those with a history and a list.
        """
        own, parts = self.axis.own, self.axis.parts
        weight = np.where(users, 1.0 / (_size(lists) * max(1, int(users.sum()))), 0.0)
        per_entry = np.bincount(own.items, (weight / np.maximum(own.lengths, 1))[own.rows], len(parts))
        p = self.axis.histories
        return np.asarray(parts.T @ (sp.diags_array(per_entry) @ parts) - (p * weight[:, None]).T @ p)

    def distance(self, lists: Axis) -> Doubles:
        """Return the mean distance of Jensen and Shannon of chance lists from the history, "queries"."""
        found = np.full(len(lists), np.nan)
        for size in np.unique(lists.sizes[lists.sizes > 0]).tolist():
            rows = np.flatnonzero((lists.sizes == size) & (self.axis.own.lengths > 0))
            kept = self._distances.setdefault(size, np.full(len(lists), np.nan))
            new = rows[np.isnan(kept[rows])]
            for start in range(0, len(new), _BLOCK):
                some = new[start : start + _BLOCK]
                p = self.axis.histories[some]
                total = np.zeros(len(some))
                for draw in range(self.draws):
                    total += taste_distance(p, self.lists(some, size, draw))
                kept[some] = total / self.draws
            found[rows] = kept[rows]
        return found

    def lists(self, rows: npt.NDArray[np.integer], size: int, draw: int) -> Doubles:
        """Return the distribution of one chance list of each of some users, "rows classes".

        Args:
            rows: users with a history.
            size: items of the lists.
            draw: its number.
        """
        own = self.axis.own
        # Draws depend on the user, not on who else is asked.
        rng = np.random.default_rng([self.seed, size, draw])
        place = rng.random((len(self.axis), size))[rows]
        entry = own.indptr[rows][:, None] + (place * own.lengths[rows][:, None]).astype(np.int64)
        return normalised(self.axis.parts[own.items[np.minimum(entry, len(own.items) - 1)]].sum(1))

    @property
    def _variance(self) -> Doubles:
        """Tr C_u = mean |a_j|^2 - |P_u|^2, "queries"."""
        own = self.axis.own
        squares = np.bincount(own.rows, (self.axis.parts**2).sum(1)[own.items], len(own))
        p = self.axis.histories
        return np.where(own.lengths > 0, squares / np.maximum(own.lengths, 1) - (p**2).sum(1), np.nan)


def _size(lists: Axis) -> Doubles:
    return np.where(lists.sizes > 0, lists.sizes.astype(np.float64), np.nan)


def drawn(axis: Axis, size: int, seed: int) -> Axis:
    """Return lists drawn with replacement from the users' own histories, as an axis: what distorts nobody."""
    rng = np.random.default_rng(seed)
    place = axis.own.indptr[:-1, None] + (rng.random((len(axis), size)) * axis.own.lengths[:, None]).astype(np.int64)
    listed = axis.own.items[np.minimum(place, max(0, len(axis.own.items) - 1))]
    return axis.listing(np.where((axis.own.lengths > 0)[:, None], listed, UNKNOWN).astype(np.int32))
