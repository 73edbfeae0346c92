"""The bars of the accuracy benchmark, each with the placebo that must miss it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.comparison import OWN, TWIN, Result, paired, placebo_pairs
from benchmarks.accuracy.fidelity import PLACEBO, lost
from benchmarks.tools.differences import Difference, corrected
from benchmarks.tools.report import Placebo, bar, number, p_value

_DENSE = ("ml-1m-ordered", "random")
_STRONG = {"ease": 0.315, "ials": 0.295}
_TARGET = 0.330
_LEVEL = 0.01
ALIVE = 0.8
"""Share of the personas that must be effective."""

TWIN_METRICS = ("ndcg@10", "minority_recall@10", "tdd@10")


def bars(results: Sequence[Result], twin: Sequence[Difference]) -> list[list[str]]:
    """Return the rows of the table of bars, given the family of comparisons of our model with its twin."""
    dense = next((r for r in results if (r.dataset, r.split) == _DENSE), None)
    rows = []
    for name, least in _STRONG.items():
        rows.append(_at_least(dense, name, f"NDCG@10 at least {number(least, 3)}", least))
    rows.append(_at_least(dense, OWN, f"above EASE: {number(_TARGET, 3)}", _TARGET))
    by_lot = corrected([p for r in results for p in placebo_pairs(r, OWN, TWIN, TWIN_METRICS)])
    for metric in TWIN_METRICS:
        pair, exchanged = _there(twin, dense, metric), _there(by_lot, dense, metric)
        text, passed = _better(pair)
        placebo = Placebo(f"exchanged by lot {_better(exchanged)[0]}", _better(exchanged)[1])
        rows.append(bar(f"{OWN} against its twin, {metric}, there", "better, p < .01", text, passed, placebo))
    text, never = _never_worse(twin)
    popular = corrected([p for r in results for p in paired(r, "popularity", TWIN, TWIN_METRICS)])
    placebo = Placebo(f"popularity: {_never_worse(popular)[0]}", _never_worse(popular)[1])
    rows.append(bar(f"{OWN} against its twin, everywhere", "never worse in NDCG@10", text, never, placebo))
    return rows + _alive(results) + _faithful(results)


def _at_least(dense: Result | None, name: str, threshold: str, least: float) -> list[str]:
    value, popularity = (
        dense.mean(one, "ndcg@10") if dense and dense.ok(one) else None for one in (name, "popularity")
    )
    placebo = Placebo(f"popularity {number(popularity)}", None if popularity is None else popularity >= least)
    passed = None if value is None else value >= least
    return bar(f"{name} on {', '.join(_DENSE)}", threshold, number(value), passed, placebo)


def _there(pairs: Sequence[Difference], result: Result | None, metric: str) -> Difference | None:
    return next((p for p in pairs if result is not None and p.where == result.title and p.metric == metric), None)


def _better(pair: Difference | None) -> tuple[str, bool | None]:
    if pair is None:
        return "-", None
    return f"{number(pair.diff)}, p {p_value(pair.p_holm)}", pair.better(_LEVEL)


def _never_worse(pairs: Sequence[Difference]) -> tuple[str, bool | None]:
    worse = [p for p in pairs if p.outcome == "lost" and p.metric == "ndcg@10"]
    return ", ".join(p.where for p in worse) or "nowhere", not worse if pairs else None


def _alive(results: Sequence[Result]) -> list[list[str]]:
    """Return a bar per split on the number of distinct personas, which neither placebo may reach."""
    rows = []
    for result in results:
        found = effective_personas(result)
        if found is None or result.inspection is None:
            continue
        effective, personas = found
        least = ALIVE * personas
        placebos = {name: float(one["effective"]) for name, one in result.inspection["placebos"].items() if one}
        text = ", ".join(f"{name} {value:.2f}" for name, value in placebos.items())
        placebo = Placebo(text, any(value >= least for value in placebos.values()))
        claim = f"effective personas of {OWN}, {result.title}"
        rows.append(bar(claim, f"at least {least:g} of {personas}", number(effective, 2), effective >= least, placebo))
    return rows


def effective_personas(result: Result) -> tuple[float, int] | None:
    """Return the fewest effective personas of our model over its seeds, and K; None where they do not apply."""
    own = result.ok(OWN)
    if own is None or own.experiment is None or not own.runs[0]["health"]:
        return None
    return min(float(run["health"]["effective"]) for run in own.runs), int(own.experiment.arguments["personas"])


def _faithful(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for result in results:
        if result.fidelity and "failure" not in result.fidelity:
            passed = not lost(result.fidelity["tests"])
            text = "on all four metrics" if passed else "not on all metrics"
            claim = f"evidence of {OWN} beats random, popularity, cosine, {result.title}"
            beaten = not lost(result.fidelity["placebo"])
            placebo = Placebo(f"{PLACEBO} evidence: {'' if beaten else 'not '}on all metrics", beaten)
            rows.append(bar(claim, "all four metrics", text, passed, placebo))
    return rows
