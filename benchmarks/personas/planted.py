"""Users of one and of two tastes, planted on a real log: histories drawn from the items of one label, or of two."""

from __future__ import annotations

import numpy as np

from benchmarks.personas.subject import Figures
from recsys.data.interactions import Interactions
from recsys.data.items import NO_GENRE
from recsys.data.queries import Queries
from recsys.models import WithPersonas
from recsys.types import Doubles, Ints

_USERS = 300
_FEWEST = 40
"""Items of a label from which is drawn."""

_WIDEST = 1 / 6
"""A label with a larger share of the events is not one taste."""


def planted_users(train: Interactions, served: WithPersonas, seed: int) -> Figures:
    """Return the share of users of one label who have one persona, and of two labels who have several.

    Items are drawn by their popularity: 15 or 40 of one label; of two, 10 of each that the other does not have.
    """
    counts = np.bincount(train.item_num, minlength=train.n_items).astype(np.float64)
    pools = _pools(train, counts)
    if len(pools) < 2:
        return {}
    rng = np.random.default_rng(seed)
    figures = {}
    for events, stray in ((15, 0.0), (40, 0.0), (40, 0.2)):
        strays = round(stray * events)
        histories = [
            np.unique(
                np.concatenate(
                    [_drawn(pools[user % len(pools)], counts, events - strays, rng), _any(counts, strays, rng)]
                )
            )
            for user in range(_USERS)
        ]
        name = f"one of {events}" + (f", {stray:.0%} of them anything" if stray else "")
        figures[name] = float((served.found(Queries.from_history(histories)).personas.counts == 1).mean())
    both: list[Ints] = []
    for _ in range(20 * _USERS):
        one, other = rng.choice(len(pools), 2, replace=False)
        sides = np.setdiff1d(pools[one], pools[other]), np.setdiff1d(pools[other], pools[one])
        if min(map(len, sides)) >= 10 and len(both) < _USERS:  # a tag may be a part of another
            both.append(np.concatenate([_drawn(side, counts, 10, rng) for side in sides]))
    if both:
        several = served.found(Queries.from_history(both)).personas.counts > 1
        figures["two of 10 each, several found"] = float(several.mean())
    return figures


def _pools(train: Interactions, counts: Doubles) -> list[Ints]:
    """Return the items in use of each label that is narrow enough to be a taste."""
    metadata = train.metadata
    rows = metadata.genres if metadata.has_genres else metadata.tags
    of_label: dict[str, list[int]] = {}
    for item in np.flatnonzero(counts).tolist():
        for label in set(rows[item]) - NO_GENRE:
            of_label.setdefault(label, []).append(item)
    pools = [np.asarray(of_label[label]) for label in sorted(of_label)]
    return [own for own in pools if len(own) >= _FEWEST and counts[own].sum() <= _WIDEST * counts.sum()]


def _drawn(pool: Ints, counts: Doubles, events: int, rng: np.random.Generator) -> Ints:
    chosen = rng.choice(pool, min(events, len(pool)), replace=False, p=counts[pool] / counts[pool].sum())
    return np.asarray(chosen)


def _any(counts: Doubles, events: int, rng: np.random.Generator) -> Ints:
    return _drawn(np.flatnonzero(counts), counts, events, rng)
