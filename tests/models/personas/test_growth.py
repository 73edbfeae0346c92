from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.growth import updated_personas
from recsys.worlds.simulation import World


def _first(world: World, part: float) -> Queries:
    """Everybody's first part of the history."""
    length = np.diff(world.log.indptr)[world.log.user_num]
    return Queries.from_interactions(world.log.select(world.log.positions < np.ceil(part * length)))


def test_a_new_event_joins_at_once_and_moves_nothing_else(dictionary: TasteDictionary, personas: Personas) -> None:
    history = np.arange(0, 60)
    before = find_personas(dictionary, Queries.from_history([history]))
    queries = Queries.from_history([np.append(history, 77)])
    after = updated_personas(dictionary, queries, before)
    old, new = before.of_events(dictionary, Queries.from_history([history])), after.of_events(dictionary, queries)
    np.testing.assert_array_equal(new[:-1], old)
    assert after.mass.sum() == 61
    np.testing.assert_array_equal(after.identity, before.identity)


def test_identities_stay_while_histories_grow(world: World, dictionary: TasteDictionary) -> None:
    former = find_personas(dictionary, _first(world, 0.5))
    kept = []
    for part in (0.55, 0.7, 0.85, 1.0):
        queries = _first(world, part)
        now = updated_personas(dictionary, queries, former)
        rows, of_event = queries.history.rows, now.of_events(dictionary, queries)
        before = former.of_events(dictionary, queries)
        kept.append((now.identity[rows, of_event] == former.identity[rows, before]).mean())
        for row in range(len(now)):
            numbers = now.identity[row, : now.counts[row]]
            assert len(set(numbers.tolist())) == len(numbers)
        former = now
    assert min(kept) > 0.75


def test_many_new_events_of_another_kind_make_a_new_persona(world: World, dictionary: TasteDictionary) -> None:
    one, other = (np.flatnonzero(world.item_genre == genre)[:20] for genre in (0, 4))
    before = find_personas(dictionary, Queries.from_history([one]))
    after = updated_personas(dictionary, Queries.from_history([np.concatenate([one, other])]), before)
    assert before.counts.tolist() == [1]
    assert after.counts.tolist() == [2]
    of_old = after.of_events(dictionary, Queries.from_history([one]))
    assert set(after.identity[0, of_old].tolist()) == {0}
    assert after.used.tolist() == [2]


def test_identities_are_not_given_twice(world: World, dictionary: TasteDictionary) -> None:
    first, second = (np.flatnonzero(world.item_genre == genre)[:20] for genre in (0, 4))
    personas = find_personas(dictionary, Queries.from_history([first]))
    personas = updated_personas(dictionary, Queries.from_history([second]).with_weights(None), personas)
    grown = updated_personas(dictionary, Queries.from_history([np.concatenate([second, second + 1, first])]), personas)
    assert grown.used[0] > grown.identity.max()


def test_a_user_without_history_gets_personas_with_the_first_events(dictionary: TasteDictionary) -> None:
    empty = find_personas(dictionary, Queries.from_history([[]]))
    after = updated_personas(dictionary, Queries.from_history([[5]]), empty)
    assert after.counts.tolist() == [1]
    assert after.identity[0, 0] == 0
