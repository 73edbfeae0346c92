"""Lists that leave no large persona out: the best scores, with a place for each owner that is due one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import share, whole
from recsys.data.vocabulary import UNKNOWN
from recsys.slates.base import Pool, SizedSlate
from recsys.slates.greedy import Greedy
from recsys.slates.scores import by_score
from recsys.types import Doubles, Ints, Items, Mask


@final
@dataclass(frozen=True)
class Floor(SizedSlate):
    """The best-scored candidates, in which each owner with a large enough share has a place: its best candidate.

    Places are taken from the lowest scores. Where there are fewer places than owners that are due one, those of the
    larger shares have them. Muted owners are due nothing; boosts have no meaning here.

    Args:
        least: the share from which an owner is due a place.
        size: number of candidates in the pool.

    Raises:
        ConfigError: an argument is out of range.
    """

    least: float = 0.08
    size: int = 200

    def __post_init__(self) -> None:
        share("least", self.least)
        whole("size", self.size)

    def _choose(self, pool: Pool, n: int) -> Ints:
        return by_score(with_floor(Greedy().choose(pool, n), pool, self.least), pool.items.shape[1])

    def standing(self, pool: Pool, chosen: Ints) -> Doubles:
        return only_own(Greedy().standing(pool, chosen), chosen, pool, self.least)


def with_floor(chosen: Ints, pool: Pool, least: float, kept: Mask | None = None) -> Ints:
    """Return lists in which owners of at least a share have a seat: that of the last item which others can spare.

    Those with the largest shares come first. A seat can be spared by who has two, or is not due one. The candidate is
    the best-scored one of its owner.

    Args:
        chosen: "queries n".
        pool: the candidates.
        least: the share, and more than 0.
        kept: "queries owners", who spares no seat; None: nobody.
    """
    chosen = chosen.copy()
    owner, due = np.where(pool.allowed, pool.owned.owner, UNKNOWN), _due(pool, least)
    # Nobody loses the only seat that it is due, so lists in which nobody lacks one, nearly all, stay as they are.
    short = np.flatnonzero((due & ~_present(_holders(chosen, owner), due) & _present(owner, due)).any(1))
    if len(short):
        kept = None if kept is None else kept[short]
        chosen[short] = _given(chosen[short], owner[short], due[short], pool.owned.shares[short], kept)
    return chosen


def _present(owner: Items, owners: Mask) -> Mask:
    """Return which owners own some candidates, "queries owners"."""
    present = np.zeros((len(owner), owners.shape[1] + 1), np.bool_)  # the last is nobody
    np.put_along_axis(present, owner.astype(np.int64), True, axis=1)
    return present[:, :-1]


def _given(chosen: Ints, owner: Items, due: Mask, shares: Doubles, kept: Mask | None) -> Ints:
    """Return lists with a seat for each owner that is due one, as `with_floor`."""
    queries = np.arange(len(chosen))
    for k in np.argsort(-shares, axis=1, kind="stable").T:  # one owner of every query
        holder = _holders(chosen, owner)
        seats = (holder[:, :, None] == np.arange(shares.shape[1])).sum(1)
        own = owner == k[:, None]
        lacks = due[queries, k] & (seats[queries, k] == 0) & own.any(1)
        held = np.maximum(holder, 0)
        spared = (holder == UNKNOWN) | (np.take_along_axis(seats, held, 1) > 1) | ~np.take_along_axis(due, held, 1)
        spared &= chosen != UNKNOWN
        if kept is not None:
            spared &= (holder == UNKNOWN) | ~np.take_along_axis(kept, held, 1)
        last = chosen.shape[1] - 1 - spared[:, ::-1].argmax(1)
        rows = np.flatnonzero(lacks & spared.any(1))
        chosen[rows, last[rows]] = own[rows].argmax(1)
    return chosen


def only_own(standing: Doubles, chosen: Ints, pool: Pool, least: float) -> Doubles:
    """Return what candidates are worth for a seat, where an owner's only seat that it is due is for its own alone.

    Args:
        standing: "queries n pool", see `Slate.standing`.
        chosen: "queries n", made with `with_floor`.
        pool: the candidates.
        least: the share.
    """
    owner = pool.owned.owner
    holder = _holders(chosen, owner)
    alone = (holder[:, :, None] == holder[:, None, :]).sum(2) == 1
    due = np.pad(_due(pool, least), ((0, 0), (0, 1)))  # nobody, the last, is due nothing
    kept = alone & np.take_along_axis(due, holder, 1)
    return np.where(kept[:, :, None] & (owner[:, None] != holder[:, :, None]), -np.inf, standing)


def _holders(chosen: Ints, owner: Items) -> Items:
    """Return the owner of each listed candidate, "queries n"; `UNKNOWN` for nobody."""
    return np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(owner, np.maximum(chosen, 0), 1))


def _due(pool: Pool, least: float) -> Mask:
    """Return which owners are due a place, "queries owners"."""
    shares, muted = pool.owned.shares, pool.owned.muted
    due = (shares >= least) & (shares > 0)
    return due if muted is None else due & ~muted
