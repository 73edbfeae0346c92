"""Methods that rank a history as evidence for an item: the model's own contributions, and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse as sp
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Doubles, Items

EvidenceMethod = Callable[[Queries, Items], Doubles]
"""(queries, one item "queries" each) -> "events" strengths aligned with `queries.history.items`, larger is stronger.

An event that does not count (see `Queries.counted`) has strength 0; its item has the strength of the one that does.
"""


def model_evidence(model: Recommender) -> EvidenceMethod:
    """Return the method whose strengths are the model's contributions of each event to the score.

    Raises:
        CapabilityError: the model cannot fold in, so that no event has a contribution of its own.
    """
    fold_in = as_fold_in(model, "evidence by contribution")

    def strengths(queries: Queries, items: Items) -> Doubles:
        with torch.inference_mode():
            contributions = fold_in.contributions(queries, items[:, None])
        return np.asarray(contributions[:, 0].double().cpu().numpy(), dtype=np.float64)

    return strengths


def random_evidence(seed: int = 0) -> EvidenceMethod:
    """Return the method that draws strengths at random; the same seed gives the same for the same queries."""

    def strengths(queries: Queries, _: Items) -> Doubles:
        return np.random.default_rng(seed).random(len(queries.history.items)) * queries.counted

    return strengths


def popularity_evidence(train: Interactions) -> EvidenceMethod:
    """Return the method whose strength is the number of users of an item in the training log."""
    users = np.bincount(train.matrix().indices, minlength=train.n_items).astype(np.float64)

    def strengths(queries: Queries, _: Items) -> Doubles:
        return np.where(queries.counted, users[np.maximum(queries.history.items, 0)], 0.0)

    return strengths


def cosine_evidence(train: Interactions) -> EvidenceMethod:
    """Return the method of shared users: cos(j, i) = |users of j and i| / sqrt(|users of j| |users of i|).

    It depends on the log alone, not on the model.
    """
    used = train.matrix().tocsc()
    norm = np.sqrt(np.maximum(1, np.diff(used.indptr)))
    unit = (used @ sp.diags(1.0 / norm)).tocsc()

    def strengths(queries: Queries, items: Items) -> Doubles:
        targets, column = np.unique(items, return_inverse=True)
        cosine = sp.csr_matrix(unit.T @ unit[:, targets])
        past = queries.history.items
        strength = np.asarray(cosine[np.maximum(past, 0), column[queries.history.rows]]).ravel()
        return np.where(queries.counted, strength, 0.0).astype(np.float64)

    return strengths


def standard_methods(model: Recommender, train: Interactions, seed: int = 0) -> Mapping[str, EvidenceMethod]:
    """Return the four methods that every fidelity report compares: model, random, popularity, cosine."""
    return {
        "model": model_evidence(model),
        "random": random_evidence(seed),
        "popularity": popularity_evidence(train),
        "cosine": cosine_evidence(train),
    }
