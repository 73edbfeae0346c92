"""Pictures of the benchmark of drift, drawn from what `drift.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.pictures import draw_forest, new_figure, save_figure

_STYLES = ("-", "--", ":", "-.")


def draw_pairs(path: Path, bases: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the paired differences of NDCG@10 with their intervals, base by base, of the `bases` of `drift.json`."""
    rows = [
        (f"{base}: {name.replace('-', ' − ')}", pair["diff"], pair["low"], pair["high"])
        for base, entry in bases.items()
        for name, pair in entry["paired"].items()
    ]
    return draw_forest(path, rows, "difference of NDCG@10, mean over users with 95% interval")


_BANDED = ("none", "global", "per_user")


def draw_days(path: Path, arms: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Path:
    """Write NDCG@10 by days since training, a curve for each arm, with the band of its interval.

    Among more than a few arms only no decay, one half-life for all and `per_user` have a band.

    Args:
        path: of the PNG.
        arms: rows of `by_days` by arm; all have the same edges.
        title: above the picture.
    """
    figure = new_figure(9, 5)
    axis = figure.subplots()
    edges = [
        f"{row['days']:g}" + (f" to {row['until']:g}" if row["until"] else " and more")
        for row in max(arms.values(), key=len)
    ]
    for number, (arm, rows) in enumerate(arms.items()):
        points = [(place, row) for place, row in enumerate(rows) if row["questions"]]
        place = [place for place, _ in points]
        colour, style = f"C{number % 10}", _STYLES[number // 10 % len(_STYLES)]
        axis.plot(place, [row["ndcg@10"] for _, row in points], style, marker="o", color=colour, label=arm)
        low, high = [row["low"] for _, row in points], [row["high"] for _, row in points]
        if len(arms) <= len(_BANDED) or arm in _BANDED:
            axis.fill_between(place, low, high, color=colour, alpha=0.12)
    axis.set_xticks(range(len(edges)), edges)
    axis.set_xlabel("days since training")
    axis.set_ylabel("NDCG@10")
    axis.set_title(title)
    figure.legend(loc="outside lower center", ncols=4)
    return save_figure(figure, path)


def draw_half_lives(path: Path, bases: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the distribution of half-lives: the mean belief, and the medians of the users on each clock.

    Args:
        path: of the PNG.
        bases: results of `describe_beliefs` by base.
    """
    first = next(iter(bases.values()))
    panels = [("mean belief", "half-life", first["names"])]
    for clock, medians in first["medians"].items():
        unit = "events" if clock == "events" else first["unit"]
        values = [value if isinstance(value, str) else f"{value:g}" for value in medians["values"]]
        panels.append(("users' medians", f"half-life in {unit}", values))
    figure = new_figure(5 * len(panels), 4.5)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    width = 0.8 / len(bases)
    for number, (title, label, names) in enumerate(panels):
        for place, (base, entry) in enumerate(bases.items()):
            medians = list(entry["medians"].values())
            heights = entry["mean_belief"] if number == 0 else medians[number - 1]["shares"]
            at = [x + (place - (len(bases) - 1) / 2) * width for x in range(len(names))]
            axes[number].bar(at, heights, width, color=f"C{place}", label=base if number == 0 else None)
        axes[number].set_xticks(range(len(names)), names, rotation=90 if number == 0 else 0)
        axes[number].set_title(title)
        axes[number].set_xlabel(label)
        axes[number].set_ylabel("belief" if number == 0 else "share of the users")
    figure.legend(loc="outside lower center", ncols=4)
    return save_figure(figure, path)
