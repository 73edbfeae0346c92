"""Lists from sparse scores are those from dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import top_n
from recsys.models.decayed.model import Decayed
from recsys.models.linear import itemknn
from recsys.models.linear.itemknn import ItemKNN
from recsys.models.sparse_top_n import sparse_top_n


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 5),
    n_items=st.integers(1, 30),
    n=st.integers(1, 12),
    levels=st.integers(1, 4),
    density=st.floats(0, 1),
)
def test_they_equal_lists_from_dense_scores(
    seed: int, rows: int, n_items: int, n: int, levels: int, density: float
) -> None:
    source = np.random.default_rng(seed)
    dense = source.integers(0, levels + 1, (rows, n_items)).astype(np.float32)
    dense *= source.random(dense.shape) < density
    excluded = Ragged.of([source.integers(-1, n_items, source.integers(0, 8)) for _ in range(rows)])
    order = np.argsort(source.random(n_items), kind="stable")
    rank = np.argsort(order, kind="stable")
    stored = sp.csr_matrix(dense)
    if stored.nnz:
        stored.data[0] = 0.0  # a stored zero is a zero
        dense[np.nonzero(dense)[0][0], stored.indices[0]] = 0.0
    masked = dense.copy()
    known = excluded.items != UNKNOWN
    masked[excluded.rows[known], excluded.items[known]] = -np.inf
    wanted = top_n(torch.from_numpy(masked), n, torch.from_numpy(rank))
    found = sparse_top_n(stored, excluded, n, order, rank)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


def test_nan_is_a_defect_of_the_model() -> None:
    scores = sp.csr_matrix(np.array([[0, np.nan, 1]], np.float32))
    with pytest.raises(FloatingPointError, match="NaN"):
        sparse_top_n(scores, Ragged.of([[]]), 2, np.arange(3), np.arange(3))


@pytest.mark.parametrize("decayed", [False, True])
def test_a_model_recommends_the_same_either_way(monkeypatch: pytest.MonkeyPatch, decayed: bool) -> None:
    source = np.random.default_rng(0)
    users, items = source.integers(0, 300, 2_000), source.integers(0, 400, 2_000)
    log = Interactions.from_columns(users, items, times=np.arange(2_000))
    model = (Decayed(ItemKNN(5), half_life=3.0) if decayed else ItemKNN(5)).fit(log)
    queries = Queries.from_history([source.integers(0, 400, size) for size in (0, 1, 4, 12, 30)] * 3)
    monkeypatch.setattr(itemknn, "_SPARSE", 0)
    assert model._is_sparse(queries)
    sparse = model.recommend(queries, 10)
    monkeypatch.setattr(itemknn, "_SPARSE", 10**9)
    assert not model._is_sparse(queries)
    dense = model.recommend(queries, 10)
    np.testing.assert_array_equal(sparse.items, dense.items)
    np.testing.assert_array_equal(sparse.scores, dense.scores)
