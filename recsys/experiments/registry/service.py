"""A running service that is asked to load what is in place, and watched."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from recsys.errors import DataError

_TIMEOUT: Final = 300.0
"""Seconds that loading a bundle may take."""
_PAUSE: Final = 2.0
_COUNT: Final = re.compile(r'^recsys_request_seconds_count\{.*status="(\d)\d\d"\} (\S+)$', re.MULTILINE)


@final
class AwayError(DataError):
    """No service answers at an address: one that starts later loads what is in place then."""


@final
@dataclass(frozen=True)
class RunningService:
    """A service of `recsys serve` that serves the registry's link.

    Attributes:
        url: its address, such as http://127.0.0.1:8000.
        token: a token of the scope admin; None: it asks for none.
        failing: share of answers that are defects (5xx) from which on it gives alarm.

    Raises:
        DataError: the address is no address.
    """

    url: str
    token: str | None = None
    failing: float = 0.01

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise DataError(f"{self.url!r} is no address of a service; give one such as http://127.0.0.1:8000")

    def reload(self) -> str:
        """Let all its processes load what is in place; return the id of the model that answers then.

        Raises:
            AwayError: it does not answer.
            DataError: it refuses, or its answer is not that of `recsys serve`.
        """
        text = self._ask("POST", "/v1/admin/reload")
        try:
            return str(json.loads(text)["model"])
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{self.url} names no model after a reload; is it a service of `recsys serve`?") from None

    def alarm(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> str | None:
        """Watch it for some time; return what is wrong, as soon as something is, or None.

        Args:
            seconds: how long.
            sleep: waits.
        """
        try:
            answered, failed = self._counts()
        except DataError as error:
            return str(error)
        end = time.monotonic() + seconds
        while True:
            try:
                self._ask("GET", "/readyz")
                now, bad = self._counts()
            except DataError as error:
                return str(error)
            if bad - failed > self.failing * max(now - answered, 1.0 / self.failing):
                return (
                    f"{bad - failed:.0f} of {now - answered:.0f} answers were defects since the new model is in place"
                )
            if time.monotonic() >= end:
                return None
            sleep(min(_PAUSE, max(end - time.monotonic(), 0.0)))

    def _counts(self) -> tuple[float, float]:
        """Return how many requests were answered, and how many of the answers were defects."""
        found = _COUNT.findall(self._ask("GET", "/metrics"))
        return sum(float(count) for _, count in found), sum(float(count) for kind, count in found if kind == "5")

    def _ask(self, method: str, path: str) -> str:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url.rstrip("/") + path, method=method, headers=headers)  # noqa: S310 - http(s) alone
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                return str(answer.read().decode("utf-8"))
        except urllib.error.HTTPError as error:
            told = error.read(2000).decode("utf-8", "replace")
            raise DataError(f"{self.url}{path} answered {error.code}: {told}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise AwayError(f"{self.url}{path} did not answer ({error}); is the service running there?") from error
