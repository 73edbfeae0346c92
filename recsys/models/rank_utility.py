"""Rank utilities: how well hypotheses about event weights predict what a user does next.

A utility is made of a rank, not of a score: scores under different weights differ in scale, so a likelihood with one
shared temperature would compare the scales of the hypotheses instead of their predictions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in, sample_contributions
from recsys.models.item_sample import ItemSample
from recsys.types import Floats, Items

UNDECIDED = 0.5
"""The utility of every hypothesis where the history has no item that was trained on."""

_NEWEST = 160
"""Events of the longest run length below the whole past (`recsys.decay.changepoints`), and of short half-lives."""

_SCALE = np.float32(2.0**60)
"""What hypotheses are multiplied by, which changes no rank. What is a hundred half-lives old would be subnormal, and
its products more so: these lose their digits, and a processor takes a hundred cycles for each."""

_CONTRIBUTIONS = 1_000_000
"""Numbers in the largest temporary, "events item_sample+1" (unless one history alone has more): about 4 MB."""


def rank_utilities(
    model: Recommender,
    queries: Queries,
    items: Items | Ragged,
    hypotheses: Floats,
    item_sample: ItemSample | None = None,
) -> Floats:
    """Return how well each hypothesis ranks the items that followed each query, in the whole catalogue.

        s_h(i) = sum_j w_hj c_j(i)                       c_j(i): what history event j contributes to item i at weight 1
        r_h = sum over the item_sample of stands_for(n) ([n is listed before i] + [equal in all respects] / 2)
        utility_h = 1 - log2(1 + r_h) / log2(1 + N)      1: before all items, 0: behind all of them

    Equal scores are listed by training events, as `recommend` does, so that with no weight on anything the rank is that
    in the order of popularity. The item sample estimates the rank; what a list could not hold beside i (i itself, and
    what the history has used) is left out, as are other items that followed, and N is what the rest stands for. Of
    several items that followed, as those of a session, the utility is the mean. Contributions are taken at weight 1:
    exact for linear models, and the first-order answer for a model whose state is not linear in the weights (IALS,
    attention). The utility is ours; ranks among 64 sampled items instead of the item sample cost 4% of NDCG@10.

    Args:
        model: a fitted fold-in model.
        queries: what was visible just before each event; weights in it are ignored.
        items: "queries", number of the item that followed; or a row of such items for each query.
        hypotheses: "hypotheses events", event weights.
        item_sample: against which the event is ranked; the model's own when None.

    Returns:
        "queries hypotheses", float32 in [0, 1]; `UNDECIDED` (.5) where the history has no item that was trained on.

    Raises:
        CapabilityError: the model cannot fold in.
        ValueError: an item is unknown, a query has none, or hypotheses are not aligned with the history.
    """
    fold_in = as_fold_in(model, "the utility of event weights")
    followed = items if isinstance(items, Ragged) else Ragged.from_lengths(np.ones(len(items)), items)
    if len(queries) and followed.lengths.min() == 0:
        raise ValueError("utilities need at least one item that followed each query")
    if len(queries) and not 0 <= followed.items.min() <= followed.items.max() < model.n_items:
        raise ValueError("utilities need events whose item the model knows")
    if hypotheses.ndim != 2 or hypotheses.shape[1] != len(queries.history.items):
        raise ValueError(f"hypotheses of shape {hypotheses.shape} for {len(queries.history.items)} history events")
    item_sample = model.fitted_on.item_sample if item_sample is None else item_sample
    unweighted = queries.with_weights(None)
    history, indptr = queries.history.items, queries.history.indptr.tolist()
    popularity = model.fitted_on.item_counts
    trained = (history != UNKNOWN) & (popularity[history] > 0)
    counts = popularity[item_sample.items]
    used = item_sample.places(history)
    stands_for = np.append(item_sample.stands_for, np.float32(0.0))  # the last place is for items outside the sample
    result = np.full((len(queries), len(hypotheses)), UNDECIDED, np.float32)
    most = max(1, _CONTRIBUTIONS // (len(item_sample.items) + int(followed.lengths.max(initial=1))))
    first = 0
    while first < len(queries):
        last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + most, side="right")) - 1)
        with torch.inference_mode():
            rows = np.arange(first, last)
            pair = sample_contributions(fold_in, unweighted.take(rows), item_sample.items, _padded(followed.take(rows)))
            others, own = (each.float().cpu().numpy() for each in pair)
        # A small dense product for each query: several times as fast as one sparse product for all.
        for row in range(first, last):
            begin, end = indptr[row], indptr[row + 1]
            if trained[begin:end].any():
                events = slice(begin - indptr[first], end - indptr[first])
                weights = hypotheses[:, begin:end] * _SCALE
                answers = followed.row(row)
                own_scores, scores = (_weighed(weights, part) for part in (own[events, : len(answers)], others[events]))
                listed = stands_for.copy()
                listed[used[begin:end]] = 0.0
                listed[item_sample.places(answers)] = 0.0
                each = [
                    _by_rank(own_scores[:, [place]], scores, popularity[item], counts, listed[:-1])
                    for place, item in enumerate(answers)
                ]
                result[row] = np.mean(each, axis=0)
        first = last
    return result


def _padded(rows: Ragged) -> Items:
    """Return "rows longest": the items of each row, the last of them repeated."""
    columns = np.arange(int(rows.lengths.max(initial=1)))
    return np.asarray(rows.items[rows.indptr[:-1, None] + np.minimum(columns, rows.lengths[:, None] - 1)])


def _weighed(weights: Floats, contributions: Floats) -> Floats:
    """Return the scores, "hypotheses n", in a unit of their own.

    Those of a long history are added up in two parts: many hypotheses do not look far back.
    """
    old = weights.shape[1] - _NEWEST
    if old < _NEWEST:
        return np.asarray(weights @ contributions)
    scores = weights[:, old:] @ contributions[old:]
    far = np.flatnonzero(weights[:, :old].any(1))
    scores[far] += weights[far, :old] @ contributions[:old]
    return np.asarray(scores)


def _by_rank(own: Floats, others: Floats, count: np.integer, counts: npt.NDArray[np.integer], listed: Floats) -> Floats:
    """Return "hypotheses": the utility of an event's scores, "hypotheses 1", among those of the sample.

    `listed` is how many items each sampled item stands for; `count` and `counts` are training events, which decide
    among equal scores.
    """
    rank = (others > own).astype(np.float32) @ listed
    equal = others == own
    if equal.any():
        rank += equal.astype(np.float32) @ (listed * ((counts > count) + np.float32(0.5) * (counts == count)))
    share = np.log2(1.0 + rank) / np.log2(1.0 + max(float(listed.sum()), 1.0))
    return np.asarray(1.0 - np.minimum(share, 1.0))
