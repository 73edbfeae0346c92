"""The smallest set of a user's events without which an item would leave the user's list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import final

import numpy as np
import torch

from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.reasons.contributed_list import ContributedList
from recsys.explanations.reasons.greedy_sets import MOST, TRIED, Places, sets_of_lists, strongest_events
from recsys.explanations.reasons.steps import Steps, finished
from recsys.explanations.reasons.user_list import UserList
from recsys.models.capabilities import as_fold_in
from recsys.types import Doubles, Ints, Mask

_TRIED = 24
"""Events of an item that are tried: those whose absence lowers it most against its rivals."""

_PAIRED = 12
"""Of which all pairs are tried."""

_BEAM = 4
"""Sets of each size that are extended by one event."""

_RIVALS = 48
"""Candidates that may take the place of an item."""

_ROUNDS = 4

_Guess = tuple[float, tuple[int, ...]]
"""A set, and how far the item would fall below its seat without it."""

_TOGETHER = 12, 64
"""Sets that are tried in one step, which is short, or as many as are fastest."""

_CONFIRMED = 3, 12
"""And of those that are tried on the whole catalogue."""


def smallest_sets(user_list: UserList, places: Sequence[int], eligible: Mask) -> list[Ints | None]:
    """Return, for items of a list, the fewest events without which each would not be in the list.

    The list is made again without the events: by the same slate, with the personas held, and what was seen is not
    listed all the same. Lists without personas: see `sets_of_lists`. For the others sets are searched for on
    contributions: an item leaves when n others are worth more for its seat, so events count by what they add to the
    item less what they add to its rivals. Single events and pairs are searched exhaustively among the best, larger sets
    by a beam. Promising sets are tried, from the smallest on; of sets of three and more it is tried to leave out each
    event. Every set that is returned drops its item; it is not always the smallest
    (`tests/explanations/reasons/test_counterfactual.py` measures how often).

    Args:
        user_list: the list.
        places: of the items in it.
        eligible: "events", which may be reasons; of those only events of the item's owner that add to its score.

    Returns:
        For each place the positions of the events in the history, strongest first; None where no set of at most `MOST`
        was found.
    """
    if user_list.found is not None:
        return finished(sets_in_steps(ContributedList(user_list), user_list, places, eligible))
    queries, items = user_list.queries, user_list.listed.items
    with torch.inference_mode():
        fold_in = as_fold_in(user_list.model, "to say without which events an item would leave the list")
        added = fold_in.contributions(queries, np.maximum(items, 0)).double().cpu().numpy()
    strength = np.where((eligible & queries.counted)[:, None], added, 0.0).astype(np.float32)
    rank = np.asarray([place for place in places if items[0, place] != UNKNOWN], np.int64)
    row = np.zeros(len(rank), np.int64)
    strongest = strongest_events(strength, queries.history, row, rank, TRIED)
    sets = sets_of_lists(user_list, added, Places(row, rank, strongest))
    found = {place: events[events != UNKNOWN] for place, events in zip(rank.tolist(), sets, strict=True)}
    return [found[place] if len(found.get(place, ())) else None for place in places]


def sets_in_steps(
    listed: ContributedList, user_list: UserList, places: Sequence[int], eligible: Mask, *, short: bool = True
) -> Steps[list[Ints | None]]:
    """Do what `smallest_sets` does in steps, which are `short` where somebody waits in between; to the same result."""
    together, confirmed = (sizes[not short] for sizes in (_TOGETHER, _CONFIRMED))
    searches = yield from _searches(user_list, listed, places, eligible)
    for _ in range(_ROUNDS):
        asked = [(search, chosen) for search in searches for chosen in search.next()]
        if not asked:
            break
        for start in range(0, len(asked), together):
            _try(asked[start : start + together], listed.seem_to_leave)
            yield
    yield from _confirm(listed, searches, confirmed)
    by_place = {search.place: search.result() for search in searches}
    return [by_place.get(place) for place in places]


@final
@dataclass(eq=False)
class _Search:
    """The search for one item: sets are ascending tuples of numbers of its `events`.

    Attributes:
        place: in the list.
        column: among the candidates.
        events: "tried", positions in the history, strongest against the rivals first.
        support: "tried", contributions to the item.
        guesses: sets of each size from 1 on, the most promising first, with how far the item would fall below its
            seat: it leaves above 0, as far as contributions tell.
        answers: of the sets that were tried, whether the item left.
    """

    place: int
    column: int
    events: Ints
    support: Doubles
    guesses: list[list[_Guess]] = field(default_factory=list)
    answers: dict[tuple[int, ...], bool] = field(default_factory=dict)

    def next(self) -> list[tuple[int, ...]]:
        """Return the sets to try in this round."""
        best = self.best()
        if best is None:
            sets = self._first()
        else:
            smaller = [chosen for _, chosen in self.guesses[len(best) - 2][:3]] if len(best) > 1 else []
            parts = list(combinations(best, len(best) - 1)) if len(best) > 2 else []
            sets = [*smaller, *parts]
        return [chosen for chosen in dict.fromkeys(sets) if chosen not in self.answers]

    def _first(self) -> list[tuple[int, ...]]:
        """Return sets around the smallest size that seems to do; larger ones after each failure."""
        sizes = [size for size, guesses in enumerate(self.guesses, 1) if guesses and guesses[0][0] > 0]
        start = min(sizes, default=len(self.guesses))
        tried = max(map(len, self.answers), default=start - 1)
        sets = [chosen for guesses in self.guesses[max(0, start - 2) : start - 1] for _, chosen in guesses[:1]]
        for guesses in self.guesses[start - 1 : max(start, tried) + 1]:
            sets += [chosen for _, chosen in guesses[:2]]
        return sets

    def best(self) -> tuple[int, ...] | None:
        """Return the smallest set that does, of equally small ones the one that adds most to the item."""
        done = [chosen for chosen, left in self.answers.items() if left]
        return min(done, key=lambda chosen: (len(chosen), -self.support[list(chosen)].sum()), default=None)

    def result(self) -> Ints | None:
        """Return the events of the best set, strongest first."""
        best = self.best()
        if best is None:
            return None
        chosen = np.asarray(best)
        return np.asarray(self.events[chosen[np.argsort(-self.support[chosen], kind="stable")]])


def _try(asked: Sequence[tuple[_Search, tuple[int, ...]]], leave: Callable[[Ints, Sequence[Ints]], Mask]) -> None:
    """Note whether items leave without sets."""
    columns = np.asarray([search.column for search, _ in asked], np.int64)
    left = leave(columns, [search.events[list(chosen)] for search, chosen in asked])
    for (search, chosen), leaves in zip(asked, left.tolist(), strict=True):
        search.answers[chosen] = leaves


def _confirm(listed: ContributedList, searches: Sequence[_Search], together: int) -> Steps[None]:
    """Check the best set of each item on the whole catalogue; where it does not hold, the next one."""
    open_ = [search for search in searches if search.best() is not None]
    for _ in range(3):
        asked = [(search, best) for search in open_ if (best := search.best()) is not None]
        for start in range(0, len(asked), together):
            _try(asked[start : start + together], listed.leave)
            yield
        open_ = [search for search, best in asked if not search.answers[best]]
        if not open_:
            return
    for search in open_:
        search.answers.clear()


def _searches(
    user_list: UserList, listed: ContributedList, places: Sequence[int], eligible: Mask
) -> Steps[list[_Search]]:
    """Return the searches, with sets to try, of the items that some eligible event of their owner speaks for."""
    standing, column = listed.standing()
    counted = user_list.queries.counted & eligible & (user_list.of_event != UNKNOWN)
    owners = user_list.owners
    n = len(user_list.items)
    own = standing[np.arange(len(column)), np.maximum(column, 0)]
    standing = np.where(np.isfinite(standing), standing, -np.inf)
    held = column[column != UNKNOWN]
    worths, gains = np.full((len(places), n + _RIVALS), -np.inf), np.full((len(places), _TRIED, n + _RIVALS), -np.inf)
    searches: list[_Search] = []
    for place in places:
        target = int(column[place])
        owner = int(owners[place])
        if UNKNOWN in (target, owner):
            continue
        added = listed.contributions[:, target]
        events = np.flatnonzero(counted & (user_list.of_event == owner) & (added > 0))
        if not len(events):
            continue
        worth = standing[place].copy()
        worth[held] = own[column != UNKNOWN]  # others are worth what they are for their own seats
        worth -= worth[target]
        worth[target] = -np.inf
        rivals = np.argsort(-worth, kind="stable")[: n + _RIVALS]
        rivals = rivals[np.isfinite(worth[rivals])]
        # Tried are those that add most beyond what they add to the items that would come in.
        coming = rivals[max(0, n - 1) :]
        against = added[events] - (listed.contributions[events][:, coming].mean(1) if len(coming) else 0.0)
        events = events[np.argsort(-against, kind="stable")[:_TRIED]]
        change = listed.effects(events)
        if len(rivals) >= n:
            worths[len(searches), : len(rivals)] = worth[rivals]
            gains[len(searches), : len(events), : len(rivals)] = change[:, [target]] - change[:, rivals]
        searches.append(_Search(place, target, events, added[events]))
        yield
    if searches:
        count, tried = len(searches), max(len(search.events) for search in searches)
        for search, guesses in zip(searches, _guesses(worths[:count], gains[:count, :tried], n), strict=True):
            search.guesses = guesses
        yield
    return searches


def _guesses(worth: Doubles, gain: Doubles, n: int) -> list[list[list[_Guess]]]:
    """Return for items promising sets of each size from 1 to `MOST`, with how far the item falls below its n-th rival.

    Args:
        worth: "items rivals", what each is worth more than the item; -inf where there are fewer.
        gain: "items tried rivals", what it gains on the item without the event; -inf for no event.
        n: length of the list; no more than there are rivals.
    """
    count, tried, rivals = gain.shape
    bits = 1 << np.arange(tried)
    guesses: list[list[list[_Guess]]] = [[] for _ in range(count)]
    open_ = np.arange(count)
    # Of the sets of each size: their number, whose bits are events, and what the rivals gain without them.
    key, falls = np.broadcast_to(bits, (count, tried)), gain
    for size in range(1, MOST + 1):
        margin = np.partition(worth[open_, None] + falls, rivals - n, axis=2)[:, :, rivals - n]
        order = np.argsort(-margin, axis=1, kind="stable")
        beam, again = _distinct(np.take_along_axis(key, order, 1), order)
        key, best = np.take_along_axis(key, beam, 1), np.where(again, -np.inf, np.take_along_axis(margin, beam, 1))
        goes_on = np.zeros(len(open_), np.bool_)
        for place, (item, keys, margins) in enumerate(zip(open_.tolist(), key.tolist(), best.tolist(), strict=True)):
            of_size = [(far, _members(one)) for far, one in zip(margins, keys, strict=True) if far > -np.inf]
            if of_size:  # one size beyond the smallest that seems to do
                goes_on[place] = not guesses[item] or guesses[item][-1][0][0] <= 0
                guesses[item].append(of_size)
        rows = np.flatnonzero(goes_on)
        if size == MOST or tried == 1 or not len(rows):
            break
        open_ = open_[rows]
        if size == 1:
            one, other = np.triu_indices(min(tried, _PAIRED), 1)
            first, second = order[rows][:, one], order[rows][:, other]
            key, falls = bits[first] | bits[second], gain[open_[:, None], first] + gain[open_[:, None], second]
            continue
        smaller = key[rows][:, :, None]
        falls = falls[rows[:, None], beam[rows]][:, :, None] + gain[open_, None]
        falls[((smaller & bits) > 0) | again[rows][:, :, None]] = -np.inf
        key, falls = (smaller | bits).reshape(len(rows), -1), falls.reshape(len(rows), -1, rivals)
    return guesses


def _distinct(key: Ints, order: Ints) -> tuple[Ints, Mask]:
    """Return the places of the best sets, "items beam", and which are there twice because there are fewer.

    Args:
        key: "items sets", numbers of sets, the most promising first.
        order: "items sets", their places.
    """
    key = key[:, : _BEAM * MOST]  # a set of some size may come as often as it has events
    earlier = np.tri(key.shape[1], k=-1, dtype=np.bool_)
    twice = ((key[:, :, None] == key[:, None]) & earlier).any(2)
    first = np.argsort(twice, axis=1, kind="stable")[:, :_BEAM]
    return np.take_along_axis(order, first, 1), np.take_along_axis(twice, first, 1)


@cache
def _members(key: int) -> tuple[int, ...]:
    """Return the numbers of the events of a set, ascending."""
    return tuple(event for event in range(_TRIED) if key >> event & 1)
