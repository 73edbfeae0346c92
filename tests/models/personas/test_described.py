from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.described import persona_nodes, representatives
from recsys.models.personas.dictionary import TasteDictionary


def test_a_persona_of_the_tastes_below_a_node_stands_at_it(dictionary: TasteDictionary) -> None:
    node = len(dictionary) + 3
    below = np.flatnonzero(dictionary.members[node][dictionary.taste])
    queries = Queries.from_history([below])
    personas = find_personas(dictionary, queries)
    weight = np.bincount(dictionary.taste[below], minlength=len(dictionary)).astype(np.float64)
    if personas.counts[0] == 1:
        assert persona_nodes(dictionary, queries, personas, weight)[0, 0] == node


def test_personas_of_a_user_have_different_nodes(
    dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    weight = np.bincount(dictionary.taste[queries.history.items], minlength=len(dictionary)).astype(np.float64)
    nodes = persona_nodes(dictionary, queries, personas, weight)
    np.testing.assert_array_equal(nodes == UNKNOWN, personas.mass == 0)
    for row in nodes:
        known = row[row != UNKNOWN]
        assert len(set(known.tolist())) == len(known)


def test_representatives_are_own_items_nearest_to_the_mean(
    dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    shown = representatives(dictionary, queries, personas, top=3)
    for row in range(20):
        own = queries.history.row(row)
        for persona in range(int(personas.counts[row])):
            items = shown[row, persona]
            assert (items[:3] != UNKNOWN).all()
            mine = own[personas.of_items(dictionary, np.full(len(own), row), own) == persona]
            cosine = dictionary.vectors[mine] @ personas.centres[row, persona]
            assert set(items.tolist()) <= set(mine.tolist())
            np.testing.assert_allclose(
                dictionary.vectors[items[0]] @ personas.centres[row, persona], cosine.max(), rtol=1e-6
            )
    assert (shown[:, -1][personas.counts < 6] == UNKNOWN).all()
