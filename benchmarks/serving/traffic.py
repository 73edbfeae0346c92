"""What people ask a service for: users of a log by how much they do, new ones, and events in between."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from benchmarks.serving.load import Answered, Plan, Request, put_load
from recsys.data.interactions import Interactions

Draw = Literal["by activity", "all alike"]
"""Whether a user is drawn as often as the user has events in the log, or all are drawn alike."""

FIRST, REPEATED, NEW, EVENT = "first", "repeated", "new", "event"
ANSWERS: Final = (FIRST, REPEATED, NEW)
"""Kinds of answers: for a user who was not asked for yet or not since the user's last event, of whom nothing is ready
unless there was a moment for it; what belongs to the user is ready; somebody without a past."""

LENGTH: Final = 10
BAR: Final = 300
"""Answers per second that are asked of a service."""

_CONNECTIONS = 8


@final
@dataclass(frozen=True)
class Mix:
    """What traffic consists of.

    Attributes:
        draw: how users are drawn, with all of their past in the log.
        events: share of requests that send one event of the user instead of asking.
        new: share of requests that ask for somebody new.
        anew: whether lists have 10 and 11 items in turns, so that no user is given the last list again.
    """

    draw: Draw
    events: float = 0.0
    new: float = 0.0
    anew: bool = False

    def __str__(self) -> str:
        parts = [f"users drawn {self.draw}"]
        parts += [f"{self.events:.0%} of the requests bring an event"] if self.events else []
        parts += [f"{self.new:.0%} ask for somebody new"] if self.new else []
        parts += ["no list is given again"] if self.anew else []
        return ", ".join(parts)


@final
class Traffic:
    """Goes on where the last load stopped, so that it is known who was asked for before.

    Args:
        log: of the run that is served.
        mix: what to send.
        port: of the service on the loopback address.
        seed: of the draws.
    """

    def __init__(self, log: Interactions, mix: Mix, port: int, seed: int = 0) -> None:
        self._users = [str(user) for user in log.users.ids.tolist()]
        self._items = [str(item) for item in log.items.ids.tolist()]
        lengths = np.diff(log.indptr).astype(np.float64)
        self._weights = lengths / lengths.sum() if mix.draw == "by activity" else None
        used = np.bincount(log.item_num, minlength=log.n_items).astype(np.float64)
        self._used = used / used.sum()
        self._mix = mix
        self._port = port
        self._random = np.random.default_rng(seed)
        self._seed = seed
        self._ready: set[str] = set()
        self._lengths = Lengths()
        self._number = 0

    def put(self, seconds: float, *, most: int, rate: float | None = None) -> Answered:
        """Load the service for some seconds, with a closed loop or (with a rate) an open one.

        Args:
            seconds: after which nothing is sent any more.
            most: requests, at most.
            rate: requests per second.
        """
        users, requests = self._planned(most)
        answered = put_load(Plan(self._port, requests, seconds, _CONNECTIONS, rate, seed=self._number))
        for user, request in list(zip(users, requests, strict=True))[: len(answered.kinds)]:
            self._remember(user, request.kind, self._ready)
        self._number += most
        return answered

    def _planned(self, count: int) -> tuple[list[str], list[Request]]:
        """Return users and requests."""
        drawn = self._random.choice(len(self._users), count, p=self._weights)
        items = self._random.choice(len(self._items), count, p=self._used)
        kind = self._random.random(count)
        now, ready = int(time.time()), set(self._ready)
        users, requests = [], []
        for place in range(count):
            user = self._users[drawn[place]]
            if kind[place] < self._mix.events:
                name = f"{self._seed}-{self._number + place}"
                request = event_request(EVENT, [_event(name, user, self._items[items[place]], now)])
            elif kind[place] < self._mix.events + self._mix.new:
                user = f"somebody new {self._number + place}"
                request = self._question(NEW, user, NEW)
            else:
                request = self._question(REPEATED if user in ready else FIRST, user, user)
            self._remember(user, request.kind, ready)
            users.append(user)
            requests.append(request)
        return users, requests

    def _question(self, kind: str, user: str, like: str) -> Request:
        return question(kind, user, self._lengths.next(like) if self._mix.anew else LENGTH)

    @staticmethod
    def _remember(user: str, kind: str, ready: set[str]) -> None:
        if kind == EVENT:
            ready.discard(user)
        elif kind != NEW:
            ready.add(user)


def batches(log: Interactions, size: int, count: int, name: str, seed: int = 0) -> list[Request]:
    """Return requests that send batches of new events of a log's users and items."""
    random = np.random.default_rng(seed)
    users, items = (
        [str(each) for each in ids[random.integers(0, len(ids), size * count)].tolist()]
        for ids in (np.asarray(log.users.ids), np.asarray(log.items.ids))
    )
    now = int(time.time())
    events = [_event(f"{name}-{k}", user, item, now) for k, (user, item) in enumerate(zip(users, items, strict=True))]
    return [event_request(EVENT, events[start : start + size]) for start in range(0, size * count, size)]


@final
class Lengths:
    """Lengths of lists, of which no user is asked for one twice in a row."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, user: str) -> int:
        """Return the length of the next list."""
        self._last[user] = LENGTH + 1 if self._last.get(user) == LENGTH else LENGTH
        return self._last[user]

    def last(self, user: str) -> int:
        """Return the length of the last list."""
        return self._last[user]


def question(kind: str, user: str, n: int = LENGTH) -> Request:
    """Return the question for the explained best items of a user."""
    return Request(kind, "GET", f"/v1/users/{quote(user, safe='')}/recommendations?n={n}")


def event_request(kind: str, events: Sequence[dict[str, object]]) -> Request:
    """Return the request that sends events."""
    return Request(kind, "POST", "/v1/events", json.dumps({"events": events}))


def percentiles(milliseconds: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the median and the 99th percentile; NaN where there is nothing."""
    if len(milliseconds) == 0:
        return {"p50": float("nan"), "p99": float("nan")}
    p50, p99 = np.percentile(milliseconds, [50, 99]).tolist()
    return {"p50": p50, "p99": p99}


def _event(event_id: str, user: str, item: str, time: int) -> dict[str, object]:
    return {"event_id": event_id, "user_id": user, "item_id": item, "time": time}
