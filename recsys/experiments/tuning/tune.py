"""Tunes an experiment: trials on validation, in a study that can be interrupted, and the best settings as a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import yaml

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Split
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.metrics import SMALLER_IS_BETTER
from recsys.evaluation.ranking import validator
from recsys.events.transfer import pinned
from recsys.experiments.configuration import FEEDBACK, Experiment, Filters
from recsys.experiments.feedback import resolved
from recsys.experiments.run_log import DataSettings, LogRecord
from recsys.experiments.tuning.report import write_report
from recsys.experiments.tuning.space import SearchSpace
from recsys.files import json_values, locked, write_json, write_text
from recsys.models.base import Recommender, Validate
from recsys.training.session import Session

if TYPE_CHECKING:
    from recsys.experiments.tuning.study import RunningTrial, SamplerName, Study, Trial

SEARCHED, TUNED, STUDY = "search.json", "tuned.yaml", "study.db"
_LOCK = ".lock"


@final
@dataclass(frozen=True)
class TuneSettings:
    """How a search is made.

    Attributes:
        trials: how many there are in all, with those of earlier calls; the first is the experiment's own settings.
        minutes: no trial begins after so many minutes of this call; None: no limit.
        sampler: "tpe", which looks where good trials were, or "random".
        seed: of the draws.
        model_seed: of every model.
        storage: address of the database of the study; None: a file in the directory.
    """

    trials: int = 30
    minutes: float | None = None
    sampler: SamplerName = "tpe"
    seed: int = 0
    model_seed: int = 0
    storage: str | None = None


def tune(
    space: SearchSpace,
    data: DataSettings,
    out: Path,
    settings: TuneSettings,
    *,
    accelerator: str = "auto",
    say: Callable[[str], None] = lambda _: None,
    each: Each | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Search for the settings with the best validation metric; return what was found, as plain values.

    Test questions are never asked. In `out` are then `tuned.yaml`, ready for training, `report.md`, `search.png`,
    `search.json` (what is searched, and on what) and, unless it is elsewhere, the study. The same call goes on where an
    interrupted one was, and ends with what it would have found.

    Args:
        space: what is searched, and the experiment.
        data: log and split.
        out: the directory.
        settings: of the search.
        accelerator: device of models that are trained by gradient.
        say: called with a line at each trial.
        each: makes trials elsewhere, `workers` at a time, each drawn by what was found before all of them; none is
            ended early. None: one after the other in this process.
        workers: trials at a time.

    Returns:
        `metric`, `best` (`value`, `trial`, `settings`), `own` (the value of the experiment's own settings, or None),
        `trials`, `pruned`, `failed`, `seconds`, `importances`, `tuned`.

    Raises:
        ConfigError: optuna is missing, the database cannot be used, or no trial could be made.
        DataError: `out` holds another search, or nothing can be validated.
    """
    try:
        from recsys.experiments.tuning.study import Study  # noqa: PLC0415 (an optional library)
    except ModuleNotFoundError as error:
        raise ConfigError(f"tuning needs {error.name}, which is not installed; pip install 'recsys[tune]'") from None
    if settings.storage is None and set(str(out.resolve())) & set("?%{}"):
        raise ConfigError(f"{out}: the address of a database cannot have ?, %, {{ or }}; choose another directory")
    data.check(space.base.filters)
    data = replace(data, source=pinned(data.source))
    log = data.load()
    question = _question(space, data, settings, LogRecord.of(log).fingerprint)
    _begin(out, question)
    name = f"recsys-{blake2b(json.dumps(question, sort_keys=True).encode(), digest_size=8).hexdigest()}"
    storage = settings.storage or f"sqlite:///{(out / STUDY).resolve()}"
    cuts: dict[Filters, Split] = {}

    def cut(experiment: Experiment) -> Split:
        if experiment.filters not in cuts:
            cuts[experiment.filters] = data.cut(log, experiment.filters)
        return cuts[experiment.filters]

    first = cut(space.base)  # a fault of the log is told before any trial
    if FEEDBACK not in space.settings:
        base, _ = resolved(space.base, first, seed=settings.model_seed, say=say)
        space = replace(space, base=base)
    started = time.monotonic()
    used = f"{out} is in use: another search is going on there; wait until it is done"
    with (
        locked(out / _LOCK, used),
        Study(storage, name, space.settings, settings.sampler, settings.seed) as study,
        nullcontext() if settings.storage is None else study.alone(),
    ):
        trials = study.trials()
        if trials:
            say(f"of earlier calls there are {len(trials)} of {settings.trials} trials")
        maker = TrialMaker(space, data, settings.model_seed, accelerator)
        search = _Search(space, study, cut, maker, each)
        while len(trials) < settings.trials:
            if settings.minutes is not None and time.monotonic() - started > 60 * settings.minutes:
                say(f"{settings.minutes:g} minutes are over after {len(trials)} trials; the same command goes on")
                break
            for _ in search.trials(min(workers, settings.trials - len(trials))):
                trials = study.trials()
                say(_line(trials, _metric(space)))
        return _finish(out, space, trials, study.importances(), question)


Each = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Calls a function for each of some arguments, here or elsewhere, and yields the results in order."""


@final
@dataclass(frozen=True)
class Outcome:
    """How a trial has ended.

    Attributes:
        value: of the validation metric; None where the settings could not be used, or the trial was ended early.
        reason: why they could not; "" for a trial that was ended early.
        seconds: of the trial.
        epochs: of the model; None in closed form without a fit.
        curve: the validations of a model that is trained by gradient.
    """

    value: float | None
    reason: str
    seconds: float
    epochs: int | None
    curve: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class TrialMaker:
    """Makes trials in any process, from their settings; a process reads the log once."""

    space: SearchSpace
    data: DataSettings
    seed: int
    accelerator: str

    def __call__(self, settings: Mapping[str, Any]) -> Outcome:
        curve: list[float] = []
        outcome = self.outcome(settings, partial(_split_once, self.data), curve.append)
        return replace(outcome, curve=tuple(curve))

    def outcome(
        self, settings: Mapping[str, Any], cut: Callable[[Experiment], Split], report: Callable[[float], None]
    ) -> Outcome:
        """Make a trial on a split.

        Args:
            settings: by key.
            cut: returns the split of the log with the filters of an experiment.
            report: called with the validations of a model that is trained by gradient; may raise to end the trial.
        """
        started = time.perf_counter()
        model: Recommender | None = None
        session = Session(accelerator=self.accelerator)
        try:
            experiment = self.space.experiment(settings)
            split = cut(experiment)
            experiment, _ = resolved(experiment, split, seed=self.seed, session=session)
            validate = validator(split.valid, experiment.validation.metric, experiment.validation.users)
            model = experiment.build(self.seed)
            model.fit(split.train, _reporting(validate, report), session)
            value, reason = validate(model), ""
        except (ConfigError, CapabilityError, DataError) as error:
            value, reason = None, str(error)
        epochs = None if value is None or model is None or model.effort is None else model.effort.epochs
        return Outcome(value, reason, _seconds(started), epochs)


_SPLITS: dict[str, tuple[Interactions, dict[Filters, Split]]] = {}
"""What a process that makes trials has read last."""


def _split_once(data: DataSettings, experiment: Experiment) -> Split:
    key, filters = repr(data), experiment.filters
    if key not in _SPLITS:
        _SPLITS.clear()
        _SPLITS[key] = data.load(), {}
    log, cuts = _SPLITS[key]
    if filters not in cuts:
        cuts[filters] = data.cut(log, filters)
    return cuts[filters]


@final
class _Search:
    """Makes trials."""

    def __init__(
        self,
        space: SearchSpace,
        study: Study,
        cut: Callable[[Experiment], Split],
        maker: TrialMaker,
        each: Each | None,
    ) -> None:
        self._study, self._cut, self._maker, self._each = study, cut, maker, each
        self._own = space.own()

    def trials(self, count: int) -> Iterator[None]:
        """Make the next trials, and yield whenever one has ended."""
        running = [self._study.next(self._own, ahead) for ahead in range(count)]
        try:
            outcomes = (
                map(self._here, running)
                if self._each is None
                else self._each(self._maker, [one.settings for one in running])
            )
            for outcome in outcomes:
                one = running.pop(0)
                self._study.reported(one, outcome.curve)
                facts = {"seconds": outcome.seconds, "epochs": outcome.epochs}
                self._study.tell(one, outcome.value, reason=outcome.reason, **facts)
                yield
        except BaseException:
            for one in running:
                self._study.drop(one)
            raise

    def _here(self, running: RunningTrial) -> Outcome:
        """Make a trial in this process, in which the study may end it early."""
        from recsys.experiments.tuning.study import PrunedError  # noqa: PLC0415

        started = time.perf_counter()
        try:
            return self._maker.outcome(running.settings, self._cut, running.report)
        except PrunedError:
            return Outcome(None, "", _seconds(started), None)


def _reporting(validate: Validate, report: Callable[[float], None]) -> Validate:
    """Return a validation that tells the study of the epochs of a model, which may end the trial.

    Models in closed form validate to choose among what is given, which is no curve.
    """

    def validated(model: Recommender) -> float:
        value = validate(model)
        if hasattr(model, "optimization"):
            report(value)
        return value

    return validated


def _seconds(started: float) -> float:
    return round(time.perf_counter() - started, 2)


def _question(space: SearchSpace, data: DataSettings, settings: TuneSettings, fingerprint: str) -> dict[str, Any]:
    """Return what decides the trials, as plain values; the place of the log does not."""
    asked = {name: value for name, value in asdict(data).items() if name not in ("source", "items", "on_error")}
    question: dict[str, Any] = json_values(
        {
            "experiment": space.base.to_dict(),
            "search": space.plain(),
            "data": asked,
            "log": fingerprint,
            "sampler": settings.sampler,
            "seed": settings.seed,
            "model_seed": settings.model_seed,
        }
    )
    return question


def _begin(out: Path, question: dict[str, Any]) -> None:
    """Make the directory, or check that it holds this search.

    Raises:
        DataError: it holds another one, or something else.
    """
    path = out / SEARCHED
    if path.exists():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            stored = {}
        other = ", ".join(name for name in question if stored.get(name) != question[name])
        if other:
            raise DataError(f"{out} holds a search that differs in {other}; choose another directory, or remove it")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there, and holds no search; choose another directory")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, question)


def _metric(space: SearchSpace) -> str:
    """Return the name of what is maximised: with a minus where less of the metric is better."""
    metric = space.base.validation.metric
    return f"-{metric}" if metric.partition("@")[0] in SMALLER_IS_BETTER else metric


def _line(trials: list[Trial], metric: str) -> str:
    last = trials[-1]
    told = {"complete": "", "pruned": ", ended early", "failed": ""}[last.state]
    value = f"cannot be used: {last.reason}" if last.value is None else f"{metric} {last.value:.4f}{told}"
    shown = ", ".join(f"{key} {_short(setting)}" for key, setting in last.settings.items())
    best = best_of(trials)
    leads = "" if best is None else f"; best {best.value:.4f}"
    return f"trial {last.number + 1}: {shown}: {value}{leads}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def best_of(trials: list[Trial]) -> Trial | None:
    """Return the complete trial with the largest value, the first of equals; None without one."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def _finish(
    out: Path, space: SearchSpace, trials: list[Trial], importances: dict[str, float], question: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the tuned experiment and the report."""
    best = best_of(trials)
    if best is None:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in trials if trial.reason)) or "there was no time"
        raise ConfigError(f"none of the {len(trials)} trials could be made: {reasons}")
    experiment, metric = space.experiment(best.settings), _metric(space)
    head = f"# Tuned by `recsys tune`: validation {metric} {best.value:.4f}, the best of {len(trials)} trials.\n"
    write_text(out / TUNED, head + yaml.safe_dump(json_values(experiment.to_dict()), sort_keys=False))
    own = space.own()
    result: dict[str, Any] = {
        "metric": metric,
        "best": {"value": best.value, "trial": best.number, "settings": best.settings},
        "own": trials[0].value if own is not None and trials[0].settings == own else None,
        "trials": len(trials),
        "pruned": sum(trial.state == "pruned" for trial in trials),
        "failed": sum(trial.state == "failed" for trial in trials),
        "seconds": round(sum(float(trial.facts.get("seconds", 0.0)) for trial in trials), 1),
        "importances": importances,
        "tuned": str(out / TUNED),
    }
    write_report(out, trials, result, question)
    return result
