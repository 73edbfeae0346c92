"""One configuration on one split: tune on validation, then several seeds of the chosen setting on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np

from benchmarks.tools.cells import CellContent, Cells, Progress, identity
from benchmarks.tools.fitting import count_parameters, fit_within
from benchmarks.tools.report import without_paths
from benchmarks.tools.search import trials, with_settings
from recsys.data.splits.holdout import Holdout, Split
from recsys.errors import RecsysError
from recsys.evaluation.holdout import evaluate, validator
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import Experiment
from recsys.models.ampcf.mf import MF
from recsys.models.ampcf.model import AMPCF
from recsys.models.base import FittedOn, Recommender, Validate
from recsys.models.capabilities import PersonaRecommender
from recsys.models.health import matched_correlation, persona_health
from recsys.models.linear.persona_ease import PersonaEASE

_HEALTH_USERS = 1000
_SAFETY = 4.0
"""Runs of further seeds repeat the epochs of the chosen trial, and end at the latest after so many times the cap."""
_REUSED_BYTES = 4_000_000_000
"""Larger parameters of a trial are not stored for the final run of the same seed, but fitted again."""

Record = dict[str, Any]
"""Plain values, as stored in a cell."""


@final
@dataclass(frozen=True)
class Budget:
    """Tuning budget, the same for every model."""

    trials: int = 3  # number of settings, the file's own included
    seconds: float = 45.0  # processor time at which the training of a trial is ended
    seeds: tuple[int, ...] = (0, 1, 2)  # seeds of the final runs; the first is also that of the trials
    validation_users: int = 2000  # number of validation users, at most; the same for all models
    metric: str = "ndcg@10"  # of validation, for early stopping and for tuning
    cutoff: int = 10  # length of the lists on test

    @property
    def identity(self) -> Record:
        """The part that determines a single cell: neither the number of trials nor that of seeds."""
        return {name: value for name, value in asdict(self).items() if name not in ("trials", "seeds")}


@final
@dataclass(frozen=True, eq=False)
class Arena:
    """A split on which configurations are compared."""

    name: str  # folder of its cells, as "ml-100k-global_time"
    split: Split  # training log and questions
    tastes: Tastes  # the partition of the items, the same for all


@final
@dataclass(frozen=True)
class Outcome:
    """Trials and final runs of a configuration on a split."""

    name: str  # of the configuration
    failure: str | None  # the reason, where there is no result
    # records of the trials that did not fail: `changes`, `valid`, `epochs`, `seconds`, `capped`
    trials: tuple[Record, ...] = ()
    chosen: int = 0  # position in `trials` of the best on validation
    experiment: Experiment | None = None  # the chosen setting
    # one record per seed: `seed`, `valid`, `test`, `counts`, `seconds`, `epochs`, `capped`, `parameters`,
    # `health`
    runs: tuple[Record, ...] = ()
    tables: tuple[str, ...] = ()  # name of the cell with the per-user table of each run

    def values(self, metric: str) -> list[float]:
        """Return a test metric of every run, over all users or lists."""
        return [float(run["test"][metric]) for run in self.runs]

    @property
    def capped(self) -> bool:
        """Whether the cap ended the training of the chosen setting, which had not converged."""
        return bool(self.trials[self.chosen]["capped"]) or any(run["capped"] for run in self.runs)

    def evaluations(self, cells: Cells) -> list[Evaluation]:
        """Return the evaluation of every run."""
        return [cells.evaluation(table) for table in self.tables]


def is_seeded(experiment: Experiment) -> bool:
    """Whether a model depends on a seed, and is run with several."""
    return "seed" in experiment.arguments


def trains_by_gradient(experiment: Experiment) -> bool:
    """Whether a model is trained by our own loop, which validates and can be ended."""
    return "optimization" in experiment.arguments


def expected_cost(name: str, experiment: Experiment, budget: Budget) -> float:
    """Return the expected seconds of a configuration, for the estimate of the time left."""
    cells = len(trials(name, experiment, budget.trials)) + _further_runs(experiment, budget)
    return cells * (budget.seconds if trains_by_gradient(experiment) else budget.seconds / 8)


def _further_runs(experiment: Experiment, budget: Budget) -> int:
    """Return the number of final runs that the trials do not already contain."""
    return len(budget.seeds) - 1 if is_seeded(experiment) else 1


@final
@dataclass(frozen=True)
class Grid:
    """Tunes configurations on a split and evaluates them; finished cells are read from disk."""

    arena: Arena  # the split
    budget: Budget  # of every configuration
    cells: Cells  # results on disk
    progress: Progress  # receives a line for each cell

    def run(self, name: str, experiment: Experiment) -> Outcome:
        """Tune a configuration and evaluate the chosen setting."""
        budget, folder = self.budget, f"{self.arena.name}/{name}"
        candidates = trials(name, experiment, budget.trials)
        cost = expected_cost(name, experiment, budget) / (len(candidates) + _further_runs(experiment, budget))
        validate = validator(self.arena.split.valid, budget.metric, budget.validation_users)
        records: list[Record] = []
        for number, changes in enumerate(candidates):
            title = f"{self.arena.name} {name} trial {number + 1}"
            if sum(record.get("seconds", 0.0) for record in records) > budget.trials * budget.seconds:
                self.progress.add(f"{title}: skipped, the time is used up", cost, None)
                continue
            cell = f"{folder}/trial-{number}"
            record, spent = self._trial(cell, with_settings(experiment, changes), changes, validate)
            records.append({**record, "cell": cell})
            text = record.get("failure") or f"{budget.metric} {record['valid']:.4f} on validation"
            self.progress.add(f"{title}: {text}", cost, spent)
            self._drop_beaten(records)
        good = [record for record in records if "failure" not in record]
        if not good:
            return Outcome(name, records[0]["failure"])
        chosen = int(np.argmax([record["valid"] for record in good]))
        final_experiment = with_settings(experiment, _final_changes(experiment, good[chosen]))
        runs, tables = [], []
        for seed in budget.seeds if is_seeded(experiment) else budget.seeds[:1]:
            cell = f"{folder}/seed-{seed}"
            run, spent = self._run(cell, final_experiment, seed, good[chosen], validate)
            if "failure" in run:
                return Outcome(name, run["failure"], tuple(good), chosen)
            runs.append(run)
            tables.append(cell)
            text = f"{self.arena.name} {name} seed {seed}: {budget.metric} {run['test'][budget.metric]:.4f} on test"
            repeats_trial = is_seeded(experiment) and seed == budget.seeds[0]
            self.progress.add(text, 0.0 if repeats_trial else cost, spent)
        for record in records:
            self.cells.drop_arrays(record["cell"])
        return Outcome(name, None, tuple(good), chosen, final_experiment, tuple(runs), tuple(tables))

    def _drop_beaten(self, records: Sequence[Record]) -> None:
        """Delete the parameters of trials that another one beats: those of large models fill disks."""
        good = [record for record in records if "failure" not in record]
        best = max((record["valid"] for record in good), default=None)
        for record in good:
            if record["valid"] < best:
                self.cells.drop_arrays(record["cell"])

    def _identity(self, experiment: Experiment, seed: int) -> str:
        log = self.arena.split.train.fingerprint
        return identity(experiment.to_dict(), seed, log, self.arena.name, self.budget.identity)

    def _trial(
        self, cell: str, experiment: Experiment, changes: Mapping[str, Any], validate: Validate
    ) -> tuple[Record, float | None]:
        """Fit one setting and validate it; its parameters are stored for the final run of the first seed."""
        budget = self.budget
        seed = budget.seeds[0]

        def fit() -> CellContent:
            try:
                fitted = fit_within(experiment, seed, self.arena.split.train, validate, budget.seconds)
            except RecsysError as error:
                return CellContent({"changes": dict(changes), "failure": without_paths(str(error))})
            arrays = fitted.model.arrays()
            reused = arrays if sum(array.nbytes for array in arrays.values()) <= _REUSED_BYTES else None
            return CellContent({"changes": dict(changes), **fitted.effort}, arrays=reused)

        return self.cells.make(cell, self._identity(experiment, seed), fit)

    def _run(
        self, cell: str, experiment: Experiment, seed: int, trial: Record, validate: Validate
    ) -> tuple[Record, float | None]:
        """Evaluate the chosen setting with one seed on test."""
        train, test, budget = self.arena.split.train, self.arena.split.test, self.budget

        def evaluated() -> CellContent:
            parameters = self.cells.arrays(trial["cell"]) if seed == budget.seeds[0] else None
            try:
                if parameters is not None:
                    model = experiment.build(seed).restore(FittedOn.of(train), parameters)
                    effort = {name: trial[name] for name in ("valid", "epochs", "seconds", "capped")}
                else:
                    fitted = fit_within(experiment, seed, train, validate, _SAFETY * budget.seconds)
                    model, effort = fitted.model, fitted.effort
                evaluation = evaluate(model, test, train, cutoffs=(budget.cutoff,), tastes=self.arena.tastes)
                record: Record = {
                    "seed": seed,
                    **effort,
                    "test": evaluation.summary,
                    "counts": evaluation.counts,
                    "parameters": count_parameters(model),
                    "health": health(model, test),
                }
            except RecsysError as error:
                return CellContent({"failure": without_paths(str(error))})
            arrays = {"routing": model.routing()} if isinstance(model, AMPCF | PersonaEASE) and model.folds_in else None
            return CellContent(record, evaluation, arrays)

        return self.cells.make(cell, self._identity(experiment, seed), evaluated)


def _final_changes(experiment: Experiment, trial: Record) -> Record:
    """Return the changes of a trial, with the epochs of a capped one, so that other seeds repeat them."""
    if not trial["capped"]:
        return dict(trial["changes"])
    epochs = min(max(1, int(trial["epochs"])), int(experiment.arguments["optimization"]["epochs"]))
    return {**trial["changes"], "optimization.epochs": epochs}


def health(model: Recommender, holdout: Holdout, users: int = _HEALTH_USERS) -> dict[str, float] | None:
    """Return effective personas, their cosine and the share of dead ones over users with a history.

    None for a model of one vector per user, and where nobody has a history.
    """
    if not isinstance(model, PersonaRecommender) or isinstance(model, MF):
        return None
    queries = holdout.queries
    usable = queries.users >= 0 if model.needs_known_users else queries.history.lengths > 0
    queries = queries.take(np.flatnonzero(usable)[:users])
    if len(queries) == 0 or model.personas(queries.take(np.arange(1))).shape[1] < 2:
        return None
    measured = persona_health(model, queries, min(20, max(1, model.n_items // 10)))
    return {"effective": measured.effective, "mean_cosine": measured.mean_cosine, "dead": measured.dead}


def seed_agreement(cells: Cells, tables: Sequence[str]) -> float | None:
    """Return the mean matched correlation of the routing of every two seeds; None where there is no routing."""
    routings = [arrays["routing"] for table in tables if (arrays := cells.arrays(table)) is not None]
    if len(routings) < 2 or routings[0].shape[1] < 2:
        return None
    pairs = [matched_correlation(a, b) for n, a in enumerate(routings) for b in routings[n + 1 :]]
    return float(np.mean(pairs))
