"""What logs in parts need, computed from what was measured: `python -m benchmarks.speed.sizing REPORT/result.json`.

Writes the table `sizing.md` beside the result, each cell marked as computed, and the picture of who holds what.

    worker   as measured         a part's events, its Gram matrix (4 bytes for each pair of items), and that of the sum
    disk     d n                 n events, d bytes an event, measured
    seconds  c n                 c processor seconds of the sums an event, measured, over the processors; without the
                                 addition of the parts' matrices, which one process does
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from benchmarks.tools.report import table
from recsys.pictures import new_figure, save_figure

SIZES = (20e6, 200e6, 2e9, 10e9)
"""Events: from a laptop to a cluster."""
PROCESSORS = {20e6: 2, 200e6: 16, 2e9: 64, 10e9: 256}
"""Processors that each size is computed for."""
IMAGE = Path(__file__).resolve().parents[2] / "docs" / "images" / "scaling.png"

_BOXES = (
    (0.02, 0.10, 0.25, 0.78, "Shared storage", ("part-00000.parquet", "part-00001.parquet", "...", "items.parquet")),
    (0.38, 0.56, 0.26, 0.34, "Worker 1", ("one part of the users", "G of that part, 4 items² bytes")),
    (0.38, 0.10, 0.26, 0.34, "Worker W", ("another part", "G of that part")),
    (
        0.74,
        0.10,
        0.24,
        0.80,
        "The command itself",
        ("ids of users and items", "the sum of all G", "its factor: the model"),
    ),
)
_ARROWS = ((0.27, 0.72, 0.38, 0.72), (0.27, 0.27, 0.38, 0.27), (0.64, 0.72, 0.74, 0.62), (0.64, 0.27, 0.74, 0.37))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table and the picture; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.sizing", description=__doc__)
    parser.add_argument("result", type=Path, help="result.json of a report of `python -m benchmarks.partitions`")
    options = parser.parse_args(arguments)
    rows = json.loads(options.result.read_text(encoding="utf-8"))
    path = options.result.with_name("sizing.md")
    path.write_text("\n\n".join(["# Sizing: computed, not measured", *sizing(rows)]) + "\n", encoding="utf-8")
    save_figure(draw(), IMAGE)
    print(f"{path}\n{IMAGE}")
    return 0


def sizing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the measured constants of the largest log, and the table that is computed from them."""
    sums = [row for row in rows if row["stage"] == "sums"][-1]
    parts = next(row for row in rows if row["stage"] == "partition" and row["events"] == sums["events"])
    events = float(sums["events"])
    disk, seconds, users = parts["parts_mb"] * 1e6 / events, sums["gram_cpu"] / events, parts["users"] / events
    part = events / parts["parts"]
    head = (
        f"From {events / 1e6:g} million events of {parts['users']} users in {parts['parts']} parts: {disk:.1f} bytes "
        f"an event on disk, {1e6 * seconds:.2f} processor seconds a million events for the sums, {sums['peak_gb']:.2f} "
        "GB for a process that sums. Parts of the same size and as many items at every size."
    )
    body = [
        [
            f"{size / 1e6:,.0f} M",
            f"{users * size / 1e6:,.2f} M",
            f"{size / part:,.0f}",
            f"{disk * size / 1e9:,.1f}",
            f"{sums['peak_gb']:.2f}",
            f"{PROCESSORS[size]}",
            f"{seconds * size / PROCESSORS[size] / 60:,.1f}",
        ]
        for size in SIZES
    ]
    return [head, table(["events", "users", "parts", "disk, GB", "a worker, GB", "processors", "sums, minutes"], body)]


def draw() -> Figure:
    """Return the picture of who holds what."""
    figure = new_figure(9.0, 3.6)
    axis = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
    axis.set_axis_off()
    for left, bottom, width, height, title, lines in _BOXES:
        axis.add_patch(
            FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0.01", fc="#eef3f8", ec="#33506b")
        )
        axis.text(left + 0.01, bottom + height - 0.03, title, weight="bold", va="top", fontsize=10)
        axis.text(left + 0.01, bottom + height - 0.13, "\n".join(lines), va="top", fontsize=9, linespacing=1.6)
    for x, y, to_x, to_y in _ARROWS:
        axis.add_patch(FancyArrowPatch((x, y), (to_x, to_y), arrowstyle="-|>", mutation_scale=14, color="#33506b"))
    axis.text(0.325, 0.95, "one part at a time", ha="center", fontsize=8)
    axis.text(0.69, 0.95, "G, part after part", ha="center", fontsize=8)
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
