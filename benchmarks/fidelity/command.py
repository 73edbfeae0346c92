"""Is the evidence of the served configurations the model's, or would others do? `python -m benchmarks.fidelity`.

Each configuration, as shipped, is fitted on the training part of a global temporal split. The top recommendation of a
sample of test users is explained by the model's own contributions, and by leave-one-out (how far the score falls
without the item alone), cosine, popularity and random evidence for the same recommendations. Metrics: formulas in
`recsys.explanations.fidelity`, means over 1 to 5 removed or kept items. Differences are paired over users; a
difference is established where its interval leaves out 0 and the signed-rank test, corrected (Holm) over all
comparisons of the report, agrees. Then the reasons: how many items of the lists of ten have a "because", and whether
each leaves the list that is made again without the events that it names. For a sample of items all sets of one and two
events are tried, to see how often there is a smaller set than the search finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from benchmarks.fidelity.reasons import LENGTH, measure
from benchmarks.fidelity.reported import Measured, write
from benchmarks.fidelity.smaller import compare
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.report import method, report_folder
from recsys.data.catalogue import datasets
from recsys.data.queries import Queries
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.standard import split
from recsys.experiments.fitting import train
from recsys.explanations.fidelity import fidelity
from recsys.explanations.methods import EvidenceMethod, standard_methods
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Doubles, Items

SERVED = ("ease_personas", "ease_personas_decay", "ampcf", "ampcf_decay")
LEAVE_ONE_OUT = "leave-one-out"
_EVENTS = 500_000
"""Events of the histories that leave-one-out reads at a time."""


@final
@dataclass(frozen=True)
class Plan:
    """A log, and how much of it is read."""

    name: str  # of the log
    item_events: int = 1  # items with fewer events are left out


PLANS = {plan.name: plan for plan in (Plan("ml-100k"), Plan("ml-latest-small"), Plan("movietweetings", 5))}
QUICK = Plan("simulated")


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and write its report; return its path."""
    command = parser("fidelity", __doc__, quick="one configuration, 20 users of a simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="NAME", help=f"of {', '.join(PLANS)} (default: all)")
    command.add_argument("--users", type=int, default=100, help="sample of test users (default: %(default)s)")
    command.add_argument(
        "--tried", type=int, default=25, help="items for which all small sets are tried (default: %(default)s)"
    )
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    users, tried = (20, 5) if options.quick else (options.users, options.tried)
    served = SERVED[:1] if options.quick else SERVED
    measured: list[Measured] = []
    sizes: dict[str, str] = {}
    for plan in plans:
        log = minimum_events(datasets.load(plan.name), 1, plan.item_events)
        cut = split(log, "global_time", seed=0)
        least = "" if plan.item_events == 1 else f" (items with at least {plan.item_events} events)"
        sizes[plan.name] = f"{len(log):,} events, {log.n_items:,} items{least}, fingerprint `{log.fingerprint[:16]}`"
        queries = cut.test.queries
        for name in served:
            print(f"{plan.name}, {name}", flush=True)
            model = train(cut, name)
            methods = dict(standard_methods(model, cut.train)) | {LEAVE_ONE_OUT: leave_one_out_evidence(model)}
            report = fidelity(model, queries, cut.train, methods=methods, users=users)
            smaller = compare(model, queries, tried, LENGTH)
            measured.append(Measured(f"{plan.name}, {name}", report, measure(model, queries, users), smaller))
    return write(report_folder("fidelity", options.out, options.quick), method(__doc__), measured, sizes)


def leave_one_out_evidence(model: Recommender) -> EvidenceMethod:
    """Return the method whose strength is the fall of the score when an event is missing from the history.

    The score is the sum of the contributions, so the model must be additive, as the served configurations are.
    """
    fold_in = as_fold_in(model, "leave-one-out evidence")

    def scores(queries: Queries, items: Items) -> Doubles:
        each = fold_in.contributions(queries, items[:, None])[:, 0].double().numpy()
        return queries.history.sum(each)

    def strengths(queries: Queries, items: Items) -> Doubles:
        result = np.zeros(len(queries.history.items))
        whole = scores(queries, items)
        for query, (start, stop) in enumerate(zip(queries.history.indptr, queries.history.indptr[1:], strict=False)):
            length = int(stop - start)
            for first in range(0, length, max(1, _EVENTS // max(length, 1))):
                left_out = np.arange(first, min(length, first + max(1, _EVENTS // length)))
                repeated = queries.take(np.full(len(left_out), query))
                keep = np.ones((len(left_out), length), np.bool_)
                keep[np.arange(len(left_out)), left_out] = False
                without = scores(repeated.keep(keep.ravel()), items[np.full(len(left_out), query)])
                result[start + left_out] = whole[query] - without
        return np.where(queries.counted, result, 0.0)

    return strengths
