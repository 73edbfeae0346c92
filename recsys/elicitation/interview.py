"""`Interview`: a chooser and a belief; stateless, so that the answers so far are all that is needed to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import whole
from recsys.elicitation.choosing import Chooser, FixedList, greedy_list
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.questions import MOST_ANSWERS, Answer
from recsys.elicitation.ranking import RankingBases, RankingBelief
from recsys.errors import DataError
from recsys.types import Doubles, Ints


@final
@dataclass(frozen=True, eq=False)
class Progress:
    """Where an interview stands.

    Attributes:
        questions: items of the next screen; empty when nothing is left to ask.
        items: the list after the answers so far, best first, without answered items.
        expected: "items", the probability that each item of the catalogue is liked.
        before: "items", the same before any answer.
        known: share of what all answers would tell that is known, from 0 to 1.
    """

    questions: tuple[int, ...]
    items: tuple[int, ...]
    expected: Doubles
    before: Doubles
    known: float


@final
class Interview:
    """Asks few things of somebody of whom nothing is known, and lists what the answers say.

    It keeps nothing of anybody: the same answers get the same screen and the same list.

    Args:
        bases: of the ranking belief.
        chooser: of questions; None: `greedy_list(bases)`.
        liked_at: the lowest rating that counts as liked; None: every one.
    """

    def __init__(self, bases: RankingBases, chooser: Chooser | None = None, liked_at: float | None = None) -> None:
        self.bases = bases
        self.chooser: Chooser = greedy_list(bases) if chooser is None else chooser
        self.liked_at = liked_at

    @classmethod
    def of(cls, crowd: Crowd, *, candidates: int = 400, least_known: float = 0.0) -> Interview:
        """Return the interview that a crowd's answers make, with the greedy list of questions."""
        bases = RankingBases.of(crowd, most=candidates)
        return cls(bases, greedy_list(bases, least_known=least_known), crowd.liked_at)

    def next(self, answers: Sequence[Answer], n: int = 4, without: Sequence[int] = ()) -> list[int]:
        """Return the items of the next screen; see `Chooser.next`."""
        return self.chooser.next(checked(answers), n, without)

    def recommend(self, answers: Sequence[Answer], n: int = 10) -> Ints:
        """Return the n best items that were not answered, best first."""
        return best(RankingBelief(self.bases, checked(answers), self.liked_at).expected, answers, n)

    def progress(
        self, answers: Sequence[Answer], screen: int = 4, n: int = 10, without: Sequence[int] = ()
    ) -> Progress:
        """Return the next screen, the list, and how much is known.

        Raises:
            DataError: there are more than 200 answers.
        """
        whole("screen", screen)
        belief = RankingBelief(self.bases, checked(answers), self.liked_at)
        expected = belief.expected
        return Progress(
            tuple(self.chooser.next(answers, screen, without)),
            tuple(best(expected, answers, n).tolist()),
            expected,
            self.bases.liked,
            min(1.0, belief.known),
        )

    @property
    def questions(self) -> tuple[int, ...]:
        """What is asked, in order, where that does not depend on the answers; else nothing."""
        return self.chooser.items if isinstance(self.chooser, FixedList) else ()


def checked(answers: Sequence[Answer]) -> Sequence[Answer]:
    """Return the answers; raise a DataError for more than 200."""
    if len(answers) > MOST_ANSWERS:
        raise DataError(f"{len(answers)} answers; an interview reads at most {MOST_ANSWERS}, send the newest")
    return answers


def best(expected: Doubles, answers: Sequence[Answer], n: int) -> Ints:
    """Return the n items with the largest expectation that no answer is about, best first."""
    whole("n", n)
    left = expected.copy()
    left[[item for answer in answers for item in (answer.item, answer.other) if item is not None]] = -np.inf
    order = np.argsort(-left, kind="stable")[:n]
    return np.asarray(order[left[order] > -np.inf], np.int64)
