from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.models.linear.decayed_states import DecayedStates

HALF_LIVES = (1.0, 4.0, 30.0)


@pytest.mark.parametrize("lengths", [[1], [2], [8, 1], [9], [1, 3, 8, 9, 16, 17, 30, 2], [64, 65, 1, 72, 73, 521, 600]])
def test_products_are_those_of_the_matrix_of_all_states(lengths: list[int]) -> None:
    """Histories that end before, at and after the end of a segment of 8 events, of 8 segments and of 8 such."""
    source = np.random.default_rng(0)
    item = np.concatenate([source.integers(0, 40, length) for length in lengths])
    position = np.concatenate([np.arange(length) for length in lengths])
    feature = source.uniform(0.5, 1.5, len(item)).astype(np.float32)
    states = np.zeros((len(item), len(HALF_LIVES), 40))
    for event, place in enumerate(position):
        for earlier in range(event - place, event):
            for memory, half_life in enumerate(HALF_LIVES):
                states[event, memory, item[earlier]] += feature[earlier] * 0.5 ** ((event - 1 - earlier) / half_life)
    matrix = states.reshape(len(item), -1)
    vectors = torch.from_numpy(source.normal(size=(matrix.shape[1], 3)).astype(np.float32))
    result = DecayedStates(item, position, 40, HALF_LIVES, feature).gram(vectors)
    np.testing.assert_allclose(result, matrix.T @ (matrix @ vectors.numpy()), rtol=1e-4, atol=1e-4)
