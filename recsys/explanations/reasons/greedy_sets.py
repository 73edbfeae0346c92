"""The smallest sets of events without which items leave lists of the best scores, for many lists at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from recsys.data.queries import Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.reasons.user_list import UserList
from recsys.models.capabilities import AdditiveEvents, as_fold_in
from recsys.slates import Greedy
from recsys.types import Doubles, Floats, Ints, Items, Mask

MOST: Final = 5
"""Events of a set at most: more are no reason, but a taste."""

TRIED: Final = 12
"""Events of an item that are tried: those that add most to its score."""

_PAIRED = 8
"""Of which all pairs are tried: those whose absence lowers the item most against its rivals."""

_BEAM = 2
"""Sets of each size that are extended by one event."""

BEYOND: Final = 22
"""Best-scored items beside those of the list, which may come in."""

_LAST = 2**32 - 1

_BLOCK = 256
"""Numbers of which a processor finds the largest at once."""

_ROUNDING = 4e-6
"""Advantage of the item in question, relative to the largest score: more than the rounding errors of the sums."""


@final
@dataclass(frozen=True, eq=False)
class Places:
    """Items of lists.

    Attributes:
        row: "places", the list.
        rank: "places", the position in it, from 0.
        strongest: "places tried", the events of the histories that may be reasons and add most to the item, strongest
            first; `UNKNOWN` where there are fewer.
    """

    row: Ints
    rank: Ints
    strongest: Ints

    def take(self, some: Ints) -> Places:
        """Return some of the places."""
        return Places(self.row[some], self.rank[some], self.strongest[some])


def strongest_events(strength: Floats, history: Ragged, row: Ints, rank: Ints, most: int) -> Ints:
    """Return the events that add most to some items, "places most", the first of equals first.

    Args:
        strength: "events n", what each adds to the items of its user's list; 0 for those that do not count.
        history: of the users.
        row, rank: "places", the list of each item, and the position in it.
        most: events of an item.

    Returns:
        Positions in the histories, strongest first; `UNKNOWN` where there are fewer.
    """
    indptr, lengths = history.indptr, history.lengths
    # A stable sort by strength of every place is slow, so that each event becomes one whole number: above, the bits of
    # its strength (those of positive floats are in the order of the floats), below, how far it is from the end. The
    # largest numbers are then the strongest events, the first of equals first: 46 us a list in place of 107.
    position = np.arange(len(strength)) - indptr[history.rows]
    keys = (strength.view(np.uint32).astype(np.int64) << 32) | (_LAST - position)[:, None]
    keys[strength <= 0] = 0
    widths = np.where(lengths > _BLOCK, _BLOCK * -(-lengths // _BLOCK), np.maximum(most, 32 * -(-lengths // 32)))
    flat = np.concatenate([keys.T.ravel(), np.zeros(int(widths.max(initial=0)), np.int64)])
    best = np.zeros((len(row), most), np.int64)
    for width in np.unique(widths[row]).tolist():  # rectangles of histories of about the same length
        places = np.flatnonzero(widths[row] == width)
        chosen = sliding_window_view(flat, width)[rank[places] * len(keys) + indptr[row[places]]]
        chosen *= np.arange(width) < lengths[row[places], None]
        if width > _BLOCK:  # the largest of all are among the largest of each block, which are found faster
            blocks = np.partition(chosen.reshape(-1, _BLOCK), -most, axis=1)[:, -most:]
            chosen = blocks.reshape(len(places), -1)
        best[places] = np.sort(np.partition(chosen, -most, axis=1)[:, -most:], axis=1)[:, ::-1]
    return np.where(best > 0, indptr[row][:, None] + _LAST - (best & _LAST), UNKNOWN)


@torch.inference_mode()
def sets_of_lists(lists: UserList, contributions: Doubles, places: Places) -> Ints:
    """Return the fewest events without which items leave their lists of best scores, as `smallest_sets` does.

    An item leaves when as many others as a list has score higher without the events. Single events, and pairs of the
    most promising ones, are all tried, larger sets by a beam. It is computed from the scores of the best items and what
    the events add to them: for a model whose scores are sums over events (`AdditiveEvents`) so many others of those
    tell that the item leaves. With any other model the list is made again without each set.

    Args:
        lists: lists without personas.
        contributions: "events n", of every event to the items of its user's list.
        places: whose sets are searched.

    Returns:
        "places MOST", positions of events in the histories, strongest first; `UNKNOWN` after the last one, and where no
        set was found.
    """
    n = lists.listed.items.shape[1]
    found = np.full((len(places.row), MOST), UNKNOWN, np.int64)
    items, scores = _candidates(lists)
    if not len(found) or items.shape[1] < n:
        return found
    support = contributions[places.strongest, places.rank[:, None]] * (places.strongest != UNKNOWN)
    added = _Added.of(lists, contributions, items, places.strongest)
    search = _Search.of(scores, added, places, support, n)
    exact = isinstance(lists.model, AdditiveEvents)
    keys, margins = search.guesses(beyond=not exact)
    first = np.where(margins > 0, np.arange(MOST), MOST - 1).min(1)
    open_ = np.arange(len(found))
    # Where scores are no sums, a smaller set may do, or only a larger one.
    for size in (0,) if exact else (-1, 0, 1):
        chosen = keys[open_, np.clip(first[open_] + size, 0, MOST - 1)]
        some = np.flatnonzero(chosen)
        asked = places.take(open_[some])
        sets = _decoded(chosen[some], asked.strongest, support[open_[some]])
        left = some[_left(scores, added, asked, sets, n) if exact else _left_again(lists, asked, sets)]
        found[open_[left]] = sets[np.isin(some, left)]
        open_ = np.delete(open_, left)
    return found


@final
@dataclass(frozen=True, eq=False)
class _Added:
    """What the events that are tried add to the candidates: `values` "some candidates", `place` "events" of each."""

    values: Floats
    place: Ints

    @classmethod
    def of(cls, lists: UserList, contributions: Doubles, items: Items, strongest: Ints) -> _Added:
        """Return that of `items` "queries candidates", given the contributions to the items of the lists."""
        queries, model, n = lists.queries, lists.model, contributions.shape[1]
        tried = np.zeros(len(contributions), np.bool_)
        tried[strongest[strongest != UNKNOWN]] = True
        events, beyond = np.flatnonzero(tried), np.maximum(items[:, n:], 0)
        if isinstance(model, AdditiveEvents):
            values = model.event_rows(queries, events, beyond[queries.history.rows[events]])
        else:
            values = as_fold_in(model, "reasons").contributions(queries, beyond).float().cpu().numpy()[events]
        return cls(np.hstack([contributions[events].astype(np.float32), values]), np.cumsum(tried) - 1)

    def __getitem__(self, events: Ints) -> Floats:
        return self.values[self.place[events]]


def _candidates(lists: UserList) -> tuple[Items, Floats]:
    """Return the items of the lists and the best others, "queries n + beyond", and their scores, -inf for none."""
    listed, wide = lists.listed, lists.wide
    if wide is None:
        size = min(listed.items.shape[1] + BEYOND, lists.model.n_items)
        best = lists.model.recommend(lists.queries, size, slate=Greedy())
        items, scores = best.items, best.scores
    else:
        items, scores = wide.items, wide.scores
    again = (items[:, :, None] == listed.items[:, None]).any(2) | (items == UNKNOWN)
    others = np.argsort(again, axis=1, kind="stable")[:, :BEYOND]
    beside = np.take_along_axis(np.where(again, -np.inf, scores), others, 1)
    every = np.hstack([listed.items, np.take_along_axis(items, others, 1)]).astype(np.int32)
    return every, np.hstack([listed.scores, beside]).astype(np.float32)


@final
@dataclass(frozen=True, eq=False)
class _Search:
    """The search for sets of some items, each a number whose bits are the tried events.

    `worth` "items candidates": by how much each candidate scores higher than the item, less what rounding may be;
    `gain` "items tried candidates": what it gains on the item without the event; `support` "items tried"; `n`: length
    of the lists.
    """

    worth: Floats
    gain: Floats
    support: Floats
    n: int

    @classmethod
    def of(cls, scores: Floats, added: _Added, places: Places, support: Doubles, n: int) -> _Search:
        every, row = np.arange(len(places.row)), places.row
        own = scores[row, places.rank]
        worth = scores[row] - own[:, None] - _slack(scores)[row, None]
        worth[every, places.rank] = -np.inf
        tried = added[places.strongest]
        gain = np.take_along_axis(tried, places.rank[:, None, None], 2) - tried
        gain[places.strongest == UNKNOWN] = -np.inf
        return cls(worth, gain, support.astype(np.float32), n)

    def guesses(self, *, beyond: bool) -> tuple[Ints, Floats]:
        """Return for each item the best set of each size, "items MOST", and by how much the item seems to leave.

        A larger set is searched only where no smaller one seems to do, or one size `beyond` it.
        """
        worth, gain, support = self.worth, self.gain, self.support
        count, tried, rivals = gain.shape
        keys = np.zeros((count, MOST), np.int64)
        margins = np.full(keys.shape, -np.inf, np.float32)
        bits = np.broadcast_to(1 << np.arange(tried), support.shape)
        open_ = np.arange(count)
        # Of the sets of each size: their number, what they add to the item, and how the candidates then stand.
        key, said, falls = bits, support, worth[:, None] + gain
        for size in range(MOST):
            margin = np.asarray(np.partition(falls, rivals - self.n, axis=2)[:, :, rivals - self.n])
            best = np.where(margin > 0, said, -np.inf).argmax(1)  # of several that do the one that adds most to it
            best = np.where((margin > 0).any(1), best, margin.argmax(1))
            every = np.arange(len(open_))
            keys[open_, size], margins[open_, size] = key[every, best], margin[every, best]
            done = (margins[open_, : size + (not beyond)] > 0).any(1)
            rest = np.flatnonzero(~done & (margin.max(1) > -np.inf))
            if size + 1 == MOST or not len(rest):
                break
            open_, key, said, margin = open_[rest], key[rest], said[rest], margin[rest]
            if size == 0:
                order = np.argsort(-margin, axis=1, kind="stable")
                gain = gain[rest[:, None], order]
                bits, support = np.take_along_axis(key, order, 1), np.take_along_axis(said, order, 1)
                key, said, falls = _pairs(bits, support, worth[open_], gain)
                continue
            beam = _distinct(key, margin)
            falls, gain = falls[rest[:, None], beam], gain[rest]
            bits, support = bits[rest], support[rest]
            smaller = np.take_along_axis(key, beam, 1)[:, :, None]
            again = (smaller & bits[:, None]) > 0
            key = (smaller | bits[:, None]).reshape(len(rest), -1)
            said = (np.take_along_axis(said, beam, 1)[:, :, None] + support[:, None]).reshape(key.shape)
            falls = falls[:, :, None] + gain[:, None]
            falls[again] = -np.inf
            falls = falls.reshape(*key.shape, rivals)
        return keys, margins


def _pairs(bits: Ints, support: Floats, worth: Floats, gain: Floats) -> tuple[Ints, Floats, Floats]:
    """Return all pairs of the first events: their numbers, what they add to the item, and how the candidates stand."""
    one, other = np.triu_indices(min(_PAIRED, gain.shape[1]), 1)
    falls = np.empty((len(gain), len(one), gain.shape[2]), np.float32)
    without = worth[:, None] + gain
    for event, start in zip(*np.unique(one, return_index=True), strict=True):  # faster than to look up both of each
        pairs = slice(start, start + other[-1] - event)
        np.add(without[:, event, None], gain[:, event + 1 : other[-1] + 1], out=falls[:, pairs])
    return bits[:, one] | bits[:, other], support[:, one] + support[:, other], falls


def _distinct(key: Ints, margin: Floats) -> Ints:
    """Return the places of the best sets, "items beam", no set twice where there are enough."""
    best = np.argsort(-margin, axis=1, kind="stable")[:, : _BEAM * MOST]
    keys = np.take_along_axis(key, best, 1)
    earlier = np.tri(keys.shape[1], k=-1, dtype=np.bool_)
    twice = ((keys[:, :, None] == keys[:, None]) & earlier).any(2)
    return np.take_along_axis(best, np.argsort(twice, axis=1, kind="stable")[:, :_BEAM], 1)


def _slack(scores: Floats) -> Floats:
    """Return what rounding may make of scores, "queries"."""
    return np.asarray(_ROUNDING * np.where(np.isfinite(scores), np.abs(scores), 0.0).max(1, initial=0.0), np.float32)


def _decoded(keys: Ints, strongest: Ints, support: Doubles) -> Ints:
    """Return the events of sets, "items MOST", strongest first; `UNKNOWN` after the last."""
    tried = np.arange(strongest.shape[1])
    chosen = (keys[:, None] >> tried) & 1 > 0
    order = np.argsort(np.where(chosen, -support, np.inf), axis=1, kind="stable")[:, :MOST]
    events = np.where(np.take_along_axis(chosen, order, 1), np.take_along_axis(strongest, order, 1), UNKNOWN)
    return np.pad(events, ((0, 0), (0, MOST - events.shape[1])), constant_values=UNKNOWN)


def _left(scores: Floats, added: _Added, places: Places, sets: Ints, n: int) -> Mask:
    """Return whether items leave their lists without sets of events, by scores in double precision."""
    without = scores[places.row].astype(np.float64)
    for events in sets.T:
        there = np.flatnonzero(events != UNKNOWN)
        without[there] -= added[events[there]]
    every = np.arange(len(without))
    own = without[every, places.rank] + _slack(scores)[places.row]
    without[every, places.rank] = -np.inf
    return np.asarray((without > own[:, None]).sum(1) >= n)


def _left_again(lists: UserList, places: Places, sets: Ints) -> Mask:
    """Return whether items leave the lists that the model makes without sets of events."""
    items = lists.listed.items[places.row, places.rank]
    queries = lists.queries.take(places.row)
    width = lists.model.n_items + 1
    row, place = np.nonzero(sets != UNKNOWN)
    gone = row * width + lists.queries.history.items[sets[row, place]]
    keep = ~np.isin(queries.history.rows * width + queries.history.items, gone) | (queries.history.items == UNKNOWN)
    weights = np.ones(len(keep), np.float32) if queries.weights is None else queries.weights
    queries = queries.with_weights(np.where(keep, weights, 0.0).astype(np.float32))
    again = lists.model.recommend(queries, lists.listed.items.shape[1])
    return np.asarray((again.items != items[:, None]).all(1))
