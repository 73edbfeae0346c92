"""What the fields of events, corrections and tokens may hold; each error names field, value and cure."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import TypeGuard

from recsys.data.kinds import UNRATED_KINDS, Kind
from recsys.data.readers.columns import MILLISECONDS_FROM
from recsys.errors import DataError

LONGEST_ID = 256
"""Characters of an id, at most."""

DOTS = (".", "..")
"""What can be no id."""

LONGEST_CONDITION = 80
"""Characters of what an event says of its circumstances, at most."""

LARGEST_VALUE = 1e9
LARGEST_WEIGHT = 10.0
MOST_PERSONAS = 256
LONGEST_NAME = 80
LARGEST_TIME = int(MILLISECONDS_FROM)
MOST_AHEAD = 300
"""Seconds that the time of an event that is taken may be ahead of this machine's clock: two clocks are never equal."""

MOST_ASKED_AHEAD = 366 * 86_400
"""Seconds that the moment of a question may be ahead: a list of tomorrow is a question, one of 2100 a slip."""

_UNSAFE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that no text may hold: controls, halves of surrogate pairs, separators of lines and paragraphs."""


INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
)
"""What nobody sees, or everybody sees differently, as a character class of patterns.

That is `Default_Ignorable_Code_Point` of Unicode 15 (without a width, fillers, variation selectors, controls of the
writing direction), the blank of Braille, the controls of annotations, characters of private use, and noncharacters.
"""

_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_JOINER = "\u200d"
_SELECTORS = "\ufe0e\ufe0f"
_LOOKS = "\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_SIGNS = "\u203c\u2049\u3030\u303d"  # emoji that are punctuation


def check_persona(persona: int) -> None:
    """Raise a DataError unless this can be the number of a persona."""
    if not (_is_whole(persona) and 0 <= persona < MOST_PERSONAS):
        raise DataError(f"persona is {shown(persona)}; it must be a whole number from 0 to {MOST_PERSONAS - 1}")


def check_page(sequence: int, limit: int) -> None:
    """Raise a DataError unless these can be arguments of `EventStore.since`."""
    if sequence < 0:
        raise DataError(f"sequence is {sequence}; give 0 for everything, or the last number that was read")
    if limit < 1:
        raise DataError(f"limit is {limit}; it must be at least 1")


def check_id(field: str, text: object) -> None:
    """Raise a DataError unless a text can be an external id."""
    check_text(field, text, LONGEST_ID)
    if text in DOTS:
        raise DataError(f"{field} is {shown(text)}, which is a step in a path, so no URL can name it; give another")


def check_text(field: str, text: object, longest: int) -> None:
    """Raise a DataError unless a text has from 1 to `longest` characters, none of them a control character."""
    if not isinstance(text, str):
        raise DataError(f"{field} is {shown(text)}; it must be text")
    if not text:
        raise DataError(f"{field} is empty; give at least one character")
    if len(text) > longest:
        raise DataError(f"{field} is {shown(text)}, of {len(text)} characters; shorten it to {longest}")
    if text[0].isspace() or text[-1].isspace():
        raise DataError(f"{field} is {shown(text)}; remove the space at its ends")
    if not text.isprintable():
        for place, character in enumerate(text):
            if unicodedata.category(character) in _UNSAFE:
                raise DataError(
                    f"{field} is {shown(text)}; character {place + 1} is the control character "
                    f"U+{ord(character):04X}: remove it"
                )


def check_visible(field: str, text: str | None) -> None:
    """Raise a DataError if a name that people are shown holds a character that they cannot see.

    Invisible characters make two names look the same, and those of the writing direction turn a sentence around. The
    joiner between two emoji is allowed, where it makes one of them, and so is the selector of an emoji's look.
    """
    for place, character in enumerate(text or ""):
        if _INVISIBLE.match(character) and not _belongs_to_emoji(text or "", place):
            name = unicodedata.name(character, "no character with a look of its own")
            raise DataError(
                f"{field} is {shown(text)}; character {place + 1} is U+{ord(character):04X} ({name}), which not "
                "everybody sees: remove it"
            )


def _belongs_to_emoji(text: str, place: int) -> bool:
    """Return whether the character at a place joins two emoji, or selects how the one before it looks."""
    before, after = text[:place], text[place + 1 : place + 2]
    if text[place] == _JOINER:
        return _is_symbol(before.rstrip(_LOOKS)[-1:]) and _is_symbol(after)
    is_key = after == "\u20e3" and before[-1:] in tuple("0123456789#*")
    return text[place] in _SELECTORS and (is_key or _is_symbol(before[-1:]))


def _is_symbol(character: str) -> bool:
    return character != "" and (unicodedata.category(character) in ("So", "Sm") or character in _SIGNS)


def number_within(field: str, value: object, low: float, high: float) -> float:
    """Return a finite number from `low` to `high`, else raise a DataError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{field} is {shown(value)}; it must be a number")
    if not low <= value <= high:  # nor is NaN
        raise DataError(f"{field} is {shown(value)}; it must be a finite number from {low:g} to {high:g}")
    return float(value)


def check_time(field: str, time: object) -> None:
    """Raise a DataError unless this can be Unix seconds."""
    if not _is_whole(time):
        raise DataError(f"{field} is {shown(time)}; it must be a whole number of Unix seconds")
    if not -LARGEST_TIME < time < LARGEST_TIME:
        raise DataError(f"{field} is {shown(time)}, too large for Unix seconds; divide milliseconds by 1000")


def check_event_time(field: str, time: int, now: float, written: str = "") -> None:
    """Raise a DataError if an event cannot have been at this time: before 1970, or ahead by more than clocks differ.

    Events that are taken are checked, and those of a history in a question. A store may hold earlier ones of 0.2.

    Args:
        field: the name of the field.
        time: an event's; what `check_time` refuses is left to that.
        now: the present, Unix seconds.
        written: the time as the sender wrote it, if not so.
    """
    if now + MOST_AHEAD < time < LARGEST_TIME:
        date = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")
        raise DataError(
            f"{field} is {written or time}, that is {date} UTC, in the future; correct it, or the clock it comes from "
            f"(up to {MOST_AHEAD // 60} minutes are taken), or its unit"
        )
    if -LARGEST_TIME < time < 0:
        raise DataError(f"{field} is {written or time}, before 1970; give the Unix seconds at which it happened")


def check_said(kind: Kind, value: float | None) -> None:
    """Raise a DataError where a rating has no value, or a kind that has none has one."""
    if value is None and kind == "rating":
        raise DataError("value is None beside kind 'rating'; give the rating, or kind 'use' if there is none")
    if value is not None and kind in UNRATED_KINDS:
        raise DataError(
            f"value is {value:g} beside kind {kind!r}, which has none; leave value out, or give kind 'rating'"
        )


def check_moment(field: str, time: object, now: float) -> None:
    """Raise a DataError unless a question can be about this moment, Unix seconds: any one up to a year ahead."""
    if _is_whole(time) and time > now + MOST_ASKED_AHEAD:
        raise DataError(
            f"{field} is {shown(time)}, more than {MOST_ASKED_AHEAD // 86_400} days ahead; divide milliseconds by "
            "1000, give an earlier moment, or leave it out to ask about now"
        )
    check_time(field, time)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Return a value as an error shows it, cut to 80 characters."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write out numbers of thousands of digits
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
