"""Preparation of answers after events, and the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest

from recsys.events.addresses import open_store
from recsys.events.store import Event, StoreError
from recsys.serving.answers import Answers
from recsys.serving.garbage import Garbage
from recsys.serving.service import Service

_PATIENCE = 30


class _Prepared:
    """Notes whom it was asked to prepare for."""

    model = "model"
    applied = unsaved = 0
    learning, warm = False, True

    def __init__(self, *, broken: bool = False) -> None:
        self.users: list[str] = []
        self.searched: list[tuple[str, float]] = []
        self._broken = broken

    def after(self, count: int) -> list[str]:
        """Return the users when there are so many, or for too long not."""
        until = time.monotonic() + _PATIENCE
        while len(self.users) < count and time.monotonic() < until:
            time.sleep(0.001)
        return list(self.users)

    def check(self) -> None:
        """Nothing is wrong."""

    def prepare(self, user_id: str) -> bool:
        """Note it; there are two things to do for each user whose name ends in 5."""
        self.users.append(user_id)
        if self._broken:
            raise StoreError("gone")
        return user_id.endswith("5") and self.users.count(user_id) < 2

    def search(self, user_id: str) -> bool:
        """Note it; there are two turns for everybody."""
        self.searched.append((user_id, time.monotonic()))
        return [user for user, _ in self.searched].count(user_id) < 2


class _Busy:
    """A question whose answer takes until it may go on."""

    def __init__(self) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()

    async def ask(self, service: Service) -> asyncio.Task[None]:
        """Ask, and return when the answer has been begun."""
        task = asyncio.create_task(service.answer(self._slow))
        assert await asyncio.to_thread(self._begun.wait, _PATIENCE)
        return task

    async def end(self, task: asyncio.Task[None]) -> None:
        """Let it be answered."""
        self._go_on.set()
        await task

    def _slow(self) -> None:
        self._begun.set()
        assert self._go_on.wait(_PATIENCE)


def _service(answers: _Prepared) -> Service:
    return Service(open_store("memory:"), lambda: cast(Answers, answers))


def _event(number: int) -> Event:
    return Event(f"e{number}", f"u{number}", "i1", 1.0, 5, "use")


def test_events_prepare_the_next_answer() -> None:
    for broken in (False, True):
        answers = _Prepared(broken=broken)
        _service(answers).append([_event(1), _event(2), Event("e3", "u1", "i2", 1.0, 6, "use")])
        assert sorted(answers.after(2)) == ["u1", "u2"]


def test_preparation_in_parts_is_completed() -> None:
    answers = _Prepared()
    _service(answers).append([_event(5), _event(6)])
    assert sorted(answers.after(3)) == ["u5", "u5", "u6"]


def test_reasons_are_searched_when_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.serving.service._QUIET", 0.2)
    answers = _Prepared()
    service = _service(answers)

    async def ask() -> float:
        await service.answer(lambda: None)
        service.append([_event(1)])
        assert answers.after(1) == ["u1"]  # the list does not wait
        last = 0.0
        for _ in range(3):
            last = time.monotonic()
            await service.answer(lambda: None)
        until = last + _PATIENCE
        while len(answers.searched) < 2 and time.monotonic() < until:
            await asyncio.sleep(0.001)
        return last

    last = asyncio.run(ask())
    assert [user for user, _ in answers.searched] == ["u1", "u1"]
    assert all(moment >= last + 0.2 for _, moment in answers.searched)


def test_an_import_is_not_prepared() -> None:
    answers = _Prepared()
    service = _service(answers)
    service.append([_event(number) for number in range(50)])
    service.append([_event(51)])
    assert answers.after(1) == ["u51"]


def test_the_preparation_queue_is_bounded() -> None:
    answers, busy = _Prepared(), _Busy()
    service = _service(answers)

    async def send() -> None:
        task = await busy.ask(service)
        for number in (10 * each for each in range(200)):
            service.append([_event(number), replace(_event(number), event_id=f"again {number}")])
        await busy.end(task)

    asyncio.run(send())
    answers.after(16)
    assert asyncio.run(service.answer(lambda: list(answers.users))) == [f"u{10 * each}" for each in range(16)]


def test_requests_come_before_preparation() -> None:
    answers, busy = _Prepared(), _Busy()
    service = _service(answers)

    async def ask() -> list[str]:
        task = await busy.ask(service)
        service.append([_event(1)])  # its turn comes when the next question waits already
        waits = asyncio.create_task(service.answer(lambda: list(answers.users)))
        await asyncio.sleep(0)
        await busy.end(task)
        return await waits

    assert asyncio.run(ask()) == []
    service.append([_event(2)])
    assert answers.after(2) == ["u1", "u2"]  # what waited for a request is done after it


def test_a_cancelled_request_does_not_block_preparation() -> None:
    answers, busy = _Prepared(), _Busy()
    service = _service(answers)

    async def leave() -> None:
        task = await busy.ask(service)
        waits = asyncio.create_task(service.answer(lambda: None))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        await busy.end(task)

    asyncio.run(leave())
    service.append([_event(1)])
    assert answers.after(1) == ["u1"]


def test_after_answer_is_called_after_every_use_of_a_model() -> None:
    done: list[str] = []

    def refused() -> None:
        raise StoreError("gone")

    with open_store("memory:") as store:
        prepared = _Prepared()
        service = Service(store, lambda: cast(Answers, prepared), after_answer=lambda: done.append("done"))
        assert asyncio.run(service.answer(lambda: len(done))) == 0
        with suppress(StoreError):
            asyncio.run(service.answer(refused))
        assert len(done) == 2
        service.append([_event(1)])
        assert prepared.after(1) == ["u1"]
        asyncio.run(service.answer(lambda: None))
        assert len(done) == 4


def test_garbage_of_every_answer_is_collected_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.serving.garbage._FULL", 2)
    garbage = Garbage()
    found = []
    for _ in range(32):
        one, other = _Busy(), _Busy()
        one.__dict__["other"], other.__dict__["other"] = other, one
        gone = weakref.ref(one)
        del one, other
        before = [generation["collections"] for generation in gc.get_stats()]
        garbage.collect()
        assert gone() is None
        found.append([now["collections"] - then for now, then in zip(gc.get_stats(), before, strict=True)])
    assert found[:15] == [[1, 0, 0]] * 15
    assert (found[15], found[31]) == ([0, 1, 0], [0, 0, 1])
