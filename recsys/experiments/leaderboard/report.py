"""A leaderboard as Markdown and as one HTML file, with a picture of each metric."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from math import isfinite
from pathlib import Path
from typing import Final

from recsys.experiments.leaderboard.board import Board, Row
from recsys.files import write_text
from recsys.pictures import draw_forest

MARKDOWN, PAGE = "leaderboard.md", "leaderboard.html"

_HEADER: Final = ("", "run", "model", "mean", "less the best", "95% interval", "p (Holm)", "")
_NOTE: Final = (
    "Means over the test users whom all models serve from a history of their own. Each run is paired with the best on "
    "users; p-values of the signed-rank test are corrected with Holm's method over all pairs of runs and all metrics. "
    "Behind: interval and test agree that the run is behind the best; the others may be as good."
)
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid #8886; }
th:nth-child(2), td:nth-child(2), th:nth-child(3), td:nth-child(3), td:last-child { text-align: left; }
img { max-width: 100%; background: white; border-radius: .5rem; }
"""


def write_leaderboard(out: Path, boards: Sequence[Board]) -> list[Path]:
    """Write `leaderboard.md`, `leaderboard.html` and a picture of each metric to a directory; return their paths.

    Args:
        out: the directory, which is made.
        boards: by metric.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures = [_draw(out, board) for board in boards]
    parts = ["# Leaderboard", _NOTE]
    sections = []
    for board, picture in zip(boards, pictures, strict=True):
        title, rows = f"{board.metric}, {board.users} users", [cells(row) for row in board.rows]
        lines = [_HEADER, ("---",) * len(_HEADER), *rows]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        parts += [f"## {title}", table, f"![Differences to the best by {board.metric}]({picture.name})"]
        sections.append(_section(title, rows, picture))
    page = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Leaderboard</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Leaderboard</h1>\n<p>{escape(_NOTE)}</p>\n{''.join(sections)}</html>\n"
    )
    written = [write_text(out / MARKDOWN, "\n\n".join(parts) + "\n"), write_text(out / PAGE, page)]
    return [*written, *pictures]


def cells(row: Row) -> tuple[str, ...]:
    """Return a run as a line of a table: place, run, model, mean, difference, interval, p and whether it is behind."""
    verdict = "best" if row.place == 1 else "behind" if row.behind else ""
    difference = ("", "", "")  # of the leader, which has no test
    if isfinite(row.p_holm):
        p = "<.0001" if row.p_holm < 0.0001 else f"{row.p_holm:.4f}".removeprefix("0")
        difference = (f"{row.diff:+.4f}", f"{row.low:+.4f} .. {row.high:+.4f}", p)
    return (str(row.place), row.run, row.model, f"{row.mean:.4f}", *difference, verdict)


def _draw(out: Path, board: Board) -> Path:
    rows = [(f"{row.place}. {Path(row.run).name}", row.diff, row.low, row.high) for row in board.rows]
    return draw_forest(out / f"{board.metric.replace('@', '_')}.png", rows, f"{board.metric}, less the best")


def _section(title: str, rows: Sequence[Sequence[str]], picture: Path) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in _HEADER)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    data = base64.b64encode(picture.read_bytes()).decode()
    return (
        f"<h2>{escape(title)}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
        f'<p><img alt="{escape(title)}: differences to the best" src="data:image/png;base64,{data}"></p>\n'
    )
