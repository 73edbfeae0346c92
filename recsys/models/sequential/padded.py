"""The scores of the sequential AMP-CF as a module of padded histories: for programs without this library."""

from __future__ import annotations

import math
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.models.sequential.memories import scale
from recsys.models.sequential.network import SequentialNetwork


@final
class SequenceScores(nn.Module):
    """Scores all items for padded histories: the scores of `SequentialAMPCF`.

    Args:
        network: fitted.
        half_lives: of its memories; infinite for the one that never fades.
        linear: "memories items items" and their half-lives: the linear expert; None without.
        weight: of the expert's scores.
    """

    def __init__(
        self,
        network: SequentialNetwork,
        half_lives: tuple[float, ...],
        linear: tuple[Float[Tensor, "memories items items"], tuple[float, ...]] | None,
        weight: float,
    ) -> None:
        super().__init__()
        self.network, self.half_lives = network, half_lives
        self.expert_half_lives = () if linear is None else linear[1]
        self.expert: Tensor | None
        self.register_buffer("expert", None if linear is None else weight * linear[0])

    def forward(
        self, items: Int[Tensor, "queries length"], weights: Float[Tensor, "queries length"]
    ) -> Float[Tensor, "queries items"]:
        """Return the scores; `items` are distinct numbers, oldest first, anything where the weight is 0."""
        known = items.clamp(min=0)
        mass = weights.sum(1, keepdim=True)
        age = mass - weights.cumsum(1)
        factors = [self._factor(half_life, age, mass) for half_life in self.half_lives]
        decay = torch.stack([weights * factor for factor in factors], 1)  # "queries memories length"
        memories = decay @ self.network.input[known]
        scores: Tensor = self.network(self.network.state(memories).vector).score * (mass > 0)
        if self.expert is None:
            return scores
        for half_life, rows in zip(self.expert_half_lives, self.expert, strict=True):
            bag = weights.new_zeros(items.shape[0], rows.shape[0])
            scores = scores + bag.scatter_add(1, known, weights * torch.exp2(-age / half_life)) @ rows
        return scores

    @staticmethod
    def _factor(
        half_life: float, age: Float[Tensor, "queries length"], mass: Float[Tensor, "queries 1"]
    ) -> Float[Tensor, "queries length"]:
        if math.isfinite(half_life):
            return scale(half_life) * torch.exp2(-age / half_life)
        return torch.ones_like(age) / mass.clamp(min=1e-9).sqrt()
