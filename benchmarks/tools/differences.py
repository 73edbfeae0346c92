"""Paired differences between two contenders of a benchmark, with Holm's correction over a family of them.

A family answers one question, and each difference has one p-value in a report: that of its family. One contender is
better where the interval of the mean and the corrected rank test agree (`recsys.evaluation.significance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import pandas as pd

from benchmarks.tools.report import interval, p_value, percent, signed
from recsys.evaluation.significance import LEVEL, compare, compare_seeds, established_sign, holm

LOWER_IS_BETTER: Final = ("tdd@10", "tdd_excess@10", "squared_error", "regret@10")

_NUMBERS: Final = ("diff", "relative", "low", "high", "rank_effect", "p", "p_holm")

COLUMNS: Final = ("diff", "relative", "95%", "p", "p (Holm)", "users")
"""Headings of `Difference.columns`."""


@final
@dataclass(frozen=True)
class Difference:
    """Difference of two contenders in a metric, paired over users whose values are averaged over seeds."""

    where: str  # log and split, world or stream
    own: str  # contender A
    other: str  # contender B
    metric: str  # of the comparison
    diff: float  # mean of A - B over users
    relative: float  # diff over |B|
    low: float  # lower end of the 95% bootstrap interval
    high: float  # upper end
    rank_effect: float  # direction of the ranks of A - B
    p: float  # Wilcoxon signed-rank
    p_holm: float  # corrected over the family
    users: int  # users with the metric in both
    by_seed: tuple[float, ...] = ()  # differences of the single pairs of runs

    @classmethod
    def of_row(
        cls, where: str, own: str, other: str, row: Mapping[Any, Any] | pd.Series, by_seed: Sequence[float] = ()
    ) -> Difference:
        """Take a row of `compare` or `compare_seeds`, with B as the baseline."""
        values = {name: float(row[name]) for name in _NUMBERS}
        return cls(where, own, other, str(row["metric"]), **values, users=int(row["n"]), by_seed=tuple(by_seed))

    @classmethod
    def between(
        cls, where: str, own: str, ours: pd.DataFrame, other: str, theirs: pd.DataFrame, metric: str = "ndcg@10"
    ) -> Difference:
        """Compare two tables with one row per user."""
        return cls.of_row(where, own, other, compare(theirs, ours, [metric]).iloc[0])

    @classmethod
    def by_lot(
        cls, where: str, own: str, ours: pd.DataFrame, other: str, theirs: pd.DataFrame, metric: str = "ndcg@10"
    ) -> Difference:
        """Compare two tables whose values are exchanged for every user by lot: a placebo, there is nothing to find."""
        pair = ours[["user_id", metric]].merge(theirs[["user_id", metric]], on="user_id", validate="one_to_one")
        values = pair[[f"{metric}_x", f"{metric}_y"]].to_numpy(np.float64)
        exchanged = np.random.default_rng(0).random(len(pair)) < 0.5
        values[exchanged] = values[exchanged, ::-1]
        first, second = (pd.DataFrame({"user_id": pair["user_id"], metric: column}) for column in values.T)
        return cls.between(where, own, first, other, second, metric)

    @classmethod
    def over_seeds(
        cls,
        where: str,
        own: tuple[str, Sequence[pd.DataFrame]],
        other: tuple[str, Sequence[pd.DataFrame]],
        metrics: Sequence[str],
    ) -> list[Difference]:
        """Compare the runs of two contenders, each a name and a table per seed, in several metrics."""
        compared = compare_seeds(other[1], own[1], metrics)
        average = compared["runs"] == "average"
        seeds = compared[~average].groupby("metric")["diff"].agg(list).to_dict()
        return [
            cls.of_row(where, own[0], other[0], row, seeds.get(row["metric"], ()))
            for row in compared[average].to_dict("records")
        ]

    @property
    def gain(self) -> float:
        """The difference, positive where A is better."""
        return -self.diff if self.metric in LOWER_IS_BETTER else self.diff

    def better(self, level: float = LEVEL) -> bool:
        """Whether A is established to be better: interval and corrected rank test agree."""
        return self._sign(level) > 0

    @property
    def outcome(self) -> str:
        """ "won" or "lost" where the difference is established, else "tie"."""
        return {1: "won", -1: "lost", 0: "tie"}[self._sign(LEVEL)]

    def _sign(self, level: float) -> int:
        sign = established_sign(self.low, self.high, self.rank_effect, self.p_holm, level)
        return -sign if self.metric in LOWER_IS_BETTER else sign

    @property
    def text(self) -> str:
        """The difference in one line: absolute, relative, corrected p-value."""
        return f"{signed(self.diff)} ({percent(self.relative)}), p {p_value(self.p_holm)}"

    def columns(self) -> list[str]:
        """Return the cells of a table below `COLUMNS`."""
        ends, tests = interval(self.low, self.high), (p_value(self.p), p_value(self.p_holm))
        return [signed(self.diff), percent(self.relative), ends, *tests, str(self.users)]


def corrected(family: Sequence[Difference]) -> list[Difference]:
    """Return the differences of one question with p-values corrected (Holm) over all of them."""
    p_values = holm([pair.p for pair in family])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(family, p_values, strict=True)]
