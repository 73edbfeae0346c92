"""Pages of the catalogue: by title, or all items by their id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from recsys.data.vocabulary import UNKNOWN
from recsys.serving.filters import Filters
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.items.cursor import CursorError, decoded, encoded
from recsys.serving.items.popularity import Ranking
from recsys.serving.records import RankedItem, RankedItems, TitleMatch, TitleMatches


def found_items(
    model: str,
    catalogue: Catalogue,
    query: str | None,
    n: int,
    filters: Filters,
    available: bool | None,
    cursor: str | None,
) -> TitleMatches:
    """Return a page of items; see `recsys.serving.answers.Answers.find_items`.

    Without a query a page begins after the last id of the one before, so that no item is missed or seen twice while
    others come and go. With one it begins after as many matches as were seen.
    """
    place = decoded(cursor) if cursor is not None else []
    if query is None:
        after = place[0] if place else None
        if len(place) > 1 or not isinstance(after, str | None):
            raise CursorError("cursor is of another question; hand back the next_cursor of the page before")
        every, seen = catalogue.every(after, filters), 0
    else:
        seen = place[1] if len(place) == 2 and place[0] == query and isinstance(place[1], int) else 0
        if place and seen <= 0:
            raise CursorError("cursor is of another query; hand back the next_cursor of the page before, of this query")
        every = catalogue.search(query, filters)
    wanted = (one for one in every if available is None or one.available == available)
    found = list(islice(wanted, seen, seen + n + 1))
    following = None
    if cursor is not None and len(found) > n:
        following = encoded([found[n - 1].item_id] if query is None else [query, seen + n])
    items = tuple(TitleMatch(one.item_id, one.title, one.year, one.genres, one.available) for one in found[:n])
    return TitleMatches(model, items, following)


def ranked_items(
    model: str,
    catalogue: Catalogue,
    ranking: Ranking,
    ranked: Sequence[tuple[float, str]],
    as_of: int,
    n: int,
    filters: Filters,
    removed: Collection[int] | None,
    cursor: str | None,
) -> RankedItems:
    """Return a page of a ranking that is the same for everybody.

    A page begins after the item with which the one before ended, wherever that stands now; where it is gone, after as
    many as were seen.

    Args:
        model, catalogue, n, filters, cursor: see `recsys.serving.answers.Answers.ranked_items`.
        ranking: its name.
        ranked: scores and item ids, best first; unavailable items, and those that filters leave out, may be among them.
        as_of: Unix seconds.
        removed: numbers of the items that a policy keeps from somebody of whom nothing is known; it cannot judge what
            the model does not know, so that is left out, too. None: there is no policy.
    """
    place = decoded(cursor) if cursor is not None else []
    start = 0
    if place:
        if len(place) != 3 or place[0] != ranking or not isinstance(place[1], int) or place[1] < 0:
            raise CursorError("cursor is of another list; hand back the next_cursor of the page before")
        ids = [item for _, item in ranked]
        start = ids.index(place[2]) + 1 if place[2] in ids else place[1]
    listable = catalogue.listable(filters)
    barred = None if removed is None else {UNKNOWN, *removed}
    found: list[RankedItem] = []
    following = None
    for at, (score, item_id) in enumerate(ranked[start:], start):
        if barred is not None and catalogue.numbers.get(item_id, UNKNOWN) in barred:
            continue
        item = listable(item_id)
        if item is None:
            continue
        if len(found) == n:
            following = None if cursor is None else encoded([ranking, at, found[-1].item_id])
            break
        found.append(RankedItem(item.item_id, item.title, score, item.year, item.genres))
    return RankedItems(model, as_of, tuple(found), following)
