"""Whether a user has one taste: the own items are as alike as those of a single label would be, strays among them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.data.queries import Queries
from recsys.types import Doubles, Floats, Mask

THEME_LABELS = 0.7
"""Weight of the labels in the vectors in which tastes are compared with labels.

It is more than that of co-use, because what was shown in one year is used together, whatever it is about.
"""

_WIDEST = 1 / 6
"""A label with a larger share of the events ("Drama") is not one taste."""

_FEWEST = 40
"""Items of a label that is compared."""

_UNLIKE = 0.1
"""Share of the labels that are less of a taste than what is still called one."""


def coherence(themes: Floats, queries: Queries) -> Doubles:
    """Return "queries": the mean cosine of two different events of each history, weighted; 1 with fewer than two.

        ( |sum_j w_j t_j|^2 - sum_j w_j^2 ) / ( (sum_j w_j)^2 - sum_j w_j^2 )

    Events without a vector t_j do not count.
    """
    users, rows = len(queries), queries.history.rows
    events = np.flatnonzero(queries.counted)
    weight = np.ones(len(events)) if queries.weights is None else queries.weights[events].astype(np.float64)
    vectors = themes[queries.history.items[events]]
    weight = weight * vectors.any(1)
    rows = rows[events]
    total, square = (np.bincount(rows, each, users) for each in (weight, weight**2))
    sums = np.zeros((users, themes.shape[1]))
    if len(events):
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        sums[rows[starts]] = np.add.reduceat(weight[:, None] * vectors, starts)
    among = total**2 - square
    known = among > 1e-9 * total**2
    return np.asarray(np.divide((sums**2).sum(1) - square, among, out=np.ones(users), where=known))


def least_coherence(themes: Doubles, below: Mask, counts: Doubles, metadata: ItemMetadata) -> float:
    """Return the coherence of a user of one taste, fitted to a log.

    Who draws from one label's items by their popularity has two events with a mean cosine of |m_l|^2, m_l the mean over
    the events of the label. The tenth of the labels with the least is left out. Labels are genres, tags where there are
    no genres, and the nodes of the tree where there are neither; those with more than a sixth of the events are too
    wide to be one taste.

    Args:
        themes: "items dim", unit rows.
        below: "nodes items", the items below each node of the tree of tastes.
        counts: "items", events of each.
        metadata: of the items.
    """
    has = _groups(metadata, below)
    mass = has @ counts
    usable = (has @ (counts > 0) >= min(_FEWEST, len(counts) / 12)) & (mass <= _WIDEST * counts.sum()) & (mass > 0)
    if not usable.any():
        return 1.0
    means = (has[usable] @ (counts[:, None] * themes)) / mass[usable, None]
    return float(np.quantile((means**2).sum(1), _UNLIKE))


def _groups(metadata: ItemMetadata, below: Mask) -> sp.csr_matrix:
    """Return "labels items": the items of each genre, tag or node."""
    rows = metadata.genres if metadata.has_genres else metadata.tags
    labels = sorted({label for row in rows for label in row} - NO_GENRE)
    number = {label: place for place, label in enumerate(labels)}
    pairs = [(number[label], item) for item, row in enumerate(rows) for label in set(row) if label in number]
    if not pairs:
        return sp.csr_matrix(below.astype(np.float64))
    group, item = np.asarray(pairs).T
    return sp.csr_matrix((np.ones(len(pairs)), (group, item)), shape=(int(group.max()) + 1, len(metadata)))
