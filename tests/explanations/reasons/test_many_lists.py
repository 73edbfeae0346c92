"""Explanations of many lists at once are those of each list alone, and every "because" holds."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.fixed import GlobalHalfLife
from recsys.explanations import explain, explain_items
from recsys.explanations.explain import explanation_columns
from recsys.explanations.reasons.explained_lists import explain_lists
from recsys.explanations.reasons.greedy_sets import BEYOND, strongest_events
from recsys.explanations.reasons.user_list import UserList
from recsys.models import EASE, IALS, MF, Decayed, ItemKNN, PersonaEASE, WithPersonas
from recsys.models.base import Recommendations, Recommender
from recsys.slates import Seats
from recsys.worlds.simulation import WorldConfig, simulate

N = 6


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulate(WorldConfig(n_users=120, n_items=150, events_per_user=24)).log


def _models() -> dict[str, Recommender]:
    return {
        "EASE": EASE(20.0),
        "signed": EASE(20.0, feedback="signed"),
        "decayed": Decayed(EASE(20.0), GlobalHalfLife(8.0)),
        "factors": IALS(embedding_size=8),
        "neighbours": ItemKNN(),
        "learned personas": PersonaEASE(personas=2, factors=8),
        "found personas": WithPersonas(EASE(20.0), slate=Seats(0.2, 0.1, 60)),
        "learned users": MF(embedding_size=4, users="embedding"),
    }


_ROUNDED = ("factors", "learned personas", "learned users")
"""Models whose scores of a batch differ from those of one query in the last bits."""


def _some_queries(log: Interactions) -> Queries:
    """Histories of different lengths, one of them empty, one of one event."""
    queries = Queries.from_interactions(log, np.arange(0, 60, 2, dtype=np.int32))
    place = np.arange(len(queries.times)) - np.repeat(queries.history.indptr[:-1], queries.history.lengths)
    return queries.keep(place < queries.history.rows % 25)


@pytest.mark.parametrize("name", list(_models()))
def test_a_list_of_many_is_that_of_the_user_alone(name: str, log: Interactions) -> None:
    model = _models()[name].fit(log)
    queries = _some_queries(log)
    together = explain(model, queries, N)
    alone = [explain(model, queries.take(np.asarray([row])), N)[0] for row in range(len(queries))]
    assert any(one.evidence for each in together for one in each)
    if name not in _ROUNDED:
        assert together == alone
    for each, own in zip(together, alone, strict=True):
        for one, other in zip(each, own, strict=True):
            assert (one.item_id, one.reason, one.without, one.owner) == (
                other.item_id,
                other.reason,
                other.without,
                other.owner,
            )
            assert [(fact.item_id, fact.age) for fact in one.evidence] == [
                (fact.item_id, fact.age) for fact in other.evidence
            ]
            assert one.certainty == pytest.approx(other.certainty, abs=1e-5)


def test_longer_lists_that_are_given_change_nothing(log: Interactions) -> None:
    model = EASE(20.0).fit(log)
    queries = _some_queries(log)
    wide = model.recommend(queries, N + BEYOND)
    listed = Recommendations(wide.items[:, :N], wide.scores[:, :N])
    ids = model.fitted_on.items.ids.tolist()
    columns = explanation_columns(model, queries, listed, wide=wide)
    assert [one for part in columns for one in part.records(ids)] == explain(model, queries, N)


def test_strongest_events_are_those_of_a_sort(log: Interactions) -> None:
    source = np.random.default_rng(0)
    queries = _some_queries(log)
    long = Queries.from_history([source.integers(0, 150, size=length) for length in (0, 3, 40, 300, 700)])
    for history in (queries.history, long.history):
        strength = source.integers(0, 9, size=(len(history.items), 4)).astype(np.float32)  # with ties
        row, rank = np.repeat(np.arange(len(history)), 4), np.tile(np.arange(4), len(history))
        found = strongest_events(strength, history, row, rank, 16)
        for place, events in enumerate(found):
            first, last = history.indptr[row[place] : row[place] + 2].tolist()
            own = strength[first:last, rank[place]]
            expected = [first + event for event in np.argsort(-own, kind="stable")[:16].tolist() if own[event] > 0]
            assert events[events != UNKNOWN].tolist() == expected


@pytest.mark.skipif("RECSYS_DATA" not in os.environ, reason="needs real logs")
def test_many_lists_of_a_real_log_are_those_of_each_user_and_every_because_holds() -> None:
    log = datasets.load("ml-latest-small")
    model = EASE(300.0, feedback="weighted").fit(log)
    queries = Queries.from_interactions(log, np.arange(0, log.n_users, 8, dtype=np.int32))
    lists = model.recommend(queries, 10)
    together = explain_items(model, queries, lists)
    alone = [explain(model, queries.take(np.asarray([row])), 10)[0] for row in range(0, len(queries), 7)]
    assert together[::7] == alone
    # Every reason, by the scores that the model gives without its events.
    because = [(row, one) for row, each in enumerate(together) for one in each if one.reason_kind == "because"]
    assert len(because) > 300
    items = log.items.numbers([one.item_id for _, one in because])
    asked = queries.take(np.asarray([row for row, _ in because]))
    without = [log.items.numbers(one.without) for _, one in because]
    rows, past = asked.history.rows, asked.history.items
    keep = np.asarray([past[event] not in without[row] for event, row in enumerate(rows.tolist())], np.float32)
    again = model.recommend(replace(asked, weights=keep), 10)
    assert not (again.items == items[:, None]).any()


def test_a_list_for_which_no_event_may_be_a_reason_has_none(log: Interactions) -> None:
    model = EASE(20.0).fit(log)
    one = _some_queries(log).take(np.asarray([20]))
    assert len(one.times) > 5
    last_kept = np.arange(len(one.times)) == len(one.times) - 1
    unliked = replace(one, values=np.where(last_kept, 1.0, 5.0).astype(np.float32))
    weights = last_kept.astype(np.float32)  # the one event that counts was rated below the own mean
    (explained,) = explain(model, unliked.with_weights(weights), N)
    assert len(explained) == N
    assert all(each.without == () and each.evidence == () for each in explained)


@pytest.mark.parametrize("said", ["mostly long ago", "mostly recently"])
def test_sentences_tell_an_age_that_is_not_that_of_the_whole_history(said: str, log: Interactions) -> None:
    model = WithPersonas(EASE(20.0)).fit(log)
    queries = Queries.from_interactions(log, np.arange(60, dtype=np.int32))
    lists = UserList.of(model, queries, N)
    ids = model.fitted_on.items.ids.tolist()
    half = np.arange(len(queries.times)) % 2 == 0
    for recent in (half, np.zeros_like(half), np.ones_like(half)):
        told = [
            one for each in explain_lists(lists, ids, searched=0, recent=recent) for one in each if said in one.reason
        ]
        assert bool(told) == (recent is half)
        for one in told:
            assert one.recent is not None
            assert one.recent >= 0.75 if said == "mostly recently" else one.recent <= 0.25
