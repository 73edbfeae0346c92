"""What every model must keep, applied to every final `Recommender` of `recsys.models` by discovery.

A new model is tested with its default arguments without being named here; `QUICK` only makes slow ones small, and
`SETTINGS` adds further settings of a class.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recsys.models
from recsys.bundles import bundle
from recsys.bundles.classes import configured
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, NotFittedError
from recsys.models import EASE, Decayed, LinearAMPCF, PerUserDecay
from recsys.models.ampcf.settings import HistoryPooling
from recsys.models.base import Recommender
from recsys.models.capabilities import FoldIn, PersonaRecommender, as_fold_in, sample_contributions
from recsys.models.parameters import from_plain
from recsys.training.trainable import Optimization

_FAST = Optimization(epochs=40, batch_size=32, learning_rate=0.03)
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
        {"model": EASE(regularization=10.0), "half_life": 3.0},
        {"model": LinearAMPCF(personas=2, factors=4), "per_user": PerUserDecay(calibration=0.3)},
        {"model": LinearAMPCF(personas=1, factors=4), "half_life": 40_000.0, "clock": "time", "floor": 0.2},
    ],
    "LinearNextItem": [{"regularization": 1.0}, {"half_lives": (2.0,), "regularization": 1.0}],
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
NOT_ADDITIVE = ("AMPCF", "MF")
"""Additive only given the attention, or up to a bias: their own tests say how."""
READS_RATINGS = ("TimeSVD",)
"""Fitted on a log in which users rate, highly what is of their block and badly three items of the other."""
FORGETS = ("Decayed", "LinearNextItem")
"""An event more makes the earlier ones older, so that it changes scores even where it says nothing itself."""


def discover() -> list[type[Recommender]]:
    """Return every concrete subclass of `Recommender` that lives in the package."""
    for module in pkgutil.walk_packages(recsys.models.__path__, "recsys.models."):
        importlib.import_module(module.name)
    found: list[type[Recommender]] = []
    waiting = Recommender.__subclasses__()
    while waiting:
        child = waiting.pop()
        waiting.extend(child.__subclasses__())
        if child.__module__.startswith("recsys.models.") and not inspect.isabstract(child):
            found.append(child)
    return sorted(set(found), key=lambda model: model.__name__)


@dataclass(frozen=True)
class Case:
    """A class with arguments for its constructor."""

    model: type[Recommender]
    arguments: Mapping[str, Any]
    number: int

    def make(self) -> Recommender:
        return self.model(**self.arguments)

    def __str__(self) -> str:
        return f"{self.model.__name__}-{self.number}" if self.number else self.model.__name__


CASES = [
    Case(model, arguments, number)
    for model in discover()
    for number, arguments in enumerate(SETTINGS.get(model.__name__, [{}]))
]
_FITTED: dict[str, Recommender] = {}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(name="block_log")
def log_of_the_case(case: Case, block_log: Interactions) -> Interactions:
    return rated(block_log) if case.model.__name__ in READS_RATINGS else block_log


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


@pytest.fixture
def model(case: Case, block_log: Interactions) -> Recommender:
    """The fitted model of the case; tests only ask it."""
    if str(case) not in _FITTED:
        _FITTED[str(case)] = case.make().fit(block_log)
    return _FITTED[str(case)]


@pytest.fixture
def queries(block_log: Interactions) -> Queries:
    return Queries.from_interactions(block_log)


Same = Callable[[torch.Tensor, torch.Tensor], None]


@pytest.fixture
def assert_same() -> Same:
    def check(one: torch.Tensor, other: torch.Tensor) -> None:
        torch.testing.assert_close(one, other, rtol=0, atol=0)

    return check


def is_personal(model: Recommender) -> bool:
    return model.folds_in or model.needs_known_users


def test_every_discovered_class_is_final_and_exported() -> None:
    found = discover()
    assert {"AMPCF", "BPR", "EASE", "IALS", "ItemKNN", "MF", "Popularity", "RecentPopularity"} <= {
        model.__name__ for model in found
    }
    for model in found:
        assert getattr(model, "__final__", False), f"{model.__name__} is neither abstract nor final"
        assert getattr(recsys.models, model.__name__, None) is model, f"recsys.models does not export {model.__name__}"


def test_predictions_before_fit_are_refused(case: Case) -> None:
    model = case.make()
    with pytest.raises(NotFittedError, match=case.model.__name__):
        model.recommend(Queries.from_history([[0]]), 3)
    with pytest.raises(NotFittedError):
        model.arrays()
    if isinstance(model, PersonaRecommender) and model.has_personas:
        with pytest.raises(NotFittedError):
            model.personas(Queries.from_history([[0]]))
        with pytest.raises(NotFittedError):
            model.item_vectors()


def test_constructor_arguments_are_kept_and_survive_json(case: Case) -> None:
    model = case.make()
    parameters = json.loads(json.dumps(model.parameters_of_constructor()))
    assert set(parameters) == set(inspect.signature(case.model.__init__).parameters) - {"self"}
    again = from_plain(case.model, parameters, "here", configured)
    assert again.parameters_of_constructor() == model.parameters_of_constructor()


def test_fitting_again_forgets_and_a_seed_determines(
    case: Case, model: Recommender, block_log: Interactions, queries: Queries, assert_same: Same
) -> None:
    half = block_log.select(np.arange(0, len(block_log), 2)).compact()
    refitted = case.make().fit(half).fit(block_log)
    assert_same(refitted.score(queries), model.score(queries))


def test_save_and_load_keep_every_bit(model: Recommender, queries: Queries, tmp_path: Path, assert_same: Same) -> None:
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    assert type(loaded) is type(model)
    assert loaded.parameters_of_constructor() == model.parameters_of_constructor()
    for name, value in vars(model.fitted_on).items():
        assert np.array_equal(getattr(loaded.fitted_on, name), value), name
    assert_same(loaded.score(queries), model.score(queries))
    if isinstance(model, PersonaRecommender) and isinstance(loaded, PersonaRecommender) and model.has_personas:
        assert_same(loaded.item_vectors(), model.item_vectors())


def test_scores_are_finite_and_one_per_item(model: Recommender, queries: Queries, block_log: Interactions) -> None:
    scores = model.score(queries)
    assert scores.shape == (len(queries), block_log.n_items)
    assert bool(torch.isfinite(scores).all())


def test_unknown_users_are_served_or_refused(model: Recommender, block_log: Interactions) -> None:
    queries = Queries.from_history([[0, 1]])
    if model.needs_known_users:
        with pytest.raises(CapabilityError, match=type(model).__name__):
            model.recommend(queries, 3)
    else:
        answer = model.recommend(queries, 3)
        assert (answer.items >= 0).all()
        assert not {0, 1} & set(answer.items.ravel().tolist())


def test_known_and_unknown_users_with_one_history_get_one_answer(
    model: Recommender, queries: Queries, assert_same: Same
) -> None:
    if isinstance(model, Decayed) and model.half_life is None:
        pytest.skip("known users have learned a pace of their own")
    stranger = replace(queries, users=np.full(len(queries), UNKNOWN, np.int32))
    if model.needs_known_users:
        with pytest.raises(CapabilityError, match="not trained on"):
            model.score(stranger)
    else:
        assert_same(model.score(stranger), model.score(queries))


def test_unknown_items_and_repeated_events_in_the_history_are_ignored(model: Recommender, assert_same: Same) -> None:
    plain = model.score(Queries.from_history([[0, 1], [2]], users=[0, 1]))
    noisy = model.score(Queries.from_history([[UNKNOWN, 0, 1, 0], [2, UNKNOWN]], users=[0, 1]))
    if type(model).__name__ not in FORGETS:
        torch.testing.assert_close(noisy, plain, rtol=1e-5, atol=1e-6)
    assert_same(
        model.score(Queries.from_history([[UNKNOWN]], users=[0])), model.score(Queries.from_history([[]], users=[0]))
    )


def test_an_empty_history_and_no_query_at_all(model: Recommender) -> None:
    assert bool(torch.isfinite(model.score(Queries.from_history([[], []], users=[0, 1]))).all())
    assert bool(torch.isfinite(model.score(Queries.from_history([[], [0, 3], []], users=[0, 1, 2]))).all())
    assert model.recommend(Queries.from_history([]), 5).items.shape == (0, 5)


def test_batches_do_not_change_answers(model: Recommender, queries: Queries) -> None:
    whole, parts = model.recommend(queries, 6), model.recommend(queries, 6, batch_size=5)
    np.testing.assert_array_equal(parts.items, whole.items)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-4, atol=1e-6)


def test_event_weights_count_or_are_refused(model: Recommender, queries: Queries, assert_same: Same) -> None:
    events = len(queries.history.items)
    ones = np.ones(events, np.float32)
    if not model.folds_in:
        with pytest.raises(CapabilityError, match="weights"):
            model.score(queries.with_weights(ones))
        return
    plain = model.score(queries)
    assert_same(model.score(queries.with_weights(ones)), plain)
    fading = np.linspace(0.1, 1, events, dtype=np.float32)
    assert not torch.allclose(model.score(queries.with_weights(fading)), plain)
    if type(model).__name__ in FORGETS:
        return
    first_half = np.arange(events) % 2 == 0
    kept = Ragged.of([row[first_half[a:b]] for row, a, b in _rows(queries)])
    shorter = Queries.from_history([kept.row(row) for row in range(len(kept))], users=queries.users)
    dropped = model.score(queries.with_weights(first_half.astype(np.float32)))
    torch.testing.assert_close(dropped, model.score(shorter), rtol=1e-4, atol=1e-5)


def _rows(queries: Queries) -> list[tuple[np.ndarray[Any, np.dtype[np.int32]], int, int]]:
    indptr = queries.history.indptr
    return [(queries.history.row(row), int(indptr[row]), int(indptr[row + 1])) for row in range(len(queries))]


def test_lists_are_sorted_unique_unseen_and_padded(
    model: Recommender, queries: Queries, block_log: Interactions
) -> None:
    n = block_log.n_items + 3
    answer = model.recommend(queries, n)
    for row in range(len(queries)):
        items, seen = answer.items[row], queries.history.row(row)
        listed = items[items != UNKNOWN]
        assert sorted([*listed, *seen]) == list(range(block_log.n_items))
        assert (items[len(listed) :] == UNKNOWN).all()
        assert (answer.scores[row, len(listed) :] == -np.inf).all()
        assert (np.diff(answer.scores[row, : len(listed)]) <= 0).all()


def test_exclude_and_candidates_are_obeyed(model: Recommender, queries: Queries, block_log: Interactions) -> None:
    count = len(queries)
    others = replace(queries, exclude=Ragged.of([[0, UNKNOWN, 2]] * count))
    allowed = Ragged.of([[0, 1, 2, 3, UNKNOWN]] * count)
    answer = model.recommend(others, 4, candidates=allowed)
    assert (np.sort(answer.items, axis=1) == [UNKNOWN, UNKNOWN, 1, 3]).all()


def test_personal_models_stay_within_the_users_block(
    model: Recommender, queries: Queries, block_log: Interactions
) -> None:
    if not is_personal(model):
        pytest.skip("the same list for everyone")
    answer = model.recommend(queries, 2)
    block = np.array([str(item)[0] for item in block_log.items.ids])
    user_block = np.array([str(user)[0] for user in block_log.users.ids])
    assert (block[answer.items] == user_block[:, None]).mean() >= 0.95


def test_contributions_add_up(case: Case, model: Recommender, queries: Queries) -> None:
    if not model.folds_in:
        with pytest.raises(CapabilityError, match="fold in"):
            as_fold_in(model, "this test")
        return
    folding = as_fold_in(model, "this test")
    weights = np.linspace(0.2, 1, len(queries.history.items), dtype=np.float32)
    weighted = queries.with_weights(weights)
    asked = np.random.default_rng(0).permuted(np.tile(np.arange(16, dtype=np.int32), (len(queries), 1)), axis=1)[:, :5]
    each = folding.contributions(weighted, asked)
    assert each.shape == (len(weights), 5)
    if case.model.__name__ in NOT_ADDITIVE:
        return
    total = torch.zeros(len(queries), 5).index_add_(0, torch.from_numpy(queries.history.rows), each)
    scores = model.score(weighted).gather(1, torch.from_numpy(asked.astype(np.int64)))
    torch.testing.assert_close(total, scores, rtol=1e-4, atol=1e-5)


def test_contributions_to_an_item_sample_are_proportional_to_those_to_each_item(
    model: Recommender, queries: Queries
) -> None:
    if not model.folds_in:
        return
    fold_in = as_fold_in(model, "this test")
    items = np.arange(len(queries), dtype=np.int32) % 14
    weights = np.linspace(0.2, 1, len(queries.history.items), dtype=np.float32)
    for weighted in (queries.with_weights(None), queries.with_weights(weights)):
        for item_sample in (np.array([1, 4, 5, 11], np.int32), np.arange(14, dtype=np.int32)):
            parts = sample_contributions(fold_in, weighted, item_sample, items)
            result = torch.cat(parts, 1)
            columns = [np.full(len(queries), item, np.int32) for item in item_sample.tolist()] + [items]
            expected = torch.cat([fold_in.contributions(weighted, column[:, None]) for column in columns], 1)
            assert result.shape == expected.shape
            for query in range(len(queries)):
                rows = torch.from_numpy(queries.history.rows == query)
                square = float((expected[rows] ** 2).sum())
                factor = float((expected[rows] * result[rows]).sum()) / square if square else 1.0
                assert factor > 0
                torch.testing.assert_close(result[rows], factor * expected[rows], rtol=1e-4, atol=1e-5)
            again = sample_contributions(fold_in, weighted, item_sample, items)
            assert all(torch.equal(*pair) for pair in zip(parts, again, strict=True))


def test_unknown_and_superseded_events_contribute_nothing(model: Recommender) -> None:
    if model.folds_in:
        history = Queries.from_history([[3, UNKNOWN, 0, 3], [UNKNOWN]])
        each = as_fold_in(model, "this test").contributions(history, np.array([[1, 2], [1, 2]], np.int32))
        assert bool((each[[0, 1, 4]] == 0).all())
        assert bool((each[[2, 3]] != 0).any())


def test_a_class_that_never_folds_in_does_not_claim_to(model: Recommender) -> None:
    assert not model.folds_in or isinstance(model, FoldIn)


def test_personas_have_their_shapes_and_attention_sums_to_one(
    model: Recommender, queries: Queries, block_log: Interactions
) -> None:
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        pytest.skip("no vectors")
    personas, vectors = model.personas(queries), model.item_vectors()
    assert personas.dim() == 3
    assert len(personas) == len(queries)
    assert vectors.shape == (block_log.n_items, personas.shape[2])
    asked = np.tile(np.array([1, 5, 9], np.int32), (len(queries), 1))
    attention = model.attention(queries, asked)
    assert attention.shape == (len(queries), personas.shape[1], 3)
    assert bool((attention >= 0).all())
    torch.testing.assert_close(attention.sum(1), torch.ones(len(queries), 3), rtol=1e-5, atol=1e-5)
    if personas.shape[1] == 1 and type(model).__name__ not in NOT_ADDITIVE:
        torch.testing.assert_close(personas[:, 0] @ vectors.T, model.score(queries))
