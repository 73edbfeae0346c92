"""What users made of the items that were held out: which they liked, and which they regretted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
import numpy.typing as npt

from recsys.data.feedback import RatingScale, is_rated, preferences
from recsys.data.queries import Queries, Ragged
from recsys.types import Floats, Kinds, Mask

STARS: Final = 5
LIKED_STARS: Final = 4.0
"""A rating of so many stars of five, or more, says that the item was liked."""
REGRETTED_STARS: Final = 0.5
"""A rating so many stars below the user's own mean, or more, says that the item was a disappointment."""


@final
@dataclass(frozen=True, eq=False)
class Verdicts:
    """Which relevant items a user liked, and which the user regretted. Most are one of the two, some are neither.

    A star is a fifth of the log's highest rating, so that a scale to 5, to 10 and to 100 are read alike:

        liked      rating >= 4 stars;                            without a rating: the event's preference is above 0
        regretted  rating <= mean of the visible history - half a star;       without a rating: it is below 0

    Somebody whose visible history has no rating is read against the mean of everybody's.

    Attributes:
        liked: "relevant".
        regretted: "relevant"; None where no event of the log can be one: it has neither ratings nor kinds.
    """

    liked: Mask
    regretted: Mask | None

    @classmethod
    def of(
        cls, relevant: Ragged, values: Floats, kinds: Kinds | None, queries: Queries, scale: RatingScale | None
    ) -> Self:
        """Read the verdicts on relevant items.

        Args:
            relevant: "queries" rows.
            values: "relevant", ratings; NaN where there is none.
            kinds: "relevant", codes of `recsys.data.feedback.KINDS`; None: nothing is said.
            queries: whose histories hold the users' own means.
            scale: of the log's ratings; None: it has none that differ, and none is read.
        """
        preference = preferences(values, kinds, relevant.indptr, None)
        liked = preference > 0
        if scale is None:
            return cls(liked, None if kinds is None else preference < 0)
        rated, seen = is_rated(values, kinds), is_rated(queries.values, queries.kinds)
        row, count = queries.history.rows[seen], len(queries)
        ratings = np.bincount(row, minlength=count)
        total = np.bincount(row, queries.values[seen].astype(np.float64), count)
        own_mean = np.where(ratings > 0, total / np.maximum(ratings, 1), scale.mean)[relevant.rows]
        star = scale.highest / STARS
        rounding = 1e-6 * star
        liked = np.where(rated, values >= LIKED_STARS * star - rounding, liked)
        return cls(liked, np.where(rated, values <= own_mean - REGRETTED_STARS * star + rounding, preference < 0))

    def take(self, entries: npt.NDArray[np.integer]) -> Verdicts:
        """Return the verdicts of some relevant items."""
        return Verdicts(self.liked[entries], None if self.regretted is None else self.regretted[entries])
