"""The personas of a user as the history grows: the same in every process, whatever was asked before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import GROWTH
from recsys.models.personas.model import WithPersonas

_FIRST: Final = 32
_FACTOR: Final = 4
"""Lengths of a history that pass persona numbers on to later ones: 32, 128, 512, ..."""

_STEP: Final = 3
"""The least number of events after which personas are found anew."""


@final
@dataclass(frozen=True, eq=False)
class GrownPersonas:
    """The personas of one user, and those of earlier lengths of the history from which they have their numbers.

    Personas of a history that has grown keep their numbers where they last (`WithPersonas.found`), so they depend on
    those before them. Every process has to find the same, after a restart as well, so it is the history alone that says
    on which: those of its first 32, 128, 512, ... events, each following the one before; after them those of the length
    at which personas were found anew last, in steps of a tenth; later events join the persona of their taste.

    Attributes:
        queries: the user as one query.
        steps: lengths of the history, ascending, and the personas at each.
        found: the personas of the whole history.
    """

    queries: Queries
    steps: tuple[tuple[int, FoundPersonas], ...]
    found: FoundPersonas

    @classmethod
    def of(cls, model: WithPersonas, queries: Queries, former: GrownPersonas | None = None) -> Self:
        """Find the personas of one user.

        Args:
            model: fitted.
            queries: the user as one query.
            former: of the same user, of an earlier history; saves work and changes nothing.
        """
        lengths = _lengths(len(queries.times))
        shared = 0 if former is None else _shared(queries, former.queries)
        steps: list[tuple[int, FoundPersonas]] = []
        if former is not None:
            for length, (before, found) in zip(lengths, former.steps, strict=False):
                if length != before or length > shared:
                    break
                steps.append((before, found))
        for length in lengths[len(steps) :]:
            first = queries.keep(np.arange(len(queries.times)) < length)
            steps.append((length, model.found(first, steps[-1][1] if steps else None)))
        return cls(queries, tuple(steps), model.found(queries, steps[-1][1] if steps else None))

    @property
    def nbytes(self) -> int:
        """Size in bytes, approximately."""
        return sum(
            sum(array.nbytes for array in (*vars(found.personas).values(), found.numbers, found.mass))
            for found in (self.found, *(found for _, found in self.steps))
        )


def _lengths(events: int) -> list[int]:
    """Return the lengths at which personas are found on the way to a history of some events.

    >>> _lengths(2), _lengths(31), _lengths(140)
    ([], [30], [32, 128, 129])
    """
    coarse = _FIRST
    lengths: list[int] = []
    while coarse <= events:
        lengths.append(coarse)
        coarse *= _FACTOR
    last, following = 0, _STEP
    while following <= events:
        last, following = following, max(following + _STEP, int(following * (1 + GROWTH)) + 1)
    return [*lengths, last] if last > (lengths[-1] if lengths else 0) else lengths


def _shared(queries: Queries, others: Queries) -> int:
    """Return how many of the first events two histories have in common."""
    size = min(len(queries.times), len(others.times))
    same = queries.history.items[:size] == others.history.items[:size]
    if queries.kinds is not None and others.kinds is not None:
        same &= queries.kinds[:size] == others.kinds[:size]
    return size if same.all() else int(same.argmin())
