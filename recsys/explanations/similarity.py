"""Similarity of items: to each other, and as evidence for models whose users are learned vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.explanations.padded import PaddedHistory
from recsys.models.base import Recommendations, Recommender
from recsys.models.capabilities import PersonaRecommender
from recsys.types import Doubles, Items


@torch.inference_mode()
def persona_similarity(model: PersonaRecommender, queries: Queries, history: PaddedHistory, items: Items) -> Doubles:
    """Return how much each past item resembles each candidate in the view of the user's personas.

        c_uji = ( sum_k a_ujk a_uik ) . max(0, cos(v_j, v_i))

    The first factor says that the same personas speak for both items (it is 1 for a single persona), the second that
    the item vectors point in one direction. It is not a part of the score. The formula is ours.

    Args:
        model: a model with personas.
        queries: the users, with their padded `history`.
        items: "queries n", known item numbers, the candidates.

    Returns:
        "queries length n"; 0 in the padding.
    """
    if history.items.shape[1] == 0:
        return np.zeros((len(queries), 0, items.shape[1]))
    vectors = torch.nn.functional.normalize(model.item_vectors().double(), dim=1)
    past = vectors[torch.from_numpy(history.items.astype(np.int64)).to(vectors.device)]
    candidates = vectors[torch.from_numpy(items.astype(np.int64)).to(vectors.device)]
    attentions = [model.attention(queries, numbers).double() for numbers in (history.items, items)]
    agreement = torch.einsum("qkl,qkn->qln", *attentions)
    cosine = torch.einsum("qld,qnd->qln", past, candidates).clamp_min(0.0)
    similarity: Doubles = (agreement * cosine).cpu().numpy()
    return similarity * history.mask[:, :, None]


@torch.inference_mode()
def similar(model: Recommender, items: Sequence[int] | Items, n: int) -> Recommendations:
    """Return the n items that go with each of some items best, a row for each.

    A fold-in model gives what it recommends to a user with this item alone; a model of learned users the items with the
    largest cosine of their vectors.

    Raises:
        CapabilityError: the model has no similarity between items.
    """
    numbers = np.asarray(items, np.int32)
    if model.folds_in:
        return model.recommend(Queries.from_history(numbers[:, None].tolist()), n)
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        raise CapabilityError(
            f"{type(model).__name__} has no similarity between items: it has no item vectors and folds in no history"
        )
    vectors = torch.nn.functional.normalize(model.item_vectors().float(), dim=1)
    cosine = vectors[torch.from_numpy(numbers.astype(np.int64)).to(vectors.device)] @ vectors.T
    cosine[np.arange(len(numbers)), numbers] = -torch.inf
    values, best = torch.topk(cosine, min(n, cosine.shape[1] - 1))
    padding = ((0, 0), (0, n - values.shape[1]))
    return Recommendations(
        np.pad(best.cpu().numpy().astype(np.int32), padding, constant_values=UNKNOWN),
        np.pad(values.cpu().numpy(), padding, constant_values=-np.inf),
    )
