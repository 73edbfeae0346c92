"""Scores of the arms of a world with known truth, the test users of all its seeds pooled.

Users are pooled, not averaged: each seed is another population with other items, so its users are new, and intervals
are over users. Formulas: `recsys.evaluation.drift.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.drift.worlds import DETECTORS, ORACLE, ORACLE_GLOBAL, Truth, World, WorldReplay
from benchmarks.tools.differences import Difference, corrected
from recsys.evaluation.drift.detection import Detection, detection
from recsys.evaluation.drift.scores import degradation_area, per_user, recovery, relative_cost, timescale_recovery
from recsys.evaluation.resampling import Score
from recsys.worlds.drift import Kind

METRICS = ("ndcg@10", "hr@10")
OURS = "per_user"
EVERYBODY = "population"
"""What per-user decay is without what is a user's own: one mixture of hypotheses for all."""
HORIZON = 50
"""Number of events after a change that count."""
MIN_EVENTS = 50
"""Fewest events of a user whose learned timescale is compared with the true one."""
TRUTHS = (ORACLE, ORACLE_GLOBAL)


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """One world under one base: the test users of all seeds, one after the other."""

    world: str  # name of the world
    base: str  # name of the base
    clock: str  # of its logs
    seeds: tuple[int, ...]  # of the pooled worlds
    truth: Truth  # of all users
    tables: Mapping[str, pd.DataFrame]  # by arm, questions as in `Replay.table`, users numbered through
    runs: Mapping[str, Sequence[WorldReplay]]  # by arm, the replay of each seed
    offsets: npt.NDArray[np.int64]  # "seeds + 1", the first user of each seed
    lengths: npt.NDArray[np.int64]  # "users", events of the user in the test log

    @classmethod
    def of(cls, worlds: Sequence[World], base: str, runs: Mapping[str, Sequence[WorldReplay]]) -> Pool:
        """Pool worlds of one name and several seeds, with one replay of each world by arm."""
        offsets = np.cumsum([0, *(world.test.n_users for world in worlds)])
        tables = {}
        for arm, replays in runs.items():
            parts = []
            for world, offset, run in zip(worlds, offsets, replays, strict=False):
                table = run.replay.table
                names = [f"{world.seed}:{user}" for user in table["user_id"]]
                parts.append(table.assign(user_num=table["user_num"].to_numpy(np.int64) + offset, user_id=names))
            tables[arm] = pd.concat(parts, ignore_index=True)
        lengths = np.concatenate([np.diff(world.test.indptr) for world in worlds])
        seeds = tuple(world.seed for world in worlds)
        truth = Truth.pooled([world.truth for world in worlds])
        return cls(worlds[0].name, base, worlds[0].clock, seeds, truth, tables, runs, offsets, lengths)

    @property
    def title(self) -> str:
        """The world and the base, as a heading."""
        return f"{self.world}, {self.base}"

    @property
    def tested(self) -> npt.NDArray[np.bool_]:
        """ "users", whether the user has questions."""
        return self.lengths > 0

    def users(self, *kinds: Kind) -> npt.NDArray[np.bool_]:
        """ "users", the test users of some kinds."""
        return np.isin(self.truth.kind, kinds) & self.tested

    def moments(self, *kinds: Kind) -> npt.NDArray[np.int64]:
        """ "users", position at which the oracle empties the history of users of some kinds; -1 for all others."""
        return np.where(self.users(*kinds), self.truth.stale_until, -1)

    @property
    def oracle(self) -> str:
        """The reference oracle: the one that is better on ABRUPT users' questions after their change.

        On real logs even users without a change gain by forgetting, and an oracle without forgetting is no upper bound.
        """
        moments = self.moments(Kind.ABRUPT)
        level = {}
        for arm in TRUTHS:
            if arm in self.tables:
                table = self.tables[arm]
                since = moments[table["user_num"].to_numpy()]
                level[arm] = table.loc[(since >= 0) & (table["position"] >= since), METRICS[0]].mean()
        return max(level, key=lambda arm: level[arm])

    def pooled(self, arm: str, name: str) -> npt.NDArray[np.float64]:
        """ "users", `learned` or `median` of an arm."""
        return np.concatenate([getattr(run, name) for run in self.runs[arm]])

    def choices(self, arm: str) -> str:
        """The choice of an arm, seed by seed where seeds differ."""
        choices = [run.facts["choice"] for run in self.runs[arm]]
        return choices[0] if len(set(choices)) == 1 else "; ".join(choices)


@final
@dataclass(frozen=True)
class ArmScores:
    """Scores of one arm; a `Score` without users does not apply to the world."""

    means: Mapping[str, float]  # mean over users of each of `METRICS`
    over_questions: Mapping[str, float]  # mean over questions of each of `METRICS`
    by_kind: Mapping[str, float]  # NDCG@10, mean over the users of each kind that the world has
    recovery: Score  # events to 95% of the oracle's curve: of ABRUPT users
    recovery_level: Score  # to 95% of the level that the oracle settles at
    recovery_all: Score  # to the oracle's curve, of ABRUPT and GRADUAL users
    area: Score  # degradation area of ABRUPT users
    stable_cost: Score  # relative loss of STABLE users against no decay
    burst_cost: Score  # of BURST users, once the guest has left
    # the same from the second event on, as the first is needed to notice that the guest has left
    burst_cost_after: Score
    detection: Detection | None  # of the alarms; None without a detector
    seconds_per_1000: float  # of the replay, for 1,000 events
    bytes_per_user: float  # state


def arm_scores(pool: Pool, arm: str) -> ArmScores:
    """Return the scores of an arm of a world."""
    table, oracle, none = pool.tables[arm], pool.tables[pool.oracle], pool.tables["none"]
    abrupt, changed = pool.moments(Kind.ABRUPT), pool.moments(Kind.ABRUPT, Kind.GRADUAL)
    users = per_user(table, METRICS)
    kind, returns = pool.truth.kind[users["user_num"].to_numpy()], pool.truth.returns_at
    present = [one for one in Kind if (kind == one).any()]
    replays = [run.replay for run in pool.runs[arm]]
    seconds = sum(sum(replay.seconds.values()) for replay in replays)
    return ArmScores(
        {name: float(users[name].mean()) for name in METRICS},
        {name: float(table[name].mean()) for name in METRICS},
        {one.name.lower(): float(users.loc[kind == one, METRICS[0]].mean()) for one in present},
        recovery(table, oracle, abrupt, horizon=HORIZON),
        recovery(table, oracle, abrupt, against="level", horizon=HORIZON),
        recovery(table, oracle, changed, horizon=HORIZON),
        degradation_area(table, oracle, abrupt, horizon=HORIZON),
        relative_cost(table, none, pool.users(Kind.STABLE)),
        relative_cost(table, none, pool.users(Kind.BURST), from_position=returns),
        relative_cost(table, none, pool.users(Kind.BURST), from_position=np.where(returns >= 0, returns + 1, -1)),
        _detection(pool, arm),
        1000 * seconds / len(table),
        max(replay.state_bytes for replay in replays),
    )


def timescales(pool: Pool, *, by_lot: bool = False) -> Score:
    """Return Spearman's correlation of learned and true timescale over the test users with enough events.

    With `by_lot`, a placebo, every user gets the timescale learned for another one.
    """
    true = np.where(pool.tested, pool.truth.timescale, np.nan)
    learned = pool.pooled(OURS, "learned")
    if by_lot:
        counts = np.flatnonzero(np.isfinite(true) & ~np.isnan(learned))
        learned[counts] = learned[np.random.default_rng(0).permutation(counts)]
    return timescale_recovery(learned, true, events=pool.lengths, min_events=MIN_EVENTS)


def differences(pools: Sequence[Pool], *, by_lot: bool = False) -> list[Difference]:
    """Return `per_user` minus every other arm but the oracles in every world, one family of tests.

    With `by_lot`, a placebo, the values of the two arms are exchanged for every user by lot.
    """
    compared = Difference.by_lot if by_lot else Difference.between
    pairs = [
        compared(pool.title, OURS, ours, arm, per_user(table, METRICS[:1]))
        for pool in pools
        for ours in [per_user(pool.tables[OURS], METRICS[:1])]
        for arm, table in pool.tables.items()
        if arm not in (OURS, *TRUTHS)
    ]
    return corrected(pairs)


def _detection(pool: Pool, arm: str) -> Detection | None:
    """Alarms of ABRUPT and STABLE users; for the other kinds a right moment is not defined."""
    if not arm.endswith(DETECTORS):
        return None
    runs = list(zip(pool.runs[arm], pool.offsets, strict=False))
    users = np.concatenate([run.alarm_users + offset for run, offset in runs])
    positions = np.concatenate([run.alarm_positions for run, _ in runs])
    scored = pool.users(Kind.ABRUPT, Kind.STABLE)
    mine = scored[users]
    changed = np.where(pool.users(Kind.ABRUPT), pool.truth.changed_at, -1)
    stop = np.where(scored, pool.lengths, 0)
    return detection(users[mine], positions[mine], changed, np.zeros_like(stop), stop, horizon=HORIZON)
