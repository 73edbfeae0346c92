"""Drift detectors of river that reset: nothing is forgotten until an alarm, then everything before it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt

from recsys.checks import choice, positive
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import check_clock, newest
from recsys.decay.base import Calibration, HalfLifeBelief, OnlineRule, measured_half_lives
from recsys.errors import CapabilityError, ConfigError
from recsys.types import Doubles, Floats, Ints, Mask

Detector = Literal["adwin", "page_hinkley"]
Scope = Literal["population", "user"]

_THRESHOLDS: dict[Scope, float] = {"population": 50.0, "user": 5.0}
_NEVER = np.iinfo(np.int64).min
_POPULATION = UNKNOWN
"""The key of the one detector of scope "population", and the user of its alarms."""


@final
@dataclass(eq=False)
class _Watch:
    """A detector and the errors since its last alarm, which give a new detector the same state."""

    detector: Any
    errors: array[float] = field(default_factory=lambda: array("f"))


@final
class DetectorReset(OnlineRule):
    """A drift detector watches the errors; at its alarm everything before the alarm is forgotten.

        w_j = 1 if t_j >= (time of the last alarm), else 0;   all 1 before the first alarm

    The error of an event is 1 - utility. Scope "population" has one detector, fed with the errors of all users in the
    order of the events; its alarm resets all users, unknown ones too. The clock of the log must then be common to all
    users: in a log of orders "after the alarm" means nothing. Scope "user" has a detector for each user, whose alarm
    resets this user.

    The event that raised the alarm is the first that counts. A history without an event since keeps its newest event
    (with those of the same time), in both scopes: a baseline without any history would be a straw man. An alarm does
    not affect queries at earlier moments.

    ADWIN: Bifet and Gavalda, *Learning from Time-Changing Data with Adaptive Windowing* (SDM 2007). Page-Hinkley: Page,
    *Continuous Inspection Schemes* (Biometrika 1954). Both start afresh after an alarm.

    Args:
        detector: "adwin" or "page_hinkley".
        scope: "population" or "user".
        significance: delta of ADWIN, the chance of a false alarm at one check; smaller is calmer.
        check_every: ADWIN looks for a change every so many events.
        threshold: lambda of Page-Hinkley, in summed error above the mean; larger is calmer. None: 50, river's own,
            for the population, and 5 for a user, whose few events hardly ever sum up to 50.
        tolerance: delta of Page-Hinkley, the rise of the error that is ignored.
        minimum: events that a detector must have seen before an alarm.
        only_worse: whether a fall of the error is no alarm; the detector starts afresh all the same.

    Raises:
        ConfigError: a value is out of range.
        CapabilityError: river is not installed.
    """

    def __init__(
        self,
        detector: Detector = "adwin",
        scope: Scope = "population",
        significance: float = 0.002,
        check_every: int = 1,
        threshold: float | None = None,
        tolerance: float = 0.005,
        minimum: int = 10,
        only_worse: bool = True,
    ) -> None:
        choice("detector", detector, Detector)
        choice("scope", scope, Scope)
        positive("check_every", check_every)
        if threshold is not None:
            positive("threshold", threshold)
        positive("tolerance", tolerance, zero=True)
        positive("minimum", minimum)
        if not 0 < significance < 1:
            raise ConfigError(f"significance is {significance}; it must be between 0 and 1")
        self.detector: Detector = detector
        self.scope: Scope = scope
        self.significance = significance
        self.check_every = check_every
        self.threshold = threshold
        self.tolerance = tolerance
        self.minimum = minimum
        self.only_worse = only_worse
        self._new_detector()  # fails here rather than in the middle of a stream where the library is missing
        self._clear()
        self.commit()

    def for_log(self, n_users: int, clock: str) -> Self:
        if self.scope == "population":
            check_clock("time", clock)
        return self.unlearned()

    @property
    def learns(self) -> bool:
        return True

    @property
    def counts_events(self) -> bool:
        return False

    def calibrate(self, calibration: Calibration | None) -> None:
        self._clear()
        if calibration is not None:
            calibration.replay(self, self.chunk)
        self.commit()

    @property
    def chunk(self) -> int:
        """Events of a replay between two updates of the state: few where all users share one detector."""
        return 64 if self.scope == "population" else 1024

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        since = self._since_population(queries.now) if self.scope == "population" else self._since_user(queries)
        rows = queries.history.rows
        inside = queries.times >= since[rows]
        emptied = queries.history.sum(inside) == 0
        return np.where(emptied[rows], newest(queries), inside).astype(np.float32)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        return self.weights(queries) > 0

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        return measured_half_lives(queries, self.weights(queries))

    def hypotheses(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return self.weights(queries)[None]

    def observe(self, queries: Queries, utility: Floats) -> None:
        """Feed the detectors; an alarm counts from the next query on.

        Raises:
            ValueError: the utility is not of shape (queries, 1) or leaves [0, 1].
        """
        if utility.shape != (len(queries), 1):
            raise ValueError(f"utility must be of shape {(len(queries), 1)}, found {utility.shape}")
        if not bool(np.all((utility >= 0) & (utility <= 1))):
            raise ValueError("utility must be in [0, 1]")
        known = queries.users != UNKNOWN
        # float32, as the errors are stored: a replay must feed exactly what was fed
        errors = (1.0 - utility[known, 0]).astype(np.float32).tolist()
        users = queries.users[known]
        keys = users.tolist() if self.scope == "user" else [_POPULATION] * len(users)
        self.extend(int(users.max(initial=-1)) + 1)
        for key, error, now in zip(keys, errors, queries.now[known].tolist(), strict=True):
            if self._alarm(key, error):
                self._alarms.append((key, now))
                if key != _POPULATION:
                    self._since[key] = now

    def _clear(self) -> None:
        self._watches: dict[int, _Watch] = {}
        self._alarms: list[tuple[int, int]] = []
        self._since = np.zeros(0, np.int64)  # "users", the time of the last alarm

    def commit(self) -> None:
        self._committed = self.state()

    def reset(self) -> None:
        self.restore(self._committed)

    def extend(self, n_users: int) -> None:
        more = max(n_users - len(self._since), 0)
        self._since = np.append(self._since, np.full(more, _NEVER, np.int64))

    @property
    def alarms(self) -> Ints:
        """ "alarms 2", (user, time) in the order in which they came; user -1 stands for everybody."""
        return np.asarray(self._alarms, dtype=np.int64).reshape(-1, 2)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the alarms and the errors since the last alarm of each detector, float32.

        river has no state other than a pickle, so `restore` feeds these errors to new detectors, which is exact.
        """
        keys = sorted(self._watches)
        errors = [np.asarray(self._watches[key].errors, dtype=np.float32) for key in keys]
        return {
            "alarms": self.alarms,
            "since": self._since.copy(),
            "keys": np.asarray(keys, dtype=np.int64),
            "counts": np.asarray([len(stream) for stream in errors], dtype=np.int64),
            "errors": np.concatenate([np.zeros(0, np.float32), *errors]),
        }

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._clear()
        self._alarms = [(int(user), int(time)) for user, time in state["alarms"]]
        self._since = state["since"].astype(np.int64)
        ends = np.cumsum(state["counts"])
        for key, start, end in zip(state["keys"].tolist(), ends - state["counts"], ends, strict=True):
            self._watches[key] = self._watch(state["errors"][start:end].tolist())

    def state_bytes(self) -> float:
        """Return the bytes of `state` per user: 4 for each event since the last alarm, and 32 or so beside them.

        Not counted are river's own objects, which Python cannot measure.
        """
        users = len(self._since)
        return sum(values.nbytes for values in self.state().values()) / max(users, 1)

    def _since_population(self, now: Ints) -> Ints:
        """Return the last alarm that was not later than each query, "queries"."""
        times = np.concatenate([[_NEVER], np.sort(self.alarms[:, 1])])
        return times[np.searchsorted(times, now, side="right") - 1]

    def _since_user(self, queries: Queries) -> Ints:
        since = np.full(len(queries), _NEVER, np.int64)
        known = (queries.users != UNKNOWN) & (queries.users < len(self._since))
        since[known] = self._since[queries.users[known]]
        since[since > queries.now] = _NEVER
        return since

    def _alarm(self, key: int, error: float) -> bool:
        """Feed one error to a detector; return whether it raises an alarm."""
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = self._watch([])
        watch.detector.update(error)
        if not watch.detector.drift_detected:
            watch.errors.append(error)
            return False
        self._watches[key] = self._watch([])
        if not self.only_worse or self.detector == "page_hinkley":  # which is one-sided itself
            return True
        # ADWIN has dropped the errors from before the change: the mean of the rest is compared with that of all.
        return bool(watch.detector.estimation > np.mean([*watch.errors, error]))

    def _watch(self, errors: Sequence[float]) -> _Watch:
        detector = self._new_detector()
        for error in errors:
            detector.update(error)
        return _Watch(detector, array("f", errors))

    def _new_detector(self) -> Any:  # noqa: ANN401 - river is optional
        try:
            from river import drift  # noqa: PLC0415 - an optional library, for those who want a detector
        except ImportError:
            raise CapabilityError(
                "DetectorReset needs the library river, which is not installed; run: pip install 'recsys[drift]'"
            ) from None
        if self.detector == "adwin":
            return drift.ADWIN(delta=self.significance, clock=self.check_every, grace_period=self.minimum)
        return drift.PageHinkley(
            min_instances=self.minimum,
            delta=self.tolerance,
            threshold=_THRESHOLDS[self.scope] if self.threshold is None else self.threshold,
            mode="up" if self.only_worse else "both",
        )
