"""Reports as Markdown: tables, numbers, facts, and where they are written."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.tools.environment import today

REPORTS = Path(__file__).resolve().parents[1] / "reports"
REPORT_NAME = "report.md"


def report_folder(kind: str, out: Path | None, quick: bool = False) -> Path:
    """Return the folder of a report: `out`; else the newest unfinished one of this kind; else a new one of today.

    An interrupted benchmark is thus continued by the same command, even on another day.
    """
    if out is not None:
        return out
    suffix = f"-{kind}-quick" if quick else f"-{kind}"
    unfinished = [p for p in REPORTS.glob(f"????-??-??{suffix}") if not (p / REPORT_NAME).exists()]
    return max(unfinished, default=REPORTS / f"{today()}{suffix}")


def write_text(path: Path, text: str) -> Path:
    """Write a text file; it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others are right-aligned.

    >>> print(table(["model", "ndcg"], [["a|b", ".31"]]))
    | model | ndcg |
    |:---|---:|
    | a\\|b | .31 |
    """
    lines = [_row(header), "|" + "|".join([":---", *["---:"] * (len(header) - 1)]) + "|"]
    lines += [_row(row) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for a table, "-" where there is none.

    >>> number(0.31214), number(float("nan")), number(-0.5, 2)
    ('.3121', '-', '-.50')
    """
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) and digits else text


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Return "mean ± sd" over seeds; the mean alone for a single value.

    >>> spread([0.1, 0.2]), spread([0.3])
    ('.1500 ± .0707', '.3000')
    """
    mean, deviation = mean_and_deviation(values)
    return number(mean, digits) if len(values) < 2 else f"{number(mean, digits)} ± {number(deviation, digits)}"


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (0 for a single value, NaN for none).

    >>> mean_and_deviation([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def p_value(value: float) -> str:
    """Return a p-value for a table.

    >>> p_value(0.04321), p_value(1e-9), p_value(float("nan"))
    ('.043', '<.001', '-')
    """
    return "<.001" if value < 0.001 else number(value, 3)


def facts(values: Mapping[str, str]) -> str:
    """Return a list of named facts.

    >>> facts({"seeds": "0, 1"})
    '- **seeds**: 0, 1'
    """
    return "\n".join(f"- **{name}**: {value}" for name, value in values.items())


def without_paths(text: str) -> str:
    """Return a text without absolute paths, which belong to a machine and not into a report.

    >>> without_paths("not at hand (looked in /home/me/data, /tmp); see a/b and https://x.org/y")
    'not at hand (looked in ..., ...); see a/b and https://x.org/y'
    """
    return re.sub(r"(?<![\w:/.])/[^\s,;:)'\"]+", "...", text)


def verdict(passed: bool | None) -> str:
    """Return how a bar stands.

    >>> verdict(True), verdict(False), verdict(None)
    ('met', '**missed**', 'not measured')
    """
    return "not measured" if passed is None else "met" if passed else "**missed**"
