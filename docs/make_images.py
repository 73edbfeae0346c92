"""Draw the picture of the demonstration for the README: `python docs/make_images.py`.

Runs the demonstration in a temporary folder, keeps what it prints of the comparison, of the two largest tastes of a
user and of the list on its shelves, and draws it with matplotlib, so that nothing beyond the library's own dependencies
is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from recsys.cli import demo
from recsys.pictures import save_figure

IMAGES = Path(__file__).resolve().parent / "images"
COLUMNS = 110
_CELL = (10 / 120, 22 / 120)
"""Width and height of a character in inches: whole pixels at the resolution of `save_figure`."""
_POINTS = 72 * _CELL[0] / 0.602
"""Font size at which DejaVu Sans Mono, .602 em wide, is one cell wide."""
_BOXES = 2
"""Tastes that are shown."""
_BACKGROUND, _PLAIN, _DIM = "#1b1f24", "#e6e6e6", "#9aa5b1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and draw it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python docs/make_images.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures (default: docs/images)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    with tempfile.TemporaryDirectory() as folder, _working_in(Path(folder)):
        lines = demo_lines(Path("runs/demo"), options.seed)
    print(draw_terminal(lines, out / "demo.png"))  # noqa: T201
    return 0


def demo_lines(out: Path, seed: int) -> list[list[Segment]]:
    """Run the demonstration; return the lines that are shown, wrapped as a terminal wraps them."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    demo.run(out, seed, console)
    printed = console.export_text(styles=True).splitlines()
    wrapped: list[list[Segment]] = []
    plain = Console(width=COLUMNS, color_system="truecolor", file=io.StringIO())
    for line in shown(printed):
        for part in Text.from_ansi(line).wrap(plain, COLUMNS) or [Text("")]:
            wrapped.append([segment for segment in part.render(plain) if segment.text])
    return wrapped


def shown(printed: Sequence[str]) -> list[str]:
    """Return the lines of the demonstration that the picture has, from the comparison to the end of the list.

    >>> box = ["╭ A ╮", "│ a │", "╰───╯"]
    >>> shown(["EASE", "610 test users", *box, *box, *box, "What", "1. Heat", "", "The same list"])[4:]
    ['╭ A ╮', '│ a │', '╰───╯', 'What', '1. Heat', '']
    """
    plain = Text.from_ansi("\n".join(printed)).plain.splitlines()
    boxes = [number for number, line in enumerate(plain) if line.startswith("╰")]
    first = next(number for number, line in enumerate(plain) if "test users" in line)
    last = next((number for number, line in enumerate(plain) if line.startswith("The same list")), len(plain))
    dropped = range(boxes[_BOXES - 1] + 1, boxes[-1] + 1) if len(boxes) > _BOXES else range(0)
    return [line for number, line in enumerate(printed[:last]) if number >= first and number not in dropped]


def draw_terminal(lines: Sequence[Sequence[Segment]], path: Path) -> Path:
    """Draw lines of styled text in a fixed-width font, light on dark."""
    width, height = (COLUMNS + 2) * _CELL[0], (len(lines) + 1.5) * _CELL[1]
    figure = Figure(figsize=(width, height), facecolor=_BACKGROUND)
    for row, line in enumerate(lines):
        column = 1
        for segment in line:
            text = segment.text.rstrip("\n")
            style = segment.style
            figure.text(
                column * _CELL[0] / width,
                1 - (row + 1.2) * _CELL[1] / height,
                text.replace("$", r"\$"),
                color=_DIM if style is not None and style.dim else _PLAIN,
                fontsize=_POINTS,
                fontfamily="DejaVu Sans Mono",
                fontweight="bold" if style is not None and style.bold else "normal",
                fontstyle="italic" if style is not None and style.italic else "normal",
                verticalalignment="baseline",
            )
            column += len(text)
    return save_figure(figure, path)


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Change the working directory for a while, so that the demonstration prints short paths."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    raise SystemExit(main())
