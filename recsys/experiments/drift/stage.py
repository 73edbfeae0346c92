"""A replay that rules of forgetting are compared on, and its questions as calibration_set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, membership
from recsys.data.stream import QuestionSettings, Stream
from recsys.data.translation import Translation
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset
from recsys.decay.temporal import TemporalDecay
from recsys.errors import DataError
from recsys.evaluation.prequential.replay import replay
from recsys.evaluation.prequential.result import Replay
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.rank_utility import rank_utilities
from recsys.types import Floats, Ints

_POPULATION_CHUNK = 64
"""Questions of a chunk where all users share a state, which lags by a chunk."""

_BATCH = 1024

_NEGATIVES = 64
"""Items that the event of a lesson is compared with, by rules that learn by gradient."""


@final
@dataclass(frozen=True, eq=False)
class Stage:
    """A replay that may be looked at (validation) or the one that is reported (test).

    A validation stage ends where its log does: give it `events_before(log, start of the test stage)`.

    Attributes:
        model: fitted on events that are not asked here.
        log: the stream; user numbers as in every other stage of the same run.
        start: a time from which on events are asked, as in `replay`.
        question_settings: windows, equal times, how many questions.
        chunk: questions between two checkpoints, and scored at a time, about; a population detector has smaller ones.
        seed: of the items that learning by gradient compares with.
    """

    model: Recommender
    log: Interactions
    start: int
    question_settings: QuestionSettings = QuestionSettings()
    chunk: int = 1024
    seed: int = 0

    def replay(self, forgetting: Forgetting | None, **more: Any) -> Replay:  # noqa: ANN401 - options of `replay`
        """Replay the stage with a rule; `more` are further options of `recsys.evaluation.prequential.replay.replay`."""
        shared = isinstance(forgetting, DetectorReset) and forgetting.scope == "population"
        chunk = min(self.chunk, _POPULATION_CHUNK) if shared else self.chunk
        options: dict[str, Any] = {"question_settings": self.question_settings, "chunk": chunk}
        return replay(self.model, self.log, self.start, forgetting, **(options | more))


@final
@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """The questions of a stage whose item the model knows, in the order of time: what a rule can learn from.

    Attributes:
        stage: whose questions; its model is the judge.
        stream: all questions of the stage.
        rows: "calibration_set", which of them, ascending.
    """

    stage: Stage
    stream: Stream
    rows: Ints

    @classmethod
    def of(cls, stage: Stage) -> CalibrationSet:
        """Find the calibration_set of a stage.

        Raises:
            DataError: there are none.
        """
        stream = Stream.of(stage.log, stage.start, stage.question_settings)
        fitted = stage.model.fitted_on
        trained = np.append(fitted.item_counts > 0, False)  # UNKNOWN (-1) points at the end
        known = trained[fitted.translation(stage.log).items][stream.items]
        rows = np.flatnonzero(known & (stream.n_visible > 0))
        if len(rows) == 0:
            raise DataError(
                f"{stage.log.name}: none of the {len(stream)} validation questions is of an item that the model was "
                "fitted on and of a user with a visible past, so nothing can be learned or tuned; give a longer "
                "validation part, or a longer log"
            )
        return cls(stage, stream, rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def users(self) -> npt.NDArray[np.int32]:
        """ "calibration_set", numbers of the log's users."""
        return self.stream.users[self.rows]

    def before(self, time: int) -> CalibrationSet:
        """Return the calibration_set earlier than a time."""
        return replace(self, rows=self.rows[self.stream.times[self.rows] < time])

    def situations(self, rule: TemporalDecay) -> Floats:
        """Return the situation of every question, also of those that teach nothing, "questions features"."""
        every = np.arange(len(self.stream))
        batches = self.stream.batches(every, _BATCH)
        return np.concatenate([rule.situation(self.stream.queries(rows, self._items)) for rows in batches])

    @property
    def visible(self) -> Ints:
        """ "calibration_set", length of the history that is visible at each."""
        return self.stream.n_visible[self.rows]

    def utility(self, hypotheses: Callable[[Queries, Ints], Floats]) -> Floats:
        """Return "calibration_set hypotheses": how well each hypothesis ranks the event, judged as in a replay.

        Args:
            hypotheses: of queries (users of the log) and the numbers of their calibration_set: "hypotheses events".
        """
        judged = []
        first = 0
        for rows in self.stream.batches(self.rows, _BATCH):
            queries = self.stream.queries(rows, self._items)
            items = self._items[self.stream.items[rows]]
            weights = hypotheses(queries, np.arange(first, first + len(rows)))
            judged.append(rank_utilities(self.stage.model, self._asked(queries), items, weights))
            first += len(rows)
        return np.concatenate(judged)

    def contributions(self, most: int) -> list[tuple[Queries, Floats]]:
        """Return batches of calibration_set with what each history event adds to the event's score and to sampled ones.

        Args:
            most: history events in all, at most; where there are more, calibration_set are left out evenly over time.
        """
        fold_in = as_fold_in(self.stage.model, "learning half-lives")
        total = int(self.stream.n_visible[self.rows].sum())
        spaced = np.unique(np.arange(0, len(self.rows), max(1.0, total / most)).astype(np.int64))
        batches = []
        for queries, items, sampled in self._compared(self.rows[spaced]):
            listed = (sampled != items[:, None]) & ~membership(sampled, queries.history)
            some = np.flatnonzero(listed.any(1))
            # A draw that a list could not hold is replaced by one of the same question that it could.
            first = np.take_along_axis(sampled, listed.argmax(1)[:, None], axis=1)
            every = np.concatenate([items[:, None], np.where(listed, sampled, first)], axis=1).astype(np.int32)
            asked = queries.take(some)
            if len(some):
                with torch.inference_mode():
                    added = fold_in.contributions(self._asked(asked), every[some]).float().cpu().numpy()
                batches.append((asked, added))
        return batches

    def _compared(
        self, calibration_set: Ints
    ) -> Iterator[tuple[Queries, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        """Yield batches of queries (users of the log), with the model's numbers of their items and of the samples."""
        for rows in self.stream.batches(calibration_set, _BATCH):
            items = self._items[self.stream.items[rows]]
            yield self.stream.queries(rows, self._items), items, self._drawn(rows)

    def _drawn(self, rows: Ints) -> npt.NDArray[np.int32]:
        """ "rows M", items by (training events)^.5: question q owns draws q M ... (q + 1) M - 1 of one stream."""
        bits = np.random.PCG64(self.stage.seed)
        bits.advance(int(rows[0]) * _NEGATIVES)
        uniform = np.random.Generator(bits).random((int(rows[-1] - rows[0]) + 1, _NEGATIVES))[rows - rows[0]]
        until = np.cumsum(np.sqrt(self.stage.model.fitted_on.item_counts.astype(np.float64)))
        drawn = np.searchsorted(until, uniform * until[-1], side="right")
        return np.asarray(np.minimum(drawn, len(until) - 1), dtype=np.int32)

    def _asked(self, queries: Queries) -> Queries:
        """The same questions with the model's user numbers."""
        return self._numbers.with_users(queries)

    @cached_property
    def _numbers(self) -> Translation:
        return self.stage.model.fitted_on.translation(self.stage.log)

    @property
    def _items(self) -> npt.NDArray[np.int32]:
        return self._numbers.items
