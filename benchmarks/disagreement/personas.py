"""The part `held_out`: do personas earn their place against one vector of any size, and in simulated worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.data.pairs import Pairs
from recsys.evaluation.disagreement import Disagreement, Judgements, hindsight_bound
from recsys.evaluation.disagreement.bounds import majority
from recsys.evaluation.disagreement.held_out import HeldOut, margins
from recsys.evaluation.disagreement.judgements import right
from recsys.evaluation.disagreement.protocols import Crowd, held_out
from recsys.evaluation.significance import compare_seeds
from recsys.models import PairwisePreference
from recsys.models.preference.network import Kind
from recsys.models.preference.reward import PersonaReward
from recsys.training.trainable import Optimization
from recsys.types import Doubles, Floats
from recsys.worlds.camps import camps, topic_pairs

PENALTIES: Final = (0.04, 0.08)
SIZES: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "vector": ((64, 1), (16, 1), (128, 1)),
    "persona": ((64, 2), (16, 4), (64, 4)),
}
SHARPNESS: Final = 3.0
"""Of the attention of personas."""
"""(dimensions, K): as many trials for one vector, up to as many numbers of a user, as for personas."""
OTHERS: Final[dict[str, tuple[int, float]]] = {"pooled": (1, 0.001), "mixture": (8, 0.0003)}
"""(prototypes, penalty), not tuned."""
SEEDS: Final = (0, 1, 2)
CAP: Final = 200
"""Pairs of each user in validation and test."""

Setting = dict[str, Any]


@final
@dataclass(frozen=True)
class Contest:
    """Results of one log.

    Attributes:
        trials: setting and validation accuracy of each trial, by kind.
        results: of the chosen settings, one for each seed, by kind.
        accuracy: over all test pairs, by kind, one for each seed.
        difference: of the accuracy of users, persona less vector: rows of `compare_seeds`.
    """

    trials: dict[str, list[tuple[Setting, float]]]
    results: dict[str, list[Disagreement]]
    accuracy: dict[str, list[float]]
    difference: pd.DataFrame


def contest(log: Interactions, *, raters: int, quick: bool) -> Contest:
    """Choose size and penalty of either kind on validation pairs with seed 0, then test with all seeds.

    The penalty is chosen at the first size, the size at that penalty: four trials of either kind.
    """
    cut = HeldOut.of(log, cap=CAP)
    crowd = Crowd.of(log, cut, raters)
    large = len(cut.train) > 200_000
    budget = Optimization(
        epochs=2 if quick else 6, batch_size=16384 if large else 2048, learning_rate=0.02, schedule="linear"
    )
    valid, fitted = cut.validator(), {}
    trials: dict[str, list[tuple[Setting, float]]] = {kind: [] for kind in (*SIZES, *OTHERS)}

    def fit(setting: Setting, seed: int) -> PairwisePreference:
        name = repr((setting, seed))
        if name not in fitted:
            fitted[name] = PairwisePreference(**setting, optimization=budget, seed=seed).fit(cut.train)
        return fitted[name]

    def try_(kind: Kind, size: tuple[int, int], penalty: float) -> None:
        setting = _setting(kind, *size, penalty)
        trials[kind].append((setting, valid(fit(setting, 0))))
        print(f"{log.name}, {setting}: {trials[kind][-1][1]:.4f} on validation pairs", flush=True)

    kinds: tuple[Kind, ...] = ("vector", "persona")
    for kind in kinds:
        for penalty in PENALTIES:
            try_(kind, SIZES[kind][0], penalty)
        penalty = max(trials[kind], key=lambda trial: trial[1])[0]["regularization"]
        for size in SIZES[kind][1:]:
            try_(kind, size, penalty)
    others: tuple[Kind, ...] = ("pooled", "mixture")
    for kind in others:
        try_(kind, (OTHERS[kind][0], 1), OTHERS[kind][1])
    results: dict[str, list[Disagreement]] = {}
    for name, found in trials.items():
        setting = max(found, key=lambda trial: trial[1])[0]
        seeds = SEEDS if name in SIZES else SEEDS[:1]
        results[name] = [held_out(fit(setting, seed), cut, crowd) for seed in seeds]
    accuracy = {kind: [each.overall["accuracy_model"] for each in found] for kind, found in results.items()}
    print(log.name, accuracy, flush=True)
    tables = {kind: [each.per_user for each in results[kind]] for kind in kinds}
    return Contest(trials, results, accuracy, compare_seeds(tables["vector"], tables["persona"], ["right"]))


def _setting(kind: Kind, size: int, personas: int, penalty: float) -> Setting:
    setting = {"kind": kind, "embedding_size": size, "personas": personas, "regularization": penalty}
    return setting | ({"sharpness": SHARPNESS} if kind == "persona" else {})


WORLDS: Final = ((0.51, 1), (0.6, 1), (0.8, 1), (0.6, 3))
"""(p, topics) of the worlds of camps."""
CONTENDERS: Final[tuple[tuple[str, Kind, int, int], ...]] = (
    ("pooled", "pooled", 1, 1),
    ("vector, d = 2", "vector", 2, 1),
    ("vector, d = 6", "vector", 6, 1),
    ("K = 3, d = 2", "persona", 2, 3),
)


def worlds(quick: bool) -> list[dict[str, Any]]:
    """Return errors of pooled and personal models in worlds of camps, with the exact bound."""
    rows = []
    for p, topics in WORLDS:
        world = camps(p, topics, users=100 if quick else 400)
        pairs = world.hidden_pairs().capped(300)
        every = world.all_pairs()
        judged, whole = (Judgements.of(each, world.log.n_items) for each in (pairs, every))
        bound = hindsight_bound(judged.pair, judged.first)
        found: dict[str, Any] = {"p": p, "topics": topics, "bound": bound}
        found["bound_of_all"] = hindsight_bound(whole.pair, whole.first)
        found["majority"] = float((~majority(judged.pair, judged.first)).mean())
        for name, kind, size, personas in CONTENDERS:
            budget = Optimization(epochs=20, batch_size=1024, learning_rate=0.05)
            model = PairwisePreference(kind, size, personas, regularization=0.001, optimization=budget).fit(world.log)
            wrong = 1 - right(margins(model, world.log, pairs))
            found[name] = float(wrong.mean())
            if kind == "pooled":
                found["pooled_of_all"] = float(1 - right(margins(model, world.log, every)).mean())
            of_user = np.bincount(pairs.user, 1 - wrong) / np.maximum(np.bincount(pairs.user), 1)
            found[f"{name}, worst decile"] = float(np.sort(of_user)[: max(1, len(of_user) // 10)].mean())
        print(found, flush=True)
        rows.append(found)
    return rows


REWARDS: Final[tuple[tuple[str, Kind, int, int], ...]] = (
    ("pooled", "pooled", 1, 1),
    *((f"one vector, d = {size}", "vector", size, 1) for size in (1, 2, 4, 16)),
    *((f"mixture of {size}", "mixture", size, 1) for size in (8,)),
    *((f"personas, K = {personas}", "persona", 1, personas) for personas in (2, 4, 8)),
)


def rewards(overlap: float, seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    """Return the accuracy on further pairs of the same users, and of new users after ten pairs, by model and seed."""
    found: dict[str, dict[str, list[float]]] = {name: {"test": [], "newcomers": []} for name, *_ in REWARDS}
    for seed in seeds:
        world = topic_pairs(overlap=overlap, seed=seed)
        vectors = world.train.vectors
        assert vectors is not None
        for name, kind, size, personas in REWARDS:
            model = PersonaReward(kind, size, personas, seed=seed).fit(world.train)

            def accuracy(
                pairs: Pairs, users: Doubles, model: PersonaReward = model, vectors: Floats = vectors
            ) -> float:
                return float(right(model.margins(vectors, pairs, users)).mean())

            found[name]["test"].append(accuracy(world.test, model.users))
            if kind != "mixture":
                newcomers = model.fold_in(vectors, world.newcomers, len(world.train.users))
                found[name]["newcomers"].append(accuracy(world.newcomers_test, newcomers))
    print(f"overlap {overlap}: {found}", flush=True)
    return found
