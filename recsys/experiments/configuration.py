"""Experiment files: one self-contained YAML per experiment, typed by the constructors it names.

A file holds `model` (the class to use and its constructor's arguments) and, optionally, `filters`, `validation` and
`feedback`, how ratings and kinds of events count:

    model:
      class_path: recsys.models.AMPCF
      init_args: {personas: 4, objective: {loss: full_softmax}}
    filters: {min_user_events: 1, min_item_events: 1}
    validation: {metric: ndcg@10, users: 2000}
    feedback: auto

`feedback` sets the argument of that name of the model, or of the model within; "auto" lets validation choose
(`recsys.experiments.feedback`). `slate`, of the shape of `model`, makes the lists of any model: it is the argument of
that name of the model, or else wraps it in `recsys.models.Slated`. `search` says what `recsys tune` tries.

An argument that is itself a model or a rule of forgetting has the same shape, `{class_path: ..., init_args: {...}}`.
Classes of other packages are named by dotted path (`my_package.MyModel`) or by the short name of an installed entry
point. Files of earlier versions are read too. A misspelt key is an error that names the nearest right one.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import yaml

from recsys.bundles import legacy
from recsys.bundles.classes import classes_of, configured, named_like
from recsys.checks import choice, object_named, public_name, whole
from recsys.errors import ConfigError, nearest
from recsys.evaluation.metrics import parse_metric
from recsys.experiments.setting_keys import full_key, has_class, setting_keys, short_keys
from recsys.experiments.shipped import experiment_file, experiment_files
from recsys.files import refuse_device
from recsys.models import Slated
from recsys.models.base import Recommender
from recsys.models.decayed.model import Decayed
from recsys.models.feedback import Feedback, readings_of
from recsys.models.parameters import ARGUMENTS, CLASS, check_keys, from_plain, from_section, to_plain
from recsys.slates import Slate


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


@final
@dataclass(frozen=True)
class Tracking:
    """Where finished runs are recorded, beside their own directories.

    Attributes:
        logger: "mlflow" (extra `mlflow`); None: nowhere.
        store: the address of the store; see `recsys.experiments.tracking.mlflow_store.record_run`.
        experiment: the name under which runs are collected.

    Raises:
        ConfigError: there is no such logger.
    """

    logger: Literal["mlflow"] | None = None
    store: str | None = None
    experiment: str = "recsys"

    def __post_init__(self) -> None:
        if self.logger is not None:
            choice("tracking.logger", self.logger, Literal["mlflow"])


FeedbackSetting = Literal["auto", "events", "liked", "weighted", "signed"]
"""A reading of `recsys.models.feedback`, or auto: the one that validation prefers."""

FEEDBACK, SLATE, SEARCH = "feedback", "slate", "search"

_SECTIONS: dict[str, type[Any]] = {"filters": Filters, "validation": Validation, "tracking": Tracking}


@final
@dataclass(frozen=True)
class Experiment:
    """A checked experiment file.

    Attributes:
        model_class: the class of the model.
        arguments: its constructor's arguments, checked and complete, as plain values.
        filters: minimum events.
        validation: what to validate on.
        feedback: how ratings and kinds of events count; "auto": chosen on validation; None: as the arguments say.
        tracking: where finished runs are recorded.
    """

    model_class: type[Recommender]
    arguments: Mapping[str, Any]
    filters: Filters
    validation: Validation
    feedback: FeedbackSetting | None = None
    tracking: Tracking = Tracking()

    def build(self, seed: int | None = None) -> Recommender:
        """Return a new, unfitted model; `seed` replaces the file's, also of wrapped models, where they have one.

        With feedback "auto" it has the reading of its arguments.
        """
        arguments = self.arguments if seed is None else _seeded(self.arguments, seed)
        return from_plain(self.model_class, arguments, f"config: {self.model_class.__name__}", configured)

    def to_dict(self) -> dict[str, Any]:
        """Return the experiment as the plain values of a complete experiment file."""
        return {
            "model": {CLASS: public_name(self.model_class), ARGUMENTS: dict(self.arguments)},
            **{
                name: dataclasses.asdict(getattr(self, name))
                for name in _SECTIONS
                if name != "tracking" or self.tracking != Tracking()
            },
            **({} if self.feedback is None else {FEEDBACK: self.feedback}),
        }

    @property
    def readings(self) -> tuple[Feedback, ...]:
        """The values of `feedback` that the model, or the model within, takes; none where all events count alike."""
        return readings_of(self.innermost().model_class)

    def innermost(self) -> Experiment:
        """Return the experiment of the model within, where a model wraps another that reads the events."""
        if not readings_of(self.model_class):
            for name, value in self.arguments.items():
                if has_class(value):
                    kind = object_named(name, value[CLASS], "recsys.models")
                    within = dataclasses.replace(self, model_class=kind, arguments=value[ARGUMENTS]).innermost()
                    if readings_of(within.model_class):
                        return within
        return self

    def reading(self, feedback: Feedback) -> Experiment:
        """Return the experiment whose model, or model within, reads events in this way."""
        arguments = _reading(self.model_class, self.arguments, feedback)
        return dataclasses.replace(self, arguments=arguments, feedback=feedback)


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


def read_search(name: str | Path) -> object:
    """Return the section `search` of an experiment file, as it is written; None where there is none.

    It says what `recsys tune` tries (`recsys.experiments.tuning.space`), and is nothing to the other commands.
    """
    content = _content(experiment_file(name))
    return content.get(SEARCH) if isinstance(content, dict) else None


def setting_of(experiment: Experiment, key: str, *, dashes: str = "--") -> tuple[str, Any]:
    """Return the full key of a setting, and its value as a plain one.

    Args:
        experiment: a checked one.
        key: as an override writes it.
        dashes: what messages write before a key.

    Raises:
        ConfigError: there is no such setting, or the key is ambiguous.
    """
    values: dict[str, Any] = {"model": dict(experiment.arguments)}
    values |= {name: dataclasses.asdict(getattr(experiment, name)) for name in _SECTIONS}
    values[FEEDBACK] = experiment.feedback
    found = full_key(key.replace("-", "_"), values, dashes)
    value: Any = values
    for part in found.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return found, value


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
    check_keys(content, ("model", *_SECTIONS, FEEDBACK, SLATE, SEARCH), source)
    content = {**content, "model": legacy.section(content["model"])}
    content, overrides = _with_slate(content, overrides, source, dashes)
    model = from_section(content["model"], Recommender, f"{source}: model", configured)
    sections = {name: _section(name, content, source) for name in _SECTIONS}
    feedback = content.get(FEEDBACK)
    if overrides:
        complete = {"model": to_plain(model)[ARGUMENTS]} | {name: to_plain(part) for name, part in sections.items()}
        complete[FEEDBACK] = feedback
        pairs = [(key.replace("-", "_"), _value(key, text, dashes)) for key, text in overrides]
        if isinstance(model, Decayed):
            pairs = legacy.overrides(complete["model"]["rule"][CLASS], pairs)
        # The settings of a whole rule or model that is replaced are those of the new one.
        whole = short_keys(setting_keys(complete, sections=True))
        for key, value in sorted(pairs, key=lambda pair: pair[0].removeprefix("model.") not in whole):
            *parts, last = full_key(key, complete, dashes).split(".")
            if last == FEEDBACK:  # that of a model, unless it is set for all of them
                complete[FEEDBACK] = None
            target = complete
            for part in parts:
                target = target[part]
            old: Any = target.get(last)
            target[last] = _complete(f"{dashes}{key}", value, old[CLASS]) if has_class(old) else value
        model = from_plain(type(model), complete["model"], f"{source}: {type(model).__name__}", configured)
        sections = {name: _section(name, complete, source) for name in _SECTIONS}
        feedback = complete[FEEDBACK]
    experiment = Experiment(type(model), to_plain(model)[ARGUMENTS], **sections)
    return _with_feedback(experiment, feedback, f"{source}: feedback")


def _with_slate(
    content: Mapping[str, Any], overrides: Sequence[tuple[str, str]], source: str, dashes: str
) -> tuple[Mapping[str, Any], Sequence[tuple[str, str]]]:
    """Return an experiment file whose slate is an argument of the model, and the overrides that are left to apply."""
    section = content.get(SLATE)
    model = content["model"]
    if not isinstance(model, Mapping) or not isinstance(model.get(CLASS), str):
        return content, overrides  # refused when the model is built
    own = SLATE in inspect.signature(configured(f"{source}: model.class_path", model[CLASS], Recommender)).parameters
    given = [text for key, text in overrides if key == SLATE]
    if given:
        section = _value(SLATE, given[-1], dashes)
        overrides = [(key, text) for key, text in overrides if key != SLATE]
    if section is None:
        return content, overrides
    if isinstance(section, str):
        section = {CLASS: section}
    if isinstance(section, Mapping) and isinstance(section.get(CLASS), str):
        # Its settings are set at once: what a slate is by default, the model may not have room for.
        own_keys = [(key, text) for key, text in overrides if key.startswith(f"{SLATE}.")]
        overrides = [pair for pair in overrides if pair not in own_keys]
        settings = {
            key.removeprefix(f"{SLATE}.").replace("-", "_"): _value(key, text, dashes) for key, text in own_keys
        }
        arguments = {**(section.get(ARGUMENTS) or {}), **settings}
        section = {**section, CLASS: _built_in_slate(section[CLASS]), ARGUMENTS: arguments}
    if own:
        changed = {**model, ARGUMENTS: {**(model.get(ARGUMENTS) or {}), SLATE: section}}
    else:
        changed = {CLASS: public_name(Slated), ARGUMENTS: {"model": model, SLATE: section}}
    return {**{key: value for key, value in content.items() if key != SLATE}, "model": changed}, overrides


def _built_in_slate(name: str) -> str:
    """Return the full name of a slate that comes with the library and is named by its class alone."""
    full = f"recsys.slates.{name}"
    return full if full in classes_of(Slate) else name


def _with_feedback(experiment: Experiment, feedback: Any, setting: str) -> Experiment:  # noqa: ANN401 - checked here
    """Return an experiment with its `feedback`, which the model must take; auto is for every model."""
    if feedback is None:
        return experiment
    choice(setting, feedback, FeedbackSetting)
    readings = experiment.readings
    if feedback == "auto" or (feedback == "events" and not readings):
        return dataclasses.replace(experiment, feedback=feedback)
    if feedback not in readings:
        name = experiment.innermost().model_class.__name__
        others = f"it takes {', '.join(readings)}" if readings else "it counts all events alike; leave feedback out"
        raise ConfigError(f"{setting} is {feedback!r}, which {name} does not take: {others}")
    return experiment.reading(feedback)


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
    if experiment.readings and (experiment.feedback is not None or FEEDBACK not in found):
        # What is set for every model takes the place of what is set for one.
        found = {key: value for key, value in found.items() if not key.endswith(f".{FEEDBACK}")}
        found[FEEDBACK] = (experiment.feedback, None)
    return found


def _listed(kind: type[Any], values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    defaults = settings(kind)
    for name, value in values.items():
        if has_class(value):
            within = object_named(name, value[CLASS], "recsys.models")
            # "model.model" is the whole model of the file: the one within a model within it is named in full.
            whole = f"{prefix}{ARGUMENTS}.{name}" if f"{prefix}{name}" == "model.model" else f"{prefix}{name}"
            yield whole, (value[CLASS], None)
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
        if has_class(value):
            seeded[name] = {**value, ARGUMENTS: _seeded(value[ARGUMENTS], seed)}
    return seeded


def _reading(kind: type[Any], arguments: Mapping[str, Any], feedback: Feedback) -> dict[str, Any]:
    """Return a constructor's arguments with another reading of events, its own or that of a model within."""
    if readings_of(kind):
        return dict(arguments) | {FEEDBACK: feedback}
    changed = dict(arguments)
    for name, value in arguments.items():
        if has_class(value):
            within = object_named(name, value[CLASS], "recsys.models")
            changed[name] = {**value, ARGUMENTS: _reading(within, value[ARGUMENTS], feedback)}
    return changed
