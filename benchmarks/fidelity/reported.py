"""The report of the benchmark of fidelity: what lost, the reasons, evidence by log and configuration, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd

from benchmarks.fidelity import reasons, smaller
from benchmarks.tools.differences import Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, interval, number, p_value, signed, table, write_report, write_result
from recsys.explanations.fidelity import METRICS, ORIENTATION, FidelityReport
from recsys.pictures import draw_bars

OWN: Final = "model"
_PICTURES: Final = {"cdcg": "CDCG (lower is better)", "ins": "INS (higher is better)"}


@final
@dataclass(frozen=True)
class Measured:
    """What was measured of a configuration on a log, `where`."""

    where: str
    fidelity: FidelityReport
    reasons: reasons.Reasons
    smaller: smaller.Smaller


def write(out: Path, how: str, measured: Sequence[Measured], sizes: Mapping[str, str]) -> Path:
    """Write the report, every sentence and table of which is made from the numbers; return its path.

    Args:
        out: folder.
        how: the method, in words.
        measured: by configuration and log.
        sizes: of the logs, in words.
    """
    pairs = differences({one.where: one.fidelity for one in measured})
    write_result(
        out, {"environment": environment(), "logs": sizes, "measured": [_figures(one, pairs) for one in measured]}
    )
    parts = ["# Fidelity of evidence", "## What lost", what_lost(pairs), _sets_that_lost(measured)]
    parts += ["## How it was measured", facts(environment() | dict(sizes)), how]
    parts += ["## Reasons", table(["", *reasons.HEADER], [[one.where, *one.reasons.cells] for one in measured])]
    parts += [_because(measured), table(["", *smaller.HEADER], [[one.where, *one.smaller.cells] for one in measured])]
    parts += ["## Evidence", *(f"![{words}]({_draw(out, metric, measured)})" for metric, words in _PICTURES.items())]
    for one in measured:
        report = one.fidelity
        parts += [f"### {one.where}", f"{report.users} users of {report.eligible:,} with enough history."]
        parts += [_means(report), _tests([pair for pair in pairs if pair.where == one.where])]
    return write_report(out, parts)


def differences(reports: Mapping[str, FidelityReport]) -> list[Difference]:
    """Return the model's evidence minus every other, positive where the model's is better: one family of tests."""
    pairs = []
    for where, report in reports.items():
        for other in report.per_user["method"].unique():
            for metric in METRICS if other != OWN else ():
                ours, theirs = (
                    pd.DataFrame({"user_id": np.arange(len(values)), metric: values})
                    for values in report.paired(metric, OWN, str(other))
                )
                pairs.append(Difference.between(where, OWN, ours, str(other), theirs, metric))
    return corrected(pairs)


def what_lost(pairs: Sequence[Difference]) -> str:
    """Return a list of the comparisons that the model's evidence loses, with its gain, and of those it does not win."""
    lines = []
    for outcome, words in (("lost", "is worse than"), ("tie", "is not told apart from")):
        by_place: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.outcome == outcome:
                by_how_much = f" ({signed(pair.diff)})" if outcome == "lost" else ""
                by_place.setdefault(pair.where, []).append(f"{pair.other} by {pair.metric.upper()}{by_how_much}")
        texts = [f"    - {where}: {', '.join(names)}." for where, names in by_place.items()]
        lines += [f"- The model's evidence {words}{':' if texts else ': none.'}", *texts]
    return "\n".join(lines)


def _sets_that_lost(measured: Sequence[Measured]) -> str:
    because, dropped = _counts(measured)
    tried, small = [one.smaller for one in measured], smaller.EXHAUSTIVE
    found, without = (sum(getattr(one, name) for one in tried) for name in ("with_set", "without_set"))
    fewer, missed = (sum(getattr(one, name) for one in tried) for name in ("smaller", "missed"))
    return (
        f'- Items with a "because" that stay without the events that it names: {because - dropped} of {because:,}.\n'
        f"- Of {found:,} items with a set, all sets of at most {small} events being tried, {fewer} leave without fewer "
        f"events, too; of {without:,} without a set {missed} have one of at most {small} that the search misses."
    )


def _because(measured: Sequence[Measured]) -> str:
    because, dropped = _counts(measured)
    if not because:
        return 'No item has a "because".'
    sizes = [size for one in measured for size in one.reasons.sizes]
    return (
        f'Of {because:,} items with a "because", {dropped:,} ({dropped / because:.1%}) leave the list without the '
        f"events that it names, the list being made again by the model; the median set has {np.median(sizes):g}, the "
        f'largest {max(sizes)}. "Its evidence" is the mean share of the positive evidence that the set is. Below: '
        f"items for which all sets of at most {smaller.EXHAUSTIVE} events were tried, of those with few enough events."
    )


def _counts(measured: Sequence[Measured]) -> tuple[int, int]:
    """Return the items with a "because", and those that leave without its events."""
    return sum(len(one.reasons.sizes) for one in measured), sum(one.reasons.dropped for one in measured)


def _draw(out: Path, metric: str, measured: Sequence[Measured]) -> str:
    """Draw the mean of a metric of each kind of evidence, with a 95% interval over users; return the file's name."""
    series: dict[str, list[tuple[float, float]]] = {}
    for one in measured:
        table = one.fidelity.per_user.pivot_table(index="query", columns="method", values=metric, sort=False)
        for name in table:
            error = 1.96 * float(table[name].std()) / len(table) ** 0.5
            series.setdefault(str(name), []).append((float(table[name].mean()), error))
    groups = [one.where.replace(", ", "\n") for one in measured]
    return draw_bars(out / f"{metric}.png", groups, series, _PICTURES[metric]).name


def _figures(one: Measured, pairs: Sequence[Difference]) -> dict[str, object]:
    own = [pair for pair in pairs if pair.where == one.where]
    return {
        "where": one.where,
        "users": one.fidelity.users,
        "means": one.fidelity.summary.to_dict("index"),
        "differences": [asdict(pair) | {"outcome": pair.outcome} for pair in own],
        "reasons": {
            "users": one.reasons.users,
            "items": one.reasons.items,
            "kinds": one.reasons.kinds,
            "because": len(one.reasons.sizes),
            "dropped": one.reasons.dropped,
            "median set": float(np.median(one.reasons.sizes)) if one.reasons.sizes else None,
        },
        "all small sets": asdict(one.smaller),
    }


def _means(report: FidelityReport) -> str:
    header = ["evidence", *(f"{metric.upper()} ({ORIENTATION[metric]})" for metric in METRICS)]
    summary = report.summary
    return table(
        header, [[str(name), *(number(row[metric]) for metric in METRICS)] for name, row in summary.iterrows()]
    )


def _tests(pairs: Sequence[Difference]) -> str:
    words = {"won": "better", "lost": "**worse**", "tie": "not told apart"}
    rows = []
    for pair in pairs:
        evidence = [number(pair.diff), interval(pair.low, pair.high), p_value(pair.p_holm)]
        rows.append([pair.other, pair.metric.upper(), *evidence, words[pair.outcome]])
    return table(["model's evidence against", "metric", "gain", "95%", "p (Holm)", ""], rows)
