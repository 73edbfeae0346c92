"""Descriptions of found personas: shares, own items, genres, recommendations, activity."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.explanations import describe_personas
from recsys.explanations.activity import persona_activity
from recsys.explanations.deeds import may_be_reasons
from recsys.explanations.found import describe_found, memberships_of_found, names_of_found
from recsys.models import EASE, Decayed, WithPersonas
from recsys.worlds.simulation import simulated_log

LOG = simulated_log(6, n_users=150, n_items=120, events_per_user=40)


@pytest.fixture(scope="module")
def model() -> WithPersonas:
    return WithPersonas(EASE(50.0)).fit(LOG)


def test_every_persona_is_described_under_its_number_the_largest_first(model: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG, np.arange(12, dtype=np.int32))
    found = model.found(queries)
    names = names_of_found(model, queries, found)
    for row, described in enumerate(describe_personas(model, queries)):
        numbers = [one.persona for one in described]
        assert sorted(numbers) == sorted(set(found.numbers[row].tolist()) - {UNKNOWN})
        assert sum(one.share for one in described) == pytest.approx(1.0)
        assert [one.share for one in described] == sorted((one.share for one in described), reverse=True)
        own = {number: name.text for number, name in zip(found.numbers[row].tolist(), names[row], strict=True) if name}
        assert [one.name for one in described] == [own[number] for number in numbers]
    users = [describe_found(model, queries.take(np.asarray([row])))[0] for row in range(12)]
    assert users == describe_found(model, queries)  # whoever else is asked about


def test_items_are_the_personas_own_and_those_that_were_liked_come_first(model: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG, np.asarray([3], np.int32))
    found, (described,) = model.found(queries), describe_found(model, queries)
    ids = LOG.items.ids[queries.history.items].tolist()
    of_event = found.personas.of_events(model.dictionary, queries)
    liked = {one for one, good in zip(ids, may_be_reasons(queries).tolist(), strict=True) if good}
    assert 0 < len(liked) < len(set(ids))
    for persona in described:
        place = found.numbers[0].tolist().index(persona.persona)
        own = {one for one, of in zip(ids, of_event.tolist(), strict=True) if of == place}
        shown = [item.item_id for item in persona.items]
        assert set(shown) <= own
        assert [one in liked for one in shown] == sorted((one in liked for one in shown), reverse=True)
        if len(own & liked) >= len(shown):
            assert set(shown) <= liked
        assert all(genre.lift > 1 for genre in persona.genres)


def test_recommendations_are_those_whose_seat_the_persona_owns(model: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG, np.asarray([4], np.int32))
    listed = model.recommend(queries, 10)
    assert listed.owners is not None
    found, (described,) = model.found(queries), describe_found(model, queries, listed=listed, top=10)
    owned = {one.persona: [item.item_id for item in one.recommended] for one in described}
    for place, number in enumerate(found.numbers[0].tolist()):
        if number != UNKNOWN:
            assert owned[number] == LOG.items.ids[listed.items[0][listed.owners[0] == place]].tolist()


@pytest.mark.parametrize("half_life", [None, 2.0])
def test_activity_is_the_share_of_what_the_history_weighs(half_life: float | None) -> None:
    base = EASE(50.0) if half_life is None else Decayed(EASE(50.0), GlobalHalfLife(half_life))
    model = WithPersonas(base).fit(LOG)
    queries = Queries.from_interactions(LOG, np.asarray([5], np.int32))
    (described,), (activity,) = describe_found(model, queries), persona_activity(model, queries)
    assert activity.values.shape == (len(activity.times), len(described))
    np.testing.assert_allclose(activity.values.sum(1), 1.0)
    np.testing.assert_allclose(activity.long_term, [one.share for one in described])
    weights = model.read(queries).queries.weights
    member = memberships_of_found(model, queries, model.found(queries))
    mass = member.T @ (np.ones(len(member)) if weights is None else weights)
    np.testing.assert_allclose(activity.now, mass / mass.sum(), rtol=1e-6)
    assert np.allclose(activity.now, activity.long_term) == (half_life is None)
