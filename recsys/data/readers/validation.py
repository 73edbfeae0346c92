"""Converts the text columns of a chunk to numbers, and finds every row that cannot be used.

All checks run on the distinct texts of a chunk, not on its rows; a row is bad if one of its texts is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.kinds import CODES
from recsys.data.readers.coded import Chunk, Coded
from recsys.data.readers.columns import TEXT_ROLES, Columns, Role
from recsys.data.readers.rejects import Reject
from recsys.data.readers.times import UNIT_NAMES, parse_times, whole_numbers
from recsys.data.spellings import NO_CODE, codes_of, kind_fault
from recsys.types import Doubles, Floats, Ints, Kinds, Mask

_COMMA = re.compile(r"[+-]?\d+,\d+")
_NOT_FINITE = {"nan", "inf", "infinity"}
_LARGEST = float(np.finfo(np.float32).max)
_BOOLEANS = {"true": "1", "false": "0"}
_ISO_EXAMPLE = "ISO-8601 such as 2020-01-31T12:00:00Z"


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
        kinds: "rows", int8, codes of what was done; None where the log does not say.
        attributes: columns that are kept as texts, by role.
        rejected: the bad rows, in order.
        where: the file, for errors.
    """

    lines: range | Ints
    user: Coded
    item: Coded
    value: Floats
    time: Ints
    kinds: Kinds | None
    attributes: dict[Role, Coded]
    rejected: list[Reject]
    where: str


@final
class Validator:
    """Checks chunk after chunk of one log; remembers the unit of its times, and where ids had blanks around them.

    Attributes:
        unread_values: values beside kinds other than ratings, which are not read.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._unit: int | None = None
        self._trimmed: dict[Role, tuple[int, str]] = {}
        self.unread_values = 0

    @property
    def time_unit(self) -> str | None:
        """Unit in which the log writes its times; None before the first time is seen, or without times."""
        return None if self._unit is None else UNIT_NAMES[self._unit]

    @property
    def trimmed(self) -> str | None:
        """What to tell of the blanks around ids, which do not count; None where there were none."""
        told = [f"{rows} {role} ids (such as {text!r})" for role, (rows, text) in self._trimmed.items()]
        return f"blanks around {' and '.join(told)} are removed" if told else None

    def check(self, chunk: Chunk) -> Checked:
        """Convert one chunk and list its bad rows, each with its first fault."""
        rows, columns, faults = len(chunk.lines), chunk.columns, _Faults()
        user, item = self._ids(columns["user"], "user", faults), self._ids(columns["item"], "item", faults)
        value = (
            self._values(columns["value"], faults, keep_blank="kind" in columns)
            if "value" in columns
            else np.ones(rows, np.float32)
        )
        time = np.zeros(rows, np.int64)
        for role in ("order", "period"):
            if role in columns:
                time = self._numbers(columns[role], role, faults)
        if "time" in columns:
            time = self._times(columns["time"], faults)
        attributes = {
            role: Coded(columns[role].codes, _decode(columns[role].texts)[0]) for role in TEXT_ROLES if role in columns
        }
        kinds = self._kinds(columns["kind"], value, "value" in columns, faults) if "kind" in columns else None
        if kinds is not None:
            unread = (kinds != CODES["rating"]) & np.isfinite(value) & ("value" in columns)
            self.unread_values += int(unread.sum())
            value = np.where(kinds == CODES["rating"], value, np.float32(np.nan))
        if not faults.by_row:
            malformed = sorted(chunk.malformed)
            return Checked(chunk.lines, user, item, value, time, kinds, attributes, malformed, chunk.where)
        rejected = [Reject(int(chunk.lines[row]), *fault) for row, fault in faults.by_row.items()]
        rejected = sorted([*chunk.malformed, *rejected], key=lambda reject: reject.line)
        good = np.ones(rows, np.bool_)
        good[list(faults.by_row)] = False
        lines = np.asarray(chunk.lines, dtype=np.int64)[good]
        attributes = {role: column.take(good) for role, column in attributes.items()}
        user, item = user.take(good), item.take(good)
        kinds = None if kinds is None else kinds[good]
        return Checked(lines, user, item, value[good], time[good], kinds, attributes, rejected, chunk.where)

    def _ids(self, column: Coded, role: Role, faults: _Faults) -> Coded:
        decoded, undecodable = _decode(column.texts)
        texts = pc.utf8_trim_whitespace(decoded)
        blank = pc.equal(texts, "").to_numpy(zero_copy_only=False)
        nul = pc.match_substring(texts, "\0").to_numpy(zero_copy_only=False)

        def reason(text: str) -> str:
            if not text.strip():
                return f"blank {role} id {text!r}; fill it in or delete the row"
            if "\0" in text:
                return f"{role} id {text!r} holds a NUL character; remove it"
            cure = "save the file as UTF-8, declare columns encoding=latin-1 or another one, or correct the id"
            return f"undecodable text {text!r} as {role} id; {cure}"

        faults.add(role, column, texts, blank | nul | undecodable, reason)
        if texts.equals(decoded):
            return Coded(column.codes, texts)
        changed = pc.not_equal(texts, decoded).to_numpy(zero_copy_only=False) & ~blank
        if changed.any():
            rows, example = self._trimmed.get(role, (0, str(decoded[int(changed.argmax())])))
            self._trimmed[role] = rows + int(np.append(changed, np.bool_(False))[column.codes].sum()), example
        return Coded(column.codes, texts).merged()

    def _kinds(self, column: Coded, value: Floats, has_values: bool, faults: _Faults) -> Kinds:
        """Return the code of each row; a use with a value is a rating, and one without a value a use."""
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        codes = codes_of(texts.to_pylist(), dict(self._columns.kinds or ()))
        faults.add("kind", column, texts, codes < NO_CODE, kind_fault, absent=False)
        # The entry after the last belongs to code -1: rows that have no such field.
        kinds = np.append(codes, np.int8(NO_CODE))[column.codes]
        rated = np.isfinite(value) if has_values else np.zeros(len(value), np.bool_)
        kinds[((kinds == NO_CODE) | (kinds == CODES["use"])) & rated] = CODES["rating"]
        if has_values and self._columns.blank_values == "error":
            blank = np.flatnonzero((kinds == CODES["rating"]) & ~rated)
            faults.add_rows(
                "value", blank, "a rating without a value; fill it in, or declare columns blank_values=keep"
            )
        kinds[(kinds < 0) | ((kinds == CODES["rating"]) & ~rated)] = CODES["use"]
        return kinds

    def _values(self, column: Coded, faults: _Faults, *, keep_blank: bool) -> Floats:
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        numbers = _floats(self._with_point(_without_booleans(texts)))
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        blank = pc.equal(texts, "").to_numpy(zero_copy_only=False)
        keep_blank = keep_blank or self._columns.blank_values == "keep"
        bad = ~np.isfinite(values) & ~(blank & keep_blank)
        low, high = self._columns.value_range or (-np.inf, np.inf)
        bad |= (numbers < low) | (numbers > high)

        def reason(text: str) -> str:
            if not text:
                return "blank rating ''; fill it in, or declare columns blank_values=keep if it counts without one"
            number = float(_floats(self._with_point(pa.array([text])))[0])
            if text.lower().lstrip("+-") in _NOT_FINITE or (np.isfinite(number) and abs(number) > _LARGEST):
                return f"rating {text!r} is not a finite number; correct it"
            if np.isfinite(number):
                return f"rating {text!r} is outside the declared range {low:g} to {high:g}; correct it or the range"
            comma = _COMMA.fullmatch(text) and self._columns.decimal == "."
            return f"rating {text!r} is not a number; {'declare columns decimal=,' if comma else 'correct it'}"

        faults.add("value", column, texts, bad, reason, absent=not keep_blank)
        # The entry after the last belongs to code -1: rows that have no such field.
        return np.append(np.where(blank, np.float32(np.nan), values), np.float32(np.nan))[column.codes]

    def _with_point(self, texts: pa.Array) -> pa.Array:
        """Return the texts of numbers with a decimal point."""
        return texts if self._columns.decimal == "." else pc.replace_substring(texts, ",", ".")

    def _numbers(self, column: Coded, role: Role, faults: _Faults) -> Ints:
        texts = pc.utf8_trim_whitespace(_decode(column.texts)[0])
        numbers, good = whole_numbers(texts)
        faults.add(role, column, texts, ~good, lambda text: f"{role} {text!r} is not a whole number; correct it")
        return np.append(numbers, np.int64(0))[column.codes]

    def _times(self, column: Coded, faults: _Faults) -> Ints:
        texts = self._with_point(pc.utf8_trim_whitespace(_decode(column.texts)[0]))
        unit = self._columns.time_unit
        parsed = parse_times(texts, unit)
        form = {"auto": f"Unix seconds, milli-, micro- or nanoseconds, or {_ISO_EXAMPLE}", "iso": _ISO_EXAMPLE}
        cure = f"{'write' if unit == 'auto' else f'columns time_unit={unit} asks for'} {form.get(unit, f'Unix {unit}')}"
        faults.add("time", column, texts, parsed.unit < 0, lambda text: f"time {text!r} cannot be read; {cure}")
        units = parsed.unit[column.codes[column.codes >= 0]]
        if self._unit is None and np.any(units >= 0):
            # The unit of most times of the first chunk is taken for the unit of the log.
            self._unit = int(np.bincount(units[units >= 0]).argmax())
        if self._unit is not None:
            expected = UNIT_NAMES[self._unit]

            def mixed(text: str) -> str:
                other = UNIT_NAMES[int(parse_times(pa.array([text]), unit).unit[0])]
                return f"time {text!r} is in {other} where the file has {expected}: mixed-up time units; use one"

            faults.add("time", column, texts, (parsed.unit >= 0) & (parsed.unit != self._unit), mixed, absent=False)
        return np.append(parsed.seconds, np.int64(0))[column.codes]


@final
class _Faults:
    """The first fault of each bad row of a chunk: its reason, and the role of its column."""

    def __init__(self) -> None:
        self.by_row: dict[int, tuple[str, Role]] = {}

    def add(
        self, role: Role, column: Coded, texts: pa.Array, bad: Mask, reason: Callable[[str], str], absent: bool = True
    ) -> None:
        """Record every row whose text is bad, or missing if `absent` is a fault."""
        if not bad.any() and not (absent and np.any(column.codes < 0)):
            return
        reasons = {code: reason(str(texts[code])) for code in np.flatnonzero(bad).tolist()}
        if absent:
            reasons[-1] = reason("")
        for row in np.flatnonzero(np.append(bad, np.bool_(absent))[column.codes]).tolist():
            self.by_row.setdefault(row, (reasons[int(column.codes[row])], role))

    def add_rows(self, role: Role, rows: Ints, reason: str) -> None:
        """Record a fault of some rows."""
        for row in rows.tolist():
            self.by_row.setdefault(row, (reason, role))


def _decode(texts: pa.Array) -> tuple[pa.Array, Mask]:
    """Return the texts as Arrow strings, and which of them were not UTF-8 (those come back with escapes)."""
    try:
        return texts.cast(pa.string()), np.zeros(len(texts), np.bool_)
    except pa.ArrowInvalid:
        raw: list[bytes] = texts.cast(pa.binary()).to_pylist()
        decoded = [entry.decode("utf-8", errors="backslashreplace") for entry in raw]
        changed = [entry != text.encode() for entry, text in zip(raw, decoded, strict=True)]
        return pa.array(decoded, pa.string()), np.asarray(changed, dtype=np.bool_)


def _without_booleans(texts: pa.Array) -> pa.Array:
    """Return the texts of ratings with 1 and 0 in place of true and false."""
    for boolean, number in _BOOLEANS.items():
        is_it = pc.equal(pc.utf8_lower(texts), boolean)
        texts = pc.if_else(is_it, number, texts)
    return texts


def _floats(texts: pa.Array) -> Doubles:
    """Return texts as numbers; NaN for a text that is none."""
    try:
        return np.asarray(texts.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return np.array([np.nan])
        return np.concatenate([_floats(texts.slice(at, 1)) for at in range(len(texts))])
