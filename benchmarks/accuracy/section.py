"""A split in the report of the accuracy benchmark: its table, its commands, settings, strata, personas, fidelity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.accuracy.bars import TWIN_METRICS
from benchmarks.accuracy.comparison import OWN, TWINS, Result
from benchmarks.accuracy.fidelity import fidelity_table
from benchmarks.tools.cells import Cells
from benchmarks.tools.grid import seed_agreement
from benchmarks.tools.report import facts, mean_and_deviation, number, spread, table
from benchmarks.tools.treatment import treatment
from recsys.evaluation.strata import summarise_strata

METRICS = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "hr@10": "HR@10",
    "mrr@10": "MRR@10",
    "tdd@10": "TDD@10",
    "tdd_excess@10": "TDD excess",
    "minority_recall@10": "minority recall@10",
}
"""Columns of a table of models: means over the users whom all serve."""

_COVERAGE = "coverage@10"
_STRATA = {"taste_entropy_quartile": "taste entropy", "activity_quartile": "activity"}


def cell_names(result: Result) -> Iterator[str]:
    """Yield the names of the cells behind a split's table: trials and final runs."""
    for outcome in result.outcomes.values():
        yield from (trial["cell"] for trial in outcome.trials)
        yield from outcome.tables


def section(result: Result, cells: Cells) -> str:
    """Return the section of a split."""
    parts = [f"## {result.title}"]
    if result.failure is not None or result.arena is None:
        return f"{parts[0]}\n\nNot run: {result.failure}"
    if not result.tables:
        return f"{parts[0]}\n\nNo model has a result."
    parts += [facts(_made(result, cells))]
    if not result.served.any():
        parts += [
            "**Nobody can be compared**: no test user has a history and is served by every model. What stands "
            "below for cold users says who can serve, not who serves better."
        ]
    parts += [models_table(result), _commands(result), "### Chosen settings", _tuning(result)]
    for own, twin in TWINS:
        if result.ok(own) and result.ok(twin) and result.served.any():
            parts += [f"### Who gains: {own} and its twin by group of users", _strata(result, own, twin)]
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


def asked(result: Result) -> str:
    """Return how many users a table compares, and how many are cold, as `benchmarks.readme` reads it."""
    return f"{int(result.served.sum())} users whom every model serves, {int(result.cold.sum())} cold"


def _made(result: Result, cells: Cells) -> dict[str, str]:
    assert result.arena is not None
    cut = result.arena.split
    counts = next(outcome for outcome in result.outcomes.values() if outcome.runs).runs[0]["counts"]
    own = treatment(cells, cell_names(result))
    return {
        "log": f"{result.dataset}, fingerprint {result.fingerprint[:12]}",
        "split": f"{cut.name}, seed {cut.seed if cut.seed is not None else 'none'}"
        + (" — **leaks time**" if cut.leaks_time else ""),
        "training": f"{len(cut.train)} events, {cut.train.n_users} users, {cut.train.n_items} items",
        "asked": asked(result),
        "test": ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in counts.items() if name != "unserved_users"
        ),
        "tastes": f"{len(result.arena.tastes)} {result.arena.tastes.source}",
        "cells": f"{own['cells']}: {own['commit']}; {own['machine']}" if own else "none",
        "notes": "; ".join(cut.notes) or "none",
    }


def models_table(result: Result) -> str:
    """Return the table of all configurations of a split: users whom all serve, then cold ones, then cost."""
    cold = int(result.cold.sum())
    apart = ["cold NDCG@10", "popularity's list"] if cold else []
    rows = []
    for name, outcome in result.outcomes.items():
        if not outcome.runs:
            rows.append([name, f"failed: {outcome.failure}", *["-"] * (len(METRICS) + 3 + len(apart))])
            continue
        seconds, _ = mean_and_deviation([float(run["seconds"]) for run in outcome.runs])
        epochs = "/".join(str(run["epochs"]) for run in outcome.runs)
        values = [spread(result.values(name, metric)) for metric in METRICS]
        if cold:
            unserved = int((result.cold & ~result.tables[name][0]["served"].to_numpy()).sum())
            given = f"{unserved} of {cold}" if unserved else "nobody"
            values += [spread(result.values(name, "ndcg@10", result.cold)), given]
        cost = [f"{seconds:.1f}", epochs, f"{outcome.runs[0]['parameters']:,}"]
        values.append(spread(outcome.values(_COVERAGE)))
        rows.append([name + (" ⏱" if outcome.capped else ""), *values, *cost])
    header = ["model", *METRICS.values(), *apart, _COVERAGE, "train s", "epochs", "parameters"]
    return table(header, rows)


def _commands(result: Result) -> str:
    """Return the commands that repeat the best number of a table from the committed tuned configuration."""
    users = result.served if result.served.any() else result.cold
    best = max(result.tables, key=lambda name: mean_and_deviation(result.values(name, "ndcg@10", users))[0])
    served = {name: bool(tables[0]["served"].all()) for name, tables in result.tables.items()}
    # A model that serves other users than the best: what both serve is what all serve.
    partner = next((name for name in served if served[name] != served[best]), None)
    everybody = result.outcomes[best].values("ndcg@10")[0]

    def train(name: str) -> str:
        folder = f"{result.dataset}-{result.split}"
        return (
            f"recsys train --config tuned/{folder}/{name} --data {result.dataset} --split {result.split} --seed 0 "
            f"--out runs/{name}"
        )

    text = (
        f"The best, `{best}`, with its first seed, from the tuned settings (`--update-configs` writes them): NDCG@10 "
        f"{number(everybody)} over all test users"
    )
    commands = [train(best)]
    if partner is not None:
        text += f", {number(result.values(best, 'ndcg@10')[0])} over those whom every model serves"
        commands += [train(partner), f"recsys compare runs/{best} runs/{partner} --metric ndcg@10"]
    return "\n".join([f"{text}.", "", "```bash", *commands, "```"])


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


def _strata(result: Result, model: str, twin: str) -> str:
    both = {}
    for name in (model, twin):
        frames = [summarise_strata(one, TWIN_METRICS, list(_STRATA)) for one in result.within(name)]
        keyed = [frame.set_index(["stratum", "group"]) for frame in frames]
        both[name] = pd.concat(keyed)[["users", *TWIN_METRICS]].groupby(level=[0, 1]).mean()
    rows = []
    joined = both[model].join(both[twin].add_suffix(" twin")).reset_index()
    for row in joined.to_dict("records"):
        differences = [
            f"{number(row[m])} / {number(row[f'{m} twin'])} ({row[m] - row[f'{m} twin']:+.4f})" for m in TWIN_METRICS
        ]
        rows.append([f"{_STRATA[row['stratum']]} {row['group']}", str(int(row["users"])), *differences])
    return table(["users", "number", *(f"{METRICS[m]}: {model} / twin" for m in TWIN_METRICS)], rows)


def _health(result: Result, cells: Cells) -> str:
    rows = []
    for name, outcome in result.outcomes.items():
        healths = [run["health"] for run in outcome.runs if run["health"]]
        if not healths or outcome.experiment is None:
            continue
        personas, agreement = str(outcome.experiment.arguments["personas"]), seed_agreement(cells, outcome.tables)
        rows.append([name, personas, *_figures(healths), number(agreement, 2)])
        if name == OWN and result.inspection is not None:
            for placebo, measured in result.inspection["placebos"].items():
                rows.append([f"placebo: {placebo}", personas, *_figures([measured] if measured else []), "-"])
    if not rows:
        return "No model with several personas was run."
    text = (
        "Over at most 1,000 test users with a history. Effective: the number of distinct personas in use, with cosines "
        "as similarities (Leinster and Cobbold 2012); identical personas are one."
    )
    return f"{text}\n\n" + table(["model", "K", "effective", "mean cosine", "dead", "agreement of seeds"], rows)


def _figures(healths: Sequence[dict[str, float]]) -> list[str]:
    return [spread([float(one[key]) for one in healths], 2) for key in ("effective", "mean_cosine", "dead")]
