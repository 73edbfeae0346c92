"""Results of one base under one arm of the drift benchmark: replayed, stored on disk and read back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.sessions import PAUSE, Ask, came_back
from recsys.data.splits.assembly import time_cuts
from recsys.data.stream import Stream
from recsys.decay.detectors import DetectorReset
from recsys.decay.temporal import TemporalDecay
from recsys.errors import DataError
from recsys.evaluation.prequential.checkpoint import digest
from recsys.evaluation.prequential.replay import QuestionSettings, Refitting, events_before
from recsys.evaluation.prequential.result import Replay
from recsys.evaluation.ranking import Progress
from recsys.experiments.drift.arms import Stage, TunedRule, choose
from recsys.experiments.drift.bases import Base
from recsys.experiments.drift.beliefs import describe_beliefs
from recsys.experiments.drift.candidates import ALL_GLOBAL
from recsys.experiments.drift.names import HINDSIGHT, RETRAINED
from recsys.experiments.drift.visits import measure_visits
from recsys.files import write_json
from recsys.models.base import Recommender
from recsys.types import DAY

Say = Callable[[str], object]

_FORMAT = 5
"""Of results and of the tuning behind them; results of another one are made again."""

_HEARTBEAT = 20.0
"""Seconds between two lines of progress."""


@final
@dataclass(frozen=True)
class Settings:
    """The settings of a drift benchmark, beside the log, the bases and the arms.

    Attributes:
        validation: share of the events, in time, before the validation stage.
        test: share of the events before the test stage.
        users: query at most so many users in each stage, drawn by the seed; all when None. Models are fitted on all.
        ask: when the question is asked, see `recsys.data.sessions`; None: by sessions.
        pause: seconds that end a session.
        came_back: ask only users who have been there for a day or more within the log of the stage.
        limit: at most the first so many questions of each stage.
        candidates: rules that an arm may try.
        retrain_days: days between two fits of the retrained arms; on a clock of periods every period.
        seed: of the models, of the users drawn, and of the items that learning by gradient compares with.
    """

    validation: float = 0.6
    test: float = 0.7
    users: int | None = None
    ask: Ask | None = None
    pause: int = PAUSE
    came_back: bool = False
    limit: int | None = None
    candidates: int = 12
    retrain_days: int = 30
    seed: int = 0


@final
@dataclass(frozen=True, eq=False)
class ArmResult:
    """The result of one base under one arm.

    Attributes:
        replay: of the test stage.
        facts: choice, tried, seconds, fits, what visits do to lists (`visits.Visits`) except of retrained models, and
            the alarms or half-lives of a rule that has them.
    """

    replay: Replay
    facts: dict[str, Any]


@final
class Bench:
    """One base on one log: its two fits, its stages and its results.

    ::

        time    0%                     60%        70%                    100%
        first   ====== fitted =========| tuning   |                           validation stage, its log ends at 70%
        second  ====== fitted ====================| ? ? ? ? ? ? ? ? ? ? ? ?   test stage, reported

    Boundaries are moments: an event at one is on its later side, so equal times are never on both.
    """

    def __init__(self, base: Base, log: Interactions, settings: Settings, folder: Path, say: Say) -> None:
        self.base, self.log, self.settings, self.say = base, log.every, settings, say
        self._learned_log = log  # of several events of a user, item and kind models learn the last
        self._folder = folder / base.name
        self.validation_start, self.test_start = time_cuts(self.log, [settings.validation, settings.test])
        self._fitted: dict[int, tuple[Recommender, float]] = {}
        self._tuned: dict[str, TunedRule] = {}

    def prepare(self) -> None:
        """Fit both models.

        Raises:
            CapabilityError: the base refuses the log.
        """
        for start in (self.validation_start, self.test_start):
            self._model(start)

    def release(self) -> None:
        """Free the memory of the models for the next base."""
        self._fitted.clear()
        self._tuned.clear()

    def result(self, arm: str) -> ArmResult:
        """Return the result of an arm, from disk where it is finished; resume where it was interrupted."""
        stored = self.stored(arm)
        if stored is not None:
            return stored
        name = f"{self.base.name}, {arm}"
        tuned = self._tune(RETRAINED.get(arm, arm))
        self.say(f"{name}: {tuned.choice}; replaying")
        underway = self._folder / f"{arm}.underway"
        replayed = self.stage(self.test_start).replay(
            tuned.rule,
            refitting=self._refitting() if arm in RETRAINED else None,
            checkpoint=underway / self._identity(arm)[:16],
            progress=heartbeat(self.say, name),
        )
        facts = self._facts(tuned, replayed)
        if arm not in RETRAINED:
            visits = measure_visits(self.stage(self.test_start), tuned.rule)
            facts["visits"] = None if visits is None else visits.to_dict()
        replayed.save(self._table(arm))
        # Last: it marks the result as complete.
        write_json(self._record(arm), {"identity": self._identity(arm)} | facts)
        shutil.rmtree(underway, ignore_errors=True)
        self.say(f"{name}: NDCG@10 {replayed.over_users['ndcg@10']:.4f} on {len(replayed.table)} questions")
        return ArmResult(replayed, facts)

    def stage(self, start: int) -> Stage:
        """Return the stage that begins at one of the two boundaries."""
        later = self.log.time >= start
        visible = np.ones(len(self.log), np.bool_)
        if start == self.validation_start:
            visible = self.log.time < self.test_start
            later &= visible
        settings = self.settings
        if settings.users is not None or settings.came_back:
            active = np.bincount(self.log.user_num[later], minlength=self.log.n_users) > 0
            if settings.came_back:
                active &= came_back(self.log.select(visible))
            most = self.log.n_users if settings.users is None else settings.users
            visible &= drawn(active, most, settings.seed)[self.log.user_num]
        questions = QuestionSettings(settings.ask, settings.pause, limit=settings.limit)
        return Stage(self._model(start), self.log.select(visible), start, questions, seed=self.settings.seed)

    def _tune(self, arm: str) -> TunedRule:
        """Return the tuned rule of an arm; a replay resets what the rule learned in the one before."""
        if arm not in self._tuned:
            name = f"{self.base.name}, {arm}"
            if arm != "none":
                self.say(f"{name}: tuning")
            report = heartbeat(self.say, f"{name}, candidates")
            if arm == HINDSIGHT:
                stage, family, most = self.stage(self.test_start), "global", ALL_GLOBAL
            else:
                stage, family, most = self.stage(self.validation_start), arm, self.settings.candidates
            self._tuned[arm] = choose(family, stage, candidates=most, progress=report)
        return self._tuned[arm]

    def _model(self, start: int) -> Recommender:
        if start not in self._fitted:
            before = events_before(self._learned_log, start)
            self.say(f"{self.base.name}: fitting on {len(before)} events")
            begin = time.perf_counter()
            model = self.base.fit(before)
            self._fitted[start] = (model, time.perf_counter() - begin)
        return self._fitted[start][0]

    def _refitting(self) -> Refitting:
        """Return the schedule. The model is fitted on all users, also where the replay is of some only."""
        stage = self.stage(self.test_start)
        every = self.settings.retrain_days * DAY if self.log.clock == "seconds" else 1
        stream = Stream.of(stage.log, stage.start, stage.question_settings)
        boundaries = stage.start + np.unique(stream.epochs(every)) * every
        # Between two of them there are questions, so the number of earlier events tells which boundary it is.
        earlier = np.searchsorted(np.sort(stage.log.time), boundaries, side="left")
        boundary_of = dict(zip(earlier.tolist(), boundaries.tolist(), strict=True))
        return Refitting(lambda seen: self.base.fit(events_before(self._learned_log, boundary_of[len(seen)])), every)

    def _facts(self, tuned: TunedRule, replayed: Replay) -> dict[str, Any]:
        rule = tuned.rule
        facts: dict[str, Any] = {
            "choice": tuned.choice,
            "tried": [list(entry) for entry in tuned.tried],
            "seconds": {"fit": self._fitted[self.test_start][1], "tuning": tuned.seconds} | replayed.seconds,
            "fits": int(replayed.table["trained_until"].nunique()),
        }
        if isinstance(rule, DetectorReset):
            facts["alarms"] = len(rule.alarms)
        if isinstance(rule, TemporalDecay):
            facts["own_gain"] = None if rule.own_gain is None else asdict(rule.own_gain)
            facts["half_lives"] = describe_beliefs(rule, np.unique(replayed.table["user_num"]), self.log.clock)
        return facts

    def _identity(self, arm: str) -> str:
        """Return a digest of everything that an arm's result depends on."""
        settings = self.settings if arm in RETRAINED else replace(self.settings, retrain_days=0)
        return identity(self.log, settings, {"base": self.base.experiment.to_dict(), "arm": arm})

    def stored(self, arm: str) -> ArmResult | None:
        """Return the finished result of an arm from disk; None where it has to be computed."""
        record = read_json(self._record(arm))
        if record is None or record.pop("identity", None) != self._identity(arm):
            return None
        return ArmResult(Replay.load(self._table(arm)), record)

    def _table(self, arm: str) -> Path:
        return self._folder / f"{arm}.parquet"

    def _record(self, arm: str) -> Path:
        return self._folder / f"{arm}.json"


def identity(log: Interactions, settings: Settings, facts: Mapping[str, Any]) -> str:
    """Return a digest of a log, settings and other facts that a result depends on, and of the version."""
    common = {"log": log.fingerprint, "clock": log.clock, "settings": asdict(settings), "version": version("recsys")}
    return digest({**common, "format": _FORMAT, **facts}, {})


def drawn(active: npt.NDArray[np.bool_], most: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return "users": at most so many of the active users, the first in one random order.

    So users who are active in both stages tend to be in both samples.

    >>> int(drawn(np.array([True, False, True, True]), 2, seed=0).sum())
    2
    """
    order = np.random.default_rng(seed).permutation(len(active))
    sample = np.zeros(len(active), np.bool_)
    sample[order[active[order]][:most]] = True
    return sample


def heartbeat(say: Say, name: str) -> Progress:
    """Return a progress that reports a line every `_HEARTBEAT` seconds."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _HEARTBEAT and done < total:
            last = time.monotonic()
            say(f"{name}: {done} of {total}")

    return report


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file; None if there is none.

    Raises:
        DataError: it is not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete it to make it again") from error
    return content
