"""Which answers are preferences, and what it is worth to know. `python -m benchmarks.reliability`.

Worlds: 600 people answer about 50 of 400 items, some of them twice or three times, under four numbers shown at random;
answers are preferences, thrown in, or made by the number shown, and the truth is known (`recsys.worlds.responses`).
Distance from the item's mean is what "noise" is often taken for; the ceiling knows all but the class. Gain is how good
the ten recommended truly are, 0 as random ones, 1 as the best. "Far" people are the fifth whose taste is farthest from
everybody's. Real logs: the sitting is measured prequentially, with the placebo of a shuffled order; second ratings of
one item in another period are foretold from the first alone; and where ratings are hidden, events are weighed by how
well the rest of the history agrees. Settings were chosen on worlds of seeds 0 to 4 and 10, which are not reported; the
floor of agreement on half of the users of the other seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.reliability.logs import second_ratings, sitting, without_ratings
from benchmarks.reliability.report import report
from benchmarks.reliability.worlds import asked_again, refusals, truth_found
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.report import report_folder, write_report, write_result
from recsys.data.catalogue import datasets

SEEDS: Final = (20, 21, 22, 23, 24)
REPEATS: Final = (0.0, 0.1, 0.3, 1.0)
SITTINGS: Final = ("ml-latest-small", "ml-1m-ordered", "movietweetings")
AGAIN: Final = "epinions"
HIDDEN: Final = "ml-1m-ordered"
REGULARIZATION: Final = (250.0, 500.0, 1000.0, 2000.0)

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
        found, seconds = cells.make(name, identity(name, sorted(size.items()), 2), lambda: CellContent(run()))
        print(f"{name}: {'stored' if seconds is None else f'{seconds:.0f} s'}", flush=True)
        return found

    worlds = {
        repeats: [cell(f"world/{repeats:g}-{seed}", partial(truth_found, repeats, seed, **size)) for seed in seeds]
        for repeats in REPEATS
    }
    refused = [cell(f"refusals/{seed}", partial(refusals, seed, **size)) for seed in seeds]
    asked = [cell(f"asked/{seed}", partial(asked_again, seed, **size)) for seed in seeds]
    sittings: dict[str, Numbers] = {}
    hidden: dict[float, Numbers] = {}
    again = None
    if not options.quick:
        for name in SITTINGS:
            sittings[name] = cell(f"sitting/{name}", lambda name=name: sitting(datasets.load(name)))  # type: ignore[misc]
        for by in REGULARIZATION:
            run = partial(without_ratings, datasets.load(HIDDEN), by, seed=1)
            hidden[by] = cell(f"hidden/{HIDDEN}-{by:g}", run)
        again = cell(f"second/{AGAIN}", lambda: second_ratings(datasets.load(AGAIN)))
    result = {"worlds": worlds, "refusals": refused, "asked": asked, "sitting": sittings, "hidden": hidden}
    write_result(out, result | ({} if again is None else {"second": again}))
    return write_report(out, report(out, __doc__, worlds, refused, asked, sittings, again, hidden))
