"""Whether norms hold, whether lists are the best that norms allow, and what they cost. `python -m benchmarks.policy`.

Requests, catalogues and policies are made at random: up to 40 items of which much is not known, all kinds of rules, in
four layers, with groups that cross. A checker that shares no code with the library counts the rules that a list breaks
and that did not give way. Small cases are compared with all their lists. Times are of lists of ten from 10,000 items.
On ml-latest-small (random; 70% of the events for training, 20% for the test) lists by EASE under a policy are compared
with plain ones, one rule at a time; both follow the model's scores, so a difference is the price of the rules alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.policy.trials import (
    NOBODY,
    NOW,
    Fuzz,
    Times,
    enumerated,
    example,
    explained,
    fuzz,
    planted,
    times,
)
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
    table,
    write_report,
    write_result,
)
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate_lists
from recsys.experiments.policies import catalogue_of
from recsys.models import EASE
from recsys.policy.binding import BoundPolicy, bind
from recsys.policy.decide import decide
from recsys.types import Doubles, Items
from recsys.worlds.simulation import simulated_log

LOG = "ml-latest-small"
N = 10
USERS = 300
PENALTY = 500.0


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("policy", __doc__, quick="few cases, a small simulated log", threads=True)
    command.add_argument("--requests", type=int, default=1_000_000, metavar="N", help="made requests that are checked")
    options = command.parse_args(arguments)
    scale = 0.002 if options.quick else 1.0
    made = fuzz(int(options.requests * scale))
    print(f"{made.requests:,} requests, {made.broken} break a rule", flush=True)
    optima = enumerated(int(10_000 * scale))
    conflicts = planted(int(1_000 * scale))
    told = explained(int(1_000 * scale))
    print(f"optima {optima}, conflicts {conflicts}, explanations {told}", flush=True)
    timed = times(int(10_000 * (0.1 if options.quick else 1)), int(1_000 * scale) + 2)
    log = simulated_log(n_users=60, n_items=80, events_per_user=20) if options.quick else datasets.load(LOG)
    priced = prices(log)
    out = report_folder("policy", options.out, options.quick)
    figures = {"fuzz": asdict(made), "enumerated": optima, "planted": conflicts, "explained": told}
    write_result(out, figures | {"times": [asdict(each) for each in timed], "prices": priced})
    return write_report(out, report(made, optima, (*conflicts, int(1_000 * scale)), told, timed, priced))


def prices(log: Interactions) -> dict[str, dict[str, float]]:
    """Return the relative change of NDCG@10 by each rule of the example and by all, with its standard error.

    Nothing on a log without films of horror.
    """
    policy = example()
    if not any("Horror" in genres for genres in log.metadata.genres):
        return {}
    cut = split(log, "random", fractions=(0.7, 0.1, 0.2))
    model = EASE(regularization=PENALTY).fit(cut.train)
    catalogue = catalogue_of(model)
    rows = np.unique(np.linspace(0, len(cut.test) - 1, min(len(cut.test), USERS)).astype(np.int64))
    asked = cut.test.take(rows)
    with torch.inference_mode():
        scores = model.score(asked.queries).double().cpu().numpy()
    for row in range(len(rows)):
        seen = asked.queries.excluded.row(row)
        scores[row, seen[seen >= 0]] = -np.inf
    order = model.fitted_on.tie_rank.cpu().numpy()
    rules = [rule.id for _, rule in policy.rules]
    whole = bind(policy, catalogue, NOBODY, NOW, N)

    def ndcg(bound: BoundPolicy) -> Doubles:
        lists: Items = np.full((len(scores), N), -1, np.int32)
        for row, each in enumerate(scores):
            items = decide(bound, each, order, N).items
            lists[row, : len(items)] = items
        return evaluate_lists(lists, asked, cut.train, metrics=["ndcg"], cutoffs=N).per_user["ndcg@10"].to_numpy()

    plain = ndcg(whole.without(frozenset(rules)))
    bounds = {name: whole.without(frozenset(rules) - {name}) for name in rules} | {"all of them": whole}
    found = {}
    for name, bound in bounds.items():
        change = ndcg(bound) - plain
        error = float(np.nanstd(change) / np.sqrt(len(change)))
        found[name] = {
            "change": float(np.nanmean(change) / np.nanmean(plain)),
            "error": error / float(np.nanmean(plain)),
        }
    return found


def report(
    made: Fuzz,
    optima: tuple[int, int],
    conflicts: tuple[int, int, int, int],
    told: tuple[int, int],
    timed: Sequence[Times],
    priced: dict[str, dict[str, float]],
) -> list[str]:
    """Return the paragraphs of the report."""
    laminar, crossing = timed[0], timed[1:]
    found, minimal, refused, tried = conflicts
    slowest = max(each.high for each in crossing)
    bars = [
        bar("lists that break a binding rule", f"0 of {made.requests:,}", str(made.broken), made.broken == 0),
        bar("optima unlike enumeration", f"0 of {optima[0]:,}", str(optima[1]), optima[1] == 0),
        bar("largest gap of a decision", "0", number(made.gap, 6), made.gap == 0),
        bar("planted conflicts found", f"{tried:,}", f"{found:,}", found == tried),
        bar("of these as the two rules planted", f"{tried:,}", f"{minimal:,}", minimal == tried),
        bar("harmless policies refused", "0", str(refused), refused == 0),
        bar("changes whose rules did not make them", f"0 of {told[0]:,}", str(told[1]), told[1] == 0),
        bar("disjoint groups, 99th percentile", "3 ms", f"{laminar.high:.1f} ms", laminar.high <= 3),
        bar("crossing groups, 99th percentile", "60 ms", f"{slowest:.1f} ms", slowest <= 60),
        bar(
            "crossing groups, median",
            "12 ms",
            f"{max(each.median for each in crossing):.1f} ms",
            max(each.median for each in crossing) <= 12,
        ),
    ]
    rows = [
        [
            each.groups,
            f"{each.median:.1f}",
            f"{each.high:.1f}",
            f"{each.program:.0f}",
            number(each.gap, 6),
            f"{each.naive_missed} of {each.requests}",
            percent(-each.naive_loss),
        ]
        for each in timed
    ]
    header = [
        "groups",
        "median ms",
        "99% ms",
        "program over all items, ms",
        "gap",
        "naive greedy: no list",
        "its worst",
    ]
    parts = ["# Policies", method(__doc__), facts(environment()), bars_table(bars)]
    parts += [f"Rules gave way in {made.relaxed:,} requests, and {made.short:,} lists are short.", table(header, rows)]
    if priced:
        changes = [[name, percent(each["change"]), percent(each["error"])] for name, each in priced.items()]
        parts += [f"The price of rules on {LOG}, {USERS} users:", table(["rule", "NDCG@10", "standard error"], changes)]
    return parts
