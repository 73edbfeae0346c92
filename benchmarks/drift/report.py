"""The report of the drift benchmark, every sentence and table of which is made from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift.bars import Scores, bars, cost_text, events, what_lost, with_interval
from benchmarks.drift.pictures import draw_kinds, draw_recovery, draw_timescales
from benchmarks.drift.results import Serving, StreamResult, together
from benchmarks.drift.world_scores import (
    EVERYBODY,
    HORIZON,
    METRICS,
    MIN_EVENTS,
    OURS,
    ArmScores,
    Pool,
    arm_scores,
    differences,
    timescales,
)
from benchmarks.drift.worlds import DETECTOR_CANDIDATES
from benchmarks.tools.differences import COLUMNS, Difference
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bars_table, facts, interval, number, p_value, signed, slug, table, write_report
from recsys.experiments.drift.names import HINDSIGHT
from recsys.experiments.drift.pictures import draw_days, draw_half_lives
from recsys.experiments.drift.report import WEIGHED, constants_table, histories_text, questions_text, visits_text
from recsys.pictures import draw_bars
from recsys.worlds.drift import Kind

OVERVIEW = "streams.png"
_MEANS = ("NDCG@10", "HR@10", "NDCG@10 over questions", "HR@10 over questions")
_OVERVIEW = ("none", "global", "window", EVERYBODY, OURS)


def write(
    out: Path,
    pools: Sequence[Pool],
    results: Sequence[StreamResult],
    serving: Sequence[Serving],
    failures: Mapping[str, str],
    candidates: int,
) -> Path:
    """Write the report and its pictures; return its path. Failures are reasons by the part that could not be run."""
    out.mkdir(parents=True, exist_ok=True)
    scores: Scores = {pool.title: {arm: arm_scores(pool, arm) for arm in pool.tables} for pool in pools}
    pairs = differences(pools)
    rows = bars(pools, scores, pairs, results, serving)
    parts = ["# Drift", facts(environment()), _method(candidates)]
    parts += [f"Not run: {name}: {reason}." for name, reason in failures.items()]
    parts += ["## What lost", "\n".join(what_lost(rows, pairs, results))]
    parts += ["## Bars", bars_table(rows)]
    parts += ["## Worlds with known truth"] if pools else []
    for pool in pools:
        parts += _world(out, pool, scores[pool.title], [pair for pair in pairs if pair.where == pool.title])
    parts += ["## Real streams", *_overview(out, results)] if results else []
    parts += _gaps(results) if results else []
    for result in results:
        parts += _stream(out, result)
    parts += [*_together(results), *_cost(results, serving), *_constants()]
    return write_report(out, parts)


def _method(candidates: int) -> str:
    return (
        "Arms: `none`, no decay; `global`, one rule for everybody, half-lives on both clocks and a floor, tuned; "
        f"`{OURS}`, ours and that of the shipped configurations: a mixture of such rules and, where that earns "
        "something on validation (its choice says so), what is a user's own, how far their visits go beyond "
        "everybody's, and their changes of taste; "
        f"`{EVERYBODY}`, the same mixture for everybody, learned from the log without anything of a user's own and "
        f"without caution; `oracle`, which knows who changed when; `{HINDSIGHT}`, the rule of the family of `global` "
        "that is best on the reported questions themselves: what a single rule could reach, and no rival. "
        f"Every arm may try up to {candidates} candidates (fewer where it has fewer; in worlds a detector up to "
        f"{DETECTOR_CANDIDATES}) and takes the one with the best prequential NDCG@10 on validation, a mean over "
        "users.\n\n"
        "Worlds: users are split in thirds, to learn the items, to tune, to report; all replays begin with each "
        "user's first event; the users of all seeds are pooled, for each seed is another population. "
        "Streams: items from the first 60% of time (70% for "
        "the report), tuning on the next 10%, the report on the rest; models are fitted on all users, and where a plan "
        "says so some of the users, drawn by lot and the same for all arms, are asked.\n\n"
        "Questions are asked as people come back: once at the first event of each session, which a pause of 12 hours "
        "ends. All its new items are relevant, what lies strictly before it is visible, and a rule learns it "
        "once. "
        f"All items are ranked, used ones masked. {WEIGHED} Intervals are "
        "95% over resamples of the users; p by Wilcoxon over users, corrected (Holm) over all worlds, and in each "
        "stream over its pairs.\n\n"
        "A placebo must miss its bar, else the bar says nothing: an arm without what the bar is about, two arms "
        "exchanged for every user by lot, or timescales dealt out to other users. Times and bytes need none."
    )


def _constants() -> list[str]:
    head, rows, note = constants_table()
    return ["## Constants", table(head, rows), note]


def _world(out: Path, pool: Pool, scores: Mapping[str, ArmScores], pairs: Sequence[Difference]) -> list[str]:
    file = slug(pool.title)
    made = {
        "world": f"{pool.world}, clock {pool.clock}, seeds {', '.join(map(str, pool.seeds))}",
        "test": f"{int(pool.tested.sum()):,} users, {len(pool.tables[OURS]):,} questions",
        "kinds": ", ".join(f"{int(pool.users(k).sum())} {k.name.lower()}" for k in Kind if pool.users(k).any()),
    }
    parts = [f"### {pool.title}", facts(made), _means(pool, scores)]
    if pool.users(Kind.ABRUPT).any():
        parts += [_drift_scores(scores), _drift_text(pool.oracle), f"![recovery](recovery_{file}.png)"]
        draw_recovery(out / f"recovery_{file}.png", pool)
    alarms = [(arm, s.detection) for arm, s in scores.items() if s.detection is not None and s.detection.changes]
    if alarms:
        head = ["detector", "changes", "noticed", "delay, events", "median", "false alarms", "per 1,000 events"]
        rows = []
        for arm, d in alarms:
            noticed = [f"{100 * d.detected:.0f}%", number(d.delay, 1), number(d.delay_median, 0)]
            rows.append([arm, str(d.changes), *noticed, f"{d.false_alarms:,}", number(d.false_per_1000, 1)])
        parts += [table(head, rows), f"Of abrupt and stable users; an alarm within {HORIZON} events notices a change."]
    if not np.isfinite(pool.pooled(OURS, "learned")).any():
        parts += ["Users' own part earned nothing on validation: nothing was learned of them."]
    elif pool.users(Kind.RENEWAL).any():
        score = timescales(pool)
        draw_timescales(out / f"timescales_{file}.png", pool)
        parts += [
            f"Learned against true timescale, users with at least {MIN_EVENTS} events: Spearman "
            f"{with_interval(score, 3)}, {score.users} users.",
            f"![learned against true half-life](timescales_{file}.png)",
        ]
    elif sum(bool(pool.users(kind).any()) for kind in Kind) > 1:
        draw_kinds(out / f"kinds_{file}.png", pool)
        parts += [f"![learned half-lives by kind](kinds_{file}.png)"]
    return [*parts, _pairs(pairs)]


def _means(pool: Pool, scores: Mapping[str, ArmScores]) -> str:
    kinds = list(scores[OURS].by_kind)
    rows = []
    for arm, s in scores.items():
        means = (*(part[name] for part in (s.means, s.over_questions) for name in METRICS), *s.by_kind.values())
        cost = [number(s.seconds_per_1000, 2), number(s.bytes_per_user, 0)]
        rows.append([arm, pool.choices(arm), *map(number, means), *cost])
    head = ["arm", "choice", *_MEANS, *(f"{kind} users" for kind in kinds), "s per 1,000", "bytes/user"]
    return table(head, rows)


def _drift_scores(scores: Mapping[str, ArmScores]) -> str:
    rows = []
    for arm, s in scores.items():
        recovery = [events(score) for score in (s.recovery, s.recovery_level, s.recovery_all)]
        costs = [cost_text(cost) for cost in (s.stable_cost, s.burst_cost, s.burst_cost_after)]
        rows.append([arm, *recovery, with_interval(s.area, 2), *costs])
    head = ["arm", "recovery", "to the level", "with gradual", "degradation area", "stable cost", "burst cost", "later"]
    return table(head, rows)


def _drift_text(oracle: str) -> str:
    return (
        f"Recovery: events after an abrupt change to 95% of the curve of `{oracle}`, the better oracle here, and to "
        "95% of the level at which it settles, which it has to reach itself first; the area is against it too. Costs "
        "are relative losses of NDCG@10 against no decay: of stable users, and of users after a guest has left "
        "(later: from the second event on, as the first is needed to notice). "
        "Formulas: `recsys.evaluation.drift.scores`."
    )


def _pairs(pairs: Sequence[Difference]) -> str:
    rows = [[f"{OURS} - {pair.other}", *pair.columns()] for pair in pairs]
    return table(["NDCG@10, mean over users", *COLUMNS], rows)


def _overview(out: Path, results: Sequence[StreamResult]) -> list[str]:
    """Draw what the arms gain over no decay on every stream; without intervals, which the paired tables have."""
    arms = [arm for arm in _OVERVIEW if all(arm in result.arms for result in results)]
    if "none" not in arms:
        return []
    gains = {
        arm: [(100 * (result.mean(arm) / result.mean("none") - 1), 0.0) for result in results]
        for arm in arms
        if arm != "none"
    }
    logs = [f"{result.name}\n{result.content['base']}" for result in results]
    draw_bars(out / OVERVIEW, logs, gains, "NDCG@10, % above no decay")
    return [f"![what each arm gains over no decay]({OVERVIEW})"]


def _gaps(results: Sequence[StreamResult]) -> list[str]:
    """Return the possible sources of the differences from the best global half-life."""
    rows = []
    for result in results:
        base, gap = result.content["base"], result.gap
        never = result.content["bases"][base]["half_lives"]["mean_belief"][-1]
        shares = [f"{100 * gap.unknown:.0f}%", f"{100 * gap.hit:.1f}%", f"{100 * gap.moved:.0f}%"]
        users = f"{100 * gap.better:.0f}% / {100 * gap.worse:.0f}%"
        row = [f"{result.name}, {base}", result.arms["global"]["choice"], f"{100 * never:.0f}%"]
        rows.append([*row, number(gap.visible, 0), *shares, users])
    head = ["log", "half-life for all", "belief in never", "events seen", "new items", "hits of either"]
    return [
        f"Where a gap between `{OURS}` and `global` can come from:",
        table([*head, "of these moved", "users better / worse"], rows),
        "Events seen: median over the questions. New items: questions whose item is newer than the model, which only "
        "retraining can find. A hit is moved if the two lists have it at different places, or only "
        f"one has it. Belief in never: mean over users of the belief of `{OURS}` in no decay. Where few users are "
        "better or worse off, few questions are hit, histories are short, or both read them alike; where as many are "
        "better as worse, one half-life costs some users what it gives to others.",
    ]


def _stream(out: Path, result: StreamResult) -> list[str]:
    content = result.content
    made = {
        "log": f"{result.name}, fingerprint {content['fingerprint'][:12]}, clock {content['clock']}",
        "stream": "-" if np.isnan(result.days) else f"{result.days:.0f} days",
        "settings": ", ".join(f"{name} {value}" for name, value in content["settings"].items() if value is not None),
    }
    parts = [f"### {result.name}", facts(made), "\n".join(questions_text(content["questions"])).strip()]
    parts += [f"Refused by {base}: {reason}" for base, reason in content["refused"].items()]
    for base, entry in content["bases"].items():
        parts += [_arms(base, entry), _strata(entry["strata"])]
        parts += [
            "\n".join(lines).strip() for lines in (histories_text(entry["histories"]), visits_text(entry["arms"]))
        ]
    days = {arm: entry["by_days"] for arm, entry in result.arms.items() if entry["by_days"]}
    if days:
        name = f"days_{slug(result.name)}.png"
        draw_days(out / name, days, f"{result.name}, {content['base']}")
        edges = [f"{row['days']:g}+ days" for row in next(iter(days.values()))]
        rows = [[arm, *(number(row["ndcg@10"]) for row in values)] for arm, values in days.items()]
        parts += [table([f"NDCG@10 since training, {content['base']}", *edges], rows), f"![days]({name})"]
    beliefs = {base: entry["half_lives"] for base, entry in content["bases"].items() if "half_lives" in entry}
    if beliefs:
        name = f"half_lives_{slug(result.name)}.png"
        draw_half_lives(out / name, beliefs)
        parts.append(f"![half-lives of the users]({name})")
    return [part for part in parts if part]


def _arms(base: str, entry: Mapping[str, Any]) -> str:
    rows = []
    for arm, values in entry["arms"].items():
        pair = entry["paired"].get(f"{OURS}-{arm}")
        gain = ["-"] * 3
        if pair is not None:
            gain = [signed(pair["diff"]), interval(pair["low"], pair["high"]), p_value(pair["p_holm"])]
        seconds = sum(value for name, value in values["seconds"].items() if name not in ("fit", "tuning"))
        cost = [number(1000 * seconds / values["n"], 2), number(values["bytes_per_user"], 0)]
        means = [number(part[name]) for part in (values["over_users"], values) for name in METRICS]
        rows.append([arm, values["choice"], *means, *gain, f"{values['n']:,}", *cost])
    head = [base, "choice", *_MEANS, f"{OURS} minus it", "95%", "p (Holm)", "questions", "s per 1,000"]
    return table([*head, "bytes/user"], rows)


def _strata(strata: Sequence[Mapping[str, Any]]) -> str:
    if not strata:
        return ""
    arms = list(strata[0]["arms"])
    rows = [[row["measured_drift"], str(row["users"]), *(number(row["arms"][arm]) for arm in arms)] for row in strata]
    return table(["measured drift", "users", *arms], rows)


def _together(results: Sequence[StreamResult]) -> list[str]:
    rows = [[pair.where, f"{pair.own} - {pair.other}", *pair.columns()] for pair in together(results)]
    head = ["log", "NDCG@10, mean over users", *COLUMNS]
    return ["## Personas and decay together", table(head, rows)] if rows else []


def _cost(results: Sequence[StreamResult], serving: Sequence[Serving]) -> list[str]:
    parts = ["## Cost"]
    if serving:
        rows = []
        for one in serving:
            times = [number(milliseconds, 2) for milliseconds in (one.plain, one.decayed, one.first, one.observe)]
            rows.append([f"{one.world}, {one.base}", *times, number(one.bytes, 0)])
        head = [
            "one question at a time, ms",
            "recommend, no decay",
            "recommend, decayed, inside a session",
            "the first answer to a user",
            "learn a session",
            "bytes/user",
        ]
        parts.append(table(head, rows))
    rows = []
    for result in results:
        if not np.isnan(result.days):
            seconds = [number(result.seconds_beyond(arm), 1) for arm in (EVERYBODY, OURS)]
            seconds.append(number(result.arms[OURS]["seconds"]["fit"], 1))
            rows.append([f"{result.name}, {result.content['base']}", *seconds, number(result.days, 0)])
    if rows:
        head = ["seconds over the stream, beyond no decay", f"`{EVERYBODY}`", f"`{OURS}`", "one fit", "days"]
        parts.append(table(head, rows))
    return parts if len(parts) > 1 else []
