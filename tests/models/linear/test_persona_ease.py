"""The closed form behind PersonaEASE, against plain regressions solved item by item."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.linear.ease import EASE
from recsys.models.linear.persona_ease import PersonaEASE
from recsys.models.linear.persona_ridge import PersonaRidge


def _random(users: int, items: int, seed: int = 0) -> tuple[sp.csr_matrix, npt.NDArray[np.float32]]:
    source = np.random.default_rng(seed)
    dense = (source.random((users, items)) < 0.4).astype(np.float32)
    dense[:, 0] = dense[:, 1] = 1  # everybody has two items, so that nobody is left out
    routing = source.dirichlet(np.ones(3), items).astype(np.float32)
    return sp.csr_matrix(dense), routing


def _item_by_item(
    matrix: sp.csr_matrix, routing: npt.NDArray[np.float32], ridge: PersonaRidge
) -> npt.NDArray[np.float64]:
    """Weighted ridge regression of each item on the others, for every expert, with numpy's solver; then the mixture."""
    x, r = matrix.toarray().astype(np.float64), routing.astype(np.float64)
    items, personas = r.shape
    popularity = x.sum(0) + 1
    penalty = ridge.regularization * (popularity / np.exp(np.log(popularity).mean())) ** (2 * ridge.item_power)
    history = x * x.sum(1, keepdims=True) ** -ridge.history_power
    result = np.zeros((items, items))
    for k in range(personas):
        share = (x @ r[:, k]) / x.sum(1) + 0.02
        learning = (share / share.mean()) ** ridge.locality
        learning /= np.sqrt((learning**2).mean())
        row = learning**2 * x.sum(1) ** (-2 * ridge.user_power)
        variance = 1 + ridge.cohesion * personas * r[:, k]
        own = penalty / (variance / variance.mean())
        for i in range(items):
            others = [j for j in range(items) if j != i]
            f = history[:, others]
            weights = np.linalg.solve(f.T @ (row[:, None] * f) + np.diag(own[others]), f.T @ (row * x[:, i]))
            result[others, i] += r[i, k] * weights
    return result


@pytest.mark.parametrize("users", [6, 60])  # fewer and more than there are items: both spaces
@pytest.mark.parametrize("ridge", [PersonaRidge(2.0), PersonaRidge(1.0, 0.25, 0.4, 0.2, 1.5, 0.5)])
def test_the_closed_form_is_the_mixture_of_regressions(users: int, ridge: PersonaRidge) -> None:
    matrix, routing = _random(users, 8)
    got = ridge.solve(matrix, routing).numpy()
    np.testing.assert_allclose(got, _item_by_item(matrix, routing, ridge), atol=2e-4)


@pytest.mark.parametrize("users", [6, 60])
def test_sparse_and_dense_products_agree(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, routing = _random(users, 8)
    ridge = PersonaRidge(2.0, 0.25, 0.1, 0.1, 1.0, 0.2)
    results = []
    for limit in (0.0, 1.0):
        monkeypatch.setattr("recsys.models.linear.persona_ridge._DENSE", limit)
        results.append(ridge.solve(matrix, routing))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-4)


def test_one_persona_without_weights_is_ease() -> None:
    matrix, _ = _random(40, 9)
    log = _log(matrix)
    one = PersonaEASE(1, regularization=5.0, user_power=0.0, history_power=0.0, item_power=0.0).fit(log)
    ease = EASE(5.0).fit(log)
    queries = Queries.from_interactions(log)
    torch.testing.assert_close(one.score(queries), ease.score(queries), atol=1e-4, rtol=1e-4)


def _log(matrix: sp.csr_matrix) -> Interactions:
    users, items = matrix.nonzero()
    return Interactions.from_columns(users, items, times=np.arange(len(users)))


def test_equal_experts_equal_one_persona() -> None:
    log = _log(_random(40, 9)[0])
    queries = Queries.from_interactions(log)
    several = PersonaEASE(3, cohesion=0.0, locality=0.0, factors=4).fit(log)
    torch.testing.assert_close(several.score(queries), PersonaEASE(1).fit(log).score(queries), atol=1e-5, rtol=1e-4)


def test_the_twin_has_as_many_parameters() -> None:
    log = _log(_random(40, 9)[0])
    several, one = (PersonaEASE(k, factors=4).fit(log).arrays()["weights"].size for k in (3, 1))
    assert several == one == 81


def test_an_expert_trusts_evidence_of_its_own_persona() -> None:
    """Items 1 and 2 are exchangeable: each user has a mirror image with 2 for 1. Only the personas tell them apart."""
    half = _random(30, 8)[0].toarray()
    matrix = sp.csr_matrix(np.concatenate([half, half[:, [0, 2, 1, 3, 4, 5, 6, 7]]]))
    routing = np.tile(np.array([[0.9, 0.1], [0.1, 0.9]], np.float32), (4, 1))[[0, 2, 1, 4, 3, 6, 5, 7]]
    assert routing[:3].argmax(1).tolist() == [0, 0, 1]

    def weights(cohesion: float) -> list[float]:
        target: list[float] = PersonaRidge(5.0, cohesion=cohesion).solve(matrix, routing)[1:3, 0].tolist()
        return target

    own, other = weights(0.0)
    assert abs(own - other) < 1e-5
    own, other = weights(3.0)
    assert abs(own) > abs(other) + 0.005


def test_an_expert_learns_from_those_in_whom_its_persona_is_strong() -> None:
    """Items 0 and 1 go together for users of block A and exclude each other for users of block B."""
    rows = [[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1]] * 10
    matrix = sp.csr_matrix(np.array(rows, np.float32))
    routing = np.array([[0.9, 0.1], [0.9, 0.1], [0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.05, 0.95]], np.float32)
    alike = PersonaRidge(1.0).solve(matrix, routing)[1, 0]
    assert PersonaRidge(1.0, locality=1.0).solve(matrix, routing)[1, 0] > alike + 0.05


def test_personas_sum_to_the_score_and_split_it() -> None:
    log = _log(_random(40, 9)[0])
    model = PersonaEASE(3, factors=4).fit(log)
    queries = Queries.from_interactions(log)
    personas = model.personas(queries)
    torch.testing.assert_close((personas @ model.item_vectors().T).sum(1), model.score(queries), atol=1e-5, rtol=1e-4)
    items = np.tile(np.arange(9, dtype=np.int32), (len(queries), 1))
    expected = torch.softmax(model.temperature * personas, 1)
    torch.testing.assert_close(model.attention(queries, items), expected, atol=1e-5, rtol=1e-4)


def test_a_user_without_history_has_zero_scores() -> None:
    log = _log(_random(40, 9)[0])
    model = PersonaEASE(3, factors=4).fit(log)
    assert torch.equal(model.score(Queries.from_history([[]])), torch.zeros(1, 9))


def test_memory_limit_is_checked_before_allocating() -> None:
    log = _log(_random(40, 9)[0])
    with pytest.raises(CapabilityError, match=r"memory_limit_gb=1e-09.*ampcf_latent"):
        PersonaEASE(2, memory_limit_gb=1e-9).fit(log)


def test_arguments_are_checked() -> None:
    with pytest.raises(ConfigError, match="cohesion is -1"):
        PersonaEASE(cohesion=-1)


def test_persona_scores_do_not_depend_on_the_other_queries_of_a_batch() -> None:
    random = np.random.default_rng(0)
    items = np.concatenate([random.permutation(90) for _ in range(12)])
    log = Interactions.from_columns(np.repeat(np.arange(18), 60), items)
    model = PersonaEASE(personas=3, factors=4).fit(log)
    long, short = [*random.permutation(90)[:80].tolist(), -1], [4, 7]
    candidates = random.permutation(90)[None].astype(np.int32)
    weights = random.random(83).astype(np.float32)
    alone = Queries.from_history([long]).with_weights(weights[:81])
    together = Queries.from_history([long, short]).with_weights(weights)
    attention, scores = model.attention_and_persona_scores(alone, candidates)
    assert torch.equal(scores[0], model.attention_and_persona_scores(together, np.repeat(candidates, 2, 0))[1][0])
    assert torch.equal(attention, model.attention(alone, candidates))
    assert torch.equal(attention, model.attention_of(alone, model.contributions(alone, candidates)))


def test_a_log_in_which_no_user_has_two_items_scores_nothing() -> None:
    log = Interactions.from_columns(list(range(9)), list("abcabcabc"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PersonaEASE(personas=2, factors=2).fit(log)
    assert not model.score(Queries.from_interactions(log)).any()
