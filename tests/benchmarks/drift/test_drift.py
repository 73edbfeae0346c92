from __future__ import annotations

from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.drift import command as drift
from benchmarks.drift.bars import bars, events, what_lost
from benchmarks.drift.command import TIMESCALES, StreamPlan, WorldPlan
from benchmarks.drift.results import Gap, StreamResult
from benchmarks.drift.world_scores import EVERYBODY, OURS, ArmScores, Pool, arm_scores, differences, timescales
from benchmarks.drift.worlds import (
    OracleReset,
    Truth,
    WorldBench,
    WorldReplay,
    alarms_by_user,
    mixed_world,
    spliced_world,
    timescale_world,
)
from benchmarks.tools.cells import Cells
from benchmarks.tools.differences import Difference
from benchmarks.tools.report import REPORT_NAME, verdict
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.sessions import PAUSE
from recsys.decay.fixed import GlobalHalfLife
from recsys.decay.own_gain import OwnGain
from recsys.evaluation.drift.scores import per_user
from recsys.evaluation.prequential.result import Replay
from recsys.evaluation.resampling import Score
from recsys.experiments.drift.arms import Stage, TunedRule, choose
from recsys.experiments.drift.bases import read_bases
from recsys.worlds.drift import Kind
from recsys.worlds.simulation import simulated_log

_ARMS = ("none", "global", "user_adwin", OURS, "oracle", "oracle+global")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Two seeds of the mixed world under some arms."""
    worlds = [mixed_world(seed, 60, 50) for seed in (0, 1)]
    base = read_bases(["ease"], 0)[0]
    cells = Cells(tmp_path_factory.mktemp("cells"))
    benches = [WorldBench(world, base, cells, 1) for world in worlds]
    return Pool.of(worlds, "ease", {arm: [bench.replay(arm) for bench in benches] for arm in _ARMS})


def test_oracle_drops_stale_events_after_a_change() -> None:
    users = [0, 0, 1, 1, 2]
    queries = Queries.from_history([[5, 6], [5, 6, 7], [5, 6], [5, 6, 7, 8], [5, 6]], users=users)
    stale_from, stale_until = np.array([0, 1, -1]), np.array([3, 3, -1])  # a change at 3; a guest at 1 and 2; none
    weights = OracleReset(stale_from, stale_until).weights(queries)
    assert weights.tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1]
    half = GlobalHalfLife(1)
    both = OracleReset(stale_from, stale_until, half).weights(queries)
    assert both.tolist() == (weights * half.weights(queries)).tolist()


def test_parts_of_a_world_share_no_user() -> None:
    for world in (mixed_world(0, 30, 50), timescale_world(1, 30, 50)):
        parts = [set(np.unique(log.user_num).tolist()) for log in (world.fit, world.tune, world.test)]
        assert [len(part) for part in parts] == [10, 10, 10]
        assert len(set.union(*parts)) == 30


def test_items_are_not_learned_from_spliced_users_or_controls() -> None:
    log = simulated_log(n_users=90, n_items=80, events_per_user=20)
    world = spliced_world(log, 0, pairs=10, minimum_events=5)
    learned = {str(user) for user in log.users.ids[np.unique(world.fit.user_num)]}
    for part in (world.tune, world.test):
        names = part.users.ids[np.unique(part.user_num)]
        assert len(names) == 10
        sources = {source for name in names for source in str(name).split("+")}
        assert len(sources) == 15
        assert not sources & learned


def test_stale_events_follow_the_kind_of_drift() -> None:
    truth = mixed_world(0, 60, 50).truth
    of = {kind: truth.kind == kind for kind in Kind}
    abrupt, burst = of[Kind.ABRUPT], of[Kind.BURST]
    assert np.array_equal(truth.stale_until[abrupt], truth.changed_at[abrupt])
    assert np.all(truth.stale_until[of[Kind.GRADUAL]] >= truth.changed_at[of[Kind.GRADUAL]])
    assert np.array_equal(truth.stale_from[burst], truth.changed_at[burst])
    assert np.array_equal(truth.stale_until[burst], truth.returns_at[burst])
    assert np.all(truth.stale_until[of[Kind.STABLE] | of[Kind.RECURRING]] == -1)


def test_finished_replay_is_loaded_and_another_budget_is_another_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, base, cells = mixed_world(0, 30, 50), read_bases(["ease"], 0)[0], Cells(tmp_path)
    first = WorldBench(world, base, cells, 1).replay(OURS)
    chosen: list[str] = []

    def counted(arm: str, validation: Stage, *, candidates: int) -> TunedRule:
        chosen.append(arm)
        return choose(arm, validation, candidates=candidates)

    monkeypatch.setattr("benchmarks.drift.worlds.choose", counted)
    again = WorldBench(world, base, cells, 1).replay(OURS)
    assert chosen == []
    assert again.replay.table.equals(first.replay.table)
    assert np.array_equal(again.learned, first.learned, equal_nan=True)
    WorldBench(world, base, cells, 2).replay(OURS)
    assert chosen == [OURS]


def test_alarms_become_positions_and_one_for_all_users_is_one_for_each() -> None:
    log = Interactions.from_columns([1, 1, 1, 2, 2], [1, 2, 3, 1, 2], times=[10, 20, 30, 15, 40])
    users, positions = alarms_by_user(np.array([[0, 20], [-1, 25]]), log)
    assert list(zip(users.tolist(), positions.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 1)]
    assert [len(part) for part in alarms_by_user(np.zeros((0, 2), np.int64), log)] == [0, 0]


def test_users_of_several_seeds_are_numbered_through(pool: Pool) -> None:
    table = pool.tables[OURS]
    assert pool.offsets.tolist() == [0, 60, 120]
    assert table["user_id"].nunique() == table["user_num"].nunique() == int(pool.tested.sum()) == 40
    second = table[table["user_num"] >= 60]
    assert all(name.startswith("1:") for name in second["user_id"])
    alone = pool.runs[OURS][1].replay.table
    assert second["ndcg@10"].tolist() == alone["ndcg@10"].tolist()


def test_oracle_recovers_at_once_and_no_decay_costs_nothing(pool: Pool) -> None:
    oracle, none = arm_scores(pool, "oracle"), arm_scores(pool, "none")
    best = arm_scores(pool, pool.oracle)
    assert best.recovery.value == 0
    assert best.area.value == 0
    assert none.stable_cost.value == none.burst_cost.value == none.burst_cost_after.value == 0
    ours = arm_scores(pool, OURS)
    assert ours.burst_cost.users == ours.burst_cost_after.users > 0
    assert ours.burst_cost.value != ours.burst_cost_after.value
    # Until a change has happened the oracle does what no decay does, and to stable users for ever.
    assert oracle.by_kind["stable"] == none.by_kind["stable"]
    assert oracle.stable_cost.value == 0
    alarms = arm_scores(pool, "user_adwin").detection
    assert alarms is not None
    assert alarms.changes == int(pool.users(Kind.ABRUPT).sum())
    assert none.detection is None


def test_reference_oracle_is_the_better_one_after_the_change(pool: Pool) -> None:
    def better_by(amount: float) -> Pool:
        table = pool.tables["oracle"]
        changed = table.assign(**{"ndcg@10": table["ndcg@10"] + amount})
        return replace(pool, tables={**pool.tables, "oracle+global": changed})

    assert better_by(0.01).oracle == "oracle+global"
    assert better_by(-0.01).oracle == "oracle"
    assert replace(pool, tables={"oracle": pool.tables["oracle"]}).oracle == "oracle"


def test_differences_are_means_over_users_without_the_oracles(pool: Pool) -> None:
    pairs = differences([pool])
    assert [pair.other for pair in pairs] == ["none", "global", "user_adwin"]
    ours, other = (per_user(pool.tables[arm], ["ndcg@10"])["ndcg@10"] for arm in (OURS, "none"))
    assert pairs[0].diff == pytest.approx(float((ours - other).mean()))
    assert all(pair.p_holm >= pair.p for pair in pairs)


@pytest.mark.parametrize(
    ("ours", "rival", "passed"), [(4.0, 8.0, True), (5.0, 8.0, False), (9.0, np.inf, True), (np.inf, np.inf, False)]
)
def test_recovery_has_to_take_half_as_long(pool: Pool, ours: float, rival: float, passed: bool) -> None:
    values = ((OURS, ours), ("global", rival), ("none", np.inf))
    scores = {arm: _recovering(arm_scores(pool, arm), value) for arm, value in values}
    row = bars([pool], {pool.title: scores}, [], [], [])[0]
    assert row[0].startswith("faster recovery")
    assert row[-1] == verdict(passed)
    assert events(Score(np.inf, 3.0, np.inf, 5)) == "never [3, never]"
    assert events(Score(np.nan, np.nan, np.nan, 0)) == "-"


def test_every_bar_has_a_placebo_and_is_void_where_the_placebo_meets_it(pool: Pool) -> None:
    """Only times and bytes have none. Here arms meet every bar by far, and the placebos miss all of them."""
    best, worst = Score(0.0, 0.0, 0.0, 9), Score(np.inf, 9.0, np.inf, 9)
    harmless, harmful = Score(-0.1, -0.2, 0.0, 9), Score(0.1, 0.05, 0.2, 9)
    ours, rival = (
        replace(arm_scores(pool, OURS), recovery=recovery, stable_cost=cost, burst_cost=cost)
        for recovery, cost in ((best, harmless), (Score(8.0, 4.0, 9.0, 9), harmful))
    )
    scores = {OURS: ours, "global": rival, "none": replace(rival, recovery=worst)}
    alarms = {"population_adwin": replace(arm_scores(pool, "user_adwin"), detection=None)}
    table = pool.tables["global"]
    worse = table.assign(**{"ndcg@10": table["ndcg@10"] - 0.5})
    world = replace(pool, tables={OURS: pool.tables[OURS], "population_adwin": worse})
    results = [_stream_result(f"stream {number}") for number in range(3)]
    rows = bars([world], {pool.title: scores | alarms}, differences([world]), results, [])
    assert [row[0].partition(",")[0] for row in rows] == [
        *("faster recovery", "no harm to stable users", "no harm to burst users"),
        f"{OURS} against the best single rule",
        *(f"{OURS} against {other}" for other in (EVERYBODY, "global")),
        "population_adwin fails",
        *["ampcf"] * 3,
    ]
    assert all(row[3] != "-" for row in rows if EVERYBODY not in row[0])  # two rules of ours exchange nothing
    assert [row[-1] for row in rows] == [verdict(True)] * len(rows)
    void = bars(
        [pool], {pool.title: scores | {"none": ours, "global": replace(ours, recovery=rival.recovery)}}, [], [], []
    )
    assert [row[-1] for row in void] == ["**void**, the placebo passes"] * 3


def test_timescales_of_other_users_do_not_pass_for_learned_ones() -> None:
    """Timescales that are learned exactly correlate perfectly, and not at all when they are dealt out by lot."""
    worlds = [timescale_world(seed, 90, 60) for seed in (0, 1)]
    truth = Truth.pooled([world.truth for world in worlds])
    users = len(truth.timescale)
    none, alarms = Replay(pd.DataFrame(), (10,), 0, {}, 0.0, "event", PAUSE), np.zeros(0, np.int64)
    learned = [WorldReplay(none, {}, alarms, alarms, world.truth.timescale) for world in worlds]
    lengths = np.full(users, 60)
    pool = Pool("timescales", "ease", "seconds", (0, 1), truth, {}, {OURS: learned}, np.zeros(3, np.int64), lengths)
    assert timescales(pool).value == pytest.approx(1)
    assert abs(timescales(pool, by_lot=True).value) < 0.3


def test_means_over_users_and_over_questions_can_differ_in_sign() -> None:
    """One user has nine questions, two have one each; the paired difference is that of the means over users."""
    users = [0] * 9 + [1, 2]
    table = pd.DataFrame({"user_num": users, "user_id": users, "hr@10": 0.0})
    ours, rival = (
        Replay(table.assign(**{"ndcg@10": np.repeat(values, [9, 2])}), (10,), 0, {}, 0.0, "event", PAUSE)
        for values in ([0.0, 0.5], [0.3, 0.3])
    )
    assert ours.summary["ndcg@10"] < rival.summary["ndcg@10"]
    gap = ours.over_users["ndcg@10"] - rival.over_users["ndcg@10"]
    assert gap > 0
    tables = (per_user(replay.table, ["ndcg@10"]) for replay in (ours, rival))
    assert Difference.between("log", OURS, next(tables), "global", next(tables)).diff == pytest.approx(gap)


def test_what_lost_names_missed_bars_and_better_rivals() -> None:
    rows = [["claim", "bar", "measured", verdict(False)], ["other", "bar", "measured", verdict(True)]]
    pair = Difference("world, ease", OURS, "window", "ndcg@10", -0.01, -0.1, -0.02, -0.001, -0.3, 0.001, 0.002, 40)
    text = "\n".join(what_lost(rows, [pair, replace(pair, other="koren", p_holm=0.5)], []))
    assert "Missed: claim" in text
    assert "other" not in text
    assert "worse than: window on world, ease (-0.0100)" in text
    assert "does not differ significantly from: koren on world, ease" in text


def test_gap_of_questions_and_of_users() -> None:
    ours = pd.DataFrame(
        {"user_num": [0, 0, 1, 2], "position": [4, 5, 0, 7], "n_visible": [4, 5, 0, 7], "ndcg@10": [0.5, 0.3, 0, 1]}
    ).assign(known=[1, 1, 0, 1], relevant=1)
    rival = ours.assign(**{"ndcg@10": [0, 0.3, 0, 1]}).iloc[::-1]
    assert Gap.of(ours, rival) == Gap(visible=4.5, unknown=0.25, hit=0.75, moved=1 / 3, better=1 / 3, worse=0)
    assert Gap.of(rival, ours) == Gap(visible=4.5, unknown=0.25, hit=0.75, moved=1 / 3, better=0, worse=1 / 3)
    with pytest.raises(ValueError, match="4 and 3 questions, of which 3"):
        Gap.of(ours, rival.iloc[:3])


def test_report_has_every_part_and_is_rebuilt_from_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In both worlds with EASE users have a part of their own; elsewhere they have none.
    used = chain([True, False, True], repeat(False))
    monkeypatch.setattr(OwnGain, "of", lambda *_: OwnGain(0.0, 0.0, used=next(used)))
    few = ("none", "global", EVERYBODY, OURS, "oracle")
    plans = (
        WorldPlan("mixed", ("ease", "itemknn"), ("user_adwin", *few), (0,), 45, 50),
        WorldPlan(TIMESCALES, ("ease",), few, (0,), 45, 50),
        WorldPlan("no-such-log", ("ease",), (), (0,), 10),
    )
    plan = ("none", "global", EVERYBODY, OURS)
    streams = (StreamPlan("simulated-drift", ("ease",), plan, None, 300, together=("ampcf",)),)
    drift.run(plans, streams, tmp_path, candidates=1)
    text = (tmp_path / REPORT_NAME).read_text()
    for part in ("Bars", "What lost", "Worlds with known truth", "Real streams", "Cost", "Personas and decay together"):
        assert f"## {part}" in text
    assert text.index("## What lost") < text.index("## Bars"), "what lost comes first"
    assert "users better / worse" in text
    for words in ("within an hour of the last visible event", "kept, a day after a guest", "a pause of 12 hours"):
        assert words in text
    assert "Not run: world no-such-log: no data set 'no-such-log'" in text
    for fact in ("**date**", "**commit**", "**machine**", "**versions**", "fingerprint"):
        assert fact in text
    for arm in ("user_adwin", EVERYBODY, OURS, "oracle"):
        assert f"\n| {arm} |" in text
    for picture in ("recovery_mixed-drift-ease", "timescales_timescales-ease", "kinds_mixed-drift-ease"):
        assert (tmp_path / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({picture}.png)" in text
    assert "kinds_mixed-drift-itemknn" not in text
    assert text.count("nothing was learned of them") == 1
    _, _, together = text.partition("## Personas and decay together")
    (row,) = (line for line in together.splitlines() if f"ampcf, {OURS} - ampcf, none" in line)
    _, _, arms = text.partition("\n| ampcf | choice |")
    undecayed = next(line for line in arms.splitlines() if line.startswith("| none |"))
    difference = row.split("|")[3].strip()
    assert difference in undecayed
    assert f"| {row.split('|')[7].strip()} |" in undecayed, "one comparison has one p-value"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").rglob("*.parquet")}
    drift.run(plans, streams, tmp_path, candidates=1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").rglob("*.parquet")} == before


def _stream_result(name: str) -> StreamResult:
    """A stream on which per-user decay gains .1 for each of 40 users, over everything."""
    users = pd.DataFrame({"user_id": np.arange(40)})
    rng = np.random.default_rng(0)
    rival = users.assign(**{"ndcg@10": rng.random(40)})
    ours = rival.assign(**{"ndcg@10": rival["ndcg@10"] + 0.1})
    single, pair = ((OURS, ours, "global", rival), ("ampcf, per_user", ours, "ampcf, none", rival))
    arms = {
        arm: {"over_users": {"ndcg@10": value}, "seconds": dict.fromkeys(_SECONDS, 1.0)}
        for arm, value in _MEANS.items()
    }
    difference = {"diff": 0.1, "relative": 0.2, "established": 1}
    paired = {f"{OURS}-{other}": difference for other in ("global", EVERYBODY)}
    content = {"base": "ease", "arms": arms, "bases": {}, "paired": paired}
    together, by_lot = Difference.between(name, *pair), [Difference.by_lot(name, *one) for one in (single, pair)]
    return StreamResult(name, content, 500.0, (together,), tuple(by_lot), Gap(1.0, 0.0, 1.0, 1.0, 1.0, 0.0))


_MEANS = {OURS: 0.6, EVERYBODY: 0.55, "global": 0.5, "none": 0.4}
_SECONDS = ("fit", "weights", "judging", "observing")


def _recovering(scores: ArmScores, value: float) -> ArmScores:
    return replace(scores, recovery=Score(value, value, value, 9))
