"""The study of a search: which settings are tried next, and what was found. The only module that imports optuna.

A draw is a function of the seed and of the trials that are complete, never of a sampler's state, so that a study that
was killed and resumed draws what it would have drawn.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, Self, final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from recsys.errors import ConfigError, DataError
from recsys.events.addresses import located
from recsys.experiments.tuning.space import Choices, Searched
from recsys.files import locked

SamplerName = Literal["tpe", "random"]

_STARTUP: Final = 10
"""Trials that are drawn at random before the sampler guides; so many have to be complete for importances, too."""

_PRUNED_AFTER: Final = 5
"""Complete trials before one is ended early, for its best validation so far being below their median at its epoch."""

_REASON, _FACTS = "reason", "facts"


@final
@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: from 0, in the order of trial, without those that were interrupted.
        settings: by key.
        value: of the validation metric, larger is better; of a trial that was ended early the last one; None where the
            settings could not be used.
        state: how it ended.
        curve: value of each validation while it was trained, by its number; empty for models without epochs.
        reason: why the settings could not be used; "" where they could.
        facts: what else is known, such as seconds.
    """

    number: int
    settings: dict[str, Any]
    value: float | None
    state: Literal["complete", "pruned", "failed"]
    curve: dict[int, float]
    reason: str
    facts: dict[str, Any]


@final
class PrunedError(Exception):
    """A trial that is ended early."""


@final
class RunningTrial:
    """A trial that is being made."""

    def __init__(self, trial: optuna.Trial, settings: Mapping[str, Any]) -> None:
        self._trial = trial
        self.settings = dict(settings)
        self._validations = 0

    def report(self, value: float) -> None:
        """Note a validation.

        Raises:
            PrunedError: the best validation so far is below the median of the complete trials at the same epoch.
        """
        self._trial.report(value, self._validations)
        self._validations += 1
        if self._trial.should_prune():
            raise PrunedError


@final
class Study:
    """A study in a database.

    Args:
        storage: address of the database: sqlite:///FILE or postgresql://...
        name: of the study in it.
        settings: what is searched, by key.
        sampler: what draws.
        seed: of the draws.

    Raises:
        ConfigError: the database cannot be used.
    """

    def __init__(
        self, storage: str, name: str, settings: Mapping[str, Searched], sampler: SamplerName, seed: int
    ) -> None:
        self._settings, self._sampler, self._seed = settings, sampler, seed
        self._address = storage
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_PRUNED_AFTER, n_warmup_steps=1)
        address = storage.replace("postgresql://", "postgresql+psycopg://", 1)
        try:
            self._study = optuna.create_study(
                storage=address, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
            )
        except Exception as error:
            raise ConfigError(
                f"{located(storage)}: cannot hold a study ({type(error).__name__}); give sqlite:///FILE, or "
                "a PostgreSQL database, postgresql://USER@HOST/DATABASE, that may be written"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        storage, engine = self._study._storage, self._engine
        if engine is not None:
            storage.remove_session()
            engine.dispose()

    @property
    def _engine(self) -> Any:  # noqa: ANN401 - of the library within optuna
        storage = self._study._storage
        return getattr(getattr(storage, "_backend", storage), "engine", None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process work on the study meanwhile, from whatever folder.

        In PostgreSQL it is the lock of a session, which it cannot outlive; else that of a file beside the database.

        Raises:
            DataError: another process does.
        """
        used = (
            f"{located(self._address)}: the same search is going on from another folder, in the same study; wait until "
            "it is done, or give another --seed"
        )
        engine = self._engine
        if engine is None or engine.dialect.name != "postgresql":
            file = None if engine is None else engine.url.database
            with locked(Path(f"{file}.{self._study.study_name}.lock"), used) if file else nullcontext():
                yield
            return
        number = int.from_bytes(blake2b(self._study.study_name.encode(), digest_size=8).digest(), signed=True)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (number,)).scalar():
                raise DataError(used)
            try:
                yield
            finally:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (number,))

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, in the order of trial."""
        ended = [trial for trial in self._study.get_trials(deepcopy=False) if _has_ended(trial)]
        return [self._plain(number, trial) for number, trial in enumerate(ended)]

    def next(self, first: Mapping[str, Any] | None = None, ahead: int = 0) -> RunningTrial:
        """Return the next trial.

        Args:
            first: the settings of the first one of all; drawn when None.
            ahead: how many trials have begun before it, and not ended.
        """
        ended = ahead + sum(_has_ended(trial) for trial in self._study.get_trials(deepcopy=False))
        drawn = int.from_bytes(blake2b(f"{self._seed}:{ended}".encode(), digest_size=4).digest())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=drawn)
            if self._sampler == "tpe":
                sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=_STARTUP, constant_liar=False)
            if first is not None and ended == 0:
                encoded = {key: _encoded(self._settings[key], value) for key, value in first.items()}
                sampler = optuna.samplers.PartialFixedSampler(encoded, sampler)
        self._study.sampler = sampler
        trial = self._study.ask({key: _distribution(searched) for key, searched in self._settings.items()})
        return RunningTrial(trial, self._decoded(trial.params))

    def tell(self, running: RunningTrial, value: float | None, *, reason: str = "", **facts: Any) -> None:  # noqa: ANN401
        """Note the end of a trial: its value; None and a reason where its settings could not be used.

        None without a reason: it was ended early.
        """
        trial = running._trial
        trial.set_user_attr(_FACTS, facts)
        if value is not None:
            self._study.tell(trial, value)
        elif reason:
            trial.set_user_attr(_REASON, reason)
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def reported(self, running: RunningTrial, curve: Sequence[float]) -> None:
        """Note the validations of a trial that was made elsewhere."""
        for number, value in enumerate(curve):
            running._trial.report(value, number)

    def drop(self, running: RunningTrial) -> None:
        """Forget a trial that was interrupted: it is made again."""
        self._study.tell(running._trial, state=TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """Return how much each setting decides among the best trials, adding up to 1; nothing from too few trials."""
        complete = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
        if len(complete) < _STARTUP or len({trial.value for trial in complete}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    def _decoded(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: json.loads(value) if isinstance(self._settings[key], Choices) else value
            for key, value in params.items()
        }

    def _plain(self, number: int, trial: FrozenTrial) -> Trial:
        state: Literal["complete", "pruned", "failed"] = "complete"
        if trial.state != TrialState.COMPLETE:
            state = "pruned" if trial.state == TrialState.PRUNED else "failed"
        curve = dict(sorted(trial.intermediate_values.items()))
        return Trial(
            number,
            self._decoded(trial.params),
            trial.value,
            state,
            curve,
            str(trial.user_attrs.get(_REASON, "")),
            dict(trial.user_attrs.get(_FACTS, {})),
        )


def _has_ended(trial: FrozenTrial) -> bool:
    """Return whether a trial counts: it is complete, was ended early, or its settings could not be used."""
    failed = trial.state == TrialState.FAIL and _REASON in trial.user_attrs
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or failed


def _distribution(searched: Searched) -> BaseDistribution:
    if isinstance(searched, Choices):
        return CategoricalDistribution(searched.texts)
    if searched.whole:
        low, high = searched.ends
        return IntDistribution(int(low), int(high), log=searched.log, step=int(searched.step or 1))
    return FloatDistribution(searched.low, searched.high, log=searched.log, step=searched.step)


def _encoded(searched: Searched, value: Any) -> Any:  # noqa: ANN401 - a setting has any type
    if not isinstance(searched, Choices):
        return value
    return next(text for text in searched.texts if json.loads(text) == value)
