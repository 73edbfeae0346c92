"""Collects the checked rows of a log and numbers their users and items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.items import ItemMetadata
from recsys.data.kinds import CODES
from recsys.data.readers.coded import Coded
from recsys.data.readers.columns import Clock, Columns, Role, clock_of
from recsys.data.readers.repeats import Repeats, find_repeats
from recsys.data.readers.validation import Checked
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from recsys.types import Floats, Ints, Items, Kinds, Mask

INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
"""How an integer id is written."""
_NO_GENRE = {"", "(no genres listed)", "unknown"}
_DUPLICATE = (
    "repeats an earlier event exactly (user, item, rating and time); delete it, or declare columns duplicates=drop"
)
_RE_RATING = "rates an item that the user has rated before; delete one of them, or declare columns re_ratings=last"


@final
class NumberedRows(NamedTuple):
    """The columns of a log, in the order of its rows: the arguments of `Interactions.sorted`."""

    user_num: Items
    item_num: Items
    value: Floats
    time: Ints
    users: Vocabulary
    items: Vocabulary
    metadata: ItemMetadata
    clock: Clock
    kinds: Kinds | None = None
    superseded: Mask | None = None
    conditions: Items | None = None
    condition_names: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        """Number of rows that no later one supersedes."""
        return len(self.user_num) - (0 if self.superseded is None else int(self.superseded.sum()))


@final
class Rows:
    """The rows of the chunks read so far. Errors name the file and the number of the line or row, `unit`."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._where: list[str] = []
        self._coded: dict[Role, list[pa.Array]] = {}
        self._value: list[Floats] = []
        self._time: list[Ints] = []
        self._kinds: list[Kinds] = []
        self._lines: list[range | Ints] = []

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    def add(self, checked: Checked) -> None:
        """Append the good rows of a chunk."""
        columns: dict[Role, Coded] = {"user": checked.user, "item": checked.item, **checked.attributes}
        for role, column in columns.items():
            codes = pa.array(column.codes, mask=column.codes < 0)
            self._coded.setdefault(role, []).append(pa.DictionaryArray.from_arrays(codes, column.texts))
        self._value.append(checked.value)
        self._time.append(checked.time)
        if checked.kinds is not None:
            self._kinds.append(checked.kinds)
        self._lines.append(checked.lines)
        self._where.append(checked.where)

    def numbered(self, columns: Columns, roles: Iterable[Role]) -> tuple[NumberedRows, int, int]:
        """Number users and items, and apply the policies of `columns` for repeats; the collected rows are used up.

        Returns the rows, and the numbers of exact duplicates and of re-ratings that were dropped. With
        `re_ratings="last"` the earlier ones are among the rows, marked as superseded.

        Raises:
            DataError: there is a repeat whose policy is "error".
        """
        users, user_num = _numbered(self._coded.pop("user"))
        items, item_num = _numbered(self._coded.pop("item"))
        value, time = np.concatenate(self._value), np.concatenate(self._time)
        if np.isnan(value).all():  # no rating at all, as in a log without a column for it
            value = np.ones_like(value)
        self._value.clear()
        self._time.clear()
        kinds = _telling(self._kinds)
        conditions, names = _named(self._coded.pop("condition", []))
        metadata = self._metadata(items, item_num)
        repeats = find_repeats(user_num, item_num, value, time, kinds)
        self._refuse(repeats, columns)
        drop, superseded = repeats.resolved(columns.duplicates, columns.re_ratings)
        duplicates = int(repeats.dropped(columns.duplicates, "keep").sum())
        marks: Mask | None = np.zeros(len(user_num), np.bool_) if superseded.any() else None
        if marks is not None:
            marks[repeats.pairs[superseded]] = True
        if drop.any():
            keep = np.ones(len(user_num), np.bool_)
            keep[repeats.pairs[drop]] = False
            user_num, item_num, value, time = user_num[keep], item_num[keep], value[keep], time[keep]
            kinds = None if kinds is None else kinds[keep]
            conditions = None if conditions is None else conditions[keep]
            marks = None if marks is None else marks[keep]
        described = users, items, metadata, clock_of(roles), kinds, marks, conditions, names
        rows = NumberedRows(user_num, item_num, value, time, *described)
        return rows, duplicates, int((drop | superseded).sum()) - duplicates

    def _metadata(self, items: Vocabulary, item_num: Items) -> ItemMetadata:
        texts = {role: _texts_of_items(item_num, parts, len(items)) for role, parts in self._coded.items()}
        untitled = ItemMetadata.untitled(items)
        titles, genres = list(untitled.titles), list(untitled.genres)
        for item, categories in enumerate(texts.get("category", ())):
            genres[item] = tuple(f"category {text}" for text in categories)
        for item, candidates in enumerate(texts.get("genres", ())):
            genres[item] = genres_in(candidates[0]) if candidates else genres[item]
        for item, candidates in enumerate(texts.get("title", ())):
            titles[item] = candidates[0] if candidates else titles[item]
        return ItemMetadata(tuple(titles), tuple(genres))

    def _refuse(self, repeats: Repeats, columns: Columns) -> None:
        for policy, wrong, fault in (
            (columns.duplicates, repeats.duplicate, _DUPLICATE),
            (columns.re_ratings, repeats.later, _RE_RATING),
        ):
            if policy == "error" and wrong.any():
                row = int(repeats.pairs[wrong][0])
                part = int(np.searchsorted(np.cumsum([len(lines) for lines in self._lines]), row, side="right"))
                line = np.concatenate(self._lines)[row]
                raise DataError(f"{self._where[part]}, {self._unit} {line}: this row {fault}")


def _telling(parts: list[Kinds]) -> Kinds | None:
    """Return the kinds of all rows; None where they are ratings and uses, which the values tell."""
    kinds = np.concatenate(parts) if parts else None
    parts.clear()
    return None if kinds is None or np.isin(kinds, [CODES["use"], CODES["rating"]]).all() else kinds


def _named(parts: list[pa.Array]) -> tuple[Items | None, tuple[str, ...]]:
    """Return "rows", the number of each row's text among those that occur, -1 of a blank; and these, sorted."""
    if not parts:
        return None, ()
    codes, texts = _joined(parts)
    trimmed = [text.strip() for text in texts.to_pylist()]
    occurs = {trimmed[code] for code in np.unique(codes[codes >= 0]).tolist()} - {""}
    if not occurs:
        return None, ()
    names = tuple(sorted(occurs))
    number = {name: place for place, name in enumerate(names)}
    # The entry after the last belongs to code -1: rows that have no such field.
    return np.array([*(number.get(text, -1) for text in trimmed), -1], np.int32)[codes], names


def genre_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of genres, trimmed, without those that mean "none"."""
    return tuple(name.strip() for name in names if name.strip() not in _NO_GENRE)


def genres_in(text: str) -> tuple[str, ...]:
    """Return the genres that a text lists, separated by "|", or else by commas.

    >>> genres_in("Drama|War"), genres_in("Action, Sci-Fi")
    (('Drama', 'War'), ('Action', 'Sci-Fi'))
    """
    return genre_names(text.split("|" if "|" in text else ","))


def _joined(parts: list[pa.Array]) -> tuple[Items, pa.Array]:
    """Return the codes of all chunks under one dictionary (-1: absent), and the dictionary; empties `parts`."""
    unified = pa.chunked_array(parts).unify_dictionaries()
    parts.clear()
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in unified.chunks]
    # Arrow widens codes only beyond 2**31 distinct texts, which int32 numbers could not hold either.
    return np.concatenate(codes).astype(np.int32, copy=False), unified.chunk(unified.num_chunks - 1).dictionary


def _numbered(parts: list[pa.Array]) -> tuple[Vocabulary, Items]:
    """Return the sorted vocabulary of the ids that occur, and the numbers of the column.

    Ids are integers only if every one is written as an integer is: "0054890" would not survive as a number.
    """
    codes, texts = _joined(parts)
    occurs = np.bincount(codes, minlength=len(texts)) > 0
    texts = texts.filter(pa.array(occurs))
    if pc.all(pc.match_substring_regex(texts, INTEGER)).as_py():
        texts = texts.cast(pa.int64())
    order = pc.sort_indices(texts)
    number_of_used = np.empty(len(texts), np.int32)
    number_of_used[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    number = np.full(len(occurs), -1, np.int32)
    number[occurs] = number_of_used
    return Vocabulary(texts.take(order).to_numpy(zero_copy_only=False)), number[codes]


def _texts_of_items(item_num: Items, parts: list[pa.Array], n_items: int) -> list[list[str]]:
    """Return the distinct texts of each item, blanks left out, the most frequent first."""
    codes, texts = _joined(parts)
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False)
    # The entry after the last belongs to code -1: rows that have no such field.
    present = ~np.append(blank, np.bool_(True))[codes]
    pairs, counts = np.unique(item_num[present].astype(np.int64) * len(texts) + codes[present], return_counts=True)
    order = np.lexsort((-counts, pairs // len(texts)))
    names: list[str] = texts.to_pylist()
    rows: list[list[str]] = [[] for _ in range(n_items)]
    for pair in pairs[order].tolist():
        rows[pair // len(texts)].append(names[pair % len(texts)])
    return rows
