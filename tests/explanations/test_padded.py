from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.explanations.padded import PaddedHistory


@pytest.mark.parametrize("history", [[3, 1, 2], [3, 1, 3], [3, -1], []])
def test_a_query_alone_is_padded_as_in_a_batch(history: list[int]) -> None:
    alone, batch = Queries.from_history([history]), Queries.from_history([history, [5, 6, 7, 8]])
    values = np.random.default_rng(0).random((len(history) + 4, 2))
    one, two = PaddedHistory.of(alone), PaddedHistory.of(batch)
    count = int(one.lengths[0])
    for single, both in (
        (one.items, two.items),
        (one.events, two.events),
        (one.mask, two.mask),
        (one.weights, two.weights),
        (one.gather(values[: len(history)], 0.0), two.gather(values, 0.0)),
    ):
        np.testing.assert_array_equal(single[0], both[0, :count])
    assert not two.gather(values, 0.0)[0, count:].any()
