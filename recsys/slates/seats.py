"""Seats of a list as those of a parliament: owners take turns by their shares, each with its best candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Content, Pool, Slate
from recsys.slates.greedy import allowed_candidates
from recsys.types import Doubles, Ints, Items, Mask


@final
@dataclass(frozen=True)
class Seats(Slate):
    """Lists that are about as mixed as the user, in every prefix.

        value_i = (1 - weight) score_i + weight q_k + calibration ( |h - r p|^2 - |h + a_i - r p|^2 )       k owns i
        q       = share / (2 seats + 1) / largest share

    One candidate after the other is chosen by the largest value; scores are scaled to [0, 1] over the pool. With
    `weight` 1 the owners' seats follow Sainte-Lague's method; with both 0 the list is `Greedy`'s. A candidate that
    nobody owns has nothing of the second term. The third is how much nearer the candidate, of which a_i is about each
    label (genre), brings the list, in which the labels have h until rank r, to what the history has, p: the greedy of
    Steck, *Calibrated recommendations*, RecSys 2018, with the squared distance. Personas decide whose turn it is, and
    calibration that what they are served is as mixed as what they liked. Both weights are multiplied by how far the
    shares can be trusted.

    A boosted owner has at every rank twice the seats that the same rules would give it without the boost, and one in
    the whole list if it would have none, as far as it owns candidates and there are ranks; of those, one stays with the
    others if they had any. It has more only where the others have no candidates.

    Args:
        weight: of the owners' shares, from 0 to 1; chosen on validation.
        calibration: of the labels' shares, from 0 to 1; without labels it counts nothing.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    weight: float = 0.1
    calibration: float = 0.12
    size: int = 200

    def __post_init__(self) -> None:
        share("weight", self.weight)
        share("calibration", self.calibration)
        whole("size", self.size)

    @property
    def pool(self) -> int:
        return self.size

    def choose(self, pool: Pool, n: int) -> Ints:
        seating, allowed = pool.owned, allowed_candidates(pool)
        scores, worth, content = self._values(pool)
        chosen = _elect(scores, seating.owner, worth, content, allowed, n, None)
        if seating.boosted is None or not seating.boosted.any():
            return chosen
        due = 2 * _seats(chosen, seating.owner, worth.shape[1]) * seating.boosted
        due[-1] = np.maximum(due[-1], seating.boosted)
        listed = (chosen != UNKNOWN).sum(1)[:, None]
        due = np.minimum(due, np.where(due[-1] < 2 * listed, np.maximum(listed - 1, 1), listed))
        for rank in range(len(due) - 2, -1, -1):  # a rank gives one seat, so what is due later is begun in time
            due[rank] = np.maximum(due[rank], due[rank + 1] - 1)
        return _elect(scores, seating.owner, worth, content, allowed, n, due)

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        seating, allowed = pool.owned, allowed_candidates(pool)
        scores, worth, content = self._values(pool)
        queries = np.arange(len(scores))[:, None]
        place, listed = np.maximum(chosen, 0), chosen != UNKNOWN
        owners = worth.shape[1]
        holder = np.where(seating.owner == UNKNOWN, owners, seating.owner)
        own = (holder[queries, place][:, :, None] == np.arange(owners)) & listed[:, :, None]  # "queries n owners"
        quotient = worth[:, None] / (2 * (own.sum(1)[:, None] - own) + 1)
        quotient = np.concatenate([quotient, np.zeros((*quotient.shape[:2], 1))], axis=2)
        value = scores[:, None] + np.take_along_axis(quotient, np.repeat(holder[:, None], place.shape[1], axis=1), 2)
        if content is not None:
            parts = content.parts[queries, place] * listed[:, :, None]
            held = parts.sum(1)[:, None] - parts
            value += content.brought(held, listed.sum(1)[:, None])
        high, low = _range(pool.scores, pool.items != UNKNOWN)
        trust = np.ones((len(scores), 1)) if seating.trust is None else seating.trust[:, None]
        unit = np.maximum(high - low, 0.0) / np.maximum(1.0 - trust * self.weight, 1e-9)
        return np.where(allowed[:, None], value * np.where(unit > 0, unit, 1.0)[:, None], -np.inf)

    def _values(self, pool: Pool) -> tuple[Doubles, Doubles, _Calibration | None]:
        """Return the part of the value that does not change, "queries pool", and what changes.

        Returns:
            scores; the value of first seats of owners, "queries owners"; what labels count, None without labels.
        """
        seating = pool.owned
        trust = np.ones((len(pool.items), 1)) if seating.trust is None else seating.trust[:, None]
        scores = (1.0 - trust * self.weight) * _scaled(pool.scores, pool.items != UNKNOWN)
        shares = seating.shares if seating.muted is None else seating.shares * ~seating.muted
        largest = shares.max(1, initial=0.0, keepdims=True)
        worth = trust * self.weight * shares / np.where(largest > 0, largest, 1.0)
        content = None
        if seating.content is not None and self.calibration > 0:
            content = _Calibration.of(seating.content, trust * self.calibration)
        return scores, worth, content


@final
@dataclass(frozen=True, eq=False)
class _Calibration:
    """What candidates are about, and how much it counts that the list is about the same as the history.

    Attributes:
        parts: "queries pool labels".
        shares: "queries labels".
        squares: "queries pool": |a_i|^2.
        pull: "queries 1", 0 for a history without labels.
    """

    parts: Doubles
    shares: Doubles
    squares: Doubles
    pull: Doubles

    @classmethod
    def of(cls, content: Content, pull: Doubles) -> _Calibration:
        known = content.shares.any(1, keepdims=True)
        return cls(content.parts, content.shares, (content.parts**2).sum(2), pull * known)

    def brought(self, held: Doubles, rank: Ints) -> Doubles:
        """Return how much nearer each candidate brings lists, "queries lists pool".

        Args:
            held: "queries lists labels", h.
            rank: "queries lists" or broadcastable to it, r: the candidate's.
        """
        lacking = self.shares[:, None] * rank[:, :, None] - held
        nearer = 2 * lacking @ self.parts.transpose(0, 2, 1) - self.squares[:, None]
        return np.asarray(self.pull[:, :, None] * nearer)


def _scaled(scores: np.ndarray, present: Mask) -> Doubles:
    """Scale the scores of each row to [0, 1]; equal scores are all 1."""
    values = np.where(present, scores, np.nan).astype(np.float64)
    high, low = _range(scores, present)
    width = np.where(high > low, high - low, 1.0)
    return np.where(present, 1.0 - (high - values) / width, 0.0)


def _range(scores: np.ndarray, present: Mask) -> tuple[Doubles, Doubles]:
    """Return the highest and the lowest score of each row, "queries 1"; -inf and inf without candidates."""
    values = np.where(present, scores, np.nan).astype(np.float64)
    high = np.where(present, values, -np.inf).max(1, initial=-np.inf, keepdims=True)
    return high, np.where(present, values, np.inf).min(1, initial=np.inf, keepdims=True)


def _seats(chosen: Ints, owner: Items, owners: int) -> Ints:
    """Return how many seats each owner has after each rank, "n queries owners"."""
    holder = np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(owner, np.maximum(chosen, 0), 1))
    return np.cumsum(holder.T[:, :, None] == np.arange(owners), axis=0)


def _elect(
    scores: Doubles, owner: Items, worth: Doubles, content: _Calibration | None, allowed: Mask, n: int, due: Ints | None
) -> Ints:
    """Choose one candidate of every query after the other.

    Args:
        scores: "queries pool", the part of the value that does not change.
        owner: "queries pool".
        worth: "queries owners", the value of a first seat.
        content: what labels count; None without labels.
        allowed: "queries pool".
        n: length of the lists.
        due: "n queries owners", seats of boosted owners after each rank, if they can have them, 0 for others; or None.
    """
    queries = np.arange(len(scores))
    owners = worth.shape[1]
    # The last column is nobody's.
    quotient = np.hstack([worth, np.zeros((len(scores), 1))])
    seats = np.zeros(quotient.shape, np.int64)
    holder = np.where(owner == UNKNOWN, owners, owner).astype(np.int64)
    flat = holder + (owners + 1) * queries[:, None]  # of the flattened quotients
    free = np.where(allowed, scores, -np.inf)
    held = None if content is None else np.zeros_like(content.shares)
    chosen = np.full((len(scores), n), UNKNOWN, np.int64)
    for rank in range(min(n, scores.shape[1])):
        value = free + quotient.ravel().take(flat)
        if content is not None and held is not None:
            value += content.brought(held[:, None], np.full((1, 1), rank + 1))[:, 0]
        if due is not None:
            behind = np.hstack([seats[:, :owners] < due[rank], np.zeros((len(scores), 1), np.bool_)])
            first = behind.ravel().take(flat) & np.isfinite(free)
            value[~first & first.any(1, keepdims=True)] = -np.inf
            served = np.hstack([(due[-1] > 0) & (seats[:, :owners] >= due[rank]), np.zeros((len(scores), 1), np.bool_)])
            others = ~served.ravel().take(flat) & np.isfinite(free)
            value[~others & others.any(1, keepdims=True)] = -np.inf
        best = value.argmax(1)
        found = value[queries, best] > -np.inf
        rows, best = queries[found], best[found]
        chosen[rows, rank], free[rows, best] = best, -np.inf
        taken = holder[rows, best]
        seats[rows, taken] += 1
        if content is not None and held is not None:
            held[rows] += content.parts[rows, best]
        nobody = np.where(taken < owners, taken, 0)
        quotient[rows, taken] = np.where(taken < owners, worth[rows, nobody], 0.0) / (2 * seats[rows, taken] + 1)
    return chosen
