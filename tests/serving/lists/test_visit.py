"""The shelf of the present visit: what it lists, what it never lists, and when it is gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import PAUSE
from recsys.decay import ShortTerm
from recsys.errors import CapabilityError
from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from recsys.models import AMPCF, EASE, Decayed, LinearNextItem, SequentialAMPCF, WithPersonas
from recsys.models.base import Recommender
from recsys.serving.filters import Filters
from recsys.serving.records import RecommendationList
from recsys.serving.run_answers import RunAnswers
from recsys.training.trainable import Optimization
from recsys.worlds.simulation import simulated_log
from tests.serving.persona_answers import answers_of, control, used

USER = "3"
_SHORT = Optimization(1, 16, 0.01)


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=120, n_items=120, events_per_user=36)


@pytest.fixture(scope="module")
def model(log: Interactions) -> WithPersonas:
    return WithPersonas(Decayed(EASE(20.0))).fit(log)


@pytest.fixture
def store() -> EventStore:
    return open_store("memory:")


@pytest.fixture
def answers(model: WithPersonas, log: Interactions, store: EventStore) -> RunAnswers:
    return answers_of(model, log, store)


def now_of(log: Interactions) -> int:
    return int(log.time.max()) + 86_400


def ids(found: RecommendationList) -> list[str]:
    return [str(one.item_id) for one in found.items]


def visit(answers: RunAnswers, log: Interactions, store: EventStore, count: int = 2) -> list[str]:
    """Let the user use the first items of the list, a few minutes ago; return them."""
    items = ids(answers.recommend(USER, 10, None, ()))[:count]
    store.append(used(USER, items, now_of(log) - 600))
    return items


def test_it_lists_what_goes_with_the_visit_and_nothing_of_the_list(
    answers: RunAnswers, log: Interactions, store: EventStore
) -> None:
    assert answers.recommend_now(USER, 10, None, ()).items == ()  # a day after the last event
    items = visit(answers, log, store)
    main, shelf = answers.recommend(USER, 10, None, ()), answers.recommend_now(USER, 10, None, ())
    assert shelf.items
    assert not set(ids(main)) & set(ids(shelf))
    assert set(items).isdisjoint(ids(shelf))
    assert shelf.reasons == "unsearched"
    # The evidence is of the visit alone.
    assert {event.item_id for one in shelf.items for event in one.evidence} <= set(items)
    model = EASE(20.0).fit(log)
    numbers = log.items.numbers(items)
    alone = Queries.from_history([numbers], times=[np.arange(2)], now=[2])
    weighed = alone.with_weights(np.asarray([2 ** (-1 / 3), 1.0], np.float32))
    seen = np.union1d(log.item_num[log.history_slice(int(log.users.numbers([int(USER)])[0]))], numbers)
    others = np.union1d(seen, log.items.numbers(ids(main))).astype(np.int32)
    expected = model.recommend(replace(weighed, exclude=Ragged.of([others])), 10)
    listed = [str(log.items.id_of(int(item))) for item in expected.items[0]]
    assert ids(shelf) == listed[: len(shelf.items)]


def test_it_is_gone_when_the_visit_is_over_and_the_old_taste_is_back(
    answers: RunAnswers, log: Interactions, store: EventStore
) -> None:
    before = ids(answers.recommend(USER, 10, None, ()))
    visit(answers, log, store)
    newest = now_of(log) - 600 + 60
    assert answers.recommend_now(USER, 5, newest + PAUSE - 1, ()).items
    assert answers.recommend_now(USER, 5, newest + PAUSE, ()).items == ()
    assert answers.recommend_now(USER, 5, newest - 60, ()).items == ()  # before the first event of the visit
    later = ids(answers.recommend(USER, 10, newest + 300 * 86_400, ()))
    assert len(set(later) & set(before)) >= 6


def test_filters_and_exclusions_hold_for_it_too(answers: RunAnswers, log: Interactions, store: EventStore) -> None:
    visit(answers, log, store)
    shelf = answers.recommend_now(USER, 10, None, ())
    assert ids(shelf)[0] not in ids(answers.recommend_now(USER, 10, None, ids(shelf)[:1]))
    genre = shelf.items[0].genres[0]
    filters = Filters(genres=(genre,))
    of_genre = answers.recommend_now(USER, 10, None, (), filters)
    assert of_genre.items
    assert all(genre in one.genres for one in of_genre.items)
    assert not set(ids(of_genre)) & set(ids(answers.recommend(USER, 10, None, (), filters=filters)))
    with pytest.raises(CapabilityError, match="leave out persona"):
        answers.recommend_now(USER, 10, None, (), Filters(persona=1))


def test_what_is_muted_neither_counts_nor_is_listed(answers: RunAnswers, log: Interactions, store: EventStore) -> None:
    listed = answers.recommend(USER, 10, None, ())
    owners = {one.owner for one in listed.items if one.owner is not None}
    assert len(owners) > 1
    chosen = [next(one for one in listed.items if one.owner == owner) for owner in sorted(owners)[:2]]
    store.append(used(USER, [str(one.item_id) for one in chosen], now_of(log) - 600))
    every = answers.recommend(USER, 120, None, ())
    mute = chosen[0].owner
    assert mute is not None
    control(answers, store, USER, {mute: 0.0})
    shelf = answers.recommend_now(USER, 10, None, ())
    evidence = {event.item_id for one in shelf.items for event in one.evidence}
    assert evidence <= {chosen[1].item_id}
    owner = {one.item_id: one.owner for one in every.items}
    assert mute not in {owner.get(item) for item in ids(shelf)}
    control(answers, store, USER, dict.fromkeys({one.persona for one in answers.personas(USER, None).personas}, 0.0))
    assert answers.recommend_now(USER, 10, None, ()).items == ()


@pytest.mark.parametrize(
    "unfitted",
    [
        EASE(20.0),
        Decayed(EASE(20.0)),
        LinearNextItem((1.0, 3.0)),
        SequentialAMPCF(embedding_size=8, expert=None, optimization=_SHORT),
        Decayed(AMPCF(users="history", embedding_size=8, optimization=_SHORT)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_model_that_folds_in_has_it(unfitted: Recommender, log: Interactions, store: EventStore) -> None:
    answers = RunAnswers(unfitted.fit(log), "model", log, store, clock=lambda: float(now_of(log)))
    items = visit(answers, log, store)
    shelf = answers.recommend_now(USER, 5, None, ())
    assert shelf.items
    assert {event.item_id for one in shelf.items for event in one.evidence} <= set(items)
    assert not set(ids(answers.recommend(USER, 5, None, ()))) & set(ids(shelf))


def test_another_model_says_that_it_has_none(log: Interactions, store: EventStore) -> None:
    model = AMPCF(users="embedding", embedding_size=4, optimization=_SHORT).fit(log)
    answers = RunAnswers(model, "model", log, store, clock=lambda: 2e9)
    with pytest.raises(CapabilityError, match="present visit"):
        answers.recommend_now(USER, 5, None, ())


def test_a_visit_of_dislikes_has_nothing_like_it(answers: RunAnswers, log: Interactions, store: EventStore) -> None:
    store.append(used(USER, ids(answers.recommend(USER, 10, None, ()))[:2], now_of(log) - 600, "dislike"))
    assert answers.recommend_now(USER, 10, None, ()).items == ()


def test_the_rule_is_that_of_the_decay_package() -> None:
    queries = Queries.from_history([[1, 2, 3]], times=[[0, PAUSE, PAUSE + 5]], now=[PAUSE + 9])
    visit = ShortTerm(half_life=1.0).visit(queries)
    assert visit.history.items.tolist() == [2, 3]
    assert visit.weights is not None
    assert visit.weights.tolist() == [0.5, 1.0]
    assert visit.users.tolist() == [-1]
    assert visit.excluded.items.tolist() == [1, 2, 3]
