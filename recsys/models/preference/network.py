"""The scores of the four kinds of pairwise preference, and the task that trains them."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its embedding has a far faster gradient than an index
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.training import losses, sampling
from recsys.training.trainable import LossAndParts, Trainable

Kind = Literal["pooled", "vector", "mixture", "persona"]
_SPREAD = 0.1
"""Standard deviation of vectors at the start."""


@final
class PreferenceNetwork(nn.Module):
    """Scores s_ui of items by users.

        pooled     b_i                                              one order for all (Bradley-Terry)
        vector     b_i + u_u . v_i
        mixture    b_i + sum_k softmax(w_u)_k R_ki                  (LoRe, PAL: prototypes of rewards)
        persona    b_i + sum_k a_uik U_uk . v_i,  a_uik = softmax_k(tau U_uk . v_i)

    Args:
        kind: which of them.
        users: number of users.
        items: number of items.
        size: dimensions of a vector; of "mixture" the number of prototypes.
        personas: K of "persona".
        sharpness: tau.
        source: of the initial values.
    """

    def __init__(
        self, kind: Kind, users: int, items: int, size: int, personas: int, sharpness: float, source: torch.Generator
    ) -> None:
        super().__init__()
        self.kind, self.size, self.personas, self.sharpness = kind, size, personas, sharpness
        self.bias = nn.Parameter(torch.zeros(items, 1))
        if kind == "pooled":
            return
        width = (personas if kind == "persona" else 1) * size
        self.user = nn.Parameter(_SPREAD * torch.randn(users, width, generator=source))
        self.item = nn.Parameter(_SPREAD * torch.randn(items, size, generator=source))

    def personas_of(self, users: Int[Tensor, " queries"]) -> Float[Tensor, "queries personas dim"]:
        """Return U_uk; of "mixture" the softmax of w_u."""
        user = F.embedding(users, self.user)
        return user.softmax(1)[:, None] if self.kind == "mixture" else user.view(len(users), -1, self.size)

    def attention(self, each: Float[Tensor, "queries personas n"]) -> Float[Tensor, "queries personas n"]:
        """Return a_uik of the personas' scores."""
        return (self.sharpness * each).softmax(1)

    def forward(
        self, users: Int[Tensor, " queries"], items: Int[Tensor, "queries n"] | None = None
    ) -> Float[Tensor, "queries n"]:
        """Return the scores of some items of each user, or of all."""
        bias = self.bias.T.expand(len(users), -1) if items is None else F.embedding(items, self.bias)[..., 0]
        if self.kind == "pooled":
            return bias
        personas = self.personas_of(users)
        if items is None:
            each = torch.einsum("qkd,nd->qkn", personas, self.item)
        else:
            each = personas @ F.embedding(items, self.item).transpose(1, 2)
        return bias + (each[:, 0] if each.shape[1] == 1 else (self.attention(each) * each).sum(1))


@final
class PreferenceTask(Trainable):
    """Minimises softplus(s_loser - s_winner) over pairs that are drawn anew in every epoch.

    For each rated event of a batch `partners` other events of its user are drawn, at most `window` of the user's events
    away; those with another rating make pairs. A user's pairs weigh min(1, cap / n_u) each. The L2 penalty is on the
    vectors and biases that the batch reads.

    Args:
        network: the scores.
        log: rated events only.
        window, partners, cap, regularization: see `PairwisePreference`.
        batch_size: events per step.
        seed: of the draws.
    """

    users: Tensor
    items: Tensor
    values: Tensor
    weight: Tensor

    def __init__(
        self,
        network: PreferenceNetwork,
        log: Interactions,
        window: int,
        partners: int,
        cap: int,
        regularization: float,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.network = network
        self.window, self.partners, self.regularization = window, partners, regularization
        counts = np.maximum(np.diff(log.indptr), 1)
        buffers = {
            "users": torch.from_numpy(log.user_num.astype(np.int64)),
            "items": torch.from_numpy(log.item_num.astype(np.int64)),
            "values": torch.from_numpy(log.value.copy()),
            "weight": torch.from_numpy(np.minimum(1.0, cap / counts).astype(np.float32)[log.user_num]),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)  # checkpoints do not hold data

    @property
    def rows_per_epoch(self) -> int:
        return len(self.users)

    @property
    def examples_per_epoch(self) -> int:
        return len(self.users) * self.partners

    def loss(self, epoch: int, step: int) -> LossAndParts:
        device = self.users.device
        rows = self.batch(epoch, step, device)
        source = sampling.generator(device, self.seed, epoch, step)
        shape = len(rows), self.partners
        distance = torch.randint(1, self.window + 1, shape, generator=source, device=device)
        sign = torch.randint(2, shape, generator=source, device=device) * 2 - 1
        other = (rows[:, None] + sign * distance).clamp(0, len(self.users) - 1)
        user = self.users[rows]
        gap = self.values[rows][:, None] - self.values[other]
        weight = ((self.users[other] == user[:, None]) & (gap != 0)) * self.weight[rows][:, None]
        items = torch.cat([self.items[rows][:, None], self.items[other]], 1)
        scores = self.network(user, items)
        margin = (scores[:, :1] - scores[:, 1:]) * gap.sign()
        main = losses.mean(F.softplus(-margin).flatten(), weight.flatten())
        return main + self._penalty(user, items), {"main_loss": main}

    def _penalty(self, users: Int[Tensor, " batch"], items: Int[Tensor, "batch n"]) -> Float[Tensor, ""]:
        network = self.network
        size = F.embedding(items[:, 0], network.bias).square().mean()
        if network.kind != "pooled":
            personas = network.personas if network.kind == "persona" else 1
            size = size + F.embedding(users, network.user).square().sum(1).mean() / personas
            size = size + F.embedding(items[:, 0], network.item).square().sum(1).mean()
        return self.regularization * size
