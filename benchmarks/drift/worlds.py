"""Worlds whose drift is known: users in three parts, every arm replayed on the last, and the oracle that it is held to.

::

    users    fit        tune                  test
             items      every arm is tuned    every arm is reported, on events that neither items nor tuning have seen
             learned    and learns here

All replays begin at the beginning of each history: nobody asked is known before their own first event. A replay is a
cell on disk (`benchmarks.tools.cells`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from benchmarks.tools.cells import Cells, identity
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset
from recsys.decay.temporal import TemporalDecay
from recsys.errors import DataError
from recsys.evaluation.drift.scores import position_at
from recsys.evaluation.prequential.result import Replay
from recsys.experiments.drift.arms import Chosen, Stage, choose
from recsys.experiments.drift.bases import Base
from recsys.experiments.drift.names import ARMS
from recsys.models.base import Recommender
from recsys.types import Doubles, Floats, Ints
from recsys.worlds.drift import DriftConfig, DriftWorld, Kind, KindShares, simulate_drift
from recsys.worlds.splices import splice_users

Say = Callable[[str], None]

ORACLE, ORACLE_GLOBAL = "oracle", "oracle+global"
WORLD_ARMS: tuple[str, ...] = (*ARMS, ORACLE, ORACLE_GLOBAL)
"""All arms of a world: the rules of forgetting, and the oracle without and with the tuned global half-life."""

CUTOFFS = (5, 10)
_SCORES = 60_000_000
"""Scores of one chunk, "questions items", at most: 240 MB."""
DETECTOR_CANDIDATES = 2
"""A detector's candidates are replays one event after the other, many times as dear as those of a half-life."""


@final
class OracleReset(Forgetting):
    """Told the truth: from the moment a change is over, the events that the change made worthless count nothing.

        w_j = 0 if stale_from_u <= (position of j) < stale_until_u <= (number of visible events), else inner_j

    ABRUPT: everything before the change, from the change on. GRADUAL: everything before the new taste is settled, from
    then on. BURST: the guest's events, from the guest's leaving on. An upper arm for the score, not for use: nobody is
    told. Its weights may rise with age (a guest's events are younger than what counts again).

    Args:
        stale_from: "users", position of the first worthless event; -1: none.
        stale_until: "users", position of the first event that counts again; -1: none.
        inner: what else is forgotten; None: nothing.
    """

    def __init__(self, stale_from: Ints, stale_until: Ints, inner: Forgetting | None = None) -> None:
        self.stale_from, self.stale_until, self.inner = stale_from, stale_until, inner

    def weights(self, queries: Queries) -> Floats:
        history = queries.history
        row = history.rows
        position = np.arange(len(row)) - history.indptr[:-1][row]
        user = queries.users[row]
        until = self.stale_until[user]
        told = (until >= 0) & (history.lengths[row] >= until)
        kept = ~(told & (position >= self.stale_from[user]) & (position < until))
        weights = kept.astype(np.float32)
        return weights if self.inner is None else weights * self.inner.weights(queries)


@final
@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the users of a world, each "users".

    Attributes:
        kind: a `Kind`.
        changed_at: position of the first event after the change; -1: no change.
        stale_from: see `OracleReset`.
        stale_until: see `OracleReset`.
        returns_at: position of the first event after a guest's (BURST); else -1.
        timescale: true half-life of the user's evidence in events; infinite where nothing gets stale.
    """

    kind: Ints
    changed_at: Ints
    stale_from: Ints
    stale_until: Ints
    returns_at: Ints
    timescale: Doubles

    @classmethod
    def of_world(cls, world: DriftWorld) -> Truth:
        """Take the truth of a simulated world; RECURRING and RENEWAL users have no one moment to be reset at."""
        burst = world.kind == Kind.BURST
        until = np.where(burst, world.returns_at, world.settled_at)
        begin = np.where(burst, world.changed_at, np.where(until >= 0, 0, -1))
        return cls(world.kind, world.changed_at, begin, until, world.returns_at, world.timescale)

    @classmethod
    def pooled(cls, parts: Sequence[Truth]) -> Truth:
        """Put the users of several worlds one after the other."""
        names = ("kind", "changed_at", "stale_from", "stale_until", "returns_at", "timescale")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@final
@dataclass(frozen=True, eq=False)
class World:
    """A log with the truth behind it, its users in three parts; the parts keep the vocabularies.

    Attributes:
        name: of the world; worlds of one name and several seeds are pooled.
        seed: of the simulation or the splices, and of who is in which part.
        fit: what the items are learned from.
        tune: what the arms are tuned on, and learn from.
        test: what is reported.
        truth: of the users of `tune` and `test`.
    """

    name: str
    seed: int
    fit: Interactions
    tune: Interactions
    test: Interactions
    truth: Truth

    @property
    def clock(self) -> str:
        """The clock of the log."""
        return self.test.clock


def mixed_world(seed: int, n_users: int, events: int) -> World:
    """Return the simulated world in which a fifth of the users is of each kind of drift."""
    return _simulated("mixed drift", DriftConfig(seed=seed, n_users=n_users, events_per_user=events))


def timescale_world(seed: int, n_users: int, events: int) -> World:
    """Return the simulated world in which each user changes again and again, at a pace of their own."""
    shares = KindShares(0, 0, 0, 0, 0, renewal=1)
    return _simulated("timescales", DriftConfig(seed=seed, n_users=n_users, events_per_user=events, shares=shares))


def _simulated(name: str, config: DriftConfig) -> World:
    made = simulate_drift(config)
    part = np.random.default_rng([config.seed, 1]).permutation(np.arange(config.n_users) % 3)
    fit, tune, test = (made.log.select(part[made.log.user_num] == number) for number in range(3))
    return World(name, config.seed, fit, tune, test, Truth.of_world(made))


def spliced_world(log: Interactions, seed: int, pairs: int | None, minimum_events: int = 20) -> World:
    """Return two real histories joined, for half of the users, and untouched ones for the other half.

    Items are learned from the users of the log that are in no replay, so that no model has seen an event it is asked.

    Args:
        log: with a clock.
        seed: of pairs, cuts, controls and parts.
        pairs: spliced users, tune and test together, and as many controls; None: all there are.
        minimum_events: fewest events of either part.

    Raises:
        DataError: nobody is left to learn the items from.
    """
    made = splice_users(log, seed, pairs=pairs, minimum_events=minimum_events)
    replayed = np.unique(np.concatenate([made.first, made.second[made.second >= 0]]))
    fit = log.select(~np.isin(log.user_num, replayed))
    if len(fit) == 0:
        raise DataError(f"{log.name}: all users are spliced, so the items can be learned from nobody; ask fewer pairs")
    count = len(made.kind) // 2
    part = np.tile(np.random.default_rng([seed, 1]).permutation(np.arange(count) % 2), 2)
    tune, test = (made.log.select(part[made.log.user_num] == number) for number in range(2))
    nobody = np.full(len(made.kind), -1)
    begin = np.where(made.changed_at >= 0, 0, -1)
    scale = np.full(len(made.kind), np.inf)
    truth = Truth(made.kind, made.changed_at, begin, made.changed_at, nobody, scale)
    return World(f"{log.name}, spliced", seed, fit, tune, test, truth)


@final
@dataclass(frozen=True, eq=False)
class Ran:
    """A world's test users under one arm.

    Attributes:
        replay: the questions.
        facts: `choice`, `tried`, `tuning` (seconds).
        alarm_users: "alarms", of a detector; one of everybody is one of each user.
        alarm_positions: "alarms", position in the user's history.
        learned: "users", `TemporalDecay.pace` after the last event: a half-life in events; NaN where none was learned.
    """

    replay: Replay
    facts: dict[str, Any]
    alarm_users: Ints
    alarm_positions: Ints
    learned: Doubles


@final
class WorldBench:
    """One world under one base: the model, what the arms chose, and their replays, made when they are asked for."""

    def __init__(self, world: World, base: Base, cells: Cells, candidates: int, say: Say = lambda _: None) -> None:
        self.world, self.base, self.cells, self.candidates, self.say = world, base, cells, candidates, say
        self._chosen: dict[str, Chosen] = {}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that this world can have: a population's detector needs a clock that all users share."""
        shared = self.world.test.has_time
        return tuple(arm for arm in WORLD_ARMS if shared or not arm.startswith("population"))

    @cached_property
    def model(self) -> Recommender:
        """The base, fitted on the users who are never asked."""
        return self.base.fit(self.world.fit)

    def stage(self, log: Interactions) -> Stage:
        """Return a replay of some users from their first event on."""
        start = int(log.time.min()) if log.has_time else 0
        return Stage(self.model, log, start, chunk=max(1024, _SCORES // log.n_items), seed=self.world.seed)

    def ran(self, arm: str) -> Ran:
        """Return a replay of the test users, from disk where it is finished."""
        name = f"{self.world.name}/{self.world.seed}/{self.base.name}/{arm}".replace(", ", "-").replace(" ", "-")
        key = self._identity(arm)
        stored = self.cells.load(name, key)
        table = self.cells.path(name, "parquet")
        if stored is None or not table.exists():
            begin = time.perf_counter()
            chosen = self._choose(arm)
            replay = self.stage(self.world.test).replay(chosen.rule, cutoffs=CUTOFFS)
            replay.save(table)
            facts = {"choice": chosen.choice, "tried": [list(one) for one in chosen.tried], "tuning": chosen.seconds}
            stored = self.cells.save(name, key, facts, arrays=self._arrays(chosen.rule))
            took = time.perf_counter() - begin
            self.say(f"{name}: {chosen.choice}; NDCG@10 {replay.summary['ndcg@10']:.4f} ({took:.0f} s)")
        arrays = self.cells.arrays(name)
        assert arrays is not None
        return Ran(Replay.load(table), stored, **arrays)

    def _choose(self, arm: str) -> Chosen:
        if arm not in self._chosen:
            self._chosen[arm] = self._oracle(arm) if arm in (ORACLE, ORACLE_GLOBAL) else self._tuned(arm)
        return self._chosen[arm]

    def _tuned(self, arm: str) -> Chosen:
        detector = arm.endswith(("adwin", "page_hinkley"))
        most = min(self.candidates, DETECTOR_CANDIDATES) if detector else self.candidates
        return choose(arm, self.stage(self.world.tune), candidates=most)

    def _oracle(self, arm: str) -> Chosen:
        truth = self.world.truth
        inner = self._choose("global") if arm == ORACLE_GLOBAL else None
        rule = OracleReset(truth.stale_from, truth.stale_until, None if inner is None else inner.rule)
        return Chosen(rule, "the truth" if inner is None else f"the truth, {inner.choice}", (), 0.0)

    def _arrays(self, rule: Forgetting | None) -> Mapping[str, npt.NDArray[Any]]:
        test = self.world.test
        users, positions = np.zeros(0, np.int64), np.zeros(0, np.int64)
        learned = np.full(test.n_users, np.nan)
        if isinstance(rule, DetectorReset):
            users, positions = alarms_by_user(rule.alarms, test)
        if isinstance(rule, TemporalDecay):
            asked = np.unique(test.user_num)
            learned[asked] = rule.pace(asked)
        return {"alarm_users": users, "alarm_positions": positions, "learned": learned}

    def _identity(self, arm: str) -> str:
        world = self.world
        logs = [part.fingerprint for part in (world.fit, world.tune, world.test)]
        return identity(logs, world.seed, self.base.experiment.to_dict(), arm, self.candidates)


def alarms_by_user(alarms: Ints, log: Interactions) -> tuple[Ints, Ints]:
    """Return users and positions of alarms; one of everybody (user -1) becomes one of each user, at their next event.

    Args:
        alarms: "alarms 2", (user, time), as `DetectorReset.alarms`.
        log: the stream.
    """
    lengths = np.diff(log.indptr)
    users, positions = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    everybody = np.arange(log.n_users)
    for user, moment in alarms.tolist():
        at = position_at(log, np.full(log.n_users, moment))
        mine = everybody[(at > 0) & (at < lengths)] if user < 0 else np.asarray([user])
        users.append(mine)
        positions.append(at[mine])
    return np.concatenate(users), np.concatenate(positions)
