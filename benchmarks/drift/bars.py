"""The bars of the drift benchmark, each with the placebo that must miss it, and what lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.drift.results import Serving, StreamResult, together
from benchmarks.drift.world_scores import EVERYBODY, OURS, ArmScores, Pool, differences, timescales
from benchmarks.tools.differences import Difference, corrected
from benchmarks.tools.report import Placebo, bar, interval, number, percent, signed, verdict
from recsys.evaluation.resampling import Score
from recsys.experiments.drift.names import HINDSIGHT
from recsys.worlds.drift import Kind

_STABLE_COST, _BURST_COST, _SPEARMAN, _WORSE = 0.005, 0.02, 0.7, 0.01
_SERVING, _BYTES, _STREAMS = 1.2, 400, 2
_NEXT_VISIT = {"ml-latest-small": 0.06, "movietweetings": 0.21}
"""Gain over no decay that per-user decay, the rule of the shipped configurations, is to reach."""
_VISITS = (
    ("a guest leaves the next day's list", "guest_kept", ">=", 7.0),
    ("a guest costs NDCG@10", "guest_cost", "<=", 0.02),
    ("one event leaves the list", "event_kept", ">=", 6.0),
    ("ten events of a new taste change the list at once", "sitting_changed", ">=", 3.0),
    ("ten days of a new taste change the list", "taste_changed", ">=", 3.0),
    ("a year brings the long-term list back", "year_kept", ">=", 8.0),
)
"""Of ten titles (the cost: a share), under per-user decay."""

Scores = Mapping[str, Mapping[str, ArmScores]]
"""By title of the pool, by arm."""


def bars(
    pools: Sequence[Pool],
    scores: Scores,
    pairs: Sequence[Difference],
    results: Sequence[StreamResult],
    serving: Sequence[Serving],
) -> list[list[str]]:
    """Return the rows of the table of bars."""
    rows = []
    for pool in pools:
        if pool.users(Kind.ABRUPT).any():
            rows += _recovery(pool, scores[pool.title])
    for pool in pools:
        rows += _harm(pool, scores[pool.title])
    rows += [*_next_visit(results), *_individual(results), *_population(scores, pairs, differences(pools, by_lot=True))]
    for pool in pools:
        if pool.users(Kind.RENEWAL).any():
            score, dealt = timescales(pool), timescales(pool, by_lot=True)
            claim, text = f"timescales are learned, {pool.title}", f"{with_interval(score, 2)}, {score.users} users"
            placebo = Placebo(f"dealt out by lot {number(dealt.value, 2)}", dealt.value >= _SPEARMAN)
            rows.append(bar(claim, f"Spearman >= {_SPEARMAN}", text, score.value >= _SPEARMAN, placebo))
    rows += [*_lists(results), *_cheap(serving)]
    by_lot = together(results, by_lot=True)
    for pair, exchanged in zip(together(results), by_lot, strict=True):
        claim = f"{pair.own} against {pair.other}, {pair.where}"
        rows.append(bar(claim, "better, p < .05", pair.text, pair.better(), _exchanged(exchanged)))
    return rows


def events(score: Score) -> str:
    """Return events until recovery with their interval.

    >>> events(Score(3.0, 1.0, float("inf"), 9))
    '3 [1, never]'
    """
    value, low, high = ("never" if np.isinf(x) else number(x, 0) for x in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]" if score.users else "-"


def with_interval(score: Score, digits: int = 4) -> str:
    """Return a score with its interval."""
    return f"{number(score.value, digits)} {interval(score.low, score.high, digits)}" if score.users else "-"


def cost_text(cost: Score) -> str:
    """Return a relative cost with its interval, in per cent."""
    return "-" if np.isnan(cost.value) else f"{percent(cost.value)} {_per_cent(cost.low, cost.high)}"


def _per_cent(low: float, high: float) -> str:
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def what_lost(rows: Sequence[Sequence[str]], pairs: Sequence[Difference], results: Sequence[StreamResult]) -> list[str]:
    """Return a list of missed bars, and of rivals to which `per_user` loses or from which it does not differ."""
    missed = [f"- Missed: {row[0]} ({row[1]}): {row[2]}." for row in rows if row[-1] == verdict(False)]
    signs = {"won": 1, "tie": 0, "lost": -1}
    tests = [(pair.where, pair.other, pair.diff, signs[pair.outcome]) for pair in pairs]
    for result in results:
        for base, entry in result.content["bases"].items():
            for name, pair in entry["paired"].items():
                tests.append(
                    (f"{result.name}, {base}", name.removeprefix(f"{OURS}-"), pair["diff"], int(pair["established"]))
                )
    worse = [f"{other} on {where} ({signed(diff)})" for where, other, diff, sign in tests if sign < 0]
    level = [f"{other} on {where}" for where, other, _, sign in tests if sign == 0]
    lost = [
        f"{arm} on {result.name} ({percent(result.mean(arm) / result.mean('none') - 1)})"
        for result in results
        for arm in (EVERYBODY, OURS)
        if result.mean(arm) < result.mean("none")
    ]
    return [
        *missed,
        f"- Below no decay: {'; '.join(lost) or 'none'}.",
        f"- {OURS} is worse than: {'; '.join(worse) or 'no arm'}.",
        f"- {OURS} does not differ significantly from: {'; '.join(level) or 'no arm'}.",
    ]


def _exchanged(pair: Difference) -> Placebo:
    return Placebo(f"exchanged by lot {pair.text}", pair.better())


def _recovery(pool: Pool, scores: Mapping[str, ArmScores]) -> list[list[str]]:
    ours, rival, undecayed = (scores[arm].recovery for arm in (OURS, "global", "none"))
    text = f"{events(ours)} against {events(rival)}"
    # The recovery of a rival that needs no event cannot be halved.
    passed, undecayed_passed = (
        None if rival.value == 0 else bool(np.isfinite(one.value) and one.value <= rival.value / 2)
        for one in (ours, undecayed)
    )
    threshold = "events to 95% of the oracle: at most half of the best global half-life's"
    placebo = Placebo(f"no decay {events(undecayed)}", undecayed_passed)
    return [bar(f"faster recovery, {pool.title}", threshold, text, passed, placebo)]


def _harm(pool: Pool, scores: Mapping[str, ArmScores]) -> list[list[str]]:
    rows = []
    for kind, name, most in ((Kind.STABLE, "stable_cost", _STABLE_COST), (Kind.BURST, "burst_cost", _BURST_COST)):
        if pool.users(kind).any():
            cost: Score = getattr(scores[OURS], name)
            claim = f"no harm to {kind.name.lower()} users, {pool.title}"
            passed = None if np.isnan(cost.value) else cost.value <= most
            careless: Score = getattr(scores["global"], name)
            placebo = Placebo(f"one half-life for all {cost_text(careless)}", bool(careless.value <= most))
            rows.append(bar(claim, f"relative cost at most {100 * most:g}%", cost_text(cost), passed, placebo))
    return rows


def _next_visit(results: Sequence[StreamResult]) -> list[list[str]]:
    rows = []
    for result in results:
        if result.name in _NEXT_VISIT:
            arms = [arm for arm in ("global", EVERYBODY, HINDSIGHT) if arm in result.arms]
            gain = {arm: result.mean(arm) / result.mean("none") - 1 for arm in (OURS, *arms)}
            least = _NEXT_VISIT[result.name]
            text = f"{percent(gain[OURS])} ({', '.join(f'{arm} {percent(gain[arm])}' for arm in arms)})"
            threshold = f"at least {100 * least:.0f}% above no decay"
            # No decay is 0% above itself: the placebo misses by definition.
            rows.append(bar(f"next visit, {OURS}, {result.name}", threshold, text, gain[OURS] >= least))
    if results:
        losses = {result.name: result.mean(OURS) / result.mean("global") - 1 for result in results}
        worst = min(losses, key=lambda name: losses[name])
        undecayed = min(result.mean("none") / result.mean("global") - 1 for result in results)
        rows.append(
            bar(
                f"{OURS} against the best single rule, {len(results)} streams",
                f"never worse by more than {100 * _WORSE:g}%",
                f"{worst}: {percent(losses[worst])}",
                losses[worst] >= -_WORSE,
                Placebo(f"no decay {percent(undecayed)}", undecayed >= -_WORSE),
            )
        )
    return rows


def _individual(results: Sequence[StreamResult]) -> list[list[str]]:
    """Return whether the person's own part earns something over everybody's, and over the best single rule."""
    rows = []
    for other in (EVERYBODY, "global"):
        name = f"{OURS}-{other}"
        pairs = {result.name: result.content["paired"][name] for result in results if name in result.content["paired"]}
        if pairs:
            won = [where for where, pair in pairs.items() if pair["established"] > 0]
            placebo = None
            if other == "global":
                by_lot = [pair.where for pair in corrected([result.by_lot[0] for result in results]) if pair.better()]
                placebo = Placebo(f"exchanged by lot {', '.join(by_lot) or 'nowhere'}", len(by_lot) >= _STREAMS)
            text, threshold = ", ".join(won) or "nowhere", f"better on {_STREAMS} streams, p < .05"
            rows.append(bar(f"{OURS} against {other}", threshold, text, len(won) >= _STREAMS, placebo))
    return rows


def _lists(results: Sequence[StreamResult]) -> list[list[str]]:
    """Return what visits do to the lists of per-user decay, with no decay beside it."""
    rows = []
    for result in results:
        ours, undecayed = (result.arms[arm].get("visits") for arm in (OURS, "none"))
        for claim, name, side, threshold in _VISITS if ours and undecayed else ():
            one, other = ours[name], undecayed[name]
            limit = f"{side} {percent(threshold)}" if side == "<=" else f"{side} {threshold:g} of 10"
            if one is None:
                why = "no next day" if result.content["clock"] != "seconds" else "no hit without the guest"
                rows.append(bar(f"{claim}, {result.name}", limit, f"not defined: {why}", None))
                continue
            text, beside = (
                "-" if value is None else percent(value) if side == "<=" else number(value, 1) for value in (one, other)
            )
            if side == "<=":
                text += f" {_per_cent(ours[f'{name}_low'], ours[f'{name}_high'])}"
            passed = one >= threshold if side == ">=" else one <= threshold
            rows.append(bar(f"{claim}, {result.name}", limit, f"{text} (no decay {beside})", passed))
    return rows


def _population(scores: Scores, pairs: Sequence[Difference], by_lot: Sequence[Difference]) -> list[list[str]]:
    rows = []
    exchanged = {(pair.where, pair.other): _exchanged(pair) for pair in by_lot}
    for pair in pairs:
        if not pair.other.startswith("population"):
            continue
        alarms = scores[pair.where][pair.other].detection
        text = f"{OURS} {pair.text}"
        if alarms is not None and alarms.changes:
            false = number(alarms.false_per_1000, 1)
            text += f"; {100 * alarms.detected:.0f}% of changes noticed, {false} false per 1000"
        passed = pair.better()
        placebo = exchanged.get((pair.where, pair.other))
        claim = "the person's own part earns something" if pair.other == EVERYBODY else f"{pair.other} fails"
        rows.append(bar(f"{claim}, {pair.where}", f"{OURS} better than {pair.other}, p < .05", text, passed, placebo))
    return rows


def _cheap(serving: Sequence[Serving]) -> list[list[str]]:
    rows = []
    for one in serving:
        claim, ratio = f"{one.base}, {one.world}", one.decayed / one.plain
        text = f"{ratio:.2f}x ({one.decayed:.2f} to {one.plain:.2f} ms; without a cache {one.first / one.plain:.2f}x)"
        threshold = f"at most {_SERVING}x the undecayed answer"
        rows.append(bar(f"observe and recommend inside a session, {claim}", threshold, text, ratio <= _SERVING))
        threshold, text = f"at most {_BYTES} bytes a user", f"{one.bytes:.0f} bytes"
        rows.append(bar(f"state of {OURS}, {claim}", threshold, text, one.bytes <= _BYTES))
    return rows
