"""Fidelity of a model's evidence against random, popularity and cosine evidence, as plain values for a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.tools.grid import Arena
from benchmarks.tools.report import number, p_value, table, without_paths
from recsys.errors import RecsysError
from recsys.evaluation.significance import holm, signed_rank_p
from recsys.explanations.fidelity import METRICS, ORIENTATION, fidelity
from recsys.models.base import Recommender

OWN = "model"
USERS = 500


def measure_fidelity(model: Recommender, arena: Arena) -> dict[str, Any]:
    """Return `fidelity`: means by method and metric, and corrected tests of the model's evidence against each other."""
    try:
        report = fidelity(model, arena.split.test.queries, arena.split.train, users=USERS)
    except RecsysError as error:
        return {"fidelity": {"failure": without_paths(str(error))}}
    summary = report.summary
    tests = []
    for against in (name for name in summary.index if name != OWN):
        for metric in METRICS:
            own, other = report.paired(metric, OWN, str(against))
            p = signed_rank_p(own - other)
            tests.append({"metric": metric, "against": str(against), "gain": float((own - other).mean()), "p": p})
    for test, corrected in zip(tests, holm([float(str(test["p"])) for test in tests]), strict=True):
        test["p_holm"] = float(corrected)
    means = {
        str(method): {metric: float(summary.loc[method, metric]) for metric in METRICS} for method in summary.index
    }
    by_m = [{str(name): value for name, value in row.items()} for row in report.by_m.reset_index().to_dict("records")]
    return {"fidelity": {"users": report.users, "k": report.k, "means": means, "by_m": by_m, "tests": tests}}


def fidelity_table(result: dict[str, Any]) -> str:
    """Return the Markdown table of a result of `measure_fidelity`."""
    rows = []
    for method, means in result["means"].items():
        p = [test["p_holm"] for test in result["tests"] if test["against"] == method]
        rows.append([method, *(number(means[metric]) for metric in METRICS), p_value(max(p)) if p else "-"])
    better = {"lower": "low", "higher": "high"}
    header = ["evidence", *(f"{metric.upper()} ({better[ORIENTATION[metric]]})" for metric in METRICS), "largest p"]
    return table(header, rows)


def lost(result: dict[str, Any], level: float = 0.05) -> Sequence[str]:
    """Return the tests in which the model's evidence is not significantly better, as texts."""
    return [
        f"{test['metric'].upper()} against {test['against']} evidence (gain {number(test['gain'])}, "
        f"p {p_value(test['p_holm'])})"
        for test in result["tests"]
        if not (test["gain"] > 0 and test["p_holm"] < level)
    ]
