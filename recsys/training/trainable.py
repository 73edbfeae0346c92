"""Networks with their data and loss, independent of the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.checks import choice, positive, whole
from recsys.training import sampling
from recsys.training.shares import Share

Schedule = Literal["constant", "linear"]
LossAndParts = tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]
"""The loss of a batch, and parts of it by name, for the log."""


class Trainable(nn.Module, ABC):
    """A network together with its data and loss.

    It draws its batches on its own device as a function of (epoch, step), so that a resumed run equals an uninterrupted
    one.

    Args:
        batch_size: rows of the data per step.
        seed: of the order of the rows.

    Attributes:
        share: the rows of each batch whose loss this process computes, where several train the model together
            (`recsys.training.shares`, `Recommender.shares_batches`).
        steps: optimiser steps in one epoch, over which the rows are spread evenly; None: as many as make batches of
            `batch_size` rows.
    """

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__()
        self.share = Share()
        self.steps: int | None = None
        self.batch_size = batch_size
        self.seed = seed
        self._order: tuple[int, Tensor] | None = None

    @property
    @abstractmethod
    def rows_per_epoch(self) -> int:
        """Number of rows that the batches of an epoch are made of."""

    @property
    @abstractmethod
    def examples_per_epoch(self) -> int:
        """Number of positives presented in one epoch."""

    @abstractmethod
    def loss(self, epoch: int, step: int) -> LossAndParts:
        """Return the loss of one batch, and named parts of it to log."""

    @property
    @final
    def steps_per_epoch(self) -> int:
        """Number of optimiser steps in one epoch."""
        return self.steps or -(-self.rows_per_epoch // self.batch_size)

    @final
    def batch(self, epoch: int, step: int, device: torch.device) -> Int[Tensor, " batch"]:
        """Return the rows of one step, in the random order of the epoch."""
        if self._order is None or self._order[0] != epoch:
            source = sampling.generator(device, self.seed, epoch)
            self._order = epoch, torch.randperm(self.rows_per_epoch, generator=source, device=device)
        start, stop = (
            each * self.batch_size if self.steps is None else each * self.rows_per_epoch // self.steps
            for each in (step, step + 1)
        )
        return self._order[1][start:stop]


@final
@dataclass(frozen=True)
class Optimization:
    """How the loss is minimised.

    Attributes:
        epochs: at most this many passes.
        batch_size: examples (events, or users for models that read histories) per step.
        learning_rate: Adam's step size.
        weight_decay: decoupled weight decay (AdamW); 0 is plain Adam.
        patience: stop after this many validations without improvement; the best epoch's parameters are kept.
        validate_every: epochs between validations.
        warm_up: steps in which the step size grows linearly to its value.
        schedule: "constant", or "linear": the step size falls to 0 over all steps of all epochs.
        clip: gradients are scaled down to at most this norm; 0: they are taken as they are.

    Raises:
        ConfigError: a value is out of range.
    """

    epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 4
    validate_every: int = 1
    warm_up: int = 0
    schedule: Schedule = "constant"
    clip: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "warm_up"):
            whole(name, getattr(self, name), least=0)
        choice("schedule", self.schedule, Schedule)
        positive("clip", self.clip, zero=True)
        for name in ("batch_size", "validate_every"):
            whole(name, getattr(self, name))
        positive("patience", self.patience, zero=True)
        positive("learning_rate", self.learning_rate)
        positive("weight_decay", self.weight_decay, zero=True)

    def optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a module's parameters, fused where the device has it."""
        parameters = [p for p in module.parameters() if p.requires_grad]
        if self.weight_decay:
            return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)
        return torch.optim.Adam(parameters, lr=self.learning_rate, fused=True)

    def step_size(self, step: int, steps: int) -> float:
        """Return the factor on the step size at one of `steps` steps, counted from 0.

        >>> [Optimization(warm_up=2, schedule="linear").step_size(step, 4) for step in range(4)]
        [0.5, 0.75, 0.5, 0.25]
        """
        rising = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return rising * (1 - step / max(1, steps)) if self.schedule == "linear" else rising
