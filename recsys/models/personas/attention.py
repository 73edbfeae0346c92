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
from recsys.types import Ints, Items

_ENTRIES = 4_000_000
"""Scores of personas computed at a time, about 16 MB; see `recsys.models.personas.ownership`."""


@final
@dataclass(frozen=True, eq=False)
class PersonaAttention:
    """Attention of each candidate over the personas of a user.

        U_uk . v_i = score of i by the events of persona k alone
        a_uik      = softmax_k( sharpness . U_uk . v_i / scale )
        s_ui       = K_u sum_k a_uik U_uk . v_i

    The attention of Barkan, Fuchs, Caciularu, Koenigstein, *Explainable Recommendations via Attentive Multi-Persona
    Collaborative Filtering*, RecSys 2020, over personas found in the history in place of learned ones. K_u, the number
    of the user's personas, makes sharpness 0 the sum of the persona scores, which is the score of a linear model. What
    does not depend on the history, such as a bias of the item, is the same for all personas and does not count.

    Attributes:
        model: a fitted fold-in model, which scores.
        sharpness: at 0 every persona has the same attention.
        scale: of the scores, a number of the model: see `typical_scale`.
    """

    model: Recommender
    sharpness: float
    scale: float

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
            split, _ = _by_persona(batch, of_event[begin : begin + len(batch.times)], width)
            alone = self.model.score(split).float().reshape(len(batch), width, -1)
            present = _present(split, width).to(alone.device)
            parts.append((self._softmax(alone, present) * alone).sum(1) * present.sum(1, keepdim=True))
        return torch.cat(parts)

    def attention(self, queries: Queries, of_event: Items, width: int, items: Items) -> Float[Tensor, "queries K n"]:
        """Return a_uik of some known items, "queries n"."""
        split, _ = _by_persona(queries, of_event, width)
        return self._attention(split, self._added(split, items, width), width)

    def contributions(self, queries: Queries, of_event: Items, width: int, items: Items) -> Float[Tensor, "events n"]:
        """Return what each event adds to the score, given the attention, which is held fixed."""
        split, events = _by_persona(queries, of_event, width)
        added = self._added(split, items, width)
        factor = self._attention(split, added, width) * _present(split, width).sum(1)[:, None, None].to(added.device)
        result = torch.zeros(len(of_event), items.shape[1], dtype=added.dtype, device=added.device)
        result[torch.from_numpy(events)] = added * factor.flatten(0, 1)[torch.from_numpy(split.history.rows)].to(added)
        return result

    def _added(self, split: Queries, items: Items, width: int) -> Float[Tensor, "kept n"]:
        fold_in = as_fold_in(self.model, "attention over personas")
        return fold_in.contributions(split, np.repeat(items, width, axis=0))

    def _attention(self, split: Queries, added: Float[Tensor, "kept n"], width: int) -> Float[Tensor, "queries K n"]:
        sums = torch.zeros(len(split), added.shape[1], dtype=added.dtype, device=added.device)
        sums.index_add_(0, torch.from_numpy(split.history.rows).to(added.device), added)
        return self._softmax(sums.reshape(-1, width, added.shape[1]), _present(split, width).to(added.device))

    def _softmax(
        self, scores: Float[Tensor, "queries K n"], present: Bool[Tensor, "queries K"]
    ) -> Float[Tensor, "queries K n"]:
        logits = self.sharpness / self.scale * scores
        return logits.masked_fill(~present[:, :, None], -torch.inf).softmax(1)


def typical_scale(model: Recommender, queries: Queries, of_event: Items, width: int) -> float:
    """Return the median over users of the largest score of an item by the events of one persona; 1 without any.

    Args:
        model: a fitted fold-in model.
        queries: some users.
        of_event: "events", the persona of each event.
        width: K.
    """
    split, _ = _by_persona(queries, of_event, width)
    largest = [model.score(batch).abs().amax(1).cpu() for batch in split.batches(256)]
    if not largest:
        return 1.0
    by_user = torch.cat(largest).reshape(-1, width).amax(1)
    by_user = by_user[by_user > 0]
    return float(by_user.median()) if len(by_user) else 1.0


def _present(split: Queries, width: int) -> Bool[Tensor, "queries K"]:
    """Return which personas the users have: the first where there are no events at all."""
    present = torch.from_numpy(split.history.lengths.reshape(-1, width) > 0)
    present[:, 0] |= ~present.any(1)
    return present


def _by_persona(queries: Queries, of_event: Items, width: int) -> tuple[Queries, Ints]:
    """Return one query for each persona of each user, "queries K" in rows, and the positions of the events they keep.

    An event without persona is kept nowhere.
    """
    rows = np.repeat(np.arange(len(queries)), width)
    copies, event = queries.take(rows), queries.history.positions(rows)
    kept = of_event[event] == copies.history.rows % width
    return copies.keep(kept), event[kept]
