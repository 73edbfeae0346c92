"""The torch module of the sequential AMP-CF: from memories to personas, from personas to scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.models.sequential.settings import PersonaReading


def _normal(shape: tuple[int, ...], std: float, source: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(0.0, std, generator=source))


@final
@dataclass(frozen=True)
class PairScores:
    """Scores of candidates, and the attention over pairs of a persona and an item component; it sums to 1 over them."""

    score: Float[Tensor, "queries n"]
    attention: Float[Tensor, "queries pairs n"]


@final
@dataclass(frozen=True)
class UserState:
    """The state z of each query, and what the network held fixed while it was linear in the memories.

    Attributes:
        vector: z.
        active: which units of the hidden layer are active; None without that layer.
        norm: root mean square of x, by which the layer's input is divided.
    """

    vector: Float[Tensor, "queries dim"]
    active: Bool[Tensor, "queries hidden"] | None
    norm: Float[Tensor, "queries 1"]


@final
class SequentialNetwork(nn.Module):
    """Personas from memories, and what they add to the score of an item beside the linear expert.

        x   = sum_h W_h m_h
        z   = x + B relu( A x / rms(x) + a ),       U_k = H_k z
        r_i = read-out of U_k . V_ic over k and c (`PersonaReading`),   s_i = alpha lin_i + b_i + r_i

    The hidden layer is piecewise linear, so that given its active units, rms(x) and the attention, r_i is linear in
    every past event: see `SequentialAMPCF.contributions`. B starts at 0, H_k near the identity.

    Args:
        n_items: number of items.
        size: dimensions d of items, memories and personas.
        memories: number of memories.
        reading: personas and read-out.
        expert: alpha at the start; log alpha is a parameter. None: there is no linear expert.
        source: random numbers of the initial values.
    """

    def __init__(
        self,
        n_items: int,
        size: int,
        memories: int,
        reading: PersonaReading,
        expert: float | None,
        source: torch.Generator,
    ) -> None:
        super().__init__()
        self.reading = reading
        components, personas = reading.item_components, reading.personas
        width = math.sqrt(1.0 / size)
        self.input = _normal((n_items, size), width, source)
        self.mix = _normal((memories, size, size), math.sqrt(1.0 / (memories * size)), source)
        self.item = _normal((n_items * components, size), width, source)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.log_weight = None if expert is None else nn.Parameter(torch.tensor(math.log(expert)))
        hidden = reading.hidden
        self.inner = _normal((hidden, size), math.sqrt(2.0 / size), source) if hidden else None
        self.inner_bias = nn.Parameter(torch.zeros(hidden)) if hidden else None
        self.outer = nn.Parameter(torch.zeros(size, hidden)) if hidden else None
        self.persona = self.prior = self.query = self.key = None
        if personas > 1:
            spread = _normal((personas, size, size), 0.5 * width, source)
            self.persona = nn.Parameter(torch.eye(size) + spread.detach())
            self.prior = nn.Parameter(torch.zeros(personas, size))
        if reading.readout == "mixture" and personas * components > 1:
            self.query = _normal((personas, reading.gate_size, size), width, source)
            self.key = _normal((reading.gate_size, size), width, source)

    @property
    def pairs(self) -> int:
        """Pairs of a persona and an item component."""
        return self.reading.personas * self.reading.item_components

    def state(self, memories: Float[Tensor, "queries memories dim"]) -> UserState:
        """Return the state of queries with given memories."""
        x = memories.flatten(1) @ self.mix.transpose(1, 2).flatten(0, 1)
        norm = (x.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        if self.inner is None or self.outer is None:
            return UserState(x, None, norm)
        units = torch.relu(F.linear(x / norm, self.inner, self.inner_bias))
        return UserState(x + units @ self.outer.T, units > 0, norm)

    def personas(self, state: Float[Tensor, "queries dim"]) -> Float[Tensor, "queries personas dim"]:
        """Return U_k = H_k z."""
        return state[:, None] if self.persona is None else torch.einsum("kde,qe->qkd", self.persona, state)

    def forward(
        self, state: Float[Tensor, "queries dim"], items: Int[Tensor, "queries n"] | Int[Tensor, " n"] | None = None
    ) -> PairScores:
        """Return r_i + b_i of all items (None), of the same for every query ("n"), or of others for each."""
        vectors = self.components(items)
        value = self._pairs(self.personas(state), vectors)
        bias = self.bias if items is None else self.bias[items]
        if self.pairs == 1:
            return PairScores(value[:, 0] + bias, torch.ones_like(value))
        prior = (
            None if self.prior is None else (state @ self.prior.T).repeat_interleave(self.reading.item_components, 1)
        )
        if self.query is not None and self.key is not None:
            asked = torch.einsum("kge,qe->qkg", self.query, state)
            logits = self._pairs(asked, vectors @ self.key.T)
        else:
            logits = value
        if prior is not None:
            logits = logits + prior[:, :, None]
        if self.reading.readout == "log_sum_exp":
            total = torch.logsumexp(logits, 1, keepdim=True)
            return PairScores(total[:, 0] + bias, torch.exp(logits - total))
        attention = torch.softmax(logits, 1)
        return PairScores((attention * value).sum(1) + bias, attention)

    def components(
        self, items: Int[Tensor, "queries n"] | Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "*rows dim"]:
        """Return the component vectors V_ic; those of an item stand one after the other."""
        count = self.reading.item_components
        if items is None:
            return self.item
        if count > 1:
            items = (items[..., None] * count + torch.arange(count, device=items.device)).flatten(-2)
        return F.embedding(items, self.item)

    def _pairs(
        self, users: Float[Tensor, "queries personas width"], items: Float[Tensor, "*rows width"]
    ) -> Float[Tensor, "queries pairs n"]:
        """Return the inner products of every persona with every component of every item."""
        product = users @ items.mT
        count = self.reading.item_components
        if count == 1:
            return product
        queries, personas, width = product.shape
        parts = product.view(queries, personas, width // count, count).transpose(2, 3)
        return parts.reshape(queries, personas * count, width // count)

    def sensitivity(
        self, state: UserState, items: Int[Tensor, "queries n"], attention: Float[Tensor, "queries pairs n"]
    ) -> Float[Tensor, "queries n dim"]:
        """Return the gradient of r_i by x, attention, active units and rms(x) held fixed: r_i is linear in x then."""
        count = self.reading.item_components
        vectors = self.components(items).view(*items.shape, count, -1)
        shares = attention.view(len(items), -1, count, items.shape[1])
        mixed = torch.einsum("qkcn,qncd->qknd", shares, vectors)
        by_state = mixed.sum(1) if self.persona is None else torch.einsum("qknd,kde->qne", mixed, self.persona)
        if self.inner is None or self.outer is None or state.active is None:
            return by_state
        units = (by_state @ self.outer) * state.active[:, None]
        return by_state + units @ self.inner / state.norm[:, None]
