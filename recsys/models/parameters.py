"""Constructor arguments as plain data, as configuration files and manifests hold them, and back.

A dataclass of settings is a mapping of its fields. An object of a class hierarchy (a wrapped model, a rule of
forgetting) is a mapping of `class_path`, its public name, and `init_args`, its own constructor's arguments.
"""

from __future__ import annotations

import inspect
import types
import typing
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from recsys.checks import arguments_of, choice, public_name
from recsys.errors import ConfigError, nearest

Resolve = Callable[[str, str, type], type]
"""Returns the class for (setting, name, base class), or raises an error that names the setting."""

CLASS, ARGUMENTS = "class_path", "init_args"
_Kind = TypeVar("_Kind")


def to_plain(value: Any) -> Any:  # noqa: ANN401 - any argument of a constructor
    """Return an argument as plain data; plain data is returned as it is.

    >>> from recsys.models import RecentPopularity
    >>> to_plain(RecentPopularity(0.2))["class_path"]
    'recsys.models.RecentPopularity'
    """
    if isinstance(value, tuple | list):
        return type(value)(map(to_plain, value))
    if _is_hierarchy(type(value)):
        arguments = {name: to_plain(argument) for name, argument in arguments_of(value).items()}
        return {CLASS: public_name(type(value)), ARGUMENTS: arguments}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    return value


def from_plain(kind: type[_Kind], values: Any, where: str, resolve: Resolve) -> _Kind:  # noqa: ANN401 - as it was read
    """Build an object from plain constructor arguments, checked against the types of the constructor.

    Args:
        kind: its class.
        values: a mapping of the arguments; those left out have their defaults.
        where: what they are read from, for messages.
        resolve: finds the classes that arguments name.

    Raises:
        ConfigError: an argument is unknown (the nearest known one is named), missing or of the wrong type.
    """
    return kind(**_arguments(kind, values, where, resolve))


def from_section(section: object, base: type[_Kind], where: str, resolve: Resolve) -> _Kind:
    """Build the object that a mapping of `class_path` and `init_args` describes.

    Raises:
        ConfigError: it is no such mapping, or as for `from_plain` and `resolve`.
    """
    if not isinstance(section, Mapping) or not isinstance(section.get(CLASS), str):
        raise ConfigError(f"{where}.class_path is missing; it names a class that derives from {public_name(base)}")
    check_keys(section, (CLASS, ARGUMENTS), where)
    kind = resolve(f"{where}.class_path", section[CLASS], base)
    arguments = section.get(ARGUMENTS)
    return from_plain(kind, {} if arguments is None else arguments, f"{where}: {kind.__name__}", resolve)


def to_call(value: object) -> str:
    """Return the constructor call of an object of a class hierarchy, without arguments at their defaults.

    >>> from recsys.models import EASE, Decayed
    >>> to_call(Decayed(EASE(10.0), per_persona=False))
    'Decayed(model=EASE(regularization=10.0))'
    """
    if not _is_hierarchy(type(value)):
        return repr(value)
    parameters = inspect.signature(type(value)).parameters
    given = [
        f"{name}={to_call(argument)}"
        for name, argument in arguments_of(value).items()
        if to_plain(argument) != to_plain(parameters[name].default)
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def check_keys(values: object, known: Iterable[str], where: str) -> None:
    """Raise a ConfigError that names the nearest known key unless `values` is a mapping with known keys only."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, found {values!r}")
    allowed = list(known)
    for key in values:
        if key not in allowed:
            hint = nearest(str(key), allowed) or f"; known are {', '.join(allowed)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _arguments(kind: type, values: object, where: str, resolve: Resolve) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    check_keys(values, parameters, where)
    assert isinstance(values, Mapping)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and values.get(name, parameter.empty) is parameter.empty:
            raise ConfigError(f"{where}: {name} is missing")
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]  # the constructor of this very class
    return {name: _typed(hints.get(name, Any), value, f"{where}: {name}", resolve) for name, value in values.items()}


def _typed(hint: Any, value: Any, where: str, resolve: Resolve) -> Any:  # noqa: ANN401 - any type hint, any plain value
    """Return a value as its type hint wants it: whole numbers as floats, lists as tuples, mappings as objects."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return _of_one_type(hint, value, where, resolve)
    if value is None and types.NoneType in typing.get_args(hint):
        return None
    *others, last = (option for option in typing.get_args(hint) if option is not types.NoneType)
    for option in others:
        with suppress(ConfigError):
            return _of_one_type(option, value, where, resolve)
    return _of_one_type(last, value, where, resolve)


def _of_one_type(hint: Any, value: Any, where: str, resolve: Resolve) -> Any:  # noqa: ANN401 - as for `_typed`
    kind = typing.get_origin(hint) or hint
    converted = value
    if kind is typing.Literal:
        choice(where, value, hint)
    elif kind is float:
        converted = _number(value, where)
    elif kind is tuple and isinstance(value, tuple | list):
        converted = _entries(typing.get_args(hint), value, where, resolve)
    elif isinstance(kind, type) and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        if _is_hierarchy(kind):
            converted = from_section(value, kind, where, resolve)
        elif is_dataclass(kind):
            converted = from_plain(kind, value, where, resolve)
        else:
            raise ConfigError(f"{where} is {value!r}; it must be of type {kind.__name__}")
    return converted


def _entries(kinds: tuple[Any, ...], values: Sequence[Any], where: str, resolve: Resolve) -> tuple[Any, ...]:
    each = kinds[:1] * len(values) if Ellipsis in kinds else kinds
    if len(each) != len(values):
        raise ConfigError(f"{where} is {values!r}; it must have {len(each)} entries")
    return tuple(_typed(kind, value, where, resolve) for kind, value in zip(each, values, strict=True))


def _number(value: object, where: str) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-2 as text
        except (ValueError, OverflowError):
            pass
    raise ConfigError(f"{where} is {value!r}; it must be a number")


def _is_hierarchy(kind: type) -> bool:
    """Return whether objects of a class are described with its name, because another could stand in their place."""
    return isinstance(kind, ABCMeta)
