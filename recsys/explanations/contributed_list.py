"""What a user's list would be without some events, computed from contributions instead of scoring anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.user_list import UserList
from recsys.models.capabilities import LinearRows, as_fold_in
from recsys.models.linear.operations import event_weights
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import FEW
from recsys.slates import Content, Greedy, Pool, Seating
from recsys.types import Doubles, Floats, Ints, Items, Mask

_ROUNDING = 4e-6
"""Advantage of the item in question, relative to the largest score: more than the rounding errors of the sums."""


@final
class ContributedList:
    """A user's list as a function of the events that are missing.

    Over the best candidates alone it is a good guess. Where scores are sums of contributions (`LinearRows`), it is
    exact over the whole catalogue, too: an item that `leaves` leaves the list that the model makes without the events.

    Args:
        user_list: the list.
    """

    def __init__(self, user_list: UserList) -> None:
        model, queries = user_list.model, user_list.queries
        self._list, self._n = user_list, len(user_list.items)
        self._base = model.base if isinstance(model, WithPersonas) else model
        attentive = isinstance(model, WithPersonas) and model.chosen_sharpness > 0
        self.is_exact = isinstance(self._base, LinearRows) and not attentive
        self._evidence = user_list.evidence or queries
        self._of_event = user_list.of_event
        self._width = 1 if user_list.found is None else user_list.found.numbers.shape[1]
        self._owned = np.maximum(self._of_event, 0)[:, None] == np.arange(self._width)  # "events K"
        self._owned &= (self._of_event != UNKNOWN)[:, None]
        self._weights = event_weights(self._evidence).astype(np.float64)
        self._counted = queries.counted.astype(np.float64)
        parts = model.fitted_on.metadata.genre_parts
        self._genres = self._weights[:, None] * parts[np.maximum(queries.history.items, 0)]
        pool = user_list.pool
        self._take(pool.items[0][pool.items[0] != UNKNOWN], pool.scores[0][pool.items[0] != UNKNOWN])

    def _take(self, items: Items, scores: Floats) -> None:
        """Take these items, with these scores, as the candidates."""
        self.items, self.scores = items, scores.astype(np.float64)
        self.contributions = self._added(self._list.queries, items)  # "events candidates"
        evidence = self._list.evidence
        self._proof = self.contributions if evidence is None else self._added(evidence, items)
        self._alone = self._owned.T.astype(np.float64) @ self._proof  # "K candidates"

    def _added(self, queries: Queries, items: Items) -> Doubles:
        with torch.inference_mode():
            added = as_fold_in(self._list.model, "contributions").contributions(queries, items[None])
        return np.asarray(added.double().cpu().numpy())

    def seem_to_leave(self, columns: Ints, sets: Sequence[Ints]) -> Mask:
        """Return whether items seem to leave the list, each without its own set of events.

        Args:
            columns: "sets", a candidate for each set.
            sets: events of one persona of the history.
        """
        missing, events = _missing(sets)
        fall = missing @ self.contributions[events]
        return self._leave(columns, missing, events, self.scores - fall)

    def leave(self, columns: Ints, sets: Sequence[Ints]) -> Mask:
        """Return whether items leave the list that the model makes without their sets of events; see `seem_to_leave`.

        Where scores are sums of contributions it is computed from the rows of the events; elsewhere lists are made.
        """
        if not len(sets):
            return np.zeros(0, np.bool_)
        if not self.is_exact:
            return self._left_again(columns, sets)
        assert isinstance(self._base, LinearRows)
        missing, events = _missing(sets)
        queries, items = self._list.queries, self._list.queries.history.items
        with torch.inference_mode():
            before = self._list.model.score(queries)[0].double().cpu().numpy()
        weights = self._base.row_weights(queries)[events].astype(np.float64)
        rows = self._base.rows().numpy()[items[events]]
        after = before - (missing * weights) @ rows.astype(np.float64)
        after[:, queries.excluded.items[queries.excluded.items != UNKNOWN]] = -np.inf
        targets, size = self.items[columns], self._pool_size
        within = np.zeros(after.shape[1], np.bool_)
        within[self.items] = True
        if size < len(self.items):
            inside = after[:, self.items]
            last = np.partition(inside, len(self.items) - size, axis=1)[:, len(self.items) - size]
        else:
            last = np.full(len(sets), -np.inf)
        entering = np.flatnonzero((~within & (after >= last[:, None]) & np.isfinite(after)).any(0))
        if len(entering):
            items = np.concatenate([self.items, entering.astype(np.int32)])
            self._take(items, before[items].astype(np.float32))
            columns = np.asarray([int(np.flatnonzero(items == target)[0]) for target in targets])
        return self._leave(columns, missing, events, after[:, self.items])

    def standing(self) -> tuple[Doubles, Ints]:
        """Return what each candidate is worth for the seat of each listed item, "n candidates", and the listed ones.

        Those are their columns, `UNKNOWN` at the end of a list that is shorter.
        """
        size = len(self.items) if self._list.slate is None or self._list.slate.pool == 0 else self._pool_size
        scores = np.full((1, len(self.items)), -np.inf, np.float32)
        scores[0, :size] = self.scores[:size]
        items = np.where(np.isfinite(scores), self.items, UNKNOWN).astype(np.int32)
        nothing = np.zeros((1, 0)), np.zeros(0, np.int64)
        pool = Pool(items, scores, None if self._list.found is None else self._seating(*nothing))
        column = {item: place for place, item in enumerate(self.items.tolist())}
        listed = np.asarray([column.get(item, UNKNOWN) for item in self._list.items.tolist()], np.int64)
        return (self._list.slate or Greedy()).standing(pool, listed[None])[0], listed

    def column(self, item: int) -> int:
        """Return which candidate an item is."""
        return int(np.flatnonzero(self.items == item)[0])

    @property
    def _pool_size(self) -> int:
        return max(self._n, 0 if self._list.slate is None else self._list.slate.pool)

    def _left_again(self, columns: Ints, sets: Sequence[Ints]) -> Mask:
        """Make the lists anew, by the model."""
        items = self._list.queries.history.items
        keep = np.stack([~np.isin(items, items[events]) for events in sets])
        return np.asarray((self._list.again(keep).items != self.items[columns][:, None]).all(1))

    def _leave(self, columns: Ints, missing: Doubles, events: Ints, scores: Doubles) -> Mask:
        """Return whether items leave, given the scores of all candidates without the events.

        Args:
            columns: "sets".
            missing: "sets distinct", 1 where an event is missing.
            events: "distinct", of the history.
            scores: "sets candidates".
        """
        every = np.arange(len(missing))
        slack = _ROUNDING * np.abs(scores[np.isfinite(scores)]).max(initial=0.0)
        if self._list.found is None:
            own = scores[every, columns] + slack
            scores[every, columns] = -np.inf
            return np.asarray((scores > own[:, None]).sum(1) >= self._n)
        scores[every, columns] += slack
        scores = scores.astype(np.float32)
        size = self._pool_size
        shown = np.isfinite(scores)
        if size < scores.shape[1]:
            shown &= scores >= np.partition(scores, scores.shape[1] - size, axis=1)[:, [scores.shape[1] - size]]
        items = np.where(shown, self.items, UNKNOWN).astype(np.int32)
        pool = Pool(items, np.where(shown, scores, -np.inf).astype(np.float32), self._seating(missing, events))
        chosen = (self._list.slate or Greedy()).choose(pool, self._n)
        return np.asarray((chosen != columns[:, None]).all(1))

    def _seating(self, missing: Doubles, events: Ints) -> Seating:
        """Return who owns the candidates without some events, as `PersonaOwners` does."""
        owned = self._owned[events].astype(np.float64)  # "distinct K"
        alone = self._alone - (missing[:, None] * owned.T) @ self._proof[events]  # "sets K candidates"
        mass = self._weights @ self._owned - (missing * self._weights[events]) @ owned  # "sets K"
        total = mass.sum(1, keepdims=True)
        shares = mass / np.where(total > 0, total, 1.0)
        voice = np.maximum(alone, 0.0) / np.sqrt(np.maximum(shares, 1e-12))[:, :, None]
        owner = np.where(voice.max(1) > 0, voice.argmax(1), UNKNOWN).astype(np.int32)
        content = None
        if self._genres.shape[1]:
            history = self._genres.sum(0) - missing @ self._genres[events]
            of_all = history.sum(1, keepdims=True)
            parts = self._list.model.fitted_on.metadata.genre_parts[self.items]
            repeated = np.broadcast_to(parts, (len(missing), *parts.shape))
            content = Content(repeated, history / np.where(of_all > 0, of_all, 1.0))
        count = self._counted @ self._owned.any(1) - missing @ self._counted[events]
        boosted, muted = (
            None if control is None else np.repeat(control, len(missing), axis=0)
            for control in (self._list.boosted, self._list.muted)
        )
        return Seating(owner, shares, boosted, muted, content, count / (count + FEW))


def _missing(sets: Sequence[Ints]) -> tuple[Doubles, Ints]:
    """Return "sets distinct", 1 where an event is missing, and the distinct events."""
    events, place = np.unique(np.concatenate(sets), return_inverse=True)
    missing = np.zeros((len(sets), len(events)))
    missing[np.repeat(np.arange(len(sets)), [len(each) for each in sets]), place] = 1.0
    return missing, events
