"""Answers of a run: corrections, beliefs in the order of the store, and the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from recsys.data.feedback import Kind
from recsys.data.interactions import Clock, Interactions
from recsys.data.queries import Queries, Ragged
from recsys.decay import GlobalHalfLife, TemporalDecay
from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.store import Correction, Event, EventStore
from recsys.explanations import Evidence, Explanation, text
from recsys.explanations.records import LOW_CERTAINTY
from recsys.models import EASE, Decayed, PersonaEASE, Popularity, WithPersonas
from recsys.models.base import Recommender
from recsys.serving.lists.cached import _aged, rounded_moment
from recsys.serving.opening import open_answers
from recsys.serving.records import HistoryEvent
from recsys.serving.run_answers import RunAnswers
from recsys.serving.users.state import UserStates
from recsys.slates import Seats
from recsys.types import DAY
from tests.serving.serving_run import START, STEP, train, write_log

NOW = START + 1000 * STEP


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    from recsys.data.catalogue import datasets

    return datasets.load(str(write_log(tmp_path_factory.mktemp("log") / "log.csv")))


def _answers(
    model: PersonaEASE | Decayed | WithPersonas, log: Interactions | None, store: EventStore, history: int = 2_000
) -> RunAnswers:
    return RunAnswers(model, "model", log, store, clock=lambda: float(NOW), history=history)


def test_corrections_weigh_linear_experts(log: Interactions) -> None:
    model = PersonaEASE(personas=3, factors=4).fit(log)
    store = open_store("memory:")
    answers = _answers(model, log, store)
    factors = np.asarray([0.0, 1.0, 2.5])
    for persona, weight in enumerate(factors.tolist()):
        store.put_correction("u3", persona, Correction(weight, None, "model"))
    found = answers.recommend("u3", 10, None, ()).items
    user = int(log.users.numbers(["u3"])[0])
    own = model.personas(Queries.from_interactions(log, np.asarray([user], np.int32)))[0].numpy()  # v_i = e_i
    expected = factors @ own
    numbers = log.items.numbers([item.item_id for item in found])
    ratio = np.asarray([item.score for item in found]) / expected[numbers]
    assert ratio == pytest.approx(np.full(len(found), ratio[0]), rel=1e-4)  # histories are scaled, orders are not
    used = log.item_num[log.history_slice(user)]
    unseen = np.setdiff1d(np.arange(log.n_items), used)
    assert set(numbers.tolist()) == set(unseen[np.argsort(-expected[unseen])[:10]].tolist())


def test_evidence_is_that_of_the_corrected_score(log: Interactions) -> None:
    model = PersonaEASE(personas=3, factors=4).fit(log)
    store = open_store("memory:")
    answers = _answers(model, log, store)
    before = {item.item_id: item.evidence for item in answers.recommend("u3", 30, None, ()).items}
    store.put_correction("u3", 0, Correction(0.0, None, "model"))
    for item in answers.recommend("u3", 30, None, ()).items:
        assert item.evidence != before[item.item_id] or not item.evidence
        # What speaks for an item is at least its score: the rest of the history can only speak against it.
        assert all(fact.contribution / fact.share >= item.score - 1e-5 for fact in item.evidence)


def test_corrections_of_another_model_do_not_count(log: Interactions) -> None:
    model = PersonaEASE(personas=3, factors=4).fit(log)
    store = open_store("memory:")
    answers = _answers(model, log, store)
    before = answers.recommend("u3", 5, None, ())
    store.put_correction("u3", 0, Correction(0.0, "Theirs", "another"))
    assert answers.recommend("u3", 5, None, ()) == before


def _decayed(log: Interactions) -> Decayed:
    return Decayed(PersonaEASE(personas=2, factors=4), TemporalDecay()).fit(log)


def test_beliefs_learn_sessions_in_order_of_arrival(log: Interactions) -> None:
    """Two sessions are late; the last has two events. Of the one that is going on nothing is learned."""
    sessions = [(5, ["i1"]), (3, ["i20"]), (9, ["i2", "i21"]), (4, ["i5"])]
    store = open_store("memory:")
    user = int(log.users.numbers(["u0"])[0])
    events = [(item, NOW - (20 - day) * DAY + 60 * k) for day, items in sessions for k, item in enumerate(items)]
    events.append(("i7", NOW - 10))
    store.append([Event(f"e{k}", "u0", item, 1.0, time) for k, (item, time) in enumerate(events)])
    served = _decayed(log)
    answers = _answers(served, log, store)
    answers.recommend("u0", 5, None, ())

    expected = _decayed(log)
    known = [(int(t), int(i)) for t, i in zip(*_history(log, user), strict=True)]
    for day, items in sessions:
        moment = NOW - (20 - day) * DAY
        seen = [one for one in known if one[0] <= moment]
        asked = Queries.from_history([[i for _, i in seen]], users=[user], times=[[t for t, _ in seen]], now=[moment])
        numbers = np.sort(log.items.numbers(items)).astype(np.int32)
        expected.observe(asked, Ragged.of([numbers]))
        new = [(moment + 60 * k, int(log.items.numbers([item])[0])) for k, item in enumerate(items)]
        known = sorted([*known, *new], key=lambda one: one[0])
    state, wanted = served.arrays(), expected.arrays()
    assert (wanted["decay.seen"] != _decayed(log).arrays()["decay.seen"]).any()
    for name in ("decay.evidence", "decay.seen", "decay.changes.belief"):
        np.testing.assert_array_equal(state[name], wanted[name])


def test_new_users_have_a_belief_of_their_own(log: Interactions) -> None:
    store = open_store("memory:")
    items = ["i1", "i2", "i20", "i4", "i21", "i5"]
    for user in ("new", "newer"):  # two, so that room is made for more than one
        store.append(
            [
                Event(f"{user}{k}", user, item, 1.0, NOW - 100 * DAY + len(user) * k * DAY)
                for k, item in enumerate(items)
            ]
        )
    served = _decayed(log)
    answers = _answers(served, log, store)
    found = {user: answers.personas(user, None).half_life for user in ("newer", "new", "nobody")}
    learned = {user: (half_life and half_life.learned_from) or 0 for user, half_life in found.items()}
    assert learned["new"] == learned["newer"] > 0
    assert found["nobody"] is None  # there are no events to be weighed

    expected = _decayed(log)
    expected.extend(log.n_users + 1)
    numbers, times = log.items.numbers(items), [NOW - 100 * DAY + 3 * k * DAY for k in range(len(items))]
    for k in range(len(items) - 1):  # the last session may go on
        asked = Queries.from_history([numbers[:k]], users=[log.n_users], times=[times[:k]], now=[times[k]])
        expected.observe(asked, numbers[k : k + 1])
    state, wanted = served.arrays(), expected.arrays()
    rows = [state["decay.evidence"][log.n_users + k] for k in range(2)]  # by the order of asking
    np.testing.assert_array_equal(rows[1], wanted["decay.evidence"][log.n_users])
    assert answers.recommend("new", 5, None, ()).items
    store.erase_user("new")
    assert answers.personas("new", None).half_life is None


_USERS = st.sampled_from(["u0", "u1", "u2", "somebody new"])
_ITEMS = st.sampled_from(["i1", "i4", "i16", "i20", "i29", "nothing known"])
_TIMES = st.integers(-400 * STEP, 10)  # before the clock of the moment: mostly late, some between the log's events
_KINDS: st.SearchStrategy[Kind] = st.sampled_from(["rating", "like", "dislike", "buy", "skip"])
_STEPS = st.one_of(
    st.tuples(st.just("event"), _USERS, _ITEMS, _TIMES, _KINDS, st.sampled_from([1.0, 4.0])),
    st.tuples(
        st.just("correct"), _USERS, st.integers(0, 1), st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([None, "Own"])
    ),
    st.tuples(st.just("erase"), _USERS),
    st.tuples(st.just("wait"), st.sampled_from([1, 3600, 40 * STEP])),
    st.tuples(st.just("ask"), _USERS, st.none() | _TIMES, st.lists(_ITEMS, max_size=2)),
)


@pytest.mark.parametrize("kind", ["linear", "decayed", "without personas"])
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(_STEPS, max_size=25))
def test_the_cache_changes_no_answer(
    models: dict[str, Recommender], log: Interactions, kind: str, steps: list[tuple[Any, ...]]
) -> None:
    store, now = open_store("memory:"), NOW
    model = models[kind]

    def opened(cache_bytes: int) -> RunAnswers:
        own = model.unfitted().restore(model.fitted_on, model.arrays())
        return RunAnswers(own, "model", log, store, clock=lambda: float(now), cache_bytes=cache_bytes)

    answers = [opened(size) for size in (64_000_000, 40_000, 0)]

    def ask(user: str, at: int | None, exclude: Sequence[str]) -> None:
        first, *others = (one.recommend(user, 5, at, exclude) for one in answers)
        assert all(other == first for other in others)
        if kind != "without personas":
            told, *likewise = (one.personas(user, at) for one in answers)
            assert all(other == told for other in likewise)

    for number, (step, *details) in enumerate(steps):
        if step == "event":
            user, item, time, what, value = details
            rating = value if what == "rating" else None
            store.append([Event(f"e{number}", user, item, rating, now + time, what)])
        elif step == "correct":
            user, persona, weight, name = details
            routed = kind != "without personas"
            store.put_correction(user, persona, Correction(weight if routed else 1.0, name, "model"))
        elif step == "erase":
            store.erase_user(*details)
        elif step == "wait":
            now += details[0]
        else:
            user, at, exclude = details
            ask(user, None if at is None else now + at, exclude)
    answers.append(opened(64_000_000))  # after a restart
    for user in ("u0", "u1", "u2", "somebody new"):
        ask(user, None, ())


@pytest.fixture(scope="module")
def models(log: Interactions) -> dict[str, Recommender]:
    linear = PersonaEASE(personas=2, factors=4)
    unfitted: dict[str, Recommender] = {
        "linear": linear,
        "decayed": Decayed(linear, TemporalDecay(), calibration=0.3),
        "without personas": Decayed(EASE(), GlobalHalfLife(3.0)),
    }
    return {name: model.fit(log) for name, model in unfitted.items()}


def test_a_cached_user_is_not_described_again(log: Interactions) -> None:
    answers = _answers(PersonaEASE(personas=2, factors=4).fit(log), log, open_store("memory:"))
    before = answers.recommend("u3", 5, None, ())
    with mock.patch("recsys.explanations.explain.describe_from", side_effect=AssertionError) as describe:
        assert answers.recommend("u3", 5, None, ()) == before
        with pytest.raises(AssertionError):
            answers.recommend("u4", 5, None, ())
        assert describe.call_count == 1


def test_the_cached_list_is_returned_until_something_changes(log: Interactions) -> None:
    store, now = open_store("memory:"), [float(NOW)]
    answers = RunAnswers(_decayed(log), "model", log, store, clock=lambda: now[0])
    gap = NOW - max(_history(log, int(log.users.numbers(["u3"])[0]))[0])
    before = answers.recommend("u3", 5, None, ())
    with mock.patch("recsys.serving.lists.plain.explain_read", side_effect=AssertionError):
        now[0] += 3.0
        later = answers.recommend("u3", 5, None, ())
        assert later.now == before.now + 3
        for one, other in zip(before.items, later.items, strict=True):
            assert [fact.age for fact in other.evidence] == [(fact.age or 0) + 3 for fact in one.evidence]
            assert replace(other, evidence=one.evidence) == one
        assert answers.recommend("u3", 5, None, ()) == later
        others: list[dict[str, Any]] = [{"n": 6}, {"exclude": ("i1",)}, {"at": NOW}]
        for changed in others:
            with pytest.raises(AssertionError):
                answers.recommend("u3", **({"n": 5, "at": None, "exclude": ()} | changed))
        now[0] += gap / 32
        with pytest.raises(AssertionError):
            answers.recommend("u3", 5, None, ())
        now[0] -= gap / 32
        store.put_correction("u3", 0, Correction(0.5, None, "model"))
        with pytest.raises(AssertionError):
            answers.recommend("u3", 5, None, ())
        store.put_correction("u3", 0, Correction(1.0, None, "model"))
        assert answers.recommend("u3", 5, None, ()) == later
        for kind, item in (("use", "i7"), ("dislike", before.items[0].item_id)):
            store.append([Event(kind, "u3", item, None, NOW - 5, kind)])  # type: ignore[arg-type]
            with pytest.raises(AssertionError):
                answers.recommend("u3", 5, None, ())
    assert before.items[0].item_id not in [item.item_id for item in answers.recommend("u3", 5, None, ()).items]


@given(gap=st.integers(1, 2**40), more=st.integers(0, 2**33))
def test_rounded_moments_are_close_and_stable(gap: int, more: int) -> None:
    times = np.asarray([START - 9, START], np.int64)
    moment = rounded_moment(START + gap, times)
    assert START + gap - max(64, gap / 64) < moment <= START + gap
    assert moment <= rounded_moment(START + gap + more, times)
    assert rounded_moment(moment, times) == moment


def test_reasons_that_are_not_ready_are_searched_in_idle_turns(log: Interactions) -> None:
    model = WithPersonas(EASE(regularization=1.0), slate=Seats()).fit(log)
    answers, others = (_answers(model, log, open_store("memory:")) for _ in range(2))
    complete = others.recommend("u3", 5, None, ())
    assert "because" in [one.reason_kind for one in complete.items]
    short = answers.recommend("u3", 5, None, (), details="ready")
    assert short.reasons == "pending"
    assert "because" not in [one.reason_kind for one in short.items]
    assert [one.item_id for one in short.items] == [one.item_id for one in complete.items]
    while answers.search("u3"):
        pass
    assert answers.recommend("u3", 5, None, (), details="ready") == complete
    assert answers.recommend("u3", 5, None, (), details=False) == replace(short, reasons="unsearched")


def test_next_answers_of_cached_users_are_prepared(log: Interactions) -> None:
    store, plain = open_store("memory:"), open_store("memory:")
    answers, others = (_answers(_decayed(log), log, each) for each in (store, plain))
    answers.recommend("u3", 5, None, ())
    others.recommend("u3", 5, None, ())
    events = [Event("e1", "u3", "i7", 1.0, NOW - 5, "use"), Event("e2", "u4", "i7", 1.0, NOW - 5, "use")]
    for each in (store, plain):
        each.append(events)
    turns = 0
    while answers.prepare("u3"):  # it learns, then the state, then the list
        turns += 1
    assert turns >= 2
    for user in ("u4", "somebody new"):
        with mock.patch.object(RunAnswers, "recommend", side_effect=AssertionError):
            assert not answers.prepare(user)  # nobody asked for them, so nothing is done
    with mock.patch("recsys.explanations.explain.describe_from", side_effect=AssertionError):
        prepared = answers.recommend("u3", 5, None, ())
    assert prepared == others.recommend("u3", 5, None, ())
    assert answers.recommend("u4", 5, None, ()) == others.recommend("u4", 5, None, ())
    store.erase_user("u3")
    with mock.patch.object(UserStates, "at", side_effect=AssertionError):
        assert not answers.prepare("u3")  # of whom nothing is kept any more


def _history(log: Interactions, user: int) -> tuple[list[int], list[int]]:
    where = log.history_slice(user)
    return log.time[where].tolist(), log.item_num[where].tolist()


def test_only_the_newest_events_are_read_and_all_are_excluded(log: Interactions) -> None:
    model = PersonaEASE(personas=2, factors=4).fit(log)
    answers = _answers(model, log, open_store("memory:"), history=4)
    found = answers.recommend("u0", 100, None, ())
    times, items = _history(log, int(log.users.numbers(["u0"])[0]))
    assert found.known_events == 4
    assert not {item.item_id for item in found.items} & set(log.items.ids[items].tolist())
    newest = [HistoryEvent(str(log.items.id_of(item)), 1.0, time) for time, item in zip(times, items, strict=True)][-4:]
    again = answers.recommend_for(newest, 100, None, [str(log.items.id_of(item)) for item in items])
    assert [item.item_id for item in again.items] == [item.item_id for item in found.items]


def test_where_a_long_history_begins_does_not_move_with_every_event(log: Interactions) -> None:
    store, read = open_store("memory:"), []
    answers = _answers(PersonaEASE(personas=2, factors=4).fit(log), log, store, history=8)
    for number in range(4):
        store.append([Event(f"e{number}", "u0", "i7", 1.0, NOW - 9 + number, "use")])
        read.append(answers.recommend("u0", 3, None, ()).known_events)
    assert read in ([7, 8, 7, 8], [8, 7, 8, 7])


def test_text_that_spells_the_same_number_is_another_user() -> None:
    log = Interactions.from_columns([7, 7, 8, 8], [1, 2, 2, 3], times=[START, START + 1, START, START + 1])
    answers = _answers(PersonaEASE(personas=1, factors=2).fit(log), log, open_store("memory:"))
    assert len(answers.logged_events("7")) == 2
    for other in ("007", "7.0", " 7", "+7"):
        assert answers.logged_events(other) == ()
        assert answers.recommend(other, 3, None, ()).known_events == 0


@pytest.mark.parametrize("clock", ["order", "none", "period"])
def test_a_log_without_a_clock_is_refused(log: Interactions, clock: Clock) -> None:
    other = replace(log, clock=clock)
    with pytest.raises(DataError, match="Unix seconds"):
        RunAnswers(Popularity().fit(other), "model", other, open_store("memory:"))


def test_a_run_answers_as_the_command_line_does(tmp_path: Path) -> None:
    from recsys.experiments.questions import recommend

    run = train(tmp_path / "run", write_log(tmp_path / "log.csv"), calibration=0.3)
    told = recommend(run, user="u5", n=5, at=str(NOW)).items
    with threadpool_limits():  # which gives back what opening takes
        served = open_answers(run, open_store("memory:"), "memory:").recommend("u5", 5, NOW, ())
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    assert [item.item_id for item in served.items] == [one["item_id"] for one in told]
    assert [item.reason for item in served.items] == [one["reason"] for one in told]
    assert [item.score for item in served.items] == pytest.approx([one["score"] for one in told])


def test_a_list_under_muted_personas_says_so(log: Interactions) -> None:
    store = open_store("memory:")
    answers = _answers(PersonaEASE(personas=2, factors=4).fit(log), log, store)
    general = answers.recommend("somebody new", 5, None, ())
    assert {item.reason for item in general.items} == {text.COLD}
    for persona in range(2):
        store.put_correction("u3", persona, Correction(0.0, None, "model"))
    found = answers.recommend("u3", 5, None, ())
    assert found.known_events > 0
    assert {item.reason for item in found.items} == {text.MUTED}
    assert all(not item.evidence for item in found.items)
    assert {(item.certainty, item.low_certainty) for item in (*found.items, *general.items)} == {(None, False)}
    store.put_correction("u3", 1, Correction(1.0, None, "model"))
    assert text.MUTED not in {item.reason for item in answers.recommend("u3", 5, None, ()).items}
    store.append([Event("e", "stranger", "nothing known", None, NOW - 5)])
    assert {item.reason for item in answers.recommend("stranger", 5, None, ()).items} == {text.UNKNOWN_ITEMS}


def test_unknown_items_are_named_wherever_they_come_from(log: Interactions, tmp_path: Path) -> None:
    from recsys.data.catalogue import datasets

    store = open_store("memory:")
    model = PersonaEASE(personas=2, factors=4).fit(log)
    answers = _answers(model, log, store)
    store.append([Event(f"e{k}", "u9", item, None, NOW - k) for k, item in enumerate(("nope", "i3", "nope", "zz"))])
    store.append([Event("e9", "u9", "dismissed", None, NOW, "dislike")])
    found = answers.recommend("u9", 5, None, ["i1", "typo", "typo", "zz"])
    assert (found.unknown_items, found.unknown_excluded) == (("nope", "zz", "dismissed"), ("typo", "zz"))
    assert answers.recommend("u9", 5, NOW - 2, ()).unknown_items == ("zz",)  # the rest was not yet
    assert answers.recommend("u8", 5, None, ()).unknown_items == ()
    asked = answers.recommend_for([HistoryEvent("nope"), HistoryEvent("i3")], 5, None, ["typo"])
    assert (asked.unknown_items, asked.unknown_excluded) == (("nope",), ("typo",))
    store.undo_event("u9", "e3")
    assert answers.recommend("u9", 5, None, ()).unknown_items == ("nope", "dismissed")
    path = write_log(tmp_path / "log.csv")
    path.write_text(path.read_text() + f"u9,newer than the model,4,{START}\n")
    found = _answers(model, datasets.load(str(path)), store).recommend("u9", 5, None, ())
    assert found.unknown_items == ("newer than the model", "nope", "dismissed")


def test_the_certainty_of_corrected_personas_is_that_of_their_own_weights(log: Interactions) -> None:
    store = open_store("memory:")
    answers = _answers(PersonaEASE(personas=2, factors=4).fit(log), log, store)
    store.put_correction("u3", 0, Correction(0.3, None, "model"))
    for item in answers.recommend("u3", 10, None, ()).items:
        if item.certainty is not None:
            shown = sum(fact.share for fact in item.evidence)
            assert item.certainty == pytest.approx(min(1.0, shown * item.personas[0].weight))
            assert item.low_certainty == (item.certainty < LOW_CERTAINTY) == ("of the score" in item.reason)


def test_events_without_a_rating_show_none(log: Interactions) -> None:
    store = open_store("memory:")
    answers = _answers(PersonaEASE(personas=2, factors=4).fit(log), log, store)
    store.append([Event("e1", "new", "i1", 4.0, NOW - 9), Event("e2", "new", "i2", None, NOW - 5, "like")])
    stored = answers.recommend("new", 8, None, ())
    given = answers.recommend_for([HistoryEvent("i1", 4.0), HistoryEvent("i2")], 8, None, ())
    for answer in (stored, given):
        ratings = {(fact.item_id, fact.rating) for item in answer.items for fact in item.evidence}
        assert ratings == {("i1", 4.0), ("i2", None)}


def test_a_cached_list_is_older_in_its_ages_alone() -> None:
    event = Evidence("a", "A", 0.5, 0.25, 4.0, 7, True)
    timeless = replace(event, age=None)
    one = Explanation("b", "B", 1.0, (), (event, timeless), "contribution", 0.5, "because", 0.1)
    assert _aged(one, 5) == replace(one, evidence=(replace(event, age=12), timeless))
    assert one.evidence == (event, timeless)
