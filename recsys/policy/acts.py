"""Which rules acted on a list, told from the list and the plain one alone: cheap enough for every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from recsys.policy.binding import BoundPolicy
from recsys.policy.schema import LayerName


@final
@dataclass(frozen=True)
class Act:
    """What one rule did to a list.

    Attributes:
        rule: its id.
        layer: its layer.
        removed: numbers of items that are not listed though their scores would do: it forbids them, or it left them no
            place.
        lifted: numbers of items that are listed though their scores would not do: it wants them.
    """

    rule: str
    layer: LayerName
    removed: tuple[int, ...]
    lifted: tuple[int, ...]

    def to_dict(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return plain data; `ids` are the external ids of the items."""
        told = {"removed": [ids[item] for item in self.removed], "lifted": [ids[item] for item in self.lifted]}
        return {"rule": self.rule, "layer": self.layer, **told}


def acts(bound: BoundPolicy, plain: Sequence[int], listed: Sequence[int]) -> tuple[Act, ...]:
    """Return the rules that have a part in the difference between two lists.

    A removed item is put down to the rules that forbid it, else to those whose upper bound on it is reached, else to
    those whose lower bound is no more than reached, or that prefer others. A lifted item is put down to the lower
    bounds that it helps to reach, else to preferences for it, else to whatever made room. Which of several are needed
    only `recsys.policy.decide.effects` finds out, by deciding again without them.

    Args:
        bound: the policy.
        plain: the list without the policy.
        listed: the list.
    """
    items = np.asarray(listed, np.int64)
    removed = {item: _against(bound, item, items) for item in plain if item not in set(listed)}
    room = tuple(dict.fromkeys(rule for rules in removed.values() for rule in rules))
    lifted = {item: _for(bound, item, items) or room for item in listed if item not in set(plain)}
    found = []
    for layer, rule in bound.rules:
        out = tuple(item for item, rules in removed.items() if rule.id in rules)
        into = tuple(item for item, rules in lifted.items() if rule.id in rules)
        if out or into:
            found.append(Act(rule.id, layer, out, into))
    return tuple(found)


def _against(bound: BoundPolicy, item: int, listed: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[str, ...]:
    forbidding = tuple(rule for rule, mask in bound.removals if mask[item])
    if forbidding:
        return forbidding
    full, wanting = [], []
    groups = bound.groups
    has = groups.has[groups.signature[item]]
    for place, each in enumerate(groups.bounds):
        count = int(groups.counts(listed, each.first)[place])
        if has[place] and count >= each.high:
            full.append(each.rule)
        elif not has[place] and 0 < each.low >= count:
            wanting.append(each.rule)
    preferring = tuple(rule for rule, added in bound.preferences if added.any())
    return tuple(dict.fromkeys(full or wanting)) or preferring


def _for(bound: BoundPolicy, item: int, listed: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[str, ...]:
    groups = bound.groups
    has = groups.has[groups.signature[item]]
    wanting = [
        each.rule
        for place, each in enumerate(groups.bounds)
        if has[place] and 0 < each.low >= int(groups.counts(listed, each.first)[place])
    ]
    return tuple(dict.fromkeys(wanting)) or tuple(rule for rule, added in bound.preferences if added[item] > 0)
