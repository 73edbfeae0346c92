"""Result of an evaluation: a table per user and its means, in one Parquet file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self, final

import pandas as pd

from recsys.errors import DataError
from recsys.evaluation.strata import summarise_strata
from recsys.evaluation.tables import read_table, write_table

_KEY = b"recsys.evaluation"
_FORMAT = 1


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of a model on a holdout.

    Attributes:
        per_user: one row per question: `user_id`, `n_relevant`, `n_history`, `served`, `taste_entropy`, the columns of
            strata, and one column per metric and cutoff such as "ndcg@10"; NaN where a metric is not defined.
        metrics: the metric columns of `per_user`.
        overall: metrics of all lists together: "coverage@10", "gini@10".
        cutoffs: ascending list lengths.
        unreachable_relevant: number of relevant items that are not in training, which no model can recommend.
        undefined: why a metric is defined for nobody, by its name without cutoff.
    """

    per_user: pd.DataFrame
    metrics: tuple[str, ...]
    overall: dict[str, float]
    cutoffs: tuple[int, ...]
    unreachable_relevant: int
    undefined: dict[str, str] = field(default_factory=dict)

    @cached_property
    def summary(self) -> dict[str, float]:
        """The mean of each metric over the users for whom it is defined (NaN if for none), and `overall`."""
        return {name: float(self.per_user[name].mean()) for name in self.metrics} | self.overall

    @cached_property
    def strata(self) -> pd.DataFrame:
        """The means in each group of users; see `recsys.evaluation.strata.summarise_strata`."""
        return summarise_strata(self.per_user, self.metrics)

    @property
    def users(self) -> int:
        """Number of questions."""
        return len(self.per_user)

    @property
    def users_without_relevant(self) -> int:
        """Number of users without relevant items: they have lists, but no ranking metrics."""
        return int((self.per_user["n_relevant"] == 0).sum())

    @property
    def users_without_hits(self) -> int | None:
        """Number of users with relevant items but no hit in their longest list; None where neither metric tells.

        They have no regret.
        """
        hit, regret = (f"{name}@{self.cutoffs[-1]}" for name in ("hr", "regret"))
        if hit in self.metrics:
            return int((self.per_user[hit] == 0).sum())
        if regret in self.metrics and bool(self.per_user[regret].notna().any()):
            return int((self.per_user[regret].isna() & (self.per_user["n_relevant"] > 0)).sum())
        return None

    @property
    def cold_users(self) -> int:
        """Number of users the model was not trained on."""
        return int((self.per_user["user_kind"] == "cold").sum())

    @property
    def unserved_users(self) -> int:
        """Number of cold users whom the model cannot serve; their lists are the most popular items."""
        return int((~self.per_user["served"]).sum())

    @property
    def counts(self) -> dict[str, int]:
        """All counts by name, for reports."""
        names = ("users", "users_without_relevant", "cold_users", "unserved_users", "unreachable_relevant")
        counts = {name: getattr(self, name) for name in names}
        return counts if self.users_without_hits is None else counts | {"users_without_hits": self.users_without_hits}

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file; it appears complete or not at all.

        The rows are `per_user`; the rest is in the file's metadata.
        """
        names = ("metrics", "overall", "cutoffs", "unreachable_relevant", "undefined")
        extra = {name: getattr(self, name) for name in names}
        return write_table(self.per_user, Path(path), _KEY, {"format": _FORMAT} | extra)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, unreadable, not written by `save`, or of a later format.
        """
        rows, extra = read_table(path, _KEY, "a per-user table", "evaluate the run again")
        if not extra:
            raise DataError(f"{path}: this Parquet file was not written by an evaluation; give the file of a run")
        if extra["format"] != _FORMAT:
            raise DataError(
                f"{path}: format {extra['format']} of the per-user table is unknown to this version, which reads "
                f"{_FORMAT}; evaluate the run again or update the library"
            )
        metrics, cutoffs = tuple(extra["metrics"]), tuple(extra["cutoffs"])
        undefined = extra.get("undefined", {})  # earlier versions recorded none
        return cls(rows, metrics, extra["overall"], cutoffs, extra["unreachable_relevant"], undefined)
