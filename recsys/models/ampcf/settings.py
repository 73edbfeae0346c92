"""Settings of AMP-CF in groups, validated on construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from recsys.checks import choice, fraction, positive
from recsys.errors import ConfigError
from recsys.training.sampling import NegativeSampler

Similarity = Literal["dot", "cosine"]
Readout = Literal["attentive", "log_sum_exp", "max"]
Users = Literal["history", "embedding"]
Loss = Literal["full_softmax", "sampled_softmax", "bpr"]
Target = Literal["all", "held_out"]
Positives = Literal["events", "drawn"]


@final
@dataclass(frozen=True)
class Attention:
    """How the personas' scores of a candidate item are combined into one.

    Attributes:
        similarity: what attention compares: "dot" U.v, or "cosine" of two learned linear projections (A_u U, A_v v).
        temperature: the (initial) factor tau on the similarity. The larger, the sharper the attention.
        learn_temperature: whether tau is learned (as exp of a parameter, so it stays positive).
        readout: "attentive" sum_k a_k s_k; "log_sum_exp" log(sum_k exp(tau s_k)) / tau, which is monotone in every
            persona; "max" the best persona alone (the limit of a high temperature; Weston et al., RecSys 2013).
        item_bias: whether an item bias is added to the score.
        initial_bias: standard deviation of the item biases at the start; 0 starts them at 0.
    """

    similarity: Similarity = "dot"
    temperature: float = 1.0
    learn_temperature: bool = False
    readout: Readout = "attentive"
    item_bias: bool = False
    initial_bias: float = 0.0

    def __post_init__(self) -> None:
        choice("attention.similarity", self.similarity, Similarity)
        choice("attention.readout", self.readout, Readout)
        positive("attention.temperature", self.temperature)
        positive("attention.initial_bias", self.initial_bias, zero=True)
        if self.initial_bias > 0 and not self.item_bias:
            raise ConfigError(
                f"initial_bias is {self.initial_bias} and item_bias is false: there is no bias to start; "
                "set item_bias, or remove initial_bias"
            )
        if self.similarity == "cosine" and self.readout != "attentive":
            raise ConfigError(
                f"attention.readout {self.readout!r} scores with the similarity itself and needs similarity 'dot'; "
                "use similarity 'dot', or readout 'attentive'"
            )


@final
@dataclass(frozen=True)
class Objective:
    """What is minimised: alpha * CE + (1 - alpha) * (lambda_pos * H(positives) - lambda_neg * H(negatives)) + balance.

    Attributes:
        loss: "full_softmax" over all items, "sampled_softmax", or "bpr".
        negatives: negatives per positive (or per batch when they are shared).
        sampler: "uniform", "popularity" (count ** 0.5) or "in_batch" (the other positives of the batch).
        shared_negatives: draw one set of negatives for the whole batch, much faster, instead of one per positive among
            the items its user has not touched.
        exclude_observed: leave out shared or in-batch negatives that are positives of the user; false is faster, and as
            large a share of the negatives as the log's density is wrong.
        log_q: correct sampled scores by the log-probability of being sampled.
        ce_weight: alpha; only its ratio to the entropy terms matters.
        entropy_positive: lambda_pos, sharpens attention on positives.
        entropy_negative: lambda_neg, flattens attention on negatives.
        entropy_reduction: "mean" over examples, or "sum" over the batch as in the authors' research code.
        balance: weight of log K - H(mean attention), which keeps every persona in use.
        positives: "events": every event is a positive once per epoch; "drawn": an event gives its user only, and the
            positive is drawn uniformly among the user's training items, as in the authors' research code. Only where
            personas are learned per user.
        redraw: whether every epoch draws new batches, positives and negatives. False repeats those of the second epoch
            in all later ones, as the seeding of the authors' research code does; reproduces its numbers, at a cost in
            accuracy. Only where personas are learned per user.
    """

    loss: Loss = "full_softmax"
    negatives: int = 4
    sampler: NegativeSampler = "uniform"
    shared_negatives: bool = False
    exclude_observed: bool = True
    log_q: bool = False
    ce_weight: float = 0.5
    entropy_positive: float = 0.0
    entropy_negative: float = 0.0
    entropy_reduction: Literal["mean", "sum"] = "mean"
    balance: float = 0.0
    positives: Positives = "events"
    redraw: bool = True

    def __post_init__(self) -> None:
        choice("objective.loss", self.loss, Loss)
        choice("objective.sampler", self.sampler, NegativeSampler)
        choice("objective.entropy_reduction", self.entropy_reduction, Literal["mean", "sum"])
        choice("objective.positives", self.positives, Positives)
        positive("objective.negatives", self.negatives)
        positive("objective.ce_weight", self.ce_weight)
        for name in ("entropy_positive", "entropy_negative", "balance"):
            positive(f"objective.{name}", getattr(self, name), zero=True)
        if self.ce_weight > 1:
            raise ConfigError(f"objective.ce_weight is {self.ce_weight}; it must be at most 1")


@final
@dataclass(frozen=True)
class HistoryPooling:
    """How `users="history"` turns past items into personas, and how it is trained to.

    Attributes:
        dropout: share of a user's events hidden from the input in each training step.
        target: predict "all" of the user's items, or only the "held_out" ones (those hidden).
        pooling_power: personas are sums of their items divided by (weight of the items) ** pooling_power; 1 is the
            mean, 0 the sum.
        routing_size: dimensions of the vectors that route items to personas.
        routing_temperature: factor on the routing's cosine; the larger, the fewer personas share an item.
        positives: positives drawn per user and step for the sampled losses.
    """

    dropout: float = 0.5
    target: Target = "all"
    pooling_power: float = 0.5
    routing_size: int = 16
    routing_temperature: float = 10.0
    positives: int = 8

    def __post_init__(self) -> None:
        choice("history.target", self.target, Target)
        fraction("history.dropout", self.dropout)
        positive("history.pooling_power", self.pooling_power, zero=True)
        positive("history.routing_size", self.routing_size)
        positive("history.routing_temperature", self.routing_temperature)
        positive("history.positives", self.positives)
        if self.target == "held_out" and self.dropout == 0:
            raise ConfigError("history.target 'held_out' needs history.dropout above 0: nothing would be held out")
