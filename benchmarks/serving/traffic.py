"""Traffic on a service: requests for known users of a log, for new ones, and events in between."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from benchmarks.serving.load import LoadResult, Plan, Request, put_load
from recsys.data.interactions import Interactions

Draw = Literal["by activity", "all alike"]
"""Users are drawn in proportion to their events in the log, or all with one probability."""

FIRST, REPEATED, NEW, EVENT = "first", "repeated", "new", "event"
ANSWERS: Final = (FIRST, REPEATED, NEW)
"""Kinds of answers: the first for a user, or the first since the user's last event, so that no state is cached unless
the service had time to prepare it; a repeated one, with cached user state; one for a user without history."""

LENGTH: Final = 10
BAR: Final = 300
"""Answers per second that a service must give."""

_CONNECTIONS = 8


@final
@dataclass(frozen=True)
class Mix:
    """Composition of traffic."""

    draw: Draw  # distribution of the users, whose whole history is in the log
    events: float = 0.0  # share of requests that send one event of the user
    new: float = 0.0  # share of requests for a new user
    alternate: bool = False  # whether lists have 10 and 11 items in turns, so that no user gets the cached list again

    def __str__(self) -> str:
        parts = [f"users drawn {self.draw}"]
        parts += [f"{self.events:.0%} of the requests send an event"] if self.events else []
        parts += [f"{self.new:.0%} are for a new user"] if self.new else []
        parts += ["no cached lists"] if self.alternate else []
        return ", ".join(parts)


@final
class Traffic:
    """Traffic in several loads, each of which continues the last: users with cached state are known.

    Args:
        log: users and items.
        mix: composition.
        port: of the service.
        seed: of the draws.
        parameters: further ones of each question, as they stand in its address.
    """

    def __init__(self, log: Interactions, mix: Mix, port: int, seed: int = 0, *, parameters: str = "") -> None:
        self._users = [str(user) for user in log.users.ids.tolist()]
        self._items = [str(item) for item in log.items.ids.tolist()]
        lengths = np.diff(log.indptr).astype(np.float64)
        self._weights = lengths / lengths.sum() if mix.draw == "by activity" else None
        used = np.bincount(log.item_num, minlength=log.n_items).astype(np.float64)
        self._used = used / used.sum()
        self._mix = mix
        self._port = port
        self._parameters = parameters
        self._random = np.random.default_rng(seed)
        self._seed = seed
        self._cached: set[str] = set()
        self._lengths = Lengths()
        self._number = 0

    def put(self, seconds: float, *, most: int, rate: float | None = None) -> LoadResult:
        """Send at most `most` requests for some seconds, in a closed loop or (with a rate per second) an open one."""
        users, requests = self._plan(most)
        result = put_load(Plan(self._port, requests, seconds, _CONNECTIONS, rate, seed=self._number))
        for user, request in list(zip(users, requests, strict=True))[: len(result.kinds)]:
            self._update(user, request.kind, self._cached)
        self._number += most
        return result

    def _plan(self, count: int) -> tuple[list[str], list[Request]]:
        """Return users and requests."""
        drawn = self._random.choice(len(self._users), count, p=self._weights)
        items = self._random.choice(len(self._items), count, p=self._used)
        kind = self._random.random(count)
        now, cached = int(time.time()), set(self._cached)
        users, requests = [], []
        for row in range(count):
            user = self._users[drawn[row]]
            if kind[row] < self._mix.events:
                name = f"{self._seed}-{self._number + row}"
                request = event_request(EVENT, [event(name, user, self._items[items[row]], now)])
            elif kind[row] < self._mix.events + self._mix.new:
                user = f"somebody new {self._number + row}"
                request = self._request(NEW, user, NEW)
            else:
                request = self._request(REPEATED if user in cached else FIRST, user, user)
            self._update(user, request.kind, cached)
            users.append(user)
            requests.append(request)
        return users, requests

    def _request(self, kind: str, user: str, like: str) -> Request:
        length = self._lengths.next(like) if self._mix.alternate else LENGTH
        return Request(kind, "GET", recommendation_path(user, length) + self._parameters)

    @staticmethod
    def _update(user: str, kind: str, cached: set[str]) -> None:
        if kind == EVENT:
            cached.discard(user)
        elif kind != NEW:
            cached.add(user)


def event_batches(log: Interactions, size: int, count: int, name: str, seed: int = 0) -> list[Request]:
    """Return requests that send batches of new events of a log's users and items."""
    random = np.random.default_rng(seed)
    users, items = (
        [str(each) for each in ids[random.integers(0, len(ids), size * count)].tolist()]
        for ids in (np.asarray(log.users.ids), np.asarray(log.items.ids))
    )
    now = int(time.time())
    events = [event(f"{name}-{k}", user, item, now) for k, (user, item) in enumerate(zip(users, items, strict=True))]
    return [event_request(EVENT, events[start : start + size]) for start in range(0, size * count, size)]


@final
class Lengths:
    """Lengths of lists, alternating for each user between 10 and 11."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, user: str) -> int:
        """Return the length of the next list."""
        self._last[user] = LENGTH + 1 if self._last.get(user) == LENGTH else LENGTH
        return self._last[user]

    def last(self, user: str) -> int:
        """Return the length of the last list."""
        return self._last[user]


def recommendation_path(user: str, n: int = LENGTH) -> str:
    """Return the path of the explained best items of a user."""
    return f"/v1/users/{quote(user, safe='')}/recommendations?n={n}"


def event_request(kind: str, events: Sequence[dict[str, object]]) -> Request:
    """Return the request that sends events."""
    return Request(kind, "POST", "/v1/events", json.dumps({"events": events}))


def percentiles(milliseconds: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the median and the 99th percentile, NaN for no values."""
    if len(milliseconds) == 0:
        return {"p50": float("nan"), "p99": float("nan")}
    p50, p99 = np.percentile(milliseconds, [50, 99]).tolist()
    return {"p50": p50, "p99": p99}


def event(event_id: str, user: str, item: str, time: int) -> dict[str, object]:
    """Return an event as the service takes it."""
    return {"event_id": event_id, "user_id": user, "item_id": item, "time": time}
