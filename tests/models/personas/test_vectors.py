from __future__ import annotations

import numpy as np

from recsys.data.interactions import Interactions
from recsys.models.personas.vectors import item_vectors
from recsys.worlds.blocks import block_log
from recsys.worlds.simulation import World


def test_rows_have_length_one_and_items_of_a_block_point_the_same_way() -> None:
    log = block_log(blocks=3, users=20)
    vectors = item_vectors(log, dim=4, shrinkage=1.0)
    block = np.asarray([str(item)[0] for item in log.items.ids])
    cosine = vectors @ vectors.T
    same = block[:, None] == block
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert cosine[same].min() > 0.5 > cosine[~same].max()


def test_popularity_has_no_direction(world: World) -> None:
    vectors = item_vectors(world.log)
    counts = np.bincount(world.log.item_num, minlength=world.log.n_items)
    covariance = np.cov(np.c_[np.log(np.maximum(counts, 1)), vectors].T, fweights=counts)
    correlation = covariance[0, 1:] / np.sqrt(covariance[0, 0] * covariance.diagonal()[1:])
    assert np.abs(correlation).max() < 0.3


def test_labels_pull_items_of_one_genre_together(world: World) -> None:
    first = world.item_genre == world.item_genre[0]

    def closeness(weight: float) -> float:
        vectors = item_vectors(world.log, metadata_weight=weight)
        return float((vectors[first] @ vectors[first].T).mean())

    assert closeness(0.8) > closeness(0.0)


def test_item_of_which_nothing_is_known_has_a_row_of_zeros() -> None:
    log = Interactions.from_columns([1, 1, 2, 2, 3, 3, 4], [1, 2, 1, 2, 3, 4, 5])
    vectors = item_vectors(log, dim=2)
    assert np.isfinite(vectors).all()
    assert not vectors[4].any()
