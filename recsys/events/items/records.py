"""Items of the catalogue as a store keeps them, and what a change makes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias, final

from recsys.errors import DataError, nearest
from recsys.events.checks import check_id, check_text, check_time, shown

Fact: TypeAlias = "str | int | float | bool | list[str | int | float | bool]"
"""A value of an item's metadata."""

LONGEST_TITLE: Final = 500
LONGEST_GENRE: Final = 80
MOST_GENRES: Final = 50
LARGEST_YEAR: Final = 9_999
LONGEST_FACT: Final = 1_000
LONGEST_METADATA: Final = 8_000
"""Characters of an item's metadata as JSON."""


@final
@dataclass(frozen=True, slots=True)
class StoredItem:
    """What the catalogue says of an item. What is None is as the model has it, where it knows the item.

    Attributes:
        item_id: external id.
        title: for people.
        year: of the item; None: the one at the end of the title.
        genres: its categories.
        metadata: other facts by name: texts, numbers, booleans, or lists of these.
        available: whether it may be listed.
        added_at: when it came into the catalogue, Unix seconds; None: it is not known.
        changed_at: when it was changed last, Unix seconds.
        deleted: whether it was taken out of the catalogue: it is neither listed nor found.

    Raises:
        DataError: naming field, value and cure.

    >>> StoredItem("42", "Alien (1979)", genres=("Horror",)).available
    True
    """

    item_id: str
    title: str | None = None
    year: int | None = None
    genres: tuple[str, ...] | None = None
    metadata: Mapping[str, Fact] | None = None
    available: bool = True
    added_at: int | None = None
    changed_at: int = 0
    deleted: bool = False

    def __post_init__(self) -> None:
        check_id("item_id", self.item_id)
        if self.title is not None:
            check_text("title", self.title, LONGEST_TITLE)
        if self.year is not None and not (type(self.year) is int and 0 <= self.year <= LARGEST_YEAR):
            raise DataError(f"year is {shown(self.year)}; it must be a whole number from 0 to {LARGEST_YEAR}")
        if self.genres is not None:
            if len(self.genres) > MOST_GENRES:
                raise DataError(f"genres has {len(self.genres)} names; give at most {MOST_GENRES}")
            for genre in self.genres:
                check_text("genres", genre, LONGEST_GENRE)
            object.__setattr__(self, "genres", tuple(dict.fromkeys(self.genres)))
        if self.metadata is not None:
            _check_metadata(self.metadata)
        if not isinstance(self.available, bool):
            raise DataError(f"available is {shown(self.available)}; it must be true or false")
        if self.added_at is not None:
            check_time("added_at", self.added_at)
            if self.added_at < 0:
                raise DataError(f"added_at is {self.added_at}, before 1970; give Unix seconds")


CHANGEABLE: Final = ("title", "year", "genres", "metadata", "available", "added_at")
"""The fields that a change may set."""


@final
@dataclass(frozen=True, slots=True)
class ItemsPut:
    """Numbers of items of a batch that are new in the catalogue, that were changed, and that were the same already."""

    added: int
    changed: int
    same: int


def distinct_items(items: Sequence[StoredItem]) -> dict[str, StoredItem]:
    """Return the items of a batch by id.

    Raises:
        DataError: two have one id.
    """
    by_id: dict[str, StoredItem] = {}
    for item in items:
        if item.item_id in by_id:
            raise DataError(f"item_id {shown(item.item_id)} is there twice; give each item once")
        by_id[item.item_id] = item
    return by_id


def put_over(stored: Mapping[str, StoredItem], batch: Iterable[StoredItem], now: int) -> tuple[list[StoredItem], int]:
    """Return the items of a batch that change something, as they are to be stored, and how many of these are new.

    An item keeps when it was added, unless the batch says another moment.
    """
    changed, added = [], 0
    for item in batch:
        former = stored.get(item.item_id)
        is_new = former is None or former.deleted
        since = now if former is None or former.deleted else former.added_at
        wanted = replace(
            item, added_at=since if item.added_at is None else item.added_at, changed_at=now, deleted=False
        )
        if former is not None and replace(wanted, changed_at=former.changed_at) == former:
            continue
        changed.append(wanted)
        added += is_new
    return changed, added


def patched(former: StoredItem | None, item_id: str, changes: Mapping[str, Any], now: int) -> StoredItem | None:
    """Return an item with some fields changed; None: nothing is another.

    Of `metadata` single names are changed, and None removes one.

    Args:
        former: as it is stored; None: nothing is stored of it.
        item_id: external id.
        changes: new values by `CHANGEABLE` field; None: as the model has it.
        now: Unix seconds.

    Raises:
        DataError: naming field, value and cure.
    """
    for name in changes:
        if name not in CHANGEABLE:
            raise DataError(f"an item has no field {shown(name)} that may be changed{nearest(name, CHANGEABLE)}")
    before = former if former is not None and not former.deleted else StoredItem(item_id)
    values = dict(changes)
    if values.get("metadata") is not None:
        for name in values["metadata"]:
            _check_name(name)
        merged = {**(before.metadata or {}), **values["metadata"]}
        values["metadata"] = {name: value for name, value in merged.items() if value is not None} or None
    after = replace(before, **values)
    return None if after == before and former is not None else replace(after, changed_at=now, deleted=False)


def item_row(sequence: int, item: StoredItem) -> tuple[object, ...]:
    """Return an item as the columns of its table, in the order of `ITEM_COLUMNS`."""
    genres = None if item.genres is None else json.dumps(item.genres, ensure_ascii=False)
    metadata = None if item.metadata is None else json.dumps(item.metadata, ensure_ascii=False)
    moments = item.added_at, item.changed_at
    flags = int(item.available), int(item.deleted)
    return item.item_id, sequence, item.title, item.year, genres, metadata, *flags, *moments


ITEM_COLUMNS: Final = "item_id, sequence, title, year, genres, metadata, available, deleted, added_at, changed_at"


def item_of(row: Sequence[Any]) -> tuple[int, StoredItem]:
    """Return the sequence number of an item's last change, and the item, of a row of its table."""
    item_id, sequence, title, year, genres, metadata, available, deleted, added_at, changed_at = row
    return sequence, StoredItem(
        item_id,
        title,
        year,
        None if genres is None else tuple(json.loads(genres)),
        None if metadata is None else json.loads(metadata),
        bool(available),
        added_at,
        changed_at,
        bool(deleted),
    )


def _check_name(name: str) -> None:
    check_text("a name in metadata", name, LONGEST_GENRE)
    if name in (field.name for field in fields(StoredItem)):
        raise DataError(f"metadata has {name!r}, which is a field of its own; give it beside metadata")


def _check_metadata(metadata: Mapping[str, Fact]) -> None:
    for name, value in metadata.items():
        _check_name(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and len(one) > LONGEST_FACT:
                raise DataError(f"metadata has {name!r}: {shown(one)}; shorten it to {LONGEST_FACT} characters")
            plain = isinstance(one, str | int | float)
            if not plain or (isinstance(one, float) and not math.isfinite(one)):
                raise DataError(
                    f"metadata has {name!r}: {shown(one)}; give a text, a finite number, true or false, or a list of "
                    "these"
                )
    try:
        text = json.dumps(metadata, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise DataError("metadata holds half of a surrogate pair; give whole characters") from None
    if len(text) > LONGEST_METADATA:
        raise DataError(f"metadata has {len(text)} characters as JSON; shorten it to {LONGEST_METADATA}")
    if "\\u0000" in json.dumps(metadata):
        raise DataError("metadata holds the character U+0000; remove it")
