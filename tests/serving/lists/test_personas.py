"""Lists with seats that found personas own, and the controls of these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError, DataError
from recsys.events.addresses import open_store
from recsys.events.store import Correction, Event
from recsys.explanations import text
from recsys.models import EASE, IALS, Decayed, WithPersonas
from recsys.models.personas.ownership import ownership, without_evidence
from recsys.models.retrieval.points import indexable
from recsys.serving.answers import UnknownError
from recsys.serving.lists.controls import Controls, tastes_id
from recsys.serving.records import HistoryEvent
from recsys.serving.run_answers import RunAnswers
from recsys.serving.users.personas import GrownPersonas
from recsys.slates import Seats
from recsys.worlds.simulation import simulated_log
from tests.serving.persona_answers import answers_of, control, seats, used

USERS = [str(number) for number in range(1, 41)]


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=120, n_items=120, events_per_user=36)


@pytest.fixture(scope="module")
def models(log: Interactions) -> dict[str, WithPersonas]:
    unfitted = {
        "linear": WithPersonas(EASE(20.0)),
        "decayed": WithPersonas(Decayed(EASE(20.0), GlobalHalfLife(30.0))),
        "attentive": WithPersonas(EASE(20.0), sharpness=1.0),
    }
    return {name: model.fit(log) for name, model in unfitted.items()}


@pytest.mark.parametrize("kind", ["linear", "decayed", "attentive"])
def test_served_lists_are_those_of_the_model_with_owners(
    models: dict[str, WithPersonas], log: Interactions, kind: str
) -> None:
    model, store = models[kind], open_store("memory:")
    answers = answers_of(model, log, store)
    now = int(log.time.max()) + 86_400
    same = 0
    for user in USERS[:12]:
        found = answers.recommend(user, 10, None, ())
        told = {one.persona: one for one in answers.personas(user, None).personas}
        assert {item.owner for item in found.items} - {None} <= set(told)
        assert all(item.owner is None or item.owner_name == told[item.owner].name for item in found.items)
        assert {k: one.seats for k, one in told.items() if one.seats} == {
            k: count for k, count in seats(found).items() if k is not None
        }
        assert sum(shelf.share for shelf in found.shelves) == pytest.approx(1.0)
        assert all(item.year is not None and item.genres for item in found.items)
        queries = Queries.from_interactions(log, np.asarray([int(user) - 1], np.int32)).at(np.asarray([now]))
        wanted = model.fitted_on.items.ids[model.recommend(queries, 10).items[0]].tolist()
        same += wanted == [int(item.item_id) for item in found.items]
    assert same >= 8  # the others have personas that were found some events ago


def test_muted_means_gone_and_stays_gone(models: dict[str, WithPersonas], log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(models["decayed"], log, store)
    last = int(log.time.max())
    checked = 0
    for user in USERS[:13]:
        personas = answers.personas(user, None).personas
        muted = max(personas, key=lambda one: one.seats or 0)
        if len(personas) < 2:
            continue
        checked += 1
        before = answers.recommend(user, 10, None, ())
        control(answers, store, user, {muted.persona: 0.0})
        own = [str(one.item_id) for one in before.items if one.owner == muted.persona]
        others = [str(one.item_id) for one in before.items if one.owner != muted.persona]
        further = used(user, [*own[:2], *others[:2]], last)
        store.append(further)
        for served in (answers, answers_of(models["decayed"], log, store, cache=0)):  # the second after a restart
            found = served.recommend(user, 10, None, ())
            assert len(found.items) == 10
            assert muted.persona not in seats(found)
            # Under its number, or under that of the one that continues it.
            (told,) = [one for one in served.personas(user, None).personas if one.muted]
            assert (told.seats, told.weight) == (0, 0.0)
            heard = {fact.item_id for item in found.items for fact in item.evidence}
            assert not heard & _events_of(models["decayed"], log, user, further, muted.persona)
        store.undo_event(user, "e0")
        assert muted.persona not in seats(answers.recommend(user, 10, None, ()))
        store.undo_event(user, "e1")
        store.undo_event(user, "e2")
        store.undo_event(user, "e3")
        control(answers, store, user, {muted.persona: 1.0})
        assert answers.recommend(user, 10, None, ()) == before
    assert checked >= 10


def _events_of(model: WithPersonas, log: Interactions, user: str, further: list[Event], persona: int) -> set[str]:
    """Return the items of a user's history, with some further events, that belong to a persona."""
    where = log.history_slice(int(user) - 1)
    items = [*log.item_num[where].tolist(), *log.items.numbers([int(one.item_id) for one in further]).tolist()]
    times = [*log.time[where].tolist(), *(one.time for one in further)]
    queries = Queries.from_history([items], times=[times])
    found = GrownPersonas.of(model, queries).found
    place = found.place(0, persona, model.dictionary.members)
    own = found.personas.of_events(model.dictionary, queries) == place
    assert place is not None
    assert own.any()
    return {str(log.items.id_of(int(item))) for item in queries.history.items[own]}


def test_two_thousand_users_with_a_muted_persona() -> None:
    log = simulated_log(seed=3, n_users=2_000, n_items=150, events_per_user=24)
    model = WithPersonas(EASE(50.0), slate=Seats()).fit(log)
    queries = Queries.from_interactions(log)
    found = model.found(queries)
    several = found.personas.counts > 1
    assert several.sum() > 1_500
    rows = np.flatnonzero(several)
    queries, found = queries.take(rows), found.take(rows)
    plain = model.recommend(queries, 10, owners=model.owners(queries, found), slate=model.chosen_slate)
    assert plain.owners is not None
    leading = np.asarray([np.bincount(row[row != UNKNOWN], minlength=1).argmax() for row in plain.owners])
    width = found.numbers.shape[1]
    muted = np.zeros((len(rows), width), np.bool_)
    for row, place in enumerate(leading.tolist()):
        number = int(found.numbers[row, place])
        said = {number: Correction(0.0, None, tastes_id(model.dictionary))}
        controls = Controls.of(model, found.take(np.asarray([row])), [None] * width, said, tastes_id(model.dictionary))
        muted[row] = controls.muted[0]
    assert (muted.sum(1) == 1).all()
    heard = without_evidence(queries, model.dictionary, found.personas, muted)
    of_event = found.personas.of_events(model.dictionary, queries)
    silent = (of_event == leading[queries.history.rows]) & queries.counted
    assert heard.weights is not None
    assert not heard.weights[silent].any()
    owners = model.owners(queries, found, muted=muted)
    listed = model.recommend(heard, 10, owners=owners, slate=model.chosen_slate)
    assert listed.owners is not None
    assert (plain.owners == leading[:, None]).any(1).all()
    assert not (listed.owners == leading[:, None]).any()
    owned = ownership(model, heard, listed.items, model.dictionary, found.personas)
    of_muted = np.take_along_axis(owned.scores, leading[:, None, None], 1)
    assert not of_muted.any()


def test_a_boosted_persona_has_twice_the_seats(models: dict[str, WithPersonas], log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(models["linear"], log, store)
    ratios = []
    for user in USERS:
        before = seats(answers.recommend(user, 10, None, ()))
        for persona, count in list(before.items())[:1]:
            if persona is None or count > 5:
                continue
            control(answers, store, user, {persona: 2.0})
            after = seats(answers.recommend(user, 10, None, ()))
            ratios.append(after[persona] / count)
    assert len(ratios) > 15
    assert np.mean(ratios) >= 1.8


def test_a_renamed_persona_has_the_persons_own_name_everywhere(
    models: dict[str, WithPersonas], log: Interactions
) -> None:
    store = open_store("memory:")
    answers = answers_of(models["linear"], log, store)
    before = answers.recommend("3", 10, None, ())
    persona = before.items[0].owner
    assert persona is not None
    control(answers, store, "3", {persona: 1.0}, "Rainy evenings")
    after = answers.recommend("3", 10, None, ())
    assert [one.item_id for one in after.items] == [one.item_id for one in before.items]
    own = [one for one in after.items if one.owner == persona]
    assert {one.owner_name for one in own} == {"Rainy evenings"}
    assert [shelf.name for shelf in after.shelves if shelf.persona == persona] == ["Rainy evenings"]
    (told,) = [one for one in answers.personas("3", None).personas if one.persona == persona]
    assert (told.name, told.renamed) == ("Rainy evenings", True)
    assert any("Rainy evenings" in one.reason for one in own)
    assert all("Rainy evenings" not in one.reason for one in before.items)


def test_whoever_mutes_everything_is_told_what_the_list_is(models: dict[str, WithPersonas], log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(models["decayed"], log, store)
    numbers = [one.persona for one in answers.personas("3", None).personas]
    control(answers, store, "3", dict.fromkeys(numbers, 0.0))
    found = answers.recommend("3", 10, None, ())
    assert len(found.items) == 10
    assert {item.reason for item in found.items} == {text.MUTED}
    assert {(item.owner, item.reason_kind, item.evidence) for item in found.items} == {(None, "muted", ())}
    assert [(shelf.persona, shelf.seats) for shelf in found.shelves if shelf.seats] == [(None, 10)]
    assert {shelf.persona for shelf in found.shelves if shelf.muted} == set(numbers)
    control(answers, store, "3", {numbers[0]: 1.0})
    assert set(seats(answers.recommend("3", 10, None, ()))) == {numbers[0]}


def test_corrections_that_act_on_nothing_are_told(models: dict[str, WithPersonas], log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(models["linear"], log, store)
    before = answers.recommend("3", 10, None, ())
    own = {one.persona for one in answers.personas("3", None).personas}
    store.put_correction("3", min(own), Correction(0.0, "Theirs", "another model"))
    assert answers.recommend("3", 10, None, ()) == before
    (unmatched,) = answers.personas("3", None).unmatched
    assert (unmatched.persona, unmatched.name, unmatched.weight) == (min(own), "Theirs", 0.0)
    assert "cannot be matched" in unmatched.reason
    tastes = {int(models["linear"].dictionary.taste[log.items.numbers([int(one.item_id)])[0]]) for one in before.items}
    nobodys = next(taste for taste in sorted(tastes) if taste not in own)
    single = Controls.of(
        models["linear"],
        models["linear"].found(Queries.from_interactions(log, np.asarray([2], np.int32))),
        [None] * models["linear"].limits.most,
        {nobodys: Correction(0.0, None, answers.corrections_of)},
        answers.corrections_of,
    )
    if single.silent.any():  # no persona of the user is this taste, which is muted all the same
        # It was a persona of the user once.
        store.put_correction("3", nobodys, Correction(0.0, None, answers.corrections_of))
        after = answers.recommend("3", 10, None, ())
        of_items = models["linear"].dictionary.taste[log.items.numbers([int(one.item_id) for one in after.items])]
        assert nobodys not in of_items.tolist()
        assert [one.persona for one in answers.personas("3", None).unmatched if "stay muted" in one.reason] == [nobodys]


def test_a_correction_lasts_through_a_training_that_continues_the_tastes(
    models: dict[str, WithPersonas], log: Interactions
) -> None:
    store = open_store("memory:")
    first = models["linear"]
    answers = answers_of(first, log, store)
    kept = log.select(np.arange(len(log)) % 20 != 3)
    again = first.unfitted().continue_from(first).fit(kept)
    other = WithPersonas(EASE(20.0)).fit(simulated_log(seed=5, n_users=120, n_items=120, events_per_user=36))
    assert tastes_id(again.dictionary) == answers.corrections_of != tastes_id(other.dictionary)
    lasting = 0
    for user in USERS[:12]:
        persona = max(answers.personas(user, None).personas, key=lambda one: one.seats or 0).persona
        control(answers, store, user, {persona: 0.0}, "Muted")
        served = answers_of(again, kept, store)
        told = served.personas(user, None)
        found = served.recommend(user, 10, None, ())
        muted = [one.persona for one in told.personas if one.muted]
        assert persona in muted or [one.persona for one in told.unmatched] == [persona]
        lasting += persona in muted
        assert found.items[0].reason_kind == "muted" or persona not in seats(found)
    assert lasting >= 9


@pytest.mark.parametrize(
    ("persona", "weight", "error"), [(999, 0.0, UnknownError), (0, 0.5, DataError), (0, 3.0, DataError)]
)
def test_a_control_without_meaning_is_refused(
    models: dict[str, WithPersonas], log: Interactions, persona: int, weight: float, error: type[Exception]
) -> None:
    answers = answers_of(models["linear"], log, open_store("memory:"))
    with pytest.raises(error, match=r"this model has 0 to|give 0 to mute"):
        answers.check_correction("5", persona, Correction(weight, None, answers.corrections_of))


def test_only_a_persona_of_the_user_can_be_corrected(models: dict[str, WithPersonas], log: Interactions) -> None:
    """The root of the tree is everything: who muted it by a wrong number would be left without a list."""
    store = open_store("memory:")
    answers = answers_of(models["linear"], log, store)
    own = {persona.persona for persona in answers.personas("5", None).personas}
    other = next(number for number in range(len(models["linear"].names.names)) if number not in own)
    with pytest.raises(UnknownError, match="of this user; there are"):
        control(answers, store, "5", {other: 0.0})
    control(answers, store, "5", dict.fromkeys(own, 0.0))
    muted = answers.recommend("5", 10, None, ())
    assert len(muted.items) == 10
    assert {item.reason_kind for item in muted.items} == {"muted"}
    control(answers, store, "5", dict.fromkeys(own, 1.0))  # what was said can be taken back, whatever it was


def test_a_dislike_leaves_the_list_and_can_be_undone(models: dict[str, WithPersonas], log: Interactions) -> None:
    store = open_store("memory:")
    answers = answers_of(models["linear"], log, store)
    before = answers.recommend("5", 10, None, ())
    first = before.items[0].item_id
    store.append(used("5", [str(first)], int(log.time.max()), kind="dislike"))
    after = answers.recommend("5", 10, None, ())
    assert first not in [one.item_id for one in after.items]
    assert first not in {fact.item_id for one in after.items for fact in one.evidence}
    store.undo_event("5", "e0")
    assert answers.recommend("5", 10, None, ()) == before


def test_an_index_gives_the_pool_from_which_personas_are_seated(log: Interactions) -> None:
    pytest.importorskip("faiss", reason="the index is an extra")
    from recsys.models.retrieval.index import PersonaIndex, Search

    model = WithPersonas(IALS(embedding_size=8, iterations=3)).fit(log)
    within = indexable(model)
    index = PersonaIndex.build(within, Search(5, 120, 10), cells=5)
    now = float(log.time.max()) + 86_400
    served, exact = (
        RunAnswers(model, "model", log, open_store("memory:"), clock=lambda: now, recommend=recommend)
        for recommend in (index.recommend, None)
    )
    for user in USERS[:5]:
        found, wanted = (each.recommend(user, 10, None, ()) for each in (served, exact))
        assert [one.item_id for one in found.items] == [one.item_id for one in wanted.items]
        assert seats(found) == seats(wanted)
    attentive = WithPersonas(IALS(embedding_size=8, iterations=1), sharpness=1.0).fit(log)
    with pytest.raises(CapabilityError, match="sharpness to 0"):
        indexable(attentive)


def test_somebody_new_and_somebody_anonymous(models: dict[str, WithPersonas], log: Interactions) -> None:
    answers = answers_of(models["decayed"], log, open_store("memory:"))
    found = answers.recommend("nobody", 10, None, ())
    assert {(item.owner, item.reason_kind) for item in found.items} == {(None, "cold")}
    assert [(shelf.persona, shelf.seats) for shelf in found.shelves] == [(None, 10)]
    assert answers.personas("nobody", None).personas == ()
    items = log.item_num[log.history_slice(4)]
    history = [HistoryEvent(str(log.items.id_of(int(item)))) for item in items]
    asked = answers.recommend_for(history, 10, None, ())
    assert seats(asked)
    assert any(item.owner is not None for item in asked.items)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(1, 120)),
        st.tuples(st.just("dislike"), st.integers(1, 120)),
        st.tuples(st.just("undo"), st.integers(0, 5)),
        st.tuples(st.just("control"), st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, 2.0]))),
        st.tuples(st.just("ask"), st.integers(1, 12)),
    ),
    max_size=12,
)


@settings(max_examples=12, deadline=None)
@given(user=st.sampled_from(["1", "2", "somebody new"]), steps=_STEPS)
def test_no_cache_changes_an_answer_and_no_muted_persona_has_a_seat(
    models: dict[str, WithPersonas], log: Interactions, user: str, steps: list[tuple[str, int | tuple[int, float]]]
) -> None:
    store = open_store("memory:")
    warm, cold = (answers_of(models["decayed"], log, store, cache=size) for size in (50_000_000, 0))
    time = int(log.time.max())
    for number, (what, value) in enumerate(steps):
        if isinstance(value, tuple):
            place, weight = value
            personas = warm.personas(user, None).personas
            if personas:
                control(warm, store, user, {personas[place % len(personas)].persona: weight})
        elif what in ("use", "dislike"):
            kind = "view" if what == "use" else "dislike"
            store.append([replace(one, event_id=f"s{number}") for one in used(user, [str(value)], time + number, kind)])
        elif what == "undo":
            store.undo_event(user, f"s{value}")
        else:
            found = warm.recommend(user, value, None, ())
            assert found == cold.recommend(user, value, None, ())
            muted = {shelf.persona for shelf in found.shelves if shelf.muted}
            assert not muted & set(seats(found))
    assert warm.personas(user, None) == cold.personas(user, None)
