"""WithPersonas: lists with seats, attention in the score, controls, validation's choices, names that continue."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import recsys
from recsys.bundles import bundle
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError
from recsys.evaluation.holdout import validator
from recsys.models import BPR, EASE, IALS, Decayed, ItemKNN, Recommender, WithPersonas
from recsys.models.personas.choice import FLOOR, SHARPNESS, SLATES, UNCHOSEN
from recsys.models.personas.clusters import PersonaSettings
from recsys.models.personas.ownership import without_evidence
from recsys.slates import Greedy, Seats
from recsys.worlds.simulation import simulated_log

LOG = simulated_log(n_users=120, n_items=150, seed=3)


@pytest.fixture(scope="module")
def seated() -> WithPersonas:
    return WithPersonas(EASE(20.0)).fit(LOG)


@pytest.fixture(scope="module")
def attentive() -> WithPersonas:
    return WithPersonas(EASE(20.0), sharpness=2.0).fit(LOG)


def test_lists_are_made_by_its_slate_and_owned(seated: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG)
    lists = seated.recommend(queries, 10)
    found = seated.found(queries)
    by_hand = seated.base.recommend(queries, 10, slate=seated.chosen_slate, owners=seated.owners(queries, found))
    np.testing.assert_array_equal(lists.items, by_hand.items)
    assert lists.owners is not None
    np.testing.assert_array_equal(lists.owners, by_hand.owners)
    own = np.take_along_axis(found.numbers, np.maximum(lists.owners, 0), 1)
    assert (own[lists.owners != UNKNOWN] != UNKNOWN).all()
    assert (lists.items != seated.base.recommend(queries, 10).items).any()


def test_batches_change_no_list(seated: WithPersonas, attentive: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG).take(np.arange(30))
    for model in (seated, attentive):
        whole, parts = model.recommend(queries, 5), model.recommend(queries, 5, batch_size=7)
        np.testing.assert_array_equal(whole.items, parts.items)
        np.testing.assert_array_equal(whole.owners, parts.owners)


def test_plain_lists_are_those_of_the_model_within() -> None:
    model = WithPersonas(EASE(20.0), slate=Greedy()).fit(LOG)
    queries = Queries.from_interactions(LOG)
    lists = model.recommend(queries, 10)
    np.testing.assert_array_equal(lists.items, model.base.recommend(queries, 10).items)
    assert lists.owners is None


def test_attention_is_the_equation(attentive: WithPersonas) -> None:
    """Persona scores by reading each persona's events alone, softmax and sum as they are written."""
    queries = Queries.from_interactions(LOG).take(np.arange(4))
    found = attentive.found(queries)
    of_event = found.personas.of_events(attentive.dictionary, queries)
    scores = attentive.score(queries).numpy()
    scale = float(attentive.arrays()["chosen"][1])
    for user in range(4):
        mine = queries.history.rows == user
        items, persona = queries.history.items[mine], of_event[mine]
        own = np.stack(
            [attentive.base.score(Queries.from_history([items[persona == k]]))[0] for k in np.unique(persona)]
        )
        weights = np.exp(2.0 / scale * own)
        expected = len(own) * (weights / weights.sum(0) * own).sum(0)
        np.testing.assert_allclose(scores[user], expected, rtol=1e-4, atol=1e-6)


def test_contributions_sum_to_the_score(attentive: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG).take(np.arange(20))
    items = attentive.recommend(queries, 6).items
    added = np.add.reduceat(attentive.contributions(queries, items).numpy(), queries.history.indptr[:-1])
    np.testing.assert_allclose(added, np.take_along_axis(attentive.score(queries).numpy(), items, 1), rtol=1e-4)


def test_no_sharpness_is_the_sum(attentive: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG).take(np.arange(10))
    barely = WithPersonas(EASE(20.0), sharpness=1e-6).fit(LOG)
    np.testing.assert_allclose(
        barely.score(queries).numpy(), attentive.base.score(queries).numpy(), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("sharpness", [0.0, 1.5])
def test_reading_it_is_the_same_model(sharpness: float) -> None:
    """With decay within, what scores is the same personas around the undecayed model with weighted events."""
    model = WithPersonas(Decayed(EASE(20.0), GlobalHalfLife(6.0)), sharpness).fit(LOG)
    queries = Queries.from_interactions(LOG).take(np.arange(25))
    read = model.read(queries)
    assert not isinstance(read.model.scoring_model, Decayed)
    assert read.recent is not None
    torch.testing.assert_close(read.model.score(read.queries), model.score(queries))
    ours, theirs = model.recommend(queries, 8), read.model.recommend(read.queries, 8)
    np.testing.assert_array_equal(ours.items, theirs.items)
    np.testing.assert_array_equal(ours.owners, theirs.owners)


def test_personas_do_not_depend_on_weights(seated: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG).take(np.arange(15))
    light = queries.with_weights(np.linspace(0.01, 1.0, len(queries.times)).astype(np.float32))
    np.testing.assert_array_equal(seated.found(queries).personas.of_taste, seated.found(light).personas.of_taste)


def test_validation_chooses_what_is_not_given() -> None:
    """Here validation likes attention of sharpness 1, and lists that are nearest to the scores."""
    asked: list[tuple[float, object]] = []

    def validate(model: Recommender) -> float:
        assert isinstance(model, WithPersonas)
        asked.append((model.chosen_sharpness, model.chosen_slate))
        plain = model.chosen_slate in (Greedy(), SLATES[0])
        return float(plain) - abs(model.chosen_sharpness - 1.0)

    model = WithPersonas(EASE(20.0), sharpness=None).fit(LOG, validate)
    assert (model.chosen_sharpness, model.chosen_slate) == (1.0, SLATES[0])
    assert {sharpness for sharpness, _ in asked} == {0.0, *SHARPNESS}
    given = WithPersonas(EASE(20.0), sharpness=0.5, slate=Seats(0.2, 0.1)).fit(LOG, lambda _: pytest.fail("asked"))
    assert (given.chosen_sharpness, given.chosen_slate) == (0.5, Seats(0.2, 0.1))


def test_a_persona_of_three_tenths_of_the_history_has_a_place() -> None:
    def without_place(floor: float) -> int:
        slate = Seats(0.0, 0.0, floor=floor)
        model = WithPersonas(EASE(20.0), slate=slate).fit(LOG)
        shares, owners = model.found(queries).personas.shares, model.recommend(queries, 10).owners
        assert owners is not None
        held = (owners[:, :, None] == np.arange(shares.shape[1])).any(1)
        return int(((shares >= FLOOR) & ~held).sum())

    queries = Queries.from_interactions(LOG)
    assert without_place(0.0) > 0
    assert without_place(UNCHOSEN.floor) == 0
    assert {slate.floor for slate in SLATES} == {UNCHOSEN.floor} == {FLOOR}


def test_personas_that_are_remembered_during_a_fit_change_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    split = recsys.split(simulated_log(n_users=60, n_items=80, events_per_user=30), "last_one")
    fitted = WithPersonas(EASE(20.0), None).fit(split.train, validator(split.valid))
    monkeypatch.setattr(Queries, "digest", lambda _: os.urandom(16))  # no two questions are the same
    again = WithPersonas(EASE(20.0), None).fit(split.train, validator(split.valid))
    assert fitted.arrays().keys() == again.arrays().keys()
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(fitted.arrays()[name], array)


def test_what_was_chosen_is_in_the_bundle(tmp_path: object) -> None:
    model = WithPersonas(EASE(20.0), sharpness=None).fit(LOG, lambda each: float(each.chosen_sharpness == 4.0))  # type: ignore[attr-defined]
    bundle.save(model, f"{tmp_path}/model")
    loaded = bundle.load(f"{tmp_path}/model")
    assert isinstance(loaded, WithPersonas)
    assert (loaded.chosen_sharpness, loaded.chosen_slate) == (4.0, model.chosen_slate)
    assert loaded.names.names == model.names.names
    queries = Queries.from_interactions(LOG)
    np.testing.assert_array_equal(loaded.recommend(queries, 10).items, model.recommend(queries, 10).items)
    np.testing.assert_array_equal(loaded.found(queries).numbers, model.found(queries).numbers)


def test_a_muted_persona_is_gone_and_a_boosted_one_has_twice_the_seats(seated: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG)
    found = seated.found(queries)
    several = np.flatnonzero((found.numbers != UNKNOWN).sum(1) > 1)
    assert len(several) > 30
    plain = seated.recommend(queries, 10)
    assert plain.owners is not None
    more = possible = 0
    for row in several.tolist():
        query, mine = queries.take(np.asarray([row])), found.take(np.asarray([row]))
        number = int(mine.numbers[0, 0])
        muted, boosted, places = mine.controls(0, {number: 0.0}, seated.dictionary.members)
        assert places == {number: 0}
        assert not boosted.any()
        silent = without_evidence(query, seated.dictionary, mine.personas, muted)
        owners = seated.owners(query, mine, muted=muted)
        lists = seated.recommend(silent, 10, slate=seated.chosen_slate, owners=owners)
        assert lists.owners is not None
        assert not (lists.owners == 0).any()
        of_muted = mine.personas.of_events(seated.dictionary, query) == 0
        assert not seated.contributions(silent, np.maximum(lists.items, 0)).numpy()[of_muted].any()
        smallest = int((mine.numbers[0] != UNKNOWN).sum()) - 1
        _, boosted, _ = mine.controls(0, {int(mine.numbers[0, smallest]): 2.0}, seated.dictionary.members)
        owners = seated.owners(query, mine, boosted=boosted)
        again = seated.recommend(query, 10, slate=seated.chosen_slate, owners=owners)
        assert again.owners is not None
        seats = int((plain.owners[row] == smallest).sum())
        possible += min(2 * max(seats, 0), 10)
        more += int((again.owners[0] == smallest).sum())
    assert more >= 0.9 * possible > 0


def test_a_control_follows_the_persona_that_continues_it(seated: WithPersonas) -> None:
    queries = Queries.from_interactions(LOG).take(np.arange(1))
    found, members = seated.found(queries), seated.dictionary.members
    number = int(found.numbers[0, 0])
    root = len(members) - 1
    assert found.place(0, number, members) == 0
    inside = np.flatnonzero(members[:, found.personas.of_taste[0] == 0].any(1))
    for node in inside.tolist():
        place = found.place(0, node, members)
        below = found.mass[0] * members[node]
        had = found.former[0, :, node]
        if node not in found.numbers[0] and had.any():
            assert place == had.argmax()
        elif place is not None and node not in found.numbers[0]:
            shared = below[found.personas.of_taste[0] == place].sum()
            assert 2 * shared >= below.sum() > 0
            assert 2 * shared >= found.personas.mass[0, place]
    assert found.place(0, root + 1, members) is None
    assert found.place(0, -1, members) is None


def test_tastes_continue_from_an_earlier_fit(seated: WithPersonas) -> None:
    rng = np.random.default_rng(0)
    less = LOG.select(rng.random(len(LOG)) < 0.95)
    again = WithPersonas(EASE(20.0)).continue_from(seated).fit(less)
    np.testing.assert_array_equal(again.dictionary.merges, seated.dictionary.merges)
    same = [one.text == other.text for one, other in zip(again.names.names, seated.names.names, strict=True)]
    assert np.mean(same) >= 0.85
    assert recsys.train(less, WithPersonas(EASE(20.0)), former=seated).names.names == again.names.names  # type: ignore[attr-defined]
    with pytest.raises(CapabilityError, match="wrap it in WithPersonas"):
        recsys.train(less, EASE(20.0), former=seated)
    with pytest.raises(CapabilityError, match="EASE has no tastes to continue"):
        WithPersonas(EASE()).continue_from(seated.base)


def test_as_many_personas_as_allowed() -> None:
    model = WithPersonas(EASE(20.0), sharpness=1.0, limits=PersonaSettings(most=2)).fit(LOG)
    queries = Queries.from_interactions(LOG)
    assert model.found(queries).numbers.shape[1] == 2
    assert np.isfinite(model.score(queries).numpy()).all()


@pytest.mark.parametrize("within", [ItemKNN(), IALS(8), EASE(20.0)])
def test_around_every_family(within: Recommender) -> None:
    model = WithPersonas(within, sharpness=1.0).fit(LOG)
    queries = Queries.from_interactions(LOG).take(np.arange(12))
    lists = model.recommend(queries, 5)
    assert lists.owners is not None
    assert (lists.owners != UNKNOWN).any(1).mean() > 0.8


def test_a_newcomer_gets_popular_items(seated: WithPersonas, attentive: WithPersonas) -> None:
    nobody = Queries.from_history([[]])
    for model in (seated, attentive):
        lists = model.recommend(nobody, 5)
        np.testing.assert_array_equal(lists.items[0], model.fitted_on.tie_order.numpy()[:5])
        assert lists.owners is not None
        assert (lists.owners == UNKNOWN).all()


def test_only_around_models_that_fold_in() -> None:
    with pytest.raises(CapabilityError, match="BPR cannot fold in"):
        WithPersonas(BPR())
    with pytest.raises(CapabilityError, match="wrap the model"):
        WithPersonas(WithPersonas(EASE()))
    with pytest.raises(CapabilityError, match="put it within"):
        Decayed(WithPersonas(EASE()))
