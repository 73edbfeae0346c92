"""Tuning of the compared rules of forgetting, with the same budget each, on a stage that is not reported.

    validation stage   |==== earlier half ====|==== later half ====|
    global, window     | every candidate replays all of it         |   fixed, or learning online
    detectors          |                                           |
    koren, gradient    | learned here         | replayed here      |   then learned on all of it
    per_user           | changes, prior       | replayed here      |   then changes, prior and beliefs from all of it;
                       |                      |                    |   without users' own part if it earned nothing
    population         | one mixture for everybody, without beliefs about users and changes of taste

A candidate's score is its prequential NDCG@10, the mean over users, which is what reports weigh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock
from recsys.decay.base import Forgetting
from recsys.decay.gradient import MOST_EVENTS, GradientHalfLife
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import CalibrationUtilities, TemporalDecay
from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.ranking import Progress
from recsys.experiments.drift.candidates import EVERYBODY, OWN, SPREADS, Learning, rules_of, unit
from recsys.experiments.drift.names import ARMS
from recsys.experiments.drift.stage import Stage
from recsys.models.calibration_set import CalibrationSet
from recsys.types import Doubles, Floats

__all__ = ["TunedRule", "Stage", "choose"]

METRIC = "ndcg@10"

_EPOCHS = 20
"""Passes of learning by gradient over about as many batches, so some hundred steps of Adam."""


@final
@dataclass(frozen=True, eq=False)
class TunedRule:
    """The result of tuning and learning on the validation stage.

    Attributes:
        rule: ready for the test stage; None: no decay.
        choice: in words.
        tried: every candidate in words, with its validation NDCG@10.
        seconds: of tuning and learning.
    """

    rule: Forgetting | None
    choice: str
    tried: tuple[tuple[str, float], ...]
    seconds: float


def choose(arm: str, validation: Stage, *, candidates: int = 12, progress: Progress | None = None) -> TunedRule:
    """Tune an arm's rule on a validation stage.

    The rule with the highest prequential NDCG@10 (mean over users) is taken, the first of equals. "global" and
    "window" may also choose no decay, which is no candidate of the budget.

    Args:
        arm: one of `ARMS`.
        validation: whose model was not fitted on its questions, and whose log ends before the test.
        candidates: how many rules may be tried.
        progress: called after each candidate with how many were tried, of how many.

    Raises:
        ConfigError: an unknown arm, or no candidate.
        DataError: there are no questions, or none to learn from.
        CapabilityError: the model cannot fold in; or a detector lacks its library.
    """
    if arm not in ARMS:
        raise ConfigError(f"no arm {arm!r}{nearest(arm, ARMS)}; there are {', '.join(ARMS)}")
    if candidates < 1:
        raise ConfigError(f"candidates is {candidates}; it must be at least 1")
    if arm == "none":
        return TunedRule(None, "no decay", (), 0.0)
    begin = time.perf_counter()
    if arm in ("koren", "gradient"):
        rule, choice, tried = _by_gradient(validation, candidates, progress, koren=arm == "koren")
    elif arm in ("population", "per_user"):
        rule, choice, tried = _per_user(validation, candidates, progress, own=arm == "per_user")
    else:
        rule, choice, tried = _by_replay(validation, rules_of(arm, validation.log.clock, candidates), progress)
    return TunedRule(rule, choice, tried, time.perf_counter() - begin)


_Tried = tuple[tuple[str, float], ...]
_Result = tuple[Forgetting | None, str, _Tried]


def _by_replay(stage: Stage, rules: Mapping[str, Forgetting | None], progress: Progress | None) -> _Result:
    """Replay the stage with each rule."""
    best, tried = _best(rules, lambda rule: _score(stage, rule), progress)
    return rules[best], best, tried


_Candidate = TypeVar("_Candidate")


def _best(
    candidates: Mapping[str, _Candidate], score: Callable[[_Candidate], float], progress: Progress | None
) -> tuple[str, _Tried]:
    """Return the description of the first candidate with the highest score, and the scores of all."""
    scores: dict[str, float] = {}
    for words, candidate in candidates.items():
        scores[words] = score(candidate)
        if progress is not None:
            progress(len(scores), len(candidates))
    return max(scores, key=scores.__getitem__), tuple(scores.items())


def _score(stage: Stage, rule: Forgetting | None) -> float:
    return stage.replay(rule, cutoffs=(10,)).over_users[METRIC]


def _halves(stage: Stage, calibration: CalibrationSet) -> tuple[CalibrationSet, Stage]:
    """Return the calibration events of the earlier half of a stage, and its later half as a stage.

    Raises:
        DataError: all calibration events are of one moment, so that none is earlier.
    """
    times = calibration.stream.now  # with windows the beginning of each: the halves must not cut one
    later = np.unique(times[times > times[calibration.rows[0]]])
    if len(later) == 0:
        raise DataError(
            f"{stage.log.name}: all validation questions to learn from are of one time ({times[0]}), so there is no "
            "earlier half to learn on and no later one to score; give a longer validation part"
        )
    middle = int(later[min(int(np.searchsorted(later, np.median(times))), len(later) - 1)])
    earlier = calibration.rows[calibration.stream.times[calibration.rows] < middle]
    # The limit counts questions, those of the earlier half too.
    questions = replace(stage.question_settings, limit=int((times >= middle).sum()))
    return replace(calibration, rows=earlier), replace(stage, start=middle, question_settings=questions)


def _by_gradient(stage: Stage, most: int, progress: Progress | None, *, koren: bool) -> _Result:
    """Learn half-lives by gradient under each clock and amount of shrinkage."""
    calibration = stage.calibration_set()
    earlier, later = _halves(stage, calibration)
    clocks: tuple[AgeClock, ...] = ("events", "time") if stage.log.has_time else ("events",)
    names = {"events": "events", "time": unit(stage.log.clock)[1]}
    grid = [(clock, spread) for spread in SPREADS for clock in clocks][:most]
    settings = {f"clock of {names[clock]}, spread {spread:g}": (clock, spread) for clock, spread in grid}
    contributions = earlier.contributions(MOST_EVENTS)

    def new(clock: AgeClock, spread: float) -> GradientHalfLife:
        rule = GradientHalfLife(
            clock, features=not koren, floor="none" if koren else "shared", spread=spread, epochs=_EPOCHS
        )
        return rule.for_log(stage.log.n_users, stage.log.clock)

    def score(setting: tuple[AgeClock, float]) -> float:
        rule = new(*setting)
        return _score(later, rule.fit(contributions))

    best, tried = _best(settings, score, progress)
    rule = new(*settings[best])
    rule.calibrate(calibration)
    return rule, best, tried


def temporal_decay(stage: Stage, settings: Learning = OWN[0], *, own: bool = True) -> TemporalDecay:
    """Return the rule of "per_user" for the log of a stage, which has learned nothing; without `own` everybody's."""
    learning_rate, shrinkage, fading, sharpness, caution = settings
    rule = TemporalDecay(
        learning_rate=learning_rate,
        shrinkage=shrinkage,
        fading=fading,
        sharpness=sharpness,
        changepoints=own,
        caution=caution,
        own="earned" if own else "always",
    )
    return rule.for_log(stage.log.n_users, stage.log.clock)


def _per_user(stage: Stage, most: int, progress: Progress | None, *, own: bool) -> _Result:
    """Learn the population, and with `own` the users, under each of the settings; utilities are computed once.

    A candidate is scored on the later half with parameters of change and of the prior from the earlier half alone.
    """
    calibration = stage.calibration_set()
    earlier, later = _halves(stage, calibration)
    settings = {
        f"eta {eta:g}, tau {tau:g}, {f'alpha {alpha:g}, ' if own else ''}sharpness {power:g}, caution {caution:g}": (
            *(eta, tau, alpha, power, caution),
        )
        for eta, tau, alpha, power, caution in (OWN if own else EVERYBODY)[:most]
    }
    tuning = _Population.of(stage, calibration, len(earlier), own=own)

    def score(setting: Learning) -> float:
        rule = tuning.rule(stage, setting)
        online = PrecomputedBeliefs(rule, calibration, tuning.utilities) if own else PopulationDecay(rule)
        return _score(later, online)

    best, tried = _best(settings, score, progress)
    rule = temporal_decay(stage, settings[best], own=own)
    rule.calibrate(calibration)
    if not own:
        return PopulationDecay(rule.without_users()), best, tried
    used = rule.own_gain is None or rule.own_gain.used
    return rule, f"{best}, own part {'used' if used else 'not used'}", tried


@final
@dataclass(frozen=True, eq=False)
class _Population:
    """What the first calibration events say about everybody, and the utilities of all events that follow from it."""

    changes: Mapping[str, npt.NDArray[Any]] | None  # parameters of change; None without the users' own
    utilities: CalibrationUtilities  # of all events
    users: npt.NDArray[Any]  # of the first events

    @classmethod
    def of(cls, stage: Stage, calibration: CalibrationSet, fitted: int, *, own: bool) -> Self:
        """Learn from so many of the first events."""
        rule = temporal_decay(stage, own=own)
        utilities = rule.evaluate(calibration, fitted)
        changes = None
        if rule.changepoints is not None:
            rule.changepoints.forget()
            changes = rule.changepoints.state()
        return cls(changes, utilities, calibration.users[:fitted])

    def rule(self, stage: Stage, setting: Learning) -> TemporalDecay:
        """Return a rule that has learned the population from the first events, and no user."""
        rule = temporal_decay(stage, setting, own=self.changes is not None)
        if rule.changepoints is not None and self.changes is not None:
            rule.changepoints.restore(self.changes)
        rule.fit_prior(self.utilities.half_lives[: len(self.users)], self.users)
        return rule


@final
class PrecomputedBeliefs(Forgetting):
    """The weights of a rule that learns during a replay, from beliefs computed before it.

    The utilities of all events give the belief about a user at each moment. A replay then only ranks, in large batches,
    and gives the same lists as one that learns on the way.

    Args:
        rule: as it is before the stage; it is left as the last event left it.
        calibration: of the stage.
        utilities: of the same events.
    """

    def __init__(self, rule: TemporalDecay, calibration: CalibrationSet, utilities: CalibrationUtilities) -> None:
        stream, changes, windows = calibration.stream, rule.changepoints, utilities.windows
        assert changes is not None
        assert windows is not None
        event = np.full(len(stream), -1)
        event[calibration.rows] = np.arange(len(calibration))
        belief = np.empty((len(stream), len(rule.half_lives)), np.float32)
        lengths = np.empty((len(stream), len(changes)), np.float32)
        users, visible = stream.users, stream.n_visible
        for rows in stream.rounds(slice(0, len(stream))):
            belief[rows] = rule.belief(users[rows])
            lengths[rows] = changes.belief(users[rows], visible[rows])
            learned = rows[event[rows] >= 0]
            rule.learn(users[learned], utilities.half_lives[event[learned]])
            changes.learn(users[learned], visible[learned], windows[event[learned]])
        # The end of what is visible identifies a moment.
        self._moments, first = np.unique(stream.visible_until, return_index=True)
        self._beliefs, self._lengths = belief[first], lengths[first]
        self._begin = stream.log.indptr
        self._rule, self._changes = rule, changes

    def weights(self, queries: Queries) -> Floats:
        return self._rule.by_visits(queries, self._weigh)

    def _weigh(self, past: Queries, event_age: Doubles | None) -> Floats:
        moments = np.searchsorted(self._moments, self._begin[past.users] + past.history.lengths)
        half_lives = self._rule.half_lives
        since = half_lives.since_newest(past, event_age)
        reduced = since * self._changes.present_share(past, self._lengths[moments])
        return half_lives.mixture(past, reduced, self._beliefs[moments])
