"""What a user did with items, as a sentence says it, and which events may be reasons for liking."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from recsys.data.feedback import CODES, KINDS, NEGATIVE_KINDS, Kind
from recsys.data.queries import Queries
from recsys.types import Doubles, Ints, Mask

_VERBS: Final[dict[Kind, str]] = {"rating": "rated", "like": "liked", "buy": "bought", "view": "viewed"}
_NEUTRAL = "chose"
_ROUNDING = 1e-6
"""Ratings that differ by less are the same."""


def is_rating(queries: Queries) -> Mask:
    """Return "events": which have a rating.

    Where kinds are not known, values are ratings unless all of a user's are 1, as in an implicit log.
    """
    valued = np.isfinite(queries.values)
    if queries.kinds is not None:
        return np.asarray(valued & (queries.kinds == CODES["rating"]))
    explicit = queries.history.sum(valued & (queries.values != 1.0)) > 0
    return np.asarray(valued & explicit[queries.history.rows])


def above_own_mean(queries: Queries) -> Doubles:
    """Return "events": by how much each rating exceeds its user's mean rating; 0 for events without rating."""
    rated = is_rating(queries)
    values = np.where(rated, queries.values, 0.0).astype(np.float64)
    count = np.maximum(queries.history.sum(rated), 1.0)
    return np.where(rated, values - (queries.history.sum(values) / count)[queries.history.rows], 0.0)


def may_be_reasons(queries: Queries) -> Mask:
    """Return "events": which may be reasons for liking: no dislike, no skip, no rating below the user's own mean.

    Of somebody who rates everything alike nothing is below it, and nothing above: a sentence says "rated" alone.
    """
    liked = above_own_mean(queries) >= -_ROUNDING
    if queries.kinds is not None:
        liked &= ~np.isin(queries.kinds, [CODES[kind] for kind in NEGATIVE_KINDS])
    return np.asarray(liked)


@cache
def deed(kinds: tuple[Kind, ...], above: bool = False) -> tuple[str, str]:
    """Return the verb for what the user did with some items, and the manner, if there is one to tell.

    Args:
        kinds: of the events; "use" where no more is known.
        above: whether every rating exceeds the user's mean.

    >>> deed(("rating", "rating"), True), deed(("rating",)), deed(("buy",))
    (('rated', 'above your average'), ('rated', ''), ('bought', ''))
    >>> deed(("rating", "buy"))
    ('chose', '')
    """
    if len(set(kinds)) != 1:
        return _NEUTRAL, ""
    verb = _VERBS.get(kinds[0], _NEUTRAL)
    return verb, "above your average" if kinds[0] == "rating" and above else ""


def is_above(queries: Queries) -> Mask:
    """Return "events": whether each rating exceeds its user's mean rating."""
    return np.asarray(above_own_mean(queries) > _ROUNDING)


def kinds_of(queries: Queries, events: Ints) -> list[Kind]:
    """Return the kinds of some events; a rating where a value is one, else a use, where none are given."""
    if queries.kinds is None:
        return ["rating" if rated else "use" for rated in is_rating(queries)[events].tolist()]
    return [KINDS[code] for code in queries.kinds[events].tolist()]
