"""The bars that the drift benchmark has to clear, how they stand, and what lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from benchmarks.drift.world_scores import OURS, ArmScores, Difference, Pool, timescales
from benchmarks.tools.report import number, p_value, verdict
from recsys.evaluation.resampling import Score
from recsys.evaluation.significance import holm
from recsys.worlds.drift import Kind

AMPCF, TWIN = "ampcf", "ampcf_twin"
LEVEL = 0.05

_STABLE_COST, _BURST_COST, _SPEARMAN, _WORSE = 0.005, 0.02, 0.7, 0.005
_SERVING, _BYTES, _CHEAPER, _STREAMS = 1.2, 200, 50, 2

Scores = Mapping[str, Mapping[str, ArmScores]]
"""By title of the pool, by arm."""


@final
@dataclass(frozen=True)
class Serving:
    """What a question costs that comes alone, medians in milliseconds.

    Attributes:
        world: whose questions.
        base: name of the base.
        questions: how many.
        plain: `recommend` without decay.
        decayed: weights and `recommend`.
        observe: judging the event that followed, and learning from it.
        bytes: state per user.
    """

    world: str
    base: str
    questions: int
    plain: float
    decayed: float
    observe: float
    bytes: float


@final
@dataclass(frozen=True)
class Together:
    """AMP-CF under per-user decay minus a rival, NDCG@10 paired over users.

    Attributes:
        rival: base and arm.
        diff: mean over users.
        relative: diff over the rival's mean.
        low: lower end of the 95% bootstrap interval.
        high: upper end.
        p: Wilcoxon signed-rank.
        users: how many.
    """

    rival: str
    diff: float
    relative: float
    low: float
    high: float
    p: float
    users: int


@final
@dataclass(frozen=True)
class Gap:
    """What a difference between two arms could come from: where their lists differ in whether and where they hit.

    Attributes:
        visible: median events that a question sees.
        unknown: share of the questions whose item is newer than the model, which no way to forget can find.
        hit: share of the questions that either arm answers with a hit.
        moved: of these, the share in which NDCG@10 differs.
        better: share of the users for whom ours has the higher mean NDCG@10.
        worse: share of the users for whom the rival has.
    """

    visible: float
    unknown: float
    hit: float
    moved: float
    better: float
    worse: float

    @classmethod
    def of(cls, ours: pd.DataFrame, rival: pd.DataFrame) -> Gap:
        """Compare the tables of two replays of the same questions.

        Args:
            ours: with "user_num", "position", "n_visible", "known", "ndcg@10"; a row is a question.
            rival: the same questions.

        Raises:
            ValueError: the questions are others.
        """
        keys = ["user_num", "position"]
        both = ours.merge(rival[[*keys, "ndcg@10"]], on=keys, suffixes=("", "_rival"), validate="one_to_one")
        if not len(both) == len(ours) == len(rival):
            raise ValueError(f"{len(ours)} and {len(rival)} questions, of which {len(both)} are the same")
        one, other = both["ndcg@10"], both["ndcg@10_rival"]
        hit = (one > 0) | (other > 0)
        gain = (one - other).groupby(both["user_num"]).mean()
        moved = float((one != other)[hit].mean()) if hit.any() else 0.0
        return cls(
            float(both["n_visible"].median()),
            1.0 - float(both["known"].mean()),
            float(hit.mean()),
            moved,
            float((gain > 0).mean()),
            float((gain < 0).mean()),
        )


@final
@dataclass(frozen=True)
class StreamResult:
    """What was measured on a real log.

    Attributes:
        name: of the log.
        content: what `run_drift` returned.
        days: length of the reported stream in days; NaN where the clock has none.
        together: comparisons of AMP-CF.
        gap: per-user decay beside the best half-life for everybody, under the first base that did not refuse.
    """

    name: str
    content: dict[str, Any]
    days: float
    together: tuple[Together, ...]
    gap: Gap

    @property
    def arms(self) -> Mapping[str, Any]:
        """The arms of the first base that did not refuse."""
        arms: Mapping[str, Any] = self.content["arms"]
        return arms

    @property
    def daily_retraining(self) -> float:
        """What a fit a day costs over the stream, in units of what per-user decay costs beyond no decay."""
        seconds = self.arms[OURS]["seconds"]
        return float(seconds["fit"] * self.days / sum(seconds[part] for part in ("weights", "judging", "observing")))


def together_corrected(results: Sequence[StreamResult]) -> dict[tuple[str, str], float]:
    """Return the p-values of AMP-CF's comparisons by (log, rival), corrected (Holm) over all of them."""
    keys = [(result.name, pair.rival) for result in results for pair in result.together]
    p = holm([pair.p for result in results for pair in result.together])
    return dict(zip(keys, p.tolist(), strict=True))


def bars(
    pools: Sequence[Pool],
    scores: Scores,
    pairs: Sequence[Difference],
    results: Sequence[StreamResult],
    serving: Sequence[Serving],
) -> list[list[str]]:
    """Return rows of a table: claim, bar, measured, verdict."""
    rows = []
    for pool in pools:
        if pool.users(Kind.ABRUPT).any():
            rows += _recovery(pool, scores[pool.title])
    for pool in pools:
        rows += _harm(pool, scores[pool.title])
    rows += [*_individual(results), *_population(pools, scores, pairs)]
    for pool in pools:
        if pool.users(Kind.RENEWAL).any():
            found = timescales(pool)
            text = f"{interval(found, 2)}, {found.users} users"
            passed = found.value >= _SPEARMAN
            rows.append([f"timescales are learned, {pool.title}", f"Spearman >= {_SPEARMAN}", text, verdict(passed)])
    return [*rows, *_cheap(results, serving), *_together(results)]


def events(score: Score) -> str:
    """Return events until recovery with their interval.

    >>> events(Score(3.0, 1.0, float("inf"), 9))
    '3 [1, never]'
    """
    value, low, high = ("never" if np.isinf(x) else number(x, 0) for x in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]" if score.users else "-"


def interval(score: Score, digits: int = 4) -> str:
    """Return a score with its interval."""
    ends = f"{number(score.low, digits)}, {number(score.high, digits)}"
    return f"{number(score.value, digits)} [{ends}]" if score.users else "-"


def percent(score: Score) -> str:
    """Return a relative cost with its interval, in per cent."""
    ends = f"{100 * score.low:+.1f}, {100 * score.high:+.1f}"
    return "-" if np.isnan(score.value) else f"{100 * score.value:+.1f}% [{ends}]"


def what_lost(rows: Sequence[Sequence[str]], pairs: Sequence[Difference], results: Sequence[StreamResult]) -> list[str]:
    """Return sentences on what missed its bar, and where `per_user` is worse, or not told apart from a rival."""
    missed = [f"- Missed: {row[0]} ({row[1]}): {row[2]}." for row in rows if row[3] == verdict(False)]
    found: list[tuple[str, str, float, float]] = [(pair.pool, pair.other, pair.diff, pair.p_holm) for pair in pairs]
    for result in results:
        for base, entry in result.content["bases"].items():
            for name, pair in entry["paired"].items():
                found.append((f"{result.name}, {base}", name.removeprefix(f"{OURS}-"), pair["diff"], _p(pair)))
    worse = [f"{other} on {where} ({diff:+.4f})" for where, other, diff, p in found if diff < 0 and p < LEVEL]
    level = [f"{other} on {where}" for where, other, _, p in found if p >= LEVEL]
    return [
        *missed,
        f"- {OURS} is worse than: {'; '.join(worse) or 'nobody'}.",
        f"- {OURS} is not told apart from: {'; '.join(level) or 'nobody'}.",
    ]


def _p(pair: Mapping[str, Any]) -> float:
    """Return the corrected p-value of a difference; 1 where there is none."""
    return 1.0 if pair["p_holm"] is None else float(pair["p_holm"])


def _recovery(pool: Pool, scores: Mapping[str, ArmScores]) -> list[list[str]]:
    ours, rival = scores[OURS].recovery, scores["global"].recovery
    text = f"{events(ours)} against {events(rival)}"
    # A rival that needs nothing leaves nothing to be halved.
    passed = None if rival.value == 0 else bool(np.isfinite(ours.value) and ours.value <= rival.value / 2)
    bar = "events to 95% of the oracle: at most half of the best global half-life's"
    return [[f"faster recovery, {pool.title}", bar, text, verdict(passed)]]


def _harm(pool: Pool, scores: Mapping[str, ArmScores]) -> list[list[str]]:
    rows = []
    for kind, name, most in ((Kind.STABLE, "stable_cost", _STABLE_COST), (Kind.BURST, "burst_cost", _BURST_COST)):
        if pool.users(kind).any():
            cost: Score = getattr(scores[OURS], name)
            bar = f"relative cost at most {100 * most:g}%"
            claim = f"no harm to {kind.name.lower()} users, {pool.title}"
            passed = None if np.isnan(cost.value) else cost.value <= most
            rows.append([claim, bar, percent(cost), verdict(passed)])
    return rows


def _individual(results: Sequence[StreamResult]) -> list[list[str]]:
    found = {r.name: r.content["paired"][f"{OURS}-global"] for r in results if f"{OURS}-global" in r.content["paired"]}
    if not found:
        return []
    won = [name for name, pair in found.items() if pair["diff"] > 0 and _p(pair) < LEVEL]
    worst, pair = min(found.items(), key=lambda entry: entry[1]["relative"] or 0.0)
    worse = pair["relative"] or 0.0
    claim = f"{OURS} against the best global half-life, real streams"
    return [
        [claim, f"better on {_STREAMS}, p < .05", ", ".join(won) or "nowhere", verdict(len(won) >= _STREAMS)],
        [claim, "never worse by more than .5%", f"{worst}: {100 * worse:+.1f}%", verdict(worse >= -_WORSE)],
    ]


def _population(pools: Sequence[Pool], scores: Scores, pairs: Sequence[Difference]) -> list[list[str]]:
    rows = []
    for pair in pairs:
        if not pair.other.startswith("population"):
            continue
        pool = next(one for one in pools if one.title == pair.pool)
        seen = scores[pool.title][pair.other].detection
        text = f"{OURS} {pair.diff:+.4f} ({100 * pair.relative:+.1f}%), p {p_value(pair.p_holm)}"
        if seen is not None and seen.changes:
            text += f"; {100 * seen.detected:.0f}% of changes noticed, {number(seen.false_per_1000, 1)} false per 1000"
        passed = pair.diff > 0 and pair.p_holm < LEVEL
        rows.append([f"{pair.other} fails, {pool.title}", f"{OURS} better, p < .05", text, verdict(passed)])
    return rows


def _cheap(results: Sequence[StreamResult], serving: Sequence[Serving]) -> list[list[str]]:
    rows = []
    for one in serving:
        claim, ratio = f"{one.base}, {one.world}", (one.decayed + one.observe) / one.plain
        text = f"{ratio:.2f}x ({one.decayed:.2f} + {one.observe:.2f} ms to {one.plain:.2f} ms)"
        bar = f"at most {_SERVING}x the undecayed recommend"
        rows.append([f"observe and recommend, one by one, {claim}", bar, text, verdict(ratio <= _SERVING)])
        bar, text = f"under {_BYTES} bytes a user", f"{one.bytes:.0f} bytes"
        rows.append([f"state, {claim}", bar, text, verdict(one.bytes < _BYTES)])
    for result in results:
        if np.isnan(result.days) or "retraining" not in result.arms:
            continue
        ours, rival = (float(result.arms[arm]["ndcg@10"]) for arm in (OURS, "retraining"))
        text = f"{result.daily_retraining:.0f}x; NDCG@10 {number(ours)} against {number(rival)}"
        passed = result.daily_retraining >= _CHEAPER and ours >= rival
        bar = f"{_CHEAPER}x cheaper, at least as accurate"
        rows.append([f"against daily retraining, {result.name}", bar, text, verdict(passed)])
    return rows


def _together(results: Sequence[StreamResult]) -> list[list[str]]:
    corrected = together_corrected(results)
    rows = []
    for result in results:
        for pair in result.together:
            p = corrected[result.name, pair.rival]
            text = f"{pair.diff:+.4f} ({100 * pair.relative:+.1f}%), p {p_value(p)}"
            claim = f"{AMPCF}, {OURS} against {pair.rival}, {result.name}"
            rows.append([claim, "better, p < .05", text, verdict(pair.diff > 0 and p < LEVEL)])
    return rows
