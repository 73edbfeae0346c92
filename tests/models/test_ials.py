from __future__ import annotations

import numpy as np
import pytest
import torch
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models import ials
from recsys.models.ials import IALS


def random_log(users: int = 40, items: int = 20, events: int = 300) -> Interactions:
    source = np.random.default_rng(2)
    return Interactions.from_columns(source.integers(0, users, events), source.integers(0, items, events))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 8.0])
def test_fold_in_equals_that_of_implicit(alpha: float) -> None:
    log = random_log()
    with threadpool_limits(limits=1, user_api="blas"):
        peer = AlternatingLeastSquares(
            factors=6, regularization=2.0, alpha=alpha, iterations=5, random_state=4, num_threads=1
        )
        peer.fit(log.matrix(), show_progress=False)
        expected = peer.recalculate_user(np.arange(log.n_users), log.matrix())
    model = IALS(6, regularization=2.0, alpha=alpha, iterations=5, seed=4).fit(log)
    np.testing.assert_allclose(model.item_vectors().numpy(), peer.item_factors, rtol=1e-5, atol=1e-6)
    solution = model.personas(Queries.from_interactions(log))[:, 0].numpy()
    np.testing.assert_allclose(solution, expected, rtol=1e-3, atol=1e-5)


def test_a_weighted_fold_in_solves_the_equation() -> None:
    log = random_log()
    model = IALS(5, regularization=3.0, alpha=6.0, iterations=4).fit(log)
    weights = np.array([0.3, 1.0, 0.0, 0.7], np.float32)
    queries = Queries.from_history([[4, 9, 11], [2], []]).with_weights(weights)
    y = model.item_vectors().double().numpy()
    base = y.T @ y + 3 * np.eye(5)
    first = np.linalg.solve(base + 5 * (0.3 * np.outer(y[4], y[4]) + np.outer(y[9], y[9])), 6 * (0.3 * y[4] + y[9]))
    second = np.linalg.solve(base + 5 * 0.7 * np.outer(y[2], y[2]), 6 * 0.7 * y[2])
    solution = model.personas(queries)[:, 0].numpy()
    np.testing.assert_allclose(solution, np.stack([first, second, np.zeros(5)]), rtol=1e-4, atol=1e-6)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log()
    model = IALS(5, iterations=3).fit(log)
    queries = Queries.from_interactions(log)
    candidates = np.tile(np.arange(4, dtype=np.int32), (len(queries), 1))
    whole, evidence = model.personas(queries), model.contributions(queries, candidates)
    monkeypatch.setattr(ials, "_CHUNK", 200)
    torch.testing.assert_close(model.personas(queries), whole)
    torch.testing.assert_close(model.contributions(queries, candidates), evidence)


def test_used_items_score_near_one_and_others_near_zero() -> None:
    users, items = np.repeat(np.arange(20), 3), np.concatenate([np.tile([0, 1, 2], 10), np.tile([3, 4, 5], 10)])
    log = Interactions.from_columns(users, items)
    scores = IALS(2, regularization=0.1, alpha=20.0).fit(log).score(Queries.from_interactions(log)).numpy()
    np.testing.assert_allclose(scores, log.matrix().toarray(), atol=0.05)


@pytest.mark.parametrize("name", ["embedding_size", "regularization", "alpha", "iterations"])
def test_arguments_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        IALS(**{name: 0})  # type: ignore[arg-type]


def test_a_regularization_below_single_precision_is_refused() -> None:
    alike = Interactions.from_columns(np.repeat(np.arange(3000), 2), np.tile([0, 1], 3000))
    with pytest.raises(ConfigError, match="too small"):
        IALS(8, regularization=1e-8).fit(alike)
