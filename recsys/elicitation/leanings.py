"""What answers say in words: the genres to which somebody leans, and those away from which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.items import ItemMetadata
from recsys.types import Doubles

_MOVED: Final = 0.08
"""Genres whose share changes by less than this part of it are not named."""

_COMMON: Final = 0.02
"""Genres with a smaller share of what everybody likes are not named."""


@final
@dataclass(frozen=True)
class Leaning:
    """A genre, and by what factor its share of what is expected to be liked differs from everybody's."""

    genre: str
    lift: float


def leanings(
    expected: Doubles, before: Doubles, metadata: ItemMetadata, answered: Sequence[int] = (), most: int = 3
) -> tuple[Leaning, ...]:
    """Return the genres that the answers moved most, at most `most` up and `most` down, the largest lift first.

        lift_g = (sum_i m_ig e_i / sum_i e_i) / (sum_i m_ig q_i / sum_i q_i)    over items that were not answered

    Args:
        expected: "items", e, the probabilities of being liked after the answers.
        before: "items", q, the same before any answer.
        metadata: genres of the items; m_ig is an equal part of the item for each of its genres.
        answered: items that count for neither.
        most: genres of each direction.
    """
    if not metadata.has_genres:
        return ()
    names, _ = metadata.genre_matrix
    parts, after, prior = metadata.genre_parts, np.clip(expected, 0.0, None), before.copy()
    for shares in (after, prior):
        shares[list(answered)] = 0.0
    base = prior @ parts / max(float(prior.sum()), 1e-12)
    lift = (after @ parts / max(float(after.sum()), 1e-12)) / np.maximum(base, 1e-12)
    named = [number for number in np.argsort(-lift, kind="stable").tolist() if base[number] >= _COMMON]
    up = [number for number in named if lift[number] > 1 + _MOVED][:most]
    down = [number for number in named if lift[number] < 1 - _MOVED][-most:]
    return tuple(Leaning(names[number], float(lift[number])) for number in [*up, *down])
