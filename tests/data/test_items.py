from __future__ import annotations

import numpy as np

from recsys.data.items import ItemMetadata


def test_an_item_is_about_its_genres_in_equal_parts_and_about_none_without() -> None:
    metadata = ItemMetadata(("a", "b", "c"), (("Crime", "Drama"), ("Drama",), ("(no genres listed)",)))
    names = metadata.genre_matrix[0]
    parts = metadata.genre_parts
    assert names == ("(no genres listed)", "Crime", "Drama")
    np.testing.assert_array_equal(parts, [[0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]])
    assert not parts.flags.writeable
