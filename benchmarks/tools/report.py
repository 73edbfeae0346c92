"""Reports as Markdown: tables, numbers, facts, and where they are written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from benchmarks.tools.environment import today
from recsys.files import json_values, write_text

REPORTS = Path(__file__).resolve().parents[1] / "reports"
REPORT_NAME = "report.md"


def report_folder(kind: str, out: Path | None, quick: bool = False) -> Path:
    """Return the folder of a report: `out`; else the newest unfinished one of this kind; else a new one of today.

    The same command thus continues an interrupted benchmark, even on another day.
    """
    if out is not None:
        return out
    suffix = f"-{kind}-quick" if quick else f"-{kind}"
    unfinished = [p for p in REPORTS.glob(f"????-??-??{suffix}") if not (p / REPORT_NAME).exists()]
    return max(unfinished, default=REPORTS / f"{today()}{suffix}")


def write_report(out: Path, parts: Iterable[str], name: str = REPORT_NAME) -> Path:
    """Write a report of paragraphs into a folder, which is made where it is missing, and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    return write_text(out / name, "\n\n".join(parts) + "\n")


def write_result(out: Path, content: object) -> Path:
    """Write the numbers behind a report as `result.json`, a list or record of plain values a line; return its path.

    It is committed with the report: what neither a table nor a bar reads belongs into `cells/`, which git ignores.
    """
    out.mkdir(parents=True, exist_ok=True)
    return write_text(out / "result.json", _json(json_values(content)) + "\n")


def _json(value: Any, indent: str = "\n") -> str:  # noqa: ANN401 - any value of JSON
    """Return JSON in which what holds no other list or record stands on one line."""
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(entry, dict | list) for entry in entries):
        return json.dumps(value, allow_nan=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_json(entry, inner)}" for key, entry in value.items()]
    else:
        lines = [_json(entry, inner) for entry in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return start + inner + f",{inner}".join(lines) + indent + end


def significant(value: Any, digits: int = 6) -> Any:  # noqa: ANN401 - any value of JSON
    """Return plain values, numbers with so many significant digits.

    >>> significant({"a": [0.123456789, 123456789.0, 7, "b"]})
    {'a': [0.123457, 123457000.0, 7, 'b']}
    """
    if isinstance(value, Mapping):
        return {key: significant(entry, digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [significant(entry, digits) for entry in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def method(docstring: str | None) -> str:
    """Return the paragraph of a benchmark's docstring that describes its method, as one line."""
    return " ".join((docstring or "").split("\n\n", 1)[1].split())


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


@final
@dataclass(frozen=True)
class Placebo:
    """What a bar measures where there is nothing to find: identical personas, signs drawn by lot, popularity.

    A bar that a placebo meets says nothing. Seconds, bytes and failures need none.
    """

    text: str  # which placebo, and its measured value
    passed: bool | None  # whether it meets the bar; None where it was not measured


def bars_table(rows: Iterable[Sequence[str]], measured: str = "measured") -> str:
    """Return the table of the bars of a benchmark, rows made by `bar`; placebos have a column where there is one."""
    rows = list(rows)
    columns = range(5) if any(row[3] != "-" for row in rows) else (0, 1, 2, 4)
    header = ["claim", "bar", measured, "placebo", ""]
    return table([header[column] for column in columns], [[row[column] for column in columns] for row in rows])


def bar(claim: str, threshold: str, measured: str, passed: bool | None, placebo: Placebo | None = None) -> list[str]:
    """Return a row of `bars_table`; `passed` is None where nothing was measured.

    >>> bar("answers that failed", "0", "2", False)
    ['answers that failed', '0', '2', '-', '**missed**']
    >>> bar("distinct personas", "3.2 of 4", "3.9", True, Placebo("identical ones 4.0", True))
    ['distinct personas', '3.2 of 4', '3.9', 'identical ones 4.0', '**void**, the placebo passes']
    """
    void = placebo is not None and placebo.passed
    return [
        *(claim, threshold, measured, "-" if placebo is None else placebo.text),
        "**void**, the placebo passes" if void else verdict(passed),
    ]


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


def signed(value: float) -> str:
    """Return a difference for a table.

    >>> signed(0.0123)
    '+0.0123'
    """
    return f"{value:+.4f}"


def percent(share: float, digits: int = 1) -> str:
    """Return a relative difference in per cent.

    >>> percent(0.0123), percent(-0.5, 0)
    ('+1.2%', '-50%')
    """
    return f"{100 * share:+.{digits}f}%"


def interval(low: float, high: float, digits: int = 4) -> str:
    """Return an interval for a table.

    >>> interval(-0.01, 0.5)
    '[-.0100, .5000]'
    """
    return f"[{number(low, digits)}, {number(high, digits)}]"


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


def slug(title: str) -> str:
    """Return a title as part of a file name.

    >>> slug("mixed drift, ease")
    'mixed-drift-ease'
    """
    return title.replace(", ", "-").replace(" ", "-")


def without_paths(text: str) -> str:
    """Return a text without absolute paths, which belong to a machine and not into a report.

    >>> without_paths("not at hand (looked in /home/me/data, /tmp); see a/b and https://x.org/y")
    'not at hand (looked in ..., ...); see a/b and https://x.org/y'
    """
    return re.sub(r"(?<![\w:/.])/[^\s,;:)'\"]+", "...", text)


def verdict(passed: bool | None) -> str:
    """Return whether a bar is met.

    >>> verdict(True), verdict(False), verdict(None)
    ('met', '**missed**', 'not measured')
    """
    return "not measured" if passed is None else "met" if passed else "**missed**"
