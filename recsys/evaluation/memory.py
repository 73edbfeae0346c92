"""Accuracy by bytes: how good lists are that are made from what a memory keeps, and how much that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries, Ragged
from recsys.evaluation.metrics import ndcg_at, ranking_metrics
from recsys.models.base import Recommender
from recsys.models.memories.contract import Memory
from recsys.models.memories.stored import item_bytes
from recsys.models.top_n import mask, top_n
from recsys.types import Doubles, Ints, Items

_BATCH = 256
_FILTER_BITS = 10
"""Of each item in a Bloom filter of which one lookup in a hundred is wrong."""


@final
@dataclass(frozen=True, eq=False)
class MemoryAccuracy:
    """What a memory keeps of some users, and what their lists are worth.

    Attributes:
        ndcg: "users", NDCG@10; NaN without a relevant item.
        sizes: "users", the bytes that are stored, counted on what is stored.
        masks: "users", the bytes of the items that must not be listed again, which no memory here keeps.
    """

    ndcg: Doubles
    sizes: Ints
    masks: Ints


def memory_accuracy(memory: Memory, model: Recommender, queries: Queries, relevant: Ragged) -> MemoryAccuracy:
    """Return what a memory is worth on some users.

    Args:
        memory: with what it learns.
        model: a fitted model; the memory sees the event weights that it gives.
        queries: the users.
        relevant: rows of relevant items.
    """
    read = model.read(queries)
    ndcg, sizes = [], []
    for start in range(0, len(queries), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(queries)))
        stored = memory.encode(read.model, read.queries.take(rows))
        sizes.append(stored.sizes)
        batch = read.queries.take(rows)
        ndcg.append(ndcg_of_scores(memory.scores(read.model, stored), model, batch, relevant.take(rows)))
    return MemoryAccuracy(np.concatenate(ndcg), np.concatenate(sizes), mask_bytes(queries, model.n_items))


@torch.inference_mode()
def ndcg_of_scores(
    scores: Float[Tensor, "queries items"], model: Recommender, queries: Queries, relevant: Ragged
) -> Doubles:
    """Return NDCG@10 of the best of some scores, "queries", the items of the histories left out."""
    scores = scores.clone()
    mask(scores, queries.excluded, None)
    listed, _ = top_n(scores, 10, model.fitted_on.tie_rank)
    return ndcg_of_lists(listed, relevant)


def ndcg_of_lists(listed: Items, relevant: Ragged) -> Doubles:
    """Return NDCG@10, "queries"."""
    (values,) = ranking_metrics(listed, relevant, [10], [ndcg_at]).values()
    return values


def mask_bytes(queries: Queries, n_items: int) -> Ints:
    """Return the bytes of the items that must not be listed again, "queries": their numbers, or a Bloom filter."""
    items = queries.excluded.lengths
    return np.minimum(items * item_bytes(n_items), -(-items * _FILTER_BITS // 8))
