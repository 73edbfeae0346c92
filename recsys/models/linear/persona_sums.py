"""The experts of PersonaEASE from sums over users, who may be in several places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.capabilities import Sums, TrainingUsers
from recsys.models.feedback import FeedbackReader
from recsys.models.linear.persona_ridge import PersonaRidge
from recsys.types import Doubles, Floats


@final
@dataclass(frozen=True, eq=False)
class _Sharing:
    """The users with several items, those of them who used each item, and their shares of the personas, summed."""

    ridge: PersonaRidge
    reader: FeedbackReader
    routing: Floats

    def __call__(self, log: Interactions) -> Sums:
        matrix = _several(self.reader, log)
        people = np.bincount(matrix.indices, minlength=matrix.shape[1])
        share = self.ridge.shares(matrix, self.routing).sum(0)
        return {"users": np.array([matrix.shape[0]]), "people": people, "share": share}


@final
@dataclass(frozen=True, eq=False)
class _Weighing:
    """The squares of unscaled user weights, summed for each persona."""

    sharing: _Sharing
    mean: Doubles

    def __call__(self, log: Interactions) -> Sums:
        return {"squares": (self.weights(_several(self.sharing.reader, log)) ** 2).sum(0)}

    def weights(self, matrix: sp.csr_matrix) -> Doubles:
        """Return (pi_uk / mean pi_k) ** locality, "users personas"."""
        ridge = self.sharing.ridge
        return np.asarray((ridge.shares(matrix, self.sharing.routing) / self.mean) ** ridge.locality)


@final
@dataclass(frozen=True, eq=False)
class _Expert:
    """The two matrices from which an expert is solved."""

    weighing: _Weighing
    number: int
    scale: float
    common: Doubles
    item: Doubles

    def __call__(self, log: Interactions) -> Sums:
        sharing = self.weighing.sharing
        matrix = _several(sharing.reader, log)
        learning = self.weighing.weights(matrix)[:, self.number] / self.scale
        scaled = sharing.ridge.scaled(matrix, matrix, self.common)
        features, targets = sharing.ridge.weighted(scaled, learning, self.item)
        return {"gram": (features.T @ features).toarray(), "cross": (targets.T @ features).toarray()}


def solve_sums(
    ridge: PersonaRidge,
    users: TrainingUsers,
    reader: FeedbackReader,
    routing: Floats,
    advance: Callable[[], object],
) -> Float[Tensor, "items items"]:
    """Return what `PersonaRidge.solve` returns in the space of items, up to rounding.

    Args:
        ridge: the regression.
        users: those to learn from.
        reader: how events are read, with one feature each that is the target, too.
        routing: "items personas".
        advance: called after each expert.
    """
    sharing = _Sharing(ridge, reader, routing)
    sums = users.total(sharing)
    count = int(sums["users"][0])
    if not count:
        return torch.zeros(len(routing), len(routing))
    weighing, common = _Weighing(sharing, sums["share"] / count), ridge.of_popularity(sums["people"])
    scale = np.sqrt(users.total(weighing)["squares"] / count)

    def solve(number: int, item: Doubles) -> Float[Tensor, "targets items"]:
        return ridge.of_sums(**users.total(_Expert(weighing, number, float(scale[number]), common, item)))

    return ridge.mixture(solve, routing, common, advance)


def _several(reader: FeedbackReader, log: Interactions) -> sp.csr_matrix:
    """Return the features of users with several items; a single item has no co-occurrence."""
    (features,), _ = reader.matrices(log)
    return features[np.flatnonzero(np.diff(features.indptr) > 1)]
