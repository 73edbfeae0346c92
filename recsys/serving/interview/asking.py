"""Asks somebody, in the ids and titles of a catalogue; keeps nothing of anybody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.kinds import KINDS, NEGATIVE_KINDS, Kind
from recsys.data.queries import Queries
from recsys.data.uses import kinds_of_values
from recsys.data.vocabulary import UNKNOWN
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.interview import Interview
from recsys.elicitation.leanings import leanings
from recsys.elicitation.questions import MOST_ANSWERS, Answer
from recsys.errors import CapabilityError, DataError, nearest
from recsys.events.checks import shown
from recsys.models.base import FittedOn
from recsys.serving.answers import UnknownError
from recsys.serving.interview.records import InterviewItem, InterviewScreen, Leaned, SaidAnswer
from recsys.serving.items.catalogue import Catalogue

_ABOUT_ONE = ("rating", "like", "dislike", "dont_know")


@final
class Asking:
    """The interview of a served run, from the run's log.

    Args:
        model: fingerprint of the model.
        fitted: what the model knows of its log.
        catalogue: of the model.
        log: the run's log; None: the event store holds it, and nobody can be interviewed.
    """

    def __init__(self, model: str, fitted: FittedOn, catalogue: Catalogue, log: Interactions | None) -> None:
        self._model, self._fitted, self._catalogue = model, fitted, catalogue
        self._log = log
        self._interview: Interview | None = None
        self._scale: tuple[float, float] | None = None
        self._uses_are_likes = False

    def prepare(self) -> None:
        """Make the interview, where there is a log: about a second for a million events."""
        if self._interview is None and self._log is not None:
            crowd = Crowd.of(_in_numbers_of(self._log, self._fitted))
            self._interview, self._scale = Interview.of(crowd), crowd.scale
            self._uses_are_likes = abs(crowd.known - crowd.liked).nnz == 0
            self._log = None

    def screen(
        self,
        said: Sequence[SaidAnswer],
        n: int,
        screen: int,
        skipped: Collection[str] = (),
        removed: Collection[int] = (),
        history: Queries | None = None,
    ) -> InterviewScreen:
        """Return the next screen, and the list after the answers so far.

        Args:
            said: the answers, the earliest first; of several about one item the last counts.
            n: length of the list.
            screen: questions of a screen.
            skipped: items that are not to be asked about.
            removed: items that may be neither asked about nor listed.
            history: one user, whose events are answers, too, before these; None: somebody new.

        Raises:
            UnknownError: the model does not know an item.
            DataError: too many answers, an answer about two items, or a rating off the scale.
            CapabilityError: the service does not have the run's log.
        """
        interview = self._ready()
        answers, notes = self._read(said, interview)
        if history is not None:
            answers = self._with_history(history, answers)
        removed = {item for item in removed if item < len(self._fitted.items)}
        without = {self._number("skipped", place, item) for place, item in enumerate(skipped)} | removed
        found = interview.progress(answers, screen, n + len(removed), tuple(without))
        listed = [item for item in found.items if item not in removed][:n]
        answered = [answer.item for answer in answers]
        leaned = leanings(found.expected, found.before, self._fitted.metadata, answered) if answers else ()
        return InterviewScreen(
            self._model,
            tuple(self._item(item) for item in found.questions),
            tuple(self._item(item) for item in listed),
            found.known,
            tuple(Leaned(each.genre, each.lift) for each in leaned),
            tuple(notes),
        )

    def _ready(self) -> Interview:
        self.prepare()
        if self._interview is None:
            raise CapabilityError(
                "nobody can be interviewed, as the run's log is the event store itself; serve with --data FILE"
            )
        return self._interview

    def _read(self, said: Sequence[SaidAnswer], interview: Interview) -> tuple[list[Answer], list[str]]:
        if len(said) > MOST_ANSWERS:
            raise DataError(f"{len(said)} answers; an interview reads at most {MOST_ANSWERS}, send the newest")
        answers: dict[int, Answer] = {}
        notes = []
        for place, one in enumerate(said):
            where = f"answers[{place}]"
            if one.answer not in _ABOUT_ONE:
                raise DataError(
                    f"{where}: {shown(one.answer)} is about two items; one of {', '.join(_ABOUT_ONE)} is not"
                )
            number = self._number("answers", place, one.item_id)
            if one.answer == "rating":
                self._check_rating(where, one.value)
            if number in answers:
                notes.append(f"{self._catalogue.titles[number]} was answered twice; the later answer counts.")
            try:
                answers[number] = Answer(number, one.answer, one.value)
            except DataError as error:
                raise DataError(f"{where}: {error}") from None
        candidates = set(interview.bases.candidates.tolist())
        notes += [
            f"{self._catalogue.titles[number]} is known to too few people to say anything here; the model reads it."
            for number in answers
            if number not in candidates
        ]
        return list(answers.values()), notes

    def _with_history(self, history: Queries, answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers that a user's events are, and after them others; of one item the last counts.

        A use without a rating says nothing, unless all that the log has are uses.
        """
        told: dict[int, Answer] = {}
        kinds = history.kinds if history.kinds is not None else kinds_of_values(history.values)
        events = zip(history.history.items.tolist(), history.values.tolist(), kinds.tolist(), strict=True)
        for item, value, code in events:
            answer = None if item == UNKNOWN else self._of_event(item, value, KINDS[code])
            if answer is not None:
                told.pop(item, None)
                told[item] = answer
        for answer in answers:
            told.pop(answer.item, None)
            told[answer.item] = answer
        return list(told.values())[-MOST_ANSWERS:]

    def _of_event(self, item: int, value: float, kind: Kind) -> Answer | None:
        if kind in NEGATIVE_KINDS:
            return Answer(item, "dislike")
        if kind == "rating" and self._scale is not None and isfinite(value):
            return Answer(item, "rating", min(max(value, self._scale[0]), self._scale[1]))
        return Answer(item, "like") if kind in ("like", "buy") or self._uses_are_likes else None

    def _check_rating(self, where: str, value: float | None) -> None:
        if self._scale is None:
            raise DataError(f"{where}: the log has no ratings; say like, dislike or dont_know")
        low, high = self._scale
        if value is None or not low <= value <= high:
            said = "no value" if value is None else f"the value {value:g}"
            raise DataError(f"{where}: a rating with {said}; ratings go from {low:g} to {high:g}")

    def _number(self, field: str, place: int, item_id: str) -> int:
        number = self._catalogue.numbers.get(item_id)
        if number is None or number >= len(self._fitted.items):  # nobody's answers tell of a new item
            near = nearest(item_id, self._catalogue.titles) or nearest(item_id, self._catalogue.ids)
            raise UnknownError(
                f"{field}[{place}]: the model does not know the item {shown(item_id)}{near}; GET /v1/items finds "
                "ids by title"
            )
        return number

    def _item(self, number: int) -> InterviewItem:
        catalogue = self._catalogue
        return InterviewItem(
            catalogue.ids[number], catalogue.titles[number], catalogue.years[number], catalogue.genres[number]
        )


def _in_numbers_of(log: Interactions, fitted: FittedOn) -> Interactions:
    """Return the events of a log whose item a model knows, in its numbers."""
    numbers = fitted.items.numbers(log.items.ids)[log.item_num]
    known = numbers != UNKNOWN
    kept = log.select(known)
    return Interactions(
        kept.user_num,
        numbers[known].astype(np.int32),
        kept.value,
        kept.time,
        log.users,
        fitted.items,
        fitted.metadata,
        log.clock,
        log.name,
        kept.kinds,
    )
