"""Personas while a history grows: a new event joins one at once, and a persona that is found again stays itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import (
    Personas,
    PersonaSettings,
    find_personas,
    personas_of,
    taste_mass,
    taste_sums,
)
from recsys.models.personas.dictionary import TasteDictionary
from recsys.types import Doubles, Items

GROWTH = 0.1
"""Share of new events at which a user's personas are found anew."""


def updated_personas(
    dictionary: TasteDictionary,
    queries: Queries,
    former: Personas,
    settings: PersonaSettings | None = None,
    growth: float = GROWTH,
) -> Personas:
    """Return the personas of users whose histories have changed since `former`.

    New events join the persona of their taste; every taste has one. Where a user has none yet, or the summed weights
    have changed by more than `growth` since `former` was found (but for `settings.least_events`), the personas are
    found anew and named after those that they continue: the assignment with the largest shared weight of events, as
    long as a persona shares half of its events with its namesake.

    Args:
        dictionary: the tastes, the same as before.
        queries: the users with their histories of now.
        former: their personas, found by `find_personas` or here.
        settings: limits.
        growth: change of the weights, as a share, that is only assigned.
    """
    chosen = settings or PersonaSettings()
    mass, sums = taste_sums(dictionary, queries)
    grown = personas_of(dictionary, mass, sums, former.of_taste, former.identity)
    assigned = replace(grown, found=former.found, used=former.used)
    change = np.abs(mass.sum(1) - former.found)
    least = np.maximum(growth * former.found, chosen.least_events - 1)
    stale = np.flatnonzero((change > least) | (former.counts == 0))
    if len(stale) == 0:
        return assigned
    return assigned.with_rows(stale, _renamed(dictionary, queries.take(stale), former.take(stale), chosen))


def matched(first: Items, second: Items, mass: Doubles) -> list[tuple[int, int, float]]:
    """Return which group of one partition of the tastes continues which of another, with their shared mass.

    >>> matched(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([2.0, 1.0, 4.0]))
    [(0, 1, 3.0), (1, 0, 4.0)]
    """
    shared = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    used = mass > 0
    np.add.at(shared, (first[used], second[used]), mass[used])
    rows, columns = linear_sum_assignment(-shared)
    return [(int(a), int(b), float(shared[a, b])) for a, b in zip(rows, columns, strict=True)]


def _renamed(dictionary: TasteDictionary, queries: Queries, former: Personas, settings: PersonaSettings) -> Personas:
    """Find personas anew and give them the identities, and the places, of those that they continue."""
    anew = find_personas(dictionary, queries, settings)
    mass = taste_mass(dictionary, queries)
    identity = np.full_like(anew.identity, UNKNOWN)
    for row, count in enumerate(anew.counts.tolist()):
        names = former.identity[row]
        pairs = [] if former.counts[row] == 0 else matched(anew.of_taste[row], former.of_taste[row], mass[row])
        for persona, before, shared in pairs:
            if persona < count and 2 * shared >= anew.mass[row, persona]:
                identity[row, persona] = names[before]
        fresh = np.flatnonzero(identity[row, :count] == UNKNOWN)
        identity[row, fresh] = former.used[row] + np.arange(len(fresh))
    return replace(anew, identity=identity, used=np.maximum(former.used, identity.max(1, initial=-1) + 1))
