"""Lists with muted and boosted personas, by name and number, and their shelves."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError
from recsys.experiments.controls import BOOSTED, Controls, list_of, number_of, shelves_of
from recsys.models import EASE, WithPersonas
from recsys.slates import Seats
from recsys.worlds.simulation import simulated_log

LOG = simulated_log(5, n_users=200, n_items=150, events_per_user=40)
N = 10


@pytest.fixture(scope="module")
def model() -> WithPersonas:
    return WithPersonas(EASE(50.0), slate=Seats(0.2, 0.1)).fit(LOG)


@pytest.fixture(scope="module")
def asked(model: WithPersonas) -> Queries:
    """A user of several personas."""
    queries = Queries.from_interactions(LOG)
    return queries.take(np.asarray([int(model.found(queries).personas.counts.argmax())]))


def test_a_list_without_controls_is_that_of_the_model(model: WithPersonas, asked: Queries) -> None:
    made = list_of(model, asked, N)
    assert made.items.tolist() == model.recommend(asked, N).items[0].tolist()
    shelves = shelves_of(made)
    assert sum(shelf["seats"] for shelf in shelves) == N
    assert sum(shelf["share"] for shelf in shelves) == pytest.approx(1.0)
    assert made.found is not None
    assert {shelf["persona"] for shelf in shelves} - {None} == set(made.found.numbers[0].tolist()) - {UNKNOWN}
    owners = made.listed.owners
    assert owners is not None
    first = dict.fromkeys(made.found.numbers[0, place] for place in owners[0].tolist() if place != UNKNOWN)
    assert [shelf["persona"] for shelf in shelves if shelf["seats"] and shelf["persona"] is not None] == list(first)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_muted_persona_has_no_item_and_no_evidence(model: WithPersonas, asked: Queries, by_name: bool) -> None:
    shelf = shelves_of(list_of(model, asked, N))[0]
    wanted = shelf["name"].upper() if by_name else str(shelf["persona"])
    made = list_of(model, asked, N, Controls(mute=(wanted,)))
    muted = next(one for one in shelves_of(made) if one["persona"] == shelf["persona"])
    assert (muted["seats"], muted["muted"], muted["weight"]) == (0, True, 0.0)
    assert muted["share"] == pytest.approx(shelf["share"])
    assert made.muted is not None
    silent = made.muted[0, np.maximum(made.of_event, 0)] & (made.of_event != UNKNOWN)
    assert silent.any()
    weights = made.queries.weights
    assert weights is not None
    assert not weights[silent].any()
    assert weights[~silent].all()


def test_a_boosted_persona_has_more_seats(model: WithPersonas, asked: Queries) -> None:
    plain = {shelf["persona"]: shelf["seats"] for shelf in shelves_of(list_of(model, asked, N))}
    number = min((one for one in plain if one is not None), key=lambda one: (plain[one], one))
    boosted = next(
        s for s in shelves_of(list_of(model, asked, N, Controls(boost=(str(number),)))) if s["persona"] == number
    )
    assert boosted["weight"] == BOOSTED
    assert boosted["seats"] >= max(1, 2 * plain[number])


def test_who_is_no_persona_is_refused_with_those_that_there_are(model: WithPersonas, asked: Queries) -> None:
    shelves = shelves_of(list_of(model, asked, N))
    names = {shelf["persona"]: shelf["name"] for shelf in shelves if shelf["persona"] is not None}
    name = next(iter(names.values()))
    with pytest.raises(ConfigError, match="did you mean"):
        number_of(names, f"{name}x")
    with pytest.raises(ConfigError, match=r"'9999' is no persona of this user; there are .*\(\d+\)"):
        number_of(names, "9999")
    with pytest.raises(ConfigError, match="is muted and boosted"):
        list_of(model, asked, N, Controls(mute=(name,), boost=(name,)))
    with pytest.raises(ConfigError, match="who has none"):
        list_of(model, Queries.from_history([[]]), N, Controls(mute=("Comedy",)))
    with pytest.raises(CapabilityError, match="EASE finds no personas in the history"):
        list_of(EASE(50.0).fit(LOG), asked, N, Controls(boost=("Comedy",)))
    assert shelves_of(list_of(EASE(50.0).fit(LOG), asked, N)) == []
