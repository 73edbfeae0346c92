"""The capability of models whose best items can be searched for: scores made of inner products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.base import Recommender


@final
@dataclass(frozen=True, eq=False)
class PersonaPoints:
    """What a batch of questions looks for.

    Attributes:
        points: "queries personas point": persona k likes items in the order of the inner products with it.
        score: the model's scores "queries n" of some items "queries n" of each query, as `Recommender.score` has them.
    """

    points: Float[Tensor, "queries personas point"]
    score: Callable[[npt.NDArray[np.int32]], Float[Tensor, "queries n"]]


class Retrievable(ABC):
    """The capability of models that score by the inner products of a user's vectors with one vector of the item.

    With a point per item, x_i = (v_i, b_i), and one per persona, z_uk = (U_uk, 1), z_uk . x_i = U_uk . v_i + b_i is
    what the persona thinks of the item. No score is above what the persona that likes the item best thinks of it (a
    log-sum-exp without prior: above it by more than log K / tau). So an item that is among the first m of no persona
    scores no higher than the best of their m-th items, and the first m of all of them are good candidates.
    """

    @abstractmethod
    def item_points(self) -> Float[Tensor, "items point"]:
        """Return x_i."""

    @abstractmethod
    def persona_points(self, queries: Queries) -> PersonaPoints:
        """Return z_uk of each query, and how items are scored for it."""


def require_retrievable(model: Recommender) -> Retrievable:
    """Return what is searched for in the model, or within its decay.

    Raises:
        CapabilityError: its scores are not made of inner products.
    """
    within = model.scoring_model
    if isinstance(within, Retrievable):
        return within
    raise CapabilityError(
        f"{type(within).__name__} cannot be indexed: its scores are not inner products of a user's vectors with one "
        "fixed, short vector of each item; recommend exactly (the default), or train AMPCF, MF, BPR or IALS"
    )


def persona_points(model: Recommender, queries: Queries) -> PersonaPoints:
    """Return what a fitted model looks for to answer questions.

    Raises:
        CapabilityError: the model cannot be indexed, or cannot answer these questions.
    """
    model.check_queries(queries)
    read = model.read(queries)
    return require_retrievable(read.model).persona_points(read.queries)


def with_coordinate(vectors: Float[Tensor, "*rows dim"], last: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows point"]:
    """Return vectors with one more coordinate."""
    return torch.cat([vectors, last[..., None]], -1)


def by_inner_product(points: Float[Tensor, "queries 1 point"], items: Float[Tensor, "items point"]) -> PersonaPoints:
    """Return what a model of one vector per user looks for, whose scores are the inner products themselves."""

    def score(asked: npt.NDArray[np.int32]) -> Float[Tensor, "queries n"]:
        return torch.einsum("qkd,qnd->qn", points, items[torch.from_numpy(asked.astype(np.int64))])

    return PersonaPoints(points, score)
