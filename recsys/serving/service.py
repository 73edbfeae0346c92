"""The service without the web: one store, and the model that answers now."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, final

from recsys.events.store import Appended, Correction, Event, EventStore, StoreError
from recsys.serving.access import Budget, Denied, Gate, Limits
from recsys.serving.answers import Answers
from recsys.serving.metrics import Metrics

LOGGER = logging.getLogger("recsys.serving")

T = TypeVar("T")

_DUE = 16
"""Users whose next answers wait to be prepared, at most, so that events without questions pile nothing up."""

_PREPARED = 4
"""Users of a batch of events, at most, whose next answers are prepared: more are an import, not people who look on."""


@final
class Service:
    """What all requests of a process share. Safe to use from several threads.

    Args:
        store: events, corrections, tokens.
        load: loads the bundle as it is now, up to date with the store.
        limits: of every request.
        authenticated: whether requests need a token.
        announce: tells other processes of the service that there is a new bundle, which was accepted here.
        afterwards: is called each time that a model was asked, in the one thread that asks.

    Raises:
        RecsysError: there is no bundle that can answer.
    """

    def __init__(
        self,
        store: EventStore,
        load: Callable[[], Answers],
        limits: Limits | None = None,
        *,
        authenticated: bool = True,
        announce: Callable[[], None] = lambda: None,
        afterwards: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.authenticated = authenticated
        self.gate = Gate(store, self.limits)
        self.budget = Budget(self.limits)
        self.metrics = Metrics()
        self._load = load
        self._announce = announce
        self._afterwards = afterwards
        self._reloading = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "answers")
        self._waiting: set[object] = set()
        self._due: set[str] = set()
        self._answers = load()
        self._answers.check()

    @property
    def answers(self) -> Answers:
        """The model that answers now. Use one for the whole of a request: the next may be another."""
        return self._answers

    async def answer(self, call: Callable[[], T]) -> T:
        """Return what a call returns that asks a model, made in the one thread in which models are asked.

        A model answers one question at a time: several threads would only wait for each other. Whoever leaves before
        the turn of the call comes is not answered.
        """
        turn = object()
        self._waiting.add(turn)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._begin, turn, call)
        finally:
            self._waiting.discard(turn)  # of somebody who left before it came

    def append(self, events: Sequence[Event]) -> Appended:
        """Take a batch; it is durable when this returns.

        What the next answers for its users need is done at once, unless somebody waits for an answer: then, or where
        there are many users, it is done when they are asked for.
        """
        appended = self.store.append(events)
        self.metrics.taken(appended.accepted, appended.repeated)
        users = {event.user_id for event in events}
        if len(users) <= _PREPARED:
            for user_id in users - self._due:
                self._prepare_later(user_id)
        return appended

    def _begin(self, turn: object, call: Callable[[], T]) -> T:
        self._waiting.discard(turn)
        try:
            return call()
        finally:
            self._afterwards()

    def _prepare_later(self, user_id: str) -> None:
        if len(self._due) < _DUE:
            self._due.add(user_id)
            self._thread.submit(self._prepare, user_id)

    def _prepare(self, user_id: str) -> None:
        self._due.discard(user_id)
        if not self._waiting:
            with suppress(StoreError):  # the next answer will say so
                if self._answers.prepare(user_id):
                    self._prepare_later(user_id)  # whoever comes now need not wait for all of it
            self._afterwards()

    def correct(self, user_id: str, persona: int, correction: Correction, answers: Answers) -> None:
        """Set the correction of a persona of the given model."""
        answers.check_correction(persona, correction)
        self.store.put_correction(user_id, persona, correction)

    def erase(self, user_id: str) -> None:
        """Remove everything of a user, from the store and from answers."""
        self.store.erase_user(user_id)
        self.gate.forget()
        self.answers.catch_up()

    def lag(self) -> int:
        """Return how many changes of the store no answer of this process has known yet."""
        return max(0, self.store.last_sequence() - self.answers.applied)

    def reload_everywhere(self) -> str:
        """Do as `reload` does; when the bundle is accepted, the other processes load it too, a moment later."""
        fingerprint = self.reload()
        self._announce()
        return fingerprint

    def reload(self) -> str:
        """Load the bundle anew beside the old one, check it, and let it answer; return its fingerprint.

        Requests are answered all the while. A bundle that cannot be loaded or cannot answer changes nothing.

        Raises:
            Denied: the bundle is refused, or a reload is going on.
        """
        if not self._reloading.acquire(blocking=False):
            raise Denied(409, "reload_running", "a bundle is being loaded; wait until it is done")
        try:
            fresh = self._load()
            fresh.check()
        except Exception as error:  # whatever is wrong with the new one, the old one answers
            self.metrics.reloaded(accepted=False)
            LOGGER.warning("the new bundle is refused (%s); the old one stays", type(error).__name__)
            raise Denied(
                409,
                "bundle_refused",
                f"the new bundle is refused ({type(error).__name__}) and the old one stays; "
                "see what `recsys recommend --run` says of it, and mend or replace it",
            ) from error
        else:
            self._answers = fresh
            self.metrics.reloaded(accepted=True)
            LOGGER.warning("model %s answers from now on", fresh.model)
            return fresh.model
        finally:
            self._reloading.release()
