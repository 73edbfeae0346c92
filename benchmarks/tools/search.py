"""Configurations, their declared search spaces, and their trials.

The first trial is the configuration of the file; the others are drawn at random, without repetition, from the product
of the declared values. With so few trials a model-guided search would not have begun to guide. A model with fewer
combinations than trials has fewer trials; none has more.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from recsys.data.catalogue.locations import shipped
from recsys.experiments.configuration import Experiment, check_experiment, read_experiment

Space = Mapping[str, Sequence[Any]]
"""Values to try by setting; a setting is a path below `model.init_args`, as "optimization.learning_rate"."""

_EMBEDDING: Space = {
    "optimization.learning_rate": (0.001, 0.003, 0.01),
    "optimization.batch_size": (256, 1024, 4096),
    "optimization.weight_decay": (0.0, 0.0001, 0.01),
}
_HISTORY: Space = {
    "optimization.learning_rate": (0.003, 0.01, 0.02),
    "optimization.weight_decay": (0.0, 0.01, 0.1),
    "history.dropout": (0.3, 0.5, 0.7),
    "history.pooling_power": (0.5, 0.75, 1.0),
}
_LINEAR: Space = {
    "regularization": (2.0, 3.5, 5.0, 8.0, 15.0),
    "history_power": (0.25, 0.4, 0.5),
    "item_power": (0.0, 0.1, 0.2),
}

SPACES: Mapping[str, Space] = {
    "popularity": {},
    "itemknn": {
        "neighbours": (20, 50, 100, 200, 400),
        "similarity": ("cosine", "jaccard"),
        "shrinkage": (0.0, 10.0, 100.0),
    },
    "ease": {"regularization": (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)},
    "ials": {"embedding_size": (32, 64, 128), "regularization": (3.0, 10.0, 30.0, 100.0), "alpha": (2.0, 5.0, 10.0)},
    "bpr": {"learning_rate": (0.02, 0.05, 0.1), "regularization": (0.001, 0.01, 0.05), "embedding_size": (32, 64, 128)},
    "mf": _EMBEDDING,
    "persona_ease": {**_LINEAR, "cohesion": (0.75, 1.5), "locality": (0.1, 0.2), "routing_sharpness": (3.0, 5.0)},
    "persona_ease_twin": _LINEAR,
    "ampcf_latent": _HISTORY,
    "ampcf_latent_twin": _HISTORY,
    "ampcf_paper_dot": _EMBEDDING,
    "ampcf_paper_cosine": _EMBEDDING,
}
"""The space of every configuration by name; those without a name here are not tuned."""


def shipped_experiment(name: str) -> Experiment:
    """Return the experiment of a configuration in `configs/`."""
    return read_experiment(shipped("configs") / f"{name}.yaml")


def with_settings(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return an experiment with other constructor arguments, by path below `model.init_args`, checked."""
    overrides = [(f"model.{key}", yaml.safe_dump(value)) for key, value in changes.items()]
    return check_experiment(experiment.to_dict(), overrides, "benchmark")


def setting(experiment: Experiment, key: str) -> Any:  # noqa: ANN401 - a setting has any type
    """Return a constructor argument by its path."""
    value: Any = experiment.arguments
    for part in key.split("."):
        value = value[part]
    return value


def trials(name: str, experiment: Experiment, count: int) -> list[dict[str, Any]]:
    """Return the changes of each trial: none in the first, then random ones, always the same for the same arguments.

    The name of the configuration determines its space in `SPACES`.
    """
    space = SPACES.get(name, {})
    own = {key: setting(experiment, key) for key in space}
    combinations = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    others = [combination for combination in combinations if combination != own]
    order = np.random.default_rng([0, zlib.crc32(name.encode())]).permutation(len(others))
    return [{}, *(others[position] for position in order[: max(0, count - 1)])]
