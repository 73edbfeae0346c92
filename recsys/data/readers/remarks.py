"""What a reader tells of a log beside errors: a rating that is not used, blanks around ids, many repeats."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar

LOGGER = logging.getLogger("recsys.data")

_TOLD: ContextVar[bool] = ContextVar("told", default=False)

_MUCH = 0.1
"""The share of events from which on their loss is a warning."""

_NAME = re.compile(r"rating|score|stars?\b|grade|feedback|preference|mark\b", re.IGNORECASE)
_LEAST_ROWS = 5
_SCALE = (0, 10)
_STEPS = (3, 21)
"""Distinct values of a scale of ratings, at least and at most."""


@contextmanager
def told_before() -> Iterator[None]:
    """Read a log again whose remarks were told when a model was trained on it: they are no warnings any more."""
    token = _TOLD.set(True)
    try:
        yield
    finally:
        _TOLD.reset(token)


def _remark(message: str, *values: object) -> None:
    LOGGER.log(logging.INFO if _TOLD.get() else logging.WARNING, message, *values)


def remark_on_rows(where: str, trimmed: str | None, rows: int, events: int, duplicates: int, re_ratings: int) -> None:
    """Tell, of a log, which ids had blanks around them, and how many of its rows repeat others."""
    if trimmed is not None:
        _remark("%s: %s", where, trimmed)
    dropped = f"{duplicates:,} exact duplicates and {re_ratings:,} re-ratings dropped"
    if duplicates + re_ratings > _MUCH * rows:
        _remark(
            "%s: %s rows became %s events: %s; to keep them, declare columns duplicates=keep re_ratings=keep",
            *(where, f"{rows:,}", f"{events:,}", dropped),
        )
    elif duplicates or re_ratings:
        LOGGER.info("%s: %s", where, dropped)


def remark_on_filter(name: str, before: int, after: int, rule: str) -> None:
    """Tell, of a log, that a rule for its events has left out many of them."""
    if before - after > _MUCH * before:
        _remark("%s: %s of %s events are left with %s", name, f"{after:,}", f"{before:,}", rule)


def remark_on_rating(where: str, rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> None:
    """Tell, of a log without ratings, which column looks like them; see `unused_rating`."""
    if (found := unused_rating(rows, used)) is not None:
        name, value = found
        _remark(
            "%s: every value is 1, as no column is taken for the rating; if it is %r, which holds numbers such as %s, "
            "declare columns rating=%s",
            *(where, name, value, name),
        )


def unused_rating(rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> tuple[str, object] | None:
    """Return the name of a column that looks like ratings, by its name or its few small numbers, and its first value.

    Args:
        rows: the first rows of a log by the names of columns.
        used: names of the columns that have a role.

    >>> unused_rating([{"user": 1, "My-Rating": "5"}, {"user": 1, "My-Rating": "0"}], ["user"])
    ('My-Rating', '5')
    """
    columns: dict[str, list[object]] = {}
    for row in rows:
        for name, value in row.items():
            if value not in (None, ""):
                columns.setdefault(name, []).append(value)
    found = [(name, values) for name, values in columns.items() if name not in set(used) and _numeric(values)]
    for name, values in found:
        if _NAME.search(name):
            return name, values[0]
    for name, values in found:
        numbers = _numbers(values)
        few = _STEPS[0] <= len(set(numbers)) <= _STEPS[1]
        if len(values) >= _LEAST_ROWS and few and _SCALE[0] <= min(numbers) and max(numbers) <= _SCALE[1]:
            return name, values[0]
    return None


def _numbers(values: Iterable[object]) -> list[float]:
    return [float(str(value).replace(",", ".")) for value in values]


def _numeric(values: Iterable[object]) -> bool:
    with suppress(ValueError):
        return len(_numbers(values)) > 0
    return False
