"""Seats of a list as those of a parliament: owners take turns by their shares, each with its best candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from recsys.checks import choice, positive, share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, SizedSlate
from recsys.slates.floor import only_own, with_floor
from recsys.slates.scores import one_by_one, scaled, unit
from recsys.slates.seat_values import Calibration, SeatValues, TasteSeats
from recsys.types import Doubles, Ints, Items, Mask


@final
@dataclass(frozen=True)
class Seats(SizedSlate):
    """Lists that are about as mixed as the user, in every prefix.

        value_i = (1 - weight) score_i + weight q_k + calibration ( |h - r p|^2 - |h + a_i - r p|^2 )       k owns i
        q       = share / (divisor seats + 1) / largest share

    One candidate after the other is chosen by the largest value; scores are scaled to [0, 1] over the pool. With
    `weight` 1 the owners' seats follow Sainte-Lague's method, with divisor 1 D'Hondt's, which favours the large; with
    all weights 0 the list is `Greedy`'s. A candidate that nobody owns has nothing of the second term. The third is how
    much nearer the candidate, of which a_i is about each label (genre), brings the list, in which the labels have h
    until rank r, to what the history has, p: the greedy of Steck, *Calibrated recommendations*, RecSys 2018, with the
    squared distance. `popularity` weighs the same of head, middle and tail. Personas decide whose turn it is, and
    calibration that what they are served is as mixed as what they liked. All weights are multiplied by how far the
    shares can be trusted.

    Over tastes, the labels themselves have the seats: q_k becomes the sum over the labels of a_i q, and a candidate of
    several takes its part of a seat of each. Dang and Croft, *Diversity by proportionality*, SIGIR 2012, give ranks to
    topics as an election does; fractions of seats, and the blend with the score, are ours.

    A boosted owner has at every rank twice the seats that the same rules would give it without the boost, and one in
    the whole list if it would have none, as far as it owns candidates and there are ranks; of those, one stays with the
    others if they had any. It has more only where the others have no candidates.

    Args:
        weight: of the owners' shares, from 0 to 1; chosen on validation.
        calibration: of the labels' shares, from 0 to 1; without labels it counts nothing.
        size: number of candidates in the pool.
        over: who has seats: the owners (personas), or the labels (tastes).
        divisor: how much a seat lowers the claim to the next one: 2 for Sainte-Lague's method, 1 for D'Hondt's.
        popularity: of the shares of head, middle and tail, from 0 to 1.
        floor: owners due at least this part of the list have a seat, as far as they own candidates and there is one
            that nobody boosted has; 0: nobody must.

    Raises:
        ConfigError: an argument is out of range.
    """

    weight: float = 0.1
    calibration: float = 0.12
    size: int = 200
    over: Literal["personas", "tastes"] = "personas"
    divisor: float = 2.0
    popularity: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        share("weight", self.weight)
        share("calibration", self.calibration)
        whole("size", self.size)
        choice("over", self.over, Literal["personas", "tastes"])
        positive("divisor", self.divisor)
        share("popularity", self.popularity)
        share("floor", self.floor)

    def _choose(self, pool: Pool, n: int) -> Ints:
        seating, allowed = pool.owned, pool.allowed
        values = self._values(pool)
        chosen = self._elect(values, seating.owner, allowed, n, None)
        if self.floor > 0:
            chosen = with_floor(chosen, pool, self.floor)
        if seating.boosted is None or not seating.boosted.any():
            return chosen
        due = 2 * _seats(chosen, seating.owner, seating.shares.shape[1]) * seating.boosted
        due[-1] = np.maximum(due[-1], seating.boosted)
        listed = (chosen != UNKNOWN).sum(1)[:, None]
        due = np.minimum(due, np.where(due[-1] < 2 * listed, np.maximum(listed - 1, 1), listed))
        for rank in range(len(due) - 2, -1, -1):  # a rank gives one seat, so what is due later is begun in time
            due[rank] = np.maximum(due[rank], due[rank + 1] - 1)
        chosen = self._elect(values, seating.owner, allowed, n, due)
        return with_floor(chosen, pool, self.floor, seating.boosted) if self.floor > 0 else chosen

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        seating, allowed = pool.owned, pool.allowed
        values = self._values(pool)
        worth = values.worth
        queries = np.arange(len(worth))[:, None]
        place, listed = np.maximum(chosen, 0), chosen != UNKNOWN
        owners = worth.shape[1]
        holder = np.where(seating.owner == UNKNOWN, owners, seating.owner)
        own = (holder[queries, place][:, :, None] == np.arange(owners)) & listed[:, :, None]  # "queries n owners"
        quotient = worth[:, None] / (self.divisor * (own.sum(1)[:, None] - own) + 1)
        quotient = np.concatenate([quotient, np.zeros((*quotient.shape[:2], 1))], axis=2)
        value = values.scores[:, None] + np.take_along_axis(
            quotient, np.repeat(holder[:, None], place.shape[1], axis=1), 2
        )
        if values.tastes is not None:
            parts = values.tastes.parts[queries, place] * listed[:, :, None]
            value += values.tastes.claims(parts.sum(1)[:, None] - parts)
        if values.content is not None:
            parts = values.content.listed(place) * listed[:, :, None]
            value += values.content.brought(parts.sum(1)[:, None] - parts, listed.sum(1)[:, None])
        trust = np.ones((len(worth), 1)) if seating.trust is None else seating.trust[:, None]
        one = unit(pool) / np.maximum(1.0 - trust * self.weight, 1e-9)
        value = np.where(allowed[:, None], value * one[:, None], -np.inf)
        return only_own(value, chosen, pool, self.floor) if self.floor > 0 else value

    def _values(self, pool: Pool) -> SeatValues:
        seating = pool.owned
        trust = np.ones((len(pool.items), 1)) if seating.trust is None else seating.trust[:, None]
        scores = (1.0 - trust * self.weight) * scaled(pool)
        shares = seating.shares if seating.muted is None else seating.shares * ~seating.muted
        tastes = None
        if self.over == "tastes":
            tastes = TasteSeats.of(pool.about, trust * self.weight, self.divisor)
            shares = np.zeros_like(shares)
        largest = shares.max(1, initial=0.0, keepdims=True)
        worth = trust * self.weight * shares / np.where(largest > 0, largest, 1.0)
        mixtures = [(seating.content, self.calibration)] if seating.content is not None and self.calibration > 0 else []
        if self.popularity > 0:
            mixtures.append((pool.popular, self.popularity))
        content = Calibration.of(mixtures, trust) if mixtures else None
        return SeatValues(scores, worth, tastes, content)

    def _elect(self, values: SeatValues, owner: Items, allowed: Mask, n: int, due: Ints | None) -> Ints:
        """Choose one candidate of every query after the other.

        Args:
            values: of the candidates.
            owner: "queries pool".
            allowed: "queries pool".
            n: length of the lists.
            due: "n queries owners", seats of boosted owners after each rank, if they can have them, 0 for others; or
                None.
        """
        scores, worth, tastes, content = values.scores, values.worth, values.tastes, values.content
        queries = np.arange(len(scores))
        owners = worth.shape[1]
        first_seat = np.hstack([worth, np.zeros((len(scores), 1))])  # the last column is nobody's
        quotient = first_seat.copy()
        seats = np.zeros(quotient.shape, np.int64)
        holder = np.where(owner == UNKNOWN, owners, owner).astype(np.int64)
        flat = holder + (owners + 1) * queries[:, None]  # of the flattened quotients
        free = np.where(allowed, scores, -np.inf)
        held = None if content is None else np.zeros_like(content.shares)
        seated = None if tastes is None else np.zeros_like(tastes.worth)

        def value(rank: int) -> Doubles:
            value: Doubles = free + quotient.ravel().take(flat)
            if tastes is not None and seated is not None:
                value += tastes.claims(seated[:, None])[:, 0]
            if content is not None and held is not None:
                value += content.brought(held[:, None], np.full((1, 1), rank + 1))[:, 0]
            if due is not None:
                nobody = np.zeros((len(scores), 1), np.bool_)
                behind = np.hstack([seats[:, :owners] < due[rank], nobody])
                first = behind.ravel().take(flat) & np.isfinite(free)
                value[~first & first.any(1, keepdims=True)] = -np.inf
                served = np.hstack([(due[-1] > 0) & (seats[:, :owners] >= due[rank]), nobody])
                others = ~served.ravel().take(flat) & np.isfinite(free)
                value[~others & others.any(1, keepdims=True)] = -np.inf
            return value

        def seat(_rank: int, best: Ints) -> None:
            taken = holder[queries, best]
            seats[queries, taken] += 1
            if tastes is not None and seated is not None:
                seated[:] += tastes.parts[queries, best]
            if content is not None and held is not None:
                held[:] += content.listed(best)
            quotient[queries, taken] = first_seat[queries, taken] / (self.divisor * seats[queries, taken] + 1)

        return one_by_one(free, n, value, seat)


def _seats(chosen: Ints, owner: Items, owners: int) -> Ints:
    """Return how many seats each owner has after each rank, "n queries owners"."""
    holder = np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(owner, np.maximum(chosen, 0), 1))
    return np.cumsum(holder.T[:, :, None] == np.arange(owners), axis=0)
