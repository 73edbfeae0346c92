"""The training task of the sequential AMP-CF: every event of a history, predicted from those before it."""

from __future__ import annotations

import math
from functools import cached_property
from typing import final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.sequential.expert import SequenceExpert
from recsys.models.sequential.memories import prefix_decay
from recsys.models.sequential.network import SequentialNetwork
from recsys.models.sequential.settings import SequenceObjective
from recsys.training import losses, sampling
from recsys.training.bags import Bags
from recsys.training.trainable import LossAndParts, Trainable

_POWERS = range(12)
"""The exponents of the weights with which the expert may start."""


@final
class SequenceTask(Trainable):
    """Batches of users; each position of each sequence is an example.

    What a user used is never a negative. On a GPU products are computed in bfloat16, the loss in single precision.

    Args:
        network: with the parameters.
        objective: the loss.
        half_lives: of the memories.
        train: the log.
        expert: the cross-fitted expert and the fold of each user; None: without.
        batch_size: users per step.
        seed: of the order of users, the negatives and the dropout.
    """

    log_items: Tensor
    log_indptr: Tensor
    fold: Tensor
    decay: Tensor

    def __init__(
        self,
        network: SequentialNetwork,
        objective: SequenceObjective,
        half_lives: tuple[float, ...],
        train: Interactions,
        expert: tuple[SequenceExpert, Int[Tensor, " users"]] | None,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.network = network
        self.objective = objective
        self.n_items = train.n_items
        items, indptr = _sequences(train)
        self.expert = None if expert is None else expert[0]
        buffers = {
            "log_items": items,
            "log_indptr": indptr,
            "fold": torch.zeros(train.n_users, dtype=torch.int64) if expert is None else expert[1],
            "decay": prefix_decay(objective.window, half_lives),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)  # checkpoints do not hold data

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.network.input.device

    @cached_property
    def active(self) -> Int[Tensor, " users"]:
        """Users with a target: at least two events."""
        return torch.nonzero(Bags(self.log_items, self.log_indptr).lengths > 1)[:, 0]

    @cached_property
    def observed(self) -> sampling.Observed:
        """The membership test of the training pairs."""
        return sampling.Observed(Bags(self.log_items, self.log_indptr).rows, self.log_items, self.n_items)

    @cached_property
    def next_scores(self) -> Float[Tensor, " events"]:
        """The expert's score of each event given those before it in its window; computed once, as it never changes."""
        scores = torch.zeros(len(self.log_items), device=self.device)
        if self.expert is not None:
            for users in torch.split(self.active.to(self.device), 64):
                index, target = self._windows(users)
                scores[index[:, 1:][target]] = self.expert.of_next(self.fold[users], self.log_items[index])[target]
        return scores

    @property
    def rows_per_epoch(self) -> int:
        return len(self.active)

    @property
    def examples_per_epoch(self) -> int:
        lengths = Bags(self.log_items, self.log_indptr).lengths
        return int((lengths.clamp(max=self.objective.window) - 1).clamp(min=0).sum())

    def loss(self, epoch: int, step: int) -> LossAndParts:
        users = self.active.to(self.device)[self.batch(epoch, step, self.device)]
        source = sampling.generator(self.device, self.seed, epoch, step)
        batch, rows = len(users), self.share.rows
        index, target = (each[rows] for each in self._windows(users))
        users, items = users[rows], self.log_items[index]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            state = self._states(items[:, :-1], target, batch, source)
            if self.objective.loss == "full_softmax":
                main = self._full(users, items, target, state)
            else:
                main = self._sampled(users, index, target, state, source)
        parts = {"main_loss": main.detach()}
        if self.network.log_weight is not None:
            parts["expert_weight"] = self.network.log_weight.detach().exp()
        return main, parts

    @torch.no_grad()
    def start_expert_weight(self) -> None:
        """Set alpha to the power of 2 with the least loss of the untrained network on the first batches.

        What scale the expert's scores need differs by log more than a small step size could make up for.
        """
        weight = self.network.log_weight
        if weight is None:
            return
        values = []
        for power in _POWERS:
            weight.fill_(power * math.log(2))
            values.append(sum(float(self.loss(0, step)[0]) for step in range(min(4, self.steps_per_epoch))))
        weight.fill_(_POWERS[int(np.argmin(values))] * math.log(2))

    def _windows(
        self, users: Int[Tensor, " users"]
    ) -> tuple[Int[Tensor, "users length"], Bool[Tensor, "users length-1"]]:
        """Return the newest events of users, padded with the last of the log, and which positions have a successor."""
        stop = self.log_indptr[users + 1]
        lengths = (stop - self.log_indptr[users]).clamp(max=self.objective.window)
        position = torch.arange(int(lengths.max()), device=self.device)
        index = ((stop - lengths)[:, None] + position).clamp(max=len(self.log_items) - 1)
        return index, (position < lengths[:, None])[:, 1:]

    def _states(
        self,
        items: Int[Tensor, "users length"],
        target: Bool[Tensor, "users length"],
        batch: int,
        source: torch.Generator,
    ) -> Float[Tensor, "examples dim"]:
        length = items.shape[1]
        vectors = self._dropped(F.embedding(items, self.network.input), batch, source)
        memories = self.decay[:, :length, :length].flatten(0, 1) @ vectors
        memories = memories.view(len(items), len(self.decay), length, memories.shape[2]).transpose(1, 2)[target]
        return self.network.state(memories).vector

    def _dropped(
        self, values: Float[Tensor, "users *shape"], batch: int, source: torch.Generator
    ) -> Float[Tensor, "users *shape"]:
        """Drop some of the values of the own share of a batch of so many users."""
        rate = self.objective.dropout
        if rate == 0:
            return values
        drawn = torch.rand(batch, *values.shape[1:], generator=source, device=values.device)
        kept = drawn[self.share.rows] >= rate
        return values * kept / (1 - rate)

    def _sampled(
        self,
        users: Int[Tensor, " users"],
        index: Int[Tensor, "users length"],
        target: Bool[Tensor, "users length-1"],
        state: Float[Tensor, "examples dim"],
        source: torch.Generator,
    ) -> Float[Tensor, ""]:
        items = self.log_items[index]
        drawn = sampling.draw_items(None, self.n_items, (self.objective.negatives,), source)
        negative = self.network(state, drawn).score
        positive = self.network(state, items[:, 1:][target][:, None]).score[:, 0]
        if self.expert is not None and self.network.log_weight is not None:
            fold, weight = self.fold[users], self.network.log_weight.exp()
            positive = positive + weight * self.next_scores[index[:, 1:]][target]
            negative = negative + weight * self.expert.of_candidates(fold, items[:, :-1], drawn)[target]
        own = self.observed.among(users, drawn)[target.nonzero()[:, 0]]
        log_q = torch.full((1, len(drawn)), math.log(len(drawn) / self.n_items), device=self.device)
        scores = positive.float(), negative.float()
        return losses.sampled_softmax(*scores, None, log_q, own, total=self.share.total)

    def _full(
        self,
        users: Int[Tensor, " users"],
        items: Int[Tensor, "users length"],
        target: Bool[Tensor, "users length-1"],
        state: Float[Tensor, "examples dim"],
    ) -> Float[Tensor, ""]:
        scores = self.network(state).score
        if self.expert is not None and self.network.log_weight is not None:
            expert = self.expert.of_candidates(self.fold[users], items[:, :-1], None)[target]
            scores = scores + self.network.log_weight.exp() * expert
        used = Bags(self.log_items, self.log_indptr).take(users)
        own = torch.zeros(len(users), self.n_items, dtype=torch.bool, device=self.device)
        own[used.rows, used.items] = True
        wanted = items[:, 1:][target]
        positive = scores.gather(1, wanted[:, None])
        others = scores.masked_fill(own[target.nonzero()[:, 0]], -torch.inf).scatter(1, wanted[:, None], positive)
        return losses.mean(F.cross_entropy(others.float(), wanted, reduction="none"), total=self.share.total)


def _sequences(train: Interactions) -> tuple[Int[Tensor, " events"], Int[Tensor, " users_1"]]:
    """Return the first event of each user and item in order of time, one user after the other, with their limits."""
    pair = train.user_num.astype(np.int64) * train.n_items + train.item_num
    first = np.sort(np.unique(pair, return_index=True)[1])
    counts = np.bincount(train.user_num[first], minlength=train.n_users)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return torch.from_numpy(train.item_num[first].astype(np.int64)), torch.from_numpy(indptr)
