"""Results on a split, and paired tests on the users whom all of its configurations serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
import pandas as pd

from benchmarks.tools.differences import Difference
from benchmarks.tools.grid import Arena, Budget, Outcome
from benchmarks.tools.report import mean_and_deviation
from recsys.evaluation.comparison import served_by_all
from recsys.types import Mask

OWN, TWIN = "persona_ease", "persona_ease_twin"
TWINS = ((OWN, TWIN), ("ampcf_latent", "ampcf_latent_twin"))
"""Models of several personas and their one-persona twins; the first is the one whose bars count."""

BASELINES = ("popularity", "itemknn", "ease", "ials", "bpr", "mf")


@final
@dataclass(frozen=True, eq=False)
class Result:
    """Outcomes of all configurations on a split."""

    dataset: str  # name of the log
    split: str  # name of the split
    arena: Arena | None  # the split itself; None where the log could not be used
    budget: Budget  # of every model
    outcomes: dict[str, Outcome]  # by configuration
    failure: str | None  # the reason, where the log could not be used
    fingerprint: str = ""  # of the whole log
    # per-user table of each run, by configuration; all on the same users in the same order
    tables: Mapping[str, Sequence[pd.DataFrame]] = field(default_factory=dict)
    inspection: Mapping[str, Any] | None = None  # of our model, see `benchmarks.accuracy.inspection`

    @property
    def title(self) -> str:
        """The log and the split, as a heading."""
        return f"{self.dataset}, {self.split}"

    def ok(self, name: str) -> Outcome | None:
        """Return the outcome of a configuration that was run and did not fail."""
        outcome = self.outcomes.get(name)
        return outcome if outcome is not None and outcome.runs else None

    @cached_property
    def served(self) -> Mask:
        """ "users": those with a relevant item whom every configuration serves from a history of their own."""
        masks = served_by_all([table for tables in self.tables.values() for table in tables])
        mask: Mask = np.logical_and.reduce([*masks, self._asked])
        return mask

    @cached_property
    def cold(self) -> Mask:
        """ "users": all others with a relevant item."""
        return self._asked & ~self.served

    @property
    def _asked(self) -> Mask:
        (first, *_), *_ = self.tables.values()
        return (first["n_relevant"] > 0).to_numpy(np.bool_)

    def values(self, name: str, metric: str, users: Mask | None = None) -> list[float]:
        """Return the mean of a metric over users (those whom all serve when None) of each run; NaN without users."""
        chosen = self.served if users is None else users
        return [float(table[metric][chosen].mean()) for table in self.tables[name]]

    def mean(self, name: str, metric: str) -> float:
        """Return the mean of a test metric over the users whom all configurations serve, and over seeds."""
        return mean_and_deviation(self.values(name, metric))[0]

    def within(self, name: str) -> list[pd.DataFrame]:
        """Return the per-user tables of a configuration, with only the users whom all configurations serve."""
        return [table[self.served] for table in self.tables[name]]

    @property
    def fidelity(self) -> dict[str, Any] | None:
        """Result of `measure_fidelity` for our model; None where it was not measured."""
        return None if self.inspection is None else self.inspection.get("fidelity")


def paired(result: Result, own: str, other: str, metrics: Sequence[str]) -> list[Difference]:
    """Compare two configurations on the users whom all serve; nothing where one has no result or there is nobody."""
    if result.ok(own) is None or result.ok(other) is None or not result.served.any():
        return []
    return _over_seeds(result.title, (own, result.within(own)), (other, result.within(other)), metrics)


def placebo_pairs(result: Result, own: str, other: str, metrics: Sequence[str], seed: int = 0) -> list[Difference]:
    """Compare two configurations whose values are exchanged for every user by lot: there is nothing to find."""
    if not paired(result, own, other, metrics):
        return []
    exchanged = np.random.default_rng(seed).random(int(result.served.sum())) < 0.5
    first, second = (_average(result.within(name), metrics) for name in (own, other))
    a, b = first.copy(), second.copy()
    a.loc[exchanged, list(metrics)] = second.loc[exchanged, list(metrics)]
    b.loc[exchanged, list(metrics)] = first.loc[exchanged, list(metrics)]
    return _over_seeds(result.title, (own, [a]), (other, [b]), metrics)


def _average(tables: Sequence[pd.DataFrame], metrics: Sequence[str]) -> pd.DataFrame:
    values = np.mean([table[list(metrics)].to_numpy(np.float64) for table in tables], axis=0)
    return pd.DataFrame(values, columns=list(metrics)).assign(user_id=tables[0]["user_id"].to_numpy())


def _over_seeds(
    where: str,
    own: tuple[str, Sequence[pd.DataFrame]],
    other: tuple[str, Sequence[pd.DataFrame]],
    metrics: Sequence[str],
) -> list[Difference]:
    """Compare runs, of as many seeds as both have; a model without randomness has one."""
    fewest = min(len(own[1]), len(other[1]))
    seeds = max(len(own[1]), len(other[1])) if fewest == 1 else fewest
    return Difference.over_seeds(where, (own[0], own[1][:seeds]), (other[0], other[1][:seeds]), metrics)


def best_baseline(result: Result, metric: str = "ndcg@10") -> str | None:
    """Return the baseline with the best *test* mean: the hardest choice to beat."""
    finished = [name for name in BASELINES if result.ok(name) is not None]
    return max(finished, key=lambda name: result.mean(name, metric)) if finished else None
