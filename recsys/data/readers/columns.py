"""Declares the columns of a log: which one holds what, and how its values are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, final, get_args, get_type_hints

from recsys.errors import DataError, nearest

Clock = Literal["seconds", "order", "period", "none"]
"""The meaning of times: Unix seconds (UTC); positions in the user's history; coarse period numbers; or nothing."""

Label = str | int
"""The name of a column; an integer is the label of a DataFrame's column."""

Role = Literal["user", "item", "value", "time", "order", "period", "category", "title", "genres"]
"""What a column can mean."""

TimeUnit = Literal["auto", "seconds", "milliseconds", "iso"]

MILLISECONDS_FROM = 1e11
"""From here on a number is milliseconds: as seconds it would be after the year 5000, as milliseconds it is 1973."""

Duplicates = Literal["drop", "keep", "error"]
ReRatings = Literal["last", "first", "keep", "error"]

ROLES: tuple[Role, ...] = get_args(Role)

# In order of preference: of two in one file, the earlier is taken. Compared without case, "_", "-", " ".
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
    # Not recognised in files, where "title" is often the title of a review.
    "title": (),
    "genres": (),
}
ITEM_ROLES: tuple[Role, ...] = ("category", "title", "genres")
"""The columns that describe the item, not the event."""

_CLOCKS: dict[Role, Clock] = {"time": "seconds", "order": "order", "period": "period"}


@final
@dataclass(frozen=True)
class Columns:
    """How to read a log. Common column names are recognised; declared ones have precedence.

    Attributes:
        user: name of the column of user ids; None: recognised (userId, user_id, user, uid, ...).
        item: name of the column of item ids; None: recognised (movieId, itemId, item_id, asin, ...).
        value: name of the column of ratings; None: recognised (rating, score, stars, ...), else all values are 1.
        time: name of the column of times; None: recognised (timestamp, time, ts, date, ...).
        order: name of the column of positions in the user's history; used if there is no time.
        period: name of the column of coarse period numbers; used if there is neither time nor order.
        category: name of a column with the item's category, which becomes the item's genre "category X".
        title: name of a column with the item's title; of several the most frequent is taken.
        genres: name of a column with the item's genres, separated by "|"; of several the most frequent is taken.
        names: names of all columns of a file without a header; its first line is then data.
        separator: between fields; None: detected from the name of the file and its first line.
        encoding: of a text file.
        time_unit: "auto" detects seconds, milliseconds (from 1e11 on) or ISO-8601; the others require one.
        value_range: smallest and largest rating allowed; None: any finite number.
        blank_values: "error", or "keep" for events without a rating; their value is NaN.
        duplicates: of events equal in user, item, value and time: "drop" all but one, "keep" or "error".
        re_ratings: of events equal in user and item only: keep the "last", the "first", all ("keep"), or "error".
        reader: name of an installed entry point of `recsys.readers`, a function (path, columns) -> `Interactions` that
            reads the file instead.

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
    title: str | None = None
    genres: str | None = None
    names: tuple[str, ...] | None = None
    separator: str | None = None
    encoding: str = "utf-8"
    time_unit: TimeUnit = "auto"
    value_range: tuple[float, float] | None = None
    blank_values: Literal["error", "keep"] = "error"
    duplicates: Duplicates = "drop"
    re_ratings: ReRatings = "last"
    reader: str | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("time_unit", "blank_values", "duplicates", "re_ratings"):
            allowed, value = get_args(hints[name]), getattr(self, name)
            if value not in allowed:
                hint = nearest(str(value), allowed)
                raise DataError(f"columns.{name} is {value!r}; it must be one of {', '.join(allowed)}{hint}")
        if self.reader is not None and "." in self.reader:
            # Columns are saved with a run, and opening a run imports nothing that is not installed for this purpose.
            raise DataError(f"columns.reader is {self.reader!r}; give the name of an entry point of 'recsys.readers'")
        if self.value_range is not None and not self.value_range[0] <= self.value_range[1]:
            raise DataError(f"columns.value_range {self.value_range} is empty; give the smallest rating first")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Columns:
        """Build from a mapping, as in a dataset card or a configuration file.

        Raises:
            DataError: a key is unknown (the message names the nearest one) or a value is of the wrong type.

        >>> Columns.from_mapping({"item": "isbn", "value_range": [1, 10]}).value_range
        (1.0, 10.0)
        """
        check_keys(cls, mapping, "columns")
        values = dict(mapping)
        if values.get("names") is not None:
            values["names"] = tuple(str(name) for name in values["names"])
        if (bounds := values.get("value_range")) is not None:
            try:
                low, high = (float(bound) for bound in bounds)
            except (TypeError, ValueError):
                raise DataError(f"columns.value_range is {bounds!r}; give two numbers, smallest first") from None
            values["value_range"] = (low, high)
        return cls(**values)

    def naming(self, **names: Label | None) -> Columns:
        """Return the same declarations with other names of columns by role; None leaves a role as it is.

        >>> Columns(item="isbn").naming(user="reader", item=None).item
        'isbn'
        """
        given: dict[str, Any] = {role: str(name) for role, name in names.items() if name is not None}
        return replace(self, **given)

    def resolve(self, header: Sequence[str], where: str) -> dict[Role, int]:
        """Return the position of the column of each role that the file has.

        Of time, order and period only one is returned: the first declared, else the first recognised.

        Raises:
            DataError: a declared column is missing, no column for users or items is recognised, one column is taken for
                two roles, or two columns have one name; at `where`.

        >>> Columns().resolve(["userId", "movieId", "rating", "timestamp"], "ratings.csv")
        {'user': 0, 'item': 1, 'value': 2, 'time': 3}
        """
        positions = recognised(header)
        for role in ROLES:
            declared: str | None = getattr(self, role)
            if declared is not None:
                positions[role] = _declared(declared, role, header, where)
        for role in ("user", "item"):
            if role not in positions:
                raise DataError(
                    f"{where}: no column for the {role} among {', '.join(map(repr, header))}; say which it is, as in "
                    f"{role}='NAME' (on the command line --columns {role}=NAME); a file without a header needs "
                    "columns.names"
                )
        clocks = [role for role in _CLOCKS if role in positions]
        clocks.sort(key=lambda role: getattr(self, role) is None)  # declared before recognised
        roles = {role: positions[role] for role in ROLES if role in positions and role not in clocks[1:]}
        owners: dict[int, Role] = {}
        for role, position in roles.items():
            name = header[position]
            if header.count(name) > 1:
                raise DataError(f"{where}: {header.count(name)} columns have the name {name!r}; rename all but one")
            if role not in ITEM_ROLES and (other := owners.setdefault(position, role)) != role:
                raise DataError(f"{where}: column {name!r} is taken for {other} and {role}; say which is the {role}")
        return roles


def check_keys(kind: type, mapping: Mapping[str, Any], where: str) -> None:
    """Raise a DataError that names the nearest field if a key is not a field of the dataclass."""
    known = [field.name for field in fields(kind)]
    for key in mapping:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")


def clock_of(roles: Iterable[Role]) -> Clock:
    """Return the clock of a log with columns of these roles.

    >>> clock_of(["user", "item", "order"])
    'order'
    """
    return next((_CLOCKS[role] for role in roles if role in _CLOCKS), "none")


def recognised(header: Sequence[str]) -> dict[Role, int]:
    """Return the position of the column of each role with a common name; see `Columns.resolve`.

    >>> recognised(["itemId", "ts"])
    {'item': 0, 'time': 1}
    """
    names = [_fold(name) for name in header]
    matches = ((role, [alias for alias in ALIASES[role] if alias in names]) for role in ROLES)
    return {role: names.index(aliases[0]) for role, aliases in matches if aliases}


def _declared(name: str, role: str, header: Sequence[str], where: str) -> int:
    if name in header:
        return header.index(name)
    folded = [_fold(entry) for entry in header]
    if folded.count(_fold(name)) == 1:
        return folded.index(_fold(name))
    names = ", ".join(map(repr, header))
    raise DataError(f"{where}: no column {name!r} (columns.{role}){nearest(name, header)}; the file has {names}")


def _fold(name: str) -> str:
    # A type after a colon ("user_id:token") is how one family of benchmark files marks its columns.
    return re.sub(r"[^a-z0-9]", "", name.strip().lower().split(":")[0])
