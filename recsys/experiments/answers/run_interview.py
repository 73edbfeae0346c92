"""Interviews of somebody new for a run: a few questions, a list after each screen, a history file at the end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, final

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.titles import year_of
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.interview import Interview, Progress
from recsys.elicitation.leanings import Leaning, leanings
from recsys.elicitation.questions import Answer, AnswerKind
from recsys.errors import DataError, nearest
from recsys.experiments.answers.answer_files import read_rows
from recsys.experiments.runs import load_model, run_log
from recsys.files import write_text
from recsys.models.base import FittedOn

_SAID: Final[Mapping[str, AnswerKind]] = {
    "like": "like",
    "liked": "like",
    "dislike": "dislike",
    "disliked": "dislike",
    "dont_know": "dont_know",
    "don't know": "dont_know",
    "unknown": "dont_know",
}

_HISTORY: Final = ("item", "kind", "rating")


@final
@dataclass(frozen=True, eq=False)
class RunInterview:
    """An interview in the items of a run.

    Attributes:
        interview: of the crowd of the run's log.
        items: ids of the items.
        metadata: titles and genres of the items.
        scale: the lowest and the highest rating; None: the log has none.
    """

    interview: Interview
    items: Vocabulary
    metadata: ItemMetadata
    scale: tuple[float, float] | None

    @classmethod
    def of(
        cls,
        run: Path,
        *,
        source: str | None = None,
        columns: Mapping[str, Any] | None = None,
        allow: Iterable[type | str] = (),
    ) -> Self:
        """Learn what to ask from the log of a finished run.

        Args:
            run: its directory.
            source: read the log from here instead of where the run read it.
            columns: how to read it, in addition to what the run recorded.
            allow: classes from elsewhere that the run's bundle may name.

        Raises:
            DataError, BundleError: there is no such run, or its log cannot be read.
        """
        model = load_model(run, allow)
        log: Interactions = run_log(run, model, source, columns)
        crowd = Crowd.of(log)
        return cls(Interview.of(crowd), log.items, _metadata(log, model.fitted_on), crowd.scale)

    def progress(
        self, answers: Sequence[Answer], screen: int = 4, n: int = 10, skipped: Sequence[int] = ()
    ) -> Progress:
        """Return the next screen, the list, and how much is known."""
        return self.interview.progress(answers, screen, n, skipped)

    def leanings(self, found: Progress, answers: Sequence[Answer]) -> tuple[Leaning, ...]:
        """Return the genres that the answers moved most; none before any answer."""
        answered = [answer.item for answer in answers]
        return leanings(found.expected, found.before, self.metadata, answered) if answers else ()

    def item(self, number: int) -> dict[str, Any]:
        """Return an item as plain values."""
        title = self.metadata.titles[number]
        genres = list(self.metadata.genres[number])
        return {"item_id": self.items.id_of(number), "title": title, "year": year_of(title), "genres": genres}

    def described(self, found: Progress, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return where an interview stands as plain values."""
        return {
            "questions": [self.item(item) for item in found.questions],
            "items": [self.item(item) for item in found.items],
            "known": found.known,
            "leanings": [{"genre": each.genre, "lift": each.lift} for each in self.leanings(found, answers)],
        }

    def read_answers(self, path: Path) -> list[Answer]:
        """Return the answers in a CSV file with the columns `item` and `answer`: a rating, or like, dislike, dont_know.

        Raises:
            DataError: naming file, line, value and cure. Of several answers about one item the last counts.
        """
        answers: dict[int, Answer] = {}
        for where, (name, answer, kind) in read_rows(path, ("item", "answer", "kind"), ("item", "answer")):
            said = (answer or kind).casefold()
            if not said or not name:
                raise DataError(f"{where}: no item and answer; give the columns item,answer in each row")
            (number,) = self.items.numbers([name]).tolist()
            if number == UNKNOWN:
                hint = nearest(name, map(str, self.items.ids)) or nearest(name, self.metadata.titles)
                raise DataError(f"{where}: the model does not know the item {name!r}{hint}")
            answers[number] = self._answer(where, number, said)
        return list(answers.values())

    def _answer(self, where: str, number: int, said: str) -> Answer:
        if said in _SAID:
            return Answer(number, _SAID[said])
        try:
            value = float(said)
        except ValueError:
            hint = nearest(said, dict.fromkeys(_SAID.values()))
            raise DataError(
                f"{where}: the answer {said!r} is no rating, and not like, dislike or dont_know{hint}"
            ) from None
        if self.scale is None or not self.scale[0] <= value <= self.scale[1]:
            scale = (
                "the log has no ratings"
                if self.scale is None
                else f"ratings go from {self.scale[0]:g} to {self.scale[1]:g}"
            )
            raise DataError(f"{where}: the rating {said}; {scale}")
        return Answer(number, "rating", value)

    def save_history(self, path: Path, answers: Sequence[Answer]) -> int:
        """Write what is known as a history file, which `recsys recommend --history` reads; return the number of items.

        It is CSV, or JSON lines where the file ends in .jsonl or an id has a line break, which no CSV of a log has.

        Raises:
            DataError: nothing is known, so that there is no history.
        """
        known = [answer for answer in answers if answer.kind in ("like", "dislike", "rating")]
        if not known:
            raise DataError(f"no title is known, so that there is no history to write to {path}; answer a few more")
        rows = [(self.items.id_of(answer.item), answer.kind, answer.value) for answer in known]
        if path.suffix.lower() == ".jsonl" or any(set(str(identifier)) & {"\r", "\n"} for identifier, *_ in rows):
            lines = (json.dumps(dict(zip(_HISTORY, row, strict=True)), ensure_ascii=False) for row in rows)
            write_text(path, "".join(f"{line}\n" for line in lines))
        else:
            text = io.StringIO()
            written = csv.writer(text, lineterminator="\n")
            written.writerows([_HISTORY, *((*row, "" if value is None else f"{value:g}") for *row, value in rows)])
            write_text(path, text.getvalue())
        return len(known)


def _metadata(log: Interactions, fitted: FittedOn) -> ItemMetadata:
    """Return titles and genres of a log's items: the model's, which may come from a file of items, else the log's."""
    own, known = log.metadata, fitted.metadata
    numbers = fitted.items.numbers(log.items.ids).tolist()
    rows = [(own, row) if number == UNKNOWN else (known, number) for row, number in enumerate(numbers)]
    return ItemMetadata(tuple(of.titles[row] for of, row in rows), tuple(of.genres[row] for of, row in rows))
