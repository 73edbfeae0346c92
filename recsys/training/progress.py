"""Estimates and reports the progress of a fit in closed form, which has no epochs to count."""

from __future__ import annotations

import sys
import time
from typing import final

import torch

from recsys.training.session import Session

_SHORT = 3.0
"""A fit that is expected to take fewer seconds is not announced."""

_INTERVAL = 5.0
"""Seconds between two lines."""

_PROBE = 1024
"""Size of the product that measures the machine; it takes some hundredths of a second."""


@final
class FitProgress:
    """Reports on standard error how long a fit will take, before it starts, and how far it is, while it runs.

    Silent without `Session.progress`, and where the fit is expected to take less than three seconds.

    Args:
        fit: the model and the size of the log.
        work: floating-point operations of the fit, as a dense product would do them.
        session: whether to report.
        memory_gb: expected peak memory in 10^9 bytes.
    """

    def __init__(self, fit: str, work: float, session: Session, memory_gb: float) -> None:
        self._fit = fit
        self._work = work
        self._done = 0.0
        self._started = self._last = time.monotonic()
        self._reports = session.progress and _seconds(work) >= _SHORT
        if self._reports:
            self._say(f"about {_text(_seconds(work))} and {memory_gb:.1f} GB of memory expected on this machine")

    def advance(self, work: float) -> None:
        """Add finished work; every five seconds a line says how much is left."""
        self._done = min(self._done + work, self._work)
        now = time.monotonic()
        if self._reports and 0 < self._done < self._work and now - self._last >= _INTERVAL:
            self._last = now
            left = (now - self._started) * (self._work / self._done - 1)
            self._say(f"{self._done / self._work:.0%} done, about {_text(left)} left")

    def _say(self, line: str) -> None:
        sys.stderr.write(f"{self._fit}: {line}\n")
        sys.stderr.flush()


def _seconds(work: float) -> float:
    """Return the expected seconds of dense work on this machine; small work is not measured."""
    if work < 1e10:
        return 0.0
    square = torch.ones(_PROBE, _PROBE)
    started = time.perf_counter()
    square @ square
    return work * (time.perf_counter() - started) / (2 * _PROBE**3)


def _text(seconds: float) -> str:
    """Return seconds as text.

    >>> _text(42.4), _text(600)
    ('42 seconds', '10 minutes')
    """
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
