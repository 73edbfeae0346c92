"""Training in one call: a log or a split, and a model by name, by experiment file, as a class or as an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import recsys.models
from recsys.data.interactions import Interactions, check_log
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.holdout import Split
from recsys.errors import CapabilityError, ConfigError, nearest
from recsys.evaluation.ranking import validator
from recsys.experiments.configuration import Experiment, Filters, Validation, check_experiment, read_experiment
from recsys.experiments.feedback import resolved
from recsys.experiments.shipped import experiment_files
from recsys.models.base import Recommender
from recsys.models.parameters import check_keys, to_plain
from recsys.models.personas.model import WithPersonas
from recsys.training.session import Session


def train(
    data: Interactions | Split,
    model: str | Path | type[Recommender] | Recommender = "ease_personas",
    *,
    session: Session | None = None,
    former: Recommender | None = None,
    **settings: Any,  # noqa: ANN401 - settings of any model
) -> Recommender:
    """Fit a model.

    Args:
        data: a split, of which the training part is fitted on and the validation part used for early stopping; or a
            log, which is fitted on as a whole.
        model: the name of an experiment file that comes with the library ("ease_personas", "ease", "ease_decay", ...),
            the path of another one, the name of a class ("EASE", "my_package.MyModel", an entry point's short name), a
            class, or a model.
        session: device, progress, logs and checkpoints of models that are trained by gradient.
        former: an earlier model with personas, whose tastes, their numbers and names continue.
        settings: of the model, by the names of its constructor: `regularization=200.0`. By name also those of
            a group: `epochs=5`, or `optimization={"epochs": 5}`.

    Returns:
        The fitted model; the given one, where it is a model.

    Raises:
        ConfigError: there is no such model or setting.
        CapabilityError: `former`, or the model that is fitted, has no personas to continue.

    >>> from recsys.data.interactions import Interactions
    >>> train(Interactions.from_columns(["a", "a", "b"], [1, 2, 1]), "popularity").n_items
    2
    """
    if not isinstance(data, Split):
        check_log(data, "train")
    validation, filters = Validation(), Filters()
    if isinstance(model, Recommender):
        if settings:
            raise ConfigError(f"{', '.join(settings)}: the model is made already; give its settings to its constructor")
        fresh = model
    elif isinstance(model, type) and issubclass(model, Recommender):
        check_keys(settings, inspect.signature(model).parameters, model.__name__)
        fresh = model(**settings)
    elif not isinstance(model, str | Path):
        raise ConfigError(
            f"train needs a model, not {model!r}: a name such as 'ease', a class of recsys.models, or a model"
        )
    else:
        experiment = _experiment(str(model), settings)
        experiment, _ = resolved(experiment, data, session=session)
        fresh, validation, filters = experiment.build(), experiment.validation, experiment.filters
    if former is not None:
        fresh = continuing(fresh, former)
    if isinstance(data, Split):
        return fresh.fit(data.train, validator_of(data, validation), session)
    return fresh.fit(data if filters == Filters() else minimum_events(data, *astuple(filters)), None, session)


def continuing(model: Recommender, former: Recommender) -> Recommender:
    """Return an unfitted model that will keep the tastes of an earlier one; see `WithPersonas.continue_from`.

    Raises:
        CapabilityError: one of them has no personas of this kind.
    """
    if not isinstance(model, WithPersonas):
        raise CapabilityError(f"{type(model).__name__} has no tastes that could continue; wrap it in WithPersonas")
    return model.continue_from(former)


def validator_of(split: Split, validation: Validation) -> Callable[[Recommender], float] | None:
    """Return the validation metric on a split; None where no validation question has a relevant item."""
    if not (split.valid.relevant.lengths > 0).any():
        return None
    return validator(split.valid, metric=validation.metric, sample=validation.users)


def _experiment(name: str, settings: Mapping[str, Any]) -> Experiment:
    try:
        overrides = [(key, yaml.safe_dump(value)) for key, value in _flat(settings)]
    except yaml.YAMLError as error:
        raise ConfigError(f"a setting is no number, text, list, mapping, rule or model: {error}") from error
    files = experiment_files()
    if name in files or name.endswith((".yaml", ".yml")):
        return read_experiment(files.get(name, name), overrides, dashes="")
    if name in recsys.models.__all__ or "." in name or entry_points(group="recsys.models", name=name):
        class_path = f"recsys.models.{name}" if name in recsys.models.__all__ else name
        return check_experiment({"model": {"class_path": class_path}}, overrides, name, dashes="")
    names = [*files, *recsys.models.__all__]
    hint = nearest(name, names) or f"; there are {', '.join(files)}, the classes of recsys.models, and paths of files"
    raise ConfigError(f"no model {name!r}{hint}")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted keys and plain values; groups of settings may be objects, as rules and models are."""
    for key, value in settings.items():
        plain = value.item() if isinstance(value, np.generic) else to_plain(value)
        if isinstance(plain, Mapping) and "class_path" not in plain:
            yield from _flat(plain, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", plain
