"""What is searched: a range or choices for each setting, every end of which its constructor has accepted.

    search:
      regularization: {low: 50, high: 5000, log: true}
      embedding_size: {low: 32, high: 256, step: 32}
      feedback: [events, liked]

A key is that of an override (`--objective.loss`, or the last part where that is unambiguous). A range has whole numbers
where the setting has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, final

import yaml

from recsys.errors import ConfigError
from recsys.experiments.configuration import SEARCH, Experiment, check_experiment, setting_of
from recsys.files import json_values
from recsys.models.parameters import check_keys

_FIXED: Final = ("validation.", "seed")
"""Settings that no search may change: trials would not be comparable, or would be of chance."""

_RANGE: Final = ("low", "high", "log", "step")


@final
@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes:
        low, high: the ends, both included.
        log: whether the logarithm is what is drawn.
        step: between values; None: 1 for whole numbers, else any.
        whole: whether values are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The ends, of the type of the values."""
        return (int(self.low), int(self.high)) if self.whole else (float(self.low), float(self.high))

    def holds(self, value: Any) -> bool:  # noqa: ANN401 - a setting has any type
        """Return whether a value is one of the range."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9

    def plain(self) -> object:
        """Return it as the experiment file writes it."""
        low, high = self.ends
        return (
            {"low": low, "high": high}
            | ({"log": True} if self.log else {})
            | ({} if self.step is None else {"step": self.step})
        )


@final
@dataclass(frozen=True)
class Choices:
    """Values of any type, such as the names of losses, or rules with their settings."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    @property
    def texts(self) -> tuple[str, ...]:
        """Each as JSON, by which a study knows it."""
        return tuple(json.dumps(json_values(value), sort_keys=True) for value in self.values)

    def holds(self, value: Any) -> bool:  # noqa: ANN401 - a setting has any type
        """Return whether a value is one of them."""
        return json.dumps(json_values(value), sort_keys=True) in self.texts

    def plain(self) -> object:
        """Return them as the experiment file writes them."""
        return list(self.values)


Searched = Range | Choices


@final
@dataclass(frozen=True)
class SearchSpace:
    """What is searched.

    Attributes:
        base: the experiment whose other settings stay.
        settings: ranges and choices by key.
    """

    base: Experiment
    settings: Mapping[str, Searched]

    @classmethod
    def of(cls, section: object, base: Experiment, source: str | Path) -> Self:
        """Check the section `search` of an experiment file, every end of it against the constructors.

        Args:
            section: as it is written.
            base: the experiment of the file.
            source: the file, for errors.

        Raises:
            ConfigError: naming file, key, value and cure.
        """
        where = f"{source}: {SEARCH}"
        if not isinstance(section, Mapping) or not section:
            raise ConfigError(
                f"{where} is missing or empty, so that there is nothing to tune; add it, as in "
                f"`{SEARCH}: {{regularization: {{low: 10, high: 1000, log: true}}}}`"
            )
        settings: dict[str, Searched] = {}
        named: dict[str, str] = {}
        for key, written in section.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: {key!r} is no key of a setting; write its name")
            try:
                full, value = setting_of(base, key, dashes="")
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
            if full in named:
                raise ConfigError(f"{where}: {named[full]} and {key} are the same setting; keep one")
            if full.startswith(_FIXED[0]) or full.rpartition(".")[2] == _FIXED[1]:
                raise ConfigError(f"{where}: {key} decides how trials are measured, not what is tried; leave it out")
            named[full] = key
            settings[key] = _searched(f"{where}.{key}", written, value)
        space = cls(base, settings)
        for key, searched in settings.items():
            for end in searched.ends:
                try:
                    space.experiment({key: end}).build()
                except ConfigError as error:
                    raise ConfigError(f"{where}.{key}: {end!r} cannot be used: {error}") from None
        return space

    def experiment(self, values: Mapping[str, Any]) -> Experiment:
        """Return the experiment with some settings.

        Raises:
            ConfigError: they cannot be used together.
        """
        overrides = [(key, yaml.safe_dump(json_values(value))) for key, value in values.items()]
        return check_experiment(self.base.to_dict(), overrides, "trial", dashes="")

    def own(self) -> dict[str, Any] | None:
        """Return the settings of the experiment itself, by key; None where one is not in the space."""
        values = {key: setting_of(self.base, key)[1] for key in self.settings}
        return values if all(self.settings[key].holds(value) for key, value in values.items()) else None

    def plain(self) -> dict[str, Any]:
        """Return the section as it is written."""
        return {key: searched.plain() for key, searched in self.settings.items()}


def _searched(where: str, written: object, value: object) -> Searched:
    """Return what is searched of a setting that has some value now."""
    if isinstance(written, list):
        choices = Choices(tuple(written))
        if len(set(choices.texts)) != len(choices.texts) or not written:
            raise ConfigError(f"{where}: {written!r} has no choices, or one twice; give each once")
        return choices
    if not isinstance(written, Mapping) or not {"low", "high"} <= set(written):
        raise ConfigError(f"{where} is {written!r}; give choices, [1, 2], or a range, {{low: 1, high: 2, log: true}}")
    check_keys(written, _RANGE, where)
    log, step = written.get("log"), written.get("step")
    for name, number in (("low", written["low"]), ("high", written["high"]), ("step", step)):
        if name == "step" and number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            hint = "; YAML reads numbers with exponents as 1.0e-4" if isinstance(number, str) else ""
            raise ConfigError(f"{where}.{name} is {number!r}; it must be a finite number{hint}")
    low, high = written["low"], written["high"]
    if not isinstance(log, bool | None):
        raise ConfigError(f"{where}.log is {log!r}; it must be true or false")
    if not low < high:
        raise ConfigError(f"{where}: low is {low:g} and high is {high:g}; low must be smaller")
    if log and low <= 0:
        raise ConfigError(f"{where}: low is {low:g}, which has no logarithm; give a positive one, or leave out log")
    if step is not None:
        _check_step(where, low, high, step, log=bool(log))
    numbers = (low, high) if step is None else (low, high, step)
    are_whole = all(float(number).is_integer() for number in numbers)
    is_whole = isinstance(value, int) if isinstance(value, int | float) else are_whole
    if is_whole and not are_whole:
        raise ConfigError(f"{where}: the setting is a whole number, so low, high and step must be, too")
    return Range(low, high, bool(log), step, is_whole)


def _check_step(where: str, low: float, high: float, step: float, *, log: bool) -> None:
    if log:
        raise ConfigError(f"{where}: a logarithmic range has no steps; leave out log, or step")
    if step <= 0:
        raise ConfigError(f"{where}.step is {step:g}; it must be positive")
    steps = (high - low) / step
    if abs(steps - round(steps)) > 1e-9:
        last = low + step * math.floor(steps)
        raise ConfigError(f"{where}: steps of {step:g} from {low:g} end at {last:g}; give high: {last:g}")
