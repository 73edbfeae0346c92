"""Whether any list keeps all bounds, and which bounds have to give way where none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from recsys.policy.groups import Bound, Groups
from recsys.types import Doubles, Ints

_LAW: Final = 0
"""Its bounds never give way; the list gets shorter instead."""


@final
@dataclass(frozen=True)
class Relaxation:
    """What gave way so that there is a list.

    Attributes:
        bounds: all bounds as they hold now.
        relaxed: positions of those that gave way.
        length: of the list.
    """

    bounds: tuple[Bound, ...]
    relaxed: tuple[int, ...]
    length: int


def is_feasible(groups: Groups, available: Ints, length: int, positions: Sequence[int] | None = None) -> bool:
    """Return whether a list of some length keeps the bounds.

    Args:
        groups: the bounds.
        available: "signatures", how many items of each may be listed.
        length: of the list.
        positions: of the bounds that count; None: all.
    """
    every = range(len(groups)) if positions is None else positions
    program = _Counts(groups, available, length, every)
    return program.least(np.zeros(program.size)) is not None


def minimal_conflict(groups: Groups, available: Ints, length: int) -> tuple[int, ...]:
    """Return positions of bounds that no list keeps together, none of which can be left out; none if a list does.

    Deletion filtering (Chinneck and Dravnieks, 1991): one bound after the other is left out for good if the rest still
    contradicts itself, those of the lowest layer first, so that what remains binds most.
    """
    if is_feasible(groups, available, length):
        return ()
    kept = list(range(len(groups)))
    for place in sorted(kept, key=lambda position: -groups.bounds[position].level):
        rest = [position for position in kept if position != place]
        if not is_feasible(groups, available, length, rest):
            kept = rest
    return tuple(kept)


def relax(groups: Groups, available: Ints, length: int) -> Relaxation:
    """Let bounds give way until a list keeps the rest: as few as possible, then by as little as possible.

    What binds most is spared first: bounds of the organisation before those of the role, and these before those of the
    person. Law never gives way: the list gets shorter, or stays empty.

    Args:
        groups: the bounds.
        available: "signatures", how many items of each may be listed.
        length: of the list.
    """
    for size in range(length, 0, -1):
        program = _Counts(groups, available, size, range(len(groups)), soft=True)
        values = program.least(np.zeros(program.size))
        if values is not None:
            for level in sorted({bound.level for bound in groups.bounds} - {_LAW}):
                for cost in (program.given_way(level), program.amount(level)):
                    better = program.least(cost)
                    values = values if better is None else better
                    program.hold(cost, values)
            return program.relaxation(values)
    return Relaxation(groups.bounds, (), 0)


@final
class _Counts:
    """How many items of each signature stand in each block of places, as an integer program."""

    def __init__(
        self, groups: Groups, available: Ints, length: int, positions: Sequence[int], *, soft: bool = False
    ) -> None:
        self._groups, self._length = groups, length
        bounds = [groups.bounds[place] for place in positions]
        self._ends = sorted({min(bound.first, length) for bound in bounds} | {length})
        sizes = np.diff([0, *self._ends])
        blocks, signatures = len(sizes), len(groups.has)
        self._counts = blocks * signatures
        soft_count = len(groups) if soft else 0
        # Counts; then for each bound: how much lower, how much higher, whether it gave way.
        self._slack = self._counts + np.arange(3 * soft_count).reshape(3, -1)
        self.size = self._counts + 3 * soft_count
        # A list that is short, as few items are left, may need more of a bound to give way than it has places.
        self._most = max([length, *(bound.low for bound in bounds)])
        slack = np.full(self.size - self._counts, self._most)
        self._upper = np.r_[np.tile(available, blocks), slack].astype(np.float64)
        self._columns: list[Ints] = []
        self._factors: list[Doubles] = []
        self._low: list[float] = []
        self._high: list[float] = []
        for block, size in enumerate(sizes):
            row = np.zeros(self.size)
            row[block * signatures : (block + 1) * signatures] = 1
            self._add(row, size, size)
        for signature in range(signatures if blocks > 1 else 0):
            row = np.zeros(self.size)
            row[signature : self._counts : signatures] = 1
            self._add(row, 0, available[signature])
        for place in positions:
            self._bound(place, signatures, soft)

    def _bound(self, place: int, signatures: int, soft: bool) -> None:
        bound = self._groups.bounds[place]
        row = np.zeros(self.size)
        for block, end in enumerate(self._ends):
            if end <= bound.first:
                row[block * signatures : (block + 1) * signatures] = self._groups.has[:, place]
        low, high = row.copy(), row.copy()
        if soft and bound.level != _LAW:
            lower, higher, gave = self._slack[:, place]
            low[lower], high[higher] = 1, -1
            for slack in (lower, higher):
                link = np.zeros(self.size)
                link[slack], link[gave] = 1, -float(self._most)
                self._add(link, -np.inf, 0)
            self._upper[gave] = 1
        self._add(low, bound.low, np.inf)
        self._add(high, -np.inf, bound.high)

    def _add(self, row: Doubles, low: float, high: float) -> None:
        columns = np.flatnonzero(row)
        self._columns.append(columns)
        self._factors.append(row[columns])
        self._low.append(low)
        self._high.append(high)

    def given_way(self, level: int) -> Doubles:
        """Cost: how many bounds of a layer gave way."""
        cost = np.zeros(self.size)
        cost[self._slack[2, self._of(level)]] = 1
        return cost

    def amount(self, level: int) -> Doubles:
        """Cost: by how much bounds of a layer gave way."""
        cost = np.zeros(self.size)
        cost[self._slack[:2, self._of(level)]] = 1
        return cost

    def _of(self, level: int) -> list[int]:
        return [place for place, bound in enumerate(self._groups.bounds) if bound.level == level]

    def hold(self, cost: Doubles, values: Doubles) -> None:
        """Let no later solution cost more."""
        if cost.any():
            self._add(cost, -np.inf, float(cost @ values) + 1e-6)

    def least(self, cost: Doubles) -> Doubles | None:
        """Return the whole numbers with the least cost; None where there are none."""
        if (np.asarray(self._low) > np.asarray(self._high)).any():
            return None
        starts = np.cumsum([0, *(len(columns) for columns in self._columns)])
        parts = np.concatenate(self._factors), np.concatenate(self._columns), starts
        matrix = sp.csr_array(parts, (len(self._columns), self.size))
        found = milp(
            cost,
            integrality=np.ones(self.size, np.int64),
            bounds=Bounds(0, self._upper),
            constraints=LinearConstraint(matrix.tocsc(), self._low, self._high),
        )
        return None if found.x is None else np.round(found.x)

    def relaxation(self, values: Doubles) -> Relaxation:
        """Return the bounds as a solution keeps them."""
        lower, higher, _ = values[self._slack].astype(np.int64)
        bounds = tuple(
            replace(bound, low=bound.low - int(lower[place]), high=bound.high + int(higher[place]))
            for place, bound in enumerate(self._groups.bounds)
        )
        relaxed = tuple(np.flatnonzero(lower + higher).tolist())
        return Relaxation(bounds, relaxed, self._length)
