"""Where pieces of work are done: in this process, or on the workers of an engine. The results are the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, final

Result = TypeVar("Result")
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

    @abstractmethod
    def own(self, pieces: int) -> range:
        """Return the numbers of the pieces that are done in this process."""

    def together(self, function: Callable[[Engine], Result], most: int, folder: Path) -> Result:
        """Call a function in several processes at once, which it may make talk to each other by `torch.distributed`;
        here in the processes that there are.

        When one of them is lost, all begin again: the function goes on from what it has written.

        Args:
            function: can be pickled; called with the engine that shares pieces among these processes, in all of which
                the calls of its `map` are the same.
            most: processes.
            folder: one that all can write to.

        Returns:
            What it returns in the first process.

        Raises:
            What the function raises, and RecsysError where processes are lost again and again.
        """
        return function(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@final
class InProcess(Engine):
    """Does one piece after the other in this process."""

    def __init__(self) -> None:
        super().__init__(1)

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        return map(function, pieces)

    def own(self, pieces: int) -> range:
        return range(pieces)
