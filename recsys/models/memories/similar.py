"""The whole history, of which each candidate reads the events nearest to it."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import whole
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.memories.contract import StateMemory, counted_weights, linear_rows
from recsys.models.memories.stored import Stored, pack_events, unpack_events


@final
class EpisodicSimilar(StateMemory):
    """All events are kept; item i reads the k of them that add most to it, w_j B_ji: retrieval by similarity.

    Args:
        events: k.

    Raises:
        ConfigError: it reads no event.
    """

    def __init__(self, events: int = 4) -> None:
        whole("events", events)
        self.events = events

    def encode(self, model: Recommender, queries: Queries) -> Stored:
        weights = counted_weights(queries)
        kept = weights > 0
        given = None if queries.weights is None else weights[kept]
        return pack_events(queries.history.select(kept), given, model.n_items)

    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        table = linear_rows(model, self).rows()
        history, weights = unpack_events(stored, model.n_items)
        scores = torch.zeros(len(history), model.n_items)
        for row in range(len(history)):  # one user's events times all items at a time: a batch would not fit
            span = slice(*history.indptr[row : row + 2])
            events = torch.from_numpy(history.items[span].astype(np.int64))
            added = table[events] * torch.from_numpy(weights[span])[:, None]
            scores[row] = torch.topk(added, min(self.events, len(events)), dim=0).values.sum(0)
        return scores
