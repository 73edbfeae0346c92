"""Persona health: whether all personas are used, whether they differ, and whether another seed finds the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.capabilities import PersonaRecommender


@final
@dataclass(frozen=True)
class PersonaHealth:
    """Usage and diversity of the personas of a model.

        effective = prod_k (sum_l Z_kl p_l) ^ -p_k

    is the diversity of order 1 of Leinster and Cobbold, *Measuring diversity: the importance of species similarity*,
    2012, with p_k the mean attention of persona k and Z_kl the mean over users of max(0, cos(U_uk, U_ul)). With Z the
    identity it would be exp(H(p)), which is K for K copies of one persona.

    Attributes:
        effective: the effective number of distinct personas, in [1, K]; 1 if they are identical.
        mean_cosine: mean cosine between two personas of one user; 1 if they are identical.
        dead: share of personas whose mean attention is below a tenth of 1 / K.
    """

    effective: float
    mean_cosine: float
    dead: float

    @classmethod
    def of(
        cls, attention: Float[Tensor, "queries personas n"], personas: Float[Tensor, "queries personas dim"]
    ) -> PersonaHealth:
        """Compute from the attention of some users on some items, and those users' personas.

        The mean attention is over users and items, so that a persona counts as used when any user uses it. A persona of
        zero length says nothing that another one does not, and has cosine 1 with all.
        """
        mean = attention.double().mean((0, 2))
        count = personas.shape[1]
        unit = torch.nn.functional.normalize(personas.double(), dim=-1)
        silent = ~personas.bool().any(-1)
        cosine = (unit @ unit.transpose(1, 2)).masked_fill(silent[:, :, None] | silent[:, None, :], 1.0)
        similarity = cosine.clamp(0.0, 1.0).mean(0).fill_diagonal_(1.0)
        effective = float(torch.exp(-torch.xlogy(mean, similarity @ mean).sum()))
        pairs = count * (count - 1)
        between = (cosine.sum((1, 2)) - cosine.diagonal(dim1=1, dim2=2).sum(1)) / pairs if pairs else cosine[:, 0, 0]
        return cls(effective, float(between.mean()), float((mean < 0.1 / count).double().mean()))


def persona_health(model: PersonaRecommender, queries: Queries, n: int = 20) -> PersonaHealth:
    """Return the health of a model's personas on the items it recommends to users with a history.

    Without a history there are no personas to tell apart; of a model of learned users, its own users count.

    Raises:
        ValueError: there is no such user, or none can be given n items.
    """
    usable = queries.users != UNKNOWN if model.needs_known_users else queries.history.lengths > 0
    queries = queries.take(np.flatnonzero(usable))
    items = model.recommend(queries, n).items
    complete = np.flatnonzero((items >= 0).all(1))
    if len(complete) == 0:
        raise ValueError(f"none of the {len(queries)} users with a history can be given {n} items")
    chosen = queries.take(complete)
    with torch.inference_mode():
        return PersonaHealth.of(model.attention(chosen, items[complete]), model.personas(chosen))


def matched_correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the agreement of two seeds: the mean correlation of their personas under the best one-to-one matching.

    Args:
        first: "items personas", how much of each item belongs to each persona under one seed.
        second: the same under another seed.

    >>> routing = np.array([[1.0, 0.0], [0.2, 0.8], [0.1, 0.9]])
    >>> round(matched_correlation(routing, routing[:, ::-1]), 6)
    1.0
    """
    count = first.shape[1]
    correlation = np.corrcoef(first.T, second.T)[:count, count:]
    rows, columns = linear_sum_assignment(-correlation)
    return float(correlation[rows, columns].mean())
