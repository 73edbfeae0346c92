"""Exact sums: updates equal recomputation bit for bit, for any sequence of histories."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models import PersonaEASE
from recsys.models.base import FittedOn
from recsys.models.linear.exact_sums import ExactSummation

_HISTORIES = st.lists(st.sets(st.integers(0, 39), max_size=40), min_size=1, max_size=6)


def _random(seed: int, scale: float = 1.0) -> tuple[torch.Tensor, npt.NDArray[np.float32]]:
    source = np.random.default_rng(seed)
    weights = torch.from_numpy((scale * source.standard_normal((40, 40)) ** 3).astype(np.float32))
    return weights, source.dirichlet(np.ones(3), 40).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 0.1, 1.0, 1e4]), histories=_HISTORIES)
def test_updated_sums_equal_recomputed_sums(seed: int, scale: float, histories: list[set[int]]) -> None:
    weights, routing = _random(seed, scale)
    exact = ExactSummation(weights, routing)
    updated = None
    for history in histories:
        items = np.asarray(sorted(history), np.int32)
        updated = exact.of(items, updated)
        assert updated.items.tolist() == items.tolist()
        assert updated.sums.tolist() == exact.of(items).sums.tolist()
        table = weights.numpy().astype(np.float64)[np.ix_(items, items)]
        expected = routing[items].astype(np.float64).T @ table
        rounding = len(items) * float(weights.abs().max()) * 2.0**-23
        np.testing.assert_allclose(updated.sums * exact.unit, expected, rtol=0, atol=rounding + 1e-300)


def test_sums_of_a_moving_window_equal_recomputed_sums() -> None:
    exact = ExactSummation(*_random(7))
    order = np.random.default_rng(7).permutation(40)
    updated = exact.of(np.zeros(0, np.int32))
    for count in range(1, 41):  # and loses its oldest, as a window that moves
        items = np.sort(order[max(0, count - 25) : count]).astype(np.int32)
        updated = exact.of(items, updated)
    assert updated.sums.tolist() == exact.of(updated.items).sums.tolist()


def test_zero_weights_have_zero_sums() -> None:
    exact = ExactSummation(torch.zeros(3, 3), np.ones((3, 1), np.float32))
    assert exact.of(np.asarray([0, 2], np.int32)).sums.tolist() == [[0, 0]]


@pytest.mark.parametrize("personas", [1, 3])
def test_attention_and_scores_equal_those_of_the_model(personas: int) -> None:
    source = np.random.default_rng(3)
    users, items = source.integers(0, 80, 900), source.integers(0, 40, 900)
    log = Interactions.from_columns(users, items, times=np.arange(900))
    model = PersonaEASE(personas=personas, factors=4).fit(log)
    chosen = np.sort(source.permutation(model.n_items)[:25]).astype(np.int32)
    attention, scores = model.attention_and_persona_scores(Queries.from_history([chosen]), chosen[None])
    updated = model.attention_and_scores_of(model.exact_sums(chosen))
    np.testing.assert_allclose(updated[0], attention[0], atol=1e-5)
    np.testing.assert_allclose(updated[1], scores[0], atol=1e-6)
    # A model that is fitted again has other sums, and so has one that is restored.
    again = PersonaEASE(personas=personas, factors=4).restore(FittedOn.of(log), model.arrays())
    assert again.exact_sums(chosen).sums.tolist() == model.exact_sums(chosen).sums.tolist()
    before = model.exact_sums(chosen).sums.tolist()
    other = Interactions.from_columns(users[:600], items[:600], times=np.arange(600))
    assert model.fit(other).n_items >= 25
    assert model.exact_sums(chosen[chosen < model.n_items]).sums.tolist() != before
