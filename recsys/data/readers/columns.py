"""Declares the columns of a log: which one holds what, and how its values are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast, final, get_args, get_type_hints

from recsys.data.kinds import KINDS, Kind
from recsys.errors import DataError, nearest

Clock = Literal["seconds", "order", "period", "none"]
"""The meaning of times: Unix seconds (UTC); positions in the user's history; coarse period numbers; or nothing."""

Label = str | int
"""The name of a column; an integer is the label of a DataFrame's column."""

Role = Literal["user", "item", "value", "time", "order", "period", "kind", "condition", "category", "title", "genres"]
"""What a column can mean."""

TimeUnit = Literal["auto", "seconds", "milliseconds", "microseconds", "nanoseconds", "iso"]

MILLISECONDS_FROM = 1e11
"""From here on a number is milliseconds: as seconds it would be after the year 5000, as milliseconds it is 1973.

Likewise it is microseconds from a thousand times this number on, and nanoseconds from a million times.
"""

_ENCODINGS = (
    "utf-8",
    "latin-1",
    "iso-8859-15",
    "cp1252",
    "cp1251",
    "cp1250",
    "koi8-r",
    "gbk",
    "shift_jis",
    "euc_jp",
    "big5",
)

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
    "value": (
        *("rating", "bookrating", "movierating", "starrating", "userrating", "overallrating", "reviewrating"),
        *("ratingvalue", "ratingscore", "value", "score", "reviewscore", "stars", "overall", "reviewoverall"),
    ),
    "time": ("timestamp", "time", "ts", "date", "datetime", "unixreviewtime"),
    "order": ("order",),
    "period": ("period",),
    # Taken only where at least half of its first entries are words for kinds: many logs call the item's category so.
    "kind": (
        *("kind", "event", "eventtype", "eventname", "action", "actiontype", "behavior", "behaviour", "behaviortype"),
        *("behaviourtype", "interactiontype", "interaction", "feedback", "feedbacktype"),
    ),
    # Recognised in the export of an event store alone: elsewhere it is often that of a used item.
    "condition": (),
    "category": (),
    # Not recognised in files, where "title" is often the title of a review.
    "title": (),
    "genres": (),
}
OF_ITEMS: dict[Role, tuple[str, ...]] = {
    "item": (*ALIASES["item"], "id"),
    "title": (
        *("title", "name", "itemtitle", "itemname", "movietitle", "booktitle", "producttitle", "productname"),
        *("trackname", "songtitle", "artistname"),
    ),
    "genres": ("genres", "genre", "categories", "category"),
}
"""The common names of columns in a file that describes items."""

ITEM_ROLES: tuple[Role, ...] = ("category", "title", "genres")
"""The columns that describe the item, not the event."""

TEXT_ROLES: tuple[Role, ...] = (*ITEM_ROLES, "condition")
"""The columns that are kept as texts."""

_SYNONYMS: dict[str, Role] = {"rating": "value", "timestamp": "time", "feedback": "kind"}
"""Other words for roles, where a column is declared."""

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
        kind: name of the column that says what was done, in the words of `recsys.data.spellings`; ratings may then be
            blank beside other kinds. None: recognised (kind, event, action, ...) where at least half of its first
            entries are such words.
        condition: name of a column that says under which circumstances the event came about, such as the device or the
            version of a page; None: recognised in the export of an event store.
        category: name of a column with the item's category, which becomes the item's genre "category X".
        title: name of a column with the item's title; of several the most frequent is taken.
        genres: name of a column with the item's genres, separated by "|"; of several the most frequent is taken.
        kinds: the file's own words for kinds, such as (("share", "like"),).
        names: names of all columns of a file without a header; its first line is then data.
        separator: between fields; None: detected from the name of the file and its first line.
        quotes: quotation marks "protect" separators, or are characters like others that texts "keep".
        encoding: of a text file, one that extends ASCII.
        decimal: the decimal point of ratings and times.
        time_unit: "auto" detects seconds, milli-, micro- and nanoseconds (from 1e11, 1e14 and 1e17 on) or ISO-8601; the
            others require one.
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
    kind: str | None = None
    condition: str | None = None
    category: str | None = None
    title: str | None = None
    genres: str | None = None
    kinds: tuple[tuple[str, Kind], ...] | None = None
    names: tuple[str, ...] | None = None
    separator: str | None = None
    quotes: Literal["protect", "keep"] = "protect"
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    time_unit: TimeUnit = "auto"
    value_range: tuple[float, float] | None = None
    blank_values: Literal["error", "keep"] = "error"
    duplicates: Duplicates = "drop"
    re_ratings: ReRatings = "last"
    reader: str | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("quotes", "decimal", "time_unit", "blank_values", "duplicates", "re_ratings"):
            allowed, value = get_args(hints[name]), getattr(self, name)
            if value not in allowed:
                hint = nearest(str(value), allowed)
                raise DataError(f"columns {name}={value} is unknown; it must be one of {', '.join(allowed)}{hint}")
        for word, kind in self.kinds or ():
            if kind not in KINDS:
                raise DataError(
                    f"columns kinds={word}:{kind} is unknown; it must be one of {', '.join(KINDS)}"
                    f"{nearest(str(kind), KINDS)}"
                )
        if self.reader is not None and "." in self.reader:
            # Columns are saved with a run, and opening a run imports nothing that is not installed for this purpose.
            raise DataError(f"columns reader={self.reader} is no name of an entry point of 'recsys.readers'; give one")
        if self.value_range is not None and not self.value_range[0] <= self.value_range[1]:
            low, high = self.value_range
            raise DataError(f"columns value_range={low:g},{high:g} is empty; give the smallest rating first")
        if self.separator is not None and (not self.separator or set(self.separator) & set('"\r\n')):
            raise DataError(
                f"columns separator={self.separator!r} cannot separate fields; give a character such as ';'"
            )
        try:
            extends_ascii = "a,1".encode(self.encoding) == b"a,1"
        except (LookupError, ValueError, TypeError):
            hint = nearest(self.encoding, _ENCODINGS)
            raise DataError(
                f"columns encoding={self.encoding} is unknown{hint or '; give one such as utf-8 or latin-1'}"
            ) from None
        if not extends_ascii:
            raise DataError(f"columns encoding={self.encoding} does not extend ASCII; save the file as UTF-8")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Columns:
        """Build from a mapping, as in a dataset card or a configuration file.

        Raises:
            DataError: a key is unknown (the message names the nearest one) or a value is of the wrong type.

        >>> Columns.from_mapping({"item": "isbn", "value_range": [1, 10]}).value_range
        (1.0, 10.0)
        """
        values = _by_role(mapping)
        for key, value in values.items():
            check_keys(cls, {key: value}, f"columns {key}={value}", tuple(_SYNONYMS))
        if (names := values.get("names")) is not None:
            listed = names.split(",") if isinstance(names, str) else names
            values["names"] = tuple(str(name).strip() for name in listed)
        if (words := values.get("kinds")) is not None:
            values["kinds"] = _pairs(words)
        if (bounds := values.get("value_range")) is not None:
            try:
                low, high = (float(bound) for bound in (bounds.split(",") if isinstance(bounds, str) else bounds))
            except (TypeError, ValueError):
                raise DataError(
                    f"columns value_range={bounds} is no range; give two numbers, as in value_range=1,5"
                ) from None
            values["value_range"] = (low, high)
        for field in fields(cls):
            value = values.get(field.name)
            if value is not None and field.name not in ("names", "value_range", "kinds"):
                values[field.name] = str(value)
        return cls(**values)

    def naming(self, **names: Label | None) -> Columns:
        """Return the same declarations with other names of columns by role; None leaves a role as it is.

        Raises:
            DataError: two words for one role are given, such as value and rating.

        >>> Columns(item="isbn").naming(user="reader", item=None, rating="mark").value
        'mark'
        """
        given: dict[str, Any] = {word: str(name) for word, name in names.items() if name is not None}
        return replace(self, **_by_role(given))

    def resolve(
        self,
        header: Sequence[str],
        where: str,
        required: Sequence[Role] = ("user", "item"),
        names: Mapping[Role, tuple[str, ...]] = ALIASES,
    ) -> dict[Role, int]:
        """Return the position of the column of each role that the file has.

        Of time, order and period only one is returned: the first declared, else the first recognised.

        Raises:
            DataError: a declared column is missing, no column for a required role is recognised, one column is taken
                for two roles, or two columns have one name; at `where`.

        >>> Columns().resolve(["userId", "movieId", "rating", "timestamp"], "ratings.csv")
        {'user': 0, 'item': 1, 'value': 2, 'time': 3}
        """
        positions = recognised(header, names)
        for role in ROLES:
            declared: str | None = getattr(self, role)
            if declared is not None:
                positions[role] = _declared(declared, role, header, where)
        for role in required:
            if role not in positions:
                cure = f"say which it is with columns {role}=NAME"
                if where.endswith("line 1"):
                    cure += "; a file without a header needs all names, as in columns names=user,item,rating,timestamp"
                raise DataError(f"{where}: no column for the {role} among {', '.join(map(repr, header))}; {cure}")
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


def _by_role(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return declarations with the names of roles in place of other words for them."""
    values: dict[str, Any] = {}
    words: dict[str, str] = {}
    for key, value in mapping.items():
        role = _SYNONYMS.get(key, key)
        if (other := words.setdefault(role, key)) != key:
            raise DataError(f"columns {other}={mapping[other]} and {key}={value} say the same; give one of them")
        values[role] = value
    return values


def check_keys(kind: type, mapping: Mapping[str, Any], where: str, others: Sequence[str] = ()) -> None:
    """Raise a DataError that names the nearest field, or other word, if a key is not a field of the dataclass."""
    known = [field.name for field in fields(kind)]
    for key in mapping:
        if key not in known:
            hint = nearest(str(key), [*known, *others])
            raise DataError(f"{where}: unknown key {key!r}{hint}; known: {', '.join([*known, *others])}")


def clock_of(roles: Iterable[Role]) -> Clock:
    """Return the clock of a log with columns of these roles.

    >>> clock_of(["user", "item", "order"])
    'order'
    """
    return next((_CLOCKS[role] for role in roles if role in _CLOCKS), "none")


def recognised(header: Sequence[str], aliases: Mapping[Role, tuple[str, ...]] = ALIASES) -> dict[Role, int]:
    """Return the position of the column of each role with a common name; see `Columns.resolve`.

    >>> recognised(["itemId", "ts"])
    {'item': 0, 'time': 1}
    """
    names = [_fold(name) for name in header]
    matches = ((role, [alias for alias in known if alias in names]) for role, known in aliases.items())
    return {role: names.index(matched[0]) for role, matched in matches if matched}


def _pairs(words: Any) -> tuple[tuple[str, Kind], ...]:  # noqa: ANN401 - whatever a mapping holds
    """Return a file's own words for kinds, given as a mapping, as pairs or as "share:like,hide:dislike"."""
    try:
        listed: Any = words.items() if isinstance(words, Mapping) else words
        pairs = [pair.split(":") for pair in words.split(",")] if isinstance(words, str) else list(listed)
        return tuple((str(word).strip(), cast(Kind, str(kind).strip())) for word, kind in pairs)
    except (TypeError, ValueError):
        raise DataError(
            f"columns kinds={words} is no list of words and kinds; give such as kinds=share:like,hide:dislike"
        ) from None


def _declared(name: str, role: str, header: Sequence[str], where: str) -> int:
    if name in header:
        return header.index(name)
    folded = [_fold(entry) for entry in header]
    if folded.count(_fold(name)) == 1:
        return folded.index(_fold(name))
    names = ", ".join(map(repr, header))
    cure = nearest(name, header)
    word = "rating" if role == "value" else role
    raise DataError(f"{where}: no column {name!r}, as columns {word}={name} says{cure}; there are {names}")


def _fold(name: str) -> str:
    # A type after a colon ("user_id:token") is how one family of benchmark files marks its columns.
    return re.sub(r"[^a-z0-9]", "", name.strip().lower().split(":")[0])
