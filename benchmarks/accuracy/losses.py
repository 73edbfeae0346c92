"""The section "What lost", made from the numbers, so that no report can leave it out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.bars import ALIVE, effective_personas
from benchmarks.accuracy.comparison import OWN, TWIN, Result
from benchmarks.accuracy.fidelity import lost as fidelity_lost
from benchmarks.tools.differences import Difference
from benchmarks.tools.report import number


def what_lost(results: Sequence[Result], twin: Sequence[Difference], rival: Sequence[Difference]) -> str:
    """Return a list of the comparisons that the personas did not win, of failures and of capped trainings."""
    rivals = [(pair, f"its one-persona twin in {pair.metric}") for pair in twin]
    rivals += [(pair, f"the best baseline, {pair.other}") for pair in rival]
    lines = [
        f"{pair.where}: {pair.own} {'lost to' if pair.outcome == 'lost' else 'was not established to differ from'} "
        f"{other}: {pair.text}."
        for pair, other in rivals
        if pair.outcome != "won"
    ]
    for result in results:
        lines += _losses_on(result)
    return "\n".join(f"- {line}" for line in lines) or "Nothing did, in what was run."


def _losses_on(result: Result) -> list[str]:
    if result.failure is not None:
        return [f"{result.title}: not run, {result.failure}"]
    lines = []
    if result.ok(OWN):
        value = result.mean(OWN, "ndcg@10")
        above = [
            f"{name} ({number(result.mean(name, 'ndcg@10'))})"
            for name in result.outcomes
            if name not in (OWN, TWIN) and result.ok(name) and result.mean(name, "ndcg@10") > value
        ]
        if above:
            lines.append(f"{result.title}: {OWN} ({number(value)}) is below {', '.join(above)} in mean NDCG@10.")
    personas = effective_personas(result)
    if personas is not None and personas[0] < ALIVE * personas[1]:
        text = f"only {personas[0]:.2f} of {personas[1]} personas of {OWN} are effective (goal .8 K)"
        lines.append(f"{result.title}: {text}.")
    if result.fidelity and "failure" not in result.fidelity and (worse := fidelity_lost(result.fidelity["tests"])):
        lines.append(f"{result.title}: evidence not established to be better in {'; '.join(worse)}.")
    for name, outcome in result.outcomes.items():
        if not outcome.runs:
            lines.append(f"{result.title}: {name} has no result: {outcome.failure}")
    capped = [name for name, outcome in result.outcomes.items() if any(trial["capped"] for trial in outcome.trials)]
    if capped:
        lines.append(f"{result.title}: the time cap ended trials of {', '.join(capped)}.")
    return lines
