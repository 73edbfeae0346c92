"""What a policy means for one catalogue, circumstance, moment and length of list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, final

import numpy as np

from recsys.errors import ConfigError
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.groups import Bound, Groups
from recsys.policy.schema import LAYERS, Context, LayerName, Policy, Rule
from recsys.types import Doubles, Ints, Mask

MOST_GROUPS: Final = 64
"""Of one list."""

Mode = Literal["strict", "clip"]


@final
@dataclass(frozen=True, eq=False)
class BoundPolicy:
    """The rules that act on a request, as masks and numbers.

    Attributes:
        rules: all rules that hold in these circumstances, with their layers.
        removals: id of each rule that removes items, and "items", which.
        unprofiled: "items": must be taken out of histories before anything is scored.
        groups: bounds on the list.
        preferences: id of each rule that prefers items, and "items", what it adds, in ranges of the scores.
        void: rules that say no more than one of a layer above, and why.
        clipped: rules that contradict one of a layer above and were overruled.
        unknown: rules, and for how many items it is not known whether they are meant.
    """

    rules: tuple[tuple[LayerName, Rule], ...]
    removals: tuple[tuple[str, Mask], ...]
    unprofiled: Mask
    groups: Groups
    preferences: tuple[tuple[str, Doubles], ...]
    void: Mapping[str, str]
    clipped: Mapping[str, str]
    unknown: Mapping[str, int]

    @property
    def bonus(self) -> Doubles:
        """ "items": what preferences add to scores, in ranges of the scores."""
        return np.asarray(sum((added for _, added in self.preferences), np.zeros(len(self.unprofiled))))

    @property
    def removed(self) -> Mask:
        """ "items": must not be listed."""
        nothing = np.zeros(len(self.unprofiled), np.bool_)
        return np.asarray(np.logical_or.reduce([nothing, *(mask for _, mask in self.removals)]))

    def available(self, candidates: Mask) -> Ints:
        """Return "signatures": how many of the candidates, "items", are of each."""
        return np.bincount(self.groups.signature[candidates], minlength=len(self.groups.has))

    def without(self, rules: frozenset[str]) -> BoundPolicy:
        """Return the policy without some rules; what they added to scores is taken away, too."""
        return replace(
            self,
            removals=tuple(each for each in self.removals if each[0] not in rules),
            groups=self.groups.without(rules),
            preferences=tuple(each for each in self.preferences if each[0] not in rules),
        )

    def layer_of(self, rule: str) -> LayerName:
        """Return the layer of a rule."""
        return next(layer for layer, one in self.rules if one.id == rule)


def bind(
    policy: Policy, catalogue: PolicyCatalogue, context: Context, now: int, n: int, mode: Mode = "strict"
) -> BoundPolicy:
    """Return what a policy means for lists of a length.

    Of each group the lower bound is the largest of all layers and the upper bound the smallest: a lower layer may only
    narrow. Groups are compared by the items that they have, not by how they are written.

    Args:
        policy: the policy.
        catalogue: its items.
        context: who asks.
        now: Unix seconds.
        n: length of the list.
        mode: what happens to a rule that contradicts one of a layer above: "strict" refuses, "clip" overrules it.

    Raises:
        ConfigError: a rule names what the catalogue does not have; rules contradict each other; groups are too many.
    """
    rules = tuple((layer, rule) for layer, rule in policy.rules if rule.applies(context)) if policy.valid(now) else ()
    unprofiled = np.zeros(len(catalogue), np.bool_)
    removals: list[tuple[str, Mask]] = []
    preferences: list[tuple[str, Doubles]] = []
    unknown: dict[str, int] = {}
    caps, bounds = preference_caps(policy), _Bounds(mode, n)
    for layer, rule in rules:
        for name, selection in catalogue.parts(rule.of, now, f"rule {rule.id!r}").items():
            members, missing = selection.members, selection.missing
            if missing.any():
                unknown[rule.id] = int(missing.sum())
            if rule.kind == "deny":
                removals.append((rule.id, members | missing))
            elif rule.kind == "require":
                removals.append((rule.id, ~members))
            elif rule.kind == "no_profiling":
                unprofiled |= members | missing
            elif rule.kind == "prefer":
                preferences.append((rule.id, np.where(members, np.clip(rule.weight, -caps[layer], caps[layer]), 0.0)))
            else:
                bounds.narrow(members, layer, rule, name)
    groups = Groups.of(bounds.all(), len(catalogue))
    return BoundPolicy(
        rules, tuple(removals), unprofiled, groups, tuple(preferences), bounds.void, bounds.clipped, unknown
    )


def preference_caps(policy: Policy) -> dict[LayerName, float]:
    """Return the largest weight of preferences of each layer: the smallest cap of the layers above."""
    caps, cap = {}, np.inf
    given = {layer.name: layer.prefer_cap for layer in policy.layers}
    for name in LAYERS:
        caps[name] = float(cap)
        own = given.get(name)
        cap = cap if own is None else min(cap, own)
    return caps


@final
class _Bounds:
    """The bounds of all layers on groups of items, narrowed from the top."""

    def __init__(self, mode: Mode, n: int) -> None:
        self._mode, self._n = mode, n
        self._bounds: dict[tuple[bytes, int], list[Bound]] = {}
        self._void: dict[str, str] = {}
        self._narrowing: set[str] = set()
        self.clipped: dict[str, str] = {}

    def all(self) -> list[Bound]:
        """Return the bounds that bind."""
        if len(self._bounds) > MOST_GROUPS:
            raise ConfigError(
                f"lists of {self._n} items have {len(self._bounds)} groups with bounds; {MOST_GROUPS} are allowed: "
                "join rules, or bound fewer values than 'each' names"
            )
        return [bound for bounds in self._bounds.values() for bound in bounds]

    @property
    def void(self) -> dict[str, str]:
        """Rules no part of which narrows what others bind, and why."""
        return {rule: reason for rule, reason in self._void.items() if rule not in self._narrowing}

    def narrow(self, members: Mask, layer: LayerName, rule: Rule, part: str) -> None:
        """Narrow the bounds on a group by one rule."""
        first = self._n if rule.in_first is None else min(self._n, rule.in_first)
        low = 0 if rule.at_least is None else rule.at_least.least(first)
        high = first if rule.at_most is None else rule.at_most.most(first)
        if low > high:  # shares, rounded up and down, may cross in short lists
            fault = f"rule {rule.id!r} wants at least {low} and at most {high} of {first} places"
            if self._mode == "strict":
                raise ConfigError(fault)
            self.clipped[rule.id] = fault
            return
        bounds = self._bounds.setdefault((members.tobytes(), first), [])
        least, most = max([0, *(bound.low for bound in bounds)]), min([first, *(bound.high for bound in bounds)])
        above = " and ".join(dict.fromkeys(repr(bound.rule) for bound in bounds if bound.rule != rule.id))
        if low > most or high < least:
            fault = (
                f"{rule.id!r} ({layer}) wants from {low} to {high} of {part or rule.of} in {first} places, and {above} "
                f"from {least} to {most}"
            )
            if self._mode == "strict":
                raise ConfigError(f"{fault}; mend the rule of the lower layer")
            self.clipped[rule.id] = fault
            return
        if above and low <= least and high >= most:
            self._void[rule.id] = f"{above} already bind the same items from {least} to {most}"
        elif low > least or high < most:
            self._narrowing.add(rule.id)
        bounds.append(Bound(members, low, high, first, LAYERS.index(layer), rule.id))
