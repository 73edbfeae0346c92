"""Parses times: Unix seconds, milli-, micro- and nanoseconds, ISO-8601 or C's `ctime`, distinguished by their form."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.readers.columns import MILLISECONDS_FROM, TimeUnit
from recsys.errors import DataError
from recsys.types import Ints, Mask

UNIT_NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds", "ISO-8601")
_ISO = len(UNIT_NAMES) - 1
_UNREADABLE = -1
_LIMITS = [MILLISECONDS_FROM, MILLISECONDS_FROM * 1e3, MILLISECONDS_FROM * 1e6]
"""From here on a number is in the next unit."""
_PARTS = np.array([1, 10**3, 10**6, 10**9])
"""Parts of a second, by unit."""

_UNIVERSAL = ((r"^([0-9-]+) (?:UTC|GMT)$", r"\1"), (r" ?(?:UTC|GMT)$", "Z"))
"""How universal time is written beside ISO-8601, and what it is there."""
_WRITTEN_OUT = (re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:"), "%a %b %d %H:%M:%S %z %Y")
"""How times with names of days and months begin, as "Tue Apr 03 18:00:09 +0000 2012", and their format."""
_ISO_BEGIN = re.compile(r"-?[0-9]{4}-")
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FIRST_UNIX = 10**8
"""Whole numbers from here on can be Unix times (of 1973 and later); hardly so positions or periods."""

Moment = int | float | str | date | np.datetime64
"""A number in the unit of a log's clock, or a date or time; text is ISO-8601 or spells a number."""


@final
@dataclass(frozen=True, eq=False)
class Times:
    """Times as numbers.

    Attributes:
        seconds: "texts", int64, Unix seconds (UTC), rounded down; 0 if unreadable.
        unit: "texts", int64, position in `UNIT_NAMES` of the unit of each text; -1 if unreadable.
    """

    seconds: Ints
    unit: Ints


def moment(value: Moment, clock: str, span: tuple[int, int] | None = None) -> int:
    """Return a moment in the unit of a log's clock, by the rules for the times of a file.

    Of a log of wall-clock times it is a number in any unit that `parse_times` knows, or a date or time (UTC if without
    a zone), as Unix seconds, rounded up; of others it is a whole number in the log's unit.

    Args:
        value: the moment.
        clock: of the log.
        span: first and last time of the log, where it is known.

    Raises:
        DataError: it is no moment; a date where the log's times are no wall-clock times; or a number in another unit
            than the log's, or before all of it.

    >>> moment("2001-09-09T01:46:40", "seconds"), moment(1_000_000_000_000, "seconds")
    (1000000000, 1000000000)
    """
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    if clock != "seconds":
        time = _number_of(value, text, clock)
        if span is not None and abs(time) >= max(_FIRST_UNIX, 1000 * abs(span[1])):
            raise DataError(
                f"time {text} is no {clock} of this log, whose times go from {span[0]} to {span[1]}; give one of them"
            )
        return time
    parsed = parse_times(pa.array([text]))
    if parsed.unit[0] == _UNREADABLE:
        raise DataError(
            f"time {text!r} is neither Unix seconds nor milli-, micro- or nanoseconds, nor an ISO-8601 "
            "time such as 2015-06-30"
        )
    time = int(parsed.seconds[0])
    if parsed.unit[0] == _ISO:
        return time
    time = math.ceil(Decimal(text) / int(_PARTS[parsed.unit[0]]))
    if span is not None and time < span[0]:
        first, last, asked = (f"{np.datetime64(at, 's')}Z" for at in (*span, time))
        raise DataError(
            f"time {text} is {asked}, before the log begins: it goes from {first} to {last}; give a later moment, as "
            "Unix time or as ISO-8601 such as 2015-06-30"
        )
    return time


def _number_of(value: Moment, text: str, clock: str) -> int:
    with suppress(ValueError, OverflowError):
        return int(np.int64(int(text) if isinstance(value, str) else math.ceil(float(text))))
    raise DataError(f"time {text!r}: this log has no wall-clock time (its clock is {clock!r}); give a whole number")


def parse_times(texts: pa.Array, declared: TimeUnit = "auto") -> Times:
    """Parse times in any of the known units, or in the declared one only; without a time zone they are UTC.

    >>> times = parse_times(pa.array(["964982703", "964982703000", "2000-07-30 18:45:03 UTC", "soon"]))
    >>> times.seconds.tolist(), times.unit.tolist()
    ([964982703, 964982703, 964982703, 0], [0, 1, 4, -1])
    """
    if declared in ("auto", "iso") and (moments := _plain_iso(texts)) is not None:
        return Times(moments, np.full(len(texts), _ISO, dtype=np.int64))
    unit = np.full(len(texts), _UNREADABLE, dtype=np.int64)
    seconds = np.zeros(len(texts), dtype=np.int64)
    good = np.zeros(len(texts), dtype=np.bool_)
    if declared != "iso":
        numbers, good = whole_numbers(texts, fractions=True)
        found = np.searchsorted(_LIMITS, np.abs(numbers.astype(np.float64)), side="right")
        if declared != "auto":
            asked = UNIT_NAMES.index(declared)
            good &= found <= asked
            found[:] = asked
        unit[good] = found[good]
        seconds[good] = numbers[good] // _PARTS[found[good]]
    if declared in ("auto", "iso") and not good.all():
        rest = np.flatnonzero(~good)
        written = texts.take(pa.array(rest))
        for zone, replacement in _UNIVERSAL:
            written = pc.replace_substring_regex(written, zone, replacement)
        if (moments := _plain_iso(written)) is not None:
            unit[rest], seconds[rest] = _ISO, moments
            return Times(seconds, unit)
        # A text that is nothing else is reported as no ISO-8601 time.
        begin, form = _WRITTEN_OUT
        form = form if len(rest) and begin.match(written[0].as_py()) else "ISO8601"
        stamps = pd.to_datetime(pd.Series(written.to_pylist(), dtype=object), format=form, utc=True, errors="coerce")
        rest, stamps = rest[stamps.notna()], stamps.dropna()
        unit[rest] = _ISO
        seconds[rest] = stamps.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return Times(seconds, unit)


def _plain_iso(texts: pa.Array) -> Ints | None:
    """Return Unix seconds, if all texts are ISO-8601 of one form without fractions: three times as fast as pandas."""
    # Arrow fails on every text, and slowly, where one look at the first shows that they are numbers.
    if len(texts) and not _ISO_BEGIN.match(texts[0].as_py()):
        return None
    for zone in (None, "UTC"):
        with suppress(pa.ArrowInvalid):
            return np.asarray(texts.cast(pa.timestamp("s", zone)).cast(pa.int64()).to_numpy(zero_copy_only=False))
    return None


def whole_numbers(texts: pa.Array, *, fractions: bool = False) -> tuple[Ints, Mask]:
    """Return texts as int64 (0 if that fails), and which are numbers; fractions are rounded down, if allowed."""
    try:
        return texts.cast(pa.int64()).to_numpy(zero_copy_only=False), np.ones(len(texts), dtype=np.bool_)
    except pa.ArrowInvalid:
        written = texts.to_pylist()
    numeric = pd.to_numeric(pd.Series(written, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    good = np.isfinite(numeric) & (np.abs(numeric) < 2.0**53)
    if not fractions:
        good &= numeric == np.floor(numeric)
    numbers = np.floor(np.where(good, numeric, 0)).astype(np.int64)
    # Beyond 2^53 a float would not be exact.
    large = {at: int(written[at]) for at in np.flatnonzero(~good).tolist() if _WHOLE.fullmatch(written[at] or "")}
    for at, number in large.items():
        good[at] = abs(number) < 2**63
        numbers[at] = number if good[at] else 0
    return numbers, good
