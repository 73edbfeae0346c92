"""The bars that the accuracy benchmark has to clear, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.comparison import Paired, Result
from benchmarks.accuracy.fidelity import beaten_on_all
from benchmarks.tools.report import number, p_value, verdict

_DENSE = ("ml-1m-ordered", "random")
_STRONG = {"ease": 0.315, "ials": 0.295}
_TARGET = 0.330
_ALIVE = 0.8


def bars(results: Sequence[Result], twin: Sequence[Paired]) -> list[list[str]]:
    """Return rows of a table: claim, bar, measured, verdict."""
    dense = next((r for r in results if (r.dataset, r.split) == _DENSE), None)
    rows = []
    for name, bar in _STRONG.items():
        value = dense.mean(name, "ndcg@10") if dense and dense.ok(name) else None
        rows.append(_row(f"{name} on {', '.join(_DENSE)}", f"NDCG@10 at least {number(bar, 3)}", value, bar))
    own = dense.mean("ampcf", "ndcg@10") if dense and dense.ok("ampcf") else None
    rows.append(_row(f"ampcf on {', '.join(_DENSE)}", f"above EASE: {number(_TARGET, 3)}", own, _TARGET))
    here = [p for p in twin if dense is not None and p.result is dense]
    for metric in ("ndcg@10", "minority_recall@10", "tdd@10"):
        pair = next((p for p in here if p.metric == metric), None)
        text = "-" if pair is None else f"{number(pair.diff)}, p {p_value(pair.p_holm)}"
        passed = None if pair is None else pair.gain > 0 and pair.p_holm < 0.01
        rows.append([f"ampcf against its twin, {metric}, there", "better, p < .01", text, verdict(passed)])
    worse = [p for p in twin if p.outcome == "lost" and p.metric == "ndcg@10"]
    text = ", ".join(p.result.title for p in worse) or "nowhere"
    rows.append(
        ["ampcf against its twin, everywhere", "never worse in NDCG@10", text, verdict(not worse if twin else None)]
    )
    return rows + _alive(results) + _faithful(results)


def _row(claim: str, bar: str, value: float | None, least: float) -> list[str]:
    return [claim, bar, number(value), verdict(None if value is None else value >= least)]


def _alive(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        outcome = result.ok("ampcf")
        if outcome is None or outcome.experiment is None or not outcome.runs[0]["health"]:
            continue
        personas = int(outcome.experiment.arguments["personas"])
        least = min(float(run["health"]["effective"]) for run in outcome.runs)
        bar = _ALIVE * personas
        rows.append(_row(f"effective personas of ampcf, {result.title}", f"at least {bar:g} of {personas}", least, bar))
    return rows


def _faithful(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        outcome = result.ok("ampcf")
        found = outcome.runs[0].get("fidelity") if outcome else None
        if found and "failure" not in found:
            passed = beaten_on_all(found)
            text = "on all four metrics" if passed else "not on all metrics"
            claim = f"evidence of ampcf beats random, popularity, cosine, {result.title}"
            rows.append([claim, "all four metrics", text, verdict(passed)])
    return rows
