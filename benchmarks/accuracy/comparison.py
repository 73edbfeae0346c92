"""Who beat whom: paired tests on users between the configurations of a split, corrected over the whole report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import pandas as pd

from benchmarks.tools.cells import Cells
from benchmarks.tools.grid import Arena, Budget, Outcome
from benchmarks.tools.report import mean_and_deviation
from recsys.evaluation.significance import compare_seeds, holm

TWINS = (("ampcf", "ampcf_twin"), ("ampcf_latent", "ampcf_latent_twin"))
"""Models of several personas and their one-persona twins; the first is the one whose bars count."""

BASELINES = ("popularity", "itemknn", "ease", "ials", "bpr", "mf")
LOWER_IS_BETTER = ("tdd@10", "tdd_excess@10")
LEVEL = 0.05


@final
@dataclass(frozen=True)
class Result:
    """All that was measured on a split.

    Attributes:
        dataset: name of the log.
        split: name of the split.
        arena: the split itself; None where the log could not be used.
        budget: of every model.
        outcomes: by configuration.
        failure: why the log could not be used.
        fingerprint: of the whole log.
    """

    dataset: str
    split: str
    arena: Arena | None
    budget: Budget
    outcomes: dict[str, Outcome]
    failure: str | None
    fingerprint: str = ""

    @property
    def title(self) -> str:
        """The log and the split, as a heading."""
        return f"{self.dataset}, {self.split}"

    def ok(self, name: str) -> Outcome | None:
        """Return the outcome of a configuration that was run and did not fail."""
        outcome = self.outcomes.get(name)
        return outcome if outcome is not None and outcome.runs else None

    def mean(self, name: str, metric: str) -> float:
        """Return the mean of a test metric over seeds."""
        return mean_and_deviation(self.outcomes[name].values(metric))[0]


@final
@dataclass(frozen=True)
class Paired:
    """One paired comparison, the users' values averaged over seeds.

    Attributes:
        result: where.
        own: configuration A.
        other: configuration B.
        metric: what was compared.
        diff: mean of A - B over users.
        low: lower end of the 95% bootstrap interval.
        high: upper end.
        relative: diff over |B|.
        p: Wilcoxon signed-rank.
        p_holm: corrected over the family.
        users: who have the metric in both.
        by_seed: the differences of the single pairs of runs.
    """

    result: Result
    own: str
    other: str
    metric: str
    diff: float
    low: float
    high: float
    relative: float
    p: float
    p_holm: float
    users: int
    by_seed: tuple[float, ...]

    @property
    def gain(self) -> float:
        """The difference, positive where A is better."""
        return -self.diff if self.metric in LOWER_IS_BETTER else self.diff

    @property
    def outcome(self) -> str:
        """ "won", "lost" or "tie", by the corrected p-value and the sign of the mean."""
        if not self.p_holm < LEVEL or self.gain == 0:
            return "tie"
        return "won" if self.gain > 0 else "lost"


def paired(result: Result, own: str, other: str, metrics: Sequence[str], cells: Cells) -> list[Paired]:
    """Compare two configurations on the users of a split; nothing where one of them has no result."""
    first, second = result.ok(own), result.ok(other)
    if first is None or second is None:
        return []
    a = [evaluation.per_user for evaluation in first.evaluations(cells)]
    b = [evaluation.per_user for evaluation in second.evaluations(cells)]
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    table = compare_seeds(b, a, metrics)
    found = []
    for metric in metrics:
        rows = table[table["metric"] == metric]
        whole: pd.Series = rows[rows["runs"] == "average"].iloc[0]
        single = rows[rows["runs"] != "average"]["diff"]
        values = {name: float(whole[name]) for name in ("diff", "low", "high", "relative", "p", "p_holm")}
        found.append(
            Paired(result, own, other, metric, **values, users=int(whole["n"]), by_seed=tuple(single.astype(float)))
        )
    return found


def corrected(family: Sequence[Paired]) -> list[Paired]:
    """Return comparisons with p-values corrected (Holm) over all of them together."""
    p_values = holm([pair.p for pair in family])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(family, p_values, strict=True)]


def best_baseline(result: Result, metric: str = "ndcg@10") -> str | None:
    """Return the baseline with the best *test* mean: the choice that is hardest to beat."""
    there = [name for name in BASELINES if result.ok(name) is not None]
    return max(there, key=lambda name: result.mean(name, metric)) if there else None
