"""Cost of per-user decay beside the undecayed model and beside retraining. `python -m benchmarks.decay_cost`.

For each query in turn, the undecayed and the decayed model answer and the rule learns from the event, so that other
work of the machine falls on all three alike; medians count. Use one thread (`--threads 1`) for reproducible figures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment
from benchmarks.tools.report import table
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay.base import learning
from recsys.decay.temporal import TemporalDecay
from recsys.errors import ConfigError
from recsys.experiments.configuration import Experiment
from recsys.models.calibration_set import CalibrationSet, calibration_events, newest_part
from recsys.models.decayed.model import Decayed
from recsys.types import DAY

BATCH = 256
LATE = 0.3
"""Share of the newest events, unseen by the models: the source of the queries and of the number of events a day."""
_LENGTH = 10
_STEPS = ("undecayed", "decayed", "observe")

Batches = Sequence[tuple[Queries, npt.NDArray[np.int32]]]
"""Batches of queries with the item that followed each."""


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    command = parser("decay_cost", __doc__, threads=True)
    command.add_argument("--dataset", default="ml-latest-small", metavar="NAME", help="log (default ml-latest-small)")
    help_text = "shipped configurations (default ease_decay)"
    command.add_argument("--config", nargs="+", default=["ease_decay"], metavar="NAME", help=help_text)
    command.add_argument("--questions", type=int, default=2048, metavar="N", help="questions (default 2048)")
    options = command.parse_args(arguments)

    log = datasets.load(options.dataset)
    experiments = {name: shipped_experiment(name) for name in options.config}
    for name, each in experiments.items():
        if each.arguments.get("rule", {}).get("init_args", {}).get("own") == "earned":
            experiments[name] = with_settings(each, {"rule.own": "always"})  # what is measured is learning
    costs = {name: measure(log, each, questions=options.questions) for name, each in experiments.items()}
    for name, value in environment().items():
        print(f"{name}: {value}")
    print(table(["", *costs], rows(costs)))
    return 0


def measure(log: Interactions, experiment: Experiment, *, questions: int = 2048, seed: int = 0) -> dict[str, Any]:
    """Return the cost of decay: seconds a query, bytes a user, and a day's learning against a retraining.

    The models are fitted before the newest 30% of the log. A fold-in model without decay is wrapped in `Decayed`. The
    queries, at most so many, are the newest events of every user.

    Returns:
        `alone` and `batches`, each with the median seconds a question of `undecayed`, `decayed` (recommend 10 items)
        and `observe`, and `ratio`, (decayed + observe) / undecayed; `questions`; `bytes_per_user`; `fit_seconds`, of
        one fit of the undecayed model; `events_per_day`, `day_seconds`, of observing them in batches, and
        `retraining_factor`, their ratio: NaN where the log's times are not seconds.

    Raises:
        CapabilityError: the model cannot fold in.
        ConfigError: the model has one half-life for all, or there is no query.
    """
    built = experiment.build(seed)
    model = built if isinstance(built, Decayed) else Decayed(built, TemporalDecay())
    late = newest_part(log, LATE)
    model.fit(log.select(~late))
    if learning(model.forgetting) is None:
        raise ConfigError(f"{type(model.rule).__name__} observes nothing; use a rule that learns online")
    events = calibration_events(model.scoring_model, log, late, questions)
    if not len(events):
        raise ConfigError(f"{log.name} has no late event of a known item after a history: there is no query")
    batches, done = [], 0
    for queries in CalibrationSet.of_events(model.scoring_model, log, events).batches():
        for batch in queries.batches(BATCH):
            batches.append((batch, log.item_num[events[done : done + len(batch)]]))
            done += len(batch)
    single = [
        (queries.take(np.asarray([k])), items[k : k + 1]) for queries, items in batches for k in range(len(items))
    ]
    seconds = {"alone": _seconds(model, single), "batches": _seconds(model, batches)}
    rule, effort = learning(model.forgetting), model.scoring_model.effort
    assert rule is not None
    assert effort is not None
    per_day = _events_per_day(log, late)
    day = per_day * seconds["batches"]["observe"]
    return {
        **seconds,
        "questions": len(events),
        "bytes_per_user": rule.state_bytes(),
        "fit_seconds": effort.seconds,
        "events_per_day": per_day,
        "day_seconds": day,
        "retraining_factor": effort.seconds / day,
    }


def rows(costs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of a table with a column for each model."""
    lines: list[list[str]] = []
    for way, label in (("alone", "one by one"), ("batches", f"in batches of {BATCH}")):
        lines += [
            [f"{label}: {step}, ms", *(f"{1e3 * cost[way][step]:.3f}" for cost in costs.values())] for step in _STEPS
        ]
        lines.append([f"{label}: (decayed + observe) / undecayed", *(f"{c[way]['ratio']:.2f}" for c in costs.values())])
    keys = {"bytes per user": "bytes_per_user", "one fit, s": "fit_seconds", "events per day": "events_per_day"}
    keys |= {"observing a day, s": "day_seconds", "fit / day": "retraining_factor"}
    return lines + [[label, *(f"{cost[name]:.4g}" for cost in costs.values())] for label, name in keys.items()]


def _seconds(model: Decayed, batches: Batches) -> dict[str, float]:
    """Return the median seconds a query of each step, and their ratio; resets the rule afterwards."""
    taken = np.empty((len(batches), len(_STEPS)))
    _steps(model, *batches[0])  # warm-up
    for number, (queries, items) in enumerate(batches):
        taken[number] = _steps(model, queries, items) / len(queries)
    rule = learning(model.forgetting)
    assert rule is not None
    rule.reset()
    median = dict(zip(_STEPS, np.median(taken, axis=0).tolist(), strict=True))
    return median | {"ratio": (median["decayed"] + median["observe"]) / median["undecayed"]}


def _steps(model: Decayed, queries: Queries, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return the seconds of each step."""
    moments = [time.perf_counter()]
    model.scoring_model.recommend(queries, _LENGTH)
    moments.append(time.perf_counter())
    model.recommend(queries, _LENGTH)
    moments.append(time.perf_counter())
    model.observe(queries, items)
    moments.append(time.perf_counter())
    return np.diff(moments)


def _events_per_day(log: Interactions, late: npt.NDArray[np.bool_]) -> float:
    """Return the number of events a day in the late part."""
    if log.clock != "seconds":
        return float("nan")
    times = log.time[late]
    return len(times) / max(float(np.ptp(times)) / DAY, 1.0)
