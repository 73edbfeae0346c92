"""The report of the benchmark of personas: bars, figures, read-outs, and ten users."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.personas.people import Person, shown
from benchmarks.personas.subject import Figures
from benchmarks.personas.worlds import Planted
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, interval, method, number, percent, signed, table

JUDGEMENT = "judgement.md"
"""Written by a person who read the ten users, beside the report."""

Claims = Mapping[str, Figures]


def report(
    docstring: str | None,
    results: Mapping[str, Claims],
    worlds: Sequence[Planted],
    persons: Mapping[str, Sequence[Person]],
    out: Path,
) -> list[str]:
    """Return the paragraphs of the report."""
    parts = ["# Personas", method(docstring), facts(environment()), "## Attention in the score, or seats"]
    parts += [_read_outs(results), _verdict(results)]
    for log, claims in results.items():
        rows = [
            [f"{claim}: {name}", number(value)] for claim, figures in claims.items() for name, value in figures.items()
        ]
        parts += [f"## {log}", bars_table(bars(claims)), _lengths(claims), table(["figure", ""], rows)]
    parts += ["## Worlds with known personas", bars_table(world_bars(worlds)), _world_table(worlds)]
    for log, ten in persons.items():
        if ten:
            parts += [f"## Ten users of {log}", _reasons(ten), *map(shown, ten)]
    judged = out / JUDGEMENT
    text = (
        judged.read_text(encoding="utf-8").strip()
        if judged.exists()
        else f"Nobody has judged this run (`{JUDGEMENT}`)."
    )
    return [*parts, "## Read by a person", text]


def _read_outs(results: Mapping[str, Claims]) -> str:
    header = ["log", "read-out", "NDCG@10", "against plain scores", "interval, %", "sharpness"]
    rows = []
    for log, claims in results.items():
        seats = claims["read-out, seats"]
        rows.append([log, "EASE, plain scores", number(seats["ndcg"] / (1 + seats["relative"])), "", "", ""])
        for claim, figures in claims.items():
            if claim.startswith("read-out, "):
                between = interval(100 * figures["low"], 100 * figures["high"], 1)
                sharp = number(figures["sharpness"], 2) if "sharpness" in figures else ""
                name = claim.removeprefix("read-out, ").replace("attention", "AMP-CF: attention")
                name = "EASE, seats" if name == "seats" else name
                rows.append([log, name, number(figures["ndcg"]), percent(figures["relative"]), between, sharp])
    return table(header, rows)


def _verdict(results: Mapping[str, Claims]) -> str:
    sentences = []
    for log, claims in results.items():
        figures = claims["read-out, attention, seats"]
        change, p = figures["against seats"], figures["p"]
        verb = "loses to" if change < 0 else "gains on"
        sure = "" if p < 0.05 else ", within chance"
        sentences.append(
            f"On {log} AMP-CF {verb} the linear model with seats by {percent(abs(change))} (p {number(p, 3)}{sure})."
        )
    return " ".join(sentences)


def _reasons(ten: Sequence[Person]) -> str:
    kinds = [kind for person in ten for kind in person.kinds]
    sets = sorted(size for person in ten for size in person.sets)
    counted = ", ".join(f"{kind} {kinds.count(kind)}" for kind in sorted(set(kinds)))
    middle = f"; the median smallest set has {sets[len(sets) // 2]} events" if sets else ""
    return f"Kinds of reasons of {len(kinds)} items: {counted}{middle}."


def _lengths(claims: Claims) -> str:
    """Return the excess of the taste distance by the length of histories, and what bounds it."""
    prefix = "excess, "
    by_length = {claim.removeprefix(prefix): each for claim, each in claims.items() if claim.startswith(prefix)}
    columns = ["plain", "seats", "nearest", "own next events"]
    rows = [
        [length, number(own["questions"], 0), *(signed(own[prefix + name]) for name in columns)]
        for length, own in by_length.items()
    ]
    lost = percent(claims["free"]["ndcg, nearest"], 0)
    text = (
        "Excess of the taste distance by length of history. `nearest` is the list of the same candidates nearest to "
        f"the history, at {lost} NDCG; a list nearer than the own next events is nearer than the user is:"
    )
    return text + "\n\n" + table(["history", "questions", *columns], rows)


def bars(claims: Claims) -> list[list[str]]:
    """Return the bars of one log."""
    found, names, owned = claims["personas, found"], claims["names, own"], claims["owned"]
    free, controlled, stable, cost = (claims[name] for name in ("free", "controlled", "stable, refitted", "cost"))
    change = f"{percent(free['relative'])} {interval(100 * free['low'], 100 * free['high'], 1)}"
    single, event = (
        cost[name] * 500 / max(500.0, cost["events"]) for name in ("milliseconds", "milliseconds, an event")
    )
    event_names = claims["names, after an event"]["the same"]
    ratio = free["systematic, seats"] / free["systematic, plain"]
    bound = f"own next events {signed(free['excess, own next events'])}"
    excess = f"{signed(free['excess, seats'])} (plain {signed(free['excess, plain'])}, {bound})"
    long = f"{number(found['effective'], 2)} ({number(found['users of 30 events'], 0)} of them)"
    rows = [
        bar("cosine between personas", "at most .20", number(found["cosine"], 2), found["cosine"] <= 0.2),
        bar("effective number, users with 30 events", "at least 3", long, _least(found["effective"], 3)),
        *(_planted(name, value) for name, value in claims["planted"].items()),
        *_names(names, claims["names, dictionary"], claims["names, another persona's"]),
        bar("names after an event, users with 30", "Jaccard .85", number(event_names, 2), _least(event_names, 0.85)),
        bar("names after refitting on 95%", "Jaccard .85", number(stable["names"], 2), stable["names"] >= 0.85),
        bar("same owner after it", "at least .85", number(stable["owners"], 2), stable["owners"] >= 0.85),
        bar("owner's share of evidence", "at least .60", number(owned["evidence"], 2), owned["evidence"] >= 0.6),
        bar("NDCG@10 of seats, lower end", "at least -.5%", change, free["low"] >= -0.005),
        bar("excess of taste distance", "at most 0", excess, free["excess, seats"] <= 0),
        bar("systematic distortion", "at most .5 of plain", number(ratio, 2), ratio <= 0.5),
        bar("items of a muted persona", "0", number(controlled["muted items"], 0), controlled["muted items"] == 0),
        bar("its evidence", "0", number(controlled["muted evidence"], 0), controlled["muted evidence"] == 0),
        bar("seats of a boosted persona", "1.8 times", number(controlled["boost"], 2), controlled["boost"] >= 1.8),
        bar("a user of 500 events, from the history alone", "at most 2 ms", number(single, 1), single <= 2),
        bar("the same with one event more", "at most 2 ms", number(event, 1), event <= 2),
    ]
    for kind in ("shuffled", "identical"):
        placebo = claims[f"personas, {kind}"]
        fails = placebo["cosine"] > 0.2 and placebo["separation"] < found["separation"] / 2
        figures = f"cosine {number(placebo['cosine'], 2)}, separation {number(placebo['separation'], 2)}"
        rows.append(bar(f"placebo, {kind}", "fails", figures, fails))
    return rows


def _names(own: Figures, dictionary: Figures, placebo: Figures) -> list[list[str]]:
    """Return the bars of names: of those that users read, beside the dictionary's; another persona's must fail."""
    claims = (
        ("lift of names of labels, median", "lift", 2.5),
        ("own events of which the labels are true", "events", 0.85),
        ("recommended items of which they are", "items", 0.85),
        ("names that fit their own persona best", "told apart", 0.9),
    )
    rows = []
    for claim, figure, least in claims:
        measured = f"{number(own[figure], 2)} (the dictionary's {number(dictionary[figure], 2)})"
        rows.append(bar(claim, f"at least {number(least, 2)}", measured, _least(own[figure], least)))
    wrong = f"{number(placebo['told apart'], 2)} fit best"
    return [*rows, bar("placebo, names of another persona", "fails", wrong, placebo["told apart"] < 0.9 / 2)]


def _planted(name: str, value: float) -> list[str]:
    return bar(
        f"planted tastes: {name}",
        "at least .90" if name.startswith("one") else "",
        number(value, 2),
        value >= 0.9 if name.startswith("one") else None,
    )


def _least(value: float, least: float) -> bool | None:
    return None if math.isnan(value) else value >= least


def world_bars(worlds: Sequence[Planted]) -> list[list[str]]:
    """Return the bars of the worlds, on their means."""
    mean = {name: sum(getattr(world, name) for world in worlds) / len(worlds) for name in asdict(worlds[0])}
    claims = (
        ("adjusted Rand of events", "found", 0.37),
        ("number of personas right within one", "within_one", 0.7),
        ("one persona for users of one block", "one_taste", 0.9),
    )
    rows = [
        bar(claim, f"at least {number(least, 2)}", number(mean[name], 2), mean[name] >= least)
        for claim, name, least in claims
    ]
    best, ours = number(mean["limit"], 2), number(mean["one_persona"], 2)
    wrong = f"{number(mean['mistaken'], 2)} of two, {number(mean['limit_mistaken'], 2)}"
    claim = "one persona for users of one, 35% of whose events are of other genres"
    return [
        *rows,
        bar(claim, f"at least .90; the world allows {best}", f"{ours} ({wrong})", mean["one_persona"] >= 0.9),
    ]


def _world_table(worlds: Sequence[Planted]) -> str:
    rows = [[str(seed), *(number(value, 3) for value in asdict(world).values())] for seed, world in enumerate(worlds)]
    return table(["seed", *(name.replace("_", " ") for name in asdict(worlds[0]))], rows)
