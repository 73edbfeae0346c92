from __future__ import annotations

import numpy as np
import pytest

from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.models import EASE
from recsys.models.personas.clusters import find_personas
from recsys.models.personas.content import content_parts
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.models.personas.ownership import PersonaOwners
from recsys.slates import Seats
from recsys.types import Ints
from recsys.worlds.blocks import block_log

LOG = block_log(blocks=4, users=40, items=20, seed=0)
DICTIONARY = TasteDictionary.of(LOG, TasteSettings(tastes=8, shrinkage=1.0))


def _labelled(count: int) -> ItemMetadata:
    genres = tuple(("Drama", "War") if item < count else () for item in range(LOG.n_items))
    return ItemMetadata(tuple(map(str, range(LOG.n_items))), genres)


def test_labels_are_genres_where_most_items_have_one() -> None:
    half = LOG.n_items // 2
    np.testing.assert_array_equal(content_parts(_labelled(half), DICTIONARY)[[0, half]], [[0.5, 0.5], [0, 0]])
    assert content_parts(_labelled(half - 1), DICTIONARY).shape == (LOG.n_items, len(DICTIONARY))


def test_without_genres_an_item_is_about_its_taste() -> None:
    parts = content_parts(ItemMetadata.untitled(LOG.items), DICTIONARY)
    known = DICTIONARY.vectors.any(1)
    np.testing.assert_array_equal(parts.sum(1), known)
    np.testing.assert_array_equal(parts[known].argmax(1), DICTIONARY.taste[known])
    with pytest.raises(ValueError, match="read-only"):
        parts[0] = 1.0


def test_lists_on_a_log_without_genres_are_about_what_histories_are() -> None:
    assert not LOG.metadata.has_genres
    model = EASE(10.0).fit(LOG)
    queries = Queries.from_interactions(LOG)
    queries = queries.keep(queries.history.rows % 2 == queries.history.items % 2)  # something is left to recommend
    owners = PersonaOwners(model, queries, DICTIONARY, find_personas(DICTIONARY, queries))
    parts = content_parts(LOG.metadata, DICTIONARY)
    history = _shares(parts, queries.matrix(LOG.n_items).toarray().astype(np.int64))

    def distance(slate: Seats) -> float:
        items = model.recommend(queries, 10, slate=slate, owners=owners).items
        listed = np.zeros((len(queries), LOG.n_items), np.int64)
        np.put_along_axis(listed, items.astype(np.int64), 1, 1)
        return float(np.mean((_shares(parts, listed) - history) ** 2))

    assert distance(Seats(0.0, 1.0)) < 0.8 * distance(Seats(0.0, 0.0))


def _shares(parts: np.ndarray, counts: Ints) -> np.ndarray:
    sums = counts @ parts
    return np.asarray(sums / np.maximum(sums.sum(1, keepdims=True), 1e-12))
