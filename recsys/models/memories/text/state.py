"""What a text about a person's taste says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final, get_args

from recsys.errors import DataError

Word = Literal["mostly", "often", "sometimes", "a little", "lately", "avoids"]
WORDS: Final[tuple[Word, ...]] = get_args(Word)

WEIGHTS: Final[dict[Word, float]] = {
    "mostly": 1.0,
    "often": 0.45,
    "sometimes": 0.2,
    "a little": 0.07,
    "lately": 0.45,
    "avoids": -0.45,
}
"""What a title counts under each word."""

PLACES: Final[dict[Word, tuple[float, float]]] = {
    "mostly": (0.7, 1.0),
    "often": (0.3, 1.0),
    "sometimes": (0.1, 1.0),
    "a little": (0.0, 0.1),
    "lately": (0.3, 1.0),
    "avoids": (0.0, 0.0),
}
"""The least and the largest part of a list that has what stands under each word without titles."""

MOST_CHARACTERS: Final = 2_000
"""Of a text that is read."""


@final
class TextError(DataError):
    """A text cannot be read; the message names the word, and the nearest that is known or what to do."""


@final
@dataclass(frozen=True)
class Clause:
    """One thing that a text says, "often crime and thrillers of the 1990s like Heat (1995)".

    With titles the labels describe them, and change nothing; without titles they say what lists have.

    Attributes:
        word: how much.
        labels: genres (or tags) of which an item has one, and perhaps years as the last: "1990s", "1991 to 1996",
            "2008 on", "before 1970".
        titles: item numbers.
    """

    word: Word
    labels: tuple[str, ...] = ()
    titles: tuple[int, ...] = ()


@final
@dataclass(frozen=True)
class TasteText:
    """A text as data; without clauses it says nothing, and popular titles are recommended."""

    clauses: tuple[Clause, ...] = ()

    @property
    def titles(self) -> dict[int, float]:
        """The weight of each title."""
        return {item: WEIGHTS[clause.word] for clause in self.clauses for item in clause.titles}

    @property
    def wishes(self) -> tuple[Clause, ...]:
        """What the text says of lists: the clauses without titles."""
        return tuple(clause for clause in self.clauses if not clause.titles)
