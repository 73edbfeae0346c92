"""Settings of the sequential AMP-CF in groups, validated on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

from recsys.checks import choice, fraction, positive, whole
from recsys.errors import ConfigError

Readout = Literal["mixture", "log_sum_exp", "attentive"]
SequenceLoss = Literal["sampled_softmax", "full_softmax"]


@final
@dataclass(frozen=True)
class PersonaReading:
    """How personas are read from the memories, and how their scores of a candidate become one.

    With personas U_k and item components V_ic, s_kci = U_k . V_ic, the attention a over the pairs (k, c) is

        "mixture"       a = softmax( Q_k z . A V_ic + g_k(z) ),   r_i = sum a s
        "attentive"     a = softmax( s + g_k(z) ),                r_i = sum a s
        "log_sum_exp"   a = softmax( s + g_k(z) ),                r_i = log sum exp( s + g_k(z) )

    The mixture of logits follows Ding and Zhai, *Retrieval with Learned Similarities*, 2024 (arXiv 2407.15462).

    Attributes:
        personas: K.
        readout: one of the three.
        item_components: C, vectors of an item.
        gate_size: dimensions of Q_k z and A V_ic; used by the mixture.
        hidden: units of the layer that turns the memories into the state z; 0 leaves it out.
    """

    personas: int = 1
    readout: Readout = "mixture"
    item_components: int = 1
    gate_size: int = 16
    hidden: int = 128

    def __post_init__(self) -> None:
        choice("reading.readout", self.readout, Readout)
        for name in ("personas", "item_components", "gate_size"):
            whole(f"reading.{name}", getattr(self, name))
        whole("reading.hidden", self.hidden, least=0)


@final
@dataclass(frozen=True)
class SequenceObjective:
    """What is minimised: the cross-entropy of every event of a history, given the events before it.

    Attributes:
        loss: "full_softmax" over the catalogue, or "sampled_softmax" against one set of negatives for the whole batch,
            whose sum is scaled up to the catalogue (logQ correction of a uniform sampler).
        negatives: size of that set.
        window: only this many of a user's newest events are trained on.
        dropout: of entries of the vectors of past items, of the memories and of the state, in training.
    """

    loss: SequenceLoss = "sampled_softmax"
    negatives: int = 256
    window: int = 128
    dropout: float = 0.1

    def __post_init__(self) -> None:
        choice("objective.loss", self.loss, SequenceLoss)
        positive("objective.negatives", self.negatives)
        whole("objective.window", self.window, least=2)
        fraction("objective.dropout", self.dropout)


def check_half_lives(half_lives: tuple[float, ...]) -> None:
    """Raise a ConfigError unless there are half-lives, finite, positive and in ascending order."""
    if not half_lives or list(half_lives) != sorted(set(half_lives)):
        raise ConfigError(f"half_lives are {list(half_lives)}; give at least one, in ascending order")
    if not (half_lives[0] > 0 and math.isfinite(half_lives[-1])):
        raise ConfigError(
            f"half_lives are {list(half_lives)}; each must be positive and finite (lasting: what never fades)"
        )
