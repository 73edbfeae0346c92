"""What items are about, in labels, and how much lists turn everybody into somebody else, all in the same direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommender
from recsys.models.personas.dictionary import TasteDictionary
from recsys.slates import Content, Greedy, Owners, Pool, Slate
from recsys.types import Doubles, Items

LABELLED = 0.5
"""Share of the items that must have a genre: of histories in which few have one, genres say little."""

_LISTED = 10


def content_parts(metadata: ItemMetadata, dictionary: TasteDictionary) -> Doubles:
    """Return "items labels", read-only: the part of each item that is about each label; rows sum to 1, or to 0.

    Labels are genres; where most items have none, the tastes of the dictionary, of which each item in use has one.
    """
    return metadata.genre_parts if metadata.labelled >= LABELLED else dictionary.parts


def contents_of(tables: Sequence[Doubles], queries: Queries, items: Items) -> list[Content]:
    """Return what candidates and, by the weights that the queries have, histories are about, by several tables.

    Args:
        tables: of "items labels".
        queries: as the model reads them.
        items: "queries pool"; `UNKNOWN` is about nothing.
    """
    matrix = _counted(queries, len(tables[0])) if len(queries) > 1 else None
    unknown = items == UNKNOWN
    found = []
    for parts in tables:
        history = _sum_of_parts(queries, parts) if matrix is None else matrix @ parts
        total = history.sum(1, keepdims=True)
        of_items = parts.take(np.maximum(items, 0), axis=0)
        of_items[unknown] = 0.0
        found.append(Content(of_items, history / np.where(total > 0, total, 1.0)))
    return found


def _counted(queries: Queries, n_items: int) -> sp.csr_matrix:
    """Return `queries.matrix(n_items)`, entries in the order of events: sorting takes half of the time."""
    events = queries.history.select(queries.counted)
    weights = np.ones(len(events.items), np.float32) if queries.weights is None else queries.weights[queries.counted]
    return sp.csr_matrix((weights, events.items, events.indptr), (len(queries), n_items))


def _sum_of_parts(queries: Queries, parts: Doubles) -> Doubles:
    """Return "1 labels" of one user: what `_counted(queries, len(parts)) @ parts` is, in a tenth of its time."""
    counted = np.flatnonzero(queries.counted)
    own = parts[queries.history.items[counted]]
    if queries.weights is not None:
        own = own * queries.weights[counted, None].astype(np.float64)
    return np.asarray(own.sum(0, keepdims=True))


def systematic_distortion(histories: Doubles, lists: Doubles) -> float:
    """Return |mean delta|^2 - tr Cov(delta) / N, delta what a list is about less what the history is about.

    What distorts everybody in the same direction; an unbiased estimate of |E delta|^2.

    Args:
        histories, lists: "queries labels"; rows sum to 1; those that are zeros in either do not count. NaN with
            fewer than two.
    """
    difference = (lists - histories)[histories.any(1) & lists.any(1)]
    if len(difference) < 2:
        return float("nan")
    return float((difference.mean(0) ** 2).sum() - difference.var(0, ddof=1).sum() / len(difference))


def _shares(parts: Doubles, rows: sp.csr_matrix) -> Doubles:
    """Return "queries labels": what weighted rows of items, "queries items", are about; rows sum to 1, or to 0."""
    sums = np.asarray(rows @ parts)
    total = sums.sum(1, keepdims=True)
    return np.asarray(sums / np.where(total > 0, total, 1.0))


def candidates(model: Recommender, queries: Queries, owners: Owners, size: int) -> Pool:
    """Return the best-scored items of users, with owners: what slates of that size choose from.

    Args:
        model: fitted.
        queries: the users.
        owners: of the seats of their lists.
        size: candidates of each user.
    """
    best = model.recommend(queries, min(size, model.n_items), slate=Greedy())
    return Pool(best.items, best.scores, owners.seating(np.arange(len(queries)), best.items))


def distortion(pool: Pool, queries: Queries, parts: Doubles, slate: Slate) -> float:
    """Return the systematic distortion of lists of ten.

    Args:
        pool: `candidates` of the users.
        queries: the users.
        parts: "items labels", what items are about.
        slate: makes the lists.
    """
    chosen = slate.choose(pool, _LISTED)
    items = np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(pool.items, np.maximum(chosen, 0), 1))
    lists = Queries.from_history([*items])
    return systematic_distortion(*(_shares(parts, each.matrix(len(parts))) for each in (queries, lists)))
