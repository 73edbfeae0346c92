"""How well each hypothesis about a user's memory would have predicted what the user did next.

The answer is a rank, not a score: scores under different weights differ in scale, so a likelihood with one shared
temperature compares the scales of the hypotheses instead of their predictions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsys.data.queries import Queries, membership
from recsys.models.base import Recommender, as_fold_in

Floats = npt.NDArray[np.float32]

UNDECIDED = 0.5
"""The utility of every hypothesis where there is nothing to judge by."""

_CONTRIBUTIONS = 1_000_000
"""Numbers in the largest temporary, "events M+1": about 4 MB, which stays in the cache for all hypotheses."""


def utilities(
    model: Recommender,
    queries: Queries,
    items: npt.NDArray[np.int32],
    hypotheses: Floats,
    negatives: int = 64,
    generator: np.random.Generator | None = None,
) -> Floats:
    """Return how well each hypothesis ranks the event that followed each query, among M sampled items.

        s_h(i) = sum_j w_hj c_j(i)                       c_j(i): what history event j contributes to item i at weight 1
        r_h = 1 + #{n : s_h(n) > s_h(i)} + #{n : s_h(n) = s_h(i)} / 2
        utility_h = 1 - log2(r_h) / log2(M + 1)          1: before all sampled items, 0: behind all of them

    The samples n are drawn with probability proportional to (training events of the item)^.5, with replacement, the
    same for all hypotheses. Draws that a list could not hold beside i (i itself, and what the history has used) are
    left out, and M counts the rest. Contributions are taken at weight 1: exact for linear models, and for a model whose
    state is not linear in the weights (IALS, attention) the first-order answer. The utility is ours; its trap, the
    scale of scores, was measured (see the module).

    Args:
        model: a fitted fold-in model.
        queries: what was visible just before each event; weights in it are ignored.
        items: "queries", number of the item that followed.
        hypotheses: "hypotheses events", event weights.
        negatives: M, items drawn for each query.
        generator: of the draws; one of seed 0 when None.

    Returns:
        "queries hypotheses", float32 in [0, 1]; `UNDECIDED` (.5) where the history has no item that was trained on.

    Raises:
        CapabilityError: the model cannot fold in.
        ValueError: an item is unknown, or hypotheses are not aligned with the history.
    """
    uniform = (generator or np.random.default_rng(0)).random((len(queries), negatives))
    return utilities_among(model, queries, items, hypotheses, draw_items(model, uniform))


def draw_items(model: Recommender, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return item numbers, in the shape of `uniform` (in [0, 1)), by inverse transform: P(i) ~ (training events)^.5."""
    until = np.cumsum(np.sqrt(model.fitted_on.item_counts.astype(np.float64)))
    drawn = np.searchsorted(until, uniform * until[-1], side="right")
    return np.asarray(np.minimum(drawn, len(until) - 1), dtype=np.int32)


def utilities_among(
    model: Recommender,
    queries: Queries,
    items: npt.NDArray[np.int32],
    hypotheses: Floats,
    sampled: npt.NDArray[np.int32],
) -> Floats:
    """Return `utilities` among given items, "queries M", instead of drawn ones."""
    fold_in = as_fold_in(model, "judging how fast a user forgets")
    if np.any(items < 0) or np.any(items >= model.n_items):
        raise ValueError("utilities need events whose item the model knows")
    if hypotheses.ndim != 2 or hypotheses.shape[1] != len(queries.history.items):
        raise ValueError(f"hypotheses of shape {hypotheses.shape} for {len(queries.history.items)} history events")
    asked = replace(queries, weights=None, exclude=None)
    listed = (sampled != items[:, None]) & ~membership(sampled, queries.history)
    every = np.concatenate([items[:, None], sampled], axis=1).astype(np.int32)
    result = np.full((len(queries), len(hypotheses)), UNDECIDED, np.float32)
    indptr = queries.history.indptr
    most = max(1, _CONTRIBUTIONS // every.shape[1])
    begin = 0
    while begin < len(queries):
        end = max(begin + 1, int(np.searchsorted(indptr, indptr[begin] + most, side="right")) - 1)
        rows = np.arange(begin, end)
        with torch.inference_mode():
            parts = fold_in.contributions(asked.take(rows), every[rows]).float().cpu().numpy()
        block = hypotheses[:, indptr[begin] : indptr[end]]
        result[rows] = _by_rank(parts, indptr[begin : end + 1] - indptr[begin], block, listed[rows])
        begin = end
    trained = np.append(model.fitted_on.item_counts > 0, False)  # UNKNOWN (-1) points at the end
    telling = np.bincount(queries.history.rows, trained[queries.history.items], minlength=len(queries))
    result[(telling == 0) | ~listed.any(1)] = UNDECIDED
    return result


def _by_rank(parts: Floats, indptr: npt.NDArray[np.int64], hypotheses: Floats, listed: npt.NDArray[np.bool_]) -> Floats:
    """Return "queries hypotheses" of one block.

    Args:
        parts: "events M+1", contributions to the event's item and to the sampled ones.
        indptr: "queries+1", the events of each query.
        hypotheses: "hypotheses events".
        listed: "queries M", which sampled items count.
    """
    queries, events = len(listed), len(parts)
    scale = np.log2(np.maximum(listed.sum(1), 1) + 1.0)
    result = np.empty((queries, len(hypotheses)), np.float32)
    # As many hypotheses in one product as keep its result in the cache: one call matters for a single event, as it
    # comes while serving.
    width = max(1, _CONTRIBUTIONS // max(1, queries * parts.shape[1]))
    for first in range(0, len(hypotheses), width):
        block = hypotheses[first : first + width]
        starts = (indptr[:-1] + events * np.arange(len(block))[:, None]).ravel()
        pointers, number = np.append(starts, block.size), np.tile(np.arange(events), len(block))
        weighted = sp.csr_matrix((block.ravel(), number, pointers), shape=(len(block) * queries, events))
        scores = (weighted @ parts).reshape(len(block), queries, -1)
        above = ((scores[:, :, 1:] > scores[:, :, :1]) & listed).sum(2)
        equal = ((scores[:, :, 1:] == scores[:, :, :1]) & listed).sum(2)
        result[:, first : first + width] = (1.0 - np.log2(1.0 + above + 0.5 * equal) / scale).T
    return result
