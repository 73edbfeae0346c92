"""Interviews of somebody new about pairs of texts: which of two is better, and which texts suit the person best."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np

from recsys.data.pairs import PairLog
from recsys.data.vocabulary import UNKNOWN
from recsys.elicitation.interview import checked
from recsys.elicitation.pair_choice import PairsByInformation
from recsys.elicitation.questions import Answer, AnswerKind, PairQuestion
from recsys.elicitation.taste import TasteBelief
from recsys.elicitation.taste_bases import TasteBases
from recsys.errors import DataError, nearest
from recsys.experiments.answers.answer_files import read_rows
from recsys.files import write_text
from recsys.models.preference.reward import PersonaReward

_SAID: Final[Mapping[str, AnswerKind]] = {"prefer": "prefer", "same": "same", "dont_know": "dont_know"}
_COLUMNS: Final = ("item", "other", "answer")


@final
@dataclass(frozen=True)
class PairProgress:
    """Where an interview stands.

    Attributes:
        question: the next pair; None when nothing is left to ask.
        items: the texts that suit the person best, best first, without those that were shown.
        known: share of the variance between people that the answers explain, from 0 to 1.
    """

    question: PairQuestion | None
    items: tuple[int, ...]
    known: float


@final
@dataclass(frozen=True, eq=False)
class PairInterview:
    """An interview about the pairs of a log of choices, over the coordinates of a reward with personas.

    Attributes:
        log: the choices of other people.
        bases: of the reward.
        chooser: of pairs that somebody chose between.
    """

    log: PairLog
    bases: TasteBases
    chooser: PairsByInformation

    @classmethod
    def of(cls, log: PairLog, personas: int = 4, seed: int = 0) -> Self:
        """Train a reward on a log of choices.

        Args:
            log: with item vectors.
            personas: K of the reward.
            seed: of the reward, and of the pairs that are looked at.

        Raises:
            DataError: the log has no vectors.
        """
        reward = PersonaReward("persona", personas=personas, seed=seed).fit(log)
        assert log.vectors is not None
        bases = TasteBases.of_rewards(*reward.bases(log.vectors))
        pairs = np.unique(np.sort(np.stack([log.pairs.winner, log.pairs.loser], 1), axis=1), axis=0)
        return cls(log, bases, PairsByInformation(bases, pairs.astype(np.int64), seed=seed))

    def progress(self, answers: Sequence[Answer], n: int = 10) -> PairProgress:
        """Return the next pair, the best texts and how much is known.

        Raises:
            DataError: there are more than 200 answers.
        """
        belief = TasteBelief.of(self.bases, checked(answers))
        expected = belief.expected.copy()
        expected[[item for one in answers for item in (one.item, one.other) if item is not None]] = -np.inf
        order = np.argsort(-expected, kind="stable")[:n]
        items = tuple(order[np.isfinite(expected[order])].tolist())
        return PairProgress(self.chooser.next(answers), items, max(0.0, belief.known))

    def text(self, item: int) -> str:
        """Return the text of an item; its id where the log has no texts."""
        return str(self.log.items.id_of(item)) if self.log.texts is None else self.log.texts[item]

    def described(self, found: PairProgress) -> dict[str, Any]:
        """Return where an interview stands as plain values."""
        question = found.question
        return {
            "question": None if question is None else [self._item(question.first), self._item(question.second)],
            "items": [self._item(item) for item in found.items],
            "known": found.known,
        }

    def _item(self, item: int) -> dict[str, Any]:
        return {"item": self.log.items.id_of(item), "text": self.text(item)}

    def read_answers(self, path: Path) -> list[Answer]:
        """Return the answers in a CSV file with the columns `item`, `other`, `answer`: prefer, same or dont_know.

        Raises:
            DataError: naming file, line, value and cure. Of several answers about one pair the last counts.
        """
        answers: dict[frozenset[int], Answer] = {}
        for where, (item, other, said) in read_rows(path, _COLUMNS, _COLUMNS):
            if not (item and other and said):
                raise DataError(f"{where}: no {','.join(_COLUMNS)}; give all three in each row")
            if said.casefold() not in _SAID:
                raise DataError(
                    f"{where}: the answer {said!r} is none of {', '.join(_SAID)}{nearest(said.casefold(), _SAID)}"
                )
            first, second = (self._number(where, name) for name in (item, other))
            try:
                answer = Answer(first, _SAID[said.casefold()], other=second)
            except DataError as error:
                raise DataError(f"{where}: {error}") from None
            answers[frozenset((first, second))] = answer
        return list(answers.values())

    def _number(self, where: str, name: str) -> int:
        (number,) = self.log.items.numbers([name]).tolist()
        if number == UNKNOWN:
            raise DataError(
                f"{where}: {self.log.name} has no item {name!r}{nearest(name, map(str, self.log.items.ids))}"
            )
        return int(number)

    def save_choices(self, path: Path, answers: Sequence[Answer]) -> int:
        """Write the choices as a log of choices of the user `you`; return how many there are.

        Raises:
            DataError: nothing was preferred, so that there is nothing to write.
        """
        chosen = [(one.item, one.other) for one in answers if one.kind == "prefer" and one.other is not None]
        if not chosen:
            raise DataError(f"no text was preferred, so that there is no choice to write to {path}; answer a few more")
        written = io.StringIO()
        rows = csv.writer(written, lineterminator="\n")
        rows.writerow(("user", "chosen", "rejected"))
        rows.writerows(("you", self.log.items.id_of(first), self.log.items.id_of(second)) for first, second in chosen)
        write_text(path, written.getvalue())
        return len(chosen)
