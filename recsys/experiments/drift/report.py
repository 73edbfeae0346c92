"""The report of a benchmark of drift: `drift.json` as tables and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.evaluation.significance import LEVEL
from recsys.experiments.drift.constants import constants
from recsys.experiments.drift.pictures import draw_days, draw_half_lives, draw_pairs
from recsys.types import DAY, HOUR

REPORT = "report.md"
WEIGHED = (
    "NDCG@10 and HR@10 are means over users, which is what the differences and their tests weigh; over questions users "
    "with many events count more, and a difference can have the other sign."
)


def write_report(content: Mapping[str, Any], out: Path) -> Path:
    """Write `report.md` and its pictures, from the content of `drift.json`, into a directory; return its path."""
    out.mkdir(parents=True, exist_ok=True)
    bases: Mapping[str, Any] = content["bases"]
    lines = [
        f"# Drift on {content['dataset']}",
        "",
        f"{content['events']:,} events, clock {content['clock']}, fingerprint `{content['fingerprint'][:16]}`. "
        f"Tuned on events from {content['boundaries']['validation']} on, reported on those from "
        f"{content['boundaries']['test']} on. All items are ranked, used ones masked.",
        "",
        *questions_text(content["questions"]),
        *_refused(content["refused"], content["dataset"]),
        *([] if content["questions"]["refusals"] else _verdict(bases)),
    ]
    if any(entry["paired"] for entry in bases.values()):
        draw_pairs(out / "paired.png", bases)
        lines += ["![per_user against each rival](paired.png)", ""]
    for base, entry in bases.items():
        lines += [f"## {base}", "", *_arms(entry["arms"]), *_pairs(entry["paired"]), *_strata(entry["strata"])]
        lines += histories_text(entry["histories"])
        lines += visits_text(entry["arms"])
        days = {arm: values["by_days"] for arm, values in entry["arms"].items() if values["by_days"]}
        if days:
            draw_days(out / f"days_{base}.png", days, f"{content['dataset']}, {base}")
            lines += [*_days(days), f"![NDCG@10 by days since training](days_{base}.png)", ""]
    beliefs = {base: entry["half_lives"] for base, entry in bases.items() if "half_lives" in entry}
    if beliefs:
        draw_half_lives(out / "half_lives.png", beliefs)
        lines += ["## Half-lives", "", *_beliefs(beliefs), "![Half-lives of the users](half_lives.png)", ""]
    lines += ["## Constants", "", *_constants(), *_provenance(content)]
    path = out / REPORT
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table, with an empty one after it.

    >>> table(["arm", "n"], [["none", 3]])
    ['| arm | n |', '|---|---|', '| none | 3 |', '']
    """
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body, ""]


def number(value: float | None, digits: int = 4) -> str:
    """Return a number, or a dash where it is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


_ALL_NEW = "all its new items are relevant, and what lies strictly before it is visible."
ASKED = {
    "session": f"Asked once at the first event of each session, which a pause of {{pause:g}} hours ends: {_ALL_NEW}",
    "day": f"Asked once at the first event of each day (UTC): {_ALL_NEW}",
    "event": "Asked before each event, with all that is strictly earlier visible.",
}
"""When the question is asked, in words; `pause` is in hours."""


def questions_text(questions: Mapping[str, Any]) -> list[str]:
    """Return when the questions were asked, of whom, and why they say nothing about taste, if so."""
    lines = [ASKED[questions["ask"]].format(pause=questions["pause"] / HOUR)]
    if questions["within_hour"] is not None:
        lines.append(
            f"{questions['within_hour']:.0%} of the questions come within an hour of the last visible event; the "
            f"median gap is {duration(questions['median_gap'])}."
        )
    spans = ", ".join(f"{name} {count:,}" for name, count in questions["users_per_span"].items())
    whose = "Users who came back (a day or more after their first event)" if questions["came_back"] else "Users"
    lines += [f"{whose} by the time from first to last event: {spans}.", ""]
    for reason in questions["refusals"]:
        lines += [f"**No claim about taste.** {reason}", ""]
    return lines


def duration(seconds: float) -> str:
    """Return a length of time in its largest common unit.

    >>> duration(9), duration(5400), duration(3 * 86_400)
    ('9 seconds', '1.5 hours', '3 days')
    """
    unit, name = next(
        (unit, name)
        for unit, name in ((DAY, "days"), (HOUR, "hours"), (60, "minutes"), (1, "seconds"))
        if seconds >= unit or unit == 1
    )
    return f"{seconds / unit:.3g} {name}"


def _refused(refused: Mapping[str, str], dataset: str) -> list[str]:
    return [line for base, reason in refused.items() for line in (f"**{base} refuses {dataset}**: {reason}.", "")]


def _verdict(bases: Mapping[str, Any]) -> list[str]:
    """Return in words which arms `per_user` is better or worse than, or not different from."""
    rivals_by_verdict: dict[str, list[str]] = {"better than": [], "worse than": [], "not told apart from": []}
    for base, entry in bases.items():
        for name, pair in entry["paired"].items():
            word = {1: "better than", -1: "worse than", 0: "not told apart from"}[pair["established"]]
            rivals_by_verdict[word].append(f"{name.removeprefix('per_user-')} ({base})")
    if not any(rivals_by_verdict.values()):
        return []
    lines = [f"- per_user is {word}: {', '.join(rivals) or 'none'}." for word, rivals in rivals_by_verdict.items()]
    criterion = (
        f"an interval without 0 and, on its side, p below {LEVEL} (Wilcoxon, Holm over all pairs of this report)"
    )
    return [*lines, f"- Told apart: {criterion}.", ""]


def _arms(arms: Mapping[str, Any]) -> list[str]:
    means = ["NDCG@10", "HR@10", "NDCG@10 over questions", "HR@10 over questions"]
    head = ["arm", "choice", *means, "questions", "users", "tuning s", "replay s", "fits", "bytes/user"]
    rows = []
    for arm, entry in arms.items():
        seconds = {name: value for name, value in entry["seconds"].items() if name not in ("fit", "tuning")}
        values = [part[name] for part in (entry["over_users"], entry) for name in ("ndcg@10", "hr@10")]
        means = [*map(number, values), f"{entry['n']:,}", f"{entry['users']:,}"]
        cost = [number(entry["seconds"]["tuning"], 1), number(sum(seconds.values()), 1)]
        rows.append([arm, entry["choice"], *means, *cost, entry["fits"], number(entry["bytes_per_user"], 0)])
    return [*table(head, rows), f"{WEIGHED} Items unknown to the model are misses.", ""]


def _pairs(paired: Mapping[str, Any]) -> list[str]:
    if not paired:
        return []
    head = ["NDCG@10, mean over users", "difference", "relative", "95% interval", "p", "p (Holm)", "users"]
    rows = [
        [
            name.replace("-", " − "),
            f"{pair['diff']:+.4f}",
            "–" if pair["relative"] is None else f"{pair['relative']:+.1%}",
            f"{pair['low']:+.4f} .. {pair['high']:+.4f}",
            f"{pair['p']:.2g}",
            f"{pair['p_holm']:.2g}",
            f"{pair['n']:,}",
        ]
        for name, pair in paired.items()
    ]
    return table(head, rows)


def _strata(strata: Sequence[Mapping[str, Any]]) -> list[str]:
    if not strata:
        return []
    arms = list(strata[0]["arms"])
    rows = [[row["measured_drift"], row["users"], *(number(row["arms"][arm]) for arm in arms)] for row in strata]
    note = "NDCG@10, mean over users, by terciles of measured drift; undefined: too few items to measure it."
    return [*table(["measured drift", "users", *arms], rows), note, ""]


def histories_text(histories: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return NDCG@10 by the length of the visible history."""
    if not histories:
        return []
    arms = list(histories[0]["arms"])
    rows = [
        [
            f"{row['least']} and more" if row["below"] is None else f"{row['least']} to {row['below'] - 1}",
            f"{row['users']:,}",
            *(number(row["arms"][arm]) for arm in arms),
        ]
        for row in histories
    ]
    return table(["visible events", "users", *arms], rows)


def _with_ends(values: Mapping[str, Any], name: str) -> str:
    """Return a share and its interval, in per cent."""
    return f"{values[name]:+.1%} [{values[f'{name}_low']:+.0%}, {values[f'{name}_high']:+.0%}]"


def visits_text(arms: Mapping[str, Any]) -> list[str]:
    """Return what a guest, one event, a new taste and a long absence do to the lists."""
    measured = {arm: entry["visits"] for arm, entry in arms.items() if entry.get("visits") is not None}
    if not measured:
        return []
    rows = [
        [
            arm,
            number(one["guest_kept"], 1),
            "–" if one["guest_cost"] is None else _with_ends(one, "guest_cost"),
            number(one["event_kept"], 1),
            number(one["sitting_changed"], 1),
            number(one["taste_changed"], 1),
            number(one["year_kept"], 1),
        ]
        for arm, one in measured.items()
    ]
    first = next(iter(measured.values()))
    head = ["titles of ten", "kept, a day after a guest", "cost of the guest, NDCG@10", "kept after one event"]
    head += [
        "changed at once by ten events of a new taste",
        "changed by ten days of it",
        "long-term list back, a year after the guest",
    ]
    note = (
        f"At the first question of the {first['users']} users whose histories are nearest to 100 events (median "
        f"{first['events']:g}). The guest (five of each user in turn) and the new taste are ten events of another "
        "user, drawn by lot: in one session, or one a day for ten days. On a clock of periods nobody is a guest for a "
        "day. The long-term list is the one in which every event counts in full."
    )
    return [*table(head, rows), note, ""]


def _days(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    rows = [[arm, *(number(row["ndcg@10"]) for row in rows)] for arm, rows in arms.items()]
    edges = [f"{row['days']:g}+ days" for row in next(iter(arms.values()))]
    return table(["NDCG@10 since training", *edges], rows)


def _beliefs(beliefs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = next(iter(beliefs.values()))["names"]
    rows = [[base, *(number(value, 3) for value in entry["mean_belief"])] for base, entry in beliefs.items()]
    lines = table(["mean belief", *names], rows)
    levels = list(next(iter(next(iter(beliefs.values()))["medians"].values()))["quantiles"])
    medians = [
        [base, clock, *("never" if value is None else f"{value:g}" for value in median["quantiles"].values())]
        for base, entry in beliefs.items()
        for clock, median in entry["medians"].items()
    ]
    head = ["median half-life", "clock", *(f"{float(level):.0%} of users" for level in levels)]
    return [*lines, *table(head, medians)]


def constants_table() -> tuple[list[str], list[list[str]], str]:
    """Return the columns and rows of the table of constants, and a sentence about it."""
    rows = [
        [one.name, one.value, one.chosen_on + (" (**also reported**)" if one.reported else "")] for one in constants()
    ]
    note = (
        "Those marked were first chosen with sight of test questions that reports show, too: what they gain there is "
        "no independent evidence for per-user decay."
    )
    return ["constant", "value", "chosen on"], rows, note


def _constants() -> list[str]:
    head, rows, note = constants_table()
    return [*table(head, rows), note, ""]


def _provenance(content: Mapping[str, Any]) -> list[str]:
    settings = ", ".join(f"{name} {value}" for name, value in content["settings"].items() if value is not None)
    versions = ", ".join(f"{name} {value}" for name, value in content["versions"].items())
    commands = [command for command in content["commands"] if command]
    block = ["```bash", *commands, "```", ""] if commands else []
    return ["## How this was made", "", *block, f"Settings: {settings}.", "", f"Versions: {versions}."]
