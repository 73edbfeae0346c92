from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.fixed import GlobalHalfLife
from recsys.errors import CapabilityError, ConfigError
from recsys.models import AMPCF, EASE, IALS, Decayed, ItemKNN, LinearNextItem, Popularity
from recsys.models.base import Recommender
from recsys.models.personas.clusters import Personas, find_personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.ownership import PersonaOwners, ownership, without_evidence
from recsys.slates import Greedy, Pool, Seats
from recsys.training.trainable import Optimization
from recsys.types import Floats
from recsys.worlds.simulation import World

MODELS: dict[str, Recommender] = {
    "EASE": EASE(50.0),
    "ItemKNN": ItemKNN(),
    "IALS": IALS(16, iterations=3),
    "LinearNextItem": LinearNextItem(),
    "AMPCF": AMPCF(users="history", optimization=Optimization(epochs=1)),
    "Decayed": Decayed(EASE(50.0), GlobalHalfLife(20.0, clock="events")),
}


@pytest.fixture(scope="module")
def ease(world: World) -> Recommender:
    return EASE(50.0).fit(world.log)


@pytest.mark.parametrize("name", MODELS)
def test_owner_has_the_largest_sum_of_contributions_for_its_share_and_resembles_the_item(
    name: str, world: World, dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    model = MODELS[name].fit(world.log)
    rows = np.arange(12)
    few, own = queries.take(rows), personas.take(rows)
    items = model.recommend(few, 5).items
    found = ownership(model, few, items, dictionary, own)
    of_event = own.of_events(dictionary, few)
    with torch.inference_mode():
        each = model.contributions(few, items).double().numpy()  # type: ignore[attr-defined]
    for row in range(12):
        mine = few.history.rows == row
        sums = np.stack([each[mine & (of_event == k)].sum(0) for k in range(6)])
        np.testing.assert_allclose(found.scores[row], sums, rtol=1e-4, atol=1e-7)
        alike = own.centres[row] @ dictionary.vectors[items[row]].T
        voice = np.maximum(sums, 0) / np.sqrt(np.maximum(found.shares[row], 1e-12))[:, None] * np.exp(2 * alike)
        np.testing.assert_array_equal(found.owner[row], np.where(voice.max(0) > 0, voice.argmax(0), UNKNOWN))
    np.testing.assert_allclose(found.shares.sum(1), 1.0)
    assert ((found.evidence >= 0) & (found.evidence <= 1 + 1e-9)).all()


def test_shares_follow_decay_and_personas_do_not(
    world: World, dictionary: TasteDictionary, queries: Queries, personas: Personas, ease: Recommender
) -> None:
    decayed = Decayed(EASE(50.0), GlobalHalfLife(3.0, clock="events")).fit(world.log)
    items = ease.recommend(queries, 3).items
    still, moving = (ownership(model, queries, items, dictionary, personas) for model in (ease, decayed))
    np.testing.assert_allclose(still.shares, personas.shares)
    assert np.abs(moving.shares - personas.shares).max() > 0.1


def test_a_model_that_cannot_fold_in_is_refused(
    world: World, dictionary: TasteDictionary, queries: Queries, personas: Personas
) -> None:
    with pytest.raises(CapabilityError, match="ownership by personas"):
        PersonaOwners(Popularity().fit(world.log), queries, dictionary, personas)


def test_lists_name_the_owner_of_every_seat(
    dictionary: TasteDictionary, queries: Queries, personas: Personas, ease: Recommender
) -> None:
    owners = PersonaOwners(ease, queries, dictionary, personas)
    listed = ease.recommend(queries, 10, slate=Seats(), owners=owners, batch_size=60)
    assert listed.owners is not None
    np.testing.assert_array_equal(listed.owners, ownership(ease, queries, listed.items, dictionary, personas).owner)
    plain = ease.recommend(queries, 10)
    assert plain.owners is None
    greedy = ease.recommend(queries, 10, slate=Greedy(), owners=owners)
    np.testing.assert_array_equal(greedy.items, plain.items)
    np.testing.assert_array_equal(ease.recommend(queries, 10, slate=Seats(0.0, 0.0), owners=owners).items, plain.items)
    with pytest.raises(ConfigError, match="needs owners"):
        ease.recommend(queries, 10, slate=Seats())


def test_seats_follow_shares(
    dictionary: TasteDictionary, queries: Queries, personas: Personas, ease: Recommender
) -> None:
    owners = PersonaOwners(ease, queries, dictionary, personas)

    def distance(weight: float) -> float:
        listed = ease.recommend(queries, 10, slate=Seats(weight, 0.0), owners=owners).owners
        assert listed is not None
        seats = (listed[:, :, None] == np.arange(6)).mean(1)
        return float(np.abs(seats - personas.shares).sum(1).mean())

    assert distance(1.0) < distance(0.3) < distance(0.0)
    assert distance(1.0) < 0.4


def test_a_muted_persona_has_neither_items_nor_evidence(
    dictionary: TasteDictionary, queries: Queries, personas: Personas, ease: Recommender
) -> None:
    muted = np.zeros(personas.mass.shape, np.bool_)
    muted[personas.counts > 1, 0] = True
    silent = without_evidence(queries, dictionary, personas, muted)
    of_event = personas.of_events(dictionary, queries)
    assert silent.weights is not None
    assert not silent.weights[muted[queries.history.rows, of_event]].any()
    owners = PersonaOwners(ease, queries, dictionary, personas, muted=muted)
    listed = ease.recommend(silent, 10, slate=Seats(size=20), owners=owners)
    assert (listed.items != UNKNOWN).all()
    owned = ownership(ease, queries, listed.items, dictionary, personas).owner
    assert not ((owned == 0) & muted[:, :1]).any()
    contributions = ease.contributions(silent, listed.items).numpy()  # type: ignore[attr-defined]
    assert not contributions[muted[queries.history.rows, of_event]].any()


def test_a_boosted_persona_has_twice_its_seats(
    dictionary: TasteDictionary, queries: Queries, personas: Personas, ease: Recommender
) -> None:
    boosted = np.zeros(personas.mass.shape, np.bool_)
    boosted[personas.counts > 1, 1] = True

    def seats(owners: PersonaOwners) -> np.ndarray:
        listed = ease.recommend(queries, 10, slate=Seats(), owners=owners).owners
        assert listed is not None
        return np.asarray((listed == 1).sum(1))

    before = seats(PersonaOwners(ease, queries, dictionary, personas))
    after = seats(PersonaOwners(ease, queries, dictionary, personas, boosted=boosted))
    several = personas.counts > 1
    np.testing.assert_array_equal(after[~several], before[~several])
    assert (after[several] >= np.minimum(10, np.maximum(1, 2 * before[several]))).mean() > 0.9


def test_no_query(dictionary: TasteDictionary, personas: Personas, ease: Recommender) -> None:
    none = Queries.from_history([])
    found = ownership(ease, none, np.zeros((0, 3), np.int32), dictionary, personas.take(np.zeros(0, np.int64)))
    assert found.owner.shape == (0, 3)


@pytest.mark.parametrize("name", ["EASE", "ItemKNN"])
def test_a_user_without_history_gets_the_plain_list(name: str, world: World, dictionary: TasteDictionary) -> None:
    model = MODELS[name].unfitted().fit(world.log)
    queries = Queries.from_history([[], [0, 1, 2, 3]])
    owners = PersonaOwners(model, queries, dictionary, find_personas(dictionary, queries))
    listed = model.recommend(queries, 8, slate=Seats(), owners=owners)
    assert listed.owners is not None
    np.testing.assert_array_equal(listed.items[0], model.recommend(queries, 8).items[0])
    assert (listed.owners[0] == UNKNOWN).all()
    assert (listed.owners[1] != UNKNOWN).any()


def test_owners_of_one_user_alone_are_those_among_others_to_the_last_bit(
    ease: Recommender, queries: Queries, dictionary: TasteDictionary, personas: Personas
) -> None:
    """Of a single query the seating takes shorter ways; an answer of the service must be that of an evaluation."""
    weights = np.random.default_rng(0).random(len(queries.history.items)).astype(np.float32)
    weighted = queries.with_weights(weights)
    items = ease.recommend(weighted, 40, slate=Greedy()).items
    among = PersonaOwners(ease, weighted, dictionary, personas).seating(np.arange(len(queries)), items)
    for row in range(30):
        rows = np.asarray([row])
        alone = PersonaOwners(ease, weighted.take(rows), dictionary, personas.take(rows))
        found = alone.seating(np.zeros(1, np.int64), items[rows])
        np.testing.assert_array_equal(found.owner[0], among.owner[row])
        np.testing.assert_array_equal(found.shares[0], among.shares[row])
        assert found.content is not None
        assert among.content is not None
        np.testing.assert_array_equal(found.content.shares[0], among.content.shares[row])
        assert Seats().choose(Pool(items[rows], _scores(40), found), 10).tolist() == (
            Seats().choose(Pool(items, np.repeat(_scores(40), len(items), 0), among), 10)[[row]].tolist()
        )


def _scores(n: int) -> Floats:
    return np.linspace(1.0, 0.0, n, dtype=np.float32)[None]
