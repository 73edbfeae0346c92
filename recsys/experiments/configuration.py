"""Experiment files: one self-contained YAML per experiment, typed by the constructors it names.

A file holds `model` (the class to use and its constructor's arguments) and, optionally, `filters` and `validation`:

    model:
      class_path: recsys.models.AMPCF
      init_args: {personas: 4, objective: {loss: full_softmax}}
    filters: {min_user_events: 1, min_item_events: 1}
    validation: {metric: ndcg@10, users: 2000}

A model that wraps another one takes it as an argument of the same shape, `model: {class_path: ..., init_args: {...}}`.
A misspelt key is an error that names the nearest right one; nothing is ignored.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import yaml
from jsonargparse import ArgumentError, ArgumentParser

import recsys.models
from recsys.errors import ConfigError, nearest
from recsys.models.base import Recommender

_SECTIONS = ("model", "filters", "validation")


@final
@dataclass(frozen=True)
class Filters:
    """Minimum events of a user and of an item, counted on training data only."""

    min_user_events: int = 1
    min_item_events: int = 1


@final
@dataclass(frozen=True)
class Validation:
    """What early stopping and tuning look at.

    Attributes:
        metric: a ranking metric with its cutoff.
        users: at most this many validation users, drawn once; all when None.
    """

    metric: str = "ndcg@10"
    users: int | None = None


@final
@dataclass(frozen=True)
class Experiment:
    """A checked experiment file.

    Attributes:
        model_class: the class of the model.
        arguments: its constructor's arguments, checked and complete as plain values.
        filters: minimum events.
        validation: what to validate on.
    """

    model_class: type[Recommender]
    arguments: Mapping[str, Any]
    filters: Filters
    validation: Validation

    def build(self, seed: int | None = None) -> Recommender:
        """Return a new, unfitted model; `seed` replaces the file's, where the model has one."""
        arguments = self.arguments if seed is None else _seeded(self.model_class, self.arguments, seed)
        return instantiate(self.model_class, arguments)

    def to_dict(self) -> dict[str, Any]:
        """Return the experiment as the plain values of a complete experiment file."""
        return {
            "model": {
                "class_path": f"recsys.models.{self.model_class.__name__}",
                "init_args": dict(self.arguments),
            },
            "filters": dataclasses.asdict(self.filters),
            "validation": dataclasses.asdict(self.validation),
        }


def model_classes() -> dict[str, type[Recommender]]:
    """Return the exported model classes by name."""
    return {
        name: item
        for name, item in vars(recsys.models).items()
        if inspect.isclass(item) and issubclass(item, Recommender) and not inspect.isabstract(item)
    }


def read_experiment(path: Path, overrides: Sequence[tuple[str, str]] = ()) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: the YAML file.
        overrides: (key, text) pairs that replace settings; a key is a path below `model.init_args` or the file
            ("objective.loss", "validation.metric"), or the last part of one where that is unambiguous ("loss").

    Raises:
        ConfigError: the file is missing or not YAML, names an unknown class or key, or a value has the wrong type.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = sorted(str(other) for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = nearest(str(path), there) or (f"; there are {', '.join(there)}" if there else "")
        raise ConfigError(f"{path}: no such experiment file{hint}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    return check_experiment(content, overrides, str(path))


def check_experiment(content: object, overrides: Sequence[tuple[str, str]] = (), source: str = "config") -> Experiment:
    """Check the content of an experiment file; see `read_experiment`."""
    if not isinstance(content, dict) or "model" not in content:
        raise ConfigError(f"{source}: an experiment file needs a section 'model' with class_path and init_args")
    _check_keys(content, _SECTIONS, source)
    model_class = _model_class(content["model"], source)
    arguments = _plain(content["model"].get("init_args") or {}, f"{source}: model.init_args")
    sections = {name: _plain(content.get(name) or {}, f"{source}: {name}") for name in ("filters", "validation")}
    known = [f"model.{key}" for key in _keys(model_class, arguments, f"{source}: model.init_args")]
    known += [f"{name}.{f.name}" for name, kind in _KINDS.items() for f in dataclasses.fields(kind)]
    for key, text in overrides:
        full = _resolve(key, known)
        section, _, rest = full.partition(".")
        _put(arguments if section == "model" else sections[section], rest.split("."), yaml.safe_load(text))
    model = instantiate(model_class, arguments, source)
    return Experiment(
        model_class,
        model.parameters_of_constructor(),
        _typed(Filters, sections["filters"], f"{source}: filters"),
        _typed(Validation, sections["validation"], f"{source}: validation"),
    )


_KINDS: dict[str, type[Any]] = {"filters": Filters, "validation": Validation}


def settings(kind: type[Any]) -> dict[str, Any]:
    """Return every setting of a constructor with its default, nested groups as dotted keys.

    >>> from recsys.models import MF
    >>> settings(MF)["optimization.batch_size"]
    256
    """
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        default = parameter.default
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            found |= {f"{name}.{key}": value for key, value in settings(type(default)).items()}
        else:
            found[name] = None if default is inspect.Parameter.empty else default
    return found


def _wraps(kind: type[Any]) -> list[str]:
    """Return the names of the constructor's arguments that are models."""
    hints = typing.get_type_hints(kind.__init__)  # the constructor of this very class
    return [name for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Recommender)]


def _keys(model_class: type[Recommender], arguments: Mapping[str, Any], where: str) -> list[str]:
    """Return the keys of all settings, those of a wrapped model after `NAME.init_args.`."""
    keys = list(settings(model_class))
    for name in _wraps(model_class):
        if name in arguments:
            inner = _model_class(arguments[name], where, name)
            below = arguments[name].get("init_args") or {}
            keys += [f"{name}.init_args.{key}" for key in _keys(inner, below, f"{where}.{name}.init_args")]
    return keys


def _seeded(model_class: type[Recommender], arguments: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return checked arguments with another seed, also for wrapped models, where they have one."""
    seeded = dict(arguments) | ({"seed": seed} if "seed" in arguments else {})
    for name in _wraps(model_class):
        inner = _model_class(arguments[name], "config", name)
        seeded[name] = arguments[name] | {"init_args": _seeded(inner, arguments[name]["init_args"], seed)}
    return seeded


def instantiate(model_class: type[Recommender], arguments: Mapping[str, Any], source: str = "config") -> Recommender:
    """Build a model from plain values, checked against the types of its constructor.

    Raises:
        ConfigError: an unknown key, with the nearest known one; or a value of the wrong type.
    """
    return _typed(model_class, arguments, f"{source}: {model_class.__name__}")


_Kind = TypeVar("_Kind")


def _typed(kind: type[_Kind], values: Mapping[str, Any], where: str) -> _Kind:
    """Build a class from plain values: types by jsonargparse, nested groups one at a time.

    Groups are built here because jsonargparse does not take a final class as a default.
    """
    parameters = inspect.signature(kind).parameters
    _check_keys(values, parameters, where)
    groups = {
        name: type(p.default)
        for name, p in parameters.items()
        if dataclasses.is_dataclass(p.default) and not isinstance(p.default, type)
    }
    built: dict[str, Any] = {
        name: _typed(group, _plain(values[name], f"{where}: {name}"), f"{where}: {name}")
        for name, group in groups.items()
        if name in values
    }
    models = _wraps(kind)
    for name in models:
        inner = _model_class(values.get(name), where, name)
        built[name] = instantiate(inner, values[name].get("init_args") or {}, f"{where}: {name}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "it", fail_untyped=True, skip={*groups, *models})
    simple = {name: value for name, value in values.items() if name not in groups and name not in models}
    try:
        checked = parser.parse_object({"it": simple}) if len(groups) + len(models) < len(parameters) else None
    except ArgumentError as error:
        text = " ".join(str(error).split()).replace('Parser key "it.', 'key "').replace("Parser key", "key")
        raise ConfigError(f"{where}: {text}") from error
    return kind(**(checked.it.as_dict() if checked is not None else {}), **built)


def _check_keys(values: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    allowed = list(known)
    for key in values:
        if key not in allowed:
            hint = nearest(str(key), allowed) or f"; known are {', '.join(allowed)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _model_class(section: object, source: str, name: str = "model") -> type[Recommender]:
    if not isinstance(section, dict) or not isinstance(section.get("class_path"), str):
        raise ConfigError(f"{source}: {name}.class_path is missing; it names the model, as recsys.models.AMPCF")
    _check_keys(section, ("class_path", "init_args"), f"{source}: {name}")
    classes = {f"recsys.models.{name}": item for name, item in model_classes().items()}
    path = section["class_path"]
    if path not in classes:
        hint = nearest(path, classes) or f"; there are {', '.join(classes)}"
        raise ConfigError(f"{source}: {name}.class_path {path!r} is not a model{hint}")
    return classes[path]


def _resolve(key: str, known: Sequence[str]) -> str:
    """Return the full key that a command-line key means: itself, or the one that ends with it."""
    wanted = key.replace("-", "_")
    for candidate in (wanted, f"model.{wanted}"):
        if candidate in known:
            return candidate
    ending = [full for full in known if full.endswith(f".{wanted}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        names = ", ".join(f"--{full.removeprefix('model.')}" for full in ending)
        raise ConfigError(f"--{key} is ambiguous; say which: {names}")
    short = [full.removeprefix("model.") for full in known]
    hint = nearest(wanted, [*short, *(name.rpartition(".")[2] for name in short)])
    raise ConfigError(f"unknown option --{key}{hint.replace(chr(39), '--', 1).replace(chr(39), '') if hint else ''}")


def _put(target: dict[str, Any], path: Sequence[str], value: object) -> None:
    for part in path[:-1]:
        if target.get(part) is None:  # absent, or a key without a value
            target[part] = {}
        target = target[part]
    target[path[-1]] = value


def _plain(value: object, where: str) -> dict[str, Any]:
    """Return a deep copy of a mapping's dictionaries, so that overrides do not change what was read."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping of settings, found {value!r}")
    return {key: _plain(item, f"{where}.{key}") if isinstance(item, dict) else item for key, item in value.items()}
