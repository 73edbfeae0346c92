"""All configurations on six splits: equal tuning budget, seeds, paired tests. `python -m benchmarks.accuracy`.

Tuning sees validation only; each seed of the chosen setting is evaluated on test once. Every result is a cell on disk:
the same command continues an interrupted benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import yaml

from benchmarks.accuracy import report as accuracy_report
from benchmarks.accuracy.comparison import BASELINES, OWN, Result
from benchmarks.accuracy.inspection import inspect
from benchmarks.tools.cells import CellContent, Cells, Progress, identity
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.fitting import one_persona_twin
from benchmarks.tools.grid import Arena, Budget, Grid, expected_cost, is_seeded, trains_by_gradient
from benchmarks.tools.report import mean_and_deviation, report_folder, without_paths
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.data.catalogue import datasets, locations
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.errors import ConfigError, RecsysError, nearest
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import Experiment, check_experiment
from recsys.files import write_text

CONFIGS = (
    *BASELINES,
    *("ampcf_paper_dot", "ampcf_paper_cosine", "ampcf_latent_twin", "ampcf_latent"),
    *("persona_ease_twin", "persona_ease"),
)
_TWIN = "_twin"
SPLIT_SEED = 0


@final
@dataclass(frozen=True)
class Plan:
    """A log, its split, and the cap of a trial there."""

    dataset: str  # name of a card
    split: SplitName  # name of the split
    seconds: float  # processor time at which the training of a trial is ended
    fidelity: bool = False  # measure the fidelity of explanations here

    @property
    def name(self) -> str:
        """Folder of its cells and of its tuned configurations."""
        return f"{self.dataset}-{self.split}"


PLANS = (
    Plan("ml-latest-small", "global_time", 12),
    Plan("ml-100k", "global_time", 12),
    Plan("movietweetings", "global_time", 25),
    Plan("ml-1m-ordered", "random", 45, fidelity=True),
    Plan("ml-1m-ordered", "last_one", 45),
    Plan("amazon-beauty", "last_one", 25),
)
QUICK = (Plan("simulated", "global_time", 5, fidelity=True),)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("accuracy", __doc__, quick="a simulated log, 2 epochs, 2 seeds", threads=True)
    command.add_argument("--datasets", nargs="+", metavar="NAME", help="logs, or log-split as ml-1m-ordered-random")
    command.add_argument("--configs", nargs="+", metavar="NAME", help=f"of {', '.join(CONFIGS)}")
    command.add_argument("--trials", type=int, metavar="N", help="settings tried per model (default 3)")
    command.add_argument("--seeds", type=int, metavar="N", help="seeds of the chosen setting (default 3)")
    command.add_argument(
        "--budget-seconds", type=float, metavar="S", help="processor time per trial (default: 12 to 45)"
    )
    command.add_argument("--validation-users", type=int, default=2000, metavar="N", help="of tuning, at most (2000)")
    command.add_argument("--update-configs", action="store_true", help="write tuned settings below configs/tuned")
    options = command.parse_args(arguments)
    return run(
        plans=_plans(options.datasets, quick=options.quick),
        configs=_configs(options.configs),
        budget=Budget(
            trials=options.trials or (1 if options.quick else 3),
            seconds=options.budget_seconds or 0.0,
            seeds=tuple(range(options.seeds or (2 if options.quick else 3))),
            validation_users=options.validation_users,
        ),
        out=report_folder("accuracy", options.out, quick=options.quick),
        epochs=2 if options.quick else None,
        update_configs=options.update_configs,
    )


def run(
    plans: Sequence[Plan],
    configs: Sequence[str],
    budget: Budget,
    out: Path,
    *,
    epochs: int | None = None,
    update_configs: bool = False,
) -> Path:
    """Run the grid and write the report; return its path.

    The `seconds` of the budget, where not 0, replace those of the plans. At most so many `epochs`, for a quick trial of
    the benchmark itself. `update_configs` writes the chosen settings below `configs/tuned`.
    """
    experiments = {name: _experiment(name, epochs) for name in configs}
    budgets = {plan: replace(budget, seconds=budget.seconds or plan.seconds) for plan in plans}
    total = sum(expected_cost(name, e, budgets[plan]) for plan in plans for name, e in experiments.items())
    cells, progress = Cells(out / "cells"), Progress(total)
    results: list[Result] = []
    for plan in plans:
        results.append(_run_plan(plan, experiments, budgets[plan], cells, progress))
        # A report after each log, in case the rest is interrupted; only the finished one has the name that says so.
        accuracy_report.write(out, results, cells, budget, name="partial.md")
        if update_configs:
            _write_tuned(results[-1], plan)
    report = accuracy_report.write(out, results, cells, budget)
    (out / "partial.md").unlink(missing_ok=True)
    return report


def _run_plan(
    plan: Plan, experiments: dict[str, Experiment], budget: Budget, cells: Cells, progress: Progress
) -> Result:
    try:
        log = datasets.load(plan.dataset)
        cut = split(log, plan.split, seed=SPLIT_SEED)
    except RecsysError as error:
        progress.add(f"{plan.name}: {error}", sum(expected_cost(n, e, budget) for n, e in experiments.items()), None)
        return Result(plan.dataset, plan.split, None, budget, {}, without_paths(str(error)))
    arena = Arena(plan.name, cut, Tastes.of(cut.train))
    outcomes = {}
    for name, experiment in experiments.items():
        chosen = _twin(name, experiment, arena, cells) if name.endswith(_TWIN) else experiment
        outcomes[name] = Grid(arena, budget, cells, progress).run(name, chosen)
    tables = {
        name: [evaluation.per_user for evaluation in outcome.evaluations(cells)]
        for name, outcome in outcomes.items()
        if outcome.runs
    }
    inspection = inspect(arena, outcomes[OWN], cells, fidelity=plan.fidelity) if OWN in outcomes else None
    return Result(plan.dataset, plan.split, arena, budget, outcomes, None, log.fingerprint, tables, inspection)


def _twin(name: str, experiment: Experiment, arena: Arena, cells: Cells) -> Experiment:
    """Return the parameter-matched twin, which is searched once."""
    cell, key = f"{arena.name}/{name}/size", identity(experiment.to_dict(), arena.split.train.fingerprint)
    twin, _ = cells.make(cell, key, lambda: CellContent(one_persona_twin(experiment, arena.split.train).to_dict()))
    return check_experiment(twin, source=name)


def _experiment(name: str, epochs: int | None) -> Experiment:
    """Return a configuration; a twin starts as a copy of its model."""
    experiment = shipped_experiment(name.removesuffix(_TWIN))
    if epochs is not None and trains_by_gradient(experiment):
        return with_settings(experiment, {"optimization.epochs": epochs})
    return experiment


def _write_tuned(result: Result, plan: Plan) -> None:
    folder = locations.shipped("configs") / "tuned" / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, outcome in result.outcomes.items():
        if outcome.experiment is None:
            continue
        runs = "mean of seeds" if is_seeded(outcome.experiment) else "one run"
        mean = mean_and_deviation(outcome.values("ndcg@10"))[0]
        head = f"# {name}, tuned for {plan.dataset}, split {plan.split}; test NDCG@10 {mean:.4f}, all users ({runs})\n"
        write_text(folder / f"{name}.yaml", head + yaml.safe_dump(outcome.experiment.to_dict(), sort_keys=False))


def _plans(names: Sequence[str] | None, *, quick: bool) -> tuple[Plan, ...]:
    if not names:
        return QUICK if quick else PLANS
    plans = {plan.name: plan for plan in (*PLANS, *QUICK)}
    chosen: list[Plan] = []
    for name in names:
        chosen += [plan for plan in plans.values() if plan.dataset == name] or plans_named([name], plans)
    return tuple(dict.fromkeys(chosen))


def _configs(names: Sequence[str] | None) -> tuple[str, ...]:
    for name in names or ():
        if name not in CONFIGS:
            raise ConfigError(f"no configuration {name!r}{nearest(name, CONFIGS)}; there are {', '.join(CONFIGS)}")
    return tuple(names or CONFIGS)
