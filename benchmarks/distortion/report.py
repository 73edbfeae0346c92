"""The report of the benchmark of distortion: what lost, bars, winners at equal costs, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.tools.environment import environment
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    interval,
    method,
    number,
    p_value,
    percent,
    significant,
    table,
)
from recsys.pictures import draw_lines

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By log and model."""

_MODELS = {"ease": "EASE, personas of each user", "persona_ease": "PersonaEASE, personas of items"}
_LOST = 0.001


def summary(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report and its pictures read of a cell."""
    kept: dict[str, Any] = significant(
        dict(cell)
        | {
            "winners": [{name: row[name] for name in _OF_WINNERS} for row in cell["winners"]],
            "best": [{name: value for name, value in row.items() if name != "axes"} for row in cell["best"]],
            "fixed": {name: one | {"axes": [_axes(one["axes"][0])]} for name, one in cell["fixed"].items()},
        }
    )
    return kept


_OF_WINNERS = (
    *("criterion", "family", "budget", "slate", "valid cost", "cost"),
    *("excess tastes", "systematic tastes", "popularity left"),
)


def _axes(axes: Mapping[str, Any]) -> dict[str, Any]:
    found = {axis: {name: axes[axis][name] for name in ("squared_excess", "systematic", "sameness")} for axis in axes}
    for axis, one in axes.items():
        found[axis]["direction"] = one["direction"] and {"share": one["direction"]["share"]}
    return found


def report(docstring: str | None, results: Results) -> list[str]:
    """Return the paragraphs of the report."""
    parts = ["# Distortion", method(docstring), facts(environment()), "## What lost", _lost(results), "## Bars"]
    for log, models in results.items():
        for model, cell in models.items():
            parts += [f"### {log}, {_MODELS[model]}", bars_table(bars(cell))]
    for log, models in results.items():
        for model, cell in models.items():
            parts += [f"## {log}, {_MODELS[model]}", _facts(cell), "Best of all kinds at each cost:", _best(cell)]
            parts += ["Best setting of each kind:", _kinds(cell), f"![frontier]({_picture(log, model)})"]
            parts += ["Diverse lists, whatever they cost:", _fixed(cell)]
            if cell["others"]:
                parts += ["Chosen, liked, and regretted; lifts are never one number:", _others(cell)]
            parts += ["Seats of personas beside seats of tastes:", _seats(cell), _exact(cell), _cost(cell)]
    return parts


def draw(out: Path, results: Results) -> None:
    """Draw the frontier of each log and model."""
    for log, models in results.items():
        for model, cell in models.items():
            draw_lines(out / _picture(log, model), _lines(cell), "change of NDCG@10, %", f"{log}, {_MODELS[model]}")


def _picture(log: str, model: str) -> str:
    return f"frontier-{log}-{model}.png"


def _lines(cell: Mapping[str, Any]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    plain = cell["plain"]
    panels = {
        "systematic part of tastes, of that of best scores": ("systematic tastes", 1.0),
        "excess of tastes": ("excess tastes", plain["excess"]["tastes"]),
        "excess of popularity, of that of best scores": ("popularity left", 1.0),
    }
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for label, (key, start) in panels.items():
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in cell["winners"]:
            if row["criterion"] != "tastes and popularity":
                continue
            line = lines.setdefault(row["family"], [(0.0, start)])
            point = (-100 * row["cost"], row[key])
            if point not in line:
                line.append(point)
        found[label] = lines
    return found


def _chosen(cell: Mapping[str, Any], criterion: str, budget: float) -> Mapping[str, Any]:
    return next(row for row in cell["best"] if row["criterion"] == criterion and row["budget"] == budget)


def bars(cell: Mapping[str, Any]) -> list[list[str]]:
    """Return the bars of one log and model."""
    rows = []
    asked = (
        ("tastes", 0.005, 0.01),
        ("tastes", 0.01, 0.01),
        ("tastes and popularity", 0.01, 0.02),
        ("tastes and popularity", 0.02, 0.02),
    )
    for criterion, budget, most in asked:
        one = _chosen(cell, criterion, budget)
        spent = f"{percent(-one['cost'])} {interval(-100 * one['cost high'], -100 * one['cost low'], 1)}"
        excess, ratios = one["excess tastes"], one["ratios"]
        systematic, popular = ratios["systematic tastes"], ratios["excess popularity"]
        rows += [
            bar(
                f"NDCG@10, chosen within {percent(budget)[1:]} for {criterion}",
                f"at least {percent(-most)}",
                spent,
                one["cost"] <= most,
            ),
            bar("excess of tastes", "at most 0", _between(excess), excess[0] <= 0),
            bar("systematic part, of that of best scores", "at most .50", _between(systematic), systematic[0] <= 0.5),
        ]
        if criterion != "tastes":
            rows.append(bar("excess of popularity, the same", "at most .60", _between(popular), popular[0] <= 0.6))
    seats = cell["seats"]
    gap = seats["personas .2, calibrated"]["excess tastes"] - seats["tastes .2, calibrated"]["excess tastes"]
    costs = " and ".join(percent(-seats[name]["cost"]) for name in ("personas .2, calibrated", "tastes .2, calibrated"))
    rows.append(
        bar(
            "excess of tastes, seats of personas less seats of tastes",
            "at most .01",
            f"{gap:+.3f} ({costs})",
            gap <= 0.01,
        )
    )
    floor = seats.get("personas .2, calibrated, floor")
    if floor is not None:
        share = f"{percent(floor['every persona seated'])[1:]} at {percent(-floor['cost'])}"
        rows.append(
            bar(
                "lists in which every persona of a tenth has a seat",
                "at least 95%",
                share,
                floor["every persona seated"] >= 0.95,
            )
        )
    below = sum(one["below"] for one in cell["exact"].values())
    rows.append(bar("users for whom exact lists are below a greedy", "0", str(below), below == 0))
    return rows


def _between(values: list[float]) -> str:
    return f"{number(values[0], 3)} {interval(values[1], values[2], 3)}"


def _lost(results: Results) -> str:
    lines = []
    for log, models in results.items():
        for model, cell in models.items():
            worst = [
                f"{row['family']} {number(row['systematic tastes'], 2)} at {percent(-row['cost'])}"
                for row in cell["winners"]
                if row["criterion"] == "tastes" and row["budget"] == 0.01 and row["systematic tastes"] > 0.5
            ]
            missed = [row[0] for row in bars(cell) if "missed" in row[-1]]
            lines.append(
                f"- {log}, {_MODELS[model]}: missed: {'; '.join(missed) or 'nothing'}. Systematic part of tastes above "
                f"half of that of best scores within 1%: {'; '.join(worst) or 'none'}."
            )
    return "\n".join(lines)


def _facts(cell: Mapping[str, Any]) -> str:
    plain = cell["plain"]
    return (
        f"{cell['questions']} questions of {cell['users']} users, log {cell['fingerprint']}. Best scores: NDCG@10 "
        f"{number(plain['ndcg'])}, excess of tastes {number(plain['excess']['tastes'], 3)}, systematic part "
        f"{number(plain['systematic']['tastes'])}, excess of popularity {number(plain['excess']['popularity'], 3)}."
    )


def _best(cell: Mapping[str, Any]) -> str:
    header = [
        "for",
        "cost of at most",
        "kind",
        "NDCG",
        "95%, %",
        "p",
        "excess of tastes",
        "S, of plain",
        "popularity, of plain",
    ]
    header += ["minority recall", "regret", "settings"]
    rows = [
        [
            row["criterion"],
            percent(row["budget"])[1:],
            row["family"],
            percent(-row["cost"]),
            interval(-100 * row["cost high"], -100 * row["cost low"], 1),
            p_value(row["p"]),
            _between(row["excess tastes"]),
            _between(row["ratios"]["systematic tastes"]),
            _between(row["ratios"]["excess popularity"]),
            number(row["means"]["minority_recall@10"]),
            number(row["means"]["regret@10"], 3),
            f"`{row['slate']}`",
        ]
        for row in cell["best"]
    ]
    return table(header, rows)


def _kinds(cell: Mapping[str, Any]) -> str:
    header = [
        "kind",
        "for",
        "cost of at most",
        "on validation",
        "NDCG",
        "excess of tastes",
        "S, of plain",
        "popularity, of plain",
        "settings",
    ]
    rows = [
        [
            row["family"],
            row["criterion"],
            percent(row["budget"])[1:],
            percent(-row["valid cost"]),
            percent(-row["cost"]),
            number(row["excess tastes"], 3),
            number(row["systematic tastes"], 2),
            number(row["popularity left"], 2),
            f"`{row['slate']}`",
        ]
        for row in cell["winners"]
        if row["slate"] != "Greedy()" and row["budget"] in (0.01, 0.02)
    ]
    return table(header, rows)


def _fixed(cell: Mapping[str, Any]) -> str:
    header = ["lists", "NDCG", "excess of tastes", "D", "S", "S, of plain", "sameness", "pulled one way, popularity"]
    rows = []
    for name, one in cell["fixed"].items():
        tastes, popularity = one["axes"][0]["tastes"], one["axes"][0]["popularity"]
        ratio = _between(one["ratios"]["systematic tastes"])
        pulled = "-" if popularity["direction"] is None else percent(popularity["direction"]["share"])[1:]
        rows.append(
            [
                name,
                percent(-one["cost"]),
                _between(one["excess tastes"]),
                number(tastes["squared_excess"]),
                number(tastes["systematic"]),
                ratio,
                number(tastes["sameness"], 2),
                pulled,
            ]
        )
    return table(header, rows) + "\n\nD, S, sameness and direction are those of the first split."


def _others(cell: Mapping[str, Any]) -> str:
    header = [
        "best scores of",
        "chosen (NDCG)",
        "liked NDCG",
        "regretted hits",
        "hits rated",
        "excess of tastes",
        "S",
        "excess of popularity",
    ]
    rows = [
        [
            name,
            number(one["means"]["ndcg@10"]),
            number(one["means"]["liked_ndcg@10"]),
            number(one["means"]["regret@10"], 3),
            percent(one["rated hits"], 0)[1:],
            number(one["means"]["tastes_distance_excess@10"], 3),
            number(one["systematic"]["tastes"]),
            number(one["means"]["popularity_distance_excess@10"], 3),
        ]
        for name, one in cell["others"].items()
    ]
    return table(header, rows)


def _seats(cell: Mapping[str, Any]) -> str:
    header = ["seats", "NDCG", "excess of tastes", "S, of plain", "every persona of a tenth seated", "has a candidate"]
    rows = [
        [
            name,
            percent(-one["cost"]),
            number(one["excess tastes"], 3),
            number(one["systematic tastes"], 2),
            number(one["every persona seated"], 3),
            number(one["every persona has a candidate"], 3),
        ]
        for name, one in cell["seats"].items()
    ]
    return table(header, rows)


def _exact(cell: Mapping[str, Any]) -> str:
    texts = [
        f"{axes}: {one['users']} users, below {one['below']}, above {percent(one['above'])[1:]}, the greedy finds no "
        f"such list for {percent(one['greedy finds none'])[1:]}"
        for axes, one in cell["exact"].items()
    ]
    return f"Exact lists against a greedy under the same bounds, by sum of scores: {'; '.join(texts)}."


def _cost(cell: Mapping[str, Any]) -> str:
    cost = dict(cell["cost"])
    users, items, ranking = cost.pop("users"), cost.pop("items"), cost.pop("ranking")
    cost.pop("warm up", None)
    per_user = 1e6 * ranking / users
    shares = "; ".join(f"{name} {number(value / ranking, 2)}" for name, value in cost.items())
    return (
        f"Processor time for {users:.0f} users and {items:.0f} items: ranking alone {per_user:.0f} us a user. As parts "
        f"of it, ranking of 100 in place of 10, and what comes on top: {shares}."
    )
