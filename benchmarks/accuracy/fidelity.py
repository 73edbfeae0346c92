"""Fidelity of a model's evidence against random, popularity and cosine evidence, as plain values for a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.tools.grid import Arena
from benchmarks.tools.report import number, p_value, table, without_paths
from recsys.errors import RecsysError
from recsys.evaluation.significance import LEVEL, compare, established_sign, holm
from recsys.explanations.fidelity import METRICS, ORIENTATION, FidelityReport, fidelity
from recsys.models.base import Recommender

OWN, PLACEBO = "model", "random"
"""Kinds of evidence: that of the model, and the one that stands in its place as a placebo."""

USERS = 500


def measure_fidelity(model: Recommender, arena: Arena) -> dict[str, Any]:
    """Return `fidelity`: means by method and metric, and corrected tests of the model's evidence against each other."""
    try:
        report = fidelity(model, arena.split.test.queries, arena.split.train, users=USERS)
    except RecsysError as error:
        return {"fidelity": {"failure": without_paths(str(error))}}
    summary = report.summary
    methods = [str(name) for name in summary.index]
    tests = _tests(report, OWN, [name for name in methods if name != OWN])
    placebo = _tests(report, PLACEBO, [name for name in methods if name not in (OWN, PLACEBO)])
    means = {
        str(method): {metric: float(summary.loc[method, metric]) for metric in METRICS} for method in summary.index
    }
    by_m = [{str(name): value for name, value in row.items()} for row in report.by_m.reset_index().to_dict("records")]
    return {
        "fidelity": {
            "users": report.users,
            "k": report.k,
            "means": means,
            "by_m": by_m,
            "tests": tests,
            "placebo": placebo,
        }
    }


def _tests(report: FidelityReport, own: str, others: Sequence[str]) -> list[dict[str, Any]]:
    """Return the tests of one kind of evidence against others in all metrics: one family, paired over users."""
    tests: list[dict[str, Any]] = []
    for against in others:
        for metric in METRICS:
            ours, theirs = report.paired(metric, own, against)
            a, b = (pd.DataFrame({"user_id": range(len(column)), metric: column}) for column in (theirs, ours))
            row = compare(a, b, [metric]).iloc[0]
            numbers = {name: float(row[name]) for name in ("low", "high", "rank_effect", "p")}
            tests.append({"metric": metric, "against": against, "gain": float(row["diff"]), **numbers})
    for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = float(corrected)
    return tests


def fidelity_table(result: dict[str, Any]) -> str:
    """Return the Markdown table of a result of `measure_fidelity`."""
    rows = []
    for method, means in result["means"].items():
        p = [test["p_holm"] for test in result["tests"] if test["against"] == method]
        rows.append([method, *(number(means[metric]) for metric in METRICS), p_value(max(p)) if p else "-"])
    better = {"lower": "low", "higher": "high"}
    header = ["evidence", *(f"{metric.upper()} ({better[ORIENTATION[metric]]})" for metric in METRICS), "largest p"]
    return table(header, rows)


def lost(tests: Sequence[dict[str, Any]], level: float = LEVEL) -> list[str]:
    """Return the tests in which the evidence is not established to be better, as texts."""
    return [
        f"{test['metric'].upper()} against {test['against']} evidence (gain {number(test['gain'])}, "
        f"p {p_value(test['p_holm'])})"
        for test in tests
        if established_sign(test["low"], test["high"], test["rank_effect"], test["p_holm"], level) <= 0
    ]
