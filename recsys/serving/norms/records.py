"""The records of answers that tell of the policy, which become JSON as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from recsys.policy.schema import LayerName


@final
@dataclass(frozen=True)
class RuleFacts:
    """A rule: its id in the policy, its layer, what it says in words, and why it is there, where the policy tells."""

    id: str
    layer: LayerName
    rule: str
    why: str


@final
@dataclass(frozen=True)
class NamedItem:
    """An item and its title."""

    item_id: str
    title: str

    def as_tuple(self) -> tuple[str, str]:
        """Return id and title."""
        return self.item_id, self.title


@final
@dataclass(frozen=True)
class Acted:
    """What one rule has a part in; `ItemDecision` tells which of several rules are needed.

    Attributes:
        rule: the rule.
        removed: items that are not listed, though without the policy they would be.
        lifted: items that are listed, though without the policy they would not be.
    """

    rule: RuleFacts
    removed: tuple[NamedItem, ...]
    lifted: tuple[NamedItem, ...]


@final
@dataclass(frozen=True)
class ItemDecision:
    """Why an item is not listed though it would be without the policy, or is though it would not.

    Attributes:
        item_id, title: the item.
        change: "removed" or "lifted".
        rules: without these rules it would not be so, and without any smaller part of them it would be.
        price: how much larger the sum of scores of the list would be without them.
    """

    item_id: str
    title: str
    change: Literal["removed", "lifted"]
    rules: tuple[RuleFacts, ...]
    price: float


@final
@dataclass(frozen=True)
class AppliedPolicy:
    """What the policy did to a list.

    Attributes:
        name: of the policy.
        version: SHA-256 of its file.
        acted: the rules that changed the list.
        relaxed: ids of rules that had to give way, as no list keeps all of them.
        gap: by how much at most a better list could be better, relative to this one; 0: it is proven to be the best.
        decisions: of each removed and lifted item; null where the request does not ask.
        audit: id of the line in the ledger; null without a ledger.
    """

    name: str
    version: str
    acted: tuple[Acted, ...]
    relaxed: tuple[str, ...] = ()
    gap: float = 0.0
    decisions: tuple[ItemDecision, ...] | None = None
    audit: str | None = None
