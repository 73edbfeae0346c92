"""The report of the accuracy benchmark, every sentence and table of which is made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.accuracy.bars import bars
from benchmarks.accuracy.comparison import OWN, TWIN, TWINS, Result, best_baseline, paired
from benchmarks.accuracy.fidelity import fidelity_table
from benchmarks.accuracy.losses import what_lost
from benchmarks.tools.cells import Cells
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.grid import Budget, seed_agreement
from benchmarks.tools.report import (
    REPORT_NAME,
    bars_table,
    facts,
    mean_and_deviation,
    number,
    spread,
    table,
    write_report,
)
from recsys import pictures

METRICS = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "hr@10": "HR@10",
    "mrr@10": "MRR@10",
    "coverage@10": "coverage@10",
    "tdd@10": "TDD@10",
    "tdd_excess@10": "TDD excess",
    "minority_recall@10": "minority recall@10",
}
TWIN_METRICS = ("ndcg@10", "minority_recall@10", "tdd@10")
_STRATA = {"taste_entropy_quartile": "taste entropy", "activity_quartile": "activity", "user_kind": "user"}


def write(out: Path, results: Sequence[Result], cells: Cells, budget: Budget, name: str = REPORT_NAME) -> Path:
    """Write the report and its pictures; return its path."""
    families = [corrected([p for r in results for p in paired(r, *pair, TWIN_METRICS, cells)]) for pair in TWINS]
    twin = [p for family in families for p in family]
    rivals = [(result, best_baseline(result)) for result in results]
    rival = corrected([p for r, best in rivals if best for p in paired(r, _ours(r), best, ("ndcg@10",), cells)])
    out.mkdir(parents=True, exist_ok=True)
    parts = ["# Accuracy", facts(environment()), _method(results, budget), "![NDCG@10](ndcg.png)"]
    _draw_bars(out / "ndcg.png", results)
    if twin:
        rows = [(f"{p.where}: {p.own}", p.diff, p.low, p.high) for p in twin if p.metric == "ndcg@10"]
        pictures.draw_forest(out / "twin.png", rows, "NDCG@10: model - its one-persona twin, 95% interval")
    parts += ["## Bars", bars_table(bars(results, families[0])), "## What lost", what_lost(results, twin, rival)]
    parts += ["## Personas against their twin, and against the best baseline", _PAIRED, _pairs([*twin, *rival])]
    parts += ["![paired differences](twin.png)"] if twin else []
    parts += [_section(result, cells) for result in results]
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
        "epoch counts. Only models trained by our own loop can be ended; closed-form models and those of "
        "`implicit` run to their end, but none begins another trial once its trials have taken the cap times the "
        "number of trials. Further seeds repeat the epochs of a trial that was ended. A table marks what was ended "
        "with ⏱: it might have done better with more time, so that, there, speed is part of the result.\n\n"
        "A twin is its model with one persona and, where the model has an embedding, that one enlarged until the "
        f"twin has at least as many parameters. `{TWIN}` has as many as its model without that. "
        "TDD (taste distribution distance) and its excess over chance are better when lower."
    )


_PAIRED = (
    "Differences are paired on users, each user's value averaged over seeds; interval by bootstrap over users, p "
    "by Wilcoxon's signed ranks, corrected (Holm) over all comparisons of a model with its twin, and "
    "over all with the best baseline. The best baseline is the one that is best on *test*, which is to our "
    "disadvantage."
)


def _pairs(pairs: Sequence[Difference]) -> str:
    rows = []
    for p in pairs:
        by_seed = ", ".join(number(value) for value in p.by_seed) or "-"
        rows.append([p.where, f"{p.own} - {p.other}", p.metric, *p.columns(), by_seed, p.outcome])
    return table(["log, split", "pair", "metric", *COLUMNS, "by seed", ""], rows)


def _section(result: Result, cells: Cells) -> str:
    parts = [f"## {result.title}"]
    if result.failure is not None or result.arena is None:
        return f"{parts[0]}\n\nNot run: {result.failure}"
    cut = result.arena.split
    finished = next((outcome for outcome in result.outcomes.values() if outcome.runs), None)
    counts = finished.runs[0]["counts"] if finished else {}
    made = {
        "log": f"{result.dataset}, fingerprint {result.fingerprint[:12]}",
        "split": f"{cut.name}, seed {cut.seed if cut.seed is not None else 'none'}"
        + (" — **leaks time**" if cut.leaks_time else ""),
        "training": f"{len(cut.train)} events, {cut.train.n_users} users, {cut.train.n_items} items",
        "test": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items()),
        "tastes": f"{len(result.arena.tastes)} {result.arena.tastes.source}",
        "notes": "; ".join(cut.notes) or "none",
    }
    parts += [facts(made), _models(result), "### Chosen settings", _tuning(result)]
    for own, twin in TWINS:
        if result.ok(own) and result.ok(twin):
            parts += [f"### Who gains: {own} and its twin by group of users", _strata(result, cells, own, twin)]
    parts += ["### Personas", _health(result, cells)]
    fidelity = result.fidelity
    if fidelity and "failure" not in fidelity:
        text = (
            f"{fidelity['users']} users, mean over 1 to 5 removed or kept items, POS at {fidelity['k']}; the p-value "
            "is the largest over the metrics, of the model's evidence against this one (Wilcoxon, Holm)."
        )
        parts += [f"### Fidelity of the explanations of {OWN}", text, fidelity_table(fidelity)]
    elif fidelity:
        parts += [f"### Fidelity of the explanations of {OWN}", f"Not measured: {fidelity['failure']}"]
    return "\n\n".join(parts)


def _models(result: Result) -> str:
    rows = []
    for name, outcome in result.outcomes.items():
        if not outcome.runs:
            rows.append([name, f"failed: {outcome.failure}", *["-"] * (len(METRICS) + 2)])
            continue
        seconds, _ = mean_and_deviation([float(run["seconds"]) for run in outcome.runs])
        capped = outcome.trials[outcome.chosen]["capped"] or any(run["capped"] for run in outcome.runs)
        epochs = "/".join(str(run["epochs"]) for run in outcome.runs)
        values = [spread(outcome.values(metric)) for metric in METRICS]
        cost = [f"{seconds:.1f}", epochs, f"{outcome.runs[0]['parameters']:,}"]
        rows.append([name + (" ⏱" if capped else ""), *values, *cost])
    return table(["model", *METRICS.values(), "train s", "epochs", "parameters"], rows)


def _tuning(result: Result) -> str:
    rows = []
    for name, outcome in result.outcomes.items():
        if not outcome.trials:
            continue
        changes = outcome.trials[outcome.chosen]["changes"]
        text = ", ".join(f"{key} {value}" for key, value in changes.items()) or "as in its file"
        valid = ", ".join(number(trial["valid"]) + ("⏱" if trial["capped"] else "") for trial in outcome.trials)
        rows.append([name, text, valid])
    return table(["model", "chosen", "validation of its trials"], rows)


def _strata(result: Result, cells: Cells, model: str, twin: str) -> str:
    both = {}
    for name in (model, twin):
        frames = [evaluation.strata for evaluation in result.outcomes[name].evaluations(cells)]
        keyed = [frame.set_index(["stratum", "group"]) for frame in frames]
        both[name] = pd.concat(keyed)[["users", *TWIN_METRICS]].groupby(level=[0, 1]).mean()
    rows = []
    joined = both[model].join(both[twin].add_suffix(" twin")).reset_index()
    for row in joined.to_dict("records"):
        differences = [
            f"{number(row[m])} / {number(row[f'{m} twin'])} ({row[m] - row[f'{m} twin']:+.4f})" for m in TWIN_METRICS
        ]
        name = f"{_STRATA.get(row['stratum'], row['stratum'])} {row['group']}"
        rows.append([name, str(int(row["users"])), *differences])
    return table(["users", "number", *(f"{METRICS[m]}: {model} / twin" for m in TWIN_METRICS)], rows)


def _health(result: Result, cells: Cells) -> str:
    rows = []
    for name, outcome in result.outcomes.items():
        healths = [run["health"] for run in outcome.runs if run["health"]]
        if not healths or outcome.experiment is None:
            continue
        values = [spread([float(one[key]) for one in healths], 2) for key in ("effective", "mean_cosine", "dead")]
        agreement = number(seed_agreement(cells, outcome.tables), 2)
        rows.append([name, str(outcome.experiment.arguments["personas"]), *values, agreement])
    if not rows:
        return "No model with several personas was run."
    return table(["model", "K", "effective", "mean cosine", "dead", "agreement of seeds"], rows)


def _draw_bars(path: Path, results: Sequence[Result]) -> None:
    finished = [result for result in results if any(outcome.runs for outcome in result.outcomes.values())]
    names = list(dict.fromkeys(name for result in finished for name in result.outcomes))
    heights = {
        name: [mean_and_deviation(o.values("ndcg@10")) if (o := result.ok(name)) else (0.0, 0.0) for result in finished]
        for name in names
    }
    pictures.draw_bars(path, [result.title for result in finished], heights, "test NDCG@10 (sd over seeds)")
