"""The torch modules of AMP-CF: the sources of personas, and the scores of items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.models.ampcf.settings import Attention, HistoryPooling
from recsys.training.bags import Bags


def _normal(shape: tuple[int, ...], std: float, source: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(0.0, std, generator=source))


@final
@dataclass(frozen=True)
class Scores:
    """Scores and attention of candidate items; the attention sums to 1 over personas."""

    score: Float[Tensor, "queries n"]
    attention: Float[Tensor, "queries personas n"]


@final
class PersonaScorer(nn.Module):
    """Scores items for users who are sets of persona vectors (Barkan et al., RecSys 2020, arXiv 2010.07042, sec. 3).

        a_uik = softmax_k( tau * sim(U_uk, v_i) + log pi_uk )
        s_ui  = sum_k a_uik U_uk . v_i + b_i

    where pi_uk is an optional prior over personas. `Attention.readout` replaces the weighted sum by log-sum-exp or max.

    Args:
        n_items: number of items.
        size: dimensions of personas and items.
        attention: similarity, temperature, read-out, bias.
        source: random numbers of the initial values (Xavier normal, as in the authors' research code; biases by
            `Attention.initial_bias`).
    """

    def __init__(self, n_items: int, size: int, attention: Attention, source: torch.Generator) -> None:
        super().__init__()
        self.settings = attention
        self.item = _normal((n_items, size), math.sqrt(2.0 / (n_items + size)), source)
        self.bias = nn.Parameter(torch.zeros(n_items)) if attention.item_bias else None
        log_temperature = torch.tensor(math.log(attention.temperature))
        self.log_temperature: Tensor
        if attention.learn_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer("log_temperature", log_temperature)
        cosine = attention.similarity == "cosine"
        std = math.sqrt(1.0 / size)
        self.project_persona = _normal((size, size), std, source) if cosine else None
        self.project_item = _normal((size, size), std, source) if cosine else None
        if self.bias is not None and attention.initial_bias > 0:
            # Drawn last, so that the other initial values do not depend on it.
            nn.init.normal_(self.bias, 0.0, attention.initial_bias, source)

    def forward(
        self,
        personas: Float[Tensor, "queries personas dim"],
        items: Int[Tensor, "queries n"] | Int[Tensor, " n"] | None = None,
        log_prior: Float[Tensor, "queries personas"] | None = None,
    ) -> Scores:
        """Score all items (None), the same items for every query ("n"), or other items for each ("queries n")."""
        # The gradient of F.embedding is several times faster on a CPU than that of indexing.
        vectors = self.item if items is None else F.embedding(items, self.item)
        if vectors.dim() == 3 and vectors.shape[1] == 1:
            value = (personas * vectors).sum(2, keepdim=True)  # four times as fast as products of such small matrices
        else:
            value = personas @ vectors.mT
        score, attention = self._read_out(value, personas, vectors, log_prior)
        if self.bias is not None:
            score = score + (self.bias if items is None else self.bias[items])
        return Scores(score, attention)

    def _read_out(
        self,
        value: Float[Tensor, "queries personas n"],
        personas: Float[Tensor, "queries personas dim"],
        vectors: Float[Tensor, "*rows dim"],
        log_prior: Float[Tensor, "queries personas"] | None,
    ) -> tuple[Float[Tensor, "queries n"], Float[Tensor, "queries personas n"]]:
        if value.shape[1] == 1:
            return value[:, 0], torch.ones_like(value)
        if self.settings.readout == "max":
            best = value.max(1)
            return best.values, F.one_hot(best.indices, value.shape[1]).transpose(1, 2).to(value.dtype)
        temperature = self.log_temperature.exp()
        similarity = value
        if self.project_persona is not None and self.project_item is not None:
            left = F.normalize(personas @ self.project_persona, dim=-1)
            right = F.normalize(vectors @ self.project_item, dim=-1)
            similarity = left @ right.mT
        logits = temperature * similarity
        if log_prior is not None:
            logits = logits + log_prior[:, :, None]
        if self.settings.readout == "log_sum_exp":
            total = torch.logsumexp(logits, 1, keepdim=True)
            return total[:, 0] / temperature, torch.exp(logits - total)
        attention = torch.softmax(logits, 1)
        return (attention * value).sum(1), attention


@final
class EmbeddedPersonas(nn.Module):
    """Personas learned per user id: U "users personas dim", as in the paper. New users need retraining."""

    def __init__(self, n_users: int, personas: int, size: int, source: torch.Generator) -> None:
        super().__init__()
        self.user = _normal((n_users, personas, size), math.sqrt(2.0 / ((n_users + personas) * size)), source)

    def forward(self, users: Int[Tensor, " queries"]) -> Float[Tensor, "queries personas dim"]:
        """Return the personas of known users."""
        return F.embedding(users, self.user.flatten(1)).view(users.shape[0], *self.user.shape[1:])


@final
class HistoryPersonas(nn.Module):
    """Personas computed from the visible, weighted history {(j, w_j)}.

        r_jk = softmax_k( tau_r * cos(q_j, c_k) )                       routing of item j to persona k
        m_uk = sum_j w_j r_jk                                           weight of the history in persona k
        U_uk = sum_j w_j r_jk e_j / (m_uk + eps) ** p                   the persona

    Given the routing, personas are linear in the history, so that contributions of past items are exact. Routing by
    the cosine with shared prototypes follows MacridVAE (Ma et al., NeurIPS 2019, eq. 5).

    K is `personas`; `settings` has tau_r and the pooling power p.
    """

    _EPSILON = 1e-6

    def __init__(
        self, n_items: int, personas: int, size: int, settings: HistoryPooling, source: torch.Generator
    ) -> None:
        super().__init__()
        self.input = _normal((n_items, size), math.sqrt(2.0 / (n_items + size)), source)
        self.personas = personas
        self.settings = settings
        several = personas > 1
        self.router = _normal((n_items, settings.routing_size), 1.0, source) if several else None
        self.prototype = _normal((personas, settings.routing_size), 1.0, source) if several else None

    def routing(self, items: Int[Tensor, " entries"] | None = None) -> Float[Tensor, "rows personas"]:
        """Return r_jk of every item (None), or of the given ones."""
        if self.router is None or self.prototype is None:
            return torch.ones(len(self.input if items is None else items), 1, device=self.input.device)
        router = self.router if items is None else self.router[items]
        cosine = F.normalize(router, dim=1) @ F.normalize(self.prototype, dim=1).T
        return torch.softmax(self.settings.routing_temperature * cosine, 1)

    def forward(self, bags: Bags) -> tuple[Float[Tensor, "queries personas dim"], Float[Tensor, "queries personas"]]:
        """Return the personas U_uk and their masses m_uk."""
        items: Tensor | None = None
        vectors: Tensor = self.input
        if not torch.is_grad_enabled() and len(bags.items) < len(self.input):
            # Few items: building the table of all of them would take longer than the answer.
            items, vectors = bags.items, self.input[bags.items]
            bags = Bags(torch.arange(len(items), device=items.device), bags.offsets, bags.weights)
        routing = self.routing(items)
        table = (routing[:, :, None] * vectors[:, None, :]).flatten(1)
        mass = bags.sum(routing)
        sums = bags.sum(table).view(len(mass), self.personas, vectors.shape[1])
        personas = sums / self.norm(mass)[:, :, None]
        return personas, mass

    def norm(self, mass: Float[Tensor, "queries personas"]) -> Float[Tensor, "queries personas"]:
        """Return (m + eps) ** p, the divisor of the weighted sums."""
        return (mass + self._EPSILON).pow(self.settings.pooling_power)
