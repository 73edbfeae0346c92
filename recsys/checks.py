"""Checks of settings, each an error that names the setting, the value and what it must be."""

from __future__ import annotations

from typing import get_args

from recsys.errors import ConfigError, nearest


def choice(name: str, value: str, allowed: object) -> None:
    """Raise a ConfigError that names the nearest allowed value when `value` is not one of a Literal's."""
    values = get_args(allowed)
    if value not in values:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(values)}{nearest(str(value), values)}")


def positive(name: str, value: float, *, zero: bool = False) -> None:
    """Raise a ConfigError when `value` is not positive (or, with `zero`, not at least 0)."""
    if not (value >= 0 if zero else value > 0):
        raise ConfigError(f"{name} is {value}; it must be {'at least 0' if zero else 'positive'}")


def fraction(name: str, value: float) -> None:
    """Raise a ConfigError when `value` is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value}; it must be at least 0 and below 1")


def share(name: str, value: float) -> None:
    """Raise a ConfigError when `value` is not in [0, 1]."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; it must be from 0 to 1")
