"""Where pieces of work are done: in this process, or on the workers of an engine. The results are the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, final

Say = Callable[[str], None]


class Engine(AbstractContextManager["Engine"], ABC):
    """Calls functions, each with one argument and for one piece of work, and yields the results in order.

    Attributes:
        workers: pieces at a time.
        repeated: a line for each piece that was done again, as its worker was lost.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.repeated: list[str] = []

    @abstractmethod
    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        """Yield the result for each piece, in their order, whichever is done first.

        Args:
            function: can be pickled, and does the same whenever it is called.
            pieces: its arguments.
            what: name of a piece, for messages.

        Raises:
            What the function raises, and RecsysError where a piece loses its worker again and again.
        """


@final
class InProcess(Engine):
    """Does one piece after the other in this process."""

    def __init__(self) -> None:
        super().__init__(1)

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        return map(function, pieces)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
