"""Beliefs in half-lives while serving: learned in turns of bounded work, saved, read back, and never another's wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay import DetectorReset, TemporalDecay
from recsys.events.addresses import open_store
from recsys.events.store import Event, EventStore, StoreError
from recsys.models import Decayed, PersonaEASE
from recsys.serving.records import RecommendationList
from recsys.serving.run_answers import RunAnswers
from recsys.serving.service import Service
from recsys.serving.users import history as user_history
from recsys.serving.users.history import TURN
from recsys.types import DAY
from tests.serving.client import client_of, event, service_of, token
from tests.serving.serving_run import ITEMS, START, STEP, write_log

NOW = START + 1000 * STEP + 1000 * DAY


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    from recsys.data.catalogue import datasets

    return datasets.load(str(write_log(tmp_path_factory.mktemp("log") / "log.csv")))


@pytest.fixture(scope="module")
def fitted(ratings: Interactions) -> Decayed:
    return Decayed(PersonaEASE(personas=2, factors=4), TemporalDecay(), calibration=0.3).fit(ratings)


def _copy(model: Decayed) -> Decayed:
    """The model as it was loaded, with a belief of its own."""
    return model.unfitted().restore(model.fitted_on, model.arrays())


@pytest.fixture
def opened(fitted: Decayed, ratings: Interactions) -> Callable[..., RunAnswers]:
    def opened(store: EventStore, fingerprint: str = "model", **settings: Any) -> RunAnswers:
        return RunAnswers(_copy(fitted), fingerprint, ratings, store, clock=lambda: float(NOW), **settings)

    return opened


@pytest.fixture
def learned() -> Iterator[list[int]]:
    """The user of each event that beliefs have learned."""
    users: list[int] = []
    observe = Decayed.observe

    def counted(self: Decayed, queries: Queries, items: Any) -> None:
        users.extend(queries.users.tolist())
        observe(self, queries, items)

    with mock.patch.object(Decayed, "observe", counted):
        yield users


def _burst(count: int, user: str = "u0", first: int = 0) -> list[Event]:
    """Events of one user, each of a session of its own, some of items that nobody knows, some dislikes."""
    draw = np.random.default_rng(count + first)
    return [
        Event(
            f"{user} {number}",
            user,
            f"i{draw.integers(ITEMS // 2)}" if number % 11 else "unknown",
            None,
            NOW - (1000 - number) * DAY - int(draw.integers(3)) * 500,
            "dislike" if number % 17 == 5 else "use",
        )
        for number in range(first, first + count)
    ]


def _learn_all(answers: RunAnswers) -> None:
    while answers.learning:
        answers.learn()


def _told(answers: RunAnswers, user: str = "u0") -> RecommendationList:
    return answers.recommend(user, 10, None, ())


def test_an_answer_learns_a_few_events_and_says_how_many_are_left(
    opened: Callable[..., RunAnswers], learned: list[int]
) -> None:
    store = open_store("memory:")
    answers = opened(store)
    assert _told(answers).learning is None
    store.append(_burst(100))
    first = _told(answers)
    assert len(learned) == TURN
    assert first.learning is not None
    assert first.learning.learned == TURN
    at_first = first.learning.pending
    assert first.known_events > at_first > 4 * TURN  # all of them are in the history
    for turn in range(1, 4):
        answers.learn()
        assert len(learned) == (turn + 1) * TURN
    told = answers.personas("u0", None).learning
    assert told is not None
    assert (told.learned, told.pending) == (5 * TURN, at_first - 4 * TURN)
    _learn_all(answers)
    assert len(learned) == TURN + at_first
    assert _told(answers).learning is None


def test_nothing_is_learned_inside_a_session(opened: Callable[..., RunAnswers], learned: list[int]) -> None:
    with open_store("memory:") as store:
        answers = opened(store)
        for number in range(5):
            store.append([Event(f"now {number}", "u0", f"i{number}", None, NOW - 100 + number, "use")])
            _told(answers)
        assert learned == []
        store.append([Event("next", "u0", "i9", None, NOW - 100 + DAY, "use")])
        _told(answers)
        assert len(learned) == 1, "one lesson, with all five"


def test_the_list_after_learning_in_turns_is_that_of_learning_at_once(
    opened: Callable[..., RunAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("memory:")
    bursts = [_burst(90), _burst(40, "somebody new"), _burst(50, first=90), _burst(30, "somebody new", 40)]
    in_turns = opened(store)
    for number, burst in enumerate(bursts):
        store.append(burst)
        for user in ("u0", "somebody new", "u1"):
            _told(in_turns, user)
        for _ in range(number):
            in_turns.learn()  # some of it, before the next burst arrives
    early = _told(in_turns)
    _learn_all(in_turns)
    monkeypatch.setattr(user_history.BeliefLearning.learn, "__defaults__", (10_000,))
    at_once = opened(store)
    for user in ("somebody new", "u0", "u1"):
        found = _told(at_once, user)
        assert found.learning is None
        assert found == _told(in_turns, user)
        assert at_once.personas(user, None) == in_turns.personas(user, None)
    # What was learned shows: the list in between is of another belief.
    assert [item.score for item in early.items] != [item.score for item in _told(in_turns).items]


def test_another_user_waits_for_few_events(opened: Callable[..., RunAnswers], learned: list[int]) -> None:
    """The declared bound: a turn that goes on, and one for each request before and with one's own."""
    waited: list[tuple[int, int]] = []
    with open_store("memory:") as store:
        service = Service(store, lambda: opened(store))
        for first in range(0, 600, 200):
            service.append(_burst(200, first=first))

        async def ask(user: str, ahead: int) -> None:
            before, answers = len(learned), service.answers

            def recommend() -> int:
                answers.recommend(user, 10, None, ())
                return len(learned)  # when the answer is ready; the next turn may begin at once

            waited.append((await service.answer(recommend) - before, ahead))

        async def load() -> None:
            await ask("u0", 0)
            for number in range(40):
                burst = [asyncio.create_task(ask("u0", ahead)) for ahead in range(number % 3)]
                await asyncio.gather(*burst, ask(f"u{1 + number % 30}", len(burst)))
                await asyncio.sleep(0.002 * (number % 2))  # sometimes a turn begins in between

        asyncio.run(load())
        service.close()
    assert len(learned) > 20 * TURN  # the burst was being learned all the while
    assert all(events <= (ahead + 2) * TURN for events, ahead in waited), waited


def test_idle_turns_learn_the_rest_for_users_who_asked(opened: Callable[..., RunAnswers], learned: list[int]) -> None:
    with open_store("memory:") as store:
        service = Service(store, lambda: opened(store))
        store.append(_burst(60) + _burst(60, "u7") + _burst(60, "u9"))
        answers = service.answers
        for user in ("u0", "u7"):
            asyncio.run(service.answer(partial(answers.recommend, user, 10, None, ())))
        while answers.learning:
            asyncio.run(service.answer(lambda: None))
        assert len(set(learned)) == 2
        assert _told(opened(store), "u9").learning is not None
        service.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_restart_reads_beliefs_back_bit_for_bit(
    opened: Callable[..., RunAnswers], learned: list[int], kind: str, tmp_path: Path
) -> None:
    with open_store("memory:" if kind == "memory" else str(tmp_path / "events.db")) as store:
        store.append(_burst(50) + _burst(50, "somebody new"))
        answers = opened(store)
        _learn_all(answers)
        answers.save()
        store.append(_burst(20, first=50))
        answers.recommend("u0", 10, None, ())
        assert answers.unsaved == TURN
        answers.save()  # in the middle of a burst
        assert answers.unsaved == 0
        done = len(learned)
        again = opened(store)
        assert len(learned) == done
        assert not again.warm  # a part of the burst is left
        assert _told(again, "somebody new") == _told(answers, "somebody new")
        assert len(learned) == done
        _learn_all(again)
        _learn_all(answers)
        assert _told(again) == _told(answers)
        assert [len(learned[done:]) % 2, learned[done:].count(0)] == [0, len(learned) - done]  # the rest, by both
        for user in ("u0", "somebody new"):
            assert again.personas(user, None) == answers.personas(user, None)
        again.save()
        saved = store.beliefs(again._users.learning._identity)
        other = open_store("memory:")
        fresh = opened(other)
        other.append([change.event for change in store.replay()])  # type: ignore[union-attr]
        for user in ("u0", "somebody new"):
            fresh.recommend(user, 10, None, ())
        _learn_all(fresh)
        fresh.save()
        learned_anew = other.beliefs(fresh._users.learning._identity)
        assert {user: one.state for user, one in saved.items()} == {u: one.state for u, one in learned_anew.items()}


def test_beliefs_that_could_not_be_saved_are_saved_the_next_time(
    opened: Callable[..., RunAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store("memory:") as store:
        store.append(_burst(20) + _burst(20, "somebody new") + _burst(20, "erased"))
        answers = opened(store)
        _learn_all(answers)
        with monkeypatch.context() as failing:
            failing.setattr(type(store), "save_beliefs", mock.Mock(side_effect=StoreError("gone")))
            with pytest.raises(StoreError):
                answers.save()
        assert answers.unsaved == 0  # not tried again with each answer
        store.erase_user("erased")
        answers.catch_up()
        answers.save()
        assert set(store.beliefs(answers._users.learning._identity)) == {"u0", "somebody new"}


def test_beliefs_of_another_model_log_or_length_are_learned_again(
    opened: Callable[..., RunAnswers], ratings: Interactions, fitted: Decayed, learned: list[int]
) -> None:
    store = open_store("memory:")
    store.append(_burst(20))
    answers = opened(store)
    _learn_all(answers)
    answers.save()
    needed = len(learned)
    assert opened(store).warm
    shorter = ratings.select(np.arange(len(ratings)) != 3)
    others = [
        opened(store, "retrained"),
        opened(store, history=100),
        RunAnswers(_copy(fitted), "model", shorter, store, clock=lambda: float(NOW)),
    ]
    for other in others:
        assert not other.warm
        learned.clear()
        _learn_all(other)
        assert len(learned) == needed


def test_erased_users_leave_no_belief(opened: Callable[..., RunAnswers]) -> None:
    store = open_store("memory:")
    store.append(_burst(30))
    answers = opened(store)
    nobody = _told(answers, "nobody")
    _learn_all(answers)
    answers.save()
    store.append(_burst(20, first=30))
    _told(answers)
    store.erase_user("u0")
    answers.save()
    assert store.belief("u0") is None
    for each in (answers, opened(store)):
        assert [item.score for item in _told(each).items] == [item.score for item in nobody.items]
        assert not each.learning


@pytest.mark.parametrize("user", ["u0", "somebody new"])
def test_an_undone_event_is_unlearned(opened: Callable[..., RunAnswers], learned: list[int], user: str) -> None:
    with_event, without = open_store("memory:"), open_store("memory:")
    burst = _burst(30, user)
    with_event.append(burst)
    without.append([one for one in burst if one.event_id != f"{user} 3"])
    answers, never = opened(with_event), opened(without)
    for each in (answers, never):
        _learn_all(each)
    answers.save()
    assert answers.personas(user, None) != never.personas(user, None)
    with_event.undo_event(user, f"{user} 3")
    for late in (answers, opened(with_event)):
        learned.clear()
        late.recommend(user, 10, None, ())
        _learn_all(late)
        assert len(learned) > TURN  # the saved belief knew too much
        assert late.personas(user, None) == never.personas(user, None)
        assert _told(late, user) == _told(never, user)
        late.save()
    assert opened(with_event).warm


def test_an_undone_event_is_gone_when_the_store_answers_again(
    opened: Callable[..., RunAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, without = open_store("memory:"), open_store("memory:")
    burst = _burst(6, "somebody new")
    store.append(burst)
    without.append(burst[1:])
    answers = opened(store)
    before = _told(answers, "somebody new")
    store.undo_event("somebody new", burst[0].event_id)

    def down(*_: object) -> object:
        raise StoreError("down")

    with monkeypatch.context() as failing:
        failing.setattr(type(store), "of_users", down)
        for _ in range(2):
            with pytest.raises(StoreError, match="down"):
                answers.recommend("somebody new", 10, None, ())
    assert _told(answers, "somebody new") == _told(opened(without), "somebody new") != before


def test_a_rule_that_cannot_be_saved_learns_again(ratings: Interactions) -> None:
    pytest.importorskip("river", reason="the extra `drift` is not installed")
    model = Decayed(PersonaEASE(personas=2, factors=4), DetectorReset("page_hinkley", "user")).fit(ratings)
    store = open_store("memory:")
    store.append(_burst(20))
    answers = RunAnswers(model, "model", ratings, store, clock=lambda: float(NOW))
    assert not answers.warm
    _learn_all(answers)
    answers.save()
    assert (answers.warm, store.belief("u0")) == (True, None)


def test_the_service_is_ready_when_it_is_warm(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store("memory:") as store:
        store.append(_burst(40))
        with monkeypatch.context() as cold:
            cold.setattr(Service, "_learn_later", lambda _: None)
            client = client_of(service_of(run, store), token(store))
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "warming")
            assert answer.headers["retry-after"] == "1"
            assert client.get("/v1/users/u0/recommendations").json()["learning"]["learned"] == TURN
        _learn_all(client.service.answers)  # type: ignore[arg-type]
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/users/u0/recommendations").json()["learning"] is None
        sent = [event(f"e{number}", item=f"i{number % 30}") for number in range(40)]
        assert client.post("/v1/events", json={"events": sent}).status_code == 200
        assert client.get("/readyz").status_code == 200  # events of the running service do not make it unready
        client.service.close()
        held = client.get("/v1/users/u0/data").json()["belief"]
        saved = store.belief("u0")
        assert saved is not None
        assert held == {**asdict(saved), "state": saved.state.hex()}


def test_warming_is_bounded(opened: Callable[..., RunAnswers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_history, "WARM", 5 * TURN)
    store = open_store("memory:")
    for user in ("u1", "u2", "u3"):
        store.append(_burst(40, user))
    answers = opened(store)
    turns = 0
    while not answers.warm:
        answers.learn()
        turns += 1
    assert turns == 5
    assert not answers.learning
    assert _told(answers, "u1").learning is not None
