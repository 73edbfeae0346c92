"""The records of an interview, which become JSON as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from recsys.elicitation.questions import AnswerKind


@final
@dataclass(frozen=True)
class SaidAnswer:
    """What somebody says of an item: `answer` is rating, like, dislike or dont_know; a rating has a value."""

    item_id: str
    answer: AnswerKind
    value: float | None = None


@final
@dataclass(frozen=True)
class InterviewItem:
    """An item that is asked about or listed; `year` where the title ends in one."""

    item_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]


@final
@dataclass(frozen=True)
class Leaned:
    """A genre, and by what factor its share of what is expected to be liked differs from everybody's."""

    genre: str
    lift: float


@final
@dataclass(frozen=True)
class InterviewScreen:
    """Where an interview stands after the answers of a request.

    Attributes:
        model: fingerprint of the model.
        questions: the next screen; empty when nothing is left to ask.
        items: the list after the answers, best first.
        known: share of all that could be asked that the answers tell of what is liked, from 0 to 1.
        leanings: genres that the answers moved most, the largest lift first.
        notes: what became of answers that do not count as they were sent, in sentences.
    """

    model: str
    questions: tuple[InterviewItem, ...]
    items: tuple[InterviewItem, ...]
    known: float
    leanings: tuple[Leaned, ...]
    notes: tuple[str, ...]
