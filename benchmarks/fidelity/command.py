"""Is the evidence of the served configurations the model's, or would others do? `python -m benchmarks.fidelity`.

Each configuration, as shipped, is fitted on the training part of a global temporal split. The top recommendation of a
sample of test users is explained by the model's own contributions, and by leave-one-out (how far the score falls
without the item alone), cosine, popularity and random evidence for the same recommendations. Metrics: formulas in
`recsys.explanations.fidelity`, means over 1 to 5 removed or kept items. Differences are paired over users; a
difference is established where its interval leaves out 0 and the signed-rank test, corrected (Holm) over all
comparisons of the report, agrees. Then the reasons: how many items of the lists of ten have a "because", and whether
each leaves the list that is made again without the events that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from benchmarks.fidelity.reasons import HEADER, Reasons, measure
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.differences import Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, interval, method, number, p_value, report_folder, table, write_report
from recsys.data.catalogue import datasets
from recsys.data.queries import Queries
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.standard import split
from recsys.experiments.fitting import train
from recsys.explanations.fidelity import METRICS, ORIENTATION, FidelityReport, fidelity
from recsys.explanations.methods import EvidenceMethod, standard_methods
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Doubles, Items

SERVED = ("ease_personas", "ease_personas_decay", "ampcf", "ampcf_decay")
OWN, LEAVE_ONE_OUT = "model", "leave-one-out"
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
    command.add_argument("--users", type=int, default=200, help="sample of test users (default: %(default)s)")
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    users = 20 if options.quick else options.users
    served = SERVED[:1] if options.quick else SERVED
    reports: dict[str, FidelityReport] = {}
    reasons: dict[str, Reasons] = {}
    sizes: dict[str, str] = {}
    for plan in plans:
        log = minimum_events(datasets.load(plan.name), 1, plan.item_events)
        cut = split(log, "global_time", seed=0)
        least = "" if plan.item_events == 1 else f" (items with at least {plan.item_events} events)"
        sizes[plan.name] = f"{len(log):,} events, {log.n_items:,} items{least}, fingerprint `{log.fingerprint[:16]}`"
        for name in served:
            print(f"{plan.name}, {name}")
            model = train(cut, name)
            methods = dict(standard_methods(model, cut.train)) | {LEAVE_ONE_OUT: leave_one_out_evidence(model)}
            report = fidelity(model, cut.test.queries, cut.train, methods=methods, users=users)
            reports[f"{plan.name}, {name}"] = report
            reasons[f"{plan.name}, {name}"] = measure(model, cut.test.queries, users)
    return write(report_folder("fidelity", options.out, options.quick), reports, sizes, reasons)


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


def differences(reports: Mapping[str, FidelityReport]) -> list[Difference]:
    """Return the model's evidence minus every other, positive where the model's is better: one family of tests."""
    pairs = []
    for where, report in reports.items():
        for other in report.per_user["method"].unique():
            for metric in METRICS if other != OWN else ():
                ours, theirs = (
                    pd.DataFrame({"user_id": np.arange(len(values)), metric: values})
                    for values in report.paired(metric, OWN, str(other))
                )
                pairs.append(Difference.between(where, OWN, ours, str(other), theirs, metric))
    return corrected(pairs)


def write(
    out: Path, reports: Mapping[str, FidelityReport], sizes: Mapping[str, str], reasons: Mapping[str, Reasons]
) -> Path:
    """Write the report, every sentence and table of which is made from the numbers; return its path."""
    pairs = differences(reports)
    parts = ["# Fidelity of evidence", facts(environment() | dict(sizes)), method(__doc__), "## Reasons"]
    parts.append(table(["", *HEADER], [[where, *one.cells] for where, one in reasons.items()]))
    because = sum(len(one.sizes) for one in reasons.values())
    dropped = sum(one.dropped for one in reasons.values())
    sizes_of_sets = [size for one in reasons.values() for size in one.sizes]
    if because:
        median = f"{np.median(sizes_of_sets):g}"
        parts.append(
            f'Of {because:,} items with a "because", {dropped:,} ({dropped / because:.1%}) leave the list without the '
            f"events that it names, the list being made again by the model; the median set has {median}, the largest "
            f'{max(sizes_of_sets)}. "Its evidence" is the mean share of the positive evidence that the set is.'
        )
    parts += ["## What lost", what_lost(pairs)]
    for where, report in reports.items():
        own = [pair for pair in pairs if pair.where == where]
        parts += [f"## {where}", f"{report.users} users of {report.eligible:,} with enough history.", _means(report)]
        parts.append(_tests(own))
    return write_report(out, parts)


def what_lost(pairs: Sequence[Difference]) -> str:
    """Return a list of the comparisons that the model's evidence loses, and of those it does not win."""
    lines = []
    for outcome, words in (("lost", "is worse than"), ("tie", "is not told apart from")):
        by_place: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.outcome == outcome:
                by_place.setdefault(pair.where, []).append(f"{pair.other} by {pair.metric.upper()}")
        texts = [f"{where}: {', '.join(names)}" for where, names in by_place.items()]
        lines.append(f"- The model's evidence {words}: {'; '.join(texts) or 'none'}.")
    return "\n".join(lines)


def _means(report: FidelityReport) -> str:
    header = ["evidence", *(f"{metric.upper()} ({ORIENTATION[metric]})" for metric in METRICS)]
    summary = report.summary
    return table(
        header, [[str(name), *(number(row[metric]) for metric in METRICS)] for name, row in summary.iterrows()]
    )


def _tests(pairs: Sequence[Difference]) -> str:
    words = {"won": "better", "lost": "**worse**", "tie": "not told apart"}
    rows = []
    for pair in pairs:
        evidence = [number(pair.diff), interval(pair.low, pair.high), p_value(pair.p_holm)]
        rows.append([pair.other, pair.metric.upper(), *evidence, words[pair.outcome]])
    return table(["model's evidence against", "metric", "gain", "95%", "p (Holm)", ""], rows)
