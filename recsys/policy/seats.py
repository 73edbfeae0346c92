"""Lists whose places belong to somebody, such as a user's personas, under a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from recsys.policy.binding import BoundPolicy
from recsys.policy.decide import Decision
from recsys.policy.feasibility import relax
from recsys.policy.groups import Bound, Groups
from recsys.policy.schema import LAYERS
from recsys.policy.solve import solve
from recsys.types import Doubles, Ints

_LAW: Final = 0
_SEATS: Final = len(LAYERS)
"""Below every layer: seats give way first."""


def candidates(bound: BoundPolicy, values: Doubles, order: Ints, each: int, pool: int) -> Ints:
    """Return the items among which the best list is looked for, best first.

    Args:
        bound: the policy.
        values: "items"; -inf for items that must not be listed.
        order: "items", rank of each item among equal values.
        each: how many of each signature; with the length of the list, no better item of the signature is missing.
        pool: how many of the best, whatever their signature.
    """
    ranked = np.lexsort((order, -values))
    ranked = ranked[: int((values > -np.inf).sum())]
    signature = bound.groups.signature[ranked]
    by_signature = np.argsort(signature, kind="stable")
    grouped = signature[by_signature]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    place = np.arange(len(grouped)) - np.repeat(starts, np.diff(np.r_[starts, len(grouped)]))
    kept = np.zeros(len(ranked), np.bool_)
    kept[by_signature[place < each]] = True
    kept[:pool] = True
    return np.asarray(ranked[kept], np.int64)


def decide_seated(
    bound: BoundPolicy, values: Doubles, order: Ints, n: int, kept: Ints, owner: Ints, seats: Mapping[int, int]
) -> Decision:
    """Return the best list that a policy allows and that leaves as many seats as possible to their owners.

    Rules come first. Where they and the seats cannot all be kept, as few owners as possible, by as few seats as
    possible, get another number of items.

    Args:
        bound: the policy.
        values: "items", with what preferences add; -inf for items that must not be listed.
        order: "items", rank of each item among equal values.
        n: length of the list.
        kept: the candidates, best first; see `candidates`.
        owner: "kept", who owns each; -1 for nobody.
        seats: how many items each owner is due.
    """
    own, ranks, length = values[kept], order[kept], min(n, len(kept))
    rules = [replace(each, members=each.members[kept]) for each in bound.groups.bounds]
    groups = Groups.of(rules, len(kept))
    relaxed: tuple[str, ...] = ()
    found = solve(own, ranks, groups, length)
    if found is None:
        relaxation = relax(groups, _available(groups), length)
        relaxed = tuple(dict.fromkeys(rules[place].rule for place in relaxation.relaxed))
        rules, length = list(relaxation.bounds), relaxation.length
        found = solve(own, ranks, groups.with_bounds(rules), length)
    if found is None:
        return Decision((), 0.0, 0.0, relaxed)
    due = [
        Bound(owner == each, min(count, length), min(count, length), length, _SEATS) for each, count in seats.items()
    ]
    seated = Groups.of([*(replace(each, level=_LAW) for each in rules), *due], len(kept))
    better = solve(own, ranks, seated, length)
    if better is None:
        relaxation = relax(seated, _available(seated), length)
        better = solve(own, ranks, seated.with_bounds(relaxation.bounds), relaxation.length)
    best = found if better is None or len(better.items) < len(found.items) else better
    items = kept[best.items]
    return Decision(tuple(items.tolist()), float(values[items].sum()), best.gap, tuple(sorted(relaxed)))


def _available(groups: Groups) -> Ints:
    return np.bincount(groups.signature, minlength=len(groups.has))
