"""The best lists whose seats are as due as they are wanted to be: a matroid, a flow, or an integer program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from recsys.checks import choice, share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.policy.groups import Bound, Groups
from recsys.policy.solve import solve
from recsys.slates.base import Pool, SizedSlate
from recsys.slates.scores import by_score, unit
from recsys.types import Doubles, Ints, Items, Mask

SeatAxis = Literal["personas", "tastes", "popularity"]
"""Who has seats: owners, the label of an item of which the history holds most, or head, middle and tail."""

_WIDER = 3
"""How often bounds that no list keeps are widened by one seat before only the first axis is kept."""


@final
@dataclass(frozen=True)
class Exact(SizedSlate):
    """The lists with the largest sum of scores among those whose seats are within one of what they should be.

        maximise sum of scores   over lists with   floor(d_k) <= seats_k <= ceil(d_k)   for all k of every axis
        d_k = plain_k + weight n (p_k - q_k)

    plain_k are the seats of k in the list of the best scores, p_k and q_k its shares of the history and of that list,
    where an item of several labels counts for each by its part. A seat is held by one: of several labels by that of
    which the history holds most. So every axis divides the items. With one axis such lists are the bases of a matroid,
    so that the greedy list is the best, and it is made for all users at once. With two the linear program is a flow,
    with three an integer program (`recsys.policy.solve`); both take milliseconds for each user. Where no list keeps all
    bounds they are widened by a seat, at last all but those of the first axis. Abdollahpouri et al., *Calibrated
    recommendations as a minimum-cost flow problem*, WSDM 2023.

    Args:
        axes: who has seats, the most important first.
        weight: how far seats are moved from those of the best scores to what is due, from 0 to 1.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range, or there is no such axis.
    """

    axes: tuple[SeatAxis, ...] = ("tastes",)
    weight: float = 0.5
    size: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.axes, tuple) or not self.axes or len(set(self.axes)) < len(self.axes):
            raise ConfigError(f"axes is {self.axes!r}; give one or several of personas, tastes, popularity, each once")
        for axis in self.axes:
            choice("axes", axis, SeatAxis)
        share("weight", self.weight)
        whole("size", self.size)

    def _choose(self, pool: Pool, n: int) -> Ints:
        allowed = pool.allowed
        axes = [self._seats(pool, axis, allowed, n) for axis in self.axes]
        if len(axes) == 1:
            return _greedy(axes[0], allowed, n)
        chosen = np.full((len(allowed), n), UNKNOWN, np.int64)
        for query in range(len(allowed)):
            listed = _solved(
                pool.scores[query].astype(np.float64), [axis.of(query) for axis in axes], allowed[query], n
            )
            chosen[query, : len(listed)] = listed
        short = np.flatnonzero((chosen[:, 0] == UNKNOWN) & allowed.any(1))
        if len(short):
            chosen[short] = _greedy(axes[0].take(short), allowed[short], n)
        return chosen

    def plain_greedy(self, pool: Pool, n: int) -> tuple[Ints, Mask]:
        """Return what is listed without looking ahead: the next best candidate for whom there is room.

        Returns:
            The lists as `choose` returns them, and "queries", which of them keep the least seats, too.
        """
        allowed = pool.allowed
        axes = [self._seats(pool, axis, allowed, n) for axis in self.axes]
        chosen = np.full((len(allowed), n), UNKNOWN, np.int64)
        counts = [np.zeros_like(axis.low) for axis in axes]
        length = np.zeros(len(allowed), np.int64)
        for place in range(allowed.shape[1]):
            room = allowed[:, place] & (length < n)
            for axis, count in zip(axes, counts, strict=True):
                held = np.flatnonzero(axis.holder[:, place] != UNKNOWN)
                room[held] &= (count < axis.high)[held, axis.holder[held, place]]
            rows = np.flatnonzero(room)
            chosen[rows, length[rows]] = place
            length[rows] += 1
            for axis, count in zip(axes, counts, strict=True):
                held = rows[axis.holder[rows, place] != UNKNOWN]
                count[held, axis.holder[held, place]] += 1
        kept = length == np.minimum(n, allowed.sum(1))
        for axis, count in zip(axes, counts, strict=True):
            kept &= (count >= axis.low).all(1)
        return chosen, kept

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        allowed = pool.allowed
        worth = np.repeat(np.where(allowed, pool.scores, -np.inf).astype(np.float64)[:, None], chosen.shape[1], axis=1)
        listed, place = chosen != UNKNOWN, np.maximum(chosen, 0)
        for axis in self.axes:
            seats = self._seats(pool, axis, allowed, chosen.shape[1])
            holder = np.take_along_axis(seats.holder, place, 1)
            others = seats.counts(np.where(listed, holder, UNKNOWN))[:, None] - (
                (holder[:, :, None] == np.arange(seats.low.shape[1])) & listed[:, :, None]
            )  # "queries n holders"
            # Who has all seats that it may have cannot take another; if somebody lacks seats, only they can.
            full, lacks = others >= seats.high[:, None], others < seats.low[:, None]
            out = np.pad(full | (lacks.any(2, keepdims=True) & ~lacks), ((0, 0), (0, 0), (0, 1)))  # never nobody's
            shut = np.take_along_axis(out, np.repeat(seats.column[:, None], chosen.shape[1], axis=1), 2)
            worth -= np.where(shut, 2 * unit(pool)[:, :, None], 0.0)
        return worth

    def _seats(self, pool: Pool, axis: SeatAxis, allowed: Mask, n: int) -> _Seats:
        """Return who holds which candidate, and how many seats they may have."""
        if axis == "personas":
            holder, shares = pool.owned.owner, pool.owned.shares
            if pool.owned.muted is not None:  # what muted owners are due goes to the others
                shares = shares * ~pool.owned.muted
                shares /= np.maximum(shares.sum(1, keepdims=True), 1e-12)
        else:
            content = pool.about if axis == "tastes" else pool.popular
            holder, shares = content.home, content.shares
        holder = np.asarray(np.where(allowed, holder, UNKNOWN), np.int64)
        everybody = _Seats(holder, shares, shares)
        best = allowed & (np.cumsum(allowed, axis=1) <= n)
        plain = everybody.counts(np.where(best, holder, UNKNOWN)).astype(np.float64)
        held = plain if axis == "personas" else (content.parts * best[:, :, None]).sum(1)
        count = held.sum(1, keepdims=True)
        known = shares.any(1, keepdims=True) & (count > 0)
        due = np.maximum(plain + self.weight * (count * shares - held) * known, 0.0)
        due *= plain.sum(1, keepdims=True) / np.maximum(due.sum(1, keepdims=True), 1e-9)
        low = np.minimum(np.floor(due + 1e-9), everybody.counts(holder))
        return _Seats(holder, low.astype(np.int64), np.ceil(due - 1e-9).astype(np.int64))


@final
@dataclass(frozen=True, eq=False)
class _Seats:
    """Who holds the candidates, "queries pool", and the least and most seats of each, "queries holders"."""

    holder: Items | Ints
    low: np.ndarray
    high: np.ndarray

    @property
    def column(self) -> Ints:
        """ "queries pool", the holder of each candidate, where nobody comes after all holders."""
        return np.where(self.holder == UNKNOWN, self.low.shape[1], self.holder).astype(np.int64)

    def counts(self, holder: Items | Ints) -> Ints:
        """Return how many entries of each row are of each holder, "queries holders"."""
        width = self.low.shape[1] + 1
        flat = np.where(holder == UNKNOWN, width - 1, holder) + width * np.arange(len(holder))[:, None]
        return np.bincount(flat.ravel(), minlength=len(holder) * width).reshape(len(holder), width)[:, :-1]

    def take(self, rows: Ints) -> _Seats:
        return _Seats(self.holder[rows], self.low[rows], self.high[rows])

    def of(self, query: int) -> tuple[Items | Ints, Ints, Ints]:
        return self.holder[query], self.low[query], self.high[query]


def _greedy(seats: _Seats, allowed: Mask, n: int) -> Ints:
    """Return the best list of every query: first the least seats of each holder, then the best that still have room.

    Candidates stand in the order of their scores.
    """
    queries, size = allowed.shape
    width = seats.low.shape[1] + 1
    holder = seats.column
    flat = (holder + width * np.arange(queries)[:, None]).ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], np.arange(queries * width))
    place = np.empty(flat.size, np.int64)
    place[order] = np.arange(flat.size) - starts[flat[order]]
    place = place.reshape(queries, size)  # of each candidate among those of its holder
    nobody = seats.holder == UNKNOWN
    low, high = (
        np.take_along_axis(np.hstack([part, np.zeros((queries, 1), np.int64)]), holder, 1)
        for part in (seats.low, seats.high)
    )
    wanted = ~nobody & (place < low)
    room = nobody | (place < high)
    # Least seats may be more than the list has where widths are small: the best of them.
    level = np.where(~allowed, 3, np.where(wanted, 0, np.where(room, 1, 2)))
    taken = np.argsort(level, axis=1, kind="stable")[:, :n]
    chosen = np.full((queries, n), UNKNOWN, np.int64)
    chosen[:, : taken.shape[1]] = np.where(np.take_along_axis(allowed, taken, 1), taken, UNKNOWN)
    return by_score(chosen, size)  # as is best for every falling discount


def _solved(scores: Doubles, axes: list[tuple[Items | Ints, Ints, Ints]], allowed: Mask, n: int) -> Ints:
    """Return the best list of one query that keeps the bounds of all axes, or wider ones; empty where none does."""
    place = np.flatnonzero(allowed)
    length = min(n, len(place))
    if not length:
        return place
    for wider in range(_WIDER):
        bounds = []
        for axis, (holder, low, high) in enumerate(axes):
            slack = wider if axis else 0
            for k in range(len(low)):
                members = holder[place] == k
                if members.any():
                    least, most = max(int(low[k]) - slack, 0), int(high[k]) + slack
                    bounds.append(Bound(members, min(least, length), min(most, length), length))
        found = solve(scores[place], np.arange(len(place)), Groups.of(bounds, len(place)), n)
        if found is not None and len(found.items) == length:
            return place[np.sort(found.items)]
    return place[:0]
