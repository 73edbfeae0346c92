"""Rating prediction with and without decay, per user or global, beside timeSVD++. `python -m benchmarks.ratings`.

RMSE and MAE on logs with ratings and seconds, global temporal split. Parameters are trained before the first cut and
then frozen; every event is predicted from its user's events strictly before it. Settings are chosen by validation RMSE,
the same number of trials for every arm. In trial k all arms of a family (the factor models; the neighbourhood
read-outs) have the same static settings, so that they differ in their treatment of time alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from benchmarks.ratings.rated_events import (
    SQUARED,
    RatedEvents,
    errors_per_user,
    mae,
    predicted_ratings,
    rating_utility,
    rmse,
)
from benchmarks.ratings.residual_readout import ReadoutSettings, ResidualReadout
from benchmarks.tools.command import parser, program
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, number, report_folder, spread, table, without_paths, write_report
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.splits.assembly import time_cuts
from recsys.data.stream import events_before
from recsys.decay.base import Forgetting
from recsys.decay.fixed import GlobalHalfLife
from recsys.decay.temporal import TemporalDecay
from recsys.errors import RecsysError
from recsys.models import TimeSVD
from recsys.models.base import Recommender
from recsys.models.calibration_set import newest_part
from recsys.training.trainable import Optimization
from recsys.types import DAY, Doubles

LOGS = ("ml-latest-small", "movietweetings")
QUICK = ("simulated",)
MEAN, BIASES, STATIC, TIME = "global mean", "biases", "SVD++", "timeSVD++"
NONE, GLOBAL, PER_USER = "neighbours, no decay", "neighbours, global half-life", "neighbours, per-user decay"
ARMS = (MEAN, BIASES, STATIC, TIME, NONE, GLOBAL, PER_USER)
PAIRS = (
    *((TIME, STATIC), (GLOBAL, NONE), (PER_USER, NONE), (PER_USER, GLOBAL)),
    *((PER_USER, TIME), (TIME, BIASES), (NONE, BIASES)),
)
"""Pairs that are compared on users: the first minus the second."""
OUTCOMES = {"won": "better", "lost": "**worse**", "tie": "no difference shown"}
FRACTIONS = (0.8, 0.9)
_CALIBRATION = 0.1
_OPTIMIZATION = Optimization(epochs=40, batch_size=4096, learning_rate=0.02, patience=3, validate_every=2)

Settings = dict[str, Any]
Space = Mapping[str, Sequence[Any]]

_FACTORS: Space = {
    "embedding_size": (4, 8, 16),
    "regularization": (15.0, 30.0, 60.0),
    "bias_regularization": (1.0, 2.0, 4.0),
}
_NEIGHBOURS: Space = {
    "user_shrinkage": (2.0, 5.0, 10.0),
    "item_shrinkage": (1.0, 2.0, 5.0),
    "similarity_shrinkage": (3.0, 10.0, 30.0),
    "neighbour_shrinkage": (0.25, 0.5, 1.0),
    "neighbours": (30, 100, 300),
}
STATICS: Mapping[str, Space] = {
    BIASES: {name: _NEIGHBOURS[name] for name in ("user_shrinkage", "item_shrinkage")},
    **dict.fromkeys((STATIC, TIME), _FACTORS),
    **dict.fromkeys((NONE, GLOBAL, PER_USER), _NEIGHBOURS),
}
"""Settings that an arm shares with its family."""
OVER_TIME: Mapping[str, Space] = {
    TIME: {
        "drift": ("bias", "all"),
        "time_bins": (4, 10, 30),
        "time_regularization": (20.0, 60.0, 200.0),
        "day_biases": (False, True),
    },
    GLOBAL: {
        "half_life": (
            *(("events", 10.0), ("events", 30.0), ("events", 300.0), ("events", 100.0)),
            *(("time", 90 * DAY), ("time", 365 * DAY)),
        )
    },
    PER_USER: {"learning_rate": (1.0, 5.0, 20.0), "shrinkage": (30.0, 100.0, 300.0), "fading": (0.005, 0.02, 0.05)},
}
"""Settings of an arm alone."""
_STATIC_TERMS: Settings = {"drift": "none", "time_bins": 0}


@final
@dataclass(frozen=True, eq=False)
class Arena:
    """A log cut for all arms."""

    log: Interactions  # the whole log
    train: Interactions  # the training events
    valid: RatedEvents  # the events of validation
    test: RatedEvents  # the events of the report
    # fitted neighbourhood models by settings, as all arms of the family use the same
    readouts: dict[ReadoutSettings, ResidualReadout] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Interactions) -> Arena:
        """Cut a log by time."""
        first, second = time_cuts(log, FRACTIONS)
        train = events_before(log, first).compact()
        return cls(log, train, RatedEvents.of(log, train, first, second), RatedEvents.of(log, train, second))

    def readout(self, settings: Settings) -> ResidualReadout:
        """Return the neighbourhood model of these settings; for biases alone without neighbours."""
        chosen = {name: settings[name] for name in _NEIGHBOURS if name in settings}
        own = ReadoutSettings(**({"neighbour_shrinkage": float("inf"), "neighbours": 1} | chosen))
        if own not in self.readouts:
            self.readouts[own] = ResidualReadout(own).fit(self.train)
        return self.readouts[own]


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """An arm on a log: its chosen settings, and the test errors of every seed."""

    settings: Settings
    valid: float
    rmse: list[float]
    mae: list[float]
    per_user: list[pd.DataFrame]


@final
@dataclass(frozen=True, eq=False)
class Result:
    """All arms on a log, or the reason why there are none."""

    name: str
    outcomes: Mapping[str, Outcome]
    facts: Mapping[str, str]
    failure: str | None = None


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("ratings", __doc__, quick="a simulated log, 2 trials, 1 seed", threads=True)
    command.add_argument("--datasets", nargs="+", metavar="NAME", help=f"logs (default: {', '.join(LOGS)})")
    command.add_argument("--trials", type=int, metavar="N", help="settings tried per arm (default 6)")
    command.add_argument("--seeds", type=int, metavar="N", help="seeds of the factor models (default 3)")
    options = command.parse_args(arguments)
    trials, seeds = options.trials or (2 if options.quick else 6), options.seeds or (1 if options.quick else 3)

    results = []
    for name in options.datasets or (QUICK if options.quick else LOGS):
        try:
            results.append(measure(datasets.load(name), trials, seeds))
        except RecsysError as error:
            results.append(Result(name, {}, {}, without_paths(str(error))))
            print(f"{name}: {error}")
    return write(results, report_folder("ratings", options.out, quick=options.quick), trials, seeds)


def measure(log: Interactions, trials: int, seeds: int) -> Result:
    """Tune and test every arm on a log.

    Raises:
        RecsysError: the log has no ratings or no seconds.
    """
    arena = Arena.of(log)
    outcomes = {}
    for arm in ARMS:
        outcomes[arm] = _outcome(arm, arena, trials, seeds)
        print(f"{log.name}, {arm}: RMSE {spread(outcomes[arm].rmse)}", flush=True)
    made = {
        "fingerprint": log.fingerprint[:16],
        "train": f"{len(arena.train)} events, {arena.train.n_users} users, {arena.train.n_items} items",
        "validation": f"{len(arena.valid)} events of {arena.valid.n_users} users",
        "test": f"{len(arena.test)} events of {arena.test.n_users} users",
    }
    return Result(log.name, outcomes, made)


def candidates(arm: str, trials: int) -> list[Settings]:
    """Return the settings of each trial: middle values first, then all values of a setting equally often, at random."""
    statics, own = STATICS.get(arm, {}), OVER_TIME.get(arm, {})
    columns: dict[str, list[Any]] = {}
    # The draws of the static settings depend on the space alone, so that the whole family shares them.
    for space, name in ((statics, ",".join(statics)), (own, arm)):
        source = np.random.default_rng(zlib.crc32(name.encode()))
        columns |= {key: _column(values, trials, source) for key, values in space.items()}
    fixed = _STATIC_TERMS if arm == STATIC else {}
    return [
        fixed | {key: column[trial] for key, column in columns.items()} for trial in range(trials if columns else 1)
    ]


def _column(values: Sequence[Any], trials: int, source: np.random.Generator) -> list[Any]:
    """Return the value of a setting in each trial."""
    middle = len(values) // 2
    others = [value for position, value in enumerate(values) if position != middle]
    turns = -(-trials // len(values))
    first = [values[middle], *(others[place] for place in source.permutation(len(others)))]
    later = [values[place] for _ in range(turns - 1) for place in source.permutation(len(values))]
    return [*first, *later][:trials]


def _outcome(arm: str, arena: Arena, trials: int, seeds: int) -> Outcome:
    settings = candidates(arm, trials)
    scores = [rmse(_predict(arm, one, arena, 0)[0], arena.valid.ratings) for one in settings]
    best = settings[int(np.argmin(scores))]
    runs = [_predict(arm, best, arena, seed)[1] for seed in range(seeds if arm in (STATIC, TIME) else 1)]
    truth = arena.test.ratings
    return Outcome(
        best,
        min(scores),
        [rmse(run, truth) for run in runs],
        [mae(run, truth) for run in runs],
        [errors_per_user(run, arena.test) for run in runs],
    )


def _predict(arm: str, settings: Settings, arena: Arena, seed: int) -> tuple[Doubles, Doubles]:
    """Return the predictions of validation and test."""
    if arm == MEAN:
        mean = float(np.nanmean(arena.train.value))
        return np.full(len(arena.valid), mean), np.full(len(arena.test), mean)
    if arm in (STATIC, TIME):
        return _factors(settings, arena, seed)
    model = arena.readout(settings)
    rule: Forgetting | None = None
    if arm == GLOBAL:
        clock, half_life = settings["half_life"]
        rule = GlobalHalfLife(half_life, clock)
    elif arm == PER_USER:
        rule = calibrated(settings, model.settings, arena.train)
    # In this order: an online rule enters the test with what it has learned in validation.
    return predicted_ratings(model.predict, arena.valid, rule), predicted_ratings(model.predict, arena.test, rule)


def _factors(settings: Settings, arena: Arena, seed: int) -> tuple[Doubles, Doubles]:
    model = TimeSVD(**settings, held_out=0.0, optimization=_OPTIMIZATION, seed=seed)
    parts = [arena.valid.queries(part) for part in arena.valid.batches(np.arange(len(arena.valid)))]

    def validate(trained: Recommender) -> float:
        assert isinstance(trained, TimeSVD)
        ratings = np.concatenate([trained.predict(queries, items[:, None])[:, 0].numpy() for queries, items in parts])
        return -rmse(np.clip(ratings, arena.valid.low, arena.valid.high), arena.valid.ratings)

    model.fit(arena.train, validate)

    def predict(queries: Queries, items: Any) -> Any:  # noqa: ANN401 - arrays
        return model.predict(queries, items[:, None])[:, 0].numpy()

    return predicted_ratings(predict, arena.valid), predicted_ratings(predict, arena.test)


def calibrated(settings: Settings, readout: ReadoutSettings, train: Interactions) -> TemporalDecay:
    """Return a rule that has learned from the newest training events, by a model that was not fitted on them."""
    own = {name: settings[name] for name in OVER_TIME[PER_USER]}
    rule = TemporalDecay(**own, sharpness=1.0, changepoints=False, caution=0.0).for_log(train.n_users, train.clock)
    late = newest_part(train, _CALIBRATION)
    earlier = train.select(~late)
    held_out = ResidualReadout(readout).fit(earlier)
    events = RatedEvents.of(train, earlier, int(train.time[late].min()))
    parts = list(events.batches(np.arange(len(events))))
    utility = np.concatenate([rating_utility(held_out.predict, events, part, rule) for part in parts])
    users = np.concatenate([events.queries(part)[0].users for part in parts])
    rule.fit_prior(utility, users)
    rule.learn(users, utility)
    return rule


def comparisons(results: Sequence[Result]) -> list[Difference]:
    """Return the differences of the users' mean squared errors, for each log and pair, corrected over all of them."""
    pairs = []
    for result in results:
        tables = {arm: outcome.per_user for arm, outcome in result.outcomes.items()}
        for own, other in PAIRS:
            if own in tables and other in tables:
                arms = (own, tables[own]), (other, tables[other])
                pairs += Difference.over_seeds(result.name, *arms, [SQUARED])
    return corrected(pairs)


def write(results: Sequence[Result], out: Path, trials: int, seeds: int) -> Path:
    """Write the report and return its path."""
    parts = [
        "# Prediction of ratings",
        facts(environment()),
        f"Global temporal split ({FRACTIONS[0]:.0%} of the events in training, the last {1 - FRACTIONS[1]:.0%} test). "
        "Events of users and items of training are predicted; parameters are frozen after training, and each event "
        "is predicted from its user's events strictly before it. Predictions are clipped to the scale. "
        f"Settings by validation RMSE, {trials} trials for every arm but the mean; {seeds} seeds for the factor models "
        "(mean ± standard deviation). Smaller is better.",
    ]
    for result in results:
        parts.append(f"## {result.name}")
        if result.failure is not None:
            parts.append(f"Not run: {result.failure}")
            continue
        rows = [
            [arm, spread(o.rmse), spread(o.mae), number(o.valid), _settings(o.settings)]
            for arm, o in result.outcomes.items()
        ]
        parts += [facts(result.facts), table(["arm", "test RMSE", "test MAE", "validation RMSE", "chosen"], rows)]
    rows = [
        [pair.where, f"{pair.own} - {pair.other}", *pair.columns(), OUTCOMES[pair.outcome]]
        for pair in comparisons(results)
    ]
    parts += [
        "## Paired over users",
        "Difference of the users' mean squared errors, first minus second (below 0: the first is better), averaged "
        "over seeds; 95% bootstrap interval; Wilcoxon signed-rank, Holm over all rows. Every user counts once here, "
        "every event in the tables above.",
        table(["log", "pair", *COLUMNS, "the first is"], rows),
    ]
    return write_report(out, parts)


def _settings(settings: Settings) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items()) or "-"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        clock, half_life = value
        return f"{half_life / DAY:g} days" if clock == "time" else f"{half_life:g} events"
    return f"{value:g}" if isinstance(value, float) else str(value)
