"""The search vectors of models whose scores are inner products."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaPoints, Retrievable
from recsys.models.personas.model import WithPersonas
from recsys.types import Items


def require_retrievable(model: Recommender) -> Retrievable:
    """Return the model that scores as a `Retrievable`.

    Raises:
        CapabilityError: its scores are not inner products.
    """
    scoring = model.scoring_model
    if isinstance(scoring, Retrievable):
        return scoring
    raise CapabilityError(
        f"{type(scoring).__name__} cannot be indexed: its scores are not inner products of a user's vectors with one "
        "fixed, short vector of each item; recommend exactly (the default), or train AMPCF, MF, BPR or IALS"
    )


def indexable(model: Recommender) -> Recommender:
    """Return the model whose best scores an index finds: the one within a model of found personas, or the model itself.

    The personas then choose from what the index finds.

    Raises:
        CapabilityError: the personas change the scores, which are then no inner products.
    """
    if not isinstance(model, WithPersonas):
        return model
    if model.chosen_sharpness > 0:
        raise CapabilityError(
            "attention over the user's personas decides the scores, which are no inner products; recommend exactly "
            "(the default), or set sharpness to 0"
        )
    return model.base


def persona_points(model: Recommender, queries: Queries) -> PersonaPoints:
    """Return the search vectors of a fitted model for some queries.

    Raises:
        CapabilityError: the model cannot be indexed, or cannot answer these queries.
    """
    model.check_queries(queries)
    retrievable = require_retrievable(model)
    return retrievable.persona_points(model.read(queries).queries)


def with_coordinate(vectors: Float[Tensor, "*rows dim"], last: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows point"]:
    """Append a coordinate to vectors."""
    return torch.cat([vectors, last[..., None]], -1)


def by_inner_product(points: Float[Tensor, "queries 1 point"], items: Float[Tensor, "items point"]) -> PersonaPoints:
    """Return the search vectors of a model with one vector per user, whose scores are the inner products themselves."""

    def score(candidates: Items) -> Float[Tensor, "queries n"]:
        return torch.einsum("qkd,qnd->qn", points, items[torch.from_numpy(candidates.astype(np.int64))])

    return PersonaPoints(points, score)
