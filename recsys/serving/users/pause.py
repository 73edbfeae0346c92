"""How long a store that failed is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from recsys.events.store import StoreError

SECONDS: Final = 1.0
"""For so long, and as long again as the attempt took, a store that failed is not read by those who need not."""


@final
class StorePause:
    """Says whether a store failed of late: an attempt to read it may wait for many seconds."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the store may be read again."""
        return time.monotonic() >= self._until

    def end(self) -> None:
        """Note that the store answers."""
        self._until = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Begin a pause when the store fails within."""
        started = time.monotonic()
        try:
            yield
        except StoreError:
            now = time.monotonic()
            self._until = now + SECONDS + now - started
            raise
