"""The contract suite of `recsys.testing` on every final `Recommender` of `recsys.models`, by discovery.

A new model is tested with its default arguments without being named here; `SETTINGS` adds settings of a class that are
fast, or further ones.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import recsys.models
from recsys.data.interactions import Interactions
from recsys.decay import GlobalHalfLife
from recsys.models import BPR, EASE, IALS, Decayed, ItemFeatures, ItemKNN, LinearNextItem, PersonaEASE, Popularity
from recsys.models.ampcf.settings import HistoryPooling
from recsys.models.base import Recommender
from recsys.models.capabilities import AdditivePersonas, as_fold_in, sample_contributions
from recsys.models.feedback import readings_of
from recsys.models.sequential.settings import PersonaReading, SequenceObjective
from recsys.reliability import ResponseMixture
from recsys.slates import Calibrated, Determinantal, Exact, Greedy, Seats
from recsys.testing import RECOMMENDER_CHECKS, Subject
from recsys.training.trainable import Optimization
from recsys.worlds.blocks import block_log

_FAST = Optimization(epochs=40, batch_size=32, learning_rate=0.03)
_EXPERT = LinearNextItem(regularization=1.0)
_READING = HistoryPooling(dropout=0.3)
SETTINGS: Mapping[str, list[Mapping[str, Any]]] = {
    "AMPCF": [
        {"embedding_size": 8, "personas": 3, "users": "history", "history": _READING, "optimization": _FAST},
        {"embedding_size": 8, "personas": 3, "users": "embedding", "optimization": _FAST},
    ],
    "MF": [
        {"embedding_size": 8, "users": "history", "history": _READING, "optimization": _FAST},
        {"embedding_size": 8, "users": "embedding", "optimization": _FAST},
    ],
    "IALS": [{"embedding_size": 4, "regularization": 1.0}],
    "BPR": [{"embedding_size": 4, "epochs": 100}],
    "EASE": [{"regularization": 10.0}],
    "ItemKNN": [{}, {"neighbours": 3, "similarity": "jaccard", "shrinkage": 0.0}],
    "Decayed": [
        {"model": EASE(regularization=10.0), "rule": GlobalHalfLife(3.0)},
        {"model": PersonaEASE(personas=2, factors=4), "calibration": 0.3},
        {"model": PersonaEASE(personas=1, factors=4), "rule": GlobalHalfLife(40_000.0, "time", 0.2)},
    ],
    "Remembering": [{"model": EASE(10.0)}],
    "WithPersonas": [
        {"model": EASE(regularization=10.0)},
        {"model": EASE(regularization=10.0), "sharpness": 2.0, "slate": Greedy()},
        {"model": ItemKNN(), "slate": Seats(0.3, 0.2)},
        {"model": Decayed(EASE(regularization=10.0), GlobalHalfLife(3.0)), "sharpness": 1.0},
    ],
    "Reliable": [
        {"model": EASE(regularization=10.0), "mixture": ResponseMixture(rounds=3), "train": True},
        {"model": Decayed(PersonaEASE(personas=2, factors=4), GlobalHalfLife(3.0)), "mixture": None},
    ],
    "Slated": [
        {"model": EASE(regularization=10.0), "slate": Calibrated(0.3, 0.1)},
        {"model": Popularity(), "slate": Exact(("tastes", "popularity"))},
        {"model": BPR(embedding_size=4, epochs=100), "slate": Seats(0.2, 0.1, over="tastes", popularity=0.05)},
        {"model": PersonaEASE(personas=2, factors=4), "slate": Seats(0.2, 0.0)},
        {"model": Decayed(EASE(regularization=10.0), GlobalHalfLife(3.0)), "slate": Determinantal()},
    ],
    "WithColdItems": [
        {"model": EASE(regularization=10.0)},
        {"model": IALS(embedding_size=4, regularization=1.0), "features": ItemFeatures(years=0.0, size=16)},
        {"model": Decayed(EASE(regularization=10.0), GlobalHalfLife(3.0)), "scale": 2.0},
        {"model": BPR(embedding_size=4, epochs=100)},
    ],
    "LinearNextItem": [{"regularization": 1.0}, {"half_lives": (2.0,), "regularization": 1.0}],
    "SequentialAMPCF": [
        {"embedding_size": 8, "expert": _EXPERT, "optimization": _FAST},
        {
            "embedding_size": 8,
            "expert": _EXPERT,
            "reading": PersonaReading(personas=3, item_components=2, hidden=16),
            "objective": SequenceObjective("full_softmax"),
            "optimization": _FAST,
        },
        {
            "embedding_size": 8,
            "expert": None,
            "reading": PersonaReading(personas=2, readout="attentive", hidden=0),
            "half_lives": (2.0,),
            "optimization": _FAST,
        },
    ],
    "PairwisePreference": [
        {"embedding_size": 4, "optimization": _FAST},
        {"kind": "vector", "embedding_size": 4, "optimization": _FAST},
        {"kind": "pooled", "optimization": _FAST},
    ],
    "SignedLinear": [{"regularization": 1.0, "presence": 1.0}],
    "RecentPopularity": [{}, {"fraction": None, "half_life": 2.0}],
    "TimeSVD": [
        {"embedding_size": 4, "regularization": 1.0, "held_out": 0.0, "optimization": _FAST},
        {
            "embedding_size": 4,
            "regularization": 1.0,
            "held_out": 0.0,
            "drift": "none",
            "time_bins": 0,
            "optimization": _FAST,
        },
    ],
}
NOT_ADDITIVE = ("AMPCF", "MF", "PairwisePreference", "SequentialAMPCF", "SignedLinear")
"""Additive only given the attention, or up to a bias: their own tests say how."""
READS_RATINGS = ("PairwisePreference", "Reliable", "SignedLinear", "TimeSVD")
"""Fitted on a log in which users rate, highly what is of their block and badly three items of the other."""
FORGETS = ("Decayed", "LinearNextItem", "SequentialAMPCF")
"""A further event makes the earlier ones older, so that it changes scores even where it says nothing itself."""


def discover() -> list[type[Recommender]]:
    """Return every concrete subclass of `Recommender` that lives in the package."""
    for module in pkgutil.walk_packages(recsys.models.__path__, "recsys.models."):
        importlib.import_module(module.name)
    models: list[type[Recommender]] = []
    waiting = Recommender.__subclasses__()
    while waiting:
        child = waiting.pop()
        waiting.extend(child.__subclasses__())
        if child.__module__.startswith("recsys.models.") and not inspect.isabstract(child):
            models.append(child)
    return sorted(set(models), key=lambda model: model.__name__)


def rated(log: Interactions) -> Interactions:
    """Return the block log with ratings: 5 within the block; and 1 for the first three items of the other block."""
    users = np.repeat(np.asarray(log.users.ids), 3)
    others = [f"{1 - int(str(user)[0])}-{number % 3}" for number, user in enumerate(users)]
    return Interactions.from_columns(
        np.concatenate([log.users.ids[log.user_num], users]),
        np.concatenate([log.items.ids[log.item_num], others]),
        np.repeat([5.0, 1.0], [len(log), len(users)]),
        np.concatenate([log.time, (1 + np.arange(len(users))) * 7200]),
        name="rated blocks",
    )


def subjects() -> dict[str, Subject]:
    """Return every class with each of its settings, by name."""
    blocks = block_log()
    named = {}
    for model in discover():
        name = model.__name__
        for number, arguments in enumerate(SETTINGS.get(name, [{}])):
            named[f"{name}-{number}" if number else name] = Subject(
                model,
                arguments,
                rated(blocks) if name in READS_RATINGS else blocks,
                additive=name not in NOT_ADDITIVE,
                forgets=name in FORGETS or isinstance(arguments.get("model"), Decayed),
                learns_users=name == "Decayed" and not isinstance(arguments.get("rule"), GlobalHalfLife),
                reads_ratings=name in ("Reliable", "SignedLinear"),
            )
        # Every further reading of ratings and kinds, on a log that has both.
        for reading in readings_of(model)[1:]:
            arguments = {**SETTINGS.get(name, [{}])[0], "feedback": reading}
            additive, forgets = name not in NOT_ADDITIVE, name in FORGETS
            named[f"{name}-{reading}"] = Subject(model, arguments, rated(blocks), additive, forgets, reads_ratings=True)
    return named


SUBJECTS = subjects()


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return SUBJECTS[request.param]


def test_every_discovered_class_is_final_and_exported() -> None:
    models = discover()
    assert {"AMPCF", "BPR", "EASE", "IALS", "ItemKNN", "MF", "Popularity", "RecentPopularity"} <= {
        model.__name__ for model in models
    }
    for model in models:
        assert getattr(model, "__final__", False), f"{model.__name__} is neither abstract nor final"
        assert getattr(recsys.models, model.__name__, None) is model, f"recsys.models does not export {model.__name__}"


@pytest.mark.parametrize("check", RECOMMENDER_CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_model_keeps_the_contract(check: Callable[[Subject], None], subject: Subject) -> None:
    check(subject)


def test_contributions_to_an_item_sample_are_proportional_to_those_to_each_item(
    subject: Subject,
) -> None:
    model, queries = subject.model, subject.queries
    if not model.folds_in:
        return
    fold_in = as_fold_in(model, "this test")
    items = np.arange(len(queries), dtype=np.int32) % 14
    weights = np.linspace(0.2, 1, len(queries.history.items), dtype=np.float32)
    for weighted in (queries.with_weights(None), queries.with_weights(weights)):
        for item_sample in (np.array([1, 4, 5, 11], np.int32), np.arange(14, dtype=np.int32)):
            parts = sample_contributions(fold_in, weighted, item_sample, items[:, None])
            result = torch.cat(parts, 1)
            columns = [np.full(len(queries), item, np.int32) for item in item_sample.tolist()] + [items]
            expected = torch.cat([fold_in.contributions(weighted, column[:, None]) for column in columns], 1)
            assert result.shape == expected.shape
            if not isinstance(model, AdditivePersonas):  # the others multiply by nothing
                torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
            for query in range(len(queries)):
                rows = torch.from_numpy(queries.history.rows == query)
                square = float((expected[rows] ** 2).sum())
                factor = float((expected[rows] * result[rows]).sum()) / square if square else 1.0
                assert factor > 0
                torch.testing.assert_close(result[rows], factor * expected[rows], rtol=1e-4, atol=1e-5)
            again = sample_contributions(fold_in, weighted, item_sample, items[:, None])
            assert all(torch.equal(*pair) for pair in zip(parts, again, strict=True))
