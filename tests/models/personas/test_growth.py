"""Personas while a history grows: a function of the history, that last, and whose numbers stay true."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.kinds import CODES
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.described import node_overlap
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import at_checkpoint, checkpoints, with_later_events
from recsys.worlds.simulation import World


def _weight(dictionary: TasteDictionary) -> np.ndarray:
    return np.bincount(dictionary.taste, minlength=len(dictionary)).astype(np.float64)


def _found(dictionary: TasteDictionary, queries: Queries) -> FoundPersonas:
    weight = _weight(dictionary)
    return with_later_events(dictionary, weight, queries, at_checkpoint(dictionary, weight, queries))


def _first(queries: Queries, length: int) -> Queries:
    place = np.arange(len(queries.times)) - np.repeat(queries.history.indptr[:-1], queries.history.lengths)
    return queries.keep(place < length)


def assert_same(one: FoundPersonas, other: FoundPersonas) -> None:
    """Compare to the last bit."""
    np.testing.assert_array_equal(one.numbers, other.numbers)
    np.testing.assert_array_equal(one.mass, other.mass)
    for name, array in vars(one.personas).items():
        np.testing.assert_array_equal(array, getattr(other.personas, name))


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=8), seed=st.integers(0, 2**16))
def test_a_user_does_not_depend_on_the_batch(dictionary: TasteDictionary, lengths: list[int], seed: int) -> None:
    """Neither the other users of the batch nor unknown items, repeated ones and dislikes change a bit."""
    rng = np.random.default_rng(seed)
    kinds = np.asarray([CODES["use"], CODES["view"], CODES["dislike"]], np.int8)
    queries = Queries.from_history([rng.integers(UNKNOWN, len(dictionary.taste), length) for length in lengths])
    queries = Queries(
        *(queries.users, queries.history, queries.values, queries.times, queries.now),
        kinds=rng.choice(kinds, sum(lengths), p=[0.6, 0.2, 0.2]),
    )
    together = _found(dictionary, queries)
    for row in range(len(queries)):
        alone = np.asarray([row])
        assert_same(_found(dictionary, queries.take(alone)), together.take(alone))


def test_between_checkpoints_a_new_event_joins_at_once_and_moves_nothing_else(dictionary: TasteDictionary) -> None:
    (length,) = (int(length) for length in checkpoints(60)[-1:])
    history = np.random.default_rng(0).permutation(len(dictionary.taste))[:60]
    before = _found(dictionary, Queries.from_history([history[:length]]))
    old = before.personas.of_events(dictionary, Queries.from_history([history[:length]]))
    for stop in range(length + 1, 61):
        queries = Queries.from_history([history[:stop]])
        after = _found(dictionary, queries)
        np.testing.assert_array_equal(after.personas.of_events(dictionary, queries)[:length], old)
        np.testing.assert_array_equal(after.numbers, before.numbers)
        assert after.personas.mass.sum() == stop


def test_numbers_stay_while_histories_grow(world: World, dictionary: TasteDictionary) -> None:
    queries = Queries.from_interactions(world.log)
    kept = []
    for one, other in ((28, 30), (30, 40), (28, 45)):
        before, after = (_found(dictionary, _first(queries, length)) for length in (one, other))
        events = _first(queries, one)
        rows = events.history.rows
        numbers = [each.numbers[rows, each.personas.of_events(dictionary, events)] for each in (before, after)]
        kept.append((numbers[0] == numbers[1]).mean())
    assert kept[0] == kept[1] == 1.0
    assert kept[2] > 0.6


def test_a_number_is_one_that_the_persona_resembles(dictionary: TasteDictionary, queries: Queries) -> None:
    weight = _weight(dictionary)
    found = at_checkpoint(dictionary, weight, queries)
    overlap = node_overlap(dictionary, found.mass, found.personas.of_taste, found.numbers.shape[1], weight)
    row, persona = np.nonzero(found.numbers != UNKNOWN)
    own, best = overlap[row, persona, found.numbers[row, persona]], overlap[row, persona].max(1)
    fresh = own < 0.5 * best  # only where others of the user have all that are nearer
    assert fresh.mean() < 0.02
    assert (own == best).mean() > 0.5
    for numbers in found.numbers:
        known = numbers[numbers != UNKNOWN]
        assert len(set(known.tolist())) == len(known)


def test_a_former_number_goes_on_to_mean_the_persona_that_had_it(world: World, dictionary: TasteDictionary) -> None:
    queries = Queries.from_interactions(world.log)
    before, after = (_found(dictionary, _first(queries, length)) for length in (28, 42))
    meant = []
    for row, numbers in enumerate(before.numbers):
        assert (after.former[row].sum(0) <= 1).all()  # nobody gets a number that another one had
        known = numbers[numbers != UNKNOWN].tolist()
        meant += [after.place(row, number, dictionary.members) is not None for number in known]
    assert np.mean(meant) > 0.8


def test_many_new_events_of_another_kind_make_a_new_persona(world: World, dictionary: TasteDictionary) -> None:
    one, other = (np.flatnonzero(world.item_genre == genre)[:20] for genre in (0, 4))
    before = _found(dictionary, Queries.from_history([one]))
    after = _found(dictionary, Queries.from_history([np.concatenate([one, other, other[:2]])]))
    assert before.personas.counts.tolist() == [1]
    assert after.personas.counts.tolist() == [2]
    assert before.numbers[0, 0] in after.numbers[0]


def test_users_whose_first_events_do_not_count_get_a_persona_with_the_first_that_does(
    dictionary: TasteDictionary,
) -> None:
    found = _found(dictionary, Queries.from_history([[], [UNKNOWN, UNKNOWN], [UNKNOWN] * 4 + [5]]))
    assert found.personas.counts.tolist() == [0, 0, 1]
    assert (found.numbers != UNKNOWN).sum(1).tolist() == [0, 0, 1]
    assert len(_found(dictionary, Queries.from_history([]))) == 0
