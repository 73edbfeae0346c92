"""Memories of several half-lives: of the histories of queries, and of all prefixes of a sequence in one scan."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.models.linear.operations import event_weights
from recsys.types import Floats


def event_decay(queries: Queries, half_lives: tuple[float, ...]) -> Floats:
    """Return "events memories": the factor of each event's item vector in each memory, 0 for events not counted.

        m_h = c_h sum_j w_j 2^(-age_j / h) E_j,   c_h = (1 - 2^(-1 / h))^.5
        m_h = sum_j w_j E_j / (sum_j w_j)^.5      for h infinite

    w_j is 1 without event weights, and age_j the sum of the weights of the later events, so that an event of weight 0
    is as if absent. The factors c_h make memories of unrelated items alike in length.
    """
    weight = event_weights(queries)
    cumulative = np.concatenate([[0.0], np.cumsum(weight, dtype=np.float64)])
    indptr, lengths = queries.history.indptr, queries.history.lengths
    age = np.repeat(cumulative[indptr[1:]], lengths) - cumulative[1:]
    mass = np.repeat(cumulative[indptr[1:]] - cumulative[indptr[:-1]], lengths)
    columns = [
        weight * (scale(h) * np.exp2(-age / h) if math.isfinite(h) else 1 / np.sqrt(np.maximum(mass, 1e-9)))
        for h in half_lives
    ]
    return np.stack(columns, 1).astype(np.float32)


def scale(half_life: float) -> float:
    """Return c_h, for which the squares of the factors of an endless history add up to one.

    >>> round(scale(1.0) ** 2, 3)
    0.5
    """
    return math.sqrt(-math.expm1(-math.log(2) / half_life))


def prefix_decay(length: int, half_lives: tuple[float, ...]) -> Float[Tensor, "memories length length"]:
    """Return D_h, whose row t holds the factors of the events up to t in the memories after event t.

    The product D_h E of one sequence gives the memories of all its prefixes: the scan as a matrix, for sequences short
    enough (`SequenceObjective.window`) that the product costs less than steps would.
    """
    age = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    past = (age >= 0).float()
    rows = [
        scale(h) * torch.exp2(-age.clamp(min=0) / h) * past
        if math.isfinite(h)
        else past / torch.arange(1, length + 1).sqrt()[:, None]
        for h in half_lives
    ]
    return torch.stack(rows)
