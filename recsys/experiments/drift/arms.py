"""The rules of forgetting that are compared, each tuned with the same budget on a stage that is not reported.

    validation stage   |==== earlier half ====|==== later half ====|
    global, window     | every candidate replays all of it         |   what has nothing to learn, or learns online
    detectors          |                                           |
    koren, gradient    | learned here         | replayed here      |   then learned on all of it
    per_user           | prior, beliefs       | replayed here      |   then prior and beliefs from all of it
    situation          | the same without beliefs of users: what the situations alone are worth

A candidate's score is its prequential NDCG@10, the mean over questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock
from recsys.decay.base import Forgetting
from recsys.decay.detectors import Detector, DetectorReset, Scope
from recsys.decay.fixed import GlobalHalfLife, SlidingWindow
from recsys.decay.gradient import GradientHalfLife
from recsys.decay.temporal import HalfLives, TemporalDecay, mixture
from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.ranking import Progress
from recsys.experiments.drift.names import ARMS
from recsys.experiments.drift.stage import CalibrationSet, Stage
from recsys.types import DAY, Floats

__all__ = ["Chosen", "Stage", "choose", "untaught"]

METRIC = "ndcg@10"

_LESSON_EVENTS = 300_000
"""History events that a rule learns from by gradient, at most: 80 MB of contributions."""
_EPOCHS = 20
"""Passes over about as many batches, so some hundred steps of Adam."""

# Candidates in the order of precedence: a smaller budget takes the first ones.
_EVENTS = (3.0, 8.0, 1.0, 32.0, 2.0, 5.0, 16.0)
_DAYS = (64.0, 16.0, 256.0, 4.0, 1.0)
_PERIODS = (2.0, 1.0, 4.0)
_WINDOW_EVENTS = (10, 3, 20, 50, 5, 1, 2)
_WINDOW_DAYS = (90.0, 30.0, 365.0, 7.0, 1.0)
_SPREADS = (1.0, 0.3, 3.0, 0.1, 2.0, 0.6)  # each on both clocks
_SIGNIFICANCES = (0.002, 0.05, 0.3, 1e-4, 0.01, 0.1, 1e-6, 0.5, 0.02, 1e-3, 0.2, 1e-5)
_THRESHOLDS: dict[Scope, tuple[float, ...]] = {
    "population": (50.0, 20.0, 100.0, 10.0, 200.0, 5.0, 500.0, 2.0, 30.0, 70.0, 15.0, 1000.0),
    "user": (5.0, 2.0, 10.0, 3.0, 20.0, 1.0, 50.0, 0.5, 1.5, 4.0, 7.0, 15.0),
}
Learning = tuple[float, float, float, float]
"""Learning rate, shrinkage, fading and sharpness of `TemporalDecay`."""

_CAUTION = 6.0
"""Of `TemporalDecay`, the same for every candidate."""

_LEARNING: tuple[Learning, ...] = (  # the defaults, and what other lengths of history and catalogues may want
    *((10.0, 100.0, 0.02, 6.0), (10.0, 1000.0, 0.02, 2.0), (10.0, 10.0, 0.05, 2.0), (30.0, 100.0, 0.02, 8.0)),
    *((10.0, 100.0, 0.02, 4.0), (30.0, 1000.0, 0.02, 4.0), (3.0, 10.0, 0.02, 2.0), (10.0, 30.0, 0.02, 2.0)),
    *((30.0, 10.0, 0.05, 2.0), (10.0, 30.0, 0.02, 4.0), (30.0, 100.0, 0.02, 4.0), (100.0, 1000.0, 0.02, 2.0)),
)


@final
@dataclass(frozen=True, eq=False)
class Chosen:
    """What tuning and learning on the validation stage found.

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


def choose(arm: str, validation: Stage, *, candidates: int = 12, progress: Progress | None = None) -> Chosen:
    """Tune an arm's rule on a validation stage.

    The rule with the highest prequential NDCG@10 (mean over questions) is taken, the first of equals. "global" and
    "window" may also choose no decay, which is no candidate of the budget.

    Args:
        arm: one of `ARMS`.
        validation: whose model was not fitted on its questions, and whose log ends before the test.
        candidates: how many rules may be tried.
        progress: told after each candidate how many were tried, of how many.

    Raises:
        ConfigError: an unknown arm, or no candidate.
        DataError: nothing can be asked or learned.
        CapabilityError: the model cannot fold in; or a detector is asked for without its library.
    """
    if arm not in ARMS:
        raise ConfigError(f"no arm {arm!r}{nearest(arm, ARMS)}; there are {', '.join(ARMS)}")
    if candidates < 1:
        raise ConfigError(f"candidates is {candidates}; it must be at least 1")
    if arm == "none":
        return Chosen(None, "no decay", (), 0.0)
    begin = time.perf_counter()
    if arm in ("koren", "gradient"):
        rule, choice, tried = _by_gradient(validation, candidates, progress, koren=arm == "koren")
    elif arm in ("situation", "per_user"):
        rule, choice, tried = _per_user(validation, candidates, progress, told=arm == "per_user")
    else:
        rule, choice, tried = _by_replay(validation, _candidates(arm, validation.log.clock, candidates), progress)
    return Chosen(rule, choice, tried, time.perf_counter() - begin)


def untaught(n_users: int, clock: str, settings: Learning = _LEARNING[0]) -> TemporalDecay:
    """Return the rule of "per_user" that has learned nothing, for a log with this clock; orders have no time.

    Args:
        n_users: of the log.
        clock: of the log.
        settings: learning rate, shrinkage, fading, sharpness.
    """
    time = {"seconds": HalfLives().time, "period": (1.0, 2.0, 4.0)}.get(clock, ())
    hour = 3600.0 if clock == "seconds" else 1.0
    return TemporalDecay(n_users, HalfLives(time=time), *settings, hour, changepoints=True, caution=_CAUTION)


Found = tuple[Forgetting | None, str, tuple[tuple[str, float], ...]]
Named = tuple[str, Forgetting | None]


def _unit(clock: str) -> tuple[float, str]:
    """Return the unit of time that candidates are given in: its length, and its name."""
    return (DAY, "days") if clock == "seconds" else (1.0, "periods")


def _candidates(arm: str, clock: str, most: int) -> list[Named]:
    """Return the rules of an arm that is tuned by replays of the whole stage."""
    length, word = _unit(clock)
    if arm == "global":
        by_events: list[Named] = [(f"{value:g} events", GlobalHalfLife(value)) for value in _EVENTS]
        values = {"seconds": _DAYS, "period": _PERIODS}.get(clock, ())
        by_time: list[Named] = [(f"{value:g} {word}", GlobalHalfLife(value * length, "time")) for value in values]
    elif arm == "window":
        by_events = [(f"{number} events", SlidingWindow(number)) for number in _WINDOW_EVENTS]
        values = {"seconds": _WINDOW_DAYS, "period": _PERIODS}.get(clock, ())
        by_time = [(f"{value:g} {word}", SlidingWindow(seconds=value * length)) for value in values]
    else:
        return _detectors(arm)[:most]
    return [("no decay", None), *_in_turn(by_events, by_time)[:most]]


def _in_turn(one: list[Named], other: list[Named]) -> list[Named]:
    """Return both lists as one, an entry of either in turn, so that a small budget sees both clocks."""
    shorter = min(len(one), len(other))
    mixed = [entry for pair in zip(one, other, strict=False) for entry in pair]
    return [*mixed, *one[shorter:], *other[shorter:]]


def _detectors(arm: str) -> list[Named]:
    scope: Scope = "population" if arm.startswith("population") else "user"
    detector: Detector = "adwin" if arm.endswith("adwin") else "page_hinkley"
    if detector == "adwin":
        return [(f"delta {value:g}", DetectorReset(detector, scope, significance=value)) for value in _SIGNIFICANCES]
    return [(f"threshold {value:g}", DetectorReset(detector, scope, threshold=value)) for value in _THRESHOLDS[scope]]


def _by_replay(stage: Stage, rules: Sequence[Named], progress: Progress | None) -> Found:
    """Replay the stage with each rule."""
    scores = _scores(rules, lambda named: _score(stage, named[1]), progress)
    best = int(np.argmax(scores))
    name, rule = rules[best]
    return rule, name, tuple((word, score) for (word, _), score in zip(rules, scores, strict=True))


_Candidate = TypeVar("_Candidate")


def _scores(
    tried: Sequence[_Candidate], score: Callable[[_Candidate], float], progress: Progress | None
) -> list[float]:
    scores = []
    for number, candidate in enumerate(tried, start=1):
        scores.append(score(candidate))
        if progress is not None:
            progress(number, len(tried))
    return scores


def _score(stage: Stage, rule: Forgetting | None) -> float:
    return stage.replay(rule, cutoffs=(10,)).summary[METRIC]


def _halves(stage: Stage, calibration_set: CalibrationSet) -> tuple[CalibrationSet, Stage]:
    """Return the calibration_set of the earlier half of a stage, and its later half as a stage.

    Raises:
        DataError: all calibration_set are of one moment, so that none is earlier.
    """
    times = calibration_set.stream.now  # the beginning of its window, where there are any: the halves must not cut one
    later = np.unique(times[times > times[calibration_set.rows[0]]])
    if len(later) == 0:
        raise DataError(
            f"{stage.log.name}: all validation questions that teach are of one time ({times[0]}), so that there is no "
            "earlier half to learn on and no later one to score; give a longer validation part"
        )
    middle = int(later[min(int(np.searchsorted(later, np.median(times))), len(later) - 1)])
    asked_later = int((times >= middle).sum())
    # The limit counts questions, those of the earlier half too.
    return calibration_set.before(middle), replace(
        stage, start=middle, question_settings=replace(stage.question_settings, limit=asked_later)
    )


def _by_gradient(stage: Stage, most: int, progress: Progress | None, *, koren: bool) -> Found:
    """Learn half-lives by gradient under each clock and amount of shrinkage."""
    calibration_set = CalibrationSet.of(stage)
    earlier, later = _halves(stage, calibration_set)
    clocks: tuple[AgeClock, ...] = ("events", "time") if stage.log.has_time else ("events",)
    settings = [(clock, spread) for spread in _SPREADS for clock in clocks][:most]
    length, word = _unit(stage.log.clock)
    names = {"events": "events", "time": word}

    def learned(clock: AgeClock, spread: float, batches: Sequence[tuple[Queries, Floats]]) -> GradientHalfLife:
        rule = (
            GradientHalfLife.koren(clock, spread, _EPOCHS)
            if koren
            else GradientHalfLife(clock, spread=spread, day=length, epochs=_EPOCHS)
        )
        return rule.fit([rule.questions(queries, added) for queries, added in batches])

    first = earlier.contributions(_LESSON_EVENTS)
    scores = _scores(settings, lambda setting: _score(later, learned(*setting, first)), progress)
    words = [f"clock of {names[clock]}, spread {spread:g}" for clock, spread in settings]
    best = int(np.argmax(scores))
    rule = learned(*settings[best], calibration_set.contributions(_LESSON_EVENTS))
    return rule, words[best], tuple(zip(words, scores, strict=True))


def _per_user(stage: Stage, most: int, progress: Progress | None, *, told: bool) -> Found:
    """Learn population and users under each of the settings; every lesson is utilities once."""
    calibration_set = CalibrationSet.of(stage)
    earlier, later = _halves(stage, calibration_set)
    rule = untaught(stage.log.n_users, stage.log.clock)
    utilities = CalibrationUtilities.of(rule, calibration_set)
    known = utilities.situations[calibration_set.rows]
    settings = _LEARNING[:most]

    def taught(setting: Learning, count: int) -> TemporalDecay:
        own = untaught(stage.log.n_users, stage.log.clock, setting)
        assert own.changepoints is not None
        assert rule.changepoints is not None
        own.changepoints.restore(rule.changepoints.state())
        own.fit_prior(known[:count], utilities.utility[:count])
        return own

    def score(setting: Learning) -> float:
        own = taught(setting, len(earlier))
        return _score(later, Foreseen(own, calibration_set, utilities) if told else Situation(own))

    scores = _scores(settings, score, progress)
    words = [f"eta {eta:g}, tau {tau:g}, alpha {alpha:g}, sharpness {power:g}" for eta, tau, alpha, power in settings]
    best = int(np.argmax(scores))
    rule = taught(settings[best], len(calibration_set))
    found = tuple(zip(words, scores, strict=True))
    if not told:
        return Situation(rule), words[best], found
    rule.learn(calibration_set.users, known, utilities.utility)
    assert rule.changepoints is not None
    rule.changepoints.learn(calibration_set.users, calibration_set.visible, utilities.windows)
    rule.settle()
    return rule, words[best], found


@final
@dataclass(frozen=True, eq=False)
class CalibrationUtilities:
    """The calibration_set of a stage, as a rule with changes judges them.

    Attributes:
        situations: "questions features", of all questions.
        windows: "calibration_set lengths", utility of each run length.
        utility: "calibration_set half-lives", utility of each half-life, given what was believed of changes by then.
    """

    situations: Floats
    windows: Floats
    utility: Floats

    @classmethod
    def of(cls, rule: TemporalDecay, calibration_set: CalibrationSet) -> CalibrationUtilities:
        """Judge calibration_set; of the rule nothing is left but the population's parameters of its changes.

        CalibrationSet of a stage come in the order of time, so what is believed of changes at each is known without a replay:
        that of half-lives does not enter into it.
        """
        changes = rule.changepoints
        assert changes is not None
        windows = calibration_set.utility(lambda queries, _: changes.windows(queries))
        n_items = int((calibration_set.stage.model.fitted_on.item_counts > 0).sum())
        changes.fit(calibration_set.users, calibration_set.visible, windows, n_items)
        believed = changes.learn(calibration_set.users, calibration_set.visible, windows)

        def faded(queries: Queries, numbers: npt.NDArray[np.int64]) -> Floats:
            by_half_life = rule.half_lives.weights(queries, from_newest=True)
            return by_half_life * changes.kept(queries, believed[numbers])

        utility = calibration_set.utility(faded)
        changes.forget()
        return cls(calibration_set.situations(rule), windows, utility)


@final
class Situation(Forgetting):
    """The population's prior alone: users in one situation are all read alike, whatever they did.

    Args:
        rule: of which nothing but the prior is used.
    """

    def __init__(self, rule: TemporalDecay) -> None:
        self.rule = rule

    def weights(self, queries: Queries) -> Floats:
        return self.rule.weights(replace(queries, users=np.full(len(queries), UNKNOWN, np.int32)))


@final
class Foreseen(Forgetting):
    """What a rule will believe at each question of a stage, written down in advance.

    The calibration_set are utilities already, so what is believed of a user at each moment is known without a replay. A replay
    then only ranks, in large batches, and gives the lists of one that learns on the way.

    Args:
        rule: as it is before the stage; it is left as the last lesson left it.
        calibration_set: of the stage.
        utilities: the same calibration_set.
    """

    def __init__(self, rule: TemporalDecay, calibration_set: CalibrationSet, utilities: CalibrationUtilities) -> None:
        stream, changes = calibration_set.stream, rule.changepoints
        assert changes is not None
        lesson = np.full(len(stream), -1)
        lesson[calibration_set.rows] = np.arange(len(calibration_set))
        belief = np.empty((len(stream), len(rule.half_lives)), np.float32)
        lasted = np.empty((len(stream), len(changes)), np.float32)
        for rows in stream.rounds(slice(0, len(stream))):
            users, visible = stream.users, stream.n_visible
            belief[rows] = rule.belief_in(utilities.situations[rows], users[rows])
            lasted[rows] = changes.belief(users[rows], visible[rows])
            taught = rows[lesson[rows] >= 0]
            rule.learn(users[taught], utilities.situations[taught], utilities.utility[lesson[taught]])
            changes.learn(users[taught], visible[taught], utilities.windows[lesson[taught]])
        # A moment of asking is told by the end of what is visible.
        self._moments, first = np.unique(stream.visible_until, return_index=True)
        self._beliefs, self._lasted = belief[first], lasted[first]
        self._begin = stream.log.indptr
        self._rule, self._changes = rule, changes

    def weights(self, queries: Queries) -> Floats:
        moments = np.searchsorted(self._moments, self._begin[queries.users] + queries.history.lengths)
        by_half_life = self._rule.half_lives.weights(queries, from_newest=True)
        by_half_life *= self._changes.kept(queries, self._lasted[moments])
        return mixture(queries, by_half_life, self._beliefs[moments])
