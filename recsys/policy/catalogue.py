"""Which items a predicate selects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np

from recsys.data.items import ItemMetadata
from recsys.data.titles import year_of
from recsys.errors import ConfigError, nearest
from recsys.policy.reading import parse_date
from recsys.policy.schema import Predicate
from recsys.types import Doubles, Ints, Mask

_ALL_TIME = (-np.inf, np.inf)

_REMEMBERED = 1_000
"""Selections."""


@final
@dataclass(frozen=True, eq=False)
class Selection:
    """The items that a predicate selects.

    Attributes:
        members: "items": it holds for them.
        missing: "items": it may hold for them; too little is known of them to say.
    """

    members: Mask
    missing: Mask


@final
@dataclass(frozen=True, eq=False)
class PolicyCatalogue:
    """The items that policies are about, aligned with an item vocabulary.

    Attributes:
        ids: external ids, as texts.
        metadata: titles, genres, tags.
        columns: other facts by name, one text per item; None or an empty text where it is not known.
        former_genres: genres that rules may name though no item has them any more.
    """

    ids: tuple[str, ...]
    metadata: ItemMetadata
    columns: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    former_genres: frozenset[str] = frozenset()
    _selected: dict[tuple[Predicate, int], dict[str, Selection]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            if len(values) != len(self.ids):
                raise ConfigError(f"column {name!r} has {len(values)} values for {len(self.ids)} items")

    def __len__(self) -> int:
        return len(self.ids)

    def described(self, ids: Sequence[str], metadata: ItemMetadata) -> PolicyCatalogue:
        """Return the items as they are described now; of further ones the other facts are not known."""
        place = {item: row for row, item in enumerate(self.ids)}
        columns = {
            name: [None if (row := place.get(item)) is None else values[row] for item in ids]
            for name, values in self.columns.items()
        }
        return PolicyCatalogue(tuple(ids), metadata, columns, self.former_genres.union(self._genres))

    def select(self, predicate: Predicate, now: int, where: str) -> Selection:
        """Return the items that a predicate selects.

        Args:
            predicate: without `each`; see `parts`.
            now: Unix seconds, of windows.
            where: what messages call the rule.

        Raises:
            ConfigError: a genre, a tag, an item or a column is unknown; a window is not a window.
        """
        nothing = self._at()
        conditions: list[tuple[Mask, Mask]] = []  # whether it holds, whether that is not known
        if predicate.genres:
            untold = np.asarray([not each for each in self.metadata.genres], np.bool_)
            conditions.append((self._labelled("genre", predicate.genres, self._genres, where), untold))
        if predicate.tags:
            conditions.append((self._labelled("tag", predicate.tags, self._tags, where), nothing))
        if predicate.items:
            conditions.append((self._labelled("item", predicate.items, self._items, where), nothing))
        if predicate.before is not None:
            conditions.append((self._years < predicate.before, np.isnan(self._years)))
        if predicate.after is not None:
            conditions.append((self._years > predicate.after, np.isnan(self._years)))
        for name, values in predicate.columns:
            column = self._column(name, where)
            conditions.append((self._labelled(name, values, column, where), self._absent(column)))
        if predicate.window is not None:
            start, end, absent = self._windows(predicate.window, where)
            conditions.append(((start <= now) & (now < end), absent))
        members, possible = ~nothing, ~nothing
        for holds, unknown in conditions:
            members &= holds & ~unknown
            possible &= holds | unknown
        return Selection(members, possible & ~members)

    def moments(self, predicate: Predicate, where: str) -> list[int]:
        """Return the moments at which a predicate begins or ceases to select an item, as Unix seconds."""
        if predicate.window is None:
            return []
        start, end, _ = self._windows(predicate.window, where)
        every = np.unique(np.r_[start, end])
        return [int(moment) for moment in every[np.isfinite(every)].tolist()]

    def parts(self, predicate: Predicate, now: int, where: str) -> dict[str, Selection]:
        """Return the items of a predicate, apart by the values that `each` names; one part "" without it.

        What is selected is remembered: a service asks for the same again and again.
        """
        key = predicate, 0 if predicate.window is None else now
        if key not in self._selected:
            if len(self._selected) >= _REMEMBERED:
                self._selected.pop(next(iter(self._selected)))
            self._selected[key] = self._parts(predicate, now, where)
        return self._selected[key]

    def _parts(self, predicate: Predicate, now: int, where: str) -> dict[str, Selection]:
        if predicate.each is None:
            return {"": self.select(predicate, now, where)}
        if predicate.each in ("genre", "genres"):
            column, missing = self._genres, self._at()
        else:
            column = self._column(predicate.each, where)
            missing = self._absent(column)
        return {
            value: Selection(self._at(rows), missing) for value, rows in sorted(column.items()) if value and len(rows)
        }

    @cached_property
    def _genres(self) -> dict[str, Ints]:
        return dict.fromkeys(self.former_genres, np.zeros(0, np.int64)) | _by_value(self.metadata.genres)

    @cached_property
    def _tags(self) -> dict[str, Ints]:
        return _by_value(self.metadata.tags)

    @cached_property
    def _items(self) -> dict[str, Ints]:
        return {name: np.asarray([row]) for row, name in enumerate(self.ids)}

    @cached_property
    def _years(self) -> Doubles:
        years = (year_of(title) for title in self.metadata.titles)
        return np.asarray([np.nan if year is None else year for year in years], np.float64)

    @cached_property
    def _columns(self) -> dict[str, dict[str, Ints]]:
        return {name: _by_value([(value or "",) for value in values]) for name, values in self.columns.items()}

    def _column(self, name: str, where: str) -> dict[str, Ints]:
        if name not in self._columns:
            known = ["genre", "tag", "item", "before", "after", "window", *self.columns]
            raise ConfigError(f"{where}: items have no {name!r}{nearest(name, known)}; they have {', '.join(known)}")
        return self._columns[name]

    def _labelled(self, kind: str, values: Sequence[str], known: Mapping[str, Ints], where: str) -> Mask:
        for value in values:
            if value not in known or not value:
                raise ConfigError(f"{where}: no item has {kind} {value!r}{nearest(value, filter(None, known))}")
        return self._at(*(known[value] for value in values))

    def _at(self, *rows: Ints) -> Mask:
        mask = np.zeros(len(self), np.bool_)
        mask[np.concatenate([np.zeros(0, np.int64), *rows])] = True
        return mask

    def _absent(self, column: Mapping[str, Ints]) -> Mask:
        return self._at(*([column[""]] if "" in column else []))

    def _windows(self, name: str, where: str) -> tuple[Doubles, Doubles, Mask]:
        """Return the first moment, the moment after the last, and where there is no window."""
        column = self._column(name, where)
        start, end = np.full(len(self), -np.inf), np.full(len(self), np.inf)
        for text, members in column.items():
            if not text:
                continue
            ends = text.split("/")
            moments = [parse_date(each) if each else limit for each, limit in zip(ends, _ALL_TIME, strict=False)]
            if len(ends) != 2 or None in moments:
                raise ConfigError(f"{where}: {name} is {text!r}; a window is FROM/UNTIL, such as 2026-01-01/2026-07-01")
            start[members], end[members] = moments
        return start, end, self._absent(column)


def _by_value(rows: Sequence[Sequence[str]]) -> dict[str, Ints]:
    places: dict[str, list[int]] = {}
    for row, values in enumerate(rows):
        for value in values:
            places.setdefault(value, []).append(row)
    return {value: np.asarray(found, np.int64) for value, found in places.items()}
