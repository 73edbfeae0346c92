"""What is wrong with a policy, found before it serves: contradictions, what cannot be met, what can never act."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, final

import numpy as np

from recsys.errors import ConfigError
from recsys.policy.binding import BoundPolicy, bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.feasibility import is_feasible, minimal_conflict
from recsys.policy.schema import Condition, Context, Policy
from recsys.types import DAY

MOST_CONTEXTS: Final = 4_096
"""Circumstances that are told apart."""

CROSSING: Final = 8
"""Groups that cross each other, from which on a list may take long to decide."""

_SOON: Final = 30 * DAY


@final
@dataclass(frozen=True)
class Conflict:
    """Rules that no list can keep together.

    Attributes:
        rules: their ids; without any of them the others can be kept.
        lengths: of the lists, ascending.
        context: one circumstance in which they meet.
        fault: a sentence.
    """

    rules: tuple[str, ...]
    lengths: tuple[int, ...]
    context: Context
    fault: str

    def __str__(self) -> str:
        lengths = f"{self.lengths[0]}" if len(self.lengths) == 1 else f"{self.lengths[0]} to {self.lengths[-1]}"
        return f"{' and '.join(self.rules)} (lists of {lengths}): {self.fault}"


@final
@dataclass(frozen=True)
class Report:
    """What a check of a policy found.

    Attributes:
        conflicts: what must be mended before the policy serves.
        warnings: what should be looked at.
    """

    conflicts: tuple[Conflict, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        conflicts = [{"rules": each.rules, "lengths": each.lengths, "fault": each.fault} for each in self.conflicts]
        return {"conflicts": conflicts, "warnings": list(self.warnings)}


def check(policy: Policy, catalogue: PolicyCatalogue, now: int) -> Report:
    """Check a policy in all circumstances that it tells apart, for all lengths of lists that it promises.

    Raises:
        ConfigError: a rule names what the catalogue does not have; there are too many circumstances.
    """
    found: dict[tuple[str, ...], Conflict] = {}
    warnings: dict[str, None] = {}
    acted: set[str] = set()
    for context in _contexts(policy):
        for n in range(policy.shortest, policy.longest + 1):
            bound = bind(policy, catalogue, context, now, n, "clip")
            for rules, fault in _clashes(bound, n):
                old = found.setdefault(rules, Conflict(rules, (), context, fault))
                found[rules] = replace(old, lengths=tuple(sorted({*old.lengths, n})))
            acted |= _acting(bound, n)
            for void, reason in bound.void.items():
                warnings[f"{void!r} says nothing new: {reason}"] = None
            _warn(bound, warnings)
    for _, rule in policy.rules:
        if rule.id not in acted:
            warnings[f"{rule.id!r} can never act: {rule}"] = None
    if policy.valid_until is not None and policy.valid_until < now + _SOON:
        warnings[f"the policy ends in {max(0, policy.valid_until - now) // DAY} days"] = None
    return Report(tuple(found.values()), tuple(warnings))


def _clashes(bound: BoundPolicy, n: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield rules that cannot be kept together, and a sentence about them."""
    for rule, fault in bound.clipped.items():
        yield (rule,), fault
    listable = ~bound.removed
    clash = minimal_conflict(bound.groups, bound.available(listable), n)
    if clash:
        fault = f"no list of {n} keeps them together, of {int(listable.sum()):,} items that may be listed"
        rules = (*_needed_removals(bound, clash, n), *(bound.groups.bounds[place].rule for place in clash))
        yield tuple(dict.fromkeys(rules)), fault


def _needed_removals(bound: BoundPolicy, clash: tuple[int, ...], n: int) -> list[str]:
    """Return the rules that remove items without any of which the bounds of a clash could be kept.

    They are left out one by one after the bounds were; with more items to list none of the bounds becomes spare.
    """
    needed = [rule for rule, mask in bound.removals if mask.any()]
    for rule in reversed(needed):
        kept = [name for name in needed if name != rule]
        listable = ~bound.without(frozenset(name for name, _ in bound.removals if name not in kept)).removed
        if not is_feasible(bound.groups, bound.available(listable), n, clash):
            needed = kept
    return needed


def _acting(bound: BoundPolicy, n: int) -> set[str]:
    """Return rules that can change a list."""
    acting = {rule for rule, mask in bound.removals if mask.any()}
    acting |= {rule for rule, added in bound.preferences if added.any()}
    acting |= {rule.id for _, rule in bound.rules if rule.kind == "no_profiling" and bound.unprofiled.any()}
    sizes = bound.groups.has[bound.groups.signature].sum(0)
    for each, size in zip(bound.groups.bounds, sizes.tolist(), strict=True):
        if each.low > 0 or each.high < min(each.first, size, n):
            acting.add(each.rule)
    return acting


def _warn(bound: BoundPolicy, warnings: dict[str, None]) -> None:
    for rule, count in bound.unknown.items():
        warnings[f"{rule!r} asks for what is not known of {count:,} items; it counts against them"] = None
    if not bound.groups.is_laminar and len(bound.groups) > CROSSING:
        warnings[f"{len(bound.groups)} groups cross each other; from {CROSSING} on a list may take long to decide"] = (
            None
        )


def _contexts(policy: Policy) -> list[Context]:
    """Return one context of each circumstance that conditions of the policy tell apart."""
    conditions = [each for _, rule in policy.rules for each in (rule.when, rule.unless) if each is not None]
    ages = sorted({each.age_below for each in conditions if each.age_below is not None})
    regions = _values(conditions, "region")
    consents = _values(conditions, "consent")
    roles = _values(conditions, "role")
    kinds = (len(ages) + 1) * (len(regions) + 1) * 2 ** len(consents) * (len(roles) + 1)
    if kinds > MOST_CONTEXTS:
        raise ConfigError(
            f"the conditions of the policy tell {kinds:,} circumstances apart; {MOST_CONTEXTS:,} can be checked: use "
            "fewer consents, regions, roles and ages"
        )
    agreed = [frozenset(np.asarray(consents)[list(chosen)].tolist()) for chosen in _subsets(len(consents))]
    every = product(
        [*(age - 1 for age in ages), (ages[-1] if ages else None)], [*regions, None], agreed, [*roles, None]
    )
    seen: dict[tuple[str, ...], Context] = {}
    for age, region, given, role in every:
        context = Context(age, region, given, role)
        seen.setdefault(tuple(rule.id for _, rule in policy.rules if rule.applies(context)), context)
    return list(seen.values())


def _values(conditions: list[Condition], name: str) -> list[str]:
    return sorted({value for each in conditions for value in getattr(each, name)})


def _subsets(size: int) -> list[list[int]]:
    return [[place for place in range(size) if number >> place & 1] for number in range(2**size)]
