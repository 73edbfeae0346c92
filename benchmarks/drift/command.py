"""Rules of forgetting in worlds with known truth and on real streams. `python -m benchmarks.drift`.

Worlds: every arm of forgetting, tuned on some users, reported on others, beside an oracle that knows when each user
changed. Streams: `recsys benchmark drift` on logs with long histories, in time order. Every replay is a cell on disk:
the same command continues an interrupted benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from benchmarks.drift import report
from benchmarks.drift.results import PERSONAS, Gap, Serving, StreamResult
from benchmarks.drift.world_scores import EVERYBODY, OURS, Pool
from benchmarks.drift.worlds import (
    DETECTORS,
    ORACLE,
    ORACLE_GLOBAL,
    World,
    WorldBench,
    mixed_world,
    spliced_world,
    timescale_world,
)
from benchmarks.tools.cells import Cells, identity
from benchmarks.tools.command import Say, parser, plans_named, program, require
from benchmarks.tools.differences import Difference
from benchmarks.tools.report import report_folder, slug, without_paths
from recsys.data.catalogue import datasets
from recsys.data.queries import Queries, Ragged
from recsys.data.stream import QuestionSettings, Stream
from recsys.decay.temporal import TemporalDecay
from recsys.errors import CapabilityError, RecsysError
from recsys.evaluation.drift.scores import per_user
from recsys.evaluation.prequential.result import Replay
from recsys.experiments.drift.arm_results import Settings
from recsys.experiments.drift.bases import read_bases
from recsys.experiments.drift.benchmark import run_drift
from recsys.experiments.drift.names import HINDSIGHT
from recsys.experiments.drift.summary import correct
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.rank_utility import rank_utilities
from recsys.types import DAY, Items

MIXED, TIMESCALES = "mixed", "timescales"
_SERVED = 200
"""Number of queries that are answered one by one to measure their cost."""


@final
@dataclass(frozen=True)
class WorldPlan:
    """A world, its bases and its arms."""

    name: str  # "mixed", "timescales", or the name of a log whose users are spliced
    bases: tuple[str, ...]  # the first with all `arms`, the others with those of `_FEW`
    arms: tuple[str, ...]  # with "none", "global", "per_user" and "oracle" among them
    seeds: tuple[int, ...]  # worlds that are pooled
    size: int | None  # users of a simulated world; spliced users at most
    events: int = 120  # mean events of a user of a simulated world

    def worlds(self) -> list[World]:
        """Return the worlds, one for each seed."""
        if self.name in (MIXED, TIMESCALES):
            make = mixed_world if self.name == MIXED else timescale_world
            return [make(seed, self.size or 0, self.events) for seed in self.seeds]
        log = datasets.load(self.name)
        return [spliced_world(log, seed, self.size) for seed in self.seeds]


@final
@dataclass(frozen=True)
class StreamPlan:
    """A log whose questions are asked at the start of each session, its bases and its arms."""

    name: str  # of the log
    bases: tuple[str, ...]  # the first that does not refuse is the one whose bars count
    arms: tuple[str, ...]  # with "none", "global", "population" and "per_user" among them
    users: int | None  # of each stage, at most
    limit: int | None  # questions of each stage, at most
    together: tuple[str, ...] = ()  # further bases, under `_TOGETHER` alone
    came_back: bool = False  # ask only users who came back: most of the log's users stay for one visit
    seed: int = 0  # of a simulated log, of the users drawn


_FEW = ("none", "global", EVERYBODY, OURS, ORACLE, ORACLE_GLOBAL)
_TOGETHER = ("none", EVERYBODY, OURS)
_UNDECAYED = f"{PERSONAS}, none"
_FEWER = 1
"""Candidates of an arm around a base with personas, which are found anew for every question."""
_STREAM_ARMS = ("none", "global", EVERYBODY, OURS, HINDSIGHT)
"""What a replay answers in large batches. Windows, detectors, learning by gradient and refitting are in the report of
2026-11-28, and `recsys benchmark drift --arms` has them."""
_QUICK_ARMS = ("none", "global", "user_adwin", EVERYBODY, OURS)

WORLDS = (
    WorldPlan(MIXED, ("ease",), _FEW, (21, 22, 23), 450),
    WorldPlan(TIMESCALES, ("ease",), _FEW, (21, 22), 450),
)
STREAMS = (
    StreamPlan("simulated-drift", ("ease",), _STREAM_ARMS, None, None, seed=32),
    StreamPlan("simulated-timescales", ("ease",), _STREAM_ARMS, None, None, seed=32),
    StreamPlan("movietweetings", ("ease",), _STREAM_ARMS, None, None, together=(PERSONAS,)),
    StreamPlan("ml-latest-small", ("ease",), _STREAM_ARMS, None, None, together=(PERSONAS,), came_back=True),
    StreamPlan("epinions", ("itemknn",), _STREAM_ARMS, None, None),
    StreamPlan("amazon-beauty", ("ease",), _STREAM_ARMS, None, None),
)
QUICK_WORLDS = (
    WorldPlan(MIXED, ("ease",), (*_QUICK_ARMS, ORACLE), (0,), 60, 60),
    WorldPlan(TIMESCALES, ("ease",), _FEW, (0,), 60, 60),
)
QUICK_STREAMS = (StreamPlan("simulated-drift", ("ease",), _QUICK_ARMS, 60, 500),)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("drift", __doc__, quick="tiny worlds and a simulated log", threads=True)
    world_names, logs = (", ".join(plan.name for plan in plans) for plans in (WORLDS, STREAMS))
    command.add_argument("--worlds", nargs="*", metavar="NAME", help=f"of {world_names}; none: no world")
    command.add_argument("--logs", nargs="*", metavar="NAME", help=f"of {logs}; none: no stream")
    help_text = "of worlds that are pooled (default: 21 to 23 of mixed, 21 and 22 of timescales)"
    command.add_argument("--seeds", type=int, nargs="+", metavar="N", help=help_text)
    command.add_argument("--alone", action="store_true", help=f"leave out {PERSONAS}, which takes most of the time")
    command.add_argument("--candidates", type=int, metavar="N", help="rules that an arm may try (default 6)")
    options = command.parse_args(arguments)

    worlds = {plan.name: plan for plan in (QUICK_WORLDS if options.quick else WORLDS)}
    if options.seeds is not None:
        worlds = {name: replace(plan, seeds=tuple(options.seeds)) for name, plan in worlds.items()}
    streams = {plan.name: plan for plan in (QUICK_STREAMS if options.quick else STREAMS)}
    if options.alone:
        streams = {name: replace(plan, together=()) for name, plan in streams.items()}
    plans = plans_named(options.worlds, worlds), plans_named(options.logs, streams)
    if any(arm.endswith(DETECTORS) for part in plans for plan in part for arm in plan.arms):
        require("drift", "river")
    out = report_folder("drift", options.out, quick=options.quick)
    return run(*plans, out, candidates=options.candidates or (2 if options.quick else 6))


def run(worlds: Sequence[WorldPlan], streams: Sequence[StreamPlan], out: Path, *, candidates: int = 6) -> Path:
    """Run worlds and streams, and write the report; return its path. An arm may try so many `candidates`."""
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{(time.monotonic() - begin) / 60:5.1f} min] {text}", flush=True)

    cells = Cells(out / "cells")
    failures: dict[str, str] = {}
    pools: list[Pool] = []
    serving: list[Serving] = []
    for plan in worlds:
        try:
            replayed, served = _run_world(plan, cells, candidates, say)
            pools += replayed
            serving += served
        except RecsysError as error:
            failures[f"world {plan.name}"] = without_paths(str(error))
    results: list[StreamResult] = []
    for stream in streams:
        try:
            results.append(_run_stream(stream, cells, candidates, say))
        except RecsysError as error:
            failures[f"stream {stream.name}"] = without_paths(str(error))
    return report.write(out, pools, results, serving, failures, candidates)


def _run_world(plan: WorldPlan, cells: Cells, candidates: int, say: Say) -> tuple[list[Pool], list[Serving]]:
    worlds = plan.worlds()
    pools, serving = [], []
    for number, base in enumerate(read_bases(plan.bases, 0)):
        benches = [WorldBench(world, base, cells, candidates, say) for world in worlds]
        arms = [arm for arm in (plan.arms if number == 0 else _FEW) if arm in benches[0].arms]
        # World by world, so that one model is in memory at a time.
        replays = [{arm: bench.replay(arm) for arm in arms} for bench in benches]
        pools.append(Pool.of(worlds, base.name, {arm: [by_arm[arm] for by_arm in replays] for arm in arms}))
        if number == 0:
            serving.append(_serving(benches[0], cells))
    return pools, serving


def _serving(bench: WorldBench, cells: Cells) -> Serving:
    """Measure, inside a session, the cost of an answer without decay and with it, and of learning from the session.

    Asked is after the first event of a session, as the service answers: what it cached before the event is there, and
    nothing is learned. The decayed answer includes bringing the cache up to date. Beside them stands the first answer
    to a user, of whom nothing is cached. All are measured in turn for each query, so that other work of the machine
    falls on all alike, in processor time.
    """
    world = bench.world
    name, key = slug(f"{world.name}/serving"), identity(world.test.fingerprint, _SERVED, "inside a session")
    stored = cells.load(name, key)
    if stored is None:
        model, log = bench.model, world.test
        stream = Stream.of(log, int(log.time.min()) if log.has_time else 0, QuestionSettings())
        numbers = model.fitted_on.translation(log).items
        known = np.flatnonzero((stream.relevant.sum(numbers[stream.relevant.items] < 0) == 0) & (stream.n_visible > 0))
        rng = np.random.default_rng(0)
        rows = np.sort(rng.choice(known, min(_SERVED, len(known)), replace=False))
        rule = TemporalDecay(caution=0.0).for_log(log.n_users, log.clock)
        seconds = np.zeros((len(rows), 4))
        for place, row in enumerate(rows):
            queries = stream.queries(np.asarray([row]), numbers)
            items = Ragged.of([numbers[stream.relevant.row(row)]])
            cached = CachedWeights.of(model, rule, queries)
            cached.read(queries)
            # Each step has a query of its own, so that none finds what another has computed.
            plain, during, first = (_with_event(queries, items.items[:1]) for _ in range(3))
            moments = [time.process_time()]
            model.recommend(plain, 10)
            moments.append(time.process_time())
            model.recommend(CachedWeights.of(model, rule, during, cached).read(during).queries, 10)
            moments.append(time.process_time())
            model.recommend(first.with_weights(rule.weights(first)), 10)
            moments.append(time.process_time())
            rule.observe(queries, rank_utilities(model, queries, items, rule.hypotheses(queries)))
            moments.append(time.process_time())
            seconds[place] = np.diff(moments)
        plain_ms, decayed, new, learned = (1e3 * np.median(seconds, axis=0)).tolist()
        content = {"plain": plain_ms, "decayed": decayed, "first": new, "observe": learned, "bytes": rule.state_bytes()}
        stored = cells.save(name, key, content | {"questions": len(rows), "base": bench.base.name})
    return Serving(world.name, **stored)


def _with_event(queries: Queries, item: Items) -> Queries:
    """Return a single query a second after one more event, which happened at its moment."""
    history = Ragged.of([np.append(queries.history.items, item)])
    values, times = np.append(queries.values, np.float32(np.nan)), np.append(queries.times, queries.now)
    return Queries(queries.users, history, values, times, queries.now + 1)


def _run_stream(plan: StreamPlan, cells: Cells, candidates: int, say: Say) -> StreamResult:
    folder, log = cells.root / "streams" / plan.name, datasets.load(plan.name, seed=plan.seed)
    settings = Settings(users=plan.users, limit=plan.limit, candidates=candidates, came_back=plan.came_back)
    settings = replace(settings, seed=plan.seed)
    content = run_drift(log, plan.bases, plan.arms, folder, settings, say=say)
    second: dict[str, Any] = {"bases": {}, "refused": {}}
    if plan.together:
        try:
            fewer = replace(settings, candidates=min(candidates, _FEWER))
            second = run_drift(log, plan.together, _TOGETHER, folder / "together", fewer, say=say)
        except CapabilityError as error:
            say(f"{plan.name}: {error}")
            second["refused"] = dict.fromkeys(plan.together, str(error))
    content["bases"] |= second["bases"]
    content["refused"] |= second["refused"]
    tables = _together(second["bases"], folder / "together")
    together = _one_family(content, [Difference.between(plan.name, *pair) for pair in tables])
    ours, rival = (_table(folder, content["base"], arm) for arm in (OURS, "global"))
    single = (OURS, per_user(ours, ["ndcg@10"]), "global", per_user(rival, ["ndcg@10"]))
    by_lot = tuple(Difference.by_lot(plan.name, *pair) for pair in (single, *tables))
    return StreamResult(plan.name, content, _days(content, folder), together, by_lot, Gap.of(ours, rival))


def _one_family(content: Mapping[str, Any], together: Sequence[Difference]) -> tuple[Difference, ...]:
    """Correct all differences of a stream as one family, and return those of `PERSONAS` with their p-values of it.

    That of per-user decay against no decay is already among the differences of its arms.
    """
    pairs = [pair for entry in content["bases"].values() for pair in entry["paired"].values()]
    others = [pair for pair in together if pair.own != f"{PERSONAS}, {OURS}"]
    p_holm = dict(zip((pair.own for pair in others), correct(pairs, [pair.p for pair in others]), strict=True))
    if len(others) < len(together):
        p_holm[f"{PERSONAS}, {OURS}"] = float(content["bases"][PERSONAS]["paired"][f"{OURS}-none"]["p_holm"])
    return tuple(replace(pair, p_holm=p_holm[pair.own]) for pair in together)


def _table(folder: Path, base: str, arm: str) -> pd.DataFrame:
    return Replay.load(folder / "replays" / base / f"{arm}.parquet").table


def _days(content: Mapping[str, Any], folder: Path) -> float:
    """Return the length of the reported stream in days; NaN on clocks without days."""
    if content["clock"] != "seconds":
        return float("nan")
    table = _table(folder, content["base"], "none")
    return float(table["time"].max() - content["boundaries"]["test"]) / DAY


def _together(bases: Mapping[str, Any], folder: Path) -> list[tuple[str, pd.DataFrame, str, pd.DataFrame]]:
    """Return the names and tables to compare: the base with personas under both rules of ours, and without decay."""
    if PERSONAS not in bases:
        return []
    tables = {arm: per_user(_table(folder, PERSONAS, arm), ["ndcg@10"]) for arm in _TOGETHER}
    return [(f"{PERSONAS}, {arm}", tables[arm], _UNDECAYED, tables["none"]) for arm in (EVERYBODY, OURS)]
