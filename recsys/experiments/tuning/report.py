"""The report of a search: the best settings, the curve of the best so far, and what decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recsys.files import write_text
from recsys.pictures import draw_search

if TYPE_CHECKING:
    from recsys.experiments.tuning.study import Trial

REPORT, PICTURE = "report.md", "search.png"
_SHOWN: Final = 10


def write_report(out: Path, trials: Sequence[Trial], result: Mapping[str, Any], question: Mapping[str, Any]) -> Path:
    """Write `report.md` and its picture; return the former.

    Args:
        out: the directory.
        trials: all that have ended.
        result: what `tune` returns.
        question: what was searched, and on what.
    """
    points = [(trial.number + 1, trial.value, trial.state) for trial in trials]
    draw_search(out / PICTURE, points, result["importances"], result["metric"])
    best, own = result["best"], result["own"]
    gain = "" if own is None else f" (the experiment's own settings: {own:.4f})"
    counts = f"{result['trials']} trials, {result['pruned']} ended early, {result['failed']} that could not be used"
    data = question["data"]
    facts = {
        "log": f"fingerprint {question['log'][:12]}, split {data['split']}, seed {data['seed']}",
        "measured": f"validation {result['metric']}; test questions were not asked",
        "search": f"{question['sampler']}, seed {question['seed']}; {counts}; {result['seconds']:.0f} seconds",
    }
    parts = [
        "# Tuning",
        "\n".join(f"- **{name}**: {fact}" for name, fact in facts.items()),
        f"Best: trial {best['trial'] + 1} with {best['value']:.4f}{gain}. Train it on the same log and split with "
        f"`recsys train --config {result['tuned']} --seed {question['model_seed']}`.",
        _table(["setting", "best", "searched"], _settings(best["settings"], question["search"])),
        f"![Value of each trial, the best so far, and what decides]({PICTURE})",
        "## Best trials",
        _table(["trial", result["metric"], *best["settings"], "seconds"], _rows(trials)),
    ]
    if result["importances"]:
        told = ", ".join(f"{name} {share:.0%}" for name, share in result["importances"].items())
        parts += ["## What decides", f"{told}: how much each setting, alone, tells the best tenth of the trials apart."]
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed:
        parts += [
            "## Could not be used",
            _table(["trial", "why"], [[trial.number + 1, trial.reason] for trial in failed]),
        ]
    return write_text(out / REPORT, "\n\n".join(parts) + "\n")


def _settings(best: Mapping[str, Any], searched: Mapping[str, Any]) -> list[list[object]]:
    return [[f"`{key}`", value, _range(searched[key])] for key, value in best.items()]


def _range(searched: Any) -> str:  # noqa: ANN401 - as the experiment file writes it
    if not isinstance(searched, Mapping):
        return " ".join(map(str, searched))
    step = "" if searched.get("step") is None else f" in steps of {searched['step']:g}"
    return f"{searched['low']:g} to {searched['high']:g}{' (log)' if searched.get('log') else ''}{step}"


def _rows(trials: Sequence[Trial]) -> list[list[object]]:
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    best = sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))[:_SHOWN]
    return [
        [trial.number + 1, f"{trial.value:.4f}", *trial.settings.values(), trial.facts.get("seconds", "")]
        for trial in best
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split()).replace("|", "\\|")
