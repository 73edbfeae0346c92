"""A replay that rules of forgetting are compared on, and the calibration set of its questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.stream import QuestionSettings, Stream
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset
from recsys.errors import DataError
from recsys.evaluation.prequential.replay import replay
from recsys.evaluation.prequential.result import Replay
from recsys.models.base import Recommender
from recsys.models.calibration_set import CalibrationSet


@final
@dataclass(frozen=True, eq=False)
class Stage:
    """A replay for tuning (validation) or the one that is reported (test).

    A validation stage ends where its log does: give it `events_before(log, start of the test stage)`.

    Attributes:
        model: fitted on earlier events than the questions.
        log: the stream; user numbers as in every other stage of the same run.
        start: time of the first events that are questions, as in `replay`.
        question_settings: when the question is asked, and how many questions.
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
        chunk = min(self.chunk, forgetting.chunk) if isinstance(forgetting, DetectorReset) else self.chunk
        options: dict[str, Any] = {"question_settings": self.question_settings, "chunk": chunk}
        return replay(self.model, self.log, self.start, forgetting, **(options | more))

    def calibration_set(self) -> CalibrationSet:
        """Return the questions with an item that the model knows and a visible past, in the order of time.

        Raises:
            DataError: there are none.
        """
        stream = Stream.of(self.log, self.start, self.question_settings)
        fitted = self.model.fitted_on
        trained = np.append(fitted.item_counts > 0, False)  # UNKNOWN (-1) points at the end
        known = stream.relevant.sum(trained[fitted.translation(self.log).items][stream.relevant.items])
        rows = np.flatnonzero((known > 0) & (stream.n_visible > 0))
        if len(rows) == 0:
            raise DataError(
                f"{self.log.name}: none of the {len(stream)} validation questions is about an item that the model was "
                "fitted on and of a user with a visible past, so nothing can be learned or tuned; give a longer "
                "validation part, or a longer log"
            )
        return CalibrationSet(self.model, stream, rows, seed=self.seed)
