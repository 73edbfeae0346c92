"""The report of the benchmark of interviews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.interview.trial import (
    A_SCREENS,
    ALL,
    D_SCREENS,
    FLOOR,
    GREEDY,
    NONE,
    PAIRS,
    POPULAR,
    PREF,
    SCREEN,
    STEPS,
    A,
    D,
)
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, interval, method, number, p_value, signed, table
from recsys.evaluation.significance import compare
from recsys.pictures import new_figure, save_figure
from recsys.types import Doubles

Tables = Sequence[Mapping[str, Doubles]]
_SHOWN = (GREEDY, POPULAR, "entropy0", "HELF", "IGCN", "tree", D, "random of 200")


def report(
    measured: Mapping[str, Mapping[str, Any]], docstring: str | None, seeds: Sequence[int], dim: int, temper: float
) -> list[str]:
    """Return the paragraphs of the report; the bars are those of the first log."""
    first = next(iter(measured))
    parts = ["# Ten questions", "## What lost", _lost(measured), "## Bars", f"On {first}."]
    parts += [bars_table(_bars(measured[first]["trials"], measured[first]["times"])), method(docstring)]
    parts.append(
        facts(
            {"splits": ", ".join(map(str, seeds)), "taste": f"{dim} dimensions, flags tempered by {temper}"}
            | {name: f"{found['log']}, fingerprint {found['fingerprint']}" for name, found in measured.items()}
            | environment()
        )
    )
    for name, found in measured.items():
        exact = found["trials"]
        parts += [f"## {name}", f"![NDCG@10 by questions]({name}.png)", "Ten questions, means over splits:"]
        parts += [_choosers(exact), "NDCG@10 of the ranking belief by number of questions:", _curve(exact)]
        parts += [f"By screens of {SCREEN}, NDCG@10 of the ranking belief and contested accuracy:", _screens(exact)]
        parts += ["Differences after ten questions and after ten screens:", _differences(exact)]
        parts += [f"With a fifth of the known answers at random: {_noise(found)}", _times(found["times"])]
    return parts


def pooled(tables: Tables, first: str, second: str) -> pd.Series[Any]:
    """Compare two columns on users: means over the splits in which a user occurs, then `compare`."""
    frames = []
    for column in (first, second):
        rows = pd.concat(
            [pd.DataFrame({"user_id": each["users"], "value": each[column]}) for each in tables], ignore_index=True
        )
        frames.append(rows.groupby("user_id")[["value"]].mean().reset_index())
    return compare(frames[0], frames[1], ["value"]).iloc[0]


def mean(tables: Tables, column: str) -> float:
    """Return the mean over users and splits; NaN where it was not measured."""
    if any(column not in each for each in tables):
        return float("nan")
    return float(np.mean([np.nanmean(each[column]) for each in tables]))


def _against(tables: Tables, name: str, count: int, metric: str, other: str) -> tuple[float, float, float, float]:
    reference = f"{NONE}|0|{metric}" if other == NONE else f"{other}|{count}|{metric}"
    found = pooled(tables, reference, f"{name}|{count}|{metric}")
    return float(found["diff"]), float(found["low"]), float(found["high"]), float(found["p_holm"])


def _bars(tables: Tables, times: Mapping[str, Any]) -> list[list[str]]:
    claims = [
        ("ten questions, NDCG@10: greedy list", GREEDY, 10, "ranking", NONE, 0.085),
        ("ten questions, NDCG@10: greedy list", GREEDY, 10, "ranking", POPULAR, 0.010),
        ("ten questions, contested: by information (A)", A, 10, "contested", NONE, 0.025),
        ("ten questions, contested: by information (A)", A, 10, "contested", POPULAR, 0.005),
        ("ten screens of 4, NDCG@10: greedy list", GREEDY, 40, "ranking", NONE, 0.145),
        ("ten screens of 4, contested: by information (A)", A_SCREENS, 40, "contested", NONE, 0.047),
    ]
    rows = []
    for claim, name, count, metric, other, least in claims:
        diff, low, high, _ = _against(tables, name, count, metric, other)
        what = "asking nothing" if other == NONE else "popularity's questions"
        rows.append(
            bar(
                f"{claim} less {what}",
                f">= {number(least, 3)}, above 0",
                f"{signed(diff)} {interval(low, high)}",
                diff >= least and low > 0,
            )
        )
    covered = mean(tables, f"{A}|10|covered")
    rows.append(bar("80% interval of a held-out rating", ".77 to .83", number(covered, 3), 0.77 <= covered <= 0.83))
    slowest = max((value[0], name) for name, value in times.items() if isinstance(value, list))
    text = f"{slowest[0]:.1f} ms ({slowest[1]}, {times['candidates']:,} candidates)"
    rows.append(bar("processor time of a question, the slowest chooser", "<= 20 ms", text, slowest[0] <= 20))
    return rows


def _names(tables: Tables, count: int) -> list[str]:
    names = dict.fromkeys(key.split("|")[0] for key in tables[0] if key.endswith(f"|{count}|contested"))
    return sorted((name for name in names if name != NONE), key=lambda name: -mean(tables, f"{name}|{count}|ranking"))


def _choosers(tables: Tables) -> str:
    header = [
        *("questions by", "known of ten", "NDCG@10 ranking belief", "taste belief", "fold-in (EASE)", "blend"),
        *("own read-out", "contested", "rated items", "80% covers", "ms"),
    ]
    metrics = ("known", "ranking", "taste", "fold_in", "blend", "own", "contested", "rated", "covered")
    rows = [[NONE, *(number(mean(tables, f"{NONE}|0|{metric}"), 4) for metric in metrics), "-"]]
    for name in _names(tables, 10):
        values = [mean(tables, f"{name}|10|{metric}") for metric in metrics]
        rows.append([name, *(number(value, 1 if place == 0 else 4) for place, value in enumerate(values))])
        rows[-1].append(number(mean(tables, f"{name}|0|ms"), 2))
    values = [mean(tables, f"{ALL}|{ALL}|{metric}") for metric in metrics]
    rows.append(
        [f"{ALL} answered", *(number(value, 1 if place == 0 else 4) for place, value in enumerate(values)), "-"]
    )
    return table(header, rows)


def _curve(tables: Tables) -> str:
    names = _names(tables, 10)
    rows = [[name, *(number(mean(tables, f"{name}|{count}|ranking")) for count in STEPS)] for name in names]
    return table(["questions by", *map(str, STEPS)], rows)


def _screens(tables: Tables) -> str:
    rows = []
    for name in (GREEDY, FLOOR, POPULAR, A_SCREENS, D_SCREENS, "entropy0", "HELF", "IGCN"):
        for metric in ("ranking", "contested", "known"):
            rows.append([name, metric, number(mean(tables, f"{name}|40|{metric}"))])
    return table(["questions by", "metric", "10 screens"], rows)


def _differences(tables: Tables) -> str:
    rows = []
    for name, count, metric in (
        *((name, 10, "ranking") for name in _names(tables, 10)),
        *((name, 10, "contested") for name in (D, A, GREEDY, PAIRS, PREF)),
        (GREEDY, 40, "ranking"),
        (D_SCREENS, 40, "ranking"),
        (D_SCREENS, 40, "contested"),
        (A_SCREENS, 40, "contested"),
        (GREEDY, 40, "contested"),
    ):
        row = [name, str(count), "NDCG@10" if metric == "ranking" else metric]
        for other in (NONE, POPULAR):
            if name == other:
                row += ["-", "-", "-"]
                continue
            diff, low, high, p = _against(tables, name, count, metric, other)
            row += [signed(diff), interval(low, high), p_value(p)]
        rows.append(row)
    return table(["questions by", "asked", "metric", "less none", "95%", "p", "less popularity", "95%", "p"], rows)


def _noise(found: Mapping[str, Any]) -> str:
    tables = found["trials"]
    values = []
    for name in (GREEDY, POPULAR):
        exact, noisy = (mean(tables, f"{each}|10|ranking") for each in (name, f"{name}, noisy"))
        values.append(f"{name} {number(noisy)} (without: {number(exact)})")
    return "NDCG@10 after ten questions is " + ", ".join(values) + "."


def _times(times: Mapping[str, Any]) -> str:
    rows = [[name, f"{value[0]:.2f}", f"{value[1]:.2f}"] for name, value in times.items() if isinstance(value, list)]
    making = [f"{name}: {value:.0f}" for name, value in times.items() if isinstance(value, float)]
    header = [f"{times['candidates']:,} candidates", "mean ms", "largest ms"]
    return table(header, rows) + "\n\n" + "; ".join(making) + "."


def _lost(measured: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, found in measured.items():
        tables = found["trials"]
        for metric, word in (("ranking", "NDCG@10"), ("contested", "contested accuracy")):
            worse = []
            for chooser in _names(tables, 10):
                diff, low, high, _ = _against(tables, chooser, 10, metric, NONE)
                if high < 0:
                    worse.append(f"{chooser} ({signed(diff)} {interval(low, high)})")
            if worse:
                lines.append(f"- {name}, {word}: worse than asking nothing: {', '.join(worse)}.")
        for chooser in (D, PAIRS, PREF):
            diff, low, high, _ = _against(tables, chooser, 10, "ranking", POPULAR)
            if high < 0:
                lines.append(
                    f"- {name}, NDCG@10 after ten questions: {chooser} is below popularity's questions, {signed(diff)} "
                    f"{interval(low, high)}."
                )
        fold, ranking = (mean(tables, f"{GREEDY}|10|{metric}") for metric in ("fold_in", "ranking"))
        lines.append(
            f"- {name}: after ten questions the list of the fold-in model on what was liked reaches {number(fold)}, "
            f"that of the ranking belief {number(ranking)}."
        )
        known = [mean(tables, f"{chooser}|10|known") for chooser in (GREEDY, POPULAR)]
        lines.append(
            f"- {name}: of ten questions of the greedy list {known[0]:.1f} are known, of popularity's {known[1]:.1f}."
        )
    return "\n".join(lines)


def draw(path: Path, tables: Tables, title: str) -> Path:
    """Draw NDCG@10 by the number of questions, and contested accuracy; return the path."""
    figure = new_figure(12, 4.8)
    left, right = figure.subplots(1, 2)
    for axis, metric, y in ((left, "ranking", "NDCG@10, ranking belief"), (right, "contested", "contested accuracy")):
        axis.axhline(
            mean(tables, f"{NONE}|0|{metric}"), color="grey", linewidth=1, linestyle=":", label="asking nothing"
        )
        for name in _SHOWN:
            points = [(count, mean(tables, f"{name}|{count}|{metric}")) for count in STEPS]
            known = [(count, value) for count, value in points if np.isfinite(value)]
            if not known:
                continue
            wide = 2.5 if name == GREEDY else 1.2
            axis.plot(*zip(*known, strict=True), marker="o", markersize=3, linewidth=wide, label=name)
        axis.set(xscale="log", xlabel="questions (4 to a screen)", ylabel=y, title=title)
        axis.set_xticks(list(STEPS), [str(step) for step in STEPS])
        axis.minorticks_off()
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return save_figure(figure, path)
