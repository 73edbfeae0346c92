"""The section "What lost", made from the numbers, so that no report can leave it out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.comparison import Result
from benchmarks.accuracy.fidelity import lost as fidelity_lost
from benchmarks.tools.differences import Difference
from benchmarks.tools.report import number, p_value, percent

_OWN = "ampcf"
_TWIN = "ampcf_twin"


def what_lost(results: Sequence[Result], twin: Sequence[Difference], rival: Sequence[Difference]) -> str:
    """Return a list of the comparisons that the personas did not win, of failures and of capped trainings."""
    rivals = [(pair, f"its one-persona twin in {pair.metric}") for pair in twin]
    rivals += [(pair, f"{pair.other}, the best baseline,") for pair in rival]
    lines = [
        f"{pair.where}: {pair.own} {_verb(pair)} {other} {_size(pair)}."
        for pair, other in rivals
        if pair.outcome != "won"
    ]
    for result in results:
        lines += _losses_on(result)
    return "\n".join(f"- {line}" for line in lines) or "Nothing did, in what was run."


def _verb(pair: Difference) -> str:
    return "lost to" if pair.outcome == "lost" else "did not differ significantly from"


def _size(pair: Difference) -> str:
    return f"(difference {number(pair.diff)}, {percent(pair.relative)}, p {p_value(pair.p_holm)})"


def _losses_on(result: Result) -> list[str]:
    if result.failure is not None:
        return [f"{result.title}: not run, {result.failure}"]
    lines = []
    own = result.ok(_OWN)
    if own is not None:
        value = result.mean(_OWN, "ndcg@10")
        above = [
            f"{name} ({number(result.mean(name, 'ndcg@10'))})"
            for name in result.outcomes
            if name not in (_OWN, _TWIN) and result.ok(name) and result.mean(name, "ndcg@10") > value
        ]
        if above:
            lines.append(f"{result.title}: {_OWN} ({number(value)}) is below {', '.join(above)} in mean NDCG@10.")
        lines += _health_lines(result)
        fidelity = own.runs[0].get("fidelity")
        if fidelity and "failure" not in fidelity and (worse := fidelity_lost(fidelity)):
            lines.append(f"{result.title}: evidence not significantly better in {'; '.join(worse)}.")
    for name, outcome in result.outcomes.items():
        if not outcome.runs:
            lines.append(f"{result.title}: {name} has no result: {outcome.failure}")
    capped = [name for name, outcome in result.outcomes.items() if any(trial["capped"] for trial in outcome.trials)]
    if capped:
        lines.append(f"{result.title}: the time cap ended trials of {', '.join(capped)}.")
    return lines


def _health_lines(result: Result) -> list[str]:
    outcome = result.outcomes[_OWN]
    if outcome.experiment is None or not outcome.runs[0]["health"]:
        return []
    personas = int(outcome.experiment.arguments["personas"])
    least = min(float(run["health"]["effective"]) for run in outcome.runs)
    if least >= 0.8 * personas:
        return []
    return [f"{result.title}: only {least:.2f} of {personas} personas of {_OWN} are effective (goal .8 K)."]
