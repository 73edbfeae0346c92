"""Turning the text columns of a chunk into numbers, and finding every row that must not be believed.

All checks look at the distinct texts of a chunk, not at its rows; a row is bad when one of its texts is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.readers.columns import Columns
from recsys.data.readers.parsing import Chunk, Coded
from recsys.data.readers.times import UNIT_NAMES, parse_times, whole_numbers

_ABSENT = "\x00absent"
_NOT_FINITE = {"nan", "inf", "infinity"}
_LARGEST = float(np.finfo(np.float32).max)


@final
@dataclass(frozen=True, eq=False)
class Checked:
    """The good rows of a chunk.

    Attributes:
        lines: number of the line of each row.
        user: user ids, decoded and trimmed.
        item: item ids, decoded and trimmed.
        value: "rows", float32.
        time: "rows", int64, in the unit of the log's clock.
        category: categories, where the log has them.
        rejected: number of the line and fault of each bad row, in order.
    """

    lines: range | npt.NDArray[np.int64]
    user: Coded
    item: Coded
    value: npt.NDArray[np.float32]
    time: npt.NDArray[np.int64]
    category: Coded | None
    rejected: list[tuple[int, str]]


@final
class Validator:
    """Checks chunk after chunk of one log; remembers the unit of its times.

    Args:
        columns: what is declared of the log.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._unit: int | None = None

    @property
    def time_unit(self) -> str | None:
        """Unit in which the log writes its times; None before the first time is seen, or without times."""
        return None if self._unit is None else UNIT_NAMES[self._unit]

    def check(self, chunk: Chunk) -> Checked:
        """Convert one chunk and list its bad rows; only the first fault of a row is told."""
        rows = len(chunk.lines)
        faults: dict[int, str] = {}
        user = self._ids(chunk.columns["user"], "user", faults)
        item = self._ids(chunk.columns["item"], "item", faults)
        value = np.ones(rows, np.float32)
        if "value" in chunk.columns:
            value = self._values(chunk.columns["value"], faults)
        time = np.zeros(rows, np.int64)
        for role in ("order", "period"):
            if role in chunk.columns:
                time = self._numbers(chunk.columns[role], role, faults)
        if "time" in chunk.columns:
            time = self._times(chunk.columns["time"], faults)
        category = chunk.columns.get("category")
        if category is not None:
            category = Coded(category.codes, _decode(category.texts)[0])
        lines: range | npt.NDArray[np.int64] = chunk.lines
        rejected = sorted([*chunk.malformed, *((int(lines[row]), fault) for row, fault in faults.items())])
        if faults:
            good = np.ones(rows, np.bool_)
            good[list(faults)] = False
            lines = np.asarray(lines, dtype=np.int64)[good]
            user, item, value, time = user.take(good), item.take(good), value[good], time[good]
            category = None if category is None else category.take(good)
        return Checked(lines, user, item, value, time, category, rejected)

    def _ids(self, column: Coded, role: str, faults: dict[int, str]) -> Coded:
        texts, undecodable = _decode(column.texts)
        texts = pc.utf8_trim_whitespace(texts)
        blank = pc.equal(texts, "").to_numpy(zero_copy_only=False)

        def fault(text: str) -> str:
            if text == _ABSENT or not text.strip():
                return f"blank {role} id {_shown(text)}; fill it in or delete the row"
            return f"undecodable text {text!r} as {role} id; save the file as UTF-8 or declare columns.encoding"

        _blame(column, texts, blank | undecodable, fault, faults, absent=True)
        return Coded(column.codes, texts)

    def _values(self, column: Coded, faults: dict[int, str]) -> npt.NDArray[np.float32]:
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        numbers = _floats(texts)
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        blank = pc.equal(texts, "").to_numpy(zero_copy_only=False)
        keep_blank = self._columns.blank_values == "keep"
        bad = ~np.isfinite(values) & ~(blank & keep_blank)
        low, high = self._columns.value_range or (-np.inf, np.inf)
        bad |= (numbers < low) | (numbers > high)

        def fault(text: str) -> str:
            if text in ("", _ABSENT):
                return (
                    "blank rating ''; fill it in, or declare columns.blank_values: keep if the event counts without it"
                )
            number = float(_floats(pa.array([text]))[0])
            if text.lower().lstrip("+-") in _NOT_FINITE or (np.isfinite(number) and abs(number) > _LARGEST):
                return f"rating {text!r} is not a finite number; correct it"
            if np.isfinite(number):
                return f"rating {text!r} is outside the declared range {low:g} to {high:g}; correct it or the range"
            return f"rating {text!r} is not a number; correct it"

        _blame(column, texts, bad, fault, faults, absent=not keep_blank)
        # The entry after the last belongs to code -1: rows that have no such field.
        return np.append(np.where(blank, np.float32(np.nan), values), np.float32(np.nan))[column.codes]

    def _numbers(self, column: Coded, role: str, faults: dict[int, str]) -> npt.NDArray[np.int64]:
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        numbers, good = whole_numbers(texts)

        def fault(text: str) -> str:
            return f"{role} {_shown(text)} is not a whole number; correct it"

        _blame(column, texts, ~good, fault, faults, absent=True)
        return np.append(numbers, np.int64(0))[column.codes]

    def _times(self, column: Coded, faults: dict[int, str]) -> npt.NDArray[np.int64]:
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        parsed = parse_times(texts, self._columns.time_unit)

        def unreadable(text: str) -> str:
            wanted = {
                "auto": "write Unix seconds, milliseconds or ISO-8601 such as 2020-01-31T12:00:00Z",
                "iso": "columns.time_unit asks for ISO-8601 such as 2020-01-31T12:00:00Z",
            }
            asked = self._columns.time_unit
            return (
                f"time {_shown(text)} cannot be read; {wanted.get(asked, f'columns.time_unit asks for Unix {asked}')}"
            )

        _blame(column, texts, parsed.unit < 0, unreadable, faults, absent=True)
        units = parsed.unit[column.codes[column.codes >= 0]]
        if self._unit is None and np.any(units >= 0):
            # The unit of most times of the first chunk is taken for the unit of the log.
            self._unit = int(np.bincount(units[units >= 0]).argmax())
        if self._unit is not None:
            expected = UNIT_NAMES[self._unit]

            def mixed(text: str) -> str:
                other = UNIT_NAMES[int(parse_times(pa.array([text]), self._columns.time_unit).unit[0])]
                return (
                    f"time {text!r} is in {other} where the file has {expected}: mixed-up time units; "
                    "convert the file to one unit"
                )

            _blame(column, texts, (parsed.unit >= 0) & (parsed.unit != self._unit), mixed, faults, absent=False)
        return np.append(parsed.seconds, np.int64(0))[column.codes]


def _blame(
    column: Coded,
    texts: pa.Array,
    bad: npt.NDArray[np.bool_],
    fault: Callable[[str], str],
    faults: dict[int, str],
    *,
    absent: bool,
) -> None:
    """Record the fault of every row whose text is bad, or missing if `absent` is a fault."""
    if not bad.any() and not (absent and np.any(column.codes < 0)):
        return
    reasons: dict[int, str] = {int(code): fault(str(texts[int(code)])) for code in np.flatnonzero(bad)}
    if absent:
        reasons[-1] = fault(_ABSENT)
    guilty = np.append(bad, np.bool_(absent))[column.codes]
    for row in np.flatnonzero(guilty).tolist():
        faults.setdefault(row, reasons[int(column.codes[row])])


def _decode(texts: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Return the texts as Arrow strings, and which of them were not UTF-8 (those come back with escapes)."""
    try:
        return texts.cast(pa.string()), np.zeros(len(texts), np.bool_)
    except pa.ArrowInvalid:
        raw: list[bytes] = texts.cast(pa.binary()).to_pylist()
        decoded = [entry.decode("utf-8", errors="backslashreplace") for entry in raw]
        changed = [entry != text.encode() for entry, text in zip(raw, decoded, strict=True)]
        return pa.array(decoded, pa.string()), np.asarray(changed, dtype=np.bool_)


def _floats(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return texts as numbers; NaN where a text is not one."""
    result: npt.NDArray[np.float64]
    try:
        result = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        result = np.asarray([_float(text) for text in texts.to_pylist()], dtype=np.float64)
    return result


def _float(text: str) -> float:
    try:
        return float(pa.scalar(text, pa.string()).cast(pa.float64()).as_py())
    except pa.ArrowInvalid:
        return float("nan")


def _shown(text: str) -> str:
    return "''" if text == _ABSENT else repr(text)
