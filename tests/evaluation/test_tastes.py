"""Tastes of logs with genres and without; clusters on data whose groups are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.data.clusters import pure_svd, pure_svd_of_gram, spherical_kmeans
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.tastes import Tastes, entropy, sums_at
from tests.evaluation.evaluation_models import random_log


def block_log(blocks: int = 3, users: int = 12, items: int = 5) -> Interactions:
    """Users of block b use items of block b only; every user misses one item."""
    pairs = [
        (b * users + u, b * items + i)
        for b in range(blocks)
        for u in range(users)
        for i in range(items)
        if u % items != i
    ]
    who, what = zip(*pairs, strict=True)
    return Interactions.from_columns(who, what)


@pytest.mark.parametrize("seed", range(5))
def test_clusters_find_the_blocks(seed: int) -> None:
    tastes = Tastes.of(block_log(), clusters=3, seed=seed)
    assert tastes.source == "clusters"
    label = tastes.shares.argmax(1).reshape(3, 5)
    assert (label == label[:, :1]).all()
    assert len(set(label[:, 0])) == 3
    cosine = tastes.vectors @ tastes.vectors.T
    same = np.kron(np.eye(3), np.ones((5, 5))) > 0
    assert np.abs(cosine[~same]).max() < 0.1


def test_clusters_are_repeatable_and_partition_the_items() -> None:
    log = random_log()
    first, second = Tastes.of(log, clusters=7, seed=3), Tastes.of(log, clusters=7, seed=3)
    np.testing.assert_array_equal(first.shares, second.shares)
    assert (first.shares.sum(1) == 1).all()
    assert (first.shares.sum(0) > 0).all()
    assert len(first) == 7


def test_more_clusters_than_items_and_a_single_item() -> None:
    assert len(Tastes.of(Interactions.from_columns([1, 2], [5, 5]), clusters=4)) == 1
    assert 1 <= len(Tastes.of(Interactions.from_columns([1, 2, 2], [5, 6, 7]), clusters=50)) <= 3
    with pytest.raises(ConfigError, match="at least 1"):
        Tastes.of(random_log(), clusters=0)


def test_items_without_events_have_no_taste() -> None:
    log = block_log().select(block_log().item_num != 4)
    tastes = Tastes.of(log, clusters=3)
    assert not tastes.shares[4].any()
    assert not tastes.has_taste[[4, UNKNOWN]].any()
    assert tastes.has_taste[:4].all()


@pytest.mark.parametrize("n_users", [12, 60])
def test_pure_svd_of_the_gram_matrix_has_the_same_cosines(n_users: int) -> None:
    """Fewer users than items, and more; nobody used the first item."""
    dense = (np.random.default_rng(1).random((n_users, 30)) < 0.3).astype(np.float32)
    dense[:, 0] = 0
    one, other = pure_svd(csr_matrix(dense), 5), pure_svd_of_gram(dense.T @ dense, n_users, 5)
    np.testing.assert_allclose(other @ other.T, one @ one.T, atol=1e-9)
    np.testing.assert_array_equal(pure_svd_of_gram(dense[:1].T @ dense[:1], 1, 5), pure_svd(csr_matrix(dense[:1]), 5))


def test_pure_svd_equals_the_dense_decomposition() -> None:
    matrix = random_log(seed=4).matrix()
    exact = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    factors = exact.Vh[:6].T * exact.S[:6]
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    ours = pure_svd(matrix, 6)
    np.testing.assert_allclose(ours @ ours.T, factors @ factors.T, atol=1e-9)


def test_kmeans_returns_all_clusters_on_distinct_points() -> None:
    angle = np.linspace(0, np.pi, 9, endpoint=False)
    assert len(set(spherical_kmeans(np.stack([np.cos(angle), np.sin(angle)], 1), 6, seed=1))) == 6


def test_there_are_at_most_as_many_clusters_as_points() -> None:
    assert sorted(spherical_kmeans(np.zeros((2, 3)), 8).tolist()) == [0, 1]


def test_genres_are_shared_equally_and_no_genre_is_no_taste() -> None:
    log = Interactions.from_columns([1, 1, 1, 2], [10, 11, 12, 10])
    genres = (("Comedy", "Drama"), ("Drama",), ("(no genres listed)",))
    log = Interactions(
        log.user_num, log.item_num, log.value, log.time, log.users, log.items, ItemMetadata(("a", "b", "c"), genres)
    )
    tastes = Tastes.of(log)
    assert tastes.names == ("Comedy", "Drama")
    assert tastes.source == "genres"
    p = tastes.of_histories(Ragged.of([[0, 1, 2, UNKNOWN, 1], [2], []]))
    np.testing.assert_allclose(p, np.array([[0.25, 0.75], [0, 0], [0, 0]]))
    q = tastes.of_lists(np.array([[1, 2, 0], [UNKNOWN] * 3], np.int32), (1, 3))
    np.testing.assert_allclose(q, np.array([[[0, 1], [0, 0]], [[0.25, 0.75], [0, 0]]]))


def test_entropy_and_sums() -> None:
    rows = np.array([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert entropy(rows)[:2].tolist() == [2.0, 0.0]
    assert np.isnan(entropy(rows)[2])
    values = np.random.default_rng(0).random((5, 7, 2))
    for k, total in zip((2, 3, 7), sums_at(values, (2, 3, 7)), strict=True):
        np.testing.assert_allclose(total, values[:, :k].sum(1))
