"""The service without HTTP: one event store, and the model that answers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar, final

from recsys.events.store import Appended, Correction, Event, EventStore, StoreError
from recsys.serving.access import Denied, Limits, RateLimiter, TokenCache, within_seconds
from recsys.serving.answers import Answers, Details
from recsys.serving.filters import UNFILTERED, Filters
from recsys.serving.interview.keeping import keeping
from recsys.serving.interview.records import SaidAnswer
from recsys.serving.metrics import Metrics
from recsys.serving.norms.circumstances import UNSTATED, Circumstances
from recsys.serving.records import RecommendationList

LOGGER = logging.getLogger("recsys.serving")

T = TypeVar("T")

_QUEUED = 16
"""The most users whose next answers wait for preparation, which bounds the work that events without requests cause."""

_BATCH = 4
"""The most users of a batch of events whose next answers are prepared: a batch of more users is an import."""

_QUIET = 0.05
"""Seconds without a request after which reasons are searched that may never be asked for."""

_UNSAVED = 256
"""Events after which beliefs are saved: as many at most are learned again after a kill."""


@final
class Service:
    """The state that all requests of a process share. Safe to use from several threads.

    Args:
        store: events, corrections, tokens.
        load: loads the current bundle, up to date with the store.
        limits: of every request.
        authenticated: whether requests need a token.
        announce: called after a new bundle was accepted, for other processes of the service.
        after_answer: called after every use of a model, in the thread of the models.

    Raises:
        RecsysError: there is no bundle, or it cannot answer.
    """

    def __init__(
        self,
        store: EventStore,
        load: Callable[[], Answers],
        limits: Limits | None = None,
        *,
        authenticated: bool = True,
        announce: Callable[[], None] = lambda: None,
        after_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.authenticated = authenticated
        self.tokens = TokenCache(store, self.limits)
        self.rate_limiter = RateLimiter(self.limits)
        self.metrics = Metrics()
        self._load = load
        self._announce = announce
        self._after_answer = after_answer
        self._reloading = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "answers")
        self._waiting: set[object] = set()
        self._unlisted: dict[str, None] = {}
        self._unsearched: dict[str, None] = {}
        self._queue = threading.Lock()
        self._quiet_from = 0.0
        self._is_preparing = False
        self._saver = ThreadPoolExecutor(1, "beliefs")
        self._is_learning = self._is_saving = self._warm = self._is_stale = False
        self._answers = load()
        self._answers.check()
        self._learn_later()

    @property
    def answers(self) -> Answers:
        """The model that answers. Read it once per request: a reload can replace it at any moment."""
        return self._answers

    async def answer(self, call: Callable[[], T]) -> T:
        """Return the result of a call to a model, made in the one thread of the models.

        A model answers one request at a time: several threads would only wait for each other. A call that is cancelled
        before its turn is not made.
        """
        request = object()
        self._waiting.add(request)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._run, request, call)
        finally:
            self._waiting.discard(request)  # a cancelled call never starts
            self._quiet_from = time.monotonic() + _QUIET
            loop.call_later(_QUIET, self._prepare_soon)

    def recommend(
        self,
        user_id: str,
        n: int,
        at: int | None,
        exclude: Collection[str],
        details: Details,
        filters: Filters = UNFILTERED,
        said: Circumstances = UNSTATED,
    ) -> RecommendationList:
        """Return recommendations, in the thread of the models; pending reasons are searched when it is quiet."""
        said = replace(said, recorded=True)
        listed = self.answers.recommend(
            user_id,
            n,
            at,
            exclude,
            details=details,
            filters=filters,
            said=said,
            stale_seconds=self.limits.stale_seconds,
        )
        self.noted(listed)
        if listed.reasons == "pending":
            self._later(self._unsearched, user_id)
        if not filters.any:
            self.metrics.observe_list(listed.shelves)
        return listed

    def noted(self, listed: RecommendationList) -> RecommendationList:
        """Return a list, after it was counted if it is stale; log where stale lists begin and end."""
        if listed.stale:
            self.metrics.count_stale()
        if listed.stale != self._is_stale:
            self._is_stale = listed.stale
            told = "does not answer; lists are stale" if listed.stale else "answers again"
            LOGGER.warning("the event store %s", told)
        return listed

    def append(self, events: Sequence[Event]) -> Appended:
        """Store a batch; it is durable when this returns.

        Also prepares the next answers of its users while no request waits; otherwise, and for batches of many users,
        the next request does that work.
        """
        appended = self.store.append(events)
        self.metrics.count_events(appended.accepted, appended.repeated)
        users = {event.user_id for event in events}
        if len(users) <= _BATCH:
            for user_id in users:
                self._later(self._unlisted, user_id)
        return appended

    @property
    def warm(self) -> bool:
        """Whether beliefs have learned enough for the service to be ready; once true it stays true."""
        self._warm = self._warm or self._answers.warm
        return self._warm

    def close(self) -> None:
        """Save what beliefs have learned; to be called when the last answer was given."""
        self._thread.shutdown(cancel_futures=True)
        self._saver.shutdown()
        self._save()

    def _run(self, request: object, call: Callable[[], T]) -> T:
        self._waiting.discard(request)
        try:
            return call()
        finally:
            self._learn_later()
            self._prepare_soon()
            self._after_answer()

    def _learn_later(self) -> None:
        if self._answers.learning and not self._is_learning:
            self._is_learning = True
            with suppress(RuntimeError):  # the service ends
                self._thread.submit(self._learn)
        if self._answers.unsaved >= _UNSAVED and not self._is_saving:
            self._is_saving = True
            self._saver.submit(self._save)

    def _learn(self) -> None:
        """Learn a few events if no request waits; otherwise the next turn is after its answer."""
        self._is_learning = False
        if not self._waiting:
            self._answers.learn()
            self._learn_later()
            self._after_answer()

    def _save(self) -> None:
        """Save beliefs in a thread of its own, because a store may be busy for long."""
        self._is_saving = False
        try:
            self._answers.save()
        except StoreError as error:
            LOGGER.warning("what was learned of users is not saved (%s); a restart will learn it again", error)

    def _later(self, queue: dict[str, None], user_id: str) -> None:
        with self._queue:
            if len(queue) < _QUEUED:
                queue.setdefault(user_id)
        self._prepare_soon()

    def _next(self) -> tuple[dict[str, None], Callable[[str], bool]] | None:
        """Return the queue whose first user is next, and the work: lists first, reasons only when it is quiet."""
        if self._unlisted:
            return self._unlisted, self._answers.prepare
        if self._unsearched and time.monotonic() >= self._quiet_from:
            return self._unsearched, self._answers.search
        return None

    def _prepare_soon(self) -> None:
        if not self._is_preparing and self._next() is not None:
            self._is_preparing = True
            with suppress(RuntimeError):  # the service ends
                self._thread.submit(self._prepare)

    def _prepare(self) -> None:
        """Do a part of the work of the first user of a queue, if no request waits; else after its answer."""
        self._is_preparing = False
        following = self._next()
        if self._waiting or following is None:
            return
        queue, work = following
        with self._queue:
            user_id = next(iter(queue))
        more = False
        with suppress(StoreError):  # the next request reports it
            more = work(user_id)
        if not more:
            with self._queue:
                queue.pop(user_id)
                if queue is self._unlisted and len(self._unsearched) < _QUEUED:
                    self._unsearched.setdefault(user_id)
        self._prepare_soon()
        self._after_answer()

    def correct(self, user_id: str, persona: int, correction: Correction, answers: Answers) -> None:
        """Store a correction of a persona of a model."""
        answers.check_correction(user_id, persona, correction)
        self.store.put_correction(user_id, persona, correction)

    def keep_answers(self, user_id: str, said: Sequence[SaidAnswer]) -> None:
        """Store the answers of an interview as events; see `recsys.serving.interview.keeping`."""
        kept = keeping(user_id, said, self.store.of_users([user_id])[user_id], int(time.time()))
        if kept.events:
            self.append(kept.events)
        for event_id in kept.undone:
            self.undo(user_id, event_id)

    def undo(self, user_id: str, event_id: str) -> bool:
        """Remove an event of a user for good, from the store and from answers; return whether there is or was one."""
        undone = self.store.undo_event(user_id, event_id)
        if undone is not None:
            self._later(self._unlisted, user_id)
        return undone is not None

    def erase(self, user_id: str) -> None:
        """Remove everything of a user, from the store and from answers."""
        self.store.erase_user(user_id)
        self.tokens.clear()
        self.answers.catch_up()

    async def lag(self) -> int | None:
        """Return how many changes of the store the answers of this process do not reflect yet; None: it is down."""
        try:
            last = await within_seconds(self.store.last_sequence)
        except (StoreError, TimeoutError):
            return None
        return max(0, last - self.answers.applied)

    def reload_everywhere(self) -> str:
        """Reload here, and announce an accepted bundle to the other processes, which load it a moment later."""
        fingerprint = self.reload()
        self._announce()
        return fingerprint

    def reload(self) -> str:
        """Load the bundle beside the old one, check it, and replace the old one; return its fingerprint.

        Requests are answered all the while. A bundle that cannot be loaded or cannot answer changes nothing.

        Raises:
            Denied: the bundle is refused, or a reload is going on.
        """
        if not self._reloading.acquire(blocking=False):
            raise Denied(409, "reload_running", "a bundle is being loaded; wait until it is done")
        try:
            fresh = self._load()
            fresh.check()
        except Exception as error:  # whatever is wrong with the new bundle, the old one goes on answering
            self.metrics.count_reload(accepted=False)
            LOGGER.warning("the new bundle is refused (%s); the old one stays", type(error).__name__)
            raise Denied(
                409,
                "bundle_refused",
                f"the new bundle is refused ({type(error).__name__}) and the old one stays; "
                "see what `recsys recommend --run` says of it, and mend or replace it",
            ) from error
        else:
            self._answers = fresh
            self._learn_later()
            self.metrics.count_reload(accepted=True)
            LOGGER.warning("model %s answers from now on", fresh.model)
            return fresh.model
        finally:
            self._reloading.release()
