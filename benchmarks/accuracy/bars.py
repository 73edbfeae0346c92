"""The bars of the accuracy benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.comparison import OWN, Result
from benchmarks.accuracy.fidelity import lost
from benchmarks.tools.differences import Difference
from benchmarks.tools.report import bar, number, p_value

_DENSE = ("ml-1m-ordered", "random")
_STRONG = {"ease": 0.315, "ials": 0.295}
_TARGET = 0.330
ALIVE = 0.8
"""Share of the personas that must be effective."""


def bars(results: Sequence[Result], twin: Sequence[Difference]) -> list[list[str]]:
    """Return the rows of the table of bars."""
    dense = next((r for r in results if (r.dataset, r.split) == _DENSE), None)
    rows = []
    for name, least in _STRONG.items():
        value = dense.mean(name, "ndcg@10") if dense and dense.ok(name) else None
        rows.append(_row(f"{name} on {', '.join(_DENSE)}", f"NDCG@10 at least {number(least, 3)}", value, least))
    own = dense.mean(OWN, "ndcg@10") if dense and dense.ok(OWN) else None
    rows.append(_row(f"ampcf on {', '.join(_DENSE)}", f"above EASE: {number(_TARGET, 3)}", own, _TARGET))
    here = [p for p in twin if dense is not None and p.where == dense.title]
    for metric in ("ndcg@10", "minority_recall@10", "tdd@10"):
        pair = next((p for p in here if p.metric == metric), None)
        text = "-" if pair is None else f"{number(pair.diff)}, p {p_value(pair.p_holm)}"
        passed = None if pair is None else pair.gain > 0 and pair.p_holm < 0.01
        rows.append(bar(f"ampcf against its twin, {metric}, there", "better, p < .01", text, passed))
    worse = [p for p in twin if p.outcome == "lost" and p.metric == "ndcg@10"]
    text = ", ".join(p.where for p in worse) or "nowhere"
    never = not worse if twin else None
    rows.append(bar("ampcf against its twin, everywhere", "never worse in NDCG@10", text, never))
    return rows + _alive(results) + _faithful(results)


def _row(claim: str, threshold: str, value: float | None, least: float) -> list[str]:
    return bar(claim, threshold, number(value), None if value is None else value >= least)


def _alive(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        personas = result.effective_personas()
        if personas is not None:
            claim, least = f"effective personas of {OWN}, {result.title}", ALIVE * personas[1]
            rows.append(_row(claim, f"at least {least:g} of {personas[1]}", personas[0], least))
    return rows


def _faithful(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        if result.fidelity and "failure" not in result.fidelity:
            passed = not lost(result.fidelity)
            text = "on all four metrics" if passed else "not on all metrics"
            claim = f"evidence of {OWN} beats random, popularity, cosine, {result.title}"
            rows.append(bar(claim, "all four metrics", text, passed))
    return rows
