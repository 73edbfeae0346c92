"""Experiment files: one self-contained YAML per experiment, typed by the constructors it names.

A file holds `model` (the class to use and its constructor's arguments) and, optionally, `filters` and `validation`:

    model:
      class_path: recsys.models.AMPCF
      init_args: {personas: 4, objective: {loss: full_softmax}}
    filters: {min_user_events: 1, min_item_events: 1}
    validation: {metric: ndcg@10, users: 2000}

An argument that is itself a model or a rule of forgetting has the same shape, `{class_path: ..., init_args: {...}}`.
Classes of other packages are named by dotted path (`my_package.MyModel`) or by the short name of an installed entry
point. Files of earlier versions are read too. A misspelt key is an error that names the nearest right one.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import yaml

from recsys.bundles import legacy
from recsys.bundles.classes import configured, named_like
from recsys.checks import object_named, public_name, whole
from recsys.errors import ConfigError, nearest
from recsys.evaluation.metrics import parse_metric
from recsys.experiments.shipped import experiment_file, experiment_files
from recsys.files import refuse_device
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.models.parameters import ARGUMENTS, CLASS, check_keys, from_plain, from_section, to_plain


@final
@dataclass(frozen=True)
class Filters:
    """Minimum events of a user and of an item, counted on training data only.

    Raises:
        ConfigError: a minimum is below 1.
    """

    min_user_events: int = 1
    min_item_events: int = 1

    def __post_init__(self) -> None:
        whole("filters.min_user_events", self.min_user_events)
        whole("filters.min_item_events", self.min_item_events)


@final
@dataclass(frozen=True)
class Validation:
    """The metric of early stopping and tuning.

    Attributes:
        metric: a ranking metric with its cutoff.
        users: at most this many validation users, sampled once; all when None.

    Raises:
        ConfigError: there is no such metric, or the number is below 1.
    """

    metric: str = "ndcg@10"
    users: int | None = None

    def __post_init__(self) -> None:
        parse_metric(self.metric)
        if self.users is not None:
            whole("validation.users", self.users)


_SECTIONS: dict[str, type[Any]] = {"filters": Filters, "validation": Validation}


@final
@dataclass(frozen=True)
class Experiment:
    """A checked experiment file.

    Attributes:
        model_class: the class of the model.
        arguments: its constructor's arguments, checked and complete, as plain values.
        filters: minimum events.
        validation: what to validate on.
    """

    model_class: type[Recommender]
    arguments: Mapping[str, Any]
    filters: Filters
    validation: Validation

    def build(self, seed: int | None = None) -> Recommender:
        """Return a new, unfitted model; `seed` replaces the file's, also of wrapped models, where they have one."""
        arguments = self.arguments if seed is None else _seeded(self.arguments, seed)
        return from_plain(self.model_class, arguments, f"config: {self.model_class.__name__}", configured)

    def to_dict(self) -> dict[str, Any]:
        """Return the experiment as the plain values of a complete experiment file."""
        return {
            "model": {CLASS: public_name(self.model_class), ARGUMENTS: dict(self.arguments)},
            **{name: dataclasses.asdict(getattr(self, name)) for name in _SECTIONS},
        }


def read_experiment(name: str | Path, overrides: Sequence[tuple[str, str]] = (), *, dashes: str = "--") -> Experiment:
    """Read and check an experiment file.

    Args:
        name: of a shipped experiment, such as "persona_ease", or the path of a YAML file.
        overrides: (key, text) pairs that replace settings; a key is a path below `model.init_args` or the file
            ("objective.loss", "validation.metric"), or the last part of one where that is unambiguous ("loss"). The
            name of a class replaces a model or rule ("rule"); its arguments follow it ("rule.half_life").
        dashes: what messages write before a key: those of the command line, or "" for settings in Python.

    Raises:
        ConfigError: the file is missing or not YAML, names an unknown class or key, or a value has the wrong type.
    """
    path = experiment_file(name)
    return check_experiment(_content(path), overrides, str(path), dashes=dashes)


def read_filters(path: Path) -> Filters:
    """Read the filters of an experiment file, without importing the model that it names.

    Raises:
        ConfigError: as for `read_experiment`.
    """
    content = _content(path)
    filters: Filters = _section("filters", content if isinstance(content, dict) else {}, str(path))
    return filters


def check_experiment(
    content: object, overrides: Sequence[tuple[str, str]] = (), source: str = "config", *, dashes: str = "--"
) -> Experiment:
    """Check the content of an experiment file; see `read_experiment`."""
    if not isinstance(content, dict) or "model" not in content:
        raise ConfigError(f"{source}: an experiment file needs a section 'model' with class_path and init_args")
    check_keys(content, ("model", *_SECTIONS), source)
    model = from_section(legacy.section(content["model"]), Recommender, f"{source}: model", configured)
    sections = {name: _section(name, content, source) for name in _SECTIONS}
    if overrides:
        complete = {"model": to_plain(model)[ARGUMENTS]} | {name: to_plain(part) for name, part in sections.items()}
        pairs = [(key.replace("-", "_"), _value(key, text, dashes)) for key, text in overrides]
        if isinstance(model, Decayed):
            pairs = legacy.overrides(complete["model"]["rule"][CLASS], pairs)
        # The settings of a whole rule or model that is replaced are those of the new one.
        whole = _short(_paths(complete, sections=True))
        for key, value in sorted(pairs, key=lambda pair: pair[0].removeprefix("model.") not in whole):
            *parts, last = _resolve(key, complete, dashes).split(".")
            target = complete
            for part in parts:
                target = target[part]
            old: Any = target.get(last)
            target[last] = _complete(f"{dashes}{key}", value, old[CLASS]) if _has_class(old) else value
        model = from_plain(type(model), complete["model"], f"{source}: {type(model).__name__}", configured)
        sections = {name: _section(name, complete, source) for name in _SECTIONS}
    return Experiment(type(model), to_plain(model)[ARGUMENTS], **sections)


def settings(kind: type[Any]) -> dict[str, Any]:
    """Return every setting of a constructor with its default, nested groups as dotted keys.

    >>> from recsys.models import MF
    >>> settings(MF)["optimization.batch_size"]
    256
    """
    defaults: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        default = parameter.default
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            defaults |= {f"{name}.{key}": value for key, value in settings(type(default)).items()}
        else:
            defaults[name] = None if default is inspect.Parameter.empty else default
    return defaults


def listed_settings(experiment: Experiment) -> dict[str, tuple[Any, Any]]:
    """Return the value and the default of everything that overrides can set, by the key that sets it.

    The class of a model or a rule within is set by its name ("rule"), its arguments by that and theirs
    ("rule.half_life"). A default is None where the constructor has none.
    """
    found = dict(_listed(experiment.model_class, experiment.arguments, ""))
    for name, kind in _SECTIONS.items():
        found |= _listed(kind, dataclasses.asdict(getattr(experiment, name)), f"{name}.")
    return found


def _listed(kind: type[Any], values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    defaults = settings(kind)
    for name, value in values.items():
        if _has_class(value):
            within = object_named(name, value[CLASS], "recsys.models")
            yield f"{prefix}{name}", (value[CLASS], None)
            yield from _listed(within, value[ARGUMENTS], f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            yield from ((f"{prefix}{name}.{key}", (one, defaults.get(f"{name}.{key}"))) for key, one in value.items())
        else:
            yield f"{prefix}{name}", (value, defaults.get(name))


def _content(path: Path) -> object:
    try:
        refuse_device(path)
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.stem in experiment_files():
            raise ConfigError(f"{path}: no such experiment file; did you mean {path.stem!r}?") from None
        others = sorted(str(other) for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = nearest(str(path), others) or (f"; there are {', '.join(others)}" if others else "")
        raise ConfigError(f"{path}: no such experiment file{hint}") from None
    except OSError as error:
        raise ConfigError(f"{path}: no experiment file ({error.strerror}); give a name or a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def _value(key: str, text: str, dashes: str) -> Any:  # noqa: ANN401 - any plain value
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"{dashes}{key} is {text!r}, which is not valid YAML") from None


def _complete(setting: str, value: object, other: str) -> object:
    """Return the section of a model or a rule, or of the class that `value` names, with all arguments."""
    section = {CLASS: value} if isinstance(value, str) else value
    if not isinstance(section, Mapping) or not isinstance(section.get(CLASS), str):
        return value  # refused when the model is built
    kind, given = named_like(setting, section[CLASS], other), section.get(ARGUMENTS)
    if not isinstance(given, Mapping | None):
        return value
    defaults = {name: to_plain(parameter.default) for name, parameter in inspect.signature(kind).parameters.items()}
    return {**section, CLASS: public_name(kind), ARGUMENTS: defaults | dict(given or {})}


def _section(name: str, content: Mapping[str, Any], source: str) -> Any:  # noqa: ANN401 - of the type in _SECTIONS
    return from_plain(_SECTIONS[name], content.get(name) or {}, f"{source}: {name}", configured)


def _seeded(arguments: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a constructor's arguments with another seed, also for the models within them, where they have one."""
    seeded = dict(arguments) | ({"seed": seed} if "seed" in arguments else {})
    for name, value in arguments.items():
        if _has_class(value):
            seeded[name] = {**value, ARGUMENTS: _seeded(value[ARGUMENTS], seed)}
    return seeded


def _paths(values: Mapping[str, Any], prefix: str = "", *, sections: bool = False) -> Iterator[str]:
    """Yield the dotted keys of all settings: `NAME` of a whole model or rule within, `NAME.init_args.` of its own.

    With `sections`, only those of whole models and rules.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            if CLASS in value:
                yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.", sections=sections)
        elif key != CLASS and not sections:
            yield f"{prefix}{key}"


def _short(keys: Iterable[str]) -> list[str]:
    """Return keys as they may be written: without "model.", and the last part alone."""
    return [short for key in keys for short in (key.removeprefix("model."), key.rpartition(".")[2])]


def _has_class(value: object) -> bool:
    """Return whether a setting is a model or rule, with a class and arguments."""
    return isinstance(value, Mapping) and CLASS in value


def _within(key: str, values: Mapping[str, Any]) -> str | None:
    """Return the full key of an argument of a model or rule within: "rule.init_args.half_life" of "rule.half_life"."""
    *owners, argument = key.split(".")
    path: list[str] = []
    for owner in owners:
        if not isinstance(values.get(owner), Mapping):
            return None
        path, values = [*path, owner], values[owner]
        if CLASS in values:
            path, values = [*path, ARGUMENTS], values[ARGUMENTS]
    return ".".join([*path, argument]) if ARGUMENTS in path else None


def _resolve(key: str, values: Mapping[str, Any], dashes: str) -> str:
    """Return the full key that the key of an override means: itself, or the one that ends with it.

    `rule.half_life` may name an argument of a class that `rule` did not have in the file.
    """
    keys = list(_paths(values))
    for candidate in (key, f"model.{key}"):
        if candidate in keys:
            return candidate
    ending = [full for full in keys if full.endswith(f".{key}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        names = ", ".join(dashes + full.removeprefix("model.") for full in ending)
        raise ConfigError(f"{dashes}{key} is ambiguous; say which: {names}")
    if within := _within(key, values["model"]):
        return f"model.{within}"
    earlier = legacy.SHARED if "model.rule" in keys else ()
    hint = nearest(key, [*_short(keys), *earlier])
    if not hint and "rule" in values["model"]:
        hint = f"; for a setting of another rule name it too: {dashes}rule CLASS {dashes}rule.{key} VALUE"
    every = ", ".join(dashes + full.removeprefix("model.") for full in keys)
    cure = hint.replace("'", dashes, 1).replace("'", "") or f"; there are {every}"
    raise ConfigError(f"unknown option {dashes}{key}{cure}")
