"""What lost, told from the numbers, so that no report can leave it out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.comparison import Paired, Result
from benchmarks.accuracy.fidelity import lost as fidelity_lost
from benchmarks.tools.report import number, p_value

_OWN = "ampcf"
_TWIN = "ampcf_twin"


def what_lost(results: Sequence[Result], twin: Sequence[Paired], rival: Sequence[Paired]) -> str:
    """Return a list of everything that did not go well for the personas, and of what failed or was cut short."""
    lines = []
    for pair in twin:
        if pair.outcome != "won":
            lines.append(
                f"{pair.result.title}: {pair.own} {_told(pair)} its one-persona twin in {pair.metric} {_size(pair)}."
            )
    for pair in rival:
        if pair.outcome != "won":
            lines.append(
                f"{pair.result.title}: {pair.own} {_told(pair)} {pair.other}, the best baseline, {_size(pair)}."
            )
    for result in results:
        lines += _on(result)
    return "\n".join(f"- {line}" for line in lines) or "Nothing did, in what was run."


def _told(pair: Paired) -> str:
    return "lost to" if pair.outcome == "lost" else "did not differ significantly from"


def _size(pair: Paired) -> str:
    return f"(difference {number(pair.diff)}, {100 * pair.relative:+.1f}%, p {p_value(pair.p_holm)})"


def _on(result: Result) -> list[str]:
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
        found = own.runs[0].get("fidelity")
        if found and "failure" not in found and (worse := fidelity_lost(found)):
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
