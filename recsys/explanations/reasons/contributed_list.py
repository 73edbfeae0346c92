"""What a user's list would be without some events, computed from contributions instead of scoring anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.reasons.user_list import UserList
from recsys.models.capabilities import AdditiveEvents, as_fold_in
from recsys.models.linear.operations import event_weights
from recsys.models.personas.content import content_parts
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import FEW, resemblance, voices
from recsys.slates import Content, Greedy, Pool, Seating
from recsys.types import Doubles, Ints, Items, Mask

_ROUNDING = 4e-6
"""Advantage of the item in question, relative to the largest score: more than the rounding errors of the sums."""

_NEAR = 40
"""Best-scored candidates beside those listed that are looked at in any case."""

_FEW = 200
"""Items whose scores are summed from contributions; of more, the whole catalogue is scored."""

_MANY = 60
"""Missing events of which whole rows of the catalogue are no longer looked at: those of the candidates are less."""

_RANGE = 0.4
"""How far below the n-th best score a listed item is likely to be, as a part of the range of the pool's scores."""


@final
class ContributedList:
    """A list of a user with personas as a function of the events that are missing.

    Over the best candidates alone it is a good guess. Where scores are sums of contributions (`AdditiveEvents`), it is
    exact over the whole catalogue, too: an item that `leaves` leaves the list that the model makes without the events.

    Args:
        user_list: the list.
    """

    def __init__(self, user_list: UserList) -> None:
        model, queries, found = user_list.model, user_list.queries, user_list.found
        assert isinstance(model, WithPersonas)
        assert found is not None
        self._list, self._n = user_list, len(user_list.items)
        self._dictionary, self._found, self._base = model.dictionary, found, model.base
        self._sharpness = model.chosen_sharpness / model.attention_scale
        self.is_exact = isinstance(self._base, AdditiveEvents) and self._sharpness == 0
        self._evidence = user_list.evidence or queries
        self._of_event = user_list.of_event
        self._width = found.numbers.shape[1]
        count = float(found.personas.mass.sum())
        self._trust = count / (count + FEW)
        self._owned = np.maximum(self._of_event, 0)[:, None] == np.arange(self._width)  # "events K"
        self._owned &= (self._of_event != UNKNOWN)[:, None]
        self._weights = event_weights(self._evidence).astype(np.float64)
        self._counted = queries.counted.astype(np.float64)
        labels = content_parts(model.fitted_on.metadata, model.dictionary)
        self._parts, self._labels = np.hstack([labels, model.fitted_on.popularity_parts]), labels.shape[1]
        self._content = self._weights[:, None] * self._parts[np.maximum(queries.history.items, 0)]
        items, scores = user_list.pool.items[0], user_list.pool.scores[0]
        self._wide_items, self._wide_scores = items[items != UNKNOWN], scores[items != UNKNOWN].astype(np.float64)
        listed = user_list.items[user_list.items != UNKNOWN]
        beside = np.flatnonzero(~np.isin(user_list.items, self._wide_items) & (user_list.items != UNKNOWN))
        self._wide_items = np.concatenate([self._wide_items, user_list.items[beside]])
        self._wide_scores = np.concatenate([self._wide_scores, user_list.listed.scores[0, beside].astype(np.float64)])
        nobody = np.zeros((len(queries.history.items), 0))
        self._near: Ints = np.zeros(0, np.int64)
        self.contributions: Doubles = nobody
        self._proof: Doubles = nobody
        self._alike: Doubles = nobody
        near = self._likely()
        place = {item: column for column, item in enumerate(self._wide_items.tolist())}
        self._take(np.unique(np.concatenate([near, [place[item] for item in listed.tolist()]])).astype(np.int64))

    @property
    def _pool_size(self) -> int:
        return max(self._n, 0 if self._list.slate is None else self._list.slate.pool)

    def _likely(self) -> Ints:
        """Return the candidates that are likely to be listed where events are missing; all where these are few."""
        count, scores = len(self._wide_items), self._wide_scores
        if not self.is_exact or count <= self._n + _NEAR:
            return np.arange(count)
        width = scores[0] - scores[min(count, self._pool_size) - 1]
        near = int((scores >= scores[self._n - 1] - _RANGE * width).sum())
        return np.arange(max(near, self._n + _NEAR))

    def _take(self, near: Ints) -> None:
        """Compute what every event adds to some of the candidates."""
        first = self._near
        self._near = near
        self.items, self.scores = self._wide_items[near], self._wide_scores[near]
        new = self.items[len(first) :]
        added = self._added(self._list.queries, new)
        evidence = self._list.evidence
        proof = added if evidence is None else self._added(evidence, new)
        if len(first):
            added, proof = np.hstack([self.contributions, added]), np.hstack([self._proof, proof])
        self.contributions, self._proof = added, proof  # "events candidates"
        if self._sharpness:  # what the attention weighs
            self._plain = self._plainly_added(self._list.queries, self.items)
            self._weighed = self._owned.T.astype(np.float64) @ self._plain  # "K candidates"
            self._proof = self._plain if evidence is None else self._plainly_added(evidence, self.items)
        self._alone = self._owned.T.astype(np.float64) @ self._proof  # "K candidates"
        self._alike = resemblance(self._dictionary, self._found.personas, self.items[None])[0]  # "K candidates"

    def _take_all(self) -> None:
        self._take(np.concatenate([self._near, np.setdiff1d(np.arange(len(self._wide_items)), self._near)]))

    def _plainly_added(self, queries: Queries, items: Items) -> Doubles:
        """Return what events add to the score that the attention weighs, by the model within."""
        with torch.inference_mode():
            added = as_fold_in(self._base, "contributions").contributions(queries, items[None])
        return np.asarray(added.double().cpu().numpy())

    def _attended(self, alone: Doubles) -> Doubles:
        """Return K a_ik U_k . v_i of the candidates, given U_k . v_i, "... K candidates"."""
        present = self._owned[self._counted > 0].any(0)
        logits = np.where(present[:, None], self._sharpness * alone, -np.inf)
        weight = np.exp(logits - logits.max(-2, keepdims=True))
        return np.asarray(present.sum() * weight / weight.sum(-2, keepdims=True) * alone)

    def effects(self, events: Ints) -> Doubles:
        """Return by how much the score of each candidate falls without each of some events, "events candidates"."""
        if not self._sharpness:
            return np.asarray(self.contributions[events])
        fewer = self._weighed - self._owned[events][:, :, None] * self._plain[events][:, None]
        return np.asarray(self._attended(self._weighed).sum(0) - self._attended(fewer).sum(1))

    def _added(self, queries: Queries, items: Items) -> Doubles:
        with torch.inference_mode():
            added = as_fold_in(self._list.model, "contributions").contributions(queries, items[None])
        return np.asarray(added.double().cpu().numpy())

    def seem_to_leave(self, columns: Ints, sets: Sequence[Ints], *, large: bool = False) -> Mask:
        """Return whether items seem to leave the list, each without its own set of events.

        Args:
            columns: "sets", a candidate for each set.
            sets: events of one persona of the history.
            large: they are no few events.
        """
        missing, events = _missing(sets)
        if large and self.is_exact and len(events) > _MANY:
            self._take_all()
        return self._leave(columns, missing, events)

    def leave(self, columns: Ints, sets: Sequence[Ints]) -> Mask:
        """Return whether items leave the list that the model makes without their sets of events; see `seem_to_leave`.

        Where scores are sums of contributions it is computed from the rows of the events; elsewhere lists are made.
        """
        if not len(sets):
            return np.zeros(0, np.bool_)
        if not self.is_exact:
            return self._left_again(columns, sets)
        missing, events = _missing(sets)
        self._enter(missing, events)
        self._take_all()
        return self._leave(columns, missing, events)

    def _without(self, missing: Doubles, events: Ints) -> Doubles:
        """Return the scores of all candidates without some events, "sets candidates"."""
        if self._sharpness:
            owned = self._owned[events].astype(np.float64)
            fewer = self._weighed - (missing[:, None] * owned.T) @ self._plain[events]
            change = self._attended(fewer).sum(1) - self._attended(self._weighed).sum(0)
            return np.asarray(self._wide_scores[self._near] + change)
        if self.is_exact and len(self._near) < len(self._wide_items):
            return np.asarray(self._wide_scores + self._rise(missing, events, self._wide_items))
        scores = np.empty((len(missing), len(self._near)))
        scores[:, self._near] = self._wide_scores[self._near] - missing @ self.contributions[events]
        return scores

    def _rise(self, missing: Doubles, events: Ints, items: Items | None) -> Doubles:
        """Return by how much scores rise, "sets items", where they are sums of rows; of all items for None."""
        assert isinstance(self._base, AdditiveEvents)
        rows = self._base.event_rows(self._list.queries, events)
        return np.asarray(-missing @ (rows if items is None else rows[:, items]), np.float64)

    def _enter(self, missing: Doubles, events: Ints) -> None:
        """Take as candidates, too, the items that may come among those that the slate chooses from.

        An item that is no candidate scores at most as much as the last one, and rises by what the missing events took
        from it. Scores of the whole catalogue are asked for only where that may be enough.
        """
        queries, size = self._list.queries, self._pool_size
        if len(self._wide_items) < size:  # all that may be listed
            return
        scores = self._without(missing, events)
        last = np.partition(scores, scores.shape[1] - size, axis=1)[:, scores.shape[1] - size, None]
        last -= _ROUNDING * np.abs(self._wide_scores).max(initial=0.0)
        rise = self._rise(missing, events, None)
        may = (rise >= last - self._wide_scores.min()).any(0)
        may[self._wide_items] = False
        excluded = queries.excluded.items
        may[excluded[excluded != UNKNOWN]] = False
        items = np.flatnonzero(may)
        if len(items):
            if len(items) <= _FEW:
                before = self._added(queries, items.astype(np.int32)).sum(0)
            else:
                with torch.inference_mode():
                    before = self._list.model.score(queries)[0].double().cpu().numpy()[items]
            enters = (before + rise[:, items] >= last).any(0)
            self._wide_items = np.concatenate([self._wide_items, items[enters].astype(np.int32)])
            self._wide_scores = np.concatenate([self._wide_scores, before[enters]])

    def _left_again(self, columns: Ints, sets: Sequence[Ints]) -> Mask:
        """Make the lists anew, by the model."""
        items = self._list.queries.history.items
        keep = np.stack([~np.isin(items, items[events]) for events in sets])
        return np.asarray((self._list.again(keep).items != self.items[columns][:, None]).all(1))

    def _leave(self, columns: Ints, missing: Doubles, events: Ints) -> Mask:
        """Return whether items leave.

        Args:
            columns: "sets".
            missing: "sets distinct", 1 where an event is missing.
            events: "distinct", of the history.
        """
        scores = self._without(missing, events)
        every, target = np.arange(len(missing)), self._near[columns]
        slack = _ROUNDING * np.abs(self._wide_scores).max(initial=0.0)
        scores[every, target] += slack
        count, size = scores.shape[1], min(self._pool_size, scores.shape[1])
        low = np.partition(scores, count - size, axis=1)[:, [count - size]]
        near = scores[:, self._near]
        # The last of the pool stands for those that are not looked at: it gives the scores their range.
        shown = np.hstack([near >= low, np.ones((len(scores), 1), np.bool_)])
        items = np.where(shown, np.append(self.items, self.items[-1]), UNKNOWN).astype(np.int32)
        values = np.where(shown, np.hstack([near, low]), -np.inf).astype(np.float32)
        seating = self._seating(missing, events, with_nobody=len(self._near) < count)
        if len(self._near) == count:
            items, values = items[:, :-1], values[:, :-1]
        chosen = (self._list.slate or Greedy()).choose(Pool(items, values, seating), self._n)
        return np.asarray((chosen != columns[:, None]).all(1))

    def standing(self) -> tuple[Doubles, Ints]:
        """Return what each candidate is worth for the seat of each listed item, "n candidates", and the listed ones.

        Those are their columns, `UNKNOWN` at the end of a list that is shorter.
        """
        scores = self.scores[None].astype(np.float32)
        nothing = np.zeros((1, 0)), np.zeros(0, np.int64)
        pool = Pool(self.items[None], scores, self._seating(*nothing))
        column = {item: place for place, item in enumerate(self.items.tolist())}
        listed = np.asarray([column.get(item, UNKNOWN) for item in self._list.items.tolist()], np.int64)
        return (self._list.slate or Greedy()).standing(pool, listed[None])[0], listed

    def column(self, item: int) -> int:
        """Return which candidate an item is."""
        return int(np.flatnonzero(self.items == item)[0])

    def _seating(self, missing: Doubles, events: Ints, *, with_nobody: bool = False) -> Seating:
        """Return who owns the candidates without some events, as `PersonaOwners` does.

        One more candidate may follow, of nobody and about nothing.
        """
        owned = self._owned[events].astype(np.float64)  # "distinct K"
        alone = self._alone - (missing[:, None] * owned.T) @ self._proof[events]  # "sets K candidates"
        mass = self._weights @ self._owned - (missing * self._weights[events]) @ owned  # "sets K"
        total = mass.sum(1, keepdims=True)
        shares = mass / np.where(total > 0, total, 1.0)
        if self._sharpness:
            alone = self._attended(alone)
        voice = voices(alone, shares, self._alike)
        owner = np.where(voice.max(1) > 0, voice.argmax(1), UNKNOWN).astype(np.int32)
        history = self._content.sum(0) - missing @ self._content[events]
        parts = self._parts[self.items]
        if with_nobody:
            owner = np.pad(owner, ((0, 0), (0, 1)), constant_values=UNKNOWN)
            parts = np.pad(parts, ((0, 1), (0, 0)))
        repeated = np.broadcast_to(parts, (len(missing), *parts.shape))  # not copied: slates see that it is one
        content, popularity = (
            _content(repeated[:, :, some], history[:, some])
            for some in (slice(self._labels), slice(self._labels, None))
        )
        boosted, muted = (
            None if control is None else np.repeat(control, len(missing), axis=0)
            for control in (self._list.boosted, self._list.muted)
        )
        return Seating(owner, shares, boosted, muted, content, np.full(len(missing), self._trust), popularity)


def _content(parts: Doubles, history: Doubles) -> Content:
    total = history.sum(1, keepdims=True)
    return Content(parts, history / np.where(total > 0, total, 1.0))


def _missing(sets: Sequence[Ints]) -> tuple[Doubles, Ints]:
    """Return "sets distinct", 1 where an event is missing, and the distinct events."""
    events, place = np.unique(np.concatenate(sets), return_inverse=True)
    missing = np.zeros((len(sets), len(events)))
    missing[np.repeat(np.arange(len(sets)), [len(each) for each in sets]), place] = 1.0
    return missing, events
