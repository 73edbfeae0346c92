"""What one rule for all cannot do where users disagree, and what repairs it. `python -m benchmarks.disagreement`.

A judgement is a pair of items that a user rated differently, at most 20 of the user's own events apart. A pair's
split is the share of its larger side. In `masked` item weights are fitted on half of the users; each of the others
judges with both ratings taken out of the history; splits are of these judgements, so that no rule that answers alike
for all can be below the bound, whatever it knows (the majority of these very answers attains it). Intervals are
bootstraps over users. In `held_out` models whose users are learned answer pairs of everybody's last 30% of ratings,
at most 200 a user; a pair's split is counted in the half of the users without the judging one; it leaks the time of
others. Settings are chosen on validation users and pairs, with as many trials for one vector of any size as for
personas. Worlds of camps and a log of pairs with item vectors have known truths. Shares of users below a half are
freed of the noise of small numbers by a beta-binomial fit. Lists for all see half of the users' ratings and are
measured on the other half.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.disagreement import masked, personas
from benchmarks.disagreement.report import Found, draw, of_contest, of_masked, report
from benchmarks.tools.command import parser, program
from benchmarks.tools.report import report_folder, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.files import write_json
from recsys.worlds.simulation import simulated_log

LOGS = ("ml-1m-ordered", "ml-100k")
OVERLAPS = (1.0,)
RATERS = 80


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("disagreement", __doc__, quick="small simulated logs, short trainings", threads=True)
    command.add_argument("--logs", nargs="*", default=list(LOGS), metavar="NAME", help="logs of ratings")
    options = command.parse_args(arguments)
    logs: dict[str, Interactions] = {}
    absent: dict[str, str] = {}
    for name in options.logs:
        try:
            logs[name] = _simulated() if options.quick else datasets.load(name)
        except DataError as error:
            absent[name] = str(error)
    if not logs:
        raise DataError(f"no log of ratings to read: {'; '.join(absent.values()) or 'give --logs'}")
    first = next(iter(logs))
    out = report_folder("disagreement", options.out, options.quick)
    quick = options.quick
    found: Found = {
        "log": first,
        "logs": {name: [log.fingerprint[:12], len(log), log.n_users, log.n_items] for name, log in logs.items()},
        "absent": sorted(absent),
        "masked": _part(out, "masked", lambda: of_masked(masked.run(logs[first], 10 if quick else RATERS))),
        "held_out": {
            name: _part(out, f"held-out-{name}", partial(_contest, log, quick)) for name, log in reversed(logs.items())
        },
        "lists": _part(out, "lists", lambda: masked.aggregates(logs[first], *((20, 10) if quick else (150, 40)))),
        "worlds": _part(out, "worlds", lambda: personas.worlds(quick)),
        "rewards": [
            {
                "overlap": overlap,
                "models": _part(out, f"rewards-{overlap:g}", partial(personas.rewards, overlap, seeds)),
            }
            for seeds in [(0,) if quick else personas.SEEDS]
            for overlap in OVERLAPS
        ],
    }
    write_result(out, found)
    draw(out, found)
    return write_report(out, report(found, __doc__))


def _contest(log: Interactions, quick: bool) -> Found:
    return of_contest(personas.contest(log, raters=5 if quick else 20, quick=quick))


def _part(out: Path, name: str, measure: Callable[[], Any]) -> Any:  # noqa: ANN401 - values of JSON
    """Return what a part measured, as plain values; a report that was interrupted goes on after its last part."""
    path = out / "cells" / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measure())
    return json.loads(path.read_text(encoding="utf-8"))


def _simulated() -> Interactions:
    return simulated_log(n_users=200, n_items=60, events_per_user=25)
