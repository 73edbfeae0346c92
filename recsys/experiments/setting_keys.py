"""Keys of settings, as overrides write them: full, short, or of a model or a rule within."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recsys.bundles import legacy
from recsys.errors import ConfigError, nearest
from recsys.models.parameters import ARGUMENTS, CLASS


def setting_keys(values: Mapping[str, Any], prefix: str = "", *, sections: bool = False) -> Iterator[str]:
    """Yield the dotted keys of all settings: `NAME` of a whole model or rule within, `NAME.init_args.` of its own.

    With `sections`, only those of whole models and rules.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            if CLASS in value:
                yield f"{prefix}{key}"
            yield from setting_keys(value, f"{prefix}{key}.", sections=sections)
        elif key != CLASS and not sections:
            yield f"{prefix}{key}"


def short_keys(keys: Iterable[str]) -> list[str]:
    """Return keys as they may be written: without "model.", and the last part alone."""
    return [short for key in keys for short in (key.removeprefix("model."), key.rpartition(".")[2])]


def has_class(value: object) -> bool:
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


def full_key(key: str, values: Mapping[str, Any], dashes: str) -> str:
    """Return the full key that the key of an override means: itself, or the one that ends with it.

    `rule.half_life` may name an argument of a class that `rule` did not have in the file.
    """
    keys = list(setting_keys(values))
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
    hint = nearest(key, [*short_keys(keys), *earlier])
    if not hint and "rule" in values["model"]:
        hint = f"; for a setting of another rule name it too: {dashes}rule CLASS {dashes}rule.{key} VALUE"
    every = ", ".join(dashes + full.removeprefix("model.") for full in keys)
    cure = hint.replace("'", dashes, 1).replace("'", "") or f"; there are {every}"
    raise ConfigError(f"unknown option {dashes}{key}{cure}")
