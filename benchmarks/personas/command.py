"""Personas found per user, judged by the claims that are made of them. `python -m benchmarks.personas`.

On each log EASE is fitted, a dictionary of tastes found, and every question's user is given personas, a list with seats
that they own, and names; how mixed the lists are is chosen on validation, on each split anew. What that costs in NDCG
is asked of everybody under several splits: random ones, or, where each user's last ten events are held out, those
after the last 10, 20, ... are cut off. All other claims are measured on a sample of users. AMP-CF is the same model
with attention over the same personas in its score, its sharpness chosen on validation. Names
that users read are measured on their own events and on what is recommended to them, beside those of the dictionary.
Placebos (the personas of events shuffled within a user; four that are alike; names of another persona of the same user)
must fail what personas and names pass. Users of one taste are planted: they draw from the items of one genre (or tag).
Worlds are simulated, so that every event's true persona is known. Ten users, evenly spread over the lengths of
histories, are shown with their personas, lists and reasons; what a person thought of them is in `judgement.md` beside
the report, where somebody wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import final

import numpy as np

from benchmarks.personas import logs
from benchmarks.personas.attention import read_outs
from benchmarks.personas.free import compared
from benchmarks.personas.people import Person, people, spread_users
from benchmarks.personas.planted import planted_users
from benchmarks.personas.reported import report
from benchmarks.personas.subject import Figures, Subject, sample
from benchmarks.personas.truth import after_an_event, truth
from benchmarks.personas.worlds import planted
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.report import report_folder, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Split
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.models import EASE
from recsys.worlds.simulation import simulated_log

SEED = 0


@final
@dataclass(frozen=True)
class Plan:
    """A log, how it is split, and EASE's regularisation on it.

    Attributes:
        splits: over which the NDCG of users is averaged, since one split has too few questions to tell half a per cent.
        people: whether ten users are shown.
    """

    log: str
    split: SplitName
    regularization: float
    n: int | None = None
    min_item_events: int = 1
    splits: int = 1
    people: bool = False

    def load(self) -> Interactions:
        """Return the log."""
        return simulated_log(n_users=300, n_items=400) if self.log == "simulated" else datasets.load(self.log)

    def parts(self, number: int = 0) -> Split:
        """Return one of the splits: a random one with this seed, or one of the log without later events."""
        log = self.load()
        if self.n is None:
            return split(log, self.split, seed=number, min_item_events=self.min_item_events)
        last = log.indptr[log.user_num + 1] - number * self.n
        earlier = log.select(np.arange(len(log)) < last).compact()
        return split(earlier, self.split, n=self.n, min_item_events=self.min_item_events)


PLANS = {
    plan.log: plan
    for plan in (
        Plan("ml-1m-ordered", "last_n", 500.0, n=10, splits=5),
        Plan("ml-latest-small", "random", 500.0, splits=10, people=True),
        Plan("movietweetings", "random", 300.0, min_item_events=5, splits=10),
        Plan("amazon-beauty", "random", 200.0, splits=5),
    )
}
QUICK = Plan("simulated", "random", 50.0, splits=2, people=True)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("personas", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="LOG", help=f"some of {', '.join(PLANS)}")
    command.add_argument(
        "--questions",
        type=int,
        default=2000,
        help="most users of a log of whom all is asked but NDCG (default: %(default)s)",
    )
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    out = report_folder("personas", options.out, options.quick)
    cells = Cells(out / "cells")
    results, persons = {}, {}
    for plan in plans:
        print(f"{plan.log} ...", flush=True)
        run = partial(measured, plan, options.questions)
        cell, _ = cells.make(plan.log, identity(asdict(plan), options.questions), run)
        results[plan.log] = cell["claims"]
        persons[plan.log] = [Person.from_dict(each) for each in cell["people"]]
    worlds = [planted(seed, 200 if options.quick else 800) for seed in range(1 if options.quick else 3)]
    write_result(out, {"logs": results, "worlds": [asdict(world) for world in worlds]})
    return write_report(out, report(__doc__, results, worlds, persons, out))


def measured(plan: Plan, questions: int) -> CellContent:
    """Return all figures of a log by claim, and what ten users are shown."""
    parts = plan.parts()
    everybody = Subject.of(EASE(plan.regularization), parts)
    subject = replace(everybody, questions=sample(everybody.questions, questions, SEED))
    again = (Subject.of(EASE(plan.regularization), plan.parts(number)) for number in range(1, plan.splits))
    free, lengths = compared(chain([everybody], again), SEED)
    results: dict[str, Figures] = {
        "seats": {**subject.weights, "questions": float(len(subject.questions))},
        **{f"personas, {kind}": figures for kind, figures in logs.placebos(subject, SEED).items()},
        "planted": planted_users(subject.train, subject.served, SEED),
        **{f"names, {kind}": figures for kind, figures in truth(subject).items()},
        "names, after an event": {"the same": after_an_event(subject)},
        "owned": logs.owned(subject),
        "free": free,
        **{f"excess, {length} events": figures for length, figures in lengths.items()},
        "controlled": logs.controlled(subject),
        **{f"stable, {kind}": figures for kind, figures in logs.stable(subject, SEED).items()},
        "cost": logs.cost(subject),
    }
    persons = people(subject, spread_users(subject)) if plan.people else []
    ampcf = Subject.of(EASE(plan.regularization), parts, sharpness=None, most=questions, seed=SEED)
    results |= {f"read-out, {name}": figures for name, figures in read_outs(subject, ampcf, SEED).items()}
    return CellContent({"claims": results, "people": [asdict(person) for person in persons]})
