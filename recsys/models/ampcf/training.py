"""The training tasks of AMP-CF: for personas learned per user, and for personas computed from histories."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.ampcf.network import EmbeddedPersonas, HistoryPersonas, PersonaScorer, Scores
from recsys.models.ampcf.settings import Objective
from recsys.models.feedback import FeedbackReader
from recsys.training import losses, sampling
from recsys.training.bags import Bags
from recsys.training.trainable import LossAndParts, Trainable


class PersonaTask(Trainable):
    """Base of both tasks: the personas, the scorer, the negatives, the loss over scored positives and negatives."""

    users: HistoryPersonas | EmbeddedPersonas
    log_users: Tensor
    log_items: Tensor
    log_indptr: Tensor
    log_features: Tensor | None
    log_targets: Tensor | None
    log_q: Tensor
    cumulative: Tensor

    def __init__(
        self,
        users: HistoryPersonas | EmbeddedPersonas,
        scorer: PersonaScorer,
        objective: Objective,
        train: Interactions,
        feedback: FeedbackReader,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.scorer = scorer
        self.users = users
        self.objective = objective
        self.n_items = train.n_items
        # Distinct (user, item) pairs, sorted by user, and what they weigh in a history and in the loss.
        (features, *_), matrix = feedback.matrices(train)
        for each in (features, matrix):
            each.sort_indices()
        indptr, items = (torch.from_numpy(each.astype("int64")) for each in (matrix.indptr, matrix.indices))
        weighted = feedback.feedback == "weighted"
        buffers = {
            "log_users": Bags(items, indptr).rows,
            "log_items": items,
            "log_indptr": indptr,
            "log_features": torch.from_numpy(features.data) if weighted else None,
            "log_targets": torch.from_numpy(matrix.data) if weighted else None,
        }
        self._buffer(buffers)
        self.draw_by(self.counts)

    @property
    @final
    def counts(self) -> Int[Tensor, " items"]:
        """Number of training pairs of each item."""
        return torch.bincount(self.log_items, minlength=self.n_items)

    @final
    def draw_by(self, counts: Int[Tensor, " items"]) -> None:
        """Draw negatives by the number of training pairs of each item, those of other parts of the log included."""
        # In-batch negatives come in proportion to their count; otherwise count ** 0.5, or uniform (power 0).
        power = {"uniform": 0.0, "popularity": 0.5, "in_batch": 1.0}[self.objective.sampler]
        log_q = sampling.popularity_log_probability(counts.float(), power)
        self._buffer({"log_q": log_q, "cumulative": log_q.double().exp().cumsum(0)})

    @final
    def _buffer(self, buffers: Mapping[str, Tensor | None]) -> None:
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)  # checkpoints do not hold data

    @property
    @final
    def device(self) -> torch.device:
        """Device of the network."""
        return self.scorer.item.device

    @cached_property
    def observed(self) -> sampling.Observed:
        """The membership test of the training pairs."""
        return sampling.Observed(self.log_users, self.log_items, self.n_items)

    @final
    def negatives(
        self, users: Int[Tensor, " examples"], items: Int[Tensor, " examples"], source: torch.Generator
    ) -> tuple[Int[Tensor, "examples n"] | Int[Tensor, " n"], Bool[Tensor, "examples n"] | None]:
        """Draw negatives for (user, positive) pairs, and mark those that are positives of the user.

        Shared and in-batch negatives are the same list for all examples.
        """
        objective, n = self.objective, self.objective.negatives
        cumulative = self.cumulative if objective.sampler == "popularity" else None
        if objective.sampler == "in_batch":
            drawn = items
        elif objective.shared_negatives:
            drawn = sampling.draw_items(cumulative, self.n_items, (n,), source)
        else:
            return sampling.draw_unobserved(self.observed, users, n, cumulative, self.n_items, source), None
        if not objective.exclude_observed:
            return drawn, items[:, None] == drawn[None, :]
        return drawn, self.observed.among(users, drawn)

    @final
    def own(
        self,
        negatives: Int[Tensor, "examples n"] | Int[Tensor, " n"],
        false: Bool[Tensor, "examples n"] | None,
        chosen: Tensor | slice,
    ) -> tuple[Int[Tensor, "own n"] | Int[Tensor, " n"], Bool[Tensor, "own n"] | None]:
        """Return the result of `negatives` for some of the examples."""
        return negatives[chosen] if negatives.dim() == 2 else negatives, None if false is None else false[chosen]

    @final
    def sampled_loss(
        self,
        positive: Scores,
        negative: Scores,
        positives: Int[Tensor, " examples"],
        negatives: Int[Tensor, "examples n"] | Int[Tensor, " n"],
        false: Bool[Tensor, "examples n"] | None,
        weights: Float[Tensor, " examples"] | None,
    ) -> LossAndParts:
        """Return the whole loss of scored positives ("examples 1", of these weights) and negatives ("examples n")."""
        objective = self.objective
        if objective.loss == "bpr":
            score = negative.score if false is None else negative.score.masked_fill(false, -torch.inf)
            main = losses.bpr(positive.score[:, 0], score, weights, self.share.total)
        else:
            log_q = negative_log_q = None
            if objective.log_q:
                log_q, negative_log_q = self.log_q[positives], self.log_q[negatives].view(-1, negatives.shape[-1])
            scores = positive.score[:, 0], negative.score
            main = losses.sampled_softmax(*scores, log_q, negative_log_q, false, weights, self.share.total)
        return self._with_entropy(main, positive.attention[:, :, 0], negative.attention)

    @final
    def _with_entropy(
        self,
        main: Float[Tensor, ""],
        positive: Float[Tensor, "examples personas"],
        negative: Float[Tensor, "queries personas n"],
    ) -> LossAndParts:
        objective, add = self.objective, self.share.total
        parts = {"main_loss": main}
        total = main if objective.ce_weight == 1 else objective.ce_weight * main
        if positive.shape[1] == 1:
            return total, parts
        count = positive.new_tensor(len(positive))
        scale = 1 if objective.entropy_reduction == "mean" else count if add is None else add(count)
        if objective.entropy_positive:
            entropy = losses.mean(losses.attention_entropy(positive[:, :, None]).flatten(), None, add)
            total = total + (1 - objective.ce_weight) * objective.entropy_positive * scale * entropy
            parts["entropy_positive"] = entropy
        if objective.entropy_negative:
            entropy = losses.mean(losses.attention_entropy(negative).flatten(), None, add)
            total = total - (1 - objective.ce_weight) * objective.entropy_negative * scale * entropy
            parts["entropy_negative"] = entropy
        if objective.balance:
            imbalance = losses.persona_imbalance(positive, add)
            total = total + objective.balance * imbalance
            parts["imbalance"] = imbalance
        return total, parts


@final
class EmbeddingTask(PersonaTask):
    """Personas learned per user id, trained on batches of (user, item) events, as in the paper.

    `Objective.positives` and `Objective.redraw` reproduce two properties of the authors' research code.
    """

    users: EmbeddedPersonas

    @property
    def rows_per_epoch(self) -> int:
        return len(self.log_users)

    @property
    def examples_per_epoch(self) -> int:
        return len(self.log_users)

    def loss(self, epoch: int, step: int) -> LossAndParts:
        if not self.objective.redraw:
            # Still a function of (epoch, step): a resumed run repeats the same sample.
            epoch = min(epoch, 1)
        rows = self.batch(epoch, step, self.device)
        source = sampling.generator(self.device, self.seed, epoch, step)
        users = self.log_users[rows]
        pairs = rows if self.objective.positives == "events" else self._drawn(users, source)
        own = self.share.rows
        items, weights = self.log_items[pairs], _at(self.log_targets, pairs[own])
        personas = self.users(users[own])
        if self.objective.loss == "full_softmax":
            scores, items = self.scorer(personas), items[own]
            entropy = torch.nn.functional.cross_entropy(scores.score, items, reduction="none")
            main = losses.mean(entropy, weights, self.share.total)
            index = items[:, None, None].expand(-1, scores.attention.shape[1], 1)
            return self._with_entropy(main, scores.attention.gather(2, index)[:, :, 0], scores.attention)
        negatives, false = self.own(*self.negatives(users, items, source), own)
        items = items[own]
        if negatives.dim() == 2:
            # One gather and one product for the positive and its negatives together.
            both = self.scorer(personas, torch.cat([items[:, None], negatives], 1))
            positive = Scores(both.score[:, :1], both.attention[:, :, :1])
            negative = Scores(both.score[:, 1:], both.attention[:, :, 1:])
        else:
            positive = self.scorer(personas, items[:, None])
            negative = self.scorer(personas, negatives)
        return self.sampled_loss(positive, negative, items, negatives, false, weights)

    def _drawn(self, users: Int[Tensor, " examples"], source: torch.Generator) -> Int[Tensor, " examples"]:
        """Draw one of each user's training pairs, uniformly."""
        start, stop = self.log_indptr[users], self.log_indptr[users + 1]
        uniform = torch.rand(len(users), generator=source, device=self.device)
        return start + (uniform * (stop - start)).long()


@final
class HistoryTask(PersonaTask):
    """Personas computed from histories, trained as a denoising autoencoder: part of the history is dropped, and the
    user's items are predicted (full softmax: Liang et al., WWW 2018).
    """

    users: HistoryPersonas

    @cached_property
    def active(self) -> Int[Tensor, " users"]:
        """Users with an event."""
        return torch.nonzero(Bags(self.log_items, self.log_indptr).lengths > 0)[:, 0]

    @property
    def rows_per_epoch(self) -> int:
        return len(self.active)

    @property
    def examples_per_epoch(self) -> int:
        if self.objective.loss == "full_softmax":
            return len(self.log_users)
        return len(self.active) * self.users.settings.positives

    def loss(self, epoch: int, step: int) -> LossAndParts:
        users = self.active.to(self.device)[self.batch(epoch, step, self.device)]
        source = sampling.generator(self.device, self.seed, epoch, step)
        histories = Bags(torch.arange(len(self.log_items), device=self.device), self.log_indptr).take(users)
        pairs, owner = histories.items, histories.rows
        hidden = torch.rand(len(pairs), generator=source, device=self.device) < self.users.settings.dropout
        share, own_users = self.share, len(users[self.share.rows])
        seen = ~hidden & share.has(owner)
        personas, mass = self.users(self._bags(pairs[seen], share.place(owner[seen]), own_users))
        log_prior = log_share(mass)
        if self.users.settings.target == "held_out":
            pairs, owner = pairs[hidden], owner[hidden]
        if self.objective.loss == "full_softmax":
            mine = share.has(owner)
            pairs, owner = pairs[mine], share.place(owner[mine])
            items, weights = self.log_items[pairs], _at(self.log_targets, pairs)
            targets = torch.zeros(own_users, self.n_items, device=self.device)
            targets[owner, items] = 1.0 if weights is None else weights
            scores = self.scorer(personas, None, log_prior)
            main = losses.full_softmax(scores.score, targets, share.total)
            return self._with_entropy(main, scores.attention[owner, :, items], scores.attention)
        items, weights = self.log_items[pairs], _at(self.log_targets, pairs)
        positions, owner = self._positives(owner, len(users), source)
        mine = share.has(owner)
        negatives, false = self.own(*self.negatives(users[owner], items[positions], source), mine)
        positions, owner = positions[mine], share.place(owner[mine])
        chosen = items[positions]
        positive = self.scorer(personas[owner], chosen[:, None], log_prior[owner])
        negative = self.scorer(personas[owner], negatives, log_prior[owner])
        return self.sampled_loss(positive, negative, chosen, negatives, false, _at(weights, positions))

    def _bags(self, pairs: Int[Tensor, " events"], owner: Int[Tensor, " events"], users: int) -> Bags:
        counts = torch.bincount(owner, minlength=users)
        offsets = torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)])
        weights = _at(self.log_features, pairs)
        if weights is None:
            weights = torch.ones(len(pairs), device=self.device)
        return Bags(self.log_items[pairs], offsets, weights)

    def _positives(
        self, owner: Int[Tensor, " events"], users: int, source: torch.Generator
    ) -> tuple[Int[Tensor, " examples"], Int[Tensor, " examples"]]:
        """Draw `positives` events per user that has any, with replacement; return their positions and users."""
        counts = torch.bincount(owner, minlength=users)
        first = torch.cumsum(counts, 0) - counts
        some, n = torch.nonzero(counts > 0)[:, 0], self.users.settings.positives
        uniform = torch.rand(len(some), n, generator=source, device=self.device)
        position = first[some, None] + (uniform * counts[some, None]).long()
        return position.flatten(), some.repeat_interleave(n)


def _at(values: Float[Tensor, " all"] | None, chosen: Int[Tensor, " chosen"]) -> Float[Tensor, " chosen"] | None:
    return None if values is None else values[chosen]


def log_share(mass: Float[Tensor, "queries personas"]) -> Float[Tensor, "queries personas"]:
    """Return log pi_uk: the share of each persona in the history (uniform for an empty history), smoothed by one item
    spread over all personas so that no share is 0.
    """
    smoothed = mass + 1.0 / mass.shape[1]
    return torch.log(smoothed / smoothed.sum(1, keepdim=True))
