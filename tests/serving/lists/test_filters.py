"""Lists under filters: what passes, who owns it, and that the seats are shared among what passes."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.events.addresses import open_store
from recsys.models import EASE, WithPersonas
from recsys.serving.answers import UnknownError
from recsys.serving.filters import Filters
from recsys.serving.records import HistoryEvent
from recsys.serving.run_answers import RunAnswers
from recsys.serving.users.state import excluding
from recsys.worlds.simulation import simulated_log
from tests.serving.persona_answers import answers_of, control, seats


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=120, n_items=120, events_per_user=36)


@pytest.fixture(scope="module")
def model(log: Interactions) -> WithPersonas:
    return WithPersonas(EASE(20.0)).fit(log)


@pytest.fixture
def answers(model: WithPersonas, log: Interactions) -> RunAnswers:
    return answers_of(model, log, open_store("memory:"))


def test_only_items_of_some_genres_and_years_are_listed(answers: RunAnswers) -> None:
    plain = answers.recommend("3", 10, None, ())
    genre = plain.items[-1].genres[0]
    years = sorted(item.year for item in plain.items if item.year is not None)
    of_genre = answers.recommend("3", 10, None, (), filters=Filters(genres=(genre.upper(),)))
    assert of_genre.items
    assert all(genre in item.genres for item in of_genre.items)
    low, high = years[3], years[-3]
    of_years = answers.recommend("3", 10, None, (), filters=Filters(from_year=low, to_year=high))
    assert all(item.year is not None and low <= item.year <= high for item in of_years.items)
    both = answers.recommend("3", 120, None, (), filters=Filters(genres=(genre,), to_year=high))
    assert all(genre in item.genres and item.year is not None and item.year <= high for item in both.items)
    assert answers.recommend("3", 10, None, (), filters=Filters(from_year=high, to_year=low - 1)).items == ()
    assert answers.recommend("3", 10, None, ()) == plain  # the user's cached list is as it was


def test_filters_act_before_the_slate_as_exclusion_does(model: WithPersonas, log: Interactions) -> None:
    answers = answers_of(model, log, open_store("memory:"))
    metadata = model.fitted_on.metadata
    genre = metadata.genres[0][0]
    without = np.flatnonzero([genre not in row for row in metadata.genres]).astype(np.int32)
    now = np.asarray([int(log.time.max()) + 86_400])
    for user in range(6):
        queries = excluding(Queries.from_interactions(log, np.asarray([user], np.int32)).at(now), without)
        wanted = model.fitted_on.items.ids[model.recommend(queries, 5).items[0]].tolist()
        found = answers.recommend(str(user + 1), 5, None, (), filters=Filters(genres=(genre,)))
        excluded = tuple(str(model.fitted_on.items.id_of(int(item))) for item in without)
        assert [one.item_id for one in found.items] == [
            one.item_id for one in answers.recommend(str(user + 1), 5, None, excluded).items
        ]
        assert len(set(wanted) & {int(one.item_id) for one in found.items}) >= 4  # personas may be some events old


def test_a_persona_has_the_whole_list_and_all_that_it_owns(answers: RunAnswers) -> None:
    every = answers.recommend("3", 120, None, ())
    owned = seats(every)
    assert len([owner for owner in owned if owner is not None]) > 1
    for persona, count in owned.items():
        if persona is None:
            continue
        found = answers.recommend("3", 120, None, (), filters=Filters(persona=persona))
        assert seats(found) == {persona: count}
        assert {one.item_id for one in found.items} == {one.item_id for one in every.items if one.owner == persona}
        short = answers.recommend("3", 5, None, (), filters=Filters(persona=persona))
        assert [one.owner for one in short.items] == [persona] * min(5, count)


def test_what_cannot_be_filtered_by_is_named(model: WithPersonas, log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(model, log, store)
    known = sorted({genre for row in model.fitted_on.metadata.genres for genre in row})
    with pytest.raises(UnknownError, match=f"there is no genre 'Polka'.*{known[0]}"):
        answers.recommend("3", 10, None, (), filters=Filters(genres=(known[1], "Polka")))
    own = [one.persona for one in answers.personas("3", None).personas]
    with pytest.raises(UnknownError, match=f"there is no persona 255 of this user; there are {min(own)}"):
        answers.recommend("3", 10, None, (), filters=Filters(persona=255))
    control(answers, store, "3", {own[0]: 0.0})
    with pytest.raises(UnknownError, match="it is muted; unmute it"):
        answers.recommend("3", 10, None, (), filters=Filters(persona=own[0]))
    others = answers.recommend("3", 10, None, (), filters=Filters(persona=own[1]))
    assert {one.owner for one in others.items} == {own[1]}
    plain = EASE(20.0).fit(log)
    with pytest.raises(CapabilityError, match="serve a model with found personas"):
        RunAnswers(plain, "model", log, store, clock=lambda: 2e9).recommend(
            "3", 5, None, (), filters=Filters(persona=1)
        )


def test_filters_hold_for_somebody_with_a_history_in_the_request(answers: RunAnswers) -> None:
    history = [HistoryEvent(item) for item in ("1", "2", "3", "50", "51", "52")]
    genre = answers.recommend_for(history, 5, None, ()).items[0].genres[0]
    found = answers.recommend_for(history, 5, None, (), filters=Filters(genres=(genre,)))
    assert len(found.items) == 5
    assert all(genre in item.genres for item in found.items)


def test_reasons_of_a_filtered_list_are_searched_with_it_or_not_at_all(answers: RunAnswers) -> None:
    filters = Filters(from_year=1)
    assert answers.recommend("3", 10, None, (), details="ready", filters=filters).reasons == "unsearched"
    assert answers.recommend("3", 10, None, (), filters=filters).reasons == "searched"
    assert answers.recommend("3", 10, None, (), details="ready").reasons == "pending"
