"""Which column of a file holds what, and what is done with what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, final, get_args, get_type_hints

from recsys.errors import DataError, nearest

Role = Literal["user", "item", "value", "time", "order", "period", "category"]
"""What a column can mean."""

TimeUnit = Literal["auto", "seconds", "milliseconds", "iso"]

MILLISECONDS_FROM = 1e11
"""From here on a number is milliseconds: as seconds it would be after the year 5000, as milliseconds it is 1973."""

Duplicates = Literal["drop", "keep", "error"]
ReRatings = Literal["last", "first", "keep", "error"]

ROLES: tuple[Role, ...] = get_args(Role)

# In order of preference: where a file has two of them, the earlier one is taken. Compared without case, "_", "-", " ".
ALIASES: dict[Role, tuple[str, ...]] = {
    "user": ("userid", "user", "uid", "reviewerid", "customerid", "visitorid", "memberid"),
    "item": (
        *("movieid", "itemid", "item", "iid", "asin", "productid", "parentasin", "movie", "product"),
        *("bookid", "isbn", "songid", "trackid", "artistid", "businessid"),
    ),
    "value": ("rating", "value", "score", "stars", "overall"),
    "time": ("timestamp", "time", "ts", "date", "datetime", "unixreviewtime"),
    "order": ("order",),
    "period": ("period",),
    "category": (),
}
_CLOCKS: tuple[Role, ...] = ("time", "order", "period")


@final
@dataclass(frozen=True)
class Columns:
    """How to read a log. Every part has a default: common column names are recognised, declared ones are obeyed.

    Attributes:
        user: name of the column of user ids; None: recognised (userId, user_id, user, uid, ...).
        item: name of the column of item ids; None: recognised (movieId, itemId, item_id, asin, ...).
        value: name of the column of ratings; None: recognised (rating, score, stars, ...), else all values are 1.
        time: name of the column of times; None: recognised (timestamp, time, ts, date, ...).
        order: name of the column of positions in the user's history; used where there is no time.
        period: name of the column of coarse period numbers; used where there is neither time nor order.
        category: name of a column with the item's category, which becomes the item's genre "category X".
        names: names of all columns of a file without a header; its first line is then data.
        separator: what stands between fields; None: found from the name of the file and its first line.
        encoding: of a text file.
        time_unit: "auto" tells seconds, milliseconds (from 1e11 on) and ISO-8601 apart; the others insist on one.
        value_range: smallest and largest rating allowed; None: any finite number.
        blank_values: "error", or "keep" where an event without rating counts; its value is then NaN.
        duplicates: of events equal in user, item, value and time: "drop" all but one, "keep" or "error".
        re_ratings: of events equal in user and item only: keep the "last", the "first", all ("keep"), or "error".

    Raises:
        DataError: a declared policy or unit is unknown, or the range is empty.
    """

    user: str | None = None
    item: str | None = None
    value: str | None = None
    time: str | None = None
    order: str | None = None
    period: str | None = None
    category: str | None = None
    names: tuple[str, ...] | None = None
    separator: str | None = None
    encoding: str = "utf-8"
    time_unit: TimeUnit = "auto"
    value_range: tuple[float, float] | None = None
    blank_values: Literal["error", "keep"] = "error"
    duplicates: Duplicates = "drop"
    re_ratings: ReRatings = "last"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("time_unit", "blank_values", "duplicates", "re_ratings"):
            allowed, value = get_args(hints[name]), getattr(self, name)
            if value not in allowed:
                hint = nearest(str(value), allowed)
                raise DataError(f"columns.{name} is {value!r}; it must be one of {', '.join(allowed)}{hint}")
        if self.value_range is not None and not self.value_range[0] <= self.value_range[1]:
            raise DataError(f"columns.value_range {self.value_range} is empty; give the smallest rating first")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Columns:
        """Build from a mapping as it stands in a dataset card or a configuration file.

        Raises:
            DataError: a key is unknown (the nearest right one is named) or a value is of the wrong shape.

        >>> Columns.from_mapping({"item": "isbn", "value_range": [1, 10]}).value_range
        (1.0, 10.0)
        """
        known = [field.name for field in fields(cls)]
        for key in mapping:
            if key not in known:
                raise DataError(f"unknown key {key!r} in columns{nearest(str(key), known)}; known: {', '.join(known)}")
        values = dict(mapping)
        if values.get("names") is not None:
            values["names"] = tuple(str(name) for name in values["names"])
        if values.get("value_range") is not None:
            try:
                low, high = (float(bound) for bound in values["value_range"])
            except (TypeError, ValueError):
                raise DataError(
                    f"columns.value_range is {values['value_range']!r}; give two numbers, smallest first"
                ) from None
            values["value_range"] = (low, high)
        return cls(**values)

    def resolve(self, header: Sequence[str], where: str) -> dict[Role, int]:
        """Return the position of the column of each role that the file has.

        Of time, order and period only one is returned: the first declared, else the first recognised.

        Args:
            header: the names of the file's columns.
            where: the file and line of the header, for the error.

        Raises:
            DataError: a declared column is missing, or no column for users or items is recognised.

        >>> Columns().resolve(["userId", "movieId", "rating", "timestamp"], "ratings.csv")
        {'user': 0, 'item': 1, 'value': 2, 'time': 3}
        """
        found: dict[Role, int] = {}
        for role in ROLES:
            declared: str | None = getattr(self, role)
            if declared is not None:
                found[role] = _declared(declared, role, header, where)
            elif (position := _recognised(role, header)) is not None:
                found[role] = position
        for role in ("user", "item"):
            if role not in found:
                raise DataError(
                    f"{where}: no column for the {role} among {', '.join(map(repr, header))}; say which it is "
                    f"with columns.{role}, or list columns.names if the file has no header"
                )
        clocks = [role for role in _CLOCKS if role in found]
        clocks.sort(key=lambda role: getattr(self, role) is None)  # what is declared goes before what is recognised
        for role in clocks[1:]:
            del found[role]
        return found


def recognised(header: Sequence[str]) -> dict[Role, int]:
    """Return the position of the column of each role that common names give away; see `Columns.resolve`.

    >>> recognised(["itemId", "ts"])
    {'item': 0, 'time': 1}
    """
    positions = ((role, _recognised(role, header)) for role in ROLES)
    return {role: position for role, position in positions if position is not None}


def _declared(name: str, role: str, header: Sequence[str], where: str) -> int:
    if name in header:
        return list(header).index(name)
    folded = [_fold(entry) for entry in header]
    if folded.count(_fold(name)) == 1:
        return folded.index(_fold(name))
    raise DataError(
        f"{where}: no column {name!r} (columns.{role}){nearest(name, header)}; "
        f"the file has {', '.join(map(repr, header))}"
    )


def _recognised(role: Role, header: Sequence[str]) -> int | None:
    folded = [_fold(entry) for entry in header]
    return next((folded.index(alias) for alias in ALIASES[role] if alias in folded), None)


def _fold(name: str) -> str:
    # A type after a colon ("user_id:token") is how one family of benchmark files marks its columns.
    return re.sub(r"[^a-z0-9]", "", name.strip().lower().split(":")[0])
