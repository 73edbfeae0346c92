"""Small models whose explanations are known by construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn, PersonaRecommender
from recsys.training.session import Session

CRIME, COMEDY = ("Crime",), ("Comedy",)


def movie_log() -> Interactions:
    """Return a rated log of eight items: 0-3 crime (0 and 1 also thrillers), 4-7 comedy; six users."""
    users = np.repeat(np.arange(6), 4)
    items = [0, 1, 2, 4, 0, 1, 3, 5, 2, 3, 4, 6, 4, 5, 6, 7, 0, 4, 5, 7, 1, 2, 6, 7]
    log = Interactions.from_columns(users, items, np.tile([4.0, 5.0, 3.0, 1.0], 6), np.arange(24))
    titles = tuple(f"Crime {n}" for n in range(4)) + tuple(f"Comedy {n}" for n in range(4, 8))
    genres = (("Crime", "Thriller"),) * 2 + (CRIME,) * 2 + (COMEDY,) * 4
    return replace(log, metadata=ItemMetadata(titles, genres))


class _Fixed(Recommender):
    """Learns nothing."""

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        return None

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        return None


@final
class LinearItems(_Fixed, FoldIn):
    """score = history @ matrix + bias."""

    def __init__(self, matrix: npt.NDArray[np.float32], bias: float = 0.0) -> None:
        self.matrix = matrix
        self.bias = bias

    @property
    def folds_in(self) -> bool:
        return True

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy(np.asarray(queries.matrix(self.n_items) @ self.matrix) + np.float32(self.bias))

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        weights = np.ones(len(queries.values), np.float32) if queries.weights is None else queries.weights
        rows = self.matrix[queries.history.items[:, None], items[queries.history.rows]]
        return torch.from_numpy(rows * (weights * queries.counted)[:, None])


@final
class CountPopularity(_Fixed):
    """The same scores for everyone."""

    @property
    def needs_known_users(self) -> bool:
        return False

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.arange(self.n_items, 0, -1, dtype=torch.float32).repeat(len(queries), 1)


class _TwoTastes(PersonaRecommender):
    """Two personas; the first axis is crime, the second comedy; item 1 is a stronger crime item than 0."""

    V = torch.tensor([[1.0, 0], [2, 0], [1, 0.2], [1, 0.1], [0, 1], [0, 1], [0.1, 1], [0, 2]])
    TAU = 4.0

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return self.V

    def attention(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        asked = self.V[torch.from_numpy(items.astype(np.int64))]
        return torch.softmax(self.TAU * torch.einsum("qkd,qnd->qkn", self.personas(queries), asked), dim=1)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        every = np.broadcast_to(np.arange(self.n_items, dtype=np.int32), (len(queries), self.n_items))
        own = torch.einsum("qkd,id->qki", self.personas(queries), self.V)
        return (self.attention(queries, np.ascontiguousarray(every)) * own).sum(1)


@final
class TastesFromHistory(_TwoTastes, _Fixed, FoldIn):
    """Persona 0 sums the vectors of the past crime items (0-3), persona 1 those of the comedies (4-7)."""

    @property
    def folds_in(self) -> bool:
        return True

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        side = np.arange(self.n_items) >= 4
        past = torch.from_numpy(queries.matrix(self.n_items).toarray())
        return torch.stack([(past * torch.from_numpy(side == k)) @ self.V for k in (0, 1)], dim=1)

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        rows = torch.from_numpy(queries.history.rows)
        past = torch.from_numpy(queries.history.items.astype(np.int64))
        asked = self.V[torch.from_numpy(items.astype(np.int64))]
        weights = self.attention(queries, items)[rows, (past >= 4).long()]
        counted = torch.from_numpy(queries.counted)[:, None]
        return weights * torch.einsum("ed,end->en", self.V[past], asked[rows]) * counted


@final
class LearnedTastes(_TwoTastes, _Fixed):
    """Every known user has one crime persona and one comedy persona; the history is not looked at."""

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        return torch.tensor([[[1.0, 0.0], [0.0, 0.9]]]).repeat(len(queries), 1, 1)
