"""Questions, and the answers that people give to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from recsys.checks import choice, number, whole
from recsys.errors import DataError

AnswerKind = Literal["rating", "like", "dislike", "dont_know", "prefer", "same"]
"""A rating has a value; "dont_know" says that the item, or one of a pair, is not known; the last two answer pairs."""

MOST_ANSWERS = 200
"""Of one interview."""

_PAIRS = "prefer", "same"


@final
@dataclass(frozen=True)
class PairQuestion:
    """Two items, of which the person says which one is better."""

    first: int
    second: int


@final
@dataclass(frozen=True)
class Answer:
    """What a person says of an item, or of two.

    Attributes:
        item: its number; of "prefer" the one that is preferred.
        kind: what is said.
        value: the rating.
        other: the number of the other item of a pair.

    Raises:
        ConfigError: there is no such kind of answer, or an item is no number of one.
        DataError: a rating without a finite value, a value of another kind, or a pair of one item.
    """

    item: int
    kind: AnswerKind
    value: float | None = None
    other: int | None = None

    def __post_init__(self) -> None:
        choice("answer", self.kind, AnswerKind)
        for item in (self.item,) if self.other is None else (self.item, self.other):
            whole("the item of an answer", item, least=0)  # UNKNOWN would be read as the last one
        if self.kind == "rating":
            number("the rating of an answer", self.value)
        elif self.value is not None:
            raise DataError(f"an answer {self.kind!r} with the value {self.value:g}; leave it out, or say 'rating'")
        if self.other == self.item:
            raise DataError("a pair of one item; name two different ones")
        if self.kind != "dont_know" and (self.kind in _PAIRS) == (self.other is None):
            raise DataError(f"the answer {self.kind!r} is about {'two items' if self.kind in _PAIRS else 'one item'}")
