"""Worlds with known drift: users in three parts, replays of every arm on the last part, and the oracle.

::

    users    fit             tune                   test
             item models     every arm is tuned     every arm is reported, on events unseen by items and tuning
             are fitted      and learns here

All replays start with the first event of each history. A replay is a cell on disk (`benchmarks.tools.cells`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from benchmarks.tools.cells import Cells, identity
from benchmarks.tools.command import Say
from benchmarks.tools.report import slug
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset
from recsys.decay.temporal import TemporalDecay
from recsys.errors import DataError
from recsys.evaluation.drift.scores import position_at
from recsys.evaluation.prequential.result import Replay
from recsys.experiments.drift.arms import Stage, TunedRule, choose
from recsys.experiments.drift.bases import Base
from recsys.experiments.drift.names import ARMS
from recsys.models.base import Recommender
from recsys.types import Doubles, Floats, Ints
from recsys.worlds.drift import DriftConfig, DriftWorld, Kind, KindShares, simulate_drift
from recsys.worlds.splices import splice_users

ORACLE, ORACLE_GLOBAL = "oracle", "oracle+global"
WORLD_ARMS: tuple[str, ...] = (*ARMS, ORACLE, ORACLE_GLOBAL)
"""All arms of a world: the rules of forgetting, and the oracle without and with the tuned global half-life."""

CUTOFFS = (5, 10)
_SCORES = 60_000_000
"""Scores of one chunk, "questions items", at most: 240 MB."""
DETECTORS = ("adwin", "page_hinkley")
"""Ends of the names of arms that detect changes."""

DETECTOR_CANDIDATES = 2
"""Of a detector: its replays run event by event, at many times the cost of those of a half-life."""


@final
class OracleReset(Forgetting):
    """Knows the truth: after a change, the events that it made worthless have no weight.

        w_j = 0 if stale_from_u <= (position of j) < stale_until_u <= (number of visible events), else inner_j

    ABRUPT: everything before the change, from the change on. GRADUAL: everything before the new taste is reached, from
    then on. BURST: the guest's events, after the guest has left. An upper bound of the score, not for use. Its weights
    may rise with age (a guest's events are younger than those that count again).

    Args:
        stale_from: "users", position of the first worthless event; -1: none.
        stale_until: "users", position of the first event that counts again; -1: none.
        inner: a further rule of forgetting; None: none.
    """

    def __init__(self, stale_from: Ints, stale_until: Ints, inner: Forgetting | None = None) -> None:
        self.stale_from, self.stale_until, self.inner = stale_from, stale_until, inner

    def weights(self, queries: Queries) -> Floats:
        history = queries.history
        row = history.rows
        position = np.arange(len(row)) - history.indptr[:-1][row]
        user = queries.users[row]
        until = self.stale_until[user]
        over = (until >= 0) & (history.lengths[row] >= until)
        counts = ~(over & (position >= self.stale_from[user]) & (position < until))
        weights = counts.astype(np.float32)
        return weights if self.inner is None else weights * self.inner.weights(queries)


@final
@dataclass(frozen=True, eq=False)
class Truth:
    """The truth about the users of a world, each "users"."""

    kind: Ints  # a `Kind`
    changed_at: Ints  # position of the first event after the change; -1: no change
    stale_from: Ints  # see `OracleReset`
    stale_until: Ints  # see `OracleReset`
    returns_at: Ints  # position of the first event after a guest's (BURST); else -1
    timescale: Doubles  # true half-life of the user's evidence in events; infinite where it does not age

    @classmethod
    def of_world(cls, world: DriftWorld) -> Truth:
        """Take the truth of a simulated world; RECURRING and RENEWAL users have no single moment of reset."""
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
    """A log with its truth, its users in three parts with the vocabularies of the whole log."""

    name: str  # of the world; worlds of one name and several seeds are pooled
    seed: int  # of the simulation or the splices, and of the parts
    fit: Interactions  # the log of the item models
    tune: Interactions  # the log on which the arms are tuned, and learn
    test: Interactions  # the log of the report
    truth: Truth  # of the users of `tune` and `test`

    @property
    def clock(self) -> str:
        """The clock of the log."""
        return self.test.clock


def mixed_world(seed: int, n_users: int, events: int) -> World:
    """Return the simulated world in which a fifth of the users is of each kind of drift."""
    return _simulated("mixed drift", DriftConfig(seed=seed, n_users=n_users, events_per_user=events))


def timescale_world(seed: int, n_users: int, events: int) -> World:
    """Return the simulated world in which each user changes repeatedly, at an individual pace."""
    shares = KindShares(0, 0, 0, 0, 0, renewal=1)
    return _simulated("timescales", DriftConfig(seed=seed, n_users=n_users, events_per_user=events, shares=shares))


def _simulated(name: str, config: DriftConfig) -> World:
    world = simulate_drift(config)
    part = np.random.default_rng([config.seed, 1]).permutation(np.arange(config.n_users) % 3)
    fit, tune, test = (world.log.select(part[world.log.user_num] == number) for number in range(3))
    return World(name, config.seed, fit, tune, test, Truth.of_world(world))


def spliced_world(log: Interactions, seed: int, pairs: int | None, minimum_events: int = 20) -> World:
    """Return a world whose users are half spliced from two real histories each, half unchanged.

    Items are learned from the users of the log that are in no replay, so that no model has seen an event of a question.

    Args:
        log: with a clock.
        seed: of pairs, cuts, controls and parts.
        pairs: spliced users, tune and test together, and as many controls; None: as many as possible.
        minimum_events: fewest events of either part.

    Raises:
        DataError: no user is left for the item models.
    """
    splices = splice_users(log, seed, pairs=pairs, minimum_events=minimum_events)
    replayed = np.unique(np.concatenate([splices.first, splices.second[splices.second >= 0]]))
    fit = log.select(~np.isin(log.user_num, replayed))
    if len(fit) == 0:
        raise DataError(f"{log.name}: all users are spliced, so none is left to learn the items from; take fewer pairs")
    count = len(splices.kind) // 2
    part = np.tile(np.random.default_rng([seed, 1]).permutation(np.arange(count) % 2), 2)
    tune, test = (splices.log.select(part[splices.log.user_num] == number) for number in range(2))
    no_return = np.full(len(splices.kind), -1)
    begin = np.where(splices.changed_at >= 0, 0, -1)
    scale = np.full(len(splices.kind), np.inf)
    truth = Truth(splices.kind, splices.changed_at, begin, splices.changed_at, no_return, scale)
    return World(f"{log.name}, spliced", seed, fit, tune, test, truth)


_FORMAT = 2
"""Of replays and of the rules behind them; those of another one are made again."""


@final
@dataclass(frozen=True, eq=False)
class WorldReplay:
    """A world's test users under one arm."""

    replay: Replay  # of the test users
    facts: dict[str, Any]  # `choice`, `tried`, `tuning` (seconds)
    alarm_users: Ints  # "alarms", of a detector; an alarm for all users is one for each
    alarm_positions: Ints  # "alarms", position in the user's history
    # "users", `TemporalDecay.pace` after the last event: a half-life in events; NaN where none was learned
    learned: Doubles


@final
class WorldBench:
    """One world under one base: the model, the choices of the arms and their replays, each made on demand."""

    def __init__(self, world: World, base: Base, cells: Cells, candidates: int, say: Say = lambda _: None) -> None:
        self.world, self.base, self.cells, self.candidates, self.say = world, base, cells, candidates, say
        self._chosen: dict[str, TunedRule] = {}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of this world: the detector of a population needs a clock that all users share."""
        shared = self.world.test.has_time
        return tuple(arm for arm in WORLD_ARMS if shared or not arm.startswith("population"))

    @cached_property
    def model(self) -> Recommender:
        """The base, fitted on the users of `fit`."""
        return self.base.fit(self.world.fit)

    def stage(self, log: Interactions) -> Stage:
        """Return a replay of some users from their first event on."""
        start = int(log.time.min()) if log.has_time else 0
        return Stage(self.model, log, start, chunk=max(1024, _SCORES // log.n_items), seed=self.world.seed)

    def replay(self, arm: str) -> WorldReplay:
        """Return a replay of the test users, from disk where it is finished."""
        name = slug(f"{self.world.name}/{self.world.seed}/{self.base.name}/{arm}")
        key = self._identity(arm)
        stored = self.cells.load(name, key)
        table = self.cells.path(name, "parquet")
        if stored is None or not table.exists():
            begin = time.perf_counter()
            chosen = self._choose(arm)
            made = self.stage(self.world.test).replay(chosen.rule, cutoffs=CUTOFFS)
            made.save(table)
            facts = {"choice": chosen.choice, "tried": [list(one) for one in chosen.tried], "tuning": chosen.seconds}
            stored = self.cells.save(name, key, facts, arrays=self._arrays(chosen.rule))
            took = time.perf_counter() - begin
            self.say(f"{name}: {chosen.choice}; NDCG@10 {made.summary['ndcg@10']:.4f} ({took:.0f} s)")
        arrays = self.cells.arrays(name)
        assert arrays is not None
        return WorldReplay(Replay.load(table), stored, **arrays)

    def _choose(self, arm: str) -> TunedRule:
        if arm not in self._chosen:
            self._chosen[arm] = self._oracle(arm) if arm in (ORACLE, ORACLE_GLOBAL) else self._tuned(arm)
        return self._chosen[arm]

    def _tuned(self, arm: str) -> TunedRule:
        most = min(self.candidates, DETECTOR_CANDIDATES) if arm.endswith(DETECTORS) else self.candidates
        return choose(arm, self.stage(self.world.tune), candidates=most)

    def _oracle(self, arm: str) -> TunedRule:
        truth = self.world.truth
        inner = self._choose("global") if arm == ORACLE_GLOBAL else None
        rule = OracleReset(truth.stale_from, truth.stale_until, None if inner is None else inner.rule)
        return TunedRule(rule, "the truth" if inner is None else f"the truth, {inner.choice}", (), 0.0)

    def _arrays(self, rule: Forgetting | None) -> Mapping[str, npt.NDArray[Any]]:
        test = self.world.test
        users, positions = np.zeros(0, np.int64), np.zeros(0, np.int64)
        learned = np.full(test.n_users, np.nan)
        if isinstance(rule, DetectorReset):
            users, positions = alarms_by_user(rule.alarms, test)
        if isinstance(rule, TemporalDecay) and rule.observes:
            active = np.unique(test.user_num)
            learned[active] = rule.pace(active)
        return {"alarm_users": users, "alarm_positions": positions, "learned": learned}

    def _identity(self, arm: str) -> str:
        world = self.world
        logs = [part.fingerprint for part in (world.fit, world.tune, world.test)]
        return identity(logs, world.seed, self.base.experiment.to_dict(), arm, self.candidates, _FORMAT)


def alarms_by_user(alarms: Ints, log: Interactions) -> tuple[Ints, Ints]:
    """Return users and positions of `DetectorReset.alarms`; one for all users (-1) becomes one for each, at the next
    event.
    """
    lengths = np.diff(log.indptr)
    users, positions = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    all_users = np.arange(log.n_users)
    for user, moment in alarms.tolist():
        at = position_at(log, np.full(log.n_users, moment))
        mine = all_users[(at > 0) & (at < lengths)] if user < 0 else np.asarray([user])
        users.append(mine)
        positions.append(at[mine])
    return np.concatenate(users), np.concatenate(positions)
