"""Who is compared: the configurations, what differs by log, the peer, and numbers that others published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.tools.search import with_settings
from recsys.experiments.configuration import Experiment, check_experiment, read_experiment

OWN: Final = "ampcf_sequential"
PERSONAS, TWIN, NO_EXPERT = f"{OWN}_personas", f"{OWN}_twin", f"{OWN}_no_expert"
LINEAR, PEER = "linear_next_item", "sasrec"

CONTENDERS: Final = ("popularity", "ease_decay", LINEAR, PEER, OWN, PERSONAS, TWIN, NO_EXPERT)

LOGS: Final = ("ml-1m-ordered", "amazon-beauty")

PAIRS: Final = ((OWN, LINEAR), (OWN, PEER), (PERSONAS, TWIN), (OWN, NO_EXPERT))
"""Pairs that are compared on users: the first minus the second."""

BARS: Final = {"ml-1m-ordered": 0.190, "amazon-beauty": 0.055}
"""Test NDCG@10 that the own model should reach."""

PUBLISHED: Final = {
    "ml-1m-ordered": {
        "SASRec (Kang and McAuley 2018; as in Zhai et al. 2024)": 0.1603,
        "gSASRec (Petrov and Macdonald 2023)": 0.1726,
        "HSTU-large (Zhai et al. 2024)": 0.1893,
        "HSTU-large, mixture of logits (Ding and Zhai 2024)": 0.1979,
    }
}
"""NDCG@10 of last_one as published: other code, other filters, not run here."""

_LARGE: Final[Mapping[str, Any]] = {"half_lives": [3.0], "regularization": 100.0, "later": 0.0}
"""The linear model on catalogues of more than 10,000 items, as its configuration advises."""

_SPARSE: Final[Mapping[str, Any]] = {
    "start": 0.3,
    "expert_weight": None,
    "objective.loss": "sampled_softmax",
    "objective.negatives": 1024,
    "objective.dropout": 0.5,
    "optimization.epochs": 3,
    "optimization.batch_size": 64,
    "optimization.learning_rate": 1e-3,
    "optimization.weight_decay": 0.1,
}
"""The sequential models on amazon-beauty, chosen on its validation questions: with the settings of their files they fit
its few events by heart and are worse than the linear model alone."""

_QUICK: Final = 2
"""Epochs of a trial of the benchmark itself."""


def contender(name: str, log: str, quick: bool) -> Experiment:
    """Return the experiment of a contender on a log."""
    if name == PEER:
        experiment = check_experiment({"model": {"class_path": "benchmarks.sequential.sasrec.SASRec"}})
    else:
        experiment = read_experiment(name)
    if log == "amazon-beauty":
        experiment = with_settings(experiment, _large(name, experiment))
    if quick and "optimization" in experiment.arguments:
        experiment = with_settings(experiment, {"optimization.epochs": _QUICK})
    return experiment


def _large(name: str, experiment: Experiment) -> dict[str, Any]:
    if name == LINEAR:
        return dict(_LARGE)
    if not name.startswith(OWN):
        return {}
    expert = {f"expert.init_args.{key}": value for key, value in _LARGE.items()}
    return {**_SPARSE, **(expert if experiment.arguments["expert"] else {})}
