"""Copies numbers of the newest reports into the README: `python -m benchmarks.readme`.

The command computes nothing: it replaces the lines between two markers by numbers of the reports, and leaves everything
else as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from benchmarks.tools.command import parser, program
from benchmarks.tools.report import REPORT_NAME, REPORTS, table
from recsys.errors import DataError
from recsys.files import write_text

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"
PERSONAS_BEGIN, PERSONAS_END = "<!-- personas:begin -->", "<!-- personas:end -->"
DRIFT_BEGIN, DRIFT_END = "<!-- drift:begin -->", "<!-- drift:end -->"
KINDS = {"accuracy": "accuracy", "paper": "authors' protocol", "speed": "speed", "scale": "scale"}
"""Kinds of reports, and the text of a link to one."""
METRIC = "NDCG@10"
COLD, FALLBACK = f"cold {METRIC}", "popularity's list"
"""Columns of cold users in a table of models: their metric, and how many of them a model cannot serve."""

_SEATS, _ATTENTION = "EASE, seats", "AMP-CF: attention, seats"
"""Read-outs of `ease_personas` and of `ampcf` in a report on personas."""

_RECOVERY_HEAD = (
    "events after a change [95%]",
    *("to the oracle's curve: `per_user`", "`global`", "to the level at which it settles: `per_user`", "`global`"),
)

_SHIPPED, _VISITS = "per_user", "titles of ten"
"""The rule of the shipped configurations in a report on drift, and the head of the table of what visits do."""

_ASKED = re.compile(r"\*\*asked\*\*: (\d+) [^,\n]*, (\d+) cold")


@final
@dataclass(frozen=True)
class Numbers:
    """A column of the README's table."""

    title: str  # log and split, as the report's heading has it, and who is asked
    leaks_time: bool  # whether the report says that the split leaks time
    values: Mapping[str, str]  # by model


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the block of numbers; return the exit code."""
    command = parser("readme", __doc__)
    command.add_argument("--reports", type=Path, default=REPORTS, metavar="DIR", help="folder of the dated reports")
    command.add_argument("--readme", type=Path, default=README, metavar="FILE", help="file to rewrite")
    options = command.parse_args(arguments)

    text = options.readme.read_text(encoding="utf-8")
    text = replaced(text, block(newest(options.reports), options.readme.parent))
    personas = sorted(options.reports.glob(f"????-??-??-personas/{REPORT_NAME}"))
    if personas:
        content = personas_block(personas[-1], options.readme.parent)
        text = replaced(text, content, (PERSONAS_BEGIN, PERSONAS_END))
    drift = sorted(options.reports.glob(f"????-??-??-drift/{REPORT_NAME}"))
    if drift:
        text = replaced(text, drift_block(drift[-1], options.readme.parent), (DRIFT_BEGIN, DRIFT_END))
    print(f"written: {write_text(options.readme, text)}")
    return 0


def newest(reports: Path) -> dict[str, Path]:
    """Return the newest finished report of each kind, by kind, without those of `--quick`."""
    reports_of = {kind: sorted(reports.glob(f"????-??-??-{kind}/{REPORT_NAME}")) for kind in KINDS}
    return {kind: paths[-1] for kind, paths in reports_of.items() if paths}


def block(reports: Mapping[str, Path], root: Path) -> str:
    """Return the text between the markers, of a report by kind; links are relative to `root`."""
    paths = {kind: Path(os.path.relpath(path, root)).as_posix() for kind, path in reports.items()}
    links = "; ".join(f"[{KINDS[kind]}, {reports[kind].parent.name[:10]}]({path})" for kind, path in paths.items())
    if "accuracy" not in reports:
        missing = "No accuracy has been measured yet: run `python -m benchmarks.accuracy`."
        return f"{missing}\n\nReports: {links}." if links else missing
    columns = read_numbers(reports["accuracy"].read_text(encoding="utf-8"))
    if not columns:
        raise DataError(f"{reports['accuracy']}: no table of models with {METRIC}; run the benchmark again")
    models = dict.fromkeys(model for column in columns for model in column.values)
    header = ["model", *(column.title + (" †" if column.leaks_time else "") for column in columns)]
    rows = [[f"`{model}`", *(column.values.get(model, "-") for column in columns)] for model in models]
    named = any(column.title.endswith(" users") for column in columns)
    compared = (
        "Models are compared on the users whom every model serves from a history of their own; cold users stand apart, "
        "and ° marks a model that gives cold users whom it cannot serve popularity's list. "
    )
    older = (
        "Over all users, of whom some have no history: a model of learned users has an empty list, 0, for everybody "
        "whom it did not learn (a later report compares whom all serve). "
    )
    legend = (
        f"Test {METRIC}, all items ranked, mean ± standard deviation over seeds. {compared if named else older}"
        "A `_twin` is the same model with one persona. † the split leaks time. ⏱ a training by gradient that its cap "
        "ended before it had converged."
    )
    return "\n\n".join([legend, table(header, rows), f"Reports: {links}."])


def read_numbers(report: str) -> list[Numbers]:
    """Return the table of models of every section of an accuracy report that has one: a column, and one of cold users.

    >>> read_numbers("## log, random\\n\\n- **leaks time**\\n\\n| model | NDCG@10 |\\n|:--|--:|\\n| ease | .3 |\\n")
    [Numbers(title='log, random', leaks_time=True, values={'ease': '.3'})]
    """
    columns = []
    for title, body, rows in _sections(report, "## "):
        if next(iter(rows[0])) != "model":
            continue
        users = _ASKED.search(body)
        served, cold = (f": {users[1]} users", f": {users[2]} cold users") if users else ("", "")
        leaks = "leaks time" in body
        for metric, asked in ((METRIC, served), (COLD, cold)):
            if metric in rows[0]:
                columns.append(Numbers(title + asked, leaks, todays(dict(_entry(row, metric) for row in rows))))
    return columns


def todays(values: Mapping[str, str]) -> dict[str, str]:
    """Return numbers by today's names of the configurations: until 0.2 `persona_ease` and its twin were `ampcf`.

    >>> todays({"ease": ".3", "ampcf_twin": ".2", "ampcf": ".1"})
    {'ease': '.3', 'persona_ease_twin': '.2', 'persona_ease': '.1'}
    >>> todays({"persona_ease": ".2", "ampcf": ".1"})
    {'persona_ease': '.2', 'ampcf': '.1'}
    """
    renamed = {"ampcf": "persona_ease", "ampcf_twin": "persona_ease_twin"} if "ampcf_twin" in values else {}
    return {renamed.get(name, name): value for name, value in values.items()}


def personas_block(report: Path, root: Path) -> str:
    """Return the text on attention against seats: read-outs by log, on which logs attention loses, and a link.

    Raises:
        DataError: the report does not compare them.
    """
    text = report.read_text(encoding="utf-8")
    rows = next((rows for title, _, rows in _sections(text, "## ") if "Attention" in title), [])
    ndcg = {(row["log"], row["read-out"]): float(row[METRIC]) for row in rows}
    logs, read_outs = dict.fromkeys(row["log"] for row in rows), dict.fromkeys(row["read-out"] for row in rows)
    if not {_SEATS, _ATTENTION} <= read_outs.keys():
        raise DataError(f"{report}: attention is not compared with seats; run the benchmark again")
    cells = {
        (row["log"], row["read-out"]): " ".join(
            filter(None, [row[METRIC], row["against plain scores"], row["interval, %"]])
        )
        for row in rows
    }
    lost = [log for log in logs if ndcg[log, _ATTENTION] < ndcg[log, _SEATS]]
    verdict = (
        f"`ampcf`, with attention in the score, is below `ease_personas`, with seats alone, on {len(lost)} of "
        f"{len(logs)} logs{': ' if lost else ''}{', '.join(lost)}."
    )
    path = Path(os.path.relpath(report, root)).as_posix()
    return "\n\n".join(
        [
            verdict,
            table([METRIC, *logs], [[one, *(cells.get((log, one), "-") for log in logs)] for one in read_outs]),
            "Percentages are against plain scores, with intervals of 95%. Report: "
            f"[personas, {report.parent.name[:10]}]({path}).",
        ]
    )


def drift_block(report: Path, root: Path) -> str:
    """Return the text on drift: both measures of recovery in worlds, arms by streams with their picture, and a link.

    Raises:
        DataError: the report has no stream.
    """
    text = report.read_text(encoding="utf-8")
    sections = list(_sections(text.partition("## Real streams")[2], "### "))
    columns = {
        f"{title}, {head}": {row[head]: row[METRIC] for row in rows}
        for title, _, rows in sections
        for head in [next(iter(rows[0]))]
    }
    if not columns:
        raise DataError(f"{report}: no stream with {METRIC}; run the benchmark again")
    arms = dict.fromkeys(arm for column in columns.values() for arm in column)
    rows = [[f"`{arm}`", *(column.get(arm, "-") for column in columns.values())] for arm in arms]
    folder = Path(os.path.relpath(report.parent, root)).as_posix()
    recoveries = _recoveries(text)
    return "\n\n".join(
        [
            *([table(_RECOVERY_HEAD, recoveries)] if recoveries else []),
            f"![Gain of each rule of forgetting over no decay, by log]({folder}/streams.png)",
            table(["NDCG@10, next visit", *columns], rows),
            *_visits(sections),
            f"Report: [drift, {report.parent.name[:10]}]({folder}/{report.name}).",
        ]
    )


def _visits(sections: Sequence[tuple[str, str, list[dict[str, str]]]]) -> list[str]:
    """Return a table of what visits do to the lists of the shipped rule, with no decay in brackets, if measured."""
    head: list[str] = []
    rows = []
    for title, body, _ in sections:
        start = body.find(f"| {_VISITS} |")
        if start >= 0:
            head, _, *arms = _first_table(body[start:].splitlines())
            values = {arm: values for arm, *values in arms}
            if {_SHIPPED, "none"} <= values.keys():
                both = zip(values[_SHIPPED], values["none"], strict=True)
                rows.append([title, *(f"{one} ({other})" for one, other in both)])
    return [table([f"`{_SHIPPED}` (no decay), {_VISITS}", *head[1:]], rows)] if rows else []


def replaced(text: str, content: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """Return a text with other content between its markers.

    >>> replaced(f"a\\n{BEGIN}\\nold\\n{END}\\nb", "new")
    'a\\n<!-- numbers:begin -->\\nnew\\n<!-- numbers:end -->\\nb'
    """
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise DataError(
            f"the file must hold {begin} and, after it, {end}, once each; put them where the numbers belong"
        )
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def _recoveries(report: str) -> list[list[str]]:
    """Return, for each world of a drift report that has recoveries, both measures of per-user decay and its rival."""
    rows = []
    worlds = report.partition("## Worlds with known truth")[2].partition("## Real streams")[0]
    for section in re.split("^### ", worlds, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        head, *cells = list(_first_table(body[max(body.find("| arm | recovery |"), 0) :].splitlines())) or [[]]
        arms = {row[0]: dict(zip(head, row, strict=True)) for row in cells}
        if "recovery" in head and {"per_user", "global"} <= arms.keys():
            both = [arms[arm][measure] for measure in ("recovery", "to the level") for arm in ("per_user", "global")]
            rows.append([title.strip(), *both])
    return rows


def _sections(text: str, mark: str) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Yield title, body and the rows of the first table, by column, of sections whose table has `METRIC`."""
    for section in re.split(f"^{mark}", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        head, *rows = list(_first_table(body.splitlines())) or [[]]
        if METRIC in head:
            yield title.strip(), body, [dict(zip(head, row, strict=True)) for row in rows[1:]]


def _first_table(lines: Sequence[str]) -> Iterable[list[str]]:
    """Yield the cells of the first Markdown table, header and rule included."""
    inside = False
    for line in lines:
        if line.startswith("|"):
            inside = True
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        elif inside:
            return


def _entry(row: Mapping[str, str], column: str) -> tuple[str, str]:
    """Return a model's name and number; marks of a capped training and of a fallback belong to the number."""
    name, _, mark = row["model"].partition(" ")
    value = row[column]
    if any(cell.startswith("failed") for cell in row.values()):
        return name, "not run"
    fallback = "°" if column == COLD and row.get(FALLBACK, "nobody") != "nobody" else ""
    return name, f"{value}{fallback} {mark}".strip()


if __name__ == "__main__":
    raise SystemExit(main())
