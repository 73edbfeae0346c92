"""Settings of an index of a run's items. It imports no library, so that a command line shows the defaults at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from recsys.checks import positive, seed_of_draws
from recsys.errors import ConfigError


@final
@dataclass(frozen=True)
class IndexSettings:
    """How an index is made, and what is required of it.

    Attributes:
        n: length of the lists that it is tuned for.
        recall: share of the exact lists that it must find.
        depth: candidates of each persona.
        questions: at most so many tune it, and as many others measure it.
        cells: of the index; None: twice the square root of the number of items.
        seed: of the cells and of the choice of questions.
        threads: that make the cells.
        force: keep an index that is hardly faster than the exact lists.

    Raises:
        ConfigError: a value is out of range.
    """

    n: int = 10
    recall: float = 0.97
    depth: int = 50
    questions: int = 500
    cells: int | None = None
    seed: int = 0
    threads: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        for name in ("n", "depth", "questions", "threads"):
            positive(name, getattr(self, name))
        seed_of_draws(self.seed)
        if self.cells is not None:
            positive("cells", self.cells)
        if not 0 < self.recall < 1:
            raise ConfigError(f"recall is {self.recall:g}; give a share between 0 and 1, such as 0.97")
