"""What a split produces: a training log, and questions with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged


@final
@dataclass(frozen=True, eq=False)
class Holdout:
    """Questions and the items that answer them.

    Numbers are those of the training log's vocabularies. A held-out item that does not occur in training is `UNKNOWN`
    (-1): it stays in `relevant` as an answer that no model could give, and is reported, never silently dropped.

    Attributes:
        queries: one per user; the history that is visible at `now`, and what must not be recommended.
        relevant: rows of distinct relevant item numbers.
        user_ids: "queries", external ids (cold users have no number).
        candidates: when set, only these items of each query are ranked (sampled metrics of the `paper` protocol).
    """

    queries: Queries
    relevant: Ragged
    user_ids: npt.NDArray[np.object_]
    candidates: Ragged | None = None

    def __post_init__(self) -> None:
        if not len(self.queries) == len(self.relevant) == len(self.user_ids):
            raise ValueError("queries, relevant and user_ids must have one row per query")

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, rows: npt.NDArray[np.integer]) -> Holdout:
        """Return the given questions, in that order."""
        return Holdout(
            self.queries.take(rows),
            self.relevant.take(rows),
            self.user_ids[rows],
            None if self.candidates is None else self.candidates.take(rows),
        )


@final
@dataclass(frozen=True, eq=False)
class Split:
    """A training log with validation and test questions.

    Attributes:
        train: fit on this, and on nothing else; its vocabularies hold only what occurs in it.
        valid: choose epochs and hyper-parameters on this.
        test: report this, once.
        name: the split as asked for on the command line, e.g. "global_time".
        leaks_time: whether training may contain events later than a test question (every report carries the mark).
        seed: seed of the random draws; None where nothing is drawn.
        notes: facts a report should print, e.g. how many cold events there are.
    """

    train: Interactions
    valid: Holdout
    test: Holdout
    name: str
    leaks_time: bool
    seed: int | None = None
    notes: tuple[str, ...] = ()
