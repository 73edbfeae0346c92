"""Who lists say that users are, and what it costs to let them be themselves. `python -m benchmarks.distortion`.

On each log EASE with personas found in every history, and PersonaEASE with groups of items as personas, are fitted. All
slates choose lists of 10 from the 100 best scores, which are scaled to [0, 1] over these. A slate's settings are chosen
on validation questions: those that leave least distortion of all whose loss of NDCG, with one standard error, is within
a budget; then lists, costs and distortions of the chosen are those of test questions. Two things are to be least: the
distortion of tastes (the mean of what is left of the excess of the distance of Jensen and Shannon and of the
systematic part), and that of tastes and popularity. Random splits are pooled over seeds. Intervals are bootstraps over
users, the same for a slate and the best scores; a p-value is that of the signed-rank test. Tastes are genres; head,
middle and tail have a third of the training events each; chance lists are drawn from the user's own history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

from benchmarks.distortion.report import draw, report, summary
from benchmarks.distortion.subject import ModelName, Plan, measured, seated
from benchmarks.tools.cells import Cells, identity
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.report import report_folder, write_report, write_result

PLANS = {
    plan.name: plan
    for plan in (
        Plan("ml-latest-small", "random", 500.0, splits=5),
        Plan("ml-1m-ordered", "last_n", 500.0, n=10),
        Plan("movietweetings", "random", 300.0, min_item_events=5, questions=3000),
        Plan("movietweetings", "global_time", 300.0, min_item_events=5),
    )
}
QUICK = Plan("simulated", "random", 50.0)
MODELS: tuple[ModelName, ...] = get_args(ModelName)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("distortion", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="LOG", help=f"some of {', '.join(PLANS)}")
    command.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="models with personas")
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    out = report_folder("distortion", options.out, options.quick)
    cells = Cells(out / "cells")
    results: dict[str, dict[str, Any]] = {}
    for model in options.models:
        for plan in plans:
            say = partial(print, flush=True)
            cell, seconds = cells.make(
                f"{plan.name}-{model}", identity(asdict(plan), model), partial(measured, plan, model, say)
            )
            say(f"{plan.name} {model}: {'on disk' if seconds is None else f'{seconds:.0f} s'}")
            seats, _ = cells.make(
                f"{plan.name}-{model}-seats", identity(asdict(plan), model), partial(seated, plan, model)
            )
            results.setdefault(plan.name, {})[model] = summary({**cell, "seats": seats})
    write_result(out, results)
    draw(out, results)
    return write_report(out, report(__doc__, results))
