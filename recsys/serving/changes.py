"""What a control changed: the difference of a user's list before and after it."""

from __future__ import annotations

from collections.abc import Iterable

from recsys.explanations import Explanation
from recsys.serving.records import Changed, ListedItem, RecommendationList, SeatChange


def changes(before: RecommendationList, after: RecommendationList) -> Changed:
    """Return what is different between two lists of one user."""
    was, now = ({one.item_id for one in each.items} for each in (before, after))
    left = [one for one in before.items if one.item_id not in now]
    came = [one for one in after.items if one.item_id not in was]
    names: dict[int | None, str | None] = {}
    seats: dict[int | None, list[int]] = {}
    for place, each in enumerate((before, after)):
        for shelf in each.shelves:
            names[shelf.persona] = shelf.name
            seats.setdefault(shelf.persona, [0, 0])[place] = shelf.seats
    told = [SeatChange(persona, names[persona], *counts) for persona, counts in seats.items() if any(counts)]
    owned = any(persona is not None for persona in seats)
    return Changed(_listed(left), _listed(came), tuple(told) if owned else ())


def _listed(items: Iterable[Explanation]) -> tuple[ListedItem, ...]:
    return tuple(ListedItem(str(one.item_id), one.title, one.owner) for one in items)
