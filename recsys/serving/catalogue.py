"""The items of a model as requests and answers name them: by id, with title, year and genres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from recsys.data.items import NO_GENRE
from recsys.data.titles import year_of
from recsys.models.base import FittedOn
from recsys.serving.records import TitleMatch
from recsys.serving.title_search import TitleSearch
from recsys.types import Mask


@final
class Catalogue:
    """The items that a model ranks.

    Attributes:
        ids: "items", external ids as text.
        numbers: the model's number of each item, by the text of its id.
        titles: "items".
        years: "items", the year at the end of the title; None without one.
        genres: "items".
    """

    def __init__(self, fitted: FittedOn) -> None:
        self.ids: list[str] = [str(item) for item in fitted.items.ids.tolist()]
        self.numbers = {item: number for number, item in enumerate(self.ids)}
        self.titles = fitted.metadata.titles
        self.years = [year_of(title) for title in self.titles]
        self.genres = [tuple(name for name in row if name not in NO_GENRE) for row in fitted.metadata.genres]
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

    def outside(self, genres: Sequence[str], first: int | None, last: int | None) -> Mask:
        """Return "items": which have none of some genres, or no year from `first` to `last`; None: any."""
        wanted = {genre.casefold() for genre in genres}
        outside = np.zeros(len(self.ids), np.bool_)
        if wanted:
            outside |= ~np.asarray([any(name.casefold() in wanted for name in row) for row in self.genres], np.bool_)
        if first is not None or last is not None:
            low, high = -1 if first is None else first, 10_000 if last is None else last
            outside |= ~np.asarray([year is not None and low <= year <= high for year in self.years], np.bool_)
        return outside
