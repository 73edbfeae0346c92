"""Results on a split, and paired tests on users between its configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from benchmarks.tools.cells import Cells
from benchmarks.tools.differences import Difference
from benchmarks.tools.grid import Arena, Budget, Outcome
from benchmarks.tools.report import mean_and_deviation

OWN, TWIN = "ampcf", "ampcf_twin"
TWINS = ((OWN, TWIN), ("ampcf_latent", "ampcf_latent_twin"))
"""Models of several personas and their one-persona twins; the first is the one whose bars count."""

BASELINES = ("popularity", "itemknn", "ease", "ials", "bpr", "mf")


@final
@dataclass(frozen=True)
class Result:
    """Outcomes of all configurations on a split."""

    dataset: str  # name of the log
    split: str  # name of the split
    arena: Arena | None  # the split itself; None where the log could not be used
    budget: Budget  # of every model
    outcomes: dict[str, Outcome]  # by configuration
    failure: str | None  # the reason, where the log could not be used
    fingerprint: str = ""  # of the whole log

    @property
    def title(self) -> str:
        """The log and the split, as a heading."""
        return f"{self.dataset}, {self.split}"

    def ok(self, name: str) -> Outcome | None:
        """Return the outcome of a configuration that was run and did not fail."""
        outcome = self.outcomes.get(name)
        return outcome if outcome is not None and outcome.runs else None

    @property
    def fidelity(self) -> dict[str, Any] | None:
        """Result of `measure_fidelity` for our model; None where it was not measured."""
        own = self.ok(OWN)
        return own.runs[0].get("fidelity") if own else None

    def effective_personas(self) -> tuple[float, int] | None:
        """Return the fewest effective personas of our model over its seeds, and K; None where they do not apply."""
        own = self.ok(OWN)
        if own is None or own.experiment is None or not own.runs[0]["health"]:
            return None
        effective = min(float(run["health"]["effective"]) for run in own.runs)
        return effective, int(own.experiment.arguments["personas"])

    def mean(self, name: str, metric: str) -> float:
        """Return the mean of a test metric over seeds."""
        return mean_and_deviation(self.outcomes[name].values(metric))[0]


def paired(result: Result, own: str, other: str, metrics: Sequence[str], cells: Cells) -> list[Difference]:
    """Compare two configurations on the users of a split; nothing where one of them has no result."""
    first, second = result.ok(own), result.ok(other)
    if first is None or second is None:
        return []
    a = [evaluation.per_user for evaluation in first.evaluations(cells)]
    b = [evaluation.per_user for evaluation in second.evaluations(cells)]
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    return Difference.over_seeds(result.title, (own, a), (other, b), metrics)


def best_baseline(result: Result, metric: str = "ndcg@10") -> str | None:
    """Return the baseline with the best *test* mean: the hardest choice to beat."""
    finished = [name for name in BASELINES if result.ok(name) is not None]
    return max(finished, key=lambda name: result.mean(name, metric)) if finished else None
