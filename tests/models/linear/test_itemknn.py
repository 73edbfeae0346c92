from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models.linear import operations
from recsys.models.linear.itemknn import ItemKNN, ItemSimilarity
from recsys.models.top_n import largest_per_row


def random_log(users: int = 30, items: int = 12, events: int = 150) -> Interactions:
    source = np.random.default_rng(3)
    return Interactions.from_columns(source.integers(0, users, events), source.integers(0, items, events))


def expected_similarity(
    log: Interactions, similarity: ItemSimilarity, shrinkage: float, k: int
) -> npt.NDArray[np.float64]:
    """Return "history candidate" straight from the definition."""
    x = log.matrix().toarray().astype(bool)
    n = x.shape[1]
    result = np.zeros((n, n))
    for i in range(n):
        row = np.zeros(n)
        for j in range(n):
            both, one, other = (x[:, i] & x[:, j]).sum(), x[:, i].sum(), x[:, j].sum()
            if i != j and both:
                row[j] = {
                    "cosine": both / (np.sqrt(one * other) + shrinkage),
                    "jaccard": both / ((x[:, i] | x[:, j]).sum() + shrinkage),
                    "dice": 2 * both / (one + other + shrinkage),
                }[similarity]
        nearest = sorted(range(n), key=lambda j: (-np.float32(row[j]), j))[:k]
        result[nearest, i] = row[nearest]
    return result


@pytest.mark.parametrize("similarity", get_args(ItemSimilarity))
@pytest.mark.parametrize(("shrinkage", "k"), [(0.0, 3), (5.0, 4), (1.0, 100)])
def test_similarities_follow_the_definition(similarity: ItemSimilarity, shrinkage: float, k: int) -> None:
    log = random_log()
    model = ItemKNN(k, similarity, shrinkage).fit(log)
    scores = model.score(Queries.from_history([[item] for item in range(log.n_items)])).numpy()
    np.testing.assert_allclose(scores, expected_similarity(log, similarity, shrinkage, k), rtol=1e-5)


def test_blocks_do_not_change_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log()
    whole = ItemKNN(3).fit(log).arrays()
    monkeypatch.setattr(operations.cooccurrence_blocks, "__defaults__", (20,))
    blocks = list(operations.cooccurrence_blocks(log.matrix()))
    assert len(blocks) > 3
    assert all(block.nnz <= 20 for _, block in blocks)
    for name, array in ItemKNN(3).fit(log).arrays().items():
        np.testing.assert_array_equal(array, whole[name])


@given(st.integers(1, 40), st.integers(1, 200))
def test_cooccurrence_blocks_are_the_whole_matrix(entries: int, seed: int) -> None:
    x = sp.csr_matrix((np.random.default_rng(seed).random((9, 7)) < 0.3).astype(np.float32))
    blocks = list(operations.cooccurrence_blocks(x, entries))
    np.testing.assert_array_equal(np.vstack([block.toarray() for _, block in blocks]), (x.T @ x).toarray())
    assert [start for start, _ in blocks] == np.cumsum([0, *(block.shape[0] for _, block in blocks)])[:-1].tolist()


def test_a_large_catalogue_stays_sparse() -> None:
    n_items = 100_000
    source = np.random.default_rng(0)
    items = np.concatenate([np.arange(n_items), source.integers(0, n_items, 10_000)])
    log = Interactions.from_columns(np.arange(len(items)) // 5, items)
    model = ItemKNN(5).fit(log)
    assert sum(array.nbytes for array in model.arrays().values()) < 100 * n_items
    assert model.score(Queries.from_history([[0]])).shape == (1, n_items)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.sampled_from([0.125, 0.25, 0.5, 3.0]))),
    st.integers(1, 4),
)
def test_largest_per_row_equals_sorting(entries: list[tuple[int, int, float]], k: int) -> None:
    entries = list({(row, column): (row, column, value) for row, column, value in entries}.values())
    entries.sort(key=lambda entry: entry[0])
    row = np.array([entry[0] for entry in entries], dtype=np.int64)
    column = np.array([entry[1] for entry in entries], dtype=np.int64)
    value = np.array([entry[2] for entry in entries], dtype=np.float32)
    expected_positions = {
        position
        for r in set(row.tolist())
        for position in sorted(np.flatnonzero(row == r), key=lambda p: (-value[p], column[p]))[:k]
    }
    assert set(largest_per_row(row, column, value, k).tolist()) == expected_positions


def test_an_empty_log_of_known_items_scores_zero() -> None:
    log = random_log()
    model = ItemKNN().fit(log.select(np.zeros(len(log), bool)))
    assert model.score(Queries.from_history([[0]])).abs().sum() == 0


def test_arguments_are_checked() -> None:
    with pytest.raises(ConfigError, match="neighbours is 0"):
        ItemKNN(0)
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        ItemKNN(similarity="cosin")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="shrinkage"):
        ItemKNN(shrinkage=-1)


def test_contributions_are_weighted_similarities_of_counted_events() -> None:
    source = np.random.default_rng(4)
    log = Interactions.from_columns(source.integers(0, 50, 600), source.integers(0, 25, 600))
    model = ItemKNN(neighbours=6).fit(log)
    arrays = model.arrays()
    parts = (arrays["votes.data"], arrays["votes.indices"], arrays["votes.indptr"])
    votes = sp.csr_matrix(parts, shape=(25, 25)).toarray()
    rows = [[0, 3, 7, 3], [], [UNKNOWN, 24, 2], [UNKNOWN]]
    weights = np.asarray([1, 0.5, 0.25, 0.75, 1, 1, 0, 1], np.float32)
    queries = Queries.from_history(rows).with_weights(weights)
    candidates = source.integers(0, 25, (4, 9)).astype(np.int32)
    counted = np.asarray([1, 0, 0.25, 0.75, 0, 1, 0, 0], np.float32)
    expected = counted[:, None] * votes[queries.history.items][np.arange(8)[:, None], candidates[queries.history.rows]]
    np.testing.assert_array_equal(model.contributions(queries, candidates).numpy(), expected)
    restored = ItemKNN(neighbours=6).restore(model.fitted_on, arrays)
    np.testing.assert_array_equal(restored.contributions(queries, candidates).numpy(), expected)
