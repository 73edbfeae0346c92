from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.fixed import GlobalHalfLife
from recsys.explanations.reasons.contributed_list import ContributedList
from recsys.explanations.reasons.counterfactual import smallest_sets
from recsys.explanations.reasons.greedy_sets import MOST
from recsys.explanations.reasons.user_list import UserList
from recsys.models import EASE, IALS, Decayed, ItemKNN, PersonaEASE, WithPersonas
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.ownership import without_evidence
from recsys.slates import Greedy, Seats
from recsys.types import Ints
from recsys.worlds.simulation import WorldConfig, simulate

N = 6


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulate(WorldConfig(n_users=120, n_items=150, events_per_user=24)).log


def _models() -> dict[str, Recommender]:
    return {
        "EASE": EASE(20.0),
        "seats": WithPersonas(EASE(20.0), slate=Seats(0.3, 0.0, 60)),
        "greedy": WithPersonas(EASE(20.0), slate=Greedy()),
        "attention": WithPersonas(EASE(20.0), sharpness=4.0, slate=Seats(0.2, 0.0, 60)),
        "persona ease": WithPersonas(PersonaEASE(personas=2, factors=8), slate=Seats(0.2, 0.1, 60)),
        "signed": WithPersonas(EASE(20.0, feedback="signed"), slate=Seats(0.2, 0.0, 60)),
        "decayed": WithPersonas(Decayed(EASE(20.0), GlobalHalfLife(8.0)), slate=Seats(0.2, 0.0, 60)),
        "neighbours": WithPersonas(ItemKNN(), slate=Seats(0.2, 0.0, 60)),
        "factors": IALS(embedding_size=8),
    }


@pytest.fixture(scope="module", params=list(_models()))
def model(request: pytest.FixtureRequest, log: Interactions) -> Recommender:
    return _models()[request.param].fit(log)


def _leaves(user_list: UserList, place: int, events: Ints) -> bool:
    """Whether the item leaves the list that the model makes without the events."""
    items = user_list.queries.history.items
    again = user_list.again(~np.isin(items, items[events])[None])
    return int(user_list.items[place]) not in again.items[0].tolist()


def _smallest(user_list: UserList, place: int, events: Ints) -> int | None:
    """The size of the smallest set of some events without which an item leaves, by trying all."""
    items = user_list.queries.history.items
    for size in range(1, MOST + 1):
        sets = list(combinations(events.tolist(), size))
        for start in range(0, len(sets), 512):
            some = sets[start : start + 512]
            keep = np.stack([~np.isin(items, items[list(each)]) for each in some])
            listed = user_list.again(keep).items
            if (listed != user_list.items[place]).all(1).any():
                return size
    return None


def test_every_set_drops_its_item(model: Recommender, log: Interactions) -> None:
    checked = 0
    for user in range(0, log.n_users, 12):
        user_list = UserList.of(model, Queries.from_interactions(log, np.asarray([user], np.int32)), N)
        eligible = np.ones(len(user_list.queries.history.items), np.bool_)
        for place, events in enumerate(smallest_sets(user_list, range(N), eligible)):
            if events is not None:
                checked += 1
                assert 1 <= len(events) <= MOST
                assert _leaves(user_list, place, events)
    assert checked >= 15


def test_sets_are_of_the_owner_and_eligible_and_speak_for_the_item(model: Recommender, log: Interactions) -> None:
    for user in range(0, 60, 12):
        user_list = UserList.of(model, Queries.from_interactions(log, np.asarray([user], np.int32)), N)
        eligible = np.arange(len(user_list.queries.history.items)) % 2 == 0
        added = as_fold_in(user_list.model, "a test").contributions(user_list.queries, user_list.listed.items)
        owners = user_list.owners
        for place, events in enumerate(smallest_sets(user_list, range(N), eligible)):
            if events is not None:
                assert eligible[events].all()
                assert (added[torch.from_numpy(events), place] > 0).all()
                assert (user_list.of_event[events] == owners[place]).all()


@pytest.mark.parametrize("name", ["EASE", "seats", "greedy", "attention"])
def test_sets_are_nearly_always_the_smallest(name: str, log: Interactions) -> None:
    model = _models()[name].fit(log)
    sizes: list[tuple[int | None, int | None]] = []
    for user in range(0, log.n_users, 10):
        query = Queries.from_interactions(log, np.asarray([user], np.int32))
        query = query.keep(np.arange(len(query.history.items)) < 14)  # so that all sets can be tried
        user_list = UserList.of(model, query, N)
        added = as_fold_in(user_list.model, "a test").contributions(user_list.queries, user_list.listed.items).numpy()
        found = smallest_sets(user_list, range(N), np.ones(len(query.history.items), np.bool_))
        for place, events in enumerate(found):
            own = (added[:, place] > 0) & (user_list.of_event == user_list.owners[place])
            least = _smallest(user_list, place, np.flatnonzero(own))
            sizes.append((None if events is None else len(events), least))
    assert sum(least is not None for _, least in sizes) >= 20
    # Nothing is found that is not there, and what is found is no smaller than the smallest.
    assert all(least is not None and found >= least for found, least in sizes if found is not None)
    small = [(found, least) for found, least in sizes if least is not None and least <= 2]
    larger = [(found, least) for found, least in sizes if least is not None and least > 2]
    assert np.mean([found == least for found, least in small]) >= 0.97
    assert not larger or np.mean([found == least for found, least in larger]) >= 0.7


def test_by_contributions_is_what_the_model_does(log: Interactions) -> None:
    source = np.random.default_rng(3)
    for name in ("seats", "greedy", "persona ease", "decayed"):
        model = _models()[name].fit(log)
        left = []
        for user in range(5, log.n_users, 24):
            user_list = UserList.of(model, Queries.from_interactions(log, np.asarray([user], np.int32)), N)
            listed = ContributedList(user_list)
            assert listed.is_exact
            for place in range(N):
                events = source.choice(np.flatnonzero(user_list.queries.counted), int(source.integers(1, 6)), False)
                column = np.asarray([listed.column(int(user_list.items[place]))])
                left.append(bool(listed.leave(column, [np.sort(events)])[0]))
                assert left[-1] == _leaves(user_list, place, events)
        assert 0 < np.mean(left) < 1


def test_muted_personas_stay_muted(log: Interactions) -> None:
    model = _models()["seats"].fit(log)
    assert isinstance(model, WithPersonas)
    checked = 0
    for user in range(0, log.n_users, 6):
        queries = Queries.from_interactions(log, np.asarray([user], np.int32))
        found = model.found(queries)
        if found.personas.counts[0] < 2:
            continue
        muted = np.zeros((1, found.numbers.shape[1]), np.bool_)
        muted[0, 0] = True
        silent = without_evidence(queries, model.dictionary, found.personas, muted)
        owners = model.owners(queries, found, muted=muted)
        listed = model.recommend(silent, N, slate=model.chosen_slate, owners=owners)
        read = model.read(silent)
        user_list = UserList(
            read.model, read.queries, listed, found, model.chosen_slate, muted, evidence=model.read(queries).queries
        )
        eligible = np.ones(len(queries.history.items), np.bool_)
        for place, events in enumerate(smallest_sets(user_list, range(N), eligible)):
            if events is not None:
                checked += 1
                assert (user_list.of_event[events] != 0).all()
                assert _leaves(user_list, place, events)
    assert checked >= 5


def test_removed_items_stay_seen(log: Interactions) -> None:
    model = _models()["seats"].fit(log)
    query = Queries.from_interactions(log, np.asarray([3], np.int32))
    user_list = UserList.of(model, query, N)
    keep = np.zeros((2, len(query.history.items)), np.bool_)
    keep[1, ::2] = True
    assert not np.isin(user_list.again(keep).items, query.history.items).any()
    both = np.ones((1, len(query.history.items)), np.bool_)
    assert user_list.again(both).items.tolist() == user_list.listed.items.tolist()


def test_a_repeated_item_goes_with_all_of_its_events(log: Interactions) -> None:
    model = _models()["EASE"].fit(log)
    query = Queries.from_interactions(log, np.asarray([3], np.int32))
    twice = replace(
        query,
        history=Ragged(query.history.indptr * 2, np.tile(query.history.items, 2)),
        values=np.tile(query.values, 2),
        times=np.arange(2 * len(query.times)),
        kinds=None,
    )
    user_list = UserList.of(model, twice, N)
    found = smallest_sets(user_list, range(N), np.ones(len(twice.values), np.bool_))
    assert any(events is not None for events in found)
    for place, events in enumerate(found):
        assert events is None or _leaves(user_list, place, events)


def test_short_lists_have_no_reason(log: Interactions) -> None:
    model = _models()["seats"].fit(log)
    query = Queries.from_interactions(log, np.asarray([3], np.int32))
    all_but_three = Ragged.of([np.setdiff1d(np.arange(log.n_items), [1, 5, 9])])
    user_list = UserList.of(model, replace(query, exclude=all_but_three), N)
    assert (user_list.items == UNKNOWN).sum() == 3
    assert smallest_sets(user_list, range(3), np.ones(len(query.values), np.bool_)) == [None] * 3


@pytest.mark.skipif("RECSYS_DATA" not in os.environ, reason="needs real logs")
def test_every_set_drops_its_item_on_a_real_log() -> None:
    log = datasets.load("ml-100k")
    for model in (WithPersonas(EASE(300.0)), Decayed(EASE(300.0), GlobalHalfLife(50.0))):
        model.fit(log)
        checked = 0
        for user in range(0, log.n_users, 150):
            user_list = UserList.of(model, Queries.from_interactions(log, np.asarray([user], np.int32)), 10)
            eligible = np.ones(len(user_list.queries.values), np.bool_)
            for place, events in enumerate(smallest_sets(user_list, range(10), eligible)):
                if events is not None:
                    checked += 1
                    assert _leaves(user_list, place, events)
        assert checked >= 25
