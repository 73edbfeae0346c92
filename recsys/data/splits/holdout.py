"""The result of a split: a training log, and queries with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.feedback import RatingScale, described
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.verdicts import Verdict, Verdicts, untold
from recsys.types import Floats, Kinds


@final
@dataclass(frozen=True, eq=False)
class Holdout:
    """Queries and their relevant items.

    Numbers are those of the training log's vocabularies. A held-out item outside training is `UNKNOWN` (-1): it stays
    in `relevant`, as an item that no model can recommend, and reports count it.

    Attributes:
        queries: one per user; the history visible at `now`, and the items excluded from recommendation.
        relevant: rows of distinct relevant item numbers.
        user_ids: "queries", external ids (cold users have no number).
        candidates: if set, only these items of each query are ranked (sampled metrics of the `paper` protocol).
        fingerprint: of the training log whose numbers these are; None where it is not known.
        repeats: the task is to use items again: relevant items may be among the user's events of training. Then set
            `queries.exclude`, as no item of a history is recommended otherwise.
        values: "relevant", aligned with `relevant.items`: the rating that came with the item, NaN where none did; None
            where it is not known, as where questions are made by hand.
        kinds: "relevant", codes of `recsys.data.feedback.KINDS`; None: nothing is said.
        scale: how people rate in the log; None: it has no ratings that differ.
        log_kinds: the kinds of events in the log; None: those of the questions.
        rejected: rows of distinct held-out items that were disliked or skipped, and are not relevant; None: none.
    """

    queries: Queries
    relevant: Ragged
    user_ids: npt.NDArray[np.object_]
    candidates: Ragged | None = None
    fingerprint: str | None = None
    repeats: bool = False
    values: Floats | None = None
    kinds: Kinds | None = None
    scale: RatingScale | None = None
    log_kinds: tuple[str, ...] | None = None
    rejected: Ragged | None = None

    def __post_init__(self) -> None:
        if not len(self.queries) == len(self.relevant) == len(self.user_ids):
            raise ValueError("queries, relevant and user_ids must have one row per query")
        for name, column in (("values", self.values), ("kinds", self.kinds)):
            if column is not None and len(column) != len(self.relevant.items):
                raise ValueError(f"{name} must be aligned with the relevant items")

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"Holdout({len(self)} queries, {len(self.relevant.items)} relevant items)"

    @cached_property
    def verdicts(self) -> Verdicts | None:
        """What the users made of the relevant items; None where that is not known."""
        if self.values is None:
            return None
        unknown = tuple(self.untold)
        return Verdicts.of(
            self.relevant, self.values, self.kinds, self.queries, self.scale, unknown, rejected=self.rejected
        )

    @cached_property
    def untold(self) -> Mapping[Verdict, str]:
        """Why it is not known what users liked, or what they regretted; empty where it is."""
        if self.values is None:
            why = "the questions do not say what came with the relevant items (`Holdout.values`)"
            return {"liked": why, "regretted": why}
        kinds = self.log_kinds
        if kinds is None:
            columns = [column for column in (self.kinds, self.queries.kinds) if column is not None]
            kinds = tuple(described(np.concatenate(columns))) if columns else ()
        return untold(self.scale, kinds)

    def take(self, rows: npt.NDArray[np.integer]) -> Holdout:
        """Return the given queries, in that order."""
        entries = self.relevant.positions(rows)
        return Holdout(
            self.queries.take(rows),
            self.relevant.take(rows),
            self.user_ids[rows],
            None if self.candidates is None else self.candidates.take(rows),
            self.fingerprint,
            self.repeats,
            None if self.values is None else self.values[entries],
            None if self.kinds is None else self.kinds[entries],
            self.scale,
            self.log_kinds,
            None if self.rejected is None else self.rejected.take(rows),
        )


@final
@dataclass(frozen=True, eq=False)
class Split:
    """A training log with validation and test queries.

    Attributes:
        train: fit on this only; its vocabularies hold only the users and items that occur in it.
        valid: for the choice of epochs and hyper-parameters.
        test: for the final report.
        name: as on the command line, e.g. "global_time".
        leaks_time: whether training may contain events later than a test query (every report says so).
        seed: seed of the random draws; None without any.
        notes: facts for reports, e.g. the number of cold events.
    """

    train: Interactions
    valid: Holdout
    test: Holdout
    name: str
    leaks_time: bool
    seed: int | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Split({self.name}: train {self.train!r}, valid {self.valid!r}, test {self.test!r})"
