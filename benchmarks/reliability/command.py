"""Which answers are preferences, and what it is worth to know. `python -m benchmarks.reliability`.

Worlds: 600 people answer about 50 of 400 items, some of them twice or three times, under four numbers shown at random;
answers are preferences, thrown in, or made by the number shown, and the truth is known (`recsys.worlds.responses`).
Distance from the item's mean is what "noise" is often taken for; the ceiling knows all but the class. Gain is how good
the ten recommended truly are, 0 as random ones, 1 as the best. Real logs: the sitting is measured prequentially, with
the placebo of a shuffled order; second ratings of one item in another period are foretold from the first alone; and
where ratings are hidden, events are weighed by how well the rest of the history agrees. Settings were chosen on the
worlds of seeds 0 and 1 and are not reported; the floor of agreement on half of the users of the other seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.reliability.logs import second_ratings, sitting, without_ratings
from benchmarks.reliability.worlds import refusals, truth_found
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    method,
    number,
    percent,
    report_folder,
    spread,
    table,
    write_report,
    write_result,
)
from recsys.data.catalogue import datasets

SEEDS: Final = (10, 11, 12, 13, 14)
REPEATS: Final = (0.0, 0.1, 0.3, 1.0)
SITTINGS: Final = ("ml-latest-small", "ml-1m-ordered", "movietweetings", "amazon-beauty")
AGAIN: Final = "epinions"
HIDDEN: Final = "ml-1m-ordered"
_AUC: Final = {0.1: 0.79, 0.3: 0.84, 1.0: 0.905}
_CLOSED: Final = {0.1: 0.25, 0.3: 0.40, 1.0: 0.65}

Numbers = Mapping[str, float]


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("reliability", __doc__, quick="two small worlds", threads=True)
    options = command.parse_args(arguments)
    out = report_folder("reliability", options.out, options.quick)
    cells = Cells(out / "cells")
    seeds = SEEDS[:2] if options.quick else SEEDS
    size = {"users": 120, "items": 60, "pairs": 25, "rounds": 3} if options.quick else {}

    def cell(name: str, run: Callable[[], dict[str, float]]) -> Numbers:
        found, seconds = cells.make(name, identity(name, sorted(size.items()), 1), lambda: CellContent(run()))
        print(f"{name}: {'stored' if seconds is None else f'{seconds:.0f} s'}", flush=True)
        return found

    worlds = {
        repeats: [cell(f"world/{repeats:g}-{seed}", partial(truth_found, repeats, seed, **size)) for seed in seeds]
        for repeats in REPEATS
    }
    refused = [cell(f"refusals/{seed}", partial(refusals, seed, **size)) for seed in seeds]
    sittings: dict[str, Numbers] = {}
    again, hidden = None, None
    if not options.quick:
        for name in SITTINGS:
            sittings[name] = cell(f"sitting/{name}", lambda name=name: sitting(datasets.load(name)))  # type: ignore[misc]
        again = cell(f"second/{AGAIN}", lambda: second_ratings(datasets.load(AGAIN)))
        hidden = cell(f"hidden/{HIDDEN}", lambda: without_ratings(datasets.load(HIDDEN), seed=1))
    result = {"worlds": worlds, "refusals": refused, "sitting": sittings, "second": again, "hidden": hidden}
    write_result(out, {key: value for key, value in result.items() if value is not None})
    return write_report(out, _report(worlds, refused, sittings, again, hidden))


def _report(
    worlds: Mapping[float, Sequence[Numbers]],
    refused: Sequence[Numbers],
    sittings: Mapping[str, Numbers],
    again: Numbers | None,
    hidden: Numbers | None,
) -> list[str]:
    """Return the paragraphs of the report."""
    parts = ["# Reliability of answers", method(__doc__), facts(environment())]
    parts += ["## Bars", bars_table(_bars(worlds, refused, sittings, again, hidden))]
    columns = ("auc", "auc_distance", "auc_ceiling", "auc_non_attitude", "auc_constructed", "calibration_error")
    shown = ("genuine", "by distance", "ceiling", "non-attitude", "constructed", "calibration error")
    parts += ["## Worlds", "Area under the curve by class, mean and range of the seeds:"]
    parts += [table(["repeated", *shown], [_spreads(repeats, found, columns) for repeats, found in worlds.items()])]
    columns = ("gain_uniform", "gain_mixture", "gain_only_genuine", "rmse_uniform", "rmse_mixture", "share_correlation")
    shown = ("gain, alike", "gain, weighed", "gain, only genuine", "RMSE, alike", "RMSE, weighed", "users' shares, r")
    parts += [table(["repeated", *shown], [_spreads(repeats, found, columns) for repeats, found in worlds.items()])]
    if sittings:
        rows = [
            [
                name,
                number(found["rmse_without"]),
                number(found["rmse_with"]),
                f"{percent(found['gain'], 2)} [{percent(found['low'], 2)}, {percent(found['high'], 2)}]",
                percent(found["shuffled"], 2),
                number(found["coefficient"], 3),
                *(number(found[f"lag_{lag}"], 3) for lag in (1, 10, 100)),
            ]
            for name, found in sittings.items()
        ]
        head = ["log", "RMSE", "with the sitting", "gain", "shuffled", "coefficient", "lag 1", "lag 10", "lag 100"]
        parts += ["## The sitting", table(head, rows)]
    if again is not None:
        clues = {"the mixture's chance of an equal answer": "auc_equal", "P(genuine)": "auc_genuine"}
        clues |= {
            "fewer events": "auc_few_events",
            "extremity": "auc_extremity",
            "nearness to the item's mean": "auc_distance",
        }
        rows = [[name, number(again[key], 3)] for name, key in clues.items()]
        parts += [
            "## Second ratings",
            f"{again['pairs']:.0f} pairs of {AGAIN}, {percent(again['equal'])} of them equal; area under the curve "
            "from the first rating alone:",
            table(["clue", "AUC"], rows),
        ]
    if hidden is not None:
        parts += [
            "## Events without ratings",
            f"{HIDDEN}: NDCG@10 of what is truly liked {number(hidden['alike'])} with events alike, "
            f"{number(hidden['agreement'])} weighed by agreement, on {hidden['users']:.0f} users not fitted on.",
        ]
    return parts


def _spreads(repeats: float, found: Sequence[Numbers], columns: Sequence[str]) -> list[str]:
    return [f"{repeats:g}", *(spread([one[column] for one in found], 3) for column in columns)]


def _mean(found: Sequence[Numbers], key: str) -> float:
    return float(np.nanmean([one[key] for one in found]))


def _bars(
    worlds: Mapping[float, Sequence[Numbers]],
    refused: Sequence[Numbers],
    sittings: Mapping[str, Numbers],
    again: Numbers | None,
    hidden: Numbers | None,
) -> list[list[str]]:
    rows = []
    for repeats, found in worlds.items():
        name = f"{repeats:g} repeated"
        if repeats in _AUC:
            value, least = _mean(found, "auc"), _AUC[repeats]
            rows.append(bar(f"{name}: AUC of genuine", f"at least {least:g}", number(value, 3), value >= least))
            value, least = _mean(found, "closed"), _CLOSED[repeats]
            rows.append(bar(f"{name}: of the gain closed", f"at least {least:.0%}", percent(value), value >= least))
        if repeats >= 0.3:
            value = _mean(found, "calibration_error")
            rows.append(bar(f"{name}: calibration error", "at most .04", number(value, 3), value <= 0.04))
        if repeats == 0.3:
            value = _mean(found, "share_correlation")
            rows.append(bar(f"{name}: users' shares, r", "at least .70", number(value, 2), value >= 0.7))
        worse = max(one["rmse_mixture"] - one["rmse_uniform"] for one in found)
        rows.append(bar(f"{name}: RMSE against alike, worst seed", "at most 0", number(worse, 3), worse <= 0))
    loss, mass = _mean(refused, "calm_loss"), _mean(refused, "calm_mass")
    rows.append(bar("world without noise: gain lost", "at most .002", number(loss), loss <= 0.002))
    rows.append(bar("world without noise: mass of the others", "at most .05", number(mass, 3), mass <= 0.05))
    for key, name in (("permuted", "permuted conditions"), ("one_condition", "one condition")):
        count = sum(one[key] for one in refused)
        rows.append(
            bar(
                f"constructed is null: {name}",
                f"{len(refused)} of {len(refused)}",
                f"{len(refused) - count:.0f}",
                count == 0,
            )
        )
    if sittings:
        small = sittings["ml-latest-small"]
        rows.append(
            bar(
                "ml-latest-small: error by the sitting", "falls by 2%", percent(small["gain"], 2), small["gain"] >= 0.02
            )
        )
        shuffled = max(abs(found["shuffled"]) for found in sittings.values())
        rows.append(bar("shuffled order, all logs", "0 by .1%", percent(shuffled, 2), shuffled <= 0.001))
        worst = min(found["gain"] for found in sittings.values())
        rows.append(bar("no log loses", "more than .1%", percent(worst, 2), worst >= -0.001))
    if again is not None:
        rows.append(
            bar(
                "epinions: an equal second rating, AUC",
                "at least .66",
                number(again["auc_equal"], 3),
                again["auc_equal"] >= 0.66,
            )
        )
    if hidden is not None:
        value = hidden["difference"]
        text = f"{value:+.4f} [{hidden['low']:+.4f}, {hidden['high']:+.4f}]"
        rows.append(bar("ml-1m, ratings hidden: NDCG@10", "+.006", text, value >= 0.006))
    return rows
