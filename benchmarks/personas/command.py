"""Personas found per user, judged by the claims that are made of them. `python -m benchmarks.personas`.

On each log EASE is fitted, a dictionary of tastes found, and every question's user is given personas, a list with seats
that they own, and names. Of slates from the best scores to the most mixed, the last is taken with which validation
loses at most .25%. Names are chosen on every second user and measured on the others. Placebos (the personas of events
shuffled within a user; four that are alike) must fail what the personas pass. Worlds are simulated, so that every
event's true persona is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from benchmarks.personas import logs
from benchmarks.personas.logs import Figures, Subject
from benchmarks.personas.worlds import Planted, planted
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.environment import environment
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    interval,
    method,
    number,
    percent,
    report_folder,
    table,
    write_report,
    write_result,
)
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.models import EASE
from recsys.worlds.simulation import simulated_log

SEED = 0


@final
@dataclass(frozen=True)
class Plan:
    """A log, how it is split, and EASE's regularisation on it."""

    log: str
    split: SplitName
    regularization: float
    n: int | None = None
    min_item_events: int = 1

    def load(self) -> Interactions:
        """Return the log."""
        return simulated_log(n_users=300, n_items=400) if self.log == "simulated" else datasets.load(self.log)


PLANS = {
    plan.log: plan
    for plan in (
        Plan("ml-1m-ordered", "last_n", 500.0, n=10),
        Plan("ml-latest-small", "random", 500.0),
        Plan("movietweetings", "random", 300.0, min_item_events=5),
        Plan("amazon-beauty", "random", 200.0),
    )
}
QUICK = Plan("simulated", "random", 50.0)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("personas", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="LOG", help=f"some of {', '.join(PLANS)}")
    command.add_argument("--questions", type=int, default=2000, help="most questions of a log (default: %(default)s)")
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    results = {}
    for plan in plans:
        print(f"{plan.log} ...", flush=True)
        results[plan.log] = measured(plan, options.questions)
    worlds = [planted(seed, 200 if options.quick else 800) for seed in range(1 if options.quick else 3)]
    out = report_folder("personas", options.out, options.quick)
    write_result(out, {"logs": results, "worlds": [asdict(world) for world in worlds]})
    return write_report(out, report(results, worlds))


def measured(plan: Plan, questions: int) -> dict[str, Figures]:
    """Return all figures of a log by claim."""
    log = plan.load()
    parts = split(log, plan.split, n=plan.n, min_item_events=plan.min_item_events)
    subject = Subject.of(EASE(plan.regularization), parts, questions, SEED)
    names = logs.named(subject)
    return {
        "seats": {
            "weight": subject.slate.weight,
            "calibration": subject.slate.calibration,
            "questions": float(len(subject.questions)),
        },
        **{f"personas, {kind}": figures for kind, figures in logs.placebos(subject, SEED).items()},
        "meaningful": logs.meaningful(subject, names),
        "owned": logs.owned(subject),
        "free": logs.free(subject, SEED),
        "controlled": logs.controlled(subject),
        **{f"stable, {kind}": figures for kind, figures in logs.stable(subject, names, SEED).items()},
        "cost": logs.cost(subject),
    }


def report(results: Mapping[str, Mapping[str, Figures]], worlds: Sequence[Planted]) -> list[str]:
    """Return the paragraphs of the report."""
    parts = ["# Personas", method(__doc__), facts(environment())]
    for log, claims in results.items():
        rows = [
            [f"{claim}: {name}", number(value)] for claim, figures in claims.items() for name, value in figures.items()
        ]
        parts += [f"## {log}", bars_table(_bars(claims)), table(["figure", ""], rows)]
    return [*parts, "## Worlds with known personas", bars_table(_world_bars(worlds)), _world_table(worlds)]


def _bars(claims: Mapping[str, Figures]) -> list[list[str]]:
    found, meaningful, owned = claims["personas, found"], claims["meaningful"], claims["owned"]
    free, controlled, stable, cost = (claims[name] for name in ("free", "controlled", "stable, continued", "cost"))
    change = f"{percent(free['relative'])} {interval(100 * free['low'], 100 * free['high'], 1)}"
    ratio = free["systematic"] / free["systematic, plain"]
    single = cost["milliseconds"] * 500 / max(500.0, cost["events"])
    rows = [
        bar("cosine between personas", "at most .20", number(found["cosine"], 2), found["cosine"] <= 0.2),
        bar("effective number, 30 events", "at least 3", number(found["effective"], 2), found["effective"] >= 3),
        bar("lift of names, median", "at least 2.5", number(meaningful["lift"], 2), meaningful["lift"] >= 2.5),
        bar(
            "items under labels that hold", "at least .85", number(meaningful["holds"], 2), meaningful["holds"] >= 0.85
        ),
        bar("names after refitting on 95%", "Jaccard .85", number(stable["names"], 2), stable["names"] >= 0.85),
        bar("same owner after it", "at least .85", number(stable["owners"], 2), stable["owners"] >= 0.85),
        bar("owner's share of evidence", "at least .60", number(owned["evidence"], 2), owned["evidence"] >= 0.6),
        bar("NDCG@10 of seats", "at least -.5%", change, free["relative"] >= -0.005),
        bar("excess of taste distance", "at most 0", number(free["excess"]), free["excess"] <= 0),
        bar("systematic distortion", "at most .5 of plain", number(ratio, 2), ratio <= 0.5),
        bar("items of a muted persona", "0", number(controlled["muted items"], 0), controlled["muted items"] == 0),
        bar("its evidence", "0", number(controlled["muted evidence"], 0), controlled["muted evidence"] == 0),
        bar("seats of a boosted persona", "1.8 times", number(controlled["boost"], 2), controlled["boost"] >= 1.8),
        bar("a user of 500 events", "at most 2 ms", number(single, 1), single <= 2),
    ]
    for kind in ("shuffled", "identical"):
        placebo = claims[f"personas, {kind}"]
        fails = placebo["cosine"] > 0.2 and placebo["separation"] < found["separation"] / 2
        shown = f"cosine {number(placebo['cosine'], 2)}, separation {number(placebo['separation'], 2)}"
        rows.append(bar(f"placebo, {kind}", "fails", shown, fails))
    return rows


def _world_bars(worlds: Sequence[Planted]) -> list[list[str]]:
    mean = {name: sum(getattr(world, name) for world in worlds) / len(worlds) for name in asdict(worlds[0])}
    claims = (
        ("adjusted Rand of events", "found", 0.37),
        ("number of personas right within one", "within_one", 0.7),
        ("one persona for users of one taste", "one_taste", 0.9),
        ("one persona for users of one persona, a third of whose events are noise", "one_persona", 0.9),
    )
    return [
        bar(claim, f"at least {number(least, 2)}", number(mean[name], 2), mean[name] >= least)
        for claim, name, least in claims
    ]


def _world_table(worlds: Sequence[Planted]) -> str:
    rows = [[str(seed), *(number(value, 3) for value in asdict(world).values())] for seed, world in enumerate(worlds)]
    return table(["seed", *(name.replace("_", " ") for name in asdict(worlds[0]))], rows)
