"""What users made of the items that were held out: which they liked, and which they regretted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, final

import numpy as np

from recsys.data.feedback import CODES, DEFAULT_WEIGHTS, NEGATIVE_KINDS, Kind, RatingScale, is_rated, preferences
from recsys.data.queries import Queries, Ragged
from recsys.types import Floats, Kinds, Mask

Verdict = Literal["liked", "regretted"]

STARS: Final = 5
LIKED_STARS: Final = 4.0
"""A rating of so many stars of five, or more, says that the item was liked."""
REGRETTED_STARS: Final = 0.5
"""A rating so many stars below the user's own mean, or more, says that the item was a disappointment."""

LIKING_KINDS: Final[tuple[Kind, ...]] = tuple(
    kind for kind, code in CODES.items() if DEFAULT_WEIGHTS.by_code[code] > DEFAULT_WEIGHTS.use
)
"""The kinds that say more for an item than that it was used: a like and a buy."""


def untold(scale: RatingScale | None, kinds: Collection[str]) -> Mapping[Verdict, str]:
    """Return why a log does not tell what was liked, or what was regretted; empty where it tells both.

    Args:
        scale: of its ratings; None: it has none that differ.
        kinds: that occur in it.

    >>> sorted(untold(None, ("view", "buy")))
    ['regretted']
    """
    if scale is not None:
        return {}
    reasons: dict[Verdict, str] = {}
    liking = set(kinds) & {*LIKING_KINDS}
    if not liking:
        reasons["liked"] = "the log has no ratings that differ, no likes and no buys, so nothing tells what was liked"
    elif liking == set(kinds) - {*NEGATIVE_KINDS}:
        words = " or a ".join(sorted(liking))
        reasons["liked"] = f"every use in the log is a {words}, so none is liked more than another"
    if not set(kinds) & {*NEGATIVE_KINDS}:
        reasons["regretted"] = (
            "the log has no ratings that differ, no dislikes and no skips, so nothing tells what was regretted"
        )
    return reasons


@final
@dataclass(frozen=True, eq=False)
class Verdicts:
    """Which held-out items a user liked, and which the user regretted. Most are one of the two, some are neither.

    A star is a fifth of the log's highest rating, so that a scale to 5, to 10 and to 100 are read alike:

        liked      rating >= 4 stars;                            without a rating: a like or a buy
        regretted  rating <= mean of the visible history - half a star;       without a rating: a dislike or a skip

    Somebody whose visible history has no rating is read against the mean of everybody's. What was disliked or skipped
    without having been used is no relevant item; it is `rejected`, and regretted if it is recommended.

    Attributes:
        liked: "relevant"; None where the log does not tell, see `untold`.
        regretted: "relevant"; None where the log does not tell.
        rejected: "queries" rows of held-out items that are not relevant, and regretted; None: none are known.
    """

    liked: Mask | None
    regretted: Mask | None
    rejected: Ragged | None = None

    @classmethod
    def of(
        cls,
        relevant: Ragged,
        values: Floats,
        kinds: Kinds | None,
        queries: Queries,
        scale: RatingScale | None,
        unknown: Collection[Verdict] = (),
        rejected: Ragged | None = None,
    ) -> Self:
        """Read the verdicts on relevant items.

        Args:
            relevant: "queries" rows.
            values: "relevant", ratings; NaN where there is none.
            kinds: "relevant", codes of `recsys.data.feedback.KINDS`; None: nothing is said.
            queries: whose histories hold the users' own means.
            scale: of the log's ratings; None: it has none that differ, and none is read.
            unknown: what the log does not tell.
            rejected: see the class.
        """
        preference = preferences(values, kinds, relevant.indptr, None)
        liked, regretted = preference > DEFAULT_WEIGHTS.use, preference < 0
        if scale is not None:
            rated, seen = is_rated(values, kinds), is_rated(queries.values, queries.kinds)
            row, count = queries.history.rows[seen], len(queries)
            ratings = np.bincount(row, minlength=count)
            total = np.bincount(row, queries.values[seen].astype(np.float64), count)
            own_mean = np.where(ratings > 0, total / np.maximum(ratings, 1), scale.mean)[relevant.rows]
            star = scale.highest / STARS
            rounding = 1e-6 * star
            liked = np.where(rated, values >= LIKED_STARS * star - rounding, liked)
            regretted = np.where(rated, values <= own_mean - REGRETTED_STARS * star + rounding, regretted)
        told = "regretted" not in unknown
        return cls(None if "liked" in unknown else liked, regretted if told else None, rejected if told else None)
