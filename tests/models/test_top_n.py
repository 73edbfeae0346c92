"""The n best items: ties, NaN, and sparse scores equal to dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import ConfigError
from recsys.models.decayed.model import Decayed
from recsys.models.linear import itemknn
from recsys.models.linear.itemknn import ItemKNN
from recsys.models.reliable import Reliable
from recsys.models.top_n import sparse_top_n, top_n

_SCORES = nst.arrays(
    np.float32,
    nst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]),
)


@given(_SCORES, st.integers(1, 12))
def test_top_n_equals_sorting_by_score_then_item(scores: np.ndarray, n: int) -> None:
    items, values = top_n(torch.from_numpy(scores.copy()), n)
    for row, (listed, value) in enumerate(zip(items, values, strict=True)):
        order = sorted(range(scores.shape[1]), key=lambda item: (-scores[row, item], item))
        expected = [item for item in order if scores[row, item] > -np.inf][:n]
        assert listed.tolist() == expected + [UNKNOWN] * (n - len(expected))
        assert value[: len(expected)].tolist() == scores[row, expected].tolist()
        assert (value[len(expected) :] == -np.inf).all()


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([2, 30, 10_000]), n=st.integers(33, 90))
def test_many_are_found_as_by_sorting(seed: int, levels: int, n: int) -> None:
    """Rows of different scores and rows of ties, some with too few items, in more than one block."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (300, 80)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    rank = rng.permutation(80)
    items, values = top_n(torch.from_numpy(scores), n, torch.from_numpy(rank))
    order = np.lexsort((np.broadcast_to(rank, scores.shape), -scores), axis=1)[:, :n]
    best = np.take_along_axis(scores, order, 1)
    width = order.shape[1]
    np.testing.assert_array_equal(values[:, :width], best)
    np.testing.assert_array_equal(items[:, :width], np.where(best > -np.inf, order, UNKNOWN))


@pytest.mark.parametrize("n", [1, 40])
def test_nan_in_dense_scores_raises(n: int) -> None:
    scores = torch.zeros(2, 50)
    scores[1, 3] = torch.nan
    with pytest.raises(ConfigError, match="NaN"):
        top_n(scores, n)


def test_equal_scores_are_listed_by_tie_rank() -> None:
    rank = torch.tensor([2, 1, 3, 0])
    items, _ = top_n(torch.zeros(1, 4), 2, rank)
    assert items.tolist() == [[3, 1]]
    items, _ = top_n(torch.tensor([[0.0, 1.0, 1.0, 0.0]]), 4, rank)
    assert items.tolist() == [[1, 2, 3, 0]]


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 5),
    n_items=st.integers(1, 30),
    n=st.integers(1, 12),
    levels=st.integers(1, 4),
    density=st.floats(0, 1),
)
def test_sparse_lists_equal_dense_lists(
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
    expected = top_n(torch.from_numpy(masked), n, torch.from_numpy(rank))
    result = sparse_top_n(stored, excluded, n, order, rank)
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_array_equal(result[1], expected[1])


def test_nan_in_sparse_scores_raises() -> None:
    scores = sp.csr_matrix(np.array([[0, np.nan, 1]], np.float32))
    with pytest.raises(ConfigError, match="NaN"):
        sparse_top_n(scores, Ragged.of([[]]), 2, np.arange(3), np.arange(3))


@pytest.mark.parametrize(
    "unfitted",
    [ItemKNN(5), Decayed(ItemKNN(5), GlobalHalfLife(3.0)), Reliable(Decayed(ItemKNN(5), GlobalHalfLife(3.0)), None)],
    ids=["alone", "decayed", "reliable and decayed"],
)
def test_a_model_recommends_the_same_from_sparse_scores(
    monkeypatch: pytest.MonkeyPatch, unfitted: ItemKNN | Decayed | Reliable
) -> None:
    source = np.random.default_rng(0)
    users, items = source.integers(0, 300, 2_000), source.integers(0, 400, 2_000)
    log = Interactions.from_columns(users, items, times=np.arange(2_000))
    model = unfitted.unfitted().fit(log)
    queries = Queries.from_history([source.integers(0, 400, size) for size in (0, 1, 4, 12, 30)] * 3)
    monkeypatch.setattr(itemknn, "_SPARSE", 0)
    assert model.is_sparse(queries)
    sparse = model.recommend(queries, 10)
    monkeypatch.setattr(itemknn, "_SPARSE", 10**9)
    assert not model.is_sparse(queries)
    dense = model.recommend(queries, 10)
    np.testing.assert_array_equal(sparse.items, dense.items)
    np.testing.assert_array_equal(sparse.scores, dense.scores)
