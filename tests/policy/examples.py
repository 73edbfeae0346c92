"""Random catalogues and bounds, and what is true of them by enumeration."""

from __future__ import annotations

import itertools

import numpy as np

from recsys.policy.groups import Bound, Groups
from recsys.types import Doubles, Ints


def random_case(rng: np.random.Generator) -> tuple[Doubles, list[Bound], int]:
    """Return scores, bounds and the length of a small list, in all kinds of families of groups."""
    items, n, kind = int(rng.integers(3, 8)), int(rng.integers(1, 5)), int(rng.integers(3))
    scores = np.round(rng.normal(size=items), int(rng.integers(0, 3)))
    scores[rng.random(items) < 0.1] = -np.inf
    part = rng.integers(0, 3, items)
    bounds: list[Bound] = []
    for group in range(int(rng.integers(1, 5))):
        members = part == group if kind == 0 else rng.random(items) < 0.5
        if kind == 2 and bounds and rng.random() < 0.5:
            members = bounds[-1].members & members
        low = int(rng.integers(0, 3))
        high = max(low, int(rng.integers(0, 4)))
        first = n if rng.random() < 0.7 else int(rng.integers(1, n + 1))
        bounds.append(Bound(members, min(low, first), min(high, first), first, int(rng.integers(4)), f"r{group}"))
    return scores, bounds, n


def keeps(items: Ints, bounds: list[Bound]) -> bool:
    """Return whether a list keeps all bounds, counted one by one."""
    for bound in bounds:
        count = sum(bool(bound.members[item]) for item in items[: bound.first])
        if not bound.low <= count <= bound.high:
            return False
    return True


def worth(items: Ints, scores: Doubles, bounds: list[Bound]) -> float:
    """Return what `solve` makes as large as possible."""
    length = len(items)
    ends = sorted({min(bound.first, length) for bound in bounds} | {length})
    if len(ends) == 1:
        return float(scores[items].sum())
    discount = 1 / np.log2(np.arange(2, length + 2))
    blocks = np.split(np.arange(length), ends[:-1])
    return float(sum(discount[block].mean() * scores[items[block]].sum() for block in blocks if len(block)))


def best_by_enumeration(scores: Doubles, bounds: list[Bound], n: int) -> float | None:
    """Return the worth of the best list; None where no list of that length keeps the bounds."""
    allowed = np.flatnonzero(scores > -np.inf)
    length = min(n, len(allowed))
    lists = (np.asarray(each, np.int64) for each in itertools.permutations(allowed.tolist(), length))
    return max((worth(each, scores, bounds) for each in lists if keeps(each, bounds)), default=None)


def groups_of(scores: Doubles, bounds: list[Bound]) -> tuple[Groups, Ints]:
    """Return groups, and how many items of each signature may be listed."""
    groups = Groups.of(bounds, len(scores))
    return groups, np.bincount(groups.signature[scores > -np.inf], minlength=len(groups.has))
