"""The best list under bounds: greedy where that is optimal, integer programming elsewhere, the gap proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp

from recsys.policy.groups import Groups
from recsys.types import Doubles, Ints

_NODES: Final = 1_000
"""Of the search for an integer optimum; after them the gap says how far the list may be from it. A limit of time would
give another list on a busy machine, and a record of a decision could not be replayed."""

_LIMIT_REACHED: Final = 1
_WHOLE: Final = 1e-6


@final
@dataclass(frozen=True, eq=False)
class Solution:
    """A list.

    Attributes:
        items: "length", item numbers, best first.
        value: the sum of their scores.
        gap: by how much at most another list could be better, relative to this one; 0: proven to be the best.
    """

    items: Ints
    value: float
    gap: float


def solve(scores: Doubles, order: Ints, groups: Groups, n: int) -> Solution | None:
    """Return the list with the largest sum of scores that keeps all bounds; None where there is none of that length.

    Where groups are nested or disjoint (laminar), lists that can be extended to one that keeps the bounds form a
    matroid, so the greedy list is at every rank at least as good as every other and optimal for every falling discount.
    Elsewhere it is an integer program over the best of each signature; its linear relaxation is often integral (for two
    crossing partitions always: it is a flow). Bounds on first places split the list into blocks; a block's scores count
    as much as the mean DCG discount of its places. El Halabi et al., 2023 (arXiv 2305.15118), treat fairness bounds as
    matroids; Celis et al., 2017 (arXiv 1704.06840), bounds on prefixes.

    Args:
        scores: "items"; -inf for items that must not be listed.
        order: "items", rank of each item among equal scores.
        groups: what binds the list.
        n: its length, unless fewer items may be listed.
    """
    ranked = np.lexsort((order, -scores))
    ranked = ranked[: int((scores > -np.inf).sum())]
    length = min(n, len(ranked))
    plain = ranked[:length]
    if not groups.broken(plain):
        return Solution(plain, float(scores[plain].sum()), 0.0)
    if not length:
        return None
    kept = _best_of_each(ranked, groups.signature[ranked], length)
    if groups.is_laminar and all(bound.first >= length for bound in groups.bounds):
        chosen = _Tree(groups, length).greedy(kept)
        return None if chosen is None else Solution(chosen, float(scores[chosen].sum()), 0.0)
    return _Program(scores, groups, kept, length).solve()


def _best_of_each(ranked: Ints, signature: Ints, most: int) -> Ints:
    """Return the first few of each signature, in their order."""
    by_signature = np.argsort(signature, kind="stable")
    grouped = signature[by_signature]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    place = np.arange(len(grouped)) - np.repeat(starts, np.diff(np.r_[starts, len(grouped)]))
    return np.asarray(ranked[np.sort(by_signature[place < most])], np.int64)


@final
class _Tree:
    """Nested groups with the whole list as the root."""

    def __init__(self, groups: Groups, length: int) -> None:
        self._groups, self._length = groups, length
        size = groups.has[groups.signature].sum(0)
        self._order = np.argsort(size, kind="stable").tolist()  # children before parents
        self._low = [bound.low for bound in groups.bounds] + [length]
        self._high = [bound.high for bound in groups.bounds] + [length]
        root = len(groups)
        self._parent = [root] * root
        # Groups of the same items are nested in the order in which they come.
        has = groups.has.astype(np.int64)
        both = has.T @ has
        for place, one in enumerate(self._order):
            inside = [other for other in self._order[place + 1 :] if both[one, other] == both[one, one]]
            self._parent[one] = inside[0] if inside else root
        rank = {group: place for place, group in enumerate([*self._order, root])}
        self._leaf = [min([*np.flatnonzero(row).tolist(), root], key=rank.__getitem__) for row in groups.has]

    def greedy(self, kept: Ints) -> Ints | None:
        """Return the list that takes the best item that leaves a list possible, again and again."""
        signature = self._groups.signature[kept].tolist()
        left = [0] * (len(self._groups) + 1)
        for each in signature:
            left[self._leaf[each]] += 1
        taken = [0] * (len(self._groups) + 1)
        if not self._possible(taken, left, self._length):
            return None
        chosen: list[int] = []
        shut: set[int] = set()  # leaves of which nothing can be taken any more
        for place, leaf in enumerate(self._leaf[each] for each in signature):
            if len(chosen) == self._length:
                break
            if leaf in shut:
                continue
            self._take(taken, left, leaf, 1)
            if self._possible(taken, left, self._length - len(chosen) - 1):
                chosen.append(place)
            else:
                self._take(taken, left, leaf, -1)
                shut.add(leaf)
        return kept[chosen]

    def _take(self, taken: list[int], left: list[int], leaf: int, step: int) -> None:
        left[leaf] -= step
        group = leaf
        while group < len(self._groups):
            taken[group] += step
            group = self._parent[group]

    def _possible(self, taken: list[int], left: list[int], places: int) -> bool:
        """Return whether so many more places can be filled."""
        root = len(self._groups)
        need, room = [0] * (root + 1), list(left)
        for group in self._order:
            need[group] = max(self._low[group] - taken[group], need[group])
            room[group] = min(self._high[group] - taken[group], room[group])
            if need[group] > room[group]:
                return False
            need[self._parent[group]] += need[group]
            room[self._parent[group]] += room[group]
        return need[root] <= places <= room[root]


@final
class _Program:
    """The integer program: which items stand in which block of places."""

    def __init__(self, scores: Doubles, groups: Groups, kept: Ints, length: int) -> None:
        self._scores, self._groups, self._kept, self._length = scores, groups, kept, length
        self._ends = sorted({min(bound.first, length) for bound in groups.bounds} | {length})
        sizes = np.diff([0, *self._ends])
        discount = 1 / np.log2(np.arange(2, length + 2))
        weight = np.asarray([part.mean() for part in np.split(discount, self._ends[:-1])])
        if len(weight) == 1:
            weight[:] = 1.0
        self._gain = (weight[:, None] * scores[kept]).ravel()  # "blocks kept"
        has = groups.has[groups.signature[kept]].T  # "bounds kept"
        blocks, count = len(sizes), len(kept)
        every = np.arange(count)
        rows = [every + block * count for block in range(blocks)]  # the columns of each constraint
        low, high = list(sizes.astype(float)), list(sizes.astype(float))
        if blocks > 1:
            rows += list(every[:, None] + count * np.arange(blocks)[None])
            low += [0.0] * count
            high += [1.0] * count
        for members, bound in zip(has, groups.bounds, strict=True):
            inside = [block for block, end in enumerate(self._ends) if end <= bound.first]
            rows.append((np.flatnonzero(members)[None] + count * np.asarray(inside, np.int64)[:, None]).ravel())
            low.append(bound.low)
            high.append(min(bound.high, length))
        starts = np.cumsum([0, *(len(row) for row in rows)])
        columns = np.concatenate(rows)
        # Built in one step: sums of blocks by scipy take longer than the solver.
        self._matrix = sp.csr_array((np.ones(len(columns)), columns, starts), (len(rows), blocks * count)).tocsc()
        self._low, self._high = np.asarray(low, np.float64), np.asarray(high, np.float64)

    def solve(self) -> Solution | None:
        """Return the optimum, or the best list of the nodes that are searched and its gap."""
        relaxed = self._relaxed()
        if relaxed is None:
            return None
        values, ceiling = relaxed
        if np.abs(values - np.round(values)).max(initial=0.0) <= _WHOLE:
            return self._solution(np.round(values), ceiling)
        return self._integral(ceiling)

    def _relaxed(self) -> tuple[Doubles, float] | None:
        """Return the values of the linear relaxation, and its optimum."""
        found = self._optimum(0)
        return None if found.x is None else (np.asarray(found.x), -float(found.fun or 0.0))

    def _integral(self, ceiling: float) -> Solution | None:
        found = self._optimum(1)
        if found.x is None:
            return None
        bound = ceiling if found.mip_dual_bound is None else min(ceiling, -float(found.mip_dual_bound))
        return self._solution(np.round(found.x), bound)

    def _optimum(self, whole: int) -> OptimizeResult:
        """Return what HiGHS finds, in whole numbers or not; without any list after the nodes it searches on."""
        found = self._search(whole, _NODES)
        return self._search(whole, None) if found.x is None and found.status == _LIMIT_REACHED else found

    def _search(self, whole: int, nodes: int | None) -> OptimizeResult:
        return milp(
            -self._gain,
            integrality=np.full(len(self._gain), whole),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(self._matrix, self._low, self._high),
            options={"mip_rel_gap": 0.0} if nodes is None else {"mip_rel_gap": 0.0, "node_limit": nodes},
        )

    def _solution(self, values: Doubles, ceiling: float) -> Solution | None:
        """Return the list, checked in whole numbers; None if the solver was wrong about it."""
        chosen = values.reshape(len(self._ends), -1) > 0
        items = np.concatenate([self._kept[block] for block in chosen])  # kept are in the order of their scores
        if len(items) != self._length or self._groups.broken(items):
            return None
        value = float(self._gain @ values)
        gap = (ceiling - value) / max(abs(value), 1e-12)
        return Solution(items, float(self._scores[items].sum()), 0.0 if gap <= 1e-9 else gap)
