"""The items of the service, as requests and answers name them: those of the model, under what the store says of them.

A change in the store is seen by every process before its next answer, as an event is. What is stored of an item that
the model knows takes the place of what the model was trained with: title, year and genres in answers and filters, and
whether it may be listed. Items that the model was not trained on are recommended by one that takes new items
(`recsys.serving.items.new_items`); else they are found, looked up and listed by popularity and date.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, final

import numpy as np

from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.data.titles import year_of
from recsys.errors import nearest
from recsys.events.checks import shown
from recsys.events.items.records import StoredItem
from recsys.events.store import EventStore
from recsys.explanations import Explanation
from recsys.models.base import FittedOn
from recsys.serving.answers import UnknownError
from recsys.serving.filters import Filters
from recsys.serving.items.new_items import dated, tags_of
from recsys.serving.items.stock import Stock
from recsys.serving.items.title_search import TitleSearch
from recsys.serving.records import CatalogueItem
from recsys.types import Floats, Items, Mask

_NAMED = 30
"""The most genres that an error names."""


@final
class Catalogue:
    """The items of a service. Lookups and searches may come from several threads.

    Attributes:
        stock: which items of the model may not be listed.
    """

    def __init__(self, fitted: FittedOn) -> None:
        self.stock = Stock()
        self._lock = threading.Lock()
        self._known = _Known.of(fitted)
        self._said: dict[str, StoredItem] = {}
        self._sequence = 0
        self._view = _View(self._known, self._known.described, {}, {}, {})

    @property
    def ids(self) -> list[str]:
        """ "items" of the model, external ids as text."""
        return self._view.known.ids

    @property
    def numbers(self) -> Mapping[str, int]:
        """The model's number of each item, by the text of its id."""
        return self._view.known.numbers

    @property
    def said(self) -> Mapping[str, StoredItem]:
        """What the store says of items, those that were deleted included."""
        return self._said

    @property
    def metadata(self) -> ItemMetadata:
        """Of the items of the model, as they are described now; a title ends in the year."""
        view = self._view
        found = view.known.fitted.metadata
        if not view.other:
            return found
        titles, genres = list(found.titles), list(found.genres)
        for number in view.other:
            titles[number] = dated(view.described.titles[number], view.described.years[number])
            genres[number] = view.described.genres[number]
        return replace(found, titles=tuple(titles), genres=tuple(genres))

    @property
    def titles(self) -> Sequence[str]:
        """ "items" of the model."""
        return self._view.described.titles

    @property
    def years(self) -> Sequence[int | None]:
        """ "items" of the model; None: not known."""
        return self._view.described.years

    @property
    def genres(self) -> Sequence[tuple[str, ...]]:
        """ "items" of the model."""
        return self._view.described.genres

    @property
    def genre_names(self) -> tuple[str, ...]:
        """All genres, sorted."""
        return self._view.genre_names

    def catch_up(self, store: EventStore) -> bool:
        """Read what has changed in a store since the last time; return whether an item is described otherwise."""
        with self._lock:
            last, changed = store.items_since(self._sequence)
            if not changed:
                return False
            said = {**self._said, **{item.item_id: item for item in changed}}
            same = all(map(self._only_stock, changed))
            view = self._view.with_said(said) if same else self._viewed(said)
            self._said, self._sequence, self._view = said, last, view
            self._note_stock()
            return not same

    def adopt(self, fitted: FittedOn) -> None:
        """Let the items be those of the model after it took others, or fewer."""
        with self._lock:
            self._known = _Known.of(fitted)
            self._view = self._viewed(self._said)
            self._note_stock()

    def _note_stock(self) -> None:
        numbers = self.numbers
        gone = [numbers[item] for item, one in self._said.items() if not one.available and item in numbers]
        self.stock.set(np.asarray(sorted(gone), np.int32))

    def _only_stock(self, item: StoredItem) -> bool:
        """Return whether a change of an item leaves its description and its place in the catalogue as they are."""
        before = self._said.get(item.item_id) or StoredItem(item.item_id, deleted=item.item_id not in self.numbers)
        names = ("title", "year", "genres", "deleted")
        return all(getattr(before, name) == getattr(item, name) for name in names) and tags_of(before) == tags_of(item)

    def _viewed(self, said: Mapping[str, StoredItem]) -> _View:
        """Return the items under what is said of them."""
        model, numbers = self._known.described, self._known.numbers
        titles, years, genres = list(model.titles), list(model.years), list(model.genres)
        others: dict[str, tuple[str, int | None, tuple[str, ...]]] = {}
        for item_id, one in said.items():
            number = numbers.get(item_id)
            if one.deleted:
                continue
            if number is None:
                title = one.title or item_id
                others[item_id] = title, _year(one, title, None), one.genres or ()
                continue
            title = one.title or titles[number]
            titles[number], years[number] = title, _year(one, title, years[number])
            genres[number] = genres[number] if one.genres is None else one.genres
        described = _Described(tuple(titles), tuple(years), tuple(genres))
        other = {
            number
            for number in (numbers[item] for item in said if item in numbers)
            if (titles[number], years[number], genres[number])
            != (model.titles[number], model.years[number], model.genres[number])
        }
        return _View(self._known, described, said, others, dict.fromkeys(other))

    @property
    def size(self) -> int:
        """How many items there are, those that the model does not know included."""
        return len(self._view.every_id)

    def item(self, item_id: str) -> CatalogueItem | None:
        """Return what is known of an item; None: it is in no catalogue, or was deleted."""
        return self._view.item(item_id)

    def title_of(self, item_id: str) -> str | None:
        """Return the title of an item; None: it is not known."""
        found = self._view.item(item_id)
        return None if found is None else found.title

    def search(self, query: str, filters: Filters) -> Iterator[CatalogueItem]:
        """Yield the items whose title matches and that pass some filters, the best matches first.

        Raises:
            UnknownError: no item has a genre of this name.
        """
        view = self._view
        passes = view.passing(filters)
        size, done = 64, 0
        while True:
            found = view.search.search(query, size)
            for place in found[done:]:
                item = view.item(view.searched[place])
                if item is not None and passes(item):
                    yield item
            if len(found) < size:
                return
            size, done = 8 * size, len(found)

    def every(self, after: str | None, filters: Filters) -> Iterator[CatalogueItem]:
        """Yield the items that pass some filters, by the text of their id, those after one."""
        view = self._view
        passes = view.passing(filters)
        for item_id in view.every_id[0 if after is None else bisect_right(view.every_id, after) :]:
            item = view.item(item_id)
            if item is not None and passes(item):
                yield item

    def newest(self) -> list[tuple[int, str]]:
        """Return when each item came into the catalogue, where that is known, and its id, the newest first."""
        return self._view.newest

    def listable(self, filters: Filters) -> Callable[[str], CatalogueItem | None]:
        """Return what gives an item by its id, if it is available and passes some filters, else None.

        Raises:
            UnknownError: no item has a genre of this name.
        """
        view = self._view
        passes = view.passing(filters)

        def found(item_id: str) -> CatalogueItem | None:
            item = view.item(item_id)
            return item if item is not None and item.available and passes(item) else None

        return found

    def outside(self, filters: Filters) -> Items:
        """Return the numbers of the items that some filters leave out, ascending; a persona leaves none out here.

        Raises:
            UnknownError: no item has a genre of this name.
        """
        return self._view.outside(filters)

    def described(self, items: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
        """Return explained items as the store describes them. Sentences keep the words of the model."""
        view = self._view
        if not view.other:
            return items
        found = view.described
        return tuple(
            one
            if (number := view.known.numbers[str(one.item_id)]) not in view.other
            else replace(one, title=found.titles[number], year=found.years[number], genres=found.genres[number])
            for one in items
        )


@final
@dataclass(frozen=True)
class _Described:
    """Titles, years and genres of the items of the model."""

    titles: tuple[str, ...]
    years: tuple[int | None, ...]
    genres: tuple[tuple[str, ...], ...]


@final
@dataclass(frozen=True, eq=False)
class _Known:
    """The items of the model, as it has them.

    Attributes:
        fitted: of the model.
        ids: "items", external ids as text.
        numbers: the place of each.
        described: titles, years and genres.
    """

    fitted: FittedOn
    ids: list[str]
    numbers: Mapping[str, int]
    described: _Described

    @classmethod
    def of(cls, fitted: FittedOn) -> Self:
        ids = [str(item) for item in fitted.items.ids.tolist()]
        titles = tuple(fitted.metadata.titles)
        genres = tuple(tuple(name for name in row if name not in NO_GENRE) for row in fitted.metadata.genres)
        described = _Described(titles, tuple(year_of(title) for title in titles), genres)
        return cls(fitted, ids, {item: number for number, item in enumerate(ids)}, described)


@final
class _View:
    """The catalogue as it is between two changes; what is costly is made when it is first needed.

    Args:
        known: the items of the model.
        described: the items of the model as they are described now.
        said: what is stored, by item.
        others: title, year and genres of the items that the model does not know, by id.
        other: numbers of the items that are described otherwise than the model has them.
    """

    def __init__(
        self,
        known: _Known,
        described: _Described,
        said: Mapping[str, StoredItem],
        others: Mapping[str, tuple[str, int | None, tuple[str, ...]]],
        other: Mapping[int, None],
    ) -> None:
        self.known = known
        self.described = described
        self.others = others
        self.other = other
        self._said = said

    def with_said(self, said: Mapping[str, StoredItem]) -> _View:
        """Return the same items with other stock or facts."""
        view = _View(self.known, self.described, said, self.others, self.other)
        for name in ("search", "searched", "every_id", "genre_names", "_matrix", "_year_of_each"):
            if name in vars(self):
                vars(view)[name] = vars(self)[name]
        return view

    def item(self, item_id: str) -> CatalogueItem | None:
        """Return what is known of an item."""
        one, number = self._said.get(item_id), self.known.numbers.get(item_id)
        if (one is None and number is None) or (one is not None and one.deleted):
            return None
        title, year, genres = (
            self.others[item_id]
            if number is None
            else (self.described.titles[number], self.described.years[number], self.described.genres[number])
        )
        if one is None:
            return CatalogueItem(item_id, title, year, genres)
        facts = dict(one.metadata or {})
        return CatalogueItem(
            item_id, title, year, genres, one.available, number is not None, facts, one.added_at, one.changed_at
        )

    @cached_property
    def searched(self) -> list[str]:
        """The ids of the items in the order of `search`'s numbers."""
        return [*self.known.ids, *self.others]

    @cached_property
    def search(self) -> TitleSearch:
        """Search of all titles; the items of the model come first, in its order."""
        titles = (*self.described.titles, *(title for title, _, _ in self.others.values()))
        order = np.r_[self.known.fitted.tie_order.numpy(), np.arange(len(self.known.ids), len(titles))]
        return TitleSearch(titles, order)

    @cached_property
    def every_id(self) -> list[str]:
        """The ids of all items that are not deleted, sorted."""
        said = self._said
        return sorted(item for item in self.searched if item not in said or not said[item].deleted)

    @cached_property
    def newest(self) -> list[tuple[int, str]]:
        """See `Catalogue.newest`."""
        known = [(one.added_at, item) for item, one in self._said.items() if one.added_at is not None]
        return sorted(((time, item) for time, item in known if self.item(item) is not None), reverse=True)

    @cached_property
    def genre_names(self) -> tuple[str, ...]:
        """See `Catalogue.genre_names`."""
        rows = (*self.described.genres, *(genres for _, _, genres in self.others.values()))
        return tuple(sorted({name for row in rows for name in row}))

    @cached_property
    def _matrix(self) -> tuple[dict[str, int], Mask]:
        """The column of each genre by its name without capitals, and "items genres": whether an item has it."""
        columns = {name.casefold(): column for column, name in enumerate(self.genre_names)}
        has = np.zeros((len(self.described.genres), len(self.genre_names)), np.bool_)
        rows = [row for row, names in enumerate(self.described.genres) for _ in names]
        has[rows, [columns[name.casefold()] for names in self.described.genres for name in names]] = True
        return columns, has

    @cached_property
    def _year_of_each(self) -> Floats:
        return np.asarray([np.nan if year is None else year for year in self.described.years], np.float32)

    def outside(self, filters: Filters) -> Items:
        """See `Catalogue.outside`."""
        outside = np.zeros(len(self.known.ids), np.bool_)
        if filters.genres:
            columns, has = self._matrix
            outside |= ~has[:, [columns[self._genre(name)] for name in filters.genres]].any(1)
        if filters.from_year is not None:
            outside |= ~(self._year_of_each >= filters.from_year)
        if filters.to_year is not None:
            outside |= ~(self._year_of_each <= filters.to_year)
        if filters.candidates is not None:
            numbers = self.known.numbers
            named = np.ones(len(outside), np.bool_)
            named[[numbers[item] for item in filters.candidates if item in numbers]] = False
            outside |= named
        return np.flatnonzero(outside).astype(np.int32)

    def passing(self, filters: Filters) -> _Passing:
        """Return what tells whether an item passes some filters."""
        return _Passing(filters, frozenset(self._genre(name) for name in filters.genres))

    def _genre(self, genre: str) -> str:
        """Return the name of a genre without capitals."""
        names = self.genre_names
        folded = genre.casefold()
        if not any(folded == name.casefold() for name in names):
            some = f"there are {', '.join(names[:_NAMED])}" if names else "no item has one"
            raise UnknownError(f"there is no genre {shown(genre)}{nearest(genre, names)}; {some}")
        return folded


@final
@dataclass(frozen=True)
class _Passing:
    """Tells whether an item passes filters; `genres` without capitals."""

    filters: Filters
    genres: frozenset[str]

    def __call__(self, item: CatalogueItem) -> bool:
        if self.genres and self.genres.isdisjoint(name.casefold() for name in item.genres):
            return False
        first, last = self.filters.from_year, self.filters.to_year
        if item.year is None:
            return first is None and last is None
        return (first is None or item.year >= first) and (last is None or item.year <= last)


def _year(one: StoredItem, title: str, of_model: int | None) -> int | None:
    """Return the year of an item: the one that is said, else that of its title, else the model's."""
    if one.year is not None:
        return one.year
    found = year_of(title)
    return of_model if found is None and one.title is None else found
