"""Tuning of the compared rules of forgetting, with the same budget each, on a stage that is not reported.

    validation stage   |==== earlier half ====|==== later half ====|
    global, window     | every candidate replays all of it         |   fixed, or learning online
    detectors          |                                           |
    koren, gradient    | learned here         | replayed here      |   then learned on all of it
    per_user           | changes, prior       | replayed here      |   then changes, prior and beliefs from all of it
    population         | one mixture for everybody, without beliefs about users and changes of taste

A candidate's score is its prequential NDCG@10, the mean over users, which is what reports weigh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Self, TypeVar, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock
from recsys.decay.base import Forgetting
from recsys.decay.detectors import DetectorReset, Scope
from recsys.decay.fixed import SlidingWindow
from recsys.decay.gradient import MOST_EVENTS, GradientHalfLife
from recsys.decay.half_lives import HalfLives
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import CalibrationUtilities, TemporalDecay
from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.ranking import Progress
from recsys.experiments.drift.names import ARMS
from recsys.experiments.drift.stage import Stage
from recsys.models.calibration_set import CalibrationSet
from recsys.types import DAY, Floats

__all__ = ["TunedRule", "Stage", "choose"]

METRIC = "ndcg@10"

_EPOCHS = 20
"""Passes of learning by gradient over about as many batches, so some hundred steps of Adam."""

# Candidates in the order of precedence: a smaller budget takes the first ones.
# Of `global`: half-lives in events and in days, and floor; the order was chosen on the parts of `constants`.
_GLOBAL: tuple[tuple[float | None, float, float], ...] = (
    *((8.0, 256.0, 0.1), (2.0, 16.0, 0.0), (32.0, 64.0, 0.0), (None, 16.0, 0.0), (8.0, 256.0, 0.0), (8.0, 64.0, 0.1)),
    *((32.0, 16.0, 0.1), (2.0, 256.0, 0.1), (8.0, 16.0, 0.1), (32.0, 256.0, 0.0), (2.0, 64.0, 0.1), (32.0, 64.0, 0.1)),
)
_PERIODS = {16.0: 1.0, 64.0: 2.0, 256.0: 4.0}  # in place of days
_WINDOW_EVENTS = (10, 3, 20, 50, 5, 1, 2)
_WINDOW_PERIODS = (2.0, 1.0, 4.0)
_WINDOW_DAYS = (90.0, 30.0, 365.0, 7.0, 1.0)
_SPREADS = (1.0, 0.3, 3.0, 0.1, 2.0, 0.6)  # each on both clocks
_SIGNIFICANCES = (0.002, 0.05, 0.3, 1e-4, 0.01, 0.1, 1e-6, 0.5, 0.02, 1e-3, 0.2, 1e-5)
_THRESHOLDS: dict[Scope, tuple[float, ...]] = {
    "population": (50.0, 20.0, 100.0, 10.0, 200.0, 5.0, 500.0, 2.0, 30.0, 70.0, 15.0, 1000.0),
    "user": (5.0, 2.0, 10.0, 3.0, 20.0, 1.0, 50.0, 0.5, 1.5, 4.0, 7.0, 15.0),
}
Learning = tuple[float, float, float, float, float]
"""Learning rate, shrinkage, fading, sharpness and caution of `TemporalDecay`."""

_OWN: tuple[Learning, ...] = (  # the defaults, and what other lengths of history and catalogues may want
    *((5.0, 200.0, 0.02, 6.0, 5.0), (10.0, 200.0, 0.02, 6.0, 5.0), (20.0, 200.0, 0.02, 6.0, 5.0)),
    *((5.0, 200.0, 0.02, 3.0, 5.0), (2.0, 500.0, 0.02, 6.0, 5.0), (10.0, 200.0, 0.1, 6.0, 5.0)),
    *((5.0, 600.0, 0.02, 6.0, 5.0), (2.0, 1500.0, 0.02, 3.0, 5.0), (5.0, 200.0, 0.02, 10.0, 5.0)),
    *((2.0, 500.0, 0.02, 10.0, 5.0), (1.0, 1000.0, 0.02, 6.0, 5.0), (10.0, 100.0, 0.1, 6.0, 5.0)),
)
_EVERYBODY: tuple[Learning, ...] = (
    *((20.0, 200.0, 0.0, 6.0, 0.0), (5.0, 200.0, 0.0, 6.0, 0.0), (60.0, 200.0, 0.0, 6.0, 0.0)),
    *((20.0, 200.0, 0.0, 10.0, 0.0), (60.0, 200.0, 0.0, 3.0, 0.0), (60.0, 200.0, 0.0, 10.0, 0.0)),
    *((20.0, 200.0, 0.0, 3.0, 0.0), (5.0, 200.0, 0.0, 3.0, 0.0), (1.0, 200.0, 0.0, 6.0, 0.0)),
    *((5.0, 200.0, 0.0, 10.0, 0.0), (20.0, 200.0, 0.0, 6.0, 5.0), (200.0, 200.0, 0.0, 6.0, 0.0)),
)


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
        rule, choice, tried = _by_replay(validation, _candidates(arm, validation.log.clock, candidates), progress)
    return TunedRule(rule, choice, tried, time.perf_counter() - begin)


_Tried = tuple[tuple[str, float], ...]
_Result = tuple[Forgetting | None, str, _Tried]
_Named = tuple[str, Forgetting | None]


def _unit(clock: str) -> tuple[float, str]:
    """Return the unit of time that candidates are given in: its length, and its name."""
    return (DAY, "days") if clock == "seconds" else (1.0, "periods")


def _candidates(arm: str, clock: str, most: int) -> dict[str, Forgetting | None]:
    """Return the rules of an arm that is tuned by replaying the whole stage, by their description."""
    length, word = _unit(clock)
    if arm == "global":
        return dict([("no decay", None), *(_one_rule(*setting, clock=clock) for setting in _GLOBAL[:most])])
    if arm == "window":
        by_events = [(f"{number} events", SlidingWindow(number)) for number in _WINDOW_EVENTS]
        lengths = {"seconds": _WINDOW_DAYS, "period": _WINDOW_PERIODS}.get(clock, ())
        by_time = [(f"{value:g} {word}", SlidingWindow(seconds=value * length)) for value in lengths]
        # One of either clock in turn, so that a small budget sees both.
        mixed = [entry for pair in zip_longest(by_events, by_time) for entry in pair if entry is not None]
        return dict([("no decay", None), *mixed[:most]])
    return dict(_detectors(arm)[:most])


def _one_rule(events: float | None, days: float, floor: float, *, clock: str) -> _Named:
    """Return one rule for everybody; half-lives in time are left out where the log's times are positions."""
    length, word = _unit(clock)
    time = {"seconds": (days * length,), "period": (_PERIODS[days],)}.get(clock, ())
    if not time and events is None:
        events = days
    half_lives = HalfLives(() if events is None else (events,), time, (floor,))
    return half_lives.named(length, word)[0], OneRule(half_lives)


@final
class OneRule(Forgetting):
    """The first hypothesis of a grid, for everybody.

    Args:
        half_lives: the grid.
    """

    def __init__(self, half_lives: HalfLives) -> None:
        self.half_lives = half_lives

    def weights(self, queries: Queries) -> Floats:
        return np.asarray(self.half_lives.weights(queries)[0])


def _detectors(arm: str) -> list[_Named]:
    scope: Scope = "population" if arm.startswith("population") else "user"
    if arm.endswith("adwin"):
        return [(f"delta {value:g}", DetectorReset("adwin", scope, significance=value)) for value in _SIGNIFICANCES]
    return [
        (f"threshold {value:g}", DetectorReset("page_hinkley", scope, threshold=value)) for value in _THRESHOLDS[scope]
    ]


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
    names = {"events": "events", "time": _unit(stage.log.clock)[1]}
    grid = [(clock, spread) for spread in _SPREADS for clock in clocks][:most]
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


def temporal_decay(stage: Stage, settings: Learning = _OWN[0], *, own: bool = True) -> TemporalDecay:
    """Return the rule of "per_user" for the log of a stage, which has learned nothing; without `own` everybody's."""
    learning_rate, shrinkage, fading, sharpness, caution = settings
    rule = TemporalDecay(
        learning_rate=learning_rate,
        shrinkage=shrinkage,
        fading=fading,
        sharpness=sharpness,
        changepoints=own,
        caution=caution,
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
        for eta, tau, alpha, power, caution in (_OWN if own else _EVERYBODY)[:most]
    }
    tuning = _Population.of(stage, calibration, len(earlier), own=own)

    def score(setting: Learning) -> float:
        rule = tuning.rule(stage, setting)
        online = PrecomputedBeliefs(rule, calibration, tuning.utilities) if own else PopulationDecay(rule)
        return _score(later, online)

    best, tried = _best(settings, score, progress)
    whole = _Population.of(stage, calibration, len(calibration), own=own)
    rule, utilities = whole.rule(stage, settings[best]), whole.utilities
    if not own:
        return PopulationDecay(rule), best, tried
    rule.learn(calibration.users, utilities.half_lives)
    assert rule.changepoints is not None
    assert utilities.windows is not None
    rule.changepoints.learn(calibration.users, calibration.visible, utilities.windows)
    rule.commit()
    return rule, best, tried


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
        moments = np.searchsorted(self._moments, self._begin[queries.users] + queries.history.lengths)
        half_lives = self._rule.half_lives
        reduced = half_lives.since_newest(queries) * self._changes.present_share(queries, self._lengths[moments])
        return half_lives.mixture(queries, reduced, self._beliefs[moments])
