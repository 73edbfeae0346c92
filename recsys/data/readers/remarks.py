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
_NAME_OF_TIME = re.compile(r"time|date|when|stamp|day|(?:^|_)(?:at|on)$|[a-z]At$")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]|$)")
_FIRST_UNIX = 1e8
"""Of 1973."""
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
    dropped = f"{duplicates:,} exact duplicates and {re_ratings:,} other repeats dropped"
    if duplicates + re_ratings > _MUCH * rows:
        _remark(
            "%s: %s rows became %s events: %s; to keep them, declare columns duplicates=keep re_ratings=keep",
            *(where, f"{rows:,}", f"{events:,}", dropped),
        )
    elif duplicates or re_ratings:
        LOGGER.info("%s: %s", where, dropped)


def remark_on_values(where: str, unread: int) -> None:
    """Tell, of a log, how many values stand beside kinds that have none."""
    if unread:
        _remark("%s: %s values beside kinds other than rating are no ratings and are not read", where, f"{unread:,}")


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


def remark_on_time(where: str, rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> None:
    """Tell, of a log without times, which column looks like them; see `unused_time`."""
    if (found := unused_time(rows, used)) is not None:
        name, value = found
        _remark(
            "%s: the log has no times, as no column is taken for the time; if it is %r, which holds %s, declare "
            "columns time=%s",
            *(where, name, value, name),
        )


def unused_time(rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> tuple[str, object] | None:
    """Return the name of a column that looks like times, and its first value.

    It holds dates of ISO-8601, or by its name Unix times. Arguments as for `unused_rating`.

    >>> unused_time([{"user": 1, "bought": "2020-01-31"}], ["user"])
    ('bought', '2020-01-31')
    """
    for name, values in _columns(rows, used).items():
        dates = all(_DATE.match(str(value)) for value in values)
        if dates or (_NAME_OF_TIME.search(name) and _numeric(values) and min(_numbers(values)) >= _FIRST_UNIX):
            return name, values[0]
    return None


def unused_rating(rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> tuple[str, object] | None:
    """Return the name of a column that looks like ratings, by its name or its few small numbers, and its first value.

    Args:
        rows: the first rows of a log by the names of columns.
        used: names of the columns that have a role.

    >>> unused_rating([{"user": 1, "My-Rating": "5"}, {"user": 1, "My-Rating": "0"}], ["user"])
    ('My-Rating', '5')
    """
    found = [(name, values) for name, values in _columns(rows, used).items() if _numeric(values)]
    for name, values in found:
        if _NAME.search(name):
            return name, values[0]
    for name, values in found:
        numbers = _numbers(values)
        few = _STEPS[0] <= len(set(numbers)) <= _STEPS[1]
        if len(values) >= _LEAST_ROWS and few and _SCALE[0] <= min(numbers) and max(numbers) <= _SCALE[1]:
            return name, values[0]
    return None


def _columns(rows: Iterable[Mapping[str, object]], used: Iterable[str]) -> dict[str, list[object]]:
    """Return the values, blanks left out, of each column that is not used."""
    taken, columns = set(used), dict[str, list[object]]()
    for row in rows:
        for name, value in row.items():
            if value not in (None, "") and name not in taken:
                columns.setdefault(name, []).append(value)
    return columns


def _numbers(values: Iterable[object]) -> list[float]:
    return [float(str(value).replace(",", ".")) for value in values]


def _numeric(values: Iterable[object]) -> bool:
    with suppress(ValueError):
        return len(_numbers(values)) > 0
    return False
