"""Checks of settings, and what their names stand for. An error names the setting, the value and what it must be."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable
from functools import wraps
from itertools import accumulate
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args

from recsys.errors import ConfigError, nearest

LARGEST_SEED = 2**32 - 1
"""Of the generators of all libraries in use."""
_LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number of float32."""

_Base = TypeVar("_Base")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def choice(name: str, value: object, allowed: object) -> None:
    """Raise a ConfigError that names the nearest allowed value when `value` is not one of a Literal's."""
    if value not in get_args(allowed):
        values = [str(option) for option in get_args(allowed)]
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(values)}{nearest(str(value), values)}")


def positive(name: str, value: float, *, zero: bool = False, infinite: bool = False) -> None:
    """Raise a ConfigError when `value` is not positive (or, with `zero`, not at least 0), or too large for float32.

    With `infinite` infinity is allowed, too.
    """
    if not (value >= 0 if zero else value > 0):
        raise ConfigError(f"{name} is {value}; it must be {'at least 0' if zero else 'positive'}")
    if value > _LARGEST and not (infinite and value == math.inf):
        raise ConfigError(f"{name} is {value}; it must be at most {_LARGEST:.1e}, the largest that models compute with")


def seed_of_draws(value: object) -> None:
    """Raise a ConfigError when a seed is none that all libraries in use take: a whole number from 0 to 2^32 - 1."""
    whole("seed", value, least=0)
    if isinstance(value, Integral) and int(value) > LARGEST_SEED:
        raise ConfigError(f"seed is {value}; it must be at most {LARGEST_SEED}")


def whole(name: str, value: object, *, least: int = 1) -> None:
    """Raise a ConfigError when `value` is not a whole number, or below `least`."""
    if type(value) is bool or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name} is {value!r}; it must be a whole number, at least {least}")


def number(name: str, value: object) -> None:
    """Raise a ConfigError when `value` is not a finite number."""
    if type(value) is bool or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"{name} is {value!r}; it must be a finite number")


def fraction(name: str, value: float) -> None:
    """Raise a ConfigError when `value` is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value}; it must be at least 0 and below 1")


def share(name: str, value: float) -> None:
    """Raise a ConfigError when `value` is not in [0, 1]."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; it must be from 0 to 1")


def path_of(caller: str, value: object) -> Path:
    """Return a path that is given as text or as a `Path`; raise a ConfigError for anything else."""
    if not isinstance(value, str | PathLike) or not str(value) or "\0" in str(value):
        raise ConfigError(f"{caller} needs the path of a file or directory, not {value!r}")
    return Path(value)


def checking_arguments(
    function: Callable[_Parameters, _Result], name: str | None = None
) -> Callable[_Parameters, _Result]:
    """Return a function that raises a ConfigError, with the nearest right name, where its arguments do not fit.

    Messages call it by `name`, or as it calls itself.

    >>> checking_arguments(positive)("epochs", 1, zreo=True)
    Traceback (most recent call last):
    recsys.errors.ConfigError: positive has no option 'zreo'; did you mean 'zero'?; it has name, value, zero, infinite
    """
    signature = inspect.signature(function)
    names = [key for key, parameter in signature.parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    called = name or getattr(function, "__name__", "this function")

    @wraps(function)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = next((key for key in kwargs if key not in names), None)
            fault = f": {error}" if unknown is None else f" has no option {unknown!r}{nearest(unknown, names)}"
            raise ConfigError(f"{called}{fault}; it has {', '.join(names)}") from None
        return function(*args, **kwargs)

    return call


def class_named(setting: str, path: str, base: type[_Base], group: str, home: str = "") -> type[_Base]:
    """Return the concrete subclass of `base` that a setting names; see `object_named`.

    Raises:
        ConfigError: nothing of that name can be imported, or it is not a concrete subclass of `base`.
    """
    kind = object_named(setting, path, group, home)
    if not (inspect.isclass(kind) and issubclass(kind, base)):
        raise ConfigError(f"{setting} {path!r} is not a {base.__name__}: it must derive from {public_name(base)}")
    if inspect.isabstract(kind):
        raise ConfigError(f"{setting} {path!r} is abstract; name a class that derives from it")
    return kind


def object_named(setting: str, path: str, group: str, home: str = "") -> Any:  # noqa: ANN401 - whatever has the name
    """Return the class or function that a setting names, importing it.

    A name is public (`recsys.models.EASE`), a dotted path (`my_package.module.MyModel`), or the short name of an entry
    point of `group` that an installed package declares. Give it only names that the user wrote: importing a module runs
    it. Messages name the `setting`, and suggest objects that the package `home` exports.

    Raises:
        ConfigError: nothing of that name can be imported.

    >>> object_named("model", "recsys.errors.DataError", "recsys.models").__name__
    'DataError'
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 (takes longer to import than all the rest)

    points = {point.name: point for point in entry_points(group=group)}
    module, _, name = path.rpartition(".")
    reason = f"it is no dotted path, and entry points of {group!r} are {', '.join(sorted(points)) or 'not installed'}"
    try:
        if path in points:
            return points[path].load()
        if module and all(part.isidentifier() for part in path.split(".")):
            reason = f"{module} has no {name!r}"
            holder = importlib.import_module(module)
            if hasattr(holder, name):
                return getattr(holder, name)
    except (ImportError, AttributeError) as error:
        reason = f"{error}; install the package that holds it into this environment"
    near_home = bool(home) and (not module or module.partition(".")[0] == home.partition(".")[0])
    exports = getattr(importlib.import_module(home), "__all__", ()) if near_home else ()
    public = {export: f"{home}.{export}" for export in exports}
    hint = nearest(public.get(path, path), [*points, *public.values()])
    if not hint and public and not module:
        hint = nearest(path, public).replace("'", f"'{home}.", 1)
        reason += f", and {home} has {', '.join(public)}"
    raise ConfigError(f"{setting} {path!r} cannot be found{hint or f': {reason}'}")


def public_name(kind: type) -> str:
    """Return the shortest dotted path at which a package says that it exports a class, else the one of its definition.

    Files name classes by it, so that they outlive moves of modules inside of a package.

    >>> from recsys.models.linear.ease import EASE
    >>> public_name(EASE)
    'recsys.models.EASE'
    """
    packages = accumulate(kind.__module__.split("."), "{}.{}".format)
    for package in packages:
        if package == "recsys":  # the front door shows what lives in its packages
            continue
        exports = sys.modules.get(package)
        if kind.__name__ in getattr(exports, "__all__", ()) and getattr(exports, kind.__name__) is kind:
            return f"{package}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def arguments_of(instance: object) -> dict[str, Any]:
    """Return the constructor's arguments as they were given: the attributes `name` or `_name`.

    Raises:
        TypeError: an argument is not kept in such an attribute.
    """
    own, names = vars(instance), inspect.signature(type(instance)).parameters
    for name in names:
        if name not in own and f"_{name}" not in own:
            raise TypeError(f"{type(instance).__name__} keeps its argument {name!r} in no attribute of that name")
    return {name: own[name] if name in own else own[f"_{name}"] for name in names}
