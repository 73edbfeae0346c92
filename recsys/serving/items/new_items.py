"""Items of the store that a model lists though it was not trained on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, final

from recsys.data.items import ItemMetadata
from recsys.data.titles import year_of
from recsys.data.vocabulary import Vocabulary
from recsys.events.items.records import StoredItem
from recsys.models.base import Recommender
from recsys.models.cold_items.adding import takes_items, with_items

_WHOLE: Final = re.compile("0|-?[1-9][0-9]{0,17}")
_TAGS: Final = "tags"

_Row = tuple[str, tuple[str, ...], tuple[str, ...]]


@final
class NewItems:
    """A fitted model with the items of the store that it was not trained on, where it takes new items.

    They are numbered by the text of their id, so that every process lists them alike. Where ids of the model are whole
    numbers, items with others stay unknown to it.

    Args:
        trained: the model of the run.

    Attributes:
        model: with the items so far.
    """

    def __init__(self, trained: Recommender) -> None:
        self.model = trained
        self._trained = trained
        self._takes = takes_items(trained)
        self._known = frozenset(map(str, trained.fitted_on.items.ids.tolist())) if self._takes else frozenset()
        self._rows: dict[str, _Row] = {}

    def take(self, said: Mapping[str, StoredItem]) -> bool:
        """Take what a store says of items, in place of what it said before; return whether `model` is another one."""
        if not self._takes:
            return False
        whole = self._trained.fitted_on.items.is_integer
        rows = {
            item: _row(one)
            for item, one in said.items()
            if item not in self._known and not one.deleted and (not whole or _WHOLE.fullmatch(item))
        }
        if rows == self._rows:
            return False
        self._rows, self.model = rows, self._trained
        if rows:
            ids = sorted(rows)
            titles, genres, tags = zip(*(rows[item] for item in ids), strict=True)
            vocabulary = Vocabulary([int(item) for item in ids] if whole else ids)
            self.model = with_items(self._trained, vocabulary, ItemMetadata(titles, genres, tags))
        return True


def tags_of(item: StoredItem) -> tuple[str, ...]:
    """Return the tags of an item: the texts that its metadata has under that name.

    >>> tags_of(StoredItem("1", metadata={"tags": ["slow", "dark"]})), tags_of(StoredItem("2"))
    (('slow', 'dark'), ())
    """
    tags = (item.metadata or {}).get(_TAGS, ())
    every = tags if isinstance(tags, list) else [tags] if isinstance(tags, str) else []
    return tuple(str(tag) for tag in every)


def dated(title: str, year: int | None) -> str:
    """Return a title that ends in the year, as those of logs do.

    >>> dated("Heat", 1995), dated("Heat (1995)", 1995), dated("Heat (1995)", None)
    ('Heat (1995)', 'Heat (1995)', 'Heat (1995)')
    """
    return title if year is None or year_of(title) == year else f"{title} ({year:04d})"


def _row(item: StoredItem) -> _Row:
    return dated(item.title or item.item_id, item.year), item.genres or (), tags_of(item)
