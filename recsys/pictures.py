"""Draws plain arrays as PNG, SVG or PDF files; the only module that imports matplotlib.

Figures are made without pyplot, so that no window system is needed and no global state is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recsys.errors import ConfigError
from recsys.files import PICTURES, replacing
from recsys.types import Doubles, Ints

_COLOUR = "#30638e"
_BINS = 40
_SERIES = (
    *("#9aa5b1", "#c3ae8e", "#6b8f71", "#8d6a9f", "#c97b63", "#54728c", "#d4a5a5", "#a3b18a", "#e09f3e", "#9e2a2b"),
    *("#264653", "#2a9d8f", "#e76f51", "#6d597a"),
)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches, for `save_figure`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the suffix names, in one step, and return `path`.

    Raises:
        ConfigError: the suffix is that of no picture.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise ConfigError(f"{path} has no suffix of a picture; give {', '.join(PICTURES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date, and with ids that are the same each time: the same picture is the same file.
    dated = {"Date" if suffix == ".svg" else "CreationDate": None} if suffix != ".png" else None
    with replacing(path) as temporary, rc_context({"svg.hashsalt": "recsys"}):
        figure.savefig(temporary, format=suffix.removeprefix("."), dpi=120, metadata=dated)
    return path


def draw_events(
    path: Path,
    title: str,
    *,
    per_user: Ints,
    per_item: Ints,
    counted: tuple[str, Mapping[str, int]],
    times: Ints | None,
    spans: Doubles,
    clock: str,
) -> Path:
    """Write the histograms of a log of events, and return `path`.

    Args:
        per_user: "users", number of events of each; zeros are left out.
        per_item: "items", the same per item.
        counted: what is counted of the events, such as "rating", and the number of events of each.
        times: "events", in the unit of `clock`; None leaves the panels on time empty.
        spans: "users", length of each user's history, in days or periods.
        clock: unit of the times: "seconds" (shown as dates) or "period".
    """
    figure = new_figure(12, 7)
    figure.suptitle(title)
    axes = figure.subplots(2, 3).ravel().tolist()
    per_item = np.sort(per_item[per_item > 0])[::-1]
    _log_histogram(axes[0], per_user[per_user > 0], "events per user", "users")
    axes[1].loglog(np.arange(1, len(per_item) + 1), per_item, color=_COLOUR)
    axes[1].set(title="popularity", xlabel="rank of the item", ylabel="events")
    _log_histogram(axes[2], per_item, "events per item", "items")
    kind, values = counted
    axes[3].bar(list(values), list(values.values()), color=_COLOUR)
    if len(values) > 12:
        axes[3].tick_params(axis="x", rotation=90)
    axes[3].set(title=f"{kind}s", xlabel=kind, ylabel="events")
    if times is None:
        for axis in axes[4:]:
            axis.set_axis_off()
        axes[4].text(0.5, 0.5, f"no comparable times (clock: {clock})", ha="center")
        return save_figure(figure, path)
    _times(axes[4], times, clock)
    axes[5].hist(spans, bins=_BINS, color=_COLOUR)
    unit = "days" if clock == "seconds" else "periods"
    axes[5].set(yscale="log", title="span per user", xlabel=unit, ylabel="users")
    return save_figure(figure, path)


def _log_histogram(axis: Axes, counts: Ints, title: str, y: str) -> None:
    top = max(int(counts.max()), 2)
    edges = np.unique(np.round(np.geomspace(1, top + 1, _BINS)))
    axis.hist(counts, bins=edges.tolist(), color=_COLOUR)
    axis.set(xscale="log", title=title, xlabel=title, ylabel=y)


def _times(axis: Axes, times: Ints, clock: str) -> None:
    if clock == "period":
        periods, counts = np.unique(times, return_counts=True)
        axis.bar(periods, counts, color=_COLOUR)
        axis.set(title="events over time", xlabel="period", ylabel="events")
        return
    counts, edges = np.histogram(times, bins=_BINS)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(np.int64).astype("datetime64[s]")
    axis.step(middles, counts, where="mid", color=_COLOUR)
    axis.tick_params(axis="x", rotation=30)
    axis.set(title="events over time", xlabel="date (UTC)", ylabel="events")


def draw_bars(path: Path, groups: Sequence[str], series: Mapping[str, Sequence[tuple[float, float]]], y: str) -> Path:
    """Write grouped bars with error bars, and return `path`.

    Args:
        groups: names below the groups.
        series: for each name in the legend, height and half length of the error bar in every group.
        y: label of the vertical axis.
    """
    figure = new_figure(max(8.0, 2.2 * len(groups)), 5)
    axis = figure.subplots()
    width = 0.85 / max(len(series), 1)
    for number, (name, values) in enumerate(series.items()):
        middle = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        heights, errors = [value for value, _ in values], [error for _, error in values]
        axis.bar(middle, heights, width, yerr=errors, label=name, color=_SERIES[number % len(_SERIES)])
    axis.set_xticks(np.arange(len(groups)), groups)
    axis.set_ylabel(y)
    if series:
        figure.legend(loc="outside lower center", ncols=5)
    return save_figure(figure, path)


def draw_forest(path: Path, rows: Sequence[tuple[str, float, float, float]], x: str) -> Path:
    """Write a forest plot, differences with their intervals beside a line at 0, and return `path`.

    Args:
        rows: name, difference, lower and upper end of the interval.
        x: label of the horizontal axis.
    """
    figure = new_figure(8, 1.5 + 0.45 * len(rows))
    axis = figure.subplots()
    axis.axvline(0.0, color="grey", linewidth=1)
    for place, (_, difference, low, high) in enumerate(rows):
        axis.plot([low, high], [place, place], color=_COLOUR)
        axis.plot([difference], [place], "o", color=_COLOUR)
    axis.set_yticks(np.arange(len(rows)), [name for name, *_ in rows])
    axis.invert_yaxis()
    axis.set_xlabel(x)
    return save_figure(figure, path)


def draw_lines(
    path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], x: str, title: str = ""
) -> Path:
    """Write one panel for each measure, with lines through points, and return `path`.

    Args:
        panels: by label of the vertical axis, for each name in the legend, points (x, y) in their order.
        x: label of the horizontal axes.
        title: of the picture.
    """
    figure = new_figure(5.2 * max(1, len(panels)), 5.4)
    figure.suptitle(title)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axis, (label, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axis.axhline(0.0, color="grey", linewidth=1)
        axis.axvline(0.0, color="grey", linewidth=1)
        for name, points in lines.items():
            across, up = zip(*points, strict=True)
            colour = _SERIES[(names.index(name) + 4) % len(_SERIES)]
            axis.plot(across, up, "o-", markersize=4, linewidth=1.4, color=colour, label=name)
        axis.set(xlabel=x, ylabel=label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return save_figure(figure, path)


def draw_activity(
    path: Path, times: npt.ArrayLike, values: Mapping[str, Sequence[float]], *, dates: bool, title: str = ""
) -> Path:
    """Write a stacked area chart of shares that add up to 1 over time, and return `path`.

    Args:
        times: "moments", rising; Unix seconds where they are dates.
        values: for each name in the legend, the share from each moment on.
        dates: whether the times are dates.
    """
    figure = new_figure(9, 4.5)
    axis = figure.subplots()
    places = np.asarray(times, dtype=np.int64).astype("datetime64[s]" if dates else np.int64)
    colours = [_SERIES[number % len(_SERIES)] for number in range(len(values))]
    axis.stackplot(places, list(values.values()), labels=list(values), colors=colours, step="post")
    axis.set(ylim=(0, 1), title=title, xlabel="date (UTC)" if dates else "time", ylabel="share of what counts")
    figure.legend(loc="outside lower center", ncols=2)
    return save_figure(figure, path)


def draw_curves(path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], x: str, y: str) -> Path:
    """Draw lines through points in panels, three in a row, with x on a logarithmic scale.

    Args:
        path: of the PNG.
        panels: by title, the points (x, y) of each line by name; x is positive.
        x, y: labels of the axes.
    """
    across = min(3, max(1, len(panels)))
    down = -(-len(panels) // across)
    figure = new_figure(4.2 * across, 3.4 * down)
    for place, (title, lines) in enumerate(panels.items()):
        axis = figure.add_subplot(down, across, place + 1)
        for name, points in lines.items():
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(x)
        axis.grid(alpha=0.3)
        if place % across == 0:
            axis.set_ylabel(y)
        if place == 0:
            axis.legend(fontsize=8)
    return save_figure(figure, path)


def draw_search(
    path: Path, trials: Sequence[tuple[int, float | None, str]], importances: Mapping[str, float], y: str
) -> Path:
    """Write the values of the trials of a search with the best so far, and how much each setting decides.

    Args:
        path: of the picture.
        trials: number, value (None: none) and state ("complete" or another word) of each, in order.
        importances: of the settings; empty leaves the panel out.
        y: label of the values.
    """
    figure = new_figure(11 if importances else 7, 4)
    axes = figure.subplots(1, 2 if importances else 1, squeeze=False)[0]
    for state, colour in (("complete", _COLOUR), ("pruned", _SERIES[0])):
        points = [(number, value) for number, value, ended in trials if ended == state and value is not None]
        if points:
            axes[0].plot(*zip(*points, strict=True), "o", color=colour, markersize=4, label=state)
    best, steps = -np.inf, []
    for number, value, state in trials:
        best = max(best, value) if value is not None and state == "complete" else best
        steps.append((number, best))
    known = [step for step in steps if np.isfinite(step[1])]
    if known:
        axes[0].step(*zip(*known, strict=True), where="post", color=_SERIES[9], linewidth=1.4, label="best so far")
    axes[0].set(xlabel="trial", ylabel=y)
    axes[0].legend(fontsize=8)
    if importances:
        names = list(importances)[::-1]
        axes[1].barh(names, [importances[name] for name in names], color=_COLOUR)
        axes[1].set(xlabel="importance")
    return save_figure(figure, path)
