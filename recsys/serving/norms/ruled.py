"""What rules did to a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommendations
from recsys.policy.decide import Decision
from recsys.types import Items


@final
@dataclass(frozen=True)
class Ruled:
    """What rules did to a list.

    Attributes:
        plain: numbers of the items of the list without the policy.
        items: those of the list.
        value: sum of their scores.
        relaxed: ids of rules that gave way.
        gap: see `AppliedPolicy`.
        shaped: whether quotas or preferences chose the list, and not the model's slate among what may be listed.
    """

    plain: tuple[int, ...]
    items: tuple[int, ...]
    value: float
    relaxed: tuple[str, ...] = ()
    gap: float = 0.0
    shaped: bool = False

    @classmethod
    def of(cls, plain: Recommendations, listed: Recommendations, decision: Decision | None = None) -> Self:
        """Return what changed between two lists of one query; `decision`: the rules that shaped the second."""
        items = known(listed.items)
        value = float(np.asarray(listed.scores[0][: len(items)], np.float64).sum())
        if decision is None:
            return cls(known(plain.items), items, value)
        return cls(known(plain.items), items, value, decision.relaxed, decision.gap, shaped=True)


def known(items: Items) -> tuple[int, ...]:
    """Return the items of a single list, without the empty places at its end."""
    return tuple(item for item in items[0].tolist() if item != UNKNOWN)
