from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.explanations import describe_personas, user_persona_health
from recsys.explanations.naming import genre_lift, names
from tests.explanations.explanation_models import CountPopularity, LearnedTastes, TastesFromHistory, movie_log


def test_a_user_of_two_tastes_gets_two_named_personas() -> None:
    model = TastesFromHistory().fit(movie_log())
    ((crime, comedy),) = describe_personas(model, Queries.from_history([[0, 1, 2, 4]]))
    assert (crime.name, comedy.name) == ("Crime & Thriller", "Comedy")
    assert crime.share + comedy.share == pytest.approx(1.0)
    assert crime.share == pytest.approx(0.75, abs=0.01)
    # Crime 1 has twice the norm, so that the persona gives it the most; comedies are not crime's own.
    assert [item.title for item in crime.items] == ["Crime 1", "Crime 2", "Crime 0"]
    assert [item.title for item in comedy.items] == ["Comedy 4"]
    assert [item.title for item in comedy.recommended] == ["Comedy 7", "Comedy 5", "Comedy 6"]
    assert [item.title for item in crime.recommended] == ["Crime 3"]


def test_lift_is_against_the_users_own_history_or_the_catalogue() -> None:
    model = TastesFromHistory().fit(movie_log())
    ((crime, comedy),) = describe_personas(model, Queries.from_history([[0, 1, 2, 4]]))
    of_crime, of_comedy = ({entry.genre: entry for entry in persona.genres} for persona in (crime, comedy))
    assert of_crime["Crime"].share == pytest.approx(1.0, abs=0.02)
    # Crime speaks for most of the history, hence against the catalogue's .5: (3 + .5) / (4 * .5).
    assert of_crime["Crime"].lift == pytest.approx(1.75, abs=0.02)
    assert of_crime["Comedy"].lift < 0.5
    # Comedy: against the history's .25, (1 + .25) / (2 * .25).
    assert of_comedy["Comedy"].lift == pytest.approx(2.5, abs=0.05)


def test_names_come_from_titles_without_genres_and_from_numbers_without_history() -> None:
    log = movie_log()
    bare = replace(log, metadata=ItemMetadata(log.metadata.titles, ((),) * 8))
    model = TastesFromHistory().fit(bare)
    described = describe_personas(model, Queries.from_history([[0, 4], []]))
    assert [persona.name for persona in described[0]] == ["like 'Crime 0'", "like 'Comedy 4'"]
    assert described[0][0].phrase == "titles like 'Crime 0'"
    assert [persona.name for persona in described[1]] == ["persona 0", "persona 1"]
    assert [persona.share for persona in described[1]] == [0.5, 0.5]
    assert described[0][0].genres == ()


def test_a_dead_persona_has_no_items_and_genres() -> None:
    model = TastesFromHistory().fit(movie_log())
    ((crime, dead),) = describe_personas(model, Queries.from_history([[1, 2]]))
    assert (crime.name, len(crime.items)) == ("Crime & Thriller", 1)
    assert (dead.name, dead.items, dead.genres) == ("persona 1", (), ())
    assert dead.share < 0.05


def test_decayed_events_count_less_in_the_share() -> None:
    model = TastesFromHistory().fit(movie_log())
    queries = Queries.from_history([[1, 7]])
    ((crime, _),) = describe_personas(model, queries.with_weights(np.array([0.5, 1.0], np.float32)))
    assert crime.share == pytest.approx(1 / 3, abs=0.01)


def test_descriptions_become_json() -> None:
    model = TastesFromHistory().fit(movie_log())
    ((first, _),) = describe_personas(model, Queries.from_history([[0, 4]]))
    plain = json.loads(json.dumps(first.to_dict()))
    assert set(plain) == {"persona", "name", "share", "items", "genres", "recommended", "often"}
    assert set(plain["items"][0]) == {"item_id", "title", "weight"}
    assert set(plain["genres"][0]) == {"genre", "share", "lift"}


def test_health_of_balanced_one_sided_and_new_users() -> None:
    model = TastesFromHistory().fit(movie_log())
    balanced, one_sided, new = user_persona_health(model, Queries.from_history([[1, 7], [1, 0], []]))
    assert balanced.effective == pytest.approx(2.0, abs=0.01)
    assert balanced.mean_cosine == pytest.approx(0.0, abs=1e-6)
    assert balanced.dead == 0.0
    assert one_sided.effective == pytest.approx(1.0, abs=0.05)
    assert one_sided.dead == 0.5
    assert new.effective == pytest.approx(1.0)


def test_models_without_personas_and_unknown_users_are_refused() -> None:
    queries = Queries.from_history([[0]])
    with pytest.raises(CapabilityError, match="CountPopularity has no personas"):
        describe_personas(CountPopularity().fit(movie_log()), queries)
    with pytest.raises(CapabilityError, match="users='history'"):
        user_persona_health(LearnedTastes().fit(movie_log()), queries)


def test_lift_by_hand() -> None:
    share, lift = genre_lift(np.array([[2.0, 0.0]]), np.array([4.0]), np.array([[0.25, 0.0]]))
    np.testing.assert_allclose(share, [[0.5, 0.0]])
    np.testing.assert_allclose(lift, [[(2 + 0.25) / (5 * 0.25), 1.0]])


@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_names_are_distinct_whatever_the_personas(personas: int, genres: int, titles: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    share = rng.random((personas, genres)).round(1)
    lift = rng.choice([0.5, 1.0, 2.0], (personas, genres))
    words = [[f"T{rng.integers(3)}" for _ in range(titles)] for _ in range(personas)]
    given_names = names([f"G{n}" for n in range(genres)], share, lift, words, list(range(personas)))
    assert len({name for name, _ in given_names}) == personas
