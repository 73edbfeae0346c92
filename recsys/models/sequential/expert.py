"""The linear expert: fitted on all users for answers, and without a user's part of the users for training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.checks import arguments_of
from recsys.data.interactions import Interactions
from recsys.models.linear.next_item import LinearNextItem
from recsys.training.session import Session


@final
@dataclass(eq=False)
class ReusedExperts:
    """Fitted experts by settings and log.

    Attributes:
        seconds: processor time of the fits that were not made again.
    """

    seconds: float = 0.0
    _fitted: dict[tuple[str, str], tuple[LinearNextItem, float]] = field(default_factory=dict)

    def fit(self, expert: LinearNextItem, train: Interactions, session: Session) -> LinearNextItem:
        """Return the expert fitted on a log, from memory where it was fitted before."""
        key = json.dumps(arguments_of(expert), sort_keys=True, default=str), train.fingerprint
        if key in self._fitted:
            self.seconds += self._fitted[key][1]
        else:
            began = time.process_time()
            fitted = expert.unfitted().fit(train, session=session)
            self._fitted[key] = fitted, time.process_time() - began
        return self._fitted[key][0]


_REUSED: ContextVar[ReusedExperts | None] = ContextVar("reused_experts", default=None)


@contextmanager
def reusing_experts() -> Iterator[ReusedExperts]:
    """Within the block fit each expert once per log, though several models are trained: that changes no model.

    Three fits on 12,000 items take four minutes on one core, the network one. They stay in memory until the block ends.
    """
    experts = ReusedExperts()
    token = _REUSED.set(experts)
    try:
        yield experts
    finally:
        _REUSED.reset(token)


def fitted_expert(expert: LinearNextItem, train: Interactions, session: Session) -> LinearNextItem:
    """Return the expert fitted on a log; within `reusing_experts` the one that was fitted before."""
    return (_REUSED.get() or ReusedExperts()).fit(expert, train, session.alone)


def cross_fitted(
    expert: LinearNextItem, train: Interactions, folds: int, session: Session
) -> tuple[Float[Tensor, "folds memories items items"], Int[Tensor, " users"]]:
    """Return the weights of experts that were each fitted without one part of the users, and the part of each user.

    On users of its own training an expert is more certain than on others, and a network that corrects it would learn
    corrections of that. A part has fewer users, so less regularisation: lambda times the root of the share. The parts
    are those of the log, whatever the seed of the network.
    """
    part = np.random.default_rng(0).permutation(train.n_users) % folds
    lesser = LinearNextItem(
        **arguments_of(expert) | {"regularization": expert.regularization * math.sqrt((folds - 1) / folds)}
    )
    weights = []
    for fold in range(folds):
        fitted = fitted_expert(lesser, train.select(part[train.user_num] != fold), session)
        weights.append(torch.from_numpy(fitted.arrays()["weights"]))
    return torch.stack(weights), torch.from_numpy(part)


@final
class SequenceExpert(nn.Module):
    """The scores of the cross-fitted expert at the positions of training sequences.

    Args:
        weights: "folds memories items items", from an item of the history to a candidate.
        half_lives: of its memories.
    """

    def __init__(self, weights: Float[Tensor, "folds memories items items"], half_lives: tuple[float, ...]) -> None:
        super().__init__()
        decay = torch.exp2(-1 / torch.tensor(half_lives))
        self.weights: Tensor
        self.decay: Tensor
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("decay", decay, persistent=False)

    def of_candidates(
        self,
        fold: Int[Tensor, " sequences"],
        items: Int[Tensor, "sequences length"],
        candidates: Int[Tensor, " n"] | None,
    ) -> Float[Tensor, "sequences length n"]:
        """Return the scores of the same candidates (all items when None) after each event of each sequence.

        One scan over the positions: what the memories add up to decays and gains a row of the weights at each. That
        costs a tenth of the product with the matrix of decays (`prefix_decay`), as rows are as long as the catalogue.
        """
        rows, width = self._rows(fold, items), self.weights.shape[3] if candidates is None else len(candidates)
        scores = torch.empty(*items.shape, width, device=items.device)
        total = torch.zeros(len(items), len(self.decay), width, device=items.device)
        for position in range(items.shape[1]):
            row = rows[:, :, position]
            if candidates is None:
                weight = self.weights.flatten(0, 2)[row]
            else:
                weight = self.weights.view(-1)[row[:, :, None] * self.weights.shape[3] + candidates]
            total.mul_(self.decay[:, None]).add_(weight)
            torch.sum(total, 1, out=scores[:, position])
        return scores

    def of_next(
        self, fold: Int[Tensor, " sequences"], items: Int[Tensor, "sequences length"]
    ) -> Float[Tensor, "sequences length-1"]:
        """Return the score of each event's successor."""
        rows = self._rows(fold, items[:, :-1])
        weight = self.weights.view(-1)[rows[:, :, None, :] * self.weights.shape[3] + items[:, None, 1:, None]]
        age = torch.arange(items.shape[1] - 1, device=items.device)
        age = age[:, None] - age[None, :]
        decay = self.decay[:, None, None] ** age.clamp(min=0) * (age >= 0)
        return (weight * decay).sum((1, 3))

    def _rows(
        self, fold: Int[Tensor, " sequences"], items: Int[Tensor, "sequences length"]
    ) -> Int[Tensor, "sequences memories length"]:
        """Return the rows of the weights of each memory and event."""
        memories, n_items = self.weights.shape[1:3]
        first = fold[:, None] * memories + torch.arange(memories, device=items.device)
        return first[:, :, None] * n_items + items[:, None, :]


def factorised(
    weights: Float[Tensor, "memories items items"], size: int, source: torch.Generator
) -> tuple[Float[Tensor, "items dim"], Float[Tensor, "memories dim dim"], Float[Tensor, "items dim"]]:
    """Return E, W_p, V with B_p approximately E W_p V^T: a Tucker factorisation of a linear model's weights.

    E has the left singular vectors of [B_1 B_2 ...], V the right ones of their stack (De Lathauwer et al. 2000),
    scaled such that rows have length 1 in the mean. A start from there learns faster than one from random values.
    Of a catalogue with fewer items than dimensions the further columns are small random values.
    """
    n_items, rank = weights.shape[1], min(size, weights.shape[1])
    flat = weights.permute(1, 0, 2).flatten(1)
    left = _range(flat, rank, source)
    right = _range(weights.permute(2, 0, 1).flatten(1), rank, source)
    length = math.sqrt(n_items / rank)
    core = torch.einsum("id,pij,je->pde", left, weights, right) / length**2
    items = [_padded(basis * length, size, source) for basis in (left, right)]
    cores = torch.zeros(len(weights), size, size)
    cores[:, :rank, :rank] = core
    return items[0], cores, items[1]


def _range(matrix: Float[Tensor, "rows columns"], rank: int, source: torch.Generator) -> Float[Tensor, "rows rank"]:
    """Return the leading left singular vectors, by a randomised range with two power iterations (Halko et al. 2011)."""
    probe = torch.randn(matrix.shape[1], min(rank + 16, *matrix.shape), generator=source)
    basis: Tensor = torch.linalg.qr(matrix @ probe).Q
    for _ in range(2):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    small: Tensor = torch.linalg.svd(basis.T @ matrix, full_matrices=False).U
    return (basis @ small)[:, :rank]


def _padded(table: Float[Tensor, "rows rank"], size: int, source: torch.Generator) -> Float[Tensor, "rows dim"]:
    extra = torch.empty(len(table), size - table.shape[1]).normal_(0.0, 0.1 / math.sqrt(size), generator=source)
    return torch.cat([table, extra], 1)
