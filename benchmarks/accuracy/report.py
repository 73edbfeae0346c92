"""The report of the accuracy benchmark, every sentence and table of which is made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.bars import TWIN_METRICS, bars
from benchmarks.accuracy.comparison import OWN, TWIN, TWINS, Result, best_baseline, paired
from benchmarks.accuracy.losses import what_lost
from benchmarks.accuracy.section import METRICS, cell_names, section
from benchmarks.tools.cells import Cells
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import commit, today
from benchmarks.tools.grid import Budget
from benchmarks.tools.report import (
    REPORT_NAME,
    bars_table,
    facts,
    mean_and_deviation,
    number,
    table,
    write_report,
)
from benchmarks.tools.treatment import treatment
from recsys import pictures


def write(out: Path, results: Sequence[Result], cells: Cells, budget: Budget, name: str = REPORT_NAME) -> Path:
    """Write the report and its pictures; return its path."""
    families = [corrected([p for r in results for p in paired(r, *pair, TWIN_METRICS)]) for pair in TWINS]
    twin = [p for family in families for p in family]
    rivals = [(result, best_baseline(result)) for result in results]
    rival = corrected([p for r, best in rivals if best for p in paired(r, _ours(r), best, ("ndcg@10",))])
    out.mkdir(parents=True, exist_ok=True)
    made = {"date": today(), "report": f"written at {commit()}"}
    made |= treatment(cells, [one for result in results for one in cell_names(result)])
    parts = ["# Accuracy", facts(made), _method(results, budget), "![NDCG@10](ndcg.png)"]
    _draw_bars(out / "ndcg.png", results)
    if twin:
        rows = [(f"{p.where}: {p.own}", p.diff, p.low, p.high) for p in twin if p.metric == "ndcg@10"]
        pictures.draw_forest(out / "twin.png", rows, "NDCG@10: model - its one-persona twin, 95% interval")
    parts += ["## Bars", _PLACEBOS, bars_table(bars(results, families[0]))]
    parts += ["## What lost", what_lost(results, twin, rival)]
    parts += ["## Personas against their twin, and against the best baseline", _PAIRED, _pairs([*twin, *rival])]
    parts += ["![paired differences](twin.png)"] if twin else []
    parts += [section(result, cells) for result in results]
    return write_report(out, parts, name)


def _ours(result: Result) -> str:
    """Return our model on a split: the latent one where the log is too large for the other."""
    return OWN if result.ok(OWN) or not result.ok("ampcf_latent") else "ampcf_latent"


def _method(results: Sequence[Result], budget: Budget) -> str:
    caps = ", ".join(f"{result.title}: {result.budget.seconds:g} s" for result in results)
    return (
        f"Every model had the same tuning budget: at most {budget.trials} settings (the first is that of its file, "
        f"the others are drawn at random from its declared space; fewer where there are fewer), chosen by "
        f"validation {budget.metric} on the same at most {budget.validation_users} users. The chosen setting "
        f"was tested once per seed; seeds {', '.join(map(str, budget.seeds))}; models without randomness once.\n\n"
        f"Training of a trial was ended at the first validation after a cap on its processor time ({caps}); its best "
        "epoch counts. **Only models trained by gradient in our own loop can be ended by a cap**; closed-form models "
        "and those of `implicit` run to their end, but none begins another trial once its trials have taken the cap "
        "times the number of trials. Further seeds repeat the epochs of a trial that was ended. A table marks what was "
        "ended with ⏱: it had not converged and might have done better with more time, so that, there, speed is part "
        "of the result.\n\n"
        "**Who is compared.** The metrics of a table are means over the users whom *every* model of it serves from a "
        "history of their own. All others are cold and have columns of their own: a model that cannot serve them (it "
        "learned vectors of other users) gives them popularity's list, and the column beside says to how many.\n\n"
        "A twin is its model with one persona and, where the model has an embedding, that one enlarged until the "
        f"twin has at least as many parameters. `{TWIN}` has as many as its model without that. "
        "TDD (taste distribution distance) and its excess over chance are better when lower."
    )


_PLACEBOS = (
    "A placebo must miss its bar, else the bar says nothing. *Exchanged by lot*: for each user a coin decides which "
    "model has which value. *Identical personas* share every item equally; *items shuffled among the personas* give "
    "every item the routing of another one."
)

_PAIRED = (
    "Differences are paired on the users whom all models of the split serve, the users of the tables' means; each "
    "user's value is averaged over seeds first. Interval by bootstrap over users, p by Wilcoxon's signed ranks. Each "
    "question is a family of Holm's correction: does a model gain by its personas (a family for each model and its "
    "twin: three metrics, all splits), and is ours better than the best baseline (NDCG@10, all splits). Won or lost "
    "needs both: the interval leaves out 0, and the corrected test is below .05 on the same side. The best baseline is "
    "the one that is best on *test*, which is to our disadvantage."
)


def _pairs(pairs: Sequence[Difference]) -> str:
    rows = []
    for p in pairs:
        by_seed = ", ".join(number(value) for value in p.by_seed) or "-"
        rows.append([p.where, f"{p.own} - {p.other}", p.metric, *p.columns(), by_seed, p.outcome])
    return table(["log, split", "pair", "metric", *COLUMNS, "by seed", ""], rows)


def _draw_bars(path: Path, results: Sequence[Result]) -> None:
    finished = [result for result in results if result.tables and result.served.any()]
    names = list(dict.fromkeys(name for result in finished for name in result.outcomes))
    heights = {
        name: [
            mean_and_deviation(result.values(name, "ndcg@10")) if result.ok(name) else (0.0, 0.0) for result in finished
        ]
        for name in names
    }
    label = f"test {METRICS['ndcg@10']}, users whom all serve (sd over seeds)"
    pictures.draw_bars(path, [result.title for result in finished], heights, label)
