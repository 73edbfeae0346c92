"""Whether dislikes teach: people who loved one genre and hated another, and how much of the other they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models import EASE
from recsys.models.feedback import Feedback
from recsys.types import Ints

LOVED: Final = "Sci-Fi"
HATED: Final = "Romance"
PEOPLE: Final = 100
_MOST_USED = 40
_EVENTS = (5, 6)
_RATINGS = (5.0, 0.5)
_LISTED = 10


@final
@dataclass(frozen=True)
class Shown:
    """What is shown of the hated genre.

    Attributes:
        listed: items of it in a list of ten, mean.
        without: share of the lists without any.
        genres: genres that the listed ones have, mean; NaN without any.
        wholly: share of the listed ones that have no other genre but "Comedy" and "Drama", which most items have.
    """

    listed: float
    without: float
    genres: float
    wholly: float


def has_both(log: Interactions) -> bool:
    """Return whether enough items have the loved genre and not the hated one, and the other way round."""
    return min(len(pool) for pool in _pools(log)) == _MOST_USED


def usual(log: Interactions) -> float:
    """Return the share of all events that are of the hated genre."""
    return float(_of_hated(log)[log.item_num].mean())


def shown(log: Interactions, regularization: float, reading: Feedback, seed: int) -> Shown:
    """Fit EASE and recommend to people who rated five items of the loved genre 5, and six of the hated one 0.5.

    Args:
        log: with genres; items are drawn from the 40 most used of each genre.
        regularization: of EASE.
        reading: how it reads ratings.
        seed: of the draws; equal seeds draw equal people.
    """
    top = EASE(regularization, feedback=reading).fit(log).recommend(_people(log, seed), _LISTED).items
    hated = _of_hated(log)[top]
    rows = [set(log.metadata.genres[item]) for item in top[hated].tolist()]
    wholly = [row <= {HATED, "Comedy", "Drama"} for row in rows]
    nothing = float("nan")
    return Shown(
        listed=float(hated.sum(1).mean()),
        without=float((~hated.any(1)).mean()),
        genres=float(np.mean([len(row) for row in rows])) if rows else nothing,
        wholly=float(np.mean(wholly)) if rows else nothing,
    )


def _of_hated(log: Interactions) -> np.ndarray:
    return np.asarray([HATED in row for row in log.metadata.genres])


def _pools(log: Interactions) -> list[Ints]:
    """Return the most used items of each genre that have not the other."""
    order = np.argsort(-np.bincount(log.item_num, minlength=log.n_items), kind="stable")
    genres: Sequence[tuple[str, ...]] = log.metadata.genres
    return [
        np.asarray([item for item in order.tolist() if one in genres[item] and other not in genres[item]], np.int64)[
            :_MOST_USED
        ]
        for one, other in ((LOVED, HATED), (HATED, LOVED))
    ]


def _people(log: Interactions, seed: int) -> Queries:
    rng = np.random.default_rng(seed)
    pools = _pools(log)
    histories = [
        np.concatenate([rng.choice(pool, count, replace=False) for pool, count in zip(pools, _EVENTS, strict=True)])
        for _ in range(PEOPLE)
    ]
    ratings = np.tile(np.repeat(np.asarray(_RATINGS, np.float32), _EVENTS), PEOPLE)
    return replace(Queries.from_history(histories), values=ratings, kinds=None)
