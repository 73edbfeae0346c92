"""The items of a model as requests and answers name them: by id, with title, year and genres."""

from __future__ import annotations

from typing import final

import numpy as np

from recsys.data.items import NO_GENRE
from recsys.data.titles import year_of
from recsys.errors import nearest
from recsys.events.checks import shown
from recsys.models.base import FittedOn
from recsys.serving.answers import UnknownError
from recsys.serving.filters import Filters
from recsys.serving.records import TitleMatch
from recsys.serving.title_search import TitleSearch
from recsys.types import Items

_NAMED = 30
"""The most genres that an error names."""


@final
class Catalogue:
    """The items that a model ranks.

    Attributes:
        ids: "items", external ids as text.
        numbers: the model's number of each item, by the text of its id.
        titles: "items".
        years: "items", the year at the end of the title; None without one.
        genres: "items".
        genre_names: all genres, sorted.
    """

    def __init__(self, fitted: FittedOn) -> None:
        self.ids: list[str] = [str(item) for item in fitted.items.ids.tolist()]
        self.numbers = {item: number for number, item in enumerate(self.ids)}
        self.titles = fitted.metadata.titles
        self.years = [year_of(title) for title in self.titles]
        self.genres = [tuple(name for name in row if name not in NO_GENRE) for row in fitted.metadata.genres]
        names, self._has = fitted.metadata.genre_matrix
        self.genre_names = tuple(name for name in names if name not in NO_GENRE)
        self._columns = {name.casefold(): column for column, name in enumerate(names) if name not in NO_GENRE}
        self._years = np.asarray([-1 if year is None else year for year in self.years], np.int64)
        self._search = TitleSearch(self.titles, fitted.tie_order.numpy())

    def title_of(self, item_id: str) -> str | None:
        """Return the title of an item; None: the model does not know it."""
        number = self.numbers.get(item_id)
        return None if number is None else self.titles[number]

    def search(self, query: str, n: int) -> tuple[TitleMatch, ...]:
        """Return at most n items by title."""
        return tuple(
            TitleMatch(self.ids[item], self.titles[item], self.years[item], self.genres[item])
            for item in self._search.search(query, n)
        )

    def outside(self, filters: Filters) -> Items:
        """Return the numbers of the items that some filters leave out, ascending; a persona leaves none out here.

        Raises:
            UnknownError: no item has a genre of this name.
        """
        outside = np.zeros(len(self.ids), np.bool_)
        if filters.genres:
            columns = [self._column(name) for name in filters.genres]
            outside |= ~self._has[:, columns].any(1)
        if filters.from_year is not None:
            outside |= self._years < filters.from_year
        if filters.to_year is not None:
            outside |= self._years > filters.to_year
        if filters.from_year is not None or filters.to_year is not None:
            outside |= self._years < 0
        return np.flatnonzero(outside).astype(np.int32)

    def _column(self, genre: str) -> int:
        column = self._columns.get(genre.casefold())
        if column is None:
            some = f"there are {', '.join(self.genre_names[:_NAMED])}" if self.genre_names else "no item has one"
            raise UnknownError(f"there is no genre {shown(genre)}{nearest(genre, self.genre_names)}; {some}")
        return column
