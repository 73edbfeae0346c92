"""One configuration on one split: tune on validation, then several seeds of the chosen setting on test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np

from benchmarks.tools.cells import Cells, Progress, identity
from benchmarks.tools.fitting import Fitted, count_parameters, fit_within
from benchmarks.tools.report import without_paths
from benchmarks.tools.search import trials, with_settings
from recsys.data.splits.holdout import Holdout, Split
from recsys.errors import RecsysError
from recsys.evaluation.holdout import evaluate, validator
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import Experiment
from recsys.models.ampcf.linear import LinearAMPCF
from recsys.models.ampcf.mf import MF
from recsys.models.ampcf.model import AMPCF
from recsys.models.base import FittedOn, Recommender, Validate
from recsys.models.capabilities import PersonaRecommender
from recsys.models.health import matched_correlation, persona_health

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
    """Tuning budget, the same for every model.

    Attributes:
        trials: number of settings, the file's own included.
        seconds: wall-clock cap of the training of one trial.
        seeds: seeds of the final runs; the first is also that of the trials.
        validation_users: number of validation users, at most; the same for all models.
        metric: of validation, for early stopping and for tuning.
        cutoff: length of the lists on test.
    """

    trials: int = 3
    seconds: float = 45.0
    seeds: tuple[int, ...] = (0, 1, 2)
    validation_users: int = 2000
    metric: str = "ndcg@10"
    cutoff: int = 10

    @property
    def identity(self) -> Record:
        """The part that determines a single cell: neither the number of trials nor that of seeds."""
        return {name: value for name, value in asdict(self).items() if name not in ("trials", "seeds")}


@final
@dataclass(frozen=True, eq=False)
class Arena:
    """A split on which configurations are compared.

    Attributes:
        name: folder of its cells, as "ml-100k-global_time".
        split: training log and questions.
        tastes: the partition of the items, the same for all.
    """

    name: str
    split: Split
    tastes: Tastes


@final
@dataclass(frozen=True)
class Outcome:
    """Trials and final runs of a configuration on a split.

    Attributes:
        name: of the configuration.
        failure: the reason, where there is no result.
        trials: records of the trials that did not fail: `changes`, `valid`, `epochs`, `seconds`, `capped`.
        chosen: position in `trials` of the best on validation.
        experiment: the chosen setting.
        runs: one record per seed: `seed`, `valid`, `test`, `counts`, `seconds`, `epochs`, `capped`, `parameters`,
            `health`.
        tables: name of the cell with the per-user table of each run.
    """

    name: str
    failure: str | None
    trials: tuple[Record, ...] = ()
    chosen: int = 0
    experiment: Experiment | None = None
    runs: tuple[Record, ...] = ()
    tables: tuple[str, ...] = ()

    def values(self, metric: str) -> list[float]:
        """Return a test metric of every run."""
        return [float(run["test"][metric]) for run in self.runs]

    def evaluations(self, cells: Cells) -> list[Evaluation]:
        """Return the evaluation of every run."""
        return [cells.evaluation(table) for table in self.tables]


Inspect = Callable[[Recommender, Arena], Record]
"""Further measurements of a fitted model, stored in its cell."""


def is_seeded(experiment: Experiment) -> bool:
    """Whether a model depends on a seed, and is run with several."""
    return "seed" in experiment.arguments


def trains_by_gradient(experiment: Experiment) -> bool:
    """Whether a model is trained by our own loop, which validates and can be ended."""
    return "optimization" in experiment.arguments


def expected_cost(name: str, experiment: Experiment, budget: Budget) -> float:
    """Return the expected seconds of a configuration, for the estimate of the time left."""
    count = len(trials(name, experiment, budget.trials))
    further = len(budget.seeds) - 1 if is_seeded(experiment) else 1
    return (count + further) * (budget.seconds if trains_by_gradient(experiment) else budget.seconds / 8)


def run_configuration(
    name: str,
    experiment: Experiment,
    arena: Arena,
    budget: Budget,
    cells: Cells,
    progress: Progress,
    inspect: Inspect | None = None,
) -> Outcome:
    """Tune a configuration and evaluate it; finished cells are read from disk."""
    whole = expected_cost(name, experiment, budget)
    candidates = trials(name, experiment, budget.trials)
    cost = whole / (len(candidates) + (len(budget.seeds) - 1 if is_seeded(experiment) else 1))
    validate = validator(arena.split.valid, budget.metric, budget.validation_users)
    records: list[Record] = []
    for number, changes in enumerate(candidates):
        if sum(record.get("seconds", 0.0) for record in records) > budget.trials * budget.seconds:
            progress.add(f"{arena.name} {name} trial {number + 1}: skipped, the time is used up", cost, None)
            continue
        began = time.perf_counter()
        cell = f"{arena.name}/{name}/trial-{number}"
        record, cached = _trial(cell, with_settings(experiment, changes), changes, arena, budget, cells, validate)
        records.append({**record, "cell": cell})
        text = record.get("failure") or f"{budget.metric} {record['valid']:.4f} on validation"
        spent = None if cached else time.perf_counter() - began
        progress.add(f"{arena.name} {name} trial {number + 1}: {text}", cost, spent)
        _drop_all_but_the_best(records, cells)
    good = [record for record in records if "failure" not in record]
    if not good:
        return Outcome(name, records[0]["failure"])
    chosen = int(np.argmax([record["valid"] for record in good]))
    final_experiment = with_settings(experiment, _final_changes(experiment, good[chosen]))
    runs, tables = [], []
    for seed in budget.seeds if is_seeded(experiment) else budget.seeds[:1]:
        began = time.perf_counter()
        cell = f"{arena.name}/{name}/seed-{seed}"
        run, cached = _run(cell, final_experiment, seed, good[chosen], arena, budget, cells, validate, inspect)
        if "failure" in run:
            return Outcome(name, run["failure"], tuple(good), chosen)
        runs.append(run)
        tables.append(cell)
        text = f"{budget.metric} {run['test'][budget.metric]:.4f} on test"
        spent = None if cached else time.perf_counter() - began
        first = is_seeded(experiment) and seed == budget.seeds[0]
        progress.add(f"{arena.name} {name} seed {seed}: {text}", 0.0 if first else cost, spent)
    for record in records:
        cells.drop_arrays(record["cell"])
    return Outcome(name, None, tuple(good), chosen, final_experiment, tuple(runs), tuple(tables))


def _drop_all_but_the_best(records: Sequence[Record], cells: Cells) -> None:
    """Delete the parameters of trials that another one beats: those of large models fill disks."""
    best = max((record["valid"] for record in records if "failure" not in record), default=None)
    beaten = [record for record in records if "failure" not in record and record["valid"] < best]
    for record in beaten:
        cells.drop_arrays(record["cell"])


def _trial(
    cell: str,
    experiment: Experiment,
    changes: Mapping[str, Any],
    arena: Arena,
    budget: Budget,
    cells: Cells,
    validate: Validate,
) -> tuple[Record, bool]:
    """Fit one setting and validate it; its parameters are stored for the final run of the first seed."""
    key = identity(experiment.to_dict(), arena.split.train.fingerprint, budget.seeds[0], arena.name, budget.identity)
    stored = cells.load(cell, key)
    if stored is not None:
        return stored, True
    try:
        fitted = fit_within(experiment, budget.seeds[0], arena.split.train, validate, budget.seconds)
    except RecsysError as error:
        return cells.save(cell, key, {"changes": dict(changes), "failure": without_paths(str(error))}), False
    record = {"changes": dict(changes), **_effort(fitted)}
    arrays = fitted.model.arrays()
    reused = arrays if sum(array.nbytes for array in arrays.values()) <= _REUSED_BYTES else None
    return cells.save(cell, key, record, arrays=reused), False


def _final_changes(experiment: Experiment, trial: Record) -> Record:
    """Return the changes of a trial, with the epochs of a capped one, so that other seeds repeat them."""
    changes = dict(trial["changes"])
    if trial["capped"]:
        changes["optimization.epochs"] = min(
            max(1, int(trial["epochs"])), int(experiment.arguments["optimization"]["epochs"])
        )
    return changes


def _run(
    cell: str,
    experiment: Experiment,
    seed: int,
    trial: Record,
    arena: Arena,
    budget: Budget,
    cells: Cells,
    validate: Validate,
    inspect: Inspect | None,
) -> tuple[Record, bool]:
    """Evaluate the chosen setting with one seed on test."""
    key = identity(experiment.to_dict(), seed, arena.split.train.fingerprint, arena.name, budget.identity)
    stored = cells.load(cell, key)
    if stored is not None:
        return stored, True
    parameters = cells.arrays(trial["cell"]) if seed == budget.seeds[0] else None
    try:
        if parameters is not None:
            model = experiment.build(seed).restore(FittedOn.of(arena.split.train), parameters)
            effort = {name: trial[name] for name in ("valid", "epochs", "seconds", "capped")}
        else:
            fitted = fit_within(experiment, seed, arena.split.train, validate, _SAFETY * budget.seconds)
            model, effort = fitted.model, _effort(fitted)
        evaluation = evaluate(model, arena.split.test, arena.split.train, cutoffs=(budget.cutoff,), tastes=arena.tastes)
        record: Record = {
            "seed": seed,
            **effort,
            "test": evaluation.summary,
            "counts": evaluation.counts,
            "parameters": count_parameters(model),
            "health": health(model, arena.split.test),
            **({} if inspect is None else inspect(model, arena)),
        }
    except RecsysError as error:
        return cells.save(cell, key, {"failure": without_paths(str(error))}), False
    routing = {"routing": model.routing()} if isinstance(model, AMPCF | LinearAMPCF) and model.folds_in else None
    return cells.save(cell, key, record, evaluation=evaluation, arrays=routing), False


def _effort(fitted: Fitted) -> Record:
    return {"valid": fitted.valid, "epochs": fitted.epochs, "seconds": fitted.seconds, "capped": fitted.capped}


def health(model: Recommender, holdout: Holdout, users: int = _HEALTH_USERS) -> dict[str, float] | None:
    """Return effective personas, their cosine and the share of dead ones; None for a model of one vector per user."""
    if not isinstance(model, PersonaRecommender) or isinstance(model, MF):
        return None
    queries = holdout.queries
    if model.needs_known_users:
        queries = queries.take(np.flatnonzero(queries.users >= 0))
    queries = queries.take(np.arange(min(len(queries), users)))
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
