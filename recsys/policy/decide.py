"""The list that a policy allows, and which rule did what to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, final

import numpy as np

from recsys.policy.binding import BoundPolicy
from recsys.policy.feasibility import relax
from recsys.policy.schema import LayerName
from recsys.policy.solve import solve
from recsys.types import Doubles, Ints

Change = Literal["removed", "lifted"]

_ACTING: Final = ("deny", "require", "quota", "prefer")


@final
@dataclass(frozen=True)
class Decision:
    """A list under a policy.

    Attributes:
        items: item numbers, best first.
        value: sum of their scores, without what preferences add.
        gap: by how much at most a better list could be better; 0: proven to be the best.
        relaxed: ids of the rules that had to give way so that there is a list of this length.
    """

    items: tuple[int, ...]
    value: float
    gap: float
    relaxed: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Effect:
    """What rules did to one item.

    Attributes:
        item: its number.
        change: "removed": of the best scores it is not listed; "lifted": it is listed and is not among them.
        rules: the rules without which it would not be so; without any of them left out it is.
        layers: theirs.
        price: how much larger the sum of scores would be without these rules.
    """

    item: int
    change: Change
    rules: tuple[str, ...]
    layers: tuple[LayerName, ...]
    price: float


def decide(bound: BoundPolicy, scores: Doubles, order: Ints, n: int) -> Decision:
    """Return the best list that a policy allows.

    Args:
        bound: the policy for lists of `n`.
        scores: "items"; -inf for items that are no candidates.
        order: "items", rank of each item among equal scores.
        n: length of the list; it is shorter where fewer candidates are allowed.
    """
    finite = scores > -np.inf
    allowed = finite & ~bound.removed
    values = np.where(allowed, scores, -np.inf).astype(np.float64)
    if bound.preferences and finite.any():
        values = values + bound.bonus * np.ptp(scores[finite])
    groups, length = bound.groups, min(n, int(allowed.sum()))
    relaxed: tuple[str, ...] = ()
    solution = solve(values, order, groups, length)
    if solution is None:
        relaxation = relax(groups, bound.available(allowed), length)
        relaxed = tuple(dict.fromkeys(groups.bounds[place].rule for place in relaxation.relaxed))
        solution = solve(values, order, groups.with_bounds(relaxation.bounds), relaxation.length)
    if solution is None:  # law allows no list of any length; or the solver is wrong, and nothing unchecked is shown
        return Decision((), 0.0, 0.0, relaxed)
    return Decision(
        tuple(solution.items.tolist()), float(scores[solution.items].sum()), solution.gap, tuple(sorted(relaxed))
    )


def effects(bound: BoundPolicy, scores: Doubles, order: Ints, n: int) -> tuple[Effect, ...]:
    """Return for each item that is listed because of the policy, or is not, which rules made it so.

    Each set of rules is checked by deciding without it, and none of its rules can be left out. See `decide`.
    """
    return effects_of(bound, lambda rules: decide(bound.without(rules), scores, order, n))


def effects_of(bound: BoundPolicy, decided: Callable[[frozenset[str]], Decision]) -> tuple[Effect, ...]:
    """Return the effects of a policy on lists that are decided by a function of the rules to leave out."""
    return _Effects(bound, decided).all()


@final
@dataclass(eq=False)
class _Effects:
    bound: BoundPolicy
    decided: Callable[[frozenset[str]], Decision]
    _decisions: dict[frozenset[str], Decision] = field(default_factory=dict)

    def all(self) -> tuple[Effect, ...]:
        rules = [rule.id for _, rule in self.bound.rules if rule.kind in _ACTING]
        listed, plain = set(self._without(frozenset()).items), self._without(frozenset(rules)).items
        removed = [self._effect(item, "removed", rules) for item in plain if item not in listed]
        lifted = [item for item in self._without(frozenset()).items if item not in plain]
        return (*removed, *(self._effect(item, "lifted", rules) for item in lifted))

    def _effect(self, item: int, change: Change, rules: list[str]) -> Effect:
        found = self._smallest(item, change, rules)
        price = self._without(found).value - self._without(frozenset()).value
        names = tuple(rule for rule in rules if rule in found)
        return Effect(item, change, names, tuple(self.bound.layer_of(rule) for rule in names), price)

    def _smallest(self, item: int, change: Change, rules: list[str]) -> frozenset[str]:
        """Return rules without which the item is where its score puts it: a single one, or else a set with no spare."""
        wanted = change == "removed"
        for rule in rules:
            if (item in self._without(frozenset({rule})).items) == wanted:
                return frozenset({rule})
        kept, before = frozenset(rules), None
        while kept != before:  # again, as leaving one out may make another one spare
            before = kept
            for rule in rules:
                if (item in self._without(kept - {rule}).items) == wanted:
                    kept -= {rule}
        return kept

    def _without(self, rules: frozenset[str]) -> Decision:
        if rules not in self._decisions:
            self._decisions[rules] = self.decided(rules)
        return self._decisions[rules]
