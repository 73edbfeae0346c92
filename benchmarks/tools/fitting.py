"""Fits within a budget of processor time, numbers of parameters, and parameter-matched one-persona twins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, final

import numpy.typing as npt

from benchmarks.tools.search import with_settings
from recsys.data.interactions import Interactions
from recsys.experiments.configuration import Experiment
from recsys.models.base import Recommender, Validate


@final
class _TimeUpError(Exception):
    """Raised in a validation to end the training."""


@final
@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model and its cost."""

    model: Recommender  # with the parameters of its best validated epoch
    valid: float  # the validation metric of these parameters
    epochs: int  # epochs run, those after the best one included
    seconds: float  # processor time of the fit on all threads, its validations included
    capped: bool  # whether the budget ended the training
    curve: tuple[float, ...] = ()  # the validation metric each time that the training asked for it

    @property
    def effort(self) -> dict[str, Any]:
        """Everything but the model and the curve, as plain values."""
        return {"valid": self.valid, "epochs": self.epochs, "seconds": self.seconds, "capped": self.capped}


def fit_within(experiment: Experiment, seed: int, train: Interactions, validate: Validate, seconds: float) -> Fitted:
    """Fit a model, end its training at the first validation after `seconds` of processor time, keep its best epoch.

    Processor time, because a busy machine then ends the training at the same epoch as an idle one. Only models that
    validate while they train can be ended; closed-form models and those of `implicit` run to their end, and count as
    not capped.
    """
    model = experiment.build(seed)
    best: dict[str, npt.NDArray[Any]] = {}
    values: list[float] = []
    started = time.process_time()

    def observed(current: Recommender) -> float:
        nonlocal best
        value = validate(current)
        if not values or value > max(values):
            best = {name: array.copy() for name, array in model.arrays().items()}
        values.append(value)
        if time.process_time() - started > seconds:
            raise _TimeUpError
        return value

    try:
        model.fit(train, observed)
    except _TimeUpError:
        model.restore(model.fitted_on, best)
        every = experiment.arguments.get("optimization", {}).get("validate_every", 1)
        seconds = time.process_time() - started
        return Fitted(model, max(values), len(values) * every, seconds, capped=True, curve=tuple(values))
    took = time.process_time() - started
    epochs = 1 if model.effort is None else model.effort.epochs
    valid = max(values) if values else validate(model)
    return Fitted(model, valid, epochs, took, capped=False, curve=tuple(values))


def count_parameters(model: Recommender) -> int:
    """Return the number of parameters of a fitted model."""
    return sum(int(array.size) for array in model.arrays().values())


def parameters_of(experiment: Experiment, train: Interactions) -> int:
    """Return the number of parameters of a model that is trained by gradient, without training it."""
    untrained = with_settings(experiment, {"optimization.epochs": 0}).build()
    return count_parameters(untrained.fit(train))


def one_persona_twin(experiment: Experiment, train: Interactions) -> Experiment:
    """Return the experiment with one persona and, if need be, a larger embedding, for at least as many parameters.

    The twin of a model without embedding differs in its personas alone.
    """
    if "embedding_size" not in experiment.arguments:
        return with_settings(experiment, {"personas": 1})
    target = parameters_of(experiment, train)
    size = int(experiment.arguments["embedding_size"])

    def twin(dimensions: int) -> Experiment:
        return with_settings(experiment, {"personas": 1, "embedding_size": dimensions})

    own = parameters_of(twin(size), train)
    if own < target:
        slope = parameters_of(twin(size + 1), train) - own
        size += math.ceil((target - own) / slope)
        # Where parameters grow faster than linearly with the size, the line from here overshoots.
        while size > 1 and parameters_of(twin(size - 1), train) >= target:
            size -= 1
    return twin(size)
