"""AMP-CF's read-out over the personas found in a user's history: candidate-conditional attention decides the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Items, Mask

_ENTRIES = 32_000_000
"""Scores of personas computed at a time: about 128 MB."""


@final
@dataclass(frozen=True, eq=False)
class PersonaAttention:
    """Attention of each candidate over the personas of a user.

        U_uk . v_i = score of i by the events of persona k alone
        a_uik      = softmax_k( sharpness . U_uk . v_i / max_{k, i} |U_uk . v_i| )
        s_ui       = K_u sum_k a_uik U_uk . v_i

    The attention of Barkan, Fuchs, Caciularu, Koenigstein, *Explainable Recommendations via Attentive Multi-Persona
    Collaborative Filtering*, RecSys 2020, over personas found in the history in place of learned ones. K_u, the number
    of the user's personas, makes sharpness 0 the sum of the persona scores, which is the score of a linear model.

    Attributes:
        model: a fitted fold-in model, which scores.
        sharpness: at 0 every persona has the same attention.
    """

    model: Recommender
    sharpness: float

    def scores(self, queries: Queries, of_event: Items, width: int) -> Float[Tensor, "queries items"]:
        """Return s_ui.

        Args:
            queries: with the weights that the model sees.
            of_event: "events", the persona of each event; `UNKNOWN` where it has none.
            width: K, above every number of a persona.
        """
        parts = [torch.zeros(0, self.model.n_items)]
        size = max(1, _ENTRIES // max(1, width * self.model.n_items))
        for start in range(0, len(queries), size):
            batch = queries.take(np.arange(start, min(start + size, len(queries))))
            begin = int(queries.history.indptr[start])
            alone, present = self._alone(batch, of_event[begin : begin + len(batch.times)], width)
            weights = self._softmax(alone, present, _largest(alone))
            parts.append((weights * alone).sum(1) * present.sum(1, keepdim=True))
        return torch.cat(parts)

    def attention(self, queries: Queries, of_event: Items, width: int, items: Items) -> Float[Tensor, "queries K n"]:
        """Return a_uik of some known items, "queries n"."""
        return self._attention(queries, of_event, width, items)[0]

    def contributions(self, queries: Queries, of_event: Items, width: int, items: Items) -> Float[Tensor, "events n"]:
        """Return what each event adds to the score, given the attention, which is held fixed."""
        attention, present = self._attention(queries, of_event, width, items)
        split, kept = _by_persona(queries, of_event, width)
        added = as_fold_in(self.model, "attention over personas").contributions(split, np.repeat(items, width, axis=0))
        factor = (attention * present.sum(1)[:, None, None]).flatten(0, 1)[torch.from_numpy(split.history.rows)]
        # Each event is kept in one copy of its user's history.
        place = np.nonzero(kept)[0]
        result = torch.zeros(len(of_event), items.shape[1], dtype=added.dtype, device=added.device)
        result[torch.from_numpy(_event_of_copy(queries, width)[place])] = added * factor.to(added)
        return result

    def _attention(
        self, queries: Queries, of_event: Items, width: int, items: Items
    ) -> tuple[Float[Tensor, "queries K n"], Bool[Tensor, "queries K"]]:
        alone, present = self._alone(queries, of_event, width)
        chosen = torch.from_numpy(items.astype(np.int64)).to(alone.device)
        own = alone.gather(2, chosen[:, None].expand(-1, width, -1))
        return self._softmax(own, present, _largest(alone)), present

    def _alone(
        self, queries: Queries, of_event: Items, width: int
    ) -> tuple[Float[Tensor, "queries K items"], Bool[Tensor, "queries K"]]:
        """Return U_uk . v_i, and which personas the user has: the first where there are no events at all."""
        split, _ = _by_persona(queries, of_event, width)
        scores = self.model.score(split).float().reshape(len(queries), width, -1)
        present = torch.from_numpy(split.history.lengths.reshape(-1, width) > 0)
        present[:, 0] |= ~present.any(1)
        return scores, present.to(scores.device)

    def _softmax(
        self,
        scores: Float[Tensor, "queries K n"],
        present: Bool[Tensor, "queries K"],
        largest: Float[Tensor, "queries"],
    ) -> Float[Tensor, "queries K n"]:
        logits = self.sharpness * scores / largest[:, None, None]
        return logits.masked_fill(~present[:, :, None], -torch.inf).softmax(1)


def _largest(scores: Float[Tensor, "queries K items"]) -> Float[Tensor, "queries"]:
    return scores.abs().flatten(1).amax(1).clamp_min(1e-12)


def _by_persona(queries: Queries, of_event: Items, width: int) -> tuple[Queries, Mask]:
    """Return one query for each persona of each user, "queries K" in rows, and which copies of the events they keep."""
    copies = queries.take(np.repeat(np.arange(len(queries)), width))
    kept: Mask = of_event[_event_of_copy(queries, width)] == copies.history.rows % width
    return copies.keep(kept), kept


def _event_of_copy(queries: Queries, width: int) -> np.ndarray:
    """Return the position of the event of which each event of `width` copies of the queries is one."""
    return queries.history.positions(np.repeat(np.arange(len(queries)), width))
