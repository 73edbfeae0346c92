"""The report of the benchmark of policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.policy.sizes import Times
from benchmarks.policy.trials import Fuzz, Planted
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, interval, method, number, p_value, percent, table

_LAMINAR, _CROSSING_HALF, _CROSSING = 3.0, 12.0, 60.0
"""Milliseconds."""


def report(measured: Mapping[str, Any], log: str, docstring: str | None) -> list[str]:
    """Return the paragraphs of the report.

    Args:
        measured: results of the trials by name.
        log: of the costs.
        docstring: of the command, which describes the method.
    """
    made, found = Fuzz.of(measured["fuzz"]), Planted(**measured["planted"])
    timed = [Times(**each) for each in measured["times"]]
    compared, unlike, gap = (
        sum(each[0] for each in measured["real_size"]),
        sum(each[1] for each in measured["real_size"]),
        max(each[2] for each in measured["real_size"]),
    )
    (small, other), (changes, untrue) = measured["enumerated"], measured["explained"]
    bars = [
        bar("lists that break a binding rule", f"0 of {made.requests:,}", str(made.broken), made.broken == 0),
        bar("lists with a gap above .5%", "at most .1%", _share(made), made.gap <= 0.005),
        bar("optima unlike enumeration", f"0 of {small:,}", str(other), other == 0),
        bar("optima of real size unlike the program", f"0 of {compared:,}", str(unlike), unlike == 0),
        bar("planted conflicts found", f"{found.cases:,}", f"{found.found:,}", found.found == found.cases),
        bar("of these with the minimal set", f"{found.cases:,}", f"{found.minimal:,}", found.minimal == found.cases),
        bar("consistent policies refused", f"0 of {found.cases:,}", str(found.refused), found.refused == 0),
        bar("changes whose rules did not make them", f"0 of {changes:,}", str(untrue), untrue == 0),
        *_time_bars(timed),
    ]
    parts = ["# Policies", "## What lost", _lost(timed, measured["costs"], log)]
    parts += ["## Bars", bars_table(bars), method(docstring), facts(environment())]
    parts += [
        f"Rules gave way in {made.relaxed:,} of {made.requests:,} requests, {made.short:,} lists are short, and "
        f"{made.unproven:,} were not proven to be the best. The largest gap of lists of real size is {number(gap, 6)}."
    ]
    parts += ["## Time, and simpler ways", _times(timed)]
    if measured["costs"]:
        parts += ["## Cost", f"On {log}, of each rule by itself against plain lists:", _costs(measured["costs"])]
    return parts


def _share(made: Fuzz) -> str:
    return f"{made.unproven / made.requests:.2%} unproven, largest gap {number(made.gap, 6)}"


def _time_bars(timed: list[Times]) -> list[list[str]]:
    laminar, crossing = timed[0], timed[1:]
    rows = []
    for claim, most, wall, processor in (
        ("disjoint groups, 99th percentile", _LAMINAR, laminar.high, laminar.processor_high),
        (
            "crossing groups, median",
            _CROSSING_HALF,
            max(each.median for each in crossing),
            max(each.processor_median for each in crossing),
        ),
        (
            "crossing groups, 99th percentile",
            _CROSSING,
            max(each.high for each in crossing),
            max(each.processor_high for each in crossing),
        ),
    ):
        text = f"{wall:.1f} ms ({processor:.1f} of the processor)"
        rows.append(bar(claim, f"{most:g} ms", text, wall <= most))
    return rows


def _lost(timed: list[Times], costs: list[dict[str, Any]], log: str) -> str:
    lines = [
        f"- A filter afterwards leaves {each.filtered:,} of {each.compared:,} lists of {each.groups} short or against "
        f"a rule; the naive greedy finds no list for {each.naive_missed:,} and loses up to "
        f"{percent(each.naive_loss)[1:]} of the score elsewhere."
        for each in timed
    ]
    lines += [
        f"- {_named(each)} costs {percent(each['change'] / each['ndcg'])[1:]} of NDCG@10 on {log}."
        for each in costs
        if each["high"] < 0
    ]
    lines += [f"- The slowest in a hundred {each.groups} takes {each.high:.0f} ms." for each in timed if each.high > 60]
    return "\n".join(lines)


def _named(cost: Mapping[str, Any]) -> str:
    return "The whole policy" if cost["layer"] == "all" else f"`{'`, `'.join(cost['rules'])}` ({cost['layer']})"


def _times(timed: list[Times]) -> str:
    header = [
        *("groups", "median ms", "99% ms", "processor median", "processor 99%", "program over all items, ms", "gap"),
        *("filter: broken lists", "greedy: no list", "greedy: largest loss"),
    ]
    rows = [
        [
            each.groups,
            *(f"{value:.1f}" for value in (each.median, each.high, each.processor_median, each.processor_high)),
            f"{each.program:.0f}",
            number(each.gap, 6),
            f"{each.filtered:,} of {each.compared:,}",
            f"{each.naive_missed:,} of {each.compared:,}",
            percent(-each.naive_loss),
        ]
        for each in timed
    ]
    return table(header, rows)


def _costs(costs: list[dict[str, Any]]) -> str:
    header = ["rule", "layer", "lists changed", "score", "NDCG@10", "change", "95%", "p (Holm)"]
    rows = [
        [
            "all of them" if each["layer"] == "all" else ", ".join(each["rules"]),
            each["layer"],
            f"{each['changed']:.0%}",
            percent(each["score"]),
            number(each["ndcg"] + each["change"]),
            percent(each["change"] / each["ndcg"]),
            interval(each["low"] / each["ndcg"], each["high"] / each["ndcg"], 3),
            p_value(each["p"]),
        ]
        for each in costs
    ]
    return table(header, rows)
